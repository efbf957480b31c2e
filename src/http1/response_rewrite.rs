//! Writing the head of a response for a client.

use super::answer::reason_phrase;
use super::output::Output;
use crate::head::{Known, ResponseHead, Version, websocket};

/// The name of the field by which browsers are told to ask by HTTPS only (RFC 6797).
pub(super) const HSTS: &str = "Strict-Transport-Security";

/// The Connection field of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionField {
    /// No field: the version's default applies.
    None,
    /// The connection ends with this response.
    Close,
    /// The connection is kept, which HTTP/1.0 requires a field for.
    KeepAlive,
    /// The connection switches protocols.
    Upgrade,
}

impl ConnectionField {
    /// The field for a client of this version on a connection that is kept, or not (RFC 9112 §9.3).
    pub fn of(is_kept: bool, version: Version) -> Self {
        match (is_kept, version) {
            (false, _) => Self::Close,
            (true, Version::Http10) => Self::KeepAlive,
            (true, Version::Http11) | (_, Version::Http2) => Self::None,
        }
    }

    /// `offers_upgrade`: there is an Upgrade field, which Connection must name (RFC 9110 §7.8).
    pub(super) fn write(self, offers_upgrade: bool, out: &mut Output<'_>) {
        let options: &[u8] = match (self, offers_upgrade) {
            (Self::None, false) => return,
            (Self::Close, false) => b"close",
            (Self::KeepAlive, false) => b"keep-alive",
            (Self::None, true) | (Self::Upgrade, _) => b"Upgrade",
            (Self::Close, true) => b"close, Upgrade",
            (Self::KeepAlive, true) => b"keep-alive, Upgrade",
        };
        out.put_field(b"Connection", options);
    }
}

/// The parameters of a response's rewritten head.
#[derive(Clone, Copy, Debug)]
pub struct ResponseRewrite<'a> {
    /// The Connection field.
    pub connection: ConnectionField,
    /// The proxy's name in Via; none to add no such field.
    pub via: Option<&'a [u8]>,
    /// The value of Strict-Transport-Security, unless the backend has said one; none to add no such
    /// field.
    pub hsts: Option<&'a [u8]>,
    /// A chunked body is forwarded without its framing, until the connection ends.
    pub body_unframed: bool,
}

/// True if there is a Strict-Transport-Security that is forwarded.
fn says_hsts(head: &ResponseHead<'_, '_>) -> bool {
    let mut fields = head.fields.iter().enumerate();
    fields.any(|(at, field)| field.name.eq_ignore_ascii_case(HSTS) && !head.dropped.has(at))
}

/// Writes the head; none if `out` is too short. The version is always HTTP/1.1 (RFC 9110 §6.2).
pub fn write_response(
    head: &ResponseHead<'_, '_>,
    rewrite: &ResponseRewrite<'_>,
    out: &mut [u8],
) -> Option<usize> {
    let mut out = Output::new(out);
    out.put(b"HTTP/1.1 ");
    out.put_small_number(head.status);
    out.put(b" ");
    match head.version {
        // It has no phrases, and some clients of HTTP/1.1 want one.
        Version::Http2 => out.put(reason_phrase(head.status).as_bytes()),
        Version::Http10 | Version::Http11 => out.put(head.reason),
    }
    out.put(b"\r\n");
    for (at, field) in head.fields.iter().enumerate() {
        let is_upgrade = || head.has_upgrade && Known::of(field.name) == Known::Upgrade;
        if !head.dropped.has(at) || is_upgrade() {
            out.put_field(field.name.as_bytes(), field.value);
        }
    }
    match head.content_length {
        Some(bytes) => {
            out.put(b"Content-Length: ");
            out.put_number(bytes);
            out.put(b"\r\n");
        }
        _ if head.is_chunked && !rewrite.body_unframed => {
            out.put_field(b"Transfer-Encoding", b"chunked");
        }
        _ => {}
    }
    rewrite.connection.write(head.has_upgrade, &mut out);
    if let Some(value) = rewrite.hsts
        && !says_hsts(head)
    {
        out.put_field(HSTS.as_bytes(), value);
    }
    write_via(head, rewrite.via, &mut out);
    out.put(b"\r\n");
    out.finish()
}

/// Writes the 101 for a client of HTTP/1.1 whose Upgrade a backend of HTTP/2 has accepted as an
/// extended CONNECT (RFC 8441 §5); none if `out` is too short. `accept` answers the client's key,
/// if the protocol is WebSocket.
pub fn write_switch(
    head: &ResponseHead<'_, '_>,
    protocol: &[u8],
    accept: Option<&websocket::Accept>,
    via: Option<&[u8]>,
    out: &mut [u8],
) -> Option<usize> {
    let mut out = Output::new(out);
    out.put(b"HTTP/1.1 101 Switching Protocols\r\n");
    for (at, field) in head.fields.iter().enumerate() {
        if !head.dropped.has(at) && !field.name.eq_ignore_ascii_case(websocket::ACCEPT_FIELD) {
            out.put_field(field.name.as_bytes(), field.value);
        }
    }
    out.put_field(b"Connection", b"Upgrade");
    out.put_field(b"Upgrade", protocol);
    if let Some(accept) = accept {
        out.put_field(websocket::ACCEPT_FIELD.as_bytes(), accept);
    }
    write_via(head, via, &mut out);
    out.put(b"\r\n");
    out.finish()
}

fn write_via(head: &ResponseHead<'_, '_>, via: Option<&[u8]>, out: &mut Output<'_>) {
    if let Some(name) = via {
        out.put(b"Via: ");
        out.put(head.version.number().as_bytes());
        out.put(b" ");
        out.put(name);
        out.put(b"\r\n");
    }
}
