//! Writing the head of a response for a client, and local answers (RFC 9113 §8.3.2).

use super::block::Block;
use crate::base::calendar::imf_fixdate;
use crate::head::{Known, ResponseHead, Version, websocket};

/// A local answer without its body: one that the proxy gives itself.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// The time of the answer, seconds since 1970: its Date (RFC 9110 §6.6.1).
    pub seconds: u64,
    /// The type of its body.
    pub content_type: &'a str,
    /// Bytes of its body; those of HEAD too, which has none.
    pub content_length: u64,
}

/// A local answer to a call of gRPC: the status is in the trailers, which are all there is.
#[derive(Clone, Copy, Debug)]
pub struct GrpcAnswer<'a> {
    /// The code of gRPC: 14 for UNAVAILABLE, 4 for DEADLINE_EXCEEDED.
    pub code: u8,
    /// For people: printable ASCII without `%`.
    pub message: &'a str,
    /// See [`Answer::seconds`].
    pub seconds: u64,
}

/// Writes the block of a response. `is_last`: no DATA follows.
pub(super) fn write_response(
    head: &ResponseHead<'_, '_>,
    via: Option<&[u8]>,
    is_last: bool,
    block: &mut Block<'_>,
) {
    // A switch of protocols is the success of an extended CONNECT (RFC 8441 §5).
    let is_switch = head.status == 101;
    block.status(if is_switch { 200 } else { head.status });
    for (at, field) in head.fields.iter().enumerate() {
        if head.dropped.has(at) {
            continue;
        }
        if is_switch && field.name.eq_ignore_ascii_case(websocket::ACCEPT_FIELD) {
            continue;
        }
        let never_indexed = head.never_indexed.has(at);
        block.field_like(field.name.as_bytes(), field.value, never_indexed);
    }
    if let Some(bytes) = head.content_length
        && !(is_last && bytes == 0 && was_not_stated(head))
    {
        block.number(b"content-length", bytes);
    }
    if let Some(name) = via {
        block.via(head.version.number(), name);
    }
}

/// True for a length that only the end of the stream stated.
fn was_not_stated(head: &ResponseHead<'_, '_>) -> bool {
    let is_length = |name| Known::of(name) == Known::ContentLength;
    head.version == Version::Http2 && !head.fields.iter().any(|field| is_length(field.name))
}

impl Answer<'_> {
    pub(super) fn write(&self, block: &mut Block<'_>) {
        block.status(self.status);
        block.field(b"date", &imf_fixdate(self.seconds));
        if self.status == 405 {
            // Only TRACE is answered with 405; backends decide on all other methods.
            block.field(b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        }
        block.field(b"content-type", self.content_type.as_bytes());
        block.number(b"content-length", self.content_length);
    }
}

impl GrpcAnswer<'_> {
    pub(super) fn write(&self, block: &mut Block<'_>) {
        block.status(200);
        block.field(b"date", &imf_fixdate(self.seconds));
        block.field(b"content-type", b"application/grpc");
        block.number(b"grpc-status", u64::from(self.code));
        block.field(b"grpc-message", self.message.as_bytes());
    }
}
