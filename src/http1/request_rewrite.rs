//! Writing the head of a request for a backend.

use super::fields::{Known, list};
use super::output::Output;
use super::{BodyLength, RequestHead, Version};
use std::fmt::Write;
use std::net::IpAddr;

/// What a backend is told besides what the client said.
#[derive(Clone, Copy, Debug)]
pub struct RequestRewrite<'a> {
    /// Who sent the request.
    pub client: IpAddr,
    /// What it says in X-Forwarded-* and Forwarded is believed.
    pub client_is_trusted_proxy: bool,
    /// For X-Forwarded-Proto.
    pub proto: &'a str,
    /// Our name in Via (RFC 9110 §7.6.3); none if there is to be no such field.
    pub via: Option<&'a [u8]>,
    /// The client's Upgrade is passed on.
    pub forward_upgrade: bool,
}

/// Writes the head; none if `out` is too short. The version is always HTTP/1.1. A request of
/// HTTP/1.0 without a host gets an empty Host field (RFC 9112 §3.2).
pub fn write_request(
    head: &RequestHead<'_, '_>,
    rewrite: &RequestRewrite<'_>,
    out: &mut [u8],
) -> Option<usize> {
    let mut out = Output::new(out);
    out.put(head.method.0);
    out.put(b" ");
    out.put(head.target);
    out.put(b" HTTP/1.1\r\n");
    out.put_field(b"Host", head.host);
    for (at, field) in head.fields.iter().enumerate() {
        if head.dropped >> at & 1 == 0 {
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
    }
    write_forwarded(head, rewrite, &mut out);
    write_via(head, rewrite.via, &mut out);
    out.put(b"\r\n");
    out.finish()
}

/// A method that usually has a body says so when it has none (RFC 9110 §8.6).
fn write_no_length(head: &RequestHead<'_, '_>, out: &mut Output<'_>) {
    if matches!(head.method.0, b"POST" | b"PUT" | b"PATCH") {
        out.put_field(b"Content-Length", b"0");
    }
}

fn write_forwarded(head: &RequestHead<'_, '_>, rewrite: &RequestRewrite<'_>, out: &mut Output<'_>) {
    let is_believed = rewrite.client_is_trusted_proxy && head.has_forwarded;
    out.put(b"X-Forwarded-For: ");
    if is_believed {
        for value in values(head, Known::ForwardedFor) {
            for member in list(value).filter(|member| !member.is_empty()) {
                out.put(member);
                out.put(b", ");
            }
        }
    }
    put_address(rewrite.client, out);
    out.put(b"\r\n");
    let told = |known| is_believed.then(|| values(head, known).next()).flatten();
    let proto = told(Known::ForwardedProto).unwrap_or(rewrite.proto.as_bytes());
    out.put_field(b"X-Forwarded-Proto", proto);
    let host = told(Known::ForwardedHost).unwrap_or(head.host);
    out.put_field(b"X-Forwarded-Host", host);
    if is_believed {
        values(head, Known::Forwarded).for_each(|value| out.put_field(b"Forwarded", value));
    }
}

fn write_via(head: &RequestHead<'_, '_>, via: Option<&[u8]>, out: &mut Output<'_>) {
    if head.has_via {
        values(head, Known::Via).for_each(|value| out.put_field(b"Via", value));
    }
    if let Some(name) = via {
        let version: &[u8] = match head.version {
            Version::Http10 => b"Via: 1.0 ",
            Version::Http11 => b"Via: 1.1 ",
        };
        out.put(version);
        out.put(name);
        out.put(b"\r\n");
    }
}

fn values<'h>(head: &'h RequestHead<'_, '_>, known: Known) -> impl Iterator<Item = &'h [u8]> {
    let fields = head.fields.iter().filter(move |field| Known::of(field.name) == known);
    fields.map(|field| field.value)
}

fn put_address(address: IpAddr, out: &mut Output<'_>) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    out.put(b".");
                }
                out.put_number(u64::from(octet));
            }
        }
        // A failure shows in `Output::finish`.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}
