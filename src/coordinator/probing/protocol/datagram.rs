//! A probe of one datagram: it must be answered, or at least have a socket to go to. Does not: send
//! it again.

use super::deadline::Deadline;
use super::failure::{ProbeFailure, ProbeStage};
use crate::limits::DATAGRAM_BYTES_MAX;
use memchr::memmem::Finder;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::UdpSocket;

/// The datagram, and the bytes that the answer must have.
pub(super) struct Datagram {
    bytes: Vec<u8>,
    /// None: no answer needs to come.
    expect: Option<Finder<'static>>,
}

impl Datagram {
    /// `header` stands before what is sent. Of an empty `expect` none needs to come.
    pub(super) fn new(header: &[u8], send: &[u8], expect: &[u8]) -> Self {
        let finder = || Finder::new(expect).into_owned();
        Self { bytes: [header, send].concat(), expect: (!expect.is_empty()).then(finder) }
    }

    /// Sends the datagram, and waits for the answer or for a report that nobody receives it.
    pub(super) async fn ask(
        &self,
        backend: SocketAddr,
        source: Option<IpAddr>,
        deadline: Deadline,
    ) -> Result<(), ProbeFailure> {
        let mut other = None;
        let asked = async {
            let failed = |error: io::Error| ProbeFailure::of_datagrams(&error);
            let socket = bound(backend, source).await?;
            socket.connect(backend).await.map_err(failed)?;
            socket.send(&self.bytes).await.map_err(failed)?;
            let mut answer = Vec::with_capacity(DATAGRAM_BYTES_MAX);
            loop {
                answer.clear();
                socket.recv_buf(&mut answer).await.map_err(failed)?;
                match &self.expect {
                    Some(expect) if expect.find(&answer).is_none() => {
                        other = Some(ProbeFailure::unexpected(&answer));
                    }
                    _ => return Ok(()),
                }
            }
        };
        match deadline.bound(ProbeStage::Answering, asked).await {
            Err(ProbeFailure::TimedOut { .. }) if self.expect.is_none() => Ok(()),
            // It explains more than the timeout.
            Err(ProbeFailure::TimedOut { stage }) => {
                Err(other.unwrap_or(ProbeFailure::TimedOut { stage }))
            }
            result => result,
        }
    }
}

/// A socket that is to be connected to the backend: then only that can send to it, and its errors
/// are those that the network reports of the backend.
async fn bound(backend: SocketAddr, source: Option<IpAddr>) -> Result<UdpSocket, ProbeFailure> {
    if let Some(ip) = source {
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).await;
        return socket.map_err(|error| ProbeFailure::NoSource(error.to_string()));
    }
    let any: SocketAddr = match backend {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    UdpSocket::bind(any).await.map_err(|error| ProbeFailure::of_datagrams(&error))
}
