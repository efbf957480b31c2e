//! The access log: shards leave a record of each exchange, forwarded connection, or flow, in a
//! bounded queue, and a thread of its own formats and writes them. A full queue drops records and
//! counts them; a shard never waits.

mod format;
mod output;
mod writer;

pub use format::Format;
pub use writer::{Destination, Records, Sender, Writer, queue, start};

use std::net::SocketAddr;
use std::sync::Arc;

/// What the record of a connection with TLS has beside the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// `1.2` or `1.3`; none if the handshake failed.
    pub version: Option<&'static str>,
    /// The cipher suite, by OpenSSL's name; none if the handshake failed.
    pub cipher: Option<&'static str>,
    /// The name that the client asked for.
    pub server_name: Option<Arc<str>>,
    /// An earlier session was resumed.
    pub is_resumed: bool,
    /// SHA-256 of the client's certificate, in hexadecimal digits; none if it has shown none.
    pub client_certificate: Option<Arc<str>>,
}

/// The record of one exchange, or of a connection or flow that was forwarded unread: that has no
/// method and target, and status 0.
#[derive(Clone, Debug)]
pub struct Record {
    /// The client's address.
    pub client: SocketAddr,
    /// The protocol of the listener, as `http`, `https`, `tcp`, `tls-passthrough` or `udp`.
    pub protocol: &'static str,
    /// The name of the listener; none if it was never in force on the shard.
    pub listener: Option<Arc<str>>,
    /// The method.
    pub method: Box<[u8]>,
    /// The host, as requested; the server name of TLS; empty if there is none.
    pub host: Box<[u8]>,
    /// The target, as requested.
    pub target: Box<[u8]>,
    /// The version that the client used, as `HTTP/1.1`; none if no complete head arrived.
    pub version: Option<&'static str>,
    /// The Referer field.
    pub referer: Option<Box<[u8]>>,
    /// The User-Agent field.
    pub user_agent: Option<Box<[u8]>>,
    /// The status that was answered; 0 if none was.
    pub status: u16,
    /// Bytes of the request's body, or forwarded from the client.
    pub request_bytes: u64,
    /// Bytes of the response's body, or forwarded to the client.
    pub response_bytes: u64,
    /// Of a flow: datagrams from the client, and to it.
    pub datagrams: Option<[u64; 2]>,
    /// Microseconds from the complete request head to the end of the response, or of the
    /// connection.
    pub duration_us: u64,
    /// The identifier of the connection that backends get, if they do.
    pub unique_id: Option<Box<[u8]>>,
    /// TLS of the client's connection, if it ends here.
    pub tls: Option<Tls>,
    /// The stream of HTTP/2.
    pub stream: Option<u32>,
    /// The pool that the request was routed to.
    pub pool: Option<Arc<str>>,
    /// The backend that answered, or the last one tried.
    pub backend: Option<SocketAddr>,
    /// Attempts that failed before.
    pub retries: u32,
    /// The close reason, if the exchange failed; always that of a connection.
    pub failure: Option<&'static str>,
    /// The fault of the request or the response, if either was refused.
    pub refusal: Option<&'static str>,
}

impl Record {
    /// The record of a connection that ended before it was known where its bytes go. `protocol` and
    /// `listener` are those of its listener.
    pub fn unforwarded(
        (protocol, listener): (&'static str, Option<Arc<str>>),
        client: SocketAddr,
        server_name: &[u8],
        failure: &'static str,
    ) -> Self {
        Self {
            client,
            protocol,
            listener,
            method: Box::default(),
            host: server_name.into(),
            target: Box::default(),
            version: None,
            referer: None,
            user_agent: None,
            status: 0,
            request_bytes: 0,
            response_bytes: 0,
            datagrams: None,
            duration_us: 0,
            unique_id: None,
            tls: None,
            stream: None,
            pool: None,
            backend: None,
            retries: 0,
            failure: Some(failure),
            refusal: None,
        }
    }
}
