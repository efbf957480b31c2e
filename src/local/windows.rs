//! By how much the receive windows of a shard's connections of HTTP/2 have grown: what a peer may
//! send, somebody may leave unread, so all of it together is bounded.

use crate::limits::HTTP2_GROWTH_BYTES_MAX;

/// See the module.
#[derive(Debug, Default)]
pub struct Windows {
    grown: u32,
}

impl Windows {
    /// Bytes by which windows may still grow; none while buffers are low.
    pub fn room(&self, buffers_low: bool) -> u32 {
        if buffers_low { 0 } else { HTTP2_GROWTH_BYTES_MAX.saturating_sub(self.grown) }
    }

    /// The window of a connection that had grown by `before` bytes has now grown by `after`.
    pub fn change(&mut self, before: u32, after: u32) {
        self.grown = self.grown + after - before;
    }
}
