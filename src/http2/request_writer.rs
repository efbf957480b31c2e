//! Writing the head of a request for a backend (RFC 9113 §8.3.1).

use super::block::Block;
use crate::head::{BodyLength, Field, Known, RequestHead, RequestRewrite, list, websocket};
use std::fmt::Write;
use std::net::IpAddr;

/// What a request's head becomes on its way.
#[derive(Clone, Copy, Debug)]
pub enum RequestForm<'a> {
    /// It is rewritten.
    Rewritten(&'a RequestRewrite<'a>),
    /// It was rewritten before: only what concerns a connection of HTTP/1 is left out.
    Kept {
        /// The client's Upgrade is forwarded.
        forward_upgrade: bool,
        /// The client accepts trailers, which a head of HTTP/1 was written without.
        accepts_trailers: bool,
    },
}

/// A request for a backend.
#[derive(Clone, Copy, Debug)]
pub struct RequestTo<'a> {
    /// The scheme of the connection: `http` or `https`.
    pub scheme: &'static str,
    /// What its head becomes.
    pub form: RequestForm<'a>,
}

impl RequestTo<'_> {
    /// True if the request is for a tunnel.
    pub fn opens_tunnel(&self, head: &RequestHead<'_, '_>) -> bool {
        head.method.is_connect() || self.upgrade(head).is_some()
    }

    /// The protocol of an Upgrade that is forwarded, as an extended CONNECT (RFC 8441).
    pub(super) fn upgrade<'b>(&self, head: &RequestHead<'b, '_>) -> Option<&'b [u8]> {
        let is_forwarded = match self.form {
            RequestForm::Rewritten(rewrite) => rewrite.forward_upgrade,
            RequestForm::Kept { forward_upgrade, .. } => forward_upgrade,
        };
        head.upgrade.filter(|_| is_forwarded)
    }

    /// Writes the block.
    pub(super) fn write(&self, head: &RequestHead<'_, '_>, block: &mut Block<'_>) {
        let protocol = self.upgrade(head);
        self.write_pseudo(head, protocol, block);
        for (at, field) in head.fields.iter().enumerate() {
            if head.dropped.has(at) {
                self.write_dropped(field, block);
                continue;
            }
            // RFC 8441 §5: the keys of RFC 6455 are not used.
            if protocol.is_some() && field.name.eq_ignore_ascii_case(websocket::KEY_FIELD) {
                continue;
            }
            let never_indexed = head.never_indexed.has(at);
            block.field_like(field.name.as_bytes(), field.value, never_indexed);
        }
        match head.body {
            BodyLength::Sized(bytes) => block.number(b"content-length", bytes),
            BodyLength::None if matches!(head.method.0, b"POST" | b"PUT" | b"PATCH") => {
                block.field(b"content-length", b"0"); // RFC 9110 §8.6
            }
            BodyLength::None | BodyLength::Chunked => {}
        }
        if head.expects_continue {
            block.field(b"expect", b"100-continue");
        }
        if let RequestForm::Kept { accepts_trailers: true, .. } = self.form {
            block.field(b"te", b"trailers");
        }
        if let RequestForm::Rewritten(rewrite) = self.form {
            write_forwarded(head, rewrite, block);
            for (name, value) in rewrite.client_certificate {
                block.field_like(name.as_bytes(), value.as_bytes(), false);
            }
            values(head, Known::Via).for_each(|value| block.field(b"via", value));
            if let Some(name) = rewrite.via {
                block.via(head.version.number(), name);
            }
        }
    }

    fn write_pseudo(
        &self,
        head: &RequestHead<'_, '_>,
        protocol: Option<&[u8]>,
        block: &mut Block<'_>,
    ) {
        let is_connect = head.method.is_connect();
        let method = if protocol.is_some() { b"CONNECT" } else { head.method.0 };
        block.pseudo(b":method", method);
        if is_connect {
            return block.field(b":authority", head.target);
        }
        if let Some(protocol) = protocol {
            // A token, without the version that Upgrade may have behind it (RFC 8441 §4).
            let name = protocol.split(|byte| *byte == b'/').next().unwrap_or(protocol);
            block.field(b":protocol", &name.to_ascii_lowercase());
        }
        block.pseudo(b":scheme", self.scheme.as_bytes());
        if !head.host.is_empty() {
            block.field(b":authority", head.host);
        }
        match head.target_start() {
            [] => block.pseudo(b":path", head.target),
            start => {
                block.text.clear();
                block.text.extend_from_slice(start);
                block.text.extend_from_slice(head.target);
                block.text_field(b":path");
            }
        }
    }

    /// Writes what is left of a field that is not forwarded as it is.
    fn write_dropped(&self, field: &Field<'_>, block: &mut Block<'_>) {
        match Known::of(field.name) {
            // RFC 9113 §8.2.2: a client that accepts trailers accepts ours.
            Known::HopByHop if accepts_trailers(field) => block.field(b"te", b"trailers"),
            Known::Via
            | Known::Forwarded
            | Known::ForwardedFor
            | Known::ForwardedProto
            | Known::ForwardedHost
            | Known::RealIp
            | Known::ClientCertificate
                if matches!(self.form, RequestForm::Kept { .. }) =>
            {
                block.field(field.name.as_bytes(), field.value);
            }
            _ => {}
        }
    }
}

/// True for a `te` with `trailers`.
fn accepts_trailers(field: &Field<'_>) -> bool {
    let mut codings = list(field.value);
    field.name.eq_ignore_ascii_case("te")
        && codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

fn write_forwarded(
    head: &RequestHead<'_, '_>,
    rewrite: &RequestRewrite<'_>,
    block: &mut Block<'_>,
) {
    let is_trusted = rewrite.client_is_trusted_proxy && head.has_forwarded;
    let received = |known| is_trusted.then(|| values(head, known).next()).flatten();
    block.text.clear();
    put_address(rewrite.client, block.text);
    match received(Known::RealIp) {
        Some(value) => block.field(b"x-real-ip", value),
        None => block.text_field(b"x-real-ip"),
    }
    if is_trusted {
        block.text.clear();
        for value in values(head, Known::ForwardedFor) {
            for member in list(value).filter(|member| !member.is_empty()) {
                block.text.extend_from_slice(member);
                block.text.extend_from_slice(b", ");
            }
        }
        put_address(rewrite.client, block.text);
    }
    block.text_field(b"x-forwarded-for");
    let proto = received(Known::ForwardedProto).unwrap_or(rewrite.proto.as_bytes());
    block.field(b"x-forwarded-proto", proto);
    let host = received(Known::ForwardedHost).unwrap_or(head.host);
    if !host.is_empty() {
        block.field(b"x-forwarded-host", host);
    }
    if is_trusted {
        values(head, Known::Forwarded).for_each(|value| block.field(b"forwarded", value));
    }
}

fn values<'h>(head: &'h RequestHead<'_, '_>, known: Known) -> impl Iterator<Item = &'h [u8]> {
    let is_there = match known {
        Known::Via => head.has_via,
        _ => head.has_forwarded,
    };
    let fields = if is_there { head.fields } else { &[] };
    fields.iter().filter(move |field| Known::of(field.name) == known).map(|field| field.value)
}

fn put_address(address: IpAddr, out: &mut Vec<u8>) {
    struct Text<'o>(&'o mut Vec<u8>);
    impl Write for Text<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    write!(Text(out), "{}", address.to_canonical()).expect("a vector takes everything");
}
