//! One probe of one backend: connects, sends the configured question, and judges the answer, all
//! within the probe's timeout and within the caller's task.
//!
//! `proxy_header` and `grpc_message` are the bytes sent, `answer` searches the bytes received;
//! `http`, `grpc` and `exchange` are the kinds of probe; `failure` has the causes. Does not: decide
//! when a backend is probed or the state that follows from the result.

mod answer;
mod datagram;
mod deadline;
mod driving;
mod exchange;
mod failure;
mod grpc;
mod grpc_message;
mod http;
mod http_response;
mod proxy_header;
#[cfg(test)]
mod tests;
mod tls;

pub use failure::{ProbeFailure, ProbeStage};
pub use proxy_header::proxy_header;
pub use tls::{Asked, Trusted};

use crate::config::{Probe, ProbeKind};
use datagram::Datagram;
use deadline::Deadline;
use exchange::Exchange;
use grpc::GrpcQuestion;
use http::HttpQuestion;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tls::{Keys, Tls};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

/// One probe's configuration, prepared for any number of backends. Clones share it.
#[derive(Clone)]
pub struct Prober(Arc<Prepared>);

/// The parts that do not depend on the backend.
struct Prepared {
    port: Option<u16>,
    /// The address that it comes from; none: any.
    source: Option<IpAddr>,
    proxy_header: &'static [u8],
    timeout: Duration,
    question: Question,
}

enum Question {
    Nothing,
    Connect,
    /// A handshake.
    Secure(Box<Tls>),
    Exchange(Box<Exchange>),
    Datagram(Box<Datagram>),
    Http(Box<HttpQuestion>),
    Grpc(Box<GrpcQuestion>),
}

impl Prober {
    /// Reads the certificates, unless they are among those that were read, and builds the request.
    ///
    /// # Errors
    /// A sentence with the part to mend: a certificate file, a header, a path.
    pub fn new(probe: &Probe, trusted: &mut Trusted) -> Result<Self, String> {
        let pool = probe.pool_tls.as_ref();
        let of_pool = Keys { own: None, pool };
        let question = match &probe.kind {
            ProbeKind::None => Question::Nothing,
            ProbeKind::Connect => match Tls::new(of_pool, None, None, trusted)? {
                Some(tls) => Question::Secure(Box::new(tls)),
                None => Question::Connect,
            },
            ProbeKind::Exchange { send, expect } => {
                let tls = Tls::new(of_pool, None, None, trusted)?;
                Question::Exchange(Box::new(Exchange::new(send, expect, tls)?))
            }
            ProbeKind::Datagram { send, expect } => {
                let header = proxy_header(probe.proxy_protocol);
                Question::Datagram(Box::new(Datagram::new(header, send, expect)))
            }
            ProbeKind::Http(http) => {
                Question::Http(Box::new(HttpQuestion::new(http, pool, trusted)?))
            }
            ProbeKind::Grpc { service, tls } => {
                Question::Grpc(Box::new(GrpcQuestion::new(service, tls.as_ref(), pool, trusted)?))
            }
        };
        Ok(Self(Arc::new(Prepared {
            port: probe.port,
            source: probe.source,
            proxy_header: proxy_header(probe.proxy_protocol),
            timeout: probe.rules.timeout,
            question,
        })))
    }

    /// The timeout of one probe.
    pub fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Probes the backend once. Spawns nothing: dropping the future aborts the probe.
    ///
    /// # Errors
    /// Why it did not pass, or could not be probed: see [`ProbeFailure::is_our_own_fault`].
    pub async fn probe(&self, mut backend: Asked) -> Result<(), ProbeFailure> {
        let prepared = &*self.0;
        let address = &mut backend.address;
        address.set_port(prepared.port.unwrap_or(address.port()));
        let address = *address;
        let deadline = Deadline::after(prepared.timeout);
        match &prepared.question {
            Question::Nothing => return Ok(()),
            Question::Datagram(datagram) => {
                return datagram.ask(address, prepared.source, deadline).await;
            }
            _ => {}
        }
        let stream = deadline.bound(ProbeStage::Connecting, prepared.connect(address)).await?;
        match &prepared.question {
            Question::Nothing | Question::Connect | Question::Datagram(_) => Ok(()),
            Question::Secure(tls) => {
                let connecting = Box::pin(tls.connect(stream, &backend));
                deadline.bound(ProbeStage::Handshake, connecting).await.map(drop)
            }
            Question::Exchange(exchange) => exchange.ask(stream, &backend, deadline).await,
            Question::Http(http) => http.ask(stream, &backend, deadline).await,
            // In a box: see `HttpQuestion::ask`.
            Question::Grpc(grpc) => Box::pin(grpc.ask(stream, &backend, deadline)).await,
        }
    }
}

impl Prepared {
    /// The PROXY header is part of it: a few bytes, which a new connection takes at once.
    async fn connect(&self, address: SocketAddr) -> Result<TcpStream, ProbeFailure> {
        let failed = |error: io::Error| ProbeFailure::of_connecting(&error);
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = socket.map_err(failed)?;
        if let Some(ip) = self.source {
            let bound = socket.bind(SocketAddr::new(ip, 0));
            bound.map_err(|error| ProbeFailure::NoSource(error.to_string()))?;
        }
        let mut stream = socket.connect(address).await.map_err(failed)?;
        if self.sends_in_pieces() {
            stream.set_nodelay(true).map_err(failed)?;
        }
        if !self.proxy_header.is_empty() {
            let sent = stream.write_all(self.proxy_header).await;
            sent.map_err(|error| ProbeFailure::of_answering(&error))?;
        }
        Ok(stream)
    }

    /// Then a piece must not wait for the backend's acknowledgement of the one before. A request
    /// in one piece is spared the system call.
    fn sends_in_pieces(&self) -> bool {
        let is_layered = match &self.question {
            Question::Nothing | Question::Connect | Question::Datagram(_) => false,
            Question::Secure(_) => true,
            Question::Exchange(exchange) => exchange.is_over_tls(),
            Question::Http(http) => http.is_over_tls(),
            Question::Grpc(_) => true,
        };
        is_layered || !self.proxy_header.is_empty()
    }
}
