//! Judging the head of a response, and writing it anew for the client.

use super::Body;
use super::request::{HEAD_GROWS, Upgrade, is_protocol, join_names};
use crate::base::ListenerId;
use crate::head::{Peer, ResponseBody, ResponseHead, Version};
use crate::http1::{
    ChunkedDecoder, ConnectionField, ResponseRewrite, write_response, write_switch,
};
use crate::snapshot::Snapshot;
use std::time::Duration;

/// This long before a backend closes an idle connection, it is not reused: a request that crosses
/// the end of its connection is lost.
const IDLE_SPARE: Duration = Duration::from_secs(1);

/// The state that a response's head is checked against.
pub struct ResponseSide<'a> {
    /// The listener that the client is connected to.
    pub listener: ListenerId,
    /// The client's version.
    pub version: Version,
    /// The request was HEAD.
    pub is_head: bool,
    /// The request was CONNECT.
    pub is_connect: bool,
    /// The client's Upgrade, if it is allowed.
    pub upgrade: Option<&'a Upgrade>,
    /// The request and the process allow that the client's connection is kept.
    pub keep_alive: bool,
}

/// A response whose final head was rewritten.
pub struct Response {
    /// Bytes of the head that was read.
    pub head_length: usize,
    /// Bytes of the head that was written.
    pub written: usize,
    /// Its status.
    pub status: u16,
    /// What remains of its body.
    pub body: Body,
    /// The client's connection is kept after it.
    pub keep_alive: bool,
    /// How long the backend's connection may be kept unused after it, as the backend states; none
    /// if it may not be kept.
    pub idle_max: Option<Duration>,
}

/// What becomes of a response.
pub enum ResponseOutcome {
    /// A message that a backend must not answer this request with, and the reason.
    Unexpected(&'static str),
    /// A 1xx response; a final one follows. `written` is 0 if the client must not see it.
    Interim {
        /// Bytes of the head that was read.
        head_length: usize,
        /// Bytes of the head that was written.
        written: usize,
    },
    /// 101, or 2xx to CONNECT: bytes are forwarded both ways from here on.
    Switch {
        /// Bytes of the head that was read.
        head_length: usize,
        /// Bytes of the head that was written.
        written: usize,
        /// Its status.
        status: u16,
    },
    /// The final response.
    Final(Response),
}

/// Judges the head of a response, and writes the one for the client to `output`.
#[inline(always)]
pub fn response(
    head: &ResponseHead<'_, '_>,
    output: &mut [u8],
    snapshot: &Snapshot,
    side: &ResponseSide<'_>,
) -> ResponseOutcome {
    let settings = &snapshot.settings;
    let head_length = head.length;
    // Interim responses are not for people who browse.
    let hsts = || snapshot.listener(side.listener).and_then(|listener| listener.hsts.as_deref());
    let hsts = if head.status < 200 { None } else { hsts() };
    let write = |connection, body_unframed, output: &mut [u8]| {
        let via = settings.via.as_deref();
        let rewrite = ResponseRewrite { connection, via, hsts, body_unframed };
        write_response(head, &rewrite, output)
    };
    // A backend must not change to a protocol that was not requested (RFC 9110 §7.8).
    let is_asked =
        |protocol| side.upgrade.is_some_and(|asked| is_protocol(protocol, &asked.protocol.0));
    match head.status {
        101 if head.upgrade.is_some_and(is_asked) => {
            switch(head_length, 101, write(ConnectionField::Upgrade, false, output))
        }
        status @ 200..=299 if side.upgrade.is_some() && head.version == Version::Http2 => {
            let written = write_accepted(head, output, settings.via.as_deref(), side);
            switch(head_length, status, written)
        }
        // The client would take it for the success of its extended CONNECT.
        200..=299 if side.upgrade.is_some() && side.version == Version::Http2 => {
            ResponseOutcome::Unexpected("it does not change to the protocol that was asked for")
        }
        101 => ResponseOutcome::Unexpected("it changes to a protocol that was not asked for"),
        100..=199 if side.version == Version::Http10 => {
            ResponseOutcome::Interim { head_length, written: 0 }
        }
        100..=199 => match write(ConnectionField::None, false, output) {
            Some(written) => ResponseOutcome::Interim { head_length, written },
            None => ResponseOutcome::Unexpected(HEAD_GROWS),
        },
        status @ 200..=299 if side.is_connect => {
            switch(head_length, status, write(ConnectionField::None, false, output))
        }
        status => {
            // HTTP/1.0 and HTTP/2 have no chunks, not even in a response that has no body to show
            // them.
            let is_unframed = side.version != Version::Http11 && head.is_chunked;
            let has_end = !(is_unframed && head.body == ResponseBody::Chunked);
            let keep_alive = side.keep_alive && has_end && head.body != ResponseBody::UntilClose;
            let connection = ConnectionField::of(keep_alive, side.version);
            match write(connection, is_unframed, output) {
                None => ResponseOutcome::Unexpected(HEAD_GROWS),
                Some(written) => ResponseOutcome::Final(Response {
                    head_length,
                    written,
                    status,
                    body: response_body(head, side.version),
                    keep_alive,
                    idle_max: idle_max(head),
                }),
            }
        }
    }
}

fn switch(head_length: usize, status: u16, written: Option<usize>) -> ResponseOutcome {
    match written {
        Some(written) => ResponseOutcome::Switch { head_length, written, status },
        None => ResponseOutcome::Unexpected(HEAD_GROWS),
    }
}

/// Writes the success of an extended CONNECT: 101 for a client of HTTP/1.1.
#[cold]
fn write_accepted(
    head: &ResponseHead<'_, '_>,
    output: &mut [u8],
    via: Option<&[u8]>,
    side: &ResponseSide<'_>,
) -> Option<usize> {
    if let (Version::Http11, Some(asked)) = (side.version, side.upgrade) {
        let accept = asked.websocket_accept.as_ref();
        return write_switch(head, &asked.protocol.0, accept, via, output);
    }
    let connection = ConnectionField::None;
    write_response(
        head,
        &ResponseRewrite { connection, via, hsts: None, body_unframed: false },
        output,
    )
}

/// See [`Response::idle_max`].
fn idle_max(head: &ResponseHead<'_, '_>) -> Option<Duration> {
    let idle_max = match head.idle_timeout {
        Some(timeout) => timeout.saturating_sub(IDLE_SPARE),
        None => Duration::MAX,
    };
    (head.keep_alive && !idle_max.is_zero()).then_some(idle_max)
}

fn response_body(head: &ResponseHead<'_, '_>, version: Version) -> Body {
    match head.body {
        ResponseBody::None => Body::ENDED,
        // Only in HTTP/1 does the length end a message: trailers may follow here.
        ResponseBody::Sized(bytes)
            if !(head.version == Version::Http2 && version == Version::Http2) =>
        {
            Body::Sized(bytes)
        }
        ResponseBody::Chunked | ResponseBody::Sized(_) => {
            let names = || join_names(head.named_by_connection());
            Body::Chunked(match version {
                Version::Http10 => ChunkedDecoder::stripping(),
                Version::Http11 => ChunkedDecoder::relaying(Peer::Backend, names()),
                Version::Http2 => ChunkedDecoder::unframing(Peer::Backend, names()),
            })
        }
        ResponseBody::UntilClose => Body::UntilClose,
    }
}
