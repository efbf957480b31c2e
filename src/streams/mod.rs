//! What streams of HTTP/2 have in common on the sides of clients and of backends: exchanges take
//! and give bodies in the framing of HTTP/1, and many frames go into one buffer, and so into one
//! send.
//!
//! `framing` turns DATA and trailers into that framing and back, `filling` fills buffers with
//! frames.
//!
//! Does not: know an exchange, or the side that a stream is of.

mod filling;
mod framing;

pub use filling::{Sending, fill_buffer, room_for};
pub use framing::{Framing, keep_content, keep_trailers, send_trailers};

/// Content of all streams of a connection that waits for the windows, bytes, beyond which each
/// stream may have little.
pub const QUEUED_HIGH: u64 = 512 * 1024;

/// Bytes of heads and control frames that wait to be sent, beyond which no more frames are read.
pub const OUTPUT_HIGH: usize = 64 * 1024;

/// Buffers that wait to be sent, beyond which DATA waits in its stream.
pub const FILLED_MAX: u32 = 4;
