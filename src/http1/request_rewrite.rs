//! Writing the head of a request for a backend.

use super::address_text::AddressText;
use super::output::Output;
use crate::head::{BodyLength, Known, RequestHead, RequestRewrite, list, websocket};
use std::fmt::Write;
use std::net::SocketAddr;

/// Bytes of the longest address with a port, `[ffff:…:255.255.255.255]:65535`.
const HOST_ROOM: usize = 53;

/// Writes the head; none if `out` is too short. The version is always HTTP/1.1. A request of
/// HTTP/1.0 without a host gets room for one, see [`host_room`].
pub fn write_request(
    head: &RequestHead<'_, '_>,
    rewrite: &RequestRewrite<'_>,
    out: &mut [u8],
) -> Option<usize> {
    let mut out = Output::new(out);
    out.put(head.method.0);
    out.put(b" ");
    out.put(head.target_start());
    out.put(head.target);
    out.put(b" HTTP/1.1\r\n");
    match head.host {
        [] => out.put_field(b"Host", &[b' '; HOST_ROOM]),
        host => out.put_field(b"Host", host),
    }
    for (at, field) in head.fields.iter().enumerate() {
        if !head.dropped.has(at) {
            out.put_field(field.name.as_bytes(), field.value);
        }
    }
    match head.body {
        BodyLength::None => write_no_length(head, &mut out),
        BodyLength::Sized(bytes) => {
            out.put(b"Content-Length: ");
            out.put_number(bytes);
            out.put(b"\r\n");
        }
        BodyLength::Chunked => out.put_field(b"Transfer-Encoding", b"chunked"),
    }
    if head.expects_continue {
        out.put_field(b"Expect", b"100-continue");
    }
    if let (true, Some(protocol)) = (rewrite.forward_upgrade, head.upgrade) {
        out.put_field(b"Connection", b"Upgrade");
        out.put_field(b"Upgrade", protocol);
        if let Some(key) = &rewrite.websocket_key {
            out.put_field(websocket::KEY_FIELD.as_bytes(), key);
        }
    }
    write_forwarded(head, rewrite, &mut out);
    for (name, value) in rewrite.client_certificate {
        out.put_field(name.as_bytes(), value.as_bytes());
    }
    write_via(head, rewrite.via, &mut out);
    out.put(b"\r\n");
    out.finish()
}

/// The place for a host in a written head: its first byte. See [`host_room`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoom(u32);

/// The place that [`write_request`] leaves for the host of a request that names none: its host is
/// the backend that it is sent to, which is not known before one is chosen.
pub fn host_room(head: &RequestHead<'_, '_>) -> Option<HostRoom> {
    if !head.host.is_empty() {
        return None;
    }
    let before = [head.method.0, b" ", head.target_start(), head.target, b" HTTP/1.1\r\nHost: "];
    let start: usize = before.iter().map(|part| part.len()).sum();
    Some(HostRoom(start as u32))
}

/// Writes an address to the place for a host in a head. Blanks before it have no meaning (RFC 9110
/// §5.5).
pub fn fill_host_room(address: SocketAddr, head: &mut [u8], room: HostRoom) {
    let room = &mut head[room.0 as usize..][..HOST_ROOM];
    let mut text = [0; HOST_ROOM];
    let mut out = Output::new(&mut text);
    let brackets: [&[u8]; 2] = if address.is_ipv6() { [b"[", b"]"] } else { [b"", b""] };
    out.put(brackets[0]);
    write!(out, "{}", address.ip()).expect("a failure shows in `Output::finish`");
    out.put(brackets[1]);
    out.put(b":");
    out.put_number(u64::from(address.port()));
    let length = out.finish().expect("no address is longer");
    let (blanks, host) = room.split_at_mut(HOST_ROOM - length);
    blanks.fill(b' ');
    host.copy_from_slice(&text[..length]);
}

/// A request without a body states so if its method usually has one (RFC 9110 §8.6).
fn write_no_length(head: &RequestHead<'_, '_>, out: &mut Output<'_>) {
    if matches!(head.method.0, b"POST" | b"PUT" | b"PATCH") {
        out.put_field(b"Content-Length", b"0");
    }
}

fn write_forwarded(head: &RequestHead<'_, '_>, rewrite: &RequestRewrite<'_>, out: &mut Output<'_>) {
    let is_trusted = rewrite.client_is_trusted_proxy && head.has_forwarded;
    out.put(b"X-Forwarded-For: ");
    if is_trusted {
        for value in values(head, Known::ForwardedFor) {
            for member in list(value).filter(|member| !member.is_empty()) {
                out.put(member);
                out.put(b", ");
            }
        }
    }
    let address = AddressText::of(rewrite.client);
    out.put(address.bytes());
    out.put(b"\r\nX-Real-IP: ");
    let received = |known| is_trusted.then(|| values(head, known).next()).flatten();
    match received(Known::RealIp) {
        Some(value) => out.put(value),
        None => out.put(address.bytes()),
    }
    out.put(b"\r\n");
    let proto = received(Known::ForwardedProto).unwrap_or(rewrite.proto.as_bytes());
    out.put_field(b"X-Forwarded-Proto", proto);
    let host = received(Known::ForwardedHost).unwrap_or(head.host);
    if !host.is_empty() {
        out.put_field(b"X-Forwarded-Host", host);
    }
    if is_trusted {
        values(head, Known::Forwarded).for_each(|value| out.put_field(b"Forwarded", value));
    }
}

fn write_via(head: &RequestHead<'_, '_>, via: Option<&[u8]>, out: &mut Output<'_>) {
    if head.has_via {
        values(head, Known::Via).for_each(|value| out.put_field(b"Via", value));
    }
    if let Some(name) = via {
        out.put(b"Via: ");
        out.put(head.version.number().as_bytes());
        out.put(b" ");
        out.put(name);
        out.put(b"\r\n");
    }
}

fn values<'h>(head: &'h RequestHead<'_, '_>, known: Known) -> impl Iterator<Item = &'h [u8]> {
    let fields = head.fields.iter().filter(move |field| Known::of(field.name) == known);
    fields.map(|field| field.value)
}
