//! The sizes of one shard's engine.

use crate::limits::BUFFERS_PER_SHARD_MIN;

/// The sizes of one shard's engine.
#[derive(Clone, Copy, Debug)]
pub struct UringOptions {
    /// Submission queue entries; the completion queue is four times as long.
    pub ring_entries: u32,
    /// Buffers in the receive ring, rounded up to a power of two, at most 32,768.
    pub receive_buffers: usize,
    /// Bytes of every buffer.
    pub buffer_size: usize,
    /// Most private buffers, for bytes that the proxy writes itself.
    pub private_buffers_max: usize,
}

impl UringOptions {
    /// The same options for this many ring entries, in proportion.
    pub(super) fn shrunk_to(&self, entries: u32) -> Self {
        let halvings = self.ring_entries.next_power_of_two().ilog2() - entries.ilog2();
        let receive_buffers = (self.receive_buffers >> halvings).max(BUFFERS_PER_SHARD_MIN);
        Self { ring_entries: entries, receive_buffers, ..*self }
    }
}
