//! A request over HTTP/1.1 and the conditions of its answer; all of it but the backend's address is
//! written once. Does not: follow redirects, keep connections.

use super::deadline::Deadline;
use super::failure::{ProbeFailure, ProbeStage};
use super::http_response::{find_in_content, read_head, read_out};
use super::tls::{Asked, Keys, Tls, Trusted};
use crate::config::{HttpProbe, PoolTls};
use crate::head::ResponseTo;
use hyper::Method;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, USER_AGENT,
};
use memchr::memmem::Finder;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// The User-Agent field of the probes.
pub(super) const AGENT: &str = concat!("ringway-probe/", env!("CARGO_PKG_VERSION"));

/// Decided by the probe: it has no content, and its connection no second request.
const OWN_FIELDS: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// Longer than an address with its port.
const ADDRESS_BYTES_MAX: usize = 64;

/// A request and the conditions of its answer.
pub(super) struct HttpQuestion {
    /// Up to the Host field's value.
    before_host: Vec<u8>,
    /// None: the backend's address.
    host: Option<String>,
    after_host: Vec<u8>,
    asked: ResponseTo,
    status: Vec<RangeInclusive<u16>>,
    body: Option<Finder<'static>>,
    tls: Option<Tls>,
}

impl HttpQuestion {
    /// The error has the remedy if the probe cannot be made.
    pub(super) fn new(
        probe: &HttpProbe,
        pool: Option<&PoolTls>,
        trusted: &mut Trusted,
    ) -> Result<Self, String> {
        check_fields(probe)?;
        let host = find_host(probe)?;
        let keys = Keys { own: probe.tls.as_ref(), pool };
        let tls = Tls::new(keys, host.as_deref(), Some(b"http/1.1"), trusted)?;
        let wanted = probe.body.as_ref().filter(|body| !body.is_empty());
        Ok(Self {
            before_host: write_start(probe)?,
            host,
            after_host: write_fields(probe),
            asked: ResponseTo { head: probe.method == "HEAD", connect: false },
            status: probe.status.clone(),
            body: wanted.map(|body| Finder::new(body.as_bytes()).into_owned()),
            tls,
        })
    }

    /// Whether small pieces are sent one after the other.
    pub(super) fn is_over_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Probes a backend over `stream`.
    pub(super) async fn ask(
        &self,
        stream: TcpStream,
        backend: &Asked,
        deadline: Deadline,
    ) -> Result<(), ProbeFailure> {
        let address = backend.address;
        match &self.tls {
            None => deadline.bound(ProbeStage::Answering, self.exchange(stream, address)).await,
            // In a box: the state of TLS is large, and not every probe is to carry its room.
            Some(tls) => Box::pin(self.ask_over(tls, stream, backend, deadline)).await,
        }
    }

    async fn ask_over(
        &self,
        tls: &Tls,
        stream: TcpStream,
        backend: &Asked,
        deadline: Deadline,
    ) -> Result<(), ProbeFailure> {
        let connecting = tls.connect(stream, backend);
        let stream = deadline.bound(ProbeStage::Handshake, connecting).await?;
        deadline.bound(ProbeStage::Answering, self.exchange(stream, backend.address)).await
    }

    async fn exchange<T>(&self, mut stream: T, address: SocketAddr) -> Result<(), ProbeFailure>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        send(&mut stream, &self.request_to(address)).await?;
        let (head, content) = read_head(&mut stream, self.asked).await?;
        if !self.status.iter().any(|range| range.contains(&head.status)) {
            return Err(ProbeFailure::Status(head.status));
        }
        match &self.body {
            Some(wanted) => find_in_content(wanted, &mut stream, head.body, content).await,
            None => {
                read_out(&mut stream, head.body, content.len()).await;
                Ok(())
            }
        }
    }

    fn request_to(&self, address: SocketAddr) -> Vec<u8> {
        let host_bytes = self.host.as_ref().map_or(ADDRESS_BYTES_MAX, String::len);
        let length = self.before_host.len() + host_bytes + self.after_host.len();
        let mut request = Vec::with_capacity(length);
        request.extend_from_slice(&self.before_host);
        match &self.host {
            Some(host) => request.extend_from_slice(host.as_bytes()),
            // Writing to memory does not fail.
            None => drop(write!(request, "{address}")),
        }
        request.extend_from_slice(&self.after_host);
        request
    }
}

async fn send<T: AsyncWrite + Unpin>(stream: &mut T, request: &[u8]) -> Result<(), ProbeFailure> {
    let sent = stream.write_all(request).await;
    sent.map_err(|error| ProbeFailure::of_answering(&error))?;
    // TLS keeps what the socket did not take.
    stream.flush().await.map_err(|error| ProbeFailure::of_answering(&error))
}

fn check_fields(probe: &HttpProbe) -> Result<(), String> {
    for (name, value) in &probe.headers {
        let (field, content) = (HeaderName::try_from(name), HeaderValue::try_from(value));
        let (Ok(field), Ok(_)) = (field, content) else {
            return Err(format!("header \"{name}: {value}\" is malformed: give a name and a text"));
        };
        if OWN_FIELDS.contains(&field) {
            return Err(format!("header \"{name}\" is the probe's own: leave it out"));
        }
    }
    Ok(())
}

/// `host`, or else the Host field among the headers.
fn find_host(probe: &HttpProbe) -> Result<Option<String>, String> {
    let is_host = |(name, _): &&(String, String)| name.eq_ignore_ascii_case(HOST.as_str());
    let field = probe.headers.iter().find(is_host).map(|(_, value)| value);
    let host = probe.host.as_ref().or(field);
    match host.map(HeaderValue::try_from) {
        Some(Err(_)) => Err("`host` is malformed: give a name, as in www.example.com".to_owned()),
        _ => Ok(host.cloned()),
    }
}

/// The request line, and the name of the Host field.
fn write_start(probe: &HttpProbe) -> Result<Vec<u8>, String> {
    let HttpProbe { method, path, .. } = probe;
    let known = Method::from_bytes(method.as_bytes());
    if !known.is_ok_and(|method| method != Method::CONNECT) {
        return Err(format!("`method` \"{method}\" cannot be asked: use GET"));
    }
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if !path.starts_with('/') || !path.bytes().all(is_allowed) {
        return Err(format!("`path` \"{path}\" is no path of a URL: as in /healthz"));
    }
    Ok(format!("{method} {path} HTTP/1.1\r\nHost: ").into_bytes())
}

/// What follows the Host field's value.
fn write_fields(probe: &HttpProbe) -> Vec<u8> {
    let mut text = String::from("\r\nConnection: close\r\n");
    let mut names_agent = false;
    for (name, value) in &probe.headers {
        names_agent |= name.eq_ignore_ascii_case(USER_AGENT.as_str());
        if !name.eq_ignore_ascii_case(HOST.as_str()) {
            text.extend([name, ": ", value, "\r\n"]);
        }
    }
    if !names_agent {
        text.extend(["User-Agent: ", AGENT, "\r\n"]);
    }
    // Of these methods, content is expected.
    if matches!(probe.method.as_str(), "POST" | "PUT" | "PATCH") {
        text.push_str("Content-Length: 0\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}
