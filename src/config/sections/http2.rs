//! `[http2]`: limits of HTTP/2 towards clients.

use crate::config::keys::kinds::{count, duration, size};
use crate::config::keys::{Part, keys, section};
use crate::config::values::parse_span;
use crate::http2::{FLOOD_LIMIT_MAX, FloodLimits};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Streams of one connection. More would only wait: no client has use for them.
const STREAMS_RANGE: RangeInclusive<u32> = 1..=1_000;

/// Bytes of a window. The least is what every client may send before it has read our settings.
const WINDOW_RANGE: RangeInclusive<u32> = 64 * 1024..=16 * 1024 * 1024;

/// A browser cancels a dozen streams when its user goes on: fewer are no flood.
const FLOOD_RANGE: RangeInclusive<u32> = 20..=FLOOD_LIMIT_MAX;

section! {
    /// `[http2]`: limits of HTTP/2 towards clients.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Http2 {
        /// Streams of one connection at a time.
        max_concurrent_streams: u32 = 100 => count(STREAMS_RANGE),
        /// Bytes of a request's body that a client may send before the backend has taken them.
        stream_window: u32 = 64 * 1024 => size(WINDOW_RANGE),
        /// The same over all streams of a connection.
        connection_window: u32 = 1024 * 1024 => size(WINDOW_RANGE),
        /// A connection that is so old is drained; zero: at no age.
        max_age: Duration = Duration::ZERO => duration(parse_span),
        /// Bounds of what makes work and has no use.
        floods: FloodLimits = FloodLimits::default() => Part,
    }
}

keys! {
    FloodLimits {
        max_resets: resets => count(FLOOD_RANGE),
        max_pings: pings => count(FLOOD_RANGE),
        max_settings: settings => count(FLOOD_RANGE),
        max_window_updates: window_updates => count(FLOOD_RANGE),
        max_empty_frames: empty_frames => count(FLOOD_RANGE),
        max_continuations: continuations => count(FLOOD_RANGE),
        max_ignored_frames: ignored_frames => count(FLOOD_RANGE),
        max_oversized_heads: oversized_heads => count(FLOOD_RANGE),
    }
}
