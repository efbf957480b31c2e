//! What a connection reports.

use super::error::{ErrorCode, Fault};
use super::frame::StreamId;
use super::guard::Flood;
use crate::head::Refusal;
use std::ops::Range;

/// What has been received. A stream of which one of the first three events told counts until the
/// caller calls [`super::Connection::finished`], whatever else happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request; its head is [`crate::head::RequestHead::of_section`].
    Request {
        /// Its stream.
        stream: StreamId,
        /// It has no body.
        is_last: bool,
    },
    /// The head of a response to one of our requests, interim or final; it is
    /// [`crate::head::ResponseHead::of_section`].
    Response {
        /// Its stream.
        stream: StreamId,
        /// It has no body.
        is_last: bool,
    },
    /// A request, or the trailers of one, beyond the limits. The answer is the refusal's status.
    Refused {
        /// Its stream.
        stream: StreamId,
        /// The reason.
        refusal: Refusal,
        /// The client has ended the stream.
        is_last: bool,
    },
    /// DATA, or a piece of it.
    Data {
        /// Its stream.
        stream: StreamId,
        /// Its place in the bytes that were given to [`super::Connection::receive`]. Their credit
        /// comes back by [`super::Connection::release`].
        range: Range<usize>,
        /// The peer has ended the stream.
        is_last: bool,
    },
    /// Trailers, which end the stream; they are [`super::Trailers::of_section`].
    Trailers {
        /// Their stream.
        stream: StreamId,
    },
    /// The peer has reset a stream, or does not process it: REFUSED_STREAM. What was received of it
    /// before is valid.
    Reset {
        /// The stream.
        stream: StreamId,
        /// The peer's code.
        code: ErrorCode,
        /// The peer had ended its message: with NO_ERROR it is a success (RFC 9113 §8.1).
        is_complete: bool,
    },
    /// A stream was reset for a fault of the peer. What was received of it is not to be trusted.
    Broken {
        /// The stream.
        stream: StreamId,
        /// The fault.
        fault: Fault,
    },
    /// A stream was reset before it told of anything: a malformed request, or one too many. It does
    /// not count.
    Rejected {
        /// The stream.
        stream: StreamId,
        /// The fault.
        fault: Fault,
    },
    /// The answer to [`super::Connection::ping`].
    Pong,
    /// The peer ends the connection: it takes no new streams. Those that it does not process are
    /// reported behind this.
    GoAway {
        /// The peer's code.
        code: ErrorCode,
    },
    /// A flood has begun to drain the connection, as [`super::Connection::drain`] does.
    Draining {
        /// The flood.
        flood: Flood,
    },
    /// The connection was ended for a fault of the peer. GOAWAY is in the output; nothing more is
    /// read.
    Closed {
        /// The fault.
        fault: Fault,
    },
}

const _: () = assert!(size_of::<Event>() <= 40, "one is returned for each call");
