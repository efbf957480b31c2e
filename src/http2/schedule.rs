//! Which stream sends next (RFC 9218 §10).
//!
//! The smallest urgency first; within it in turns. An incremental stream gives its turn to the next
//! one after each frame. Another keeps it until it has sent all that it has, or its share of bytes:
//! most clients state nothing, and an endless response must not starve their other ones.

use super::frame::StreamId;
use super::stream::{Sending, Stream, Streams};
use crate::limits::{HTTP2_FRAME_BYTES_MAX, HTTP2_TURN_BYTES};

/// The order of turns.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    next_turn: u64,
}

/// What a stream sends next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) stream: StreamId,
    pub(super) bytes: u32,
    pub(super) is_last: bool,
}

impl Schedule {
    /// Puts a stream behind all others of its urgency.
    pub(super) fn enqueue(&mut self, stream: &mut Stream) {
        stream.turn = self.next_turn;
        stream.sent_in_turn = 0;
        self.next_turn += 1;
    }

    /// The stream that sends next, and how many bytes, if the connection's window allows `window`
    /// and the caller takes `max`. Counts them on the stream.
    pub(super) fn next(&mut self, streams: &mut Streams, window: u32, max: u32) -> Option<Share> {
        let max = max.min(HTTP2_FRAME_BYTES_MAX as u32);
        let window = window.min(max);
        let sends = |stream: &&mut Stream| stream.sendable(window).is_some();
        let order = |stream: &&mut Stream| (stream.priority.urgency, stream.turn);
        let stream = streams.iter_mut().filter(sends).min_by_key(order)?;
        let bytes = stream.sendable(window)?;
        stream.queued -= u64::from(bytes);
        stream.send_window.spend(bytes);
        stream.sent_in_turn = stream.sent_in_turn.saturating_add(bytes);
        let is_last = stream.queued == 0 && stream.sending == Sending::Ending;
        if is_last {
            stream.sending = Sending::Ended;
        }
        if stream.priority.is_incremental || stream.sent_in_turn >= HTTP2_TURN_BYTES {
            self.enqueue(stream);
        }
        Some(Share { stream: stream.id, bytes, is_last })
    }
}
