//! What streams of HTTP/2 have in common on the sides of clients and of backends: exchanges take
//! and give bodies in the framing of HTTP/1, and many frames go into one buffer, and so into one
//! send.
//!
//! `framing` turns DATA and trailers into that framing and back, `inbound` is what waits of a body
//! that is received, `filling` fills buffers with frames.
//!
//! Does not: know an exchange, or the side that a stream is of.

mod filling;
mod framing;
mod inbound;

pub use filling::{Sending, fill_buffer, room_for};
pub use framing::{Framing, send_trailers};
pub use inbound::{Inbound, Part, content_of, next_event};

use crate::link::{Chain, OUTBOX_HIGH, OUTBOX_HIGH_WHEN_LOW, OUTBOX_LOW};

/// Content of all streams of a connection that waits for the windows, bytes, beyond which each
/// stream may have little.
const QUEUED_HIGH: u64 = 512 * 1024;

/// Bytes of heads and control frames that wait to be sent, beyond which no more frames are read.
pub const OUTPUT_HIGH: usize = 64 * 1024;

/// Buffers that wait to be sent, beyond which DATA waits in its stream.
pub const FILLED_MAX: u32 = 4;

/// True if so much of a stream waits for the windows that its source should be paused. `queued`:
/// bytes that wait on all streams of the connection; `is_low`: buffers are.
pub fn is_congested(outbox: &Chain, queued: u64, is_low: bool) -> bool {
    let high = match is_low || queued >= QUEUED_HIGH {
        true => OUTBOX_HIGH_WHEN_LOW,
        false => OUTBOX_HIGH,
    };
    outbox.len() >= high
}

/// True if the source of what waits may be resumed.
pub fn has_room(outbox: &Chain, queued: u64, is_low: bool) -> bool {
    let low = if is_low || queued >= QUEUED_HIGH { 0 } else { OUTBOX_LOW };
    outbox.len() <= low
}
