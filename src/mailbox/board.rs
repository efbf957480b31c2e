//! Exchanges in flight, per shard and backend. Each shard writes its own row and reads the sum
//! of the others', slightly stale: that is how shards balance together without a lock (DESIGN:
//! near-global least-connections).

use crate::base::{BackendSlot, ShardId};
use crate::limits::BACKENDS_MAX;
use std::sync::atomic::{AtomicU32, Ordering};

/// A row per shard, a cell per backend. Rows are untouched memory until a backend is used.
pub struct InFlightBoard {
    rows: Vec<Box<[AtomicU32]>>,
}

impl InFlightBoard {
    /// A board of zeroes.
    pub fn new(shards: usize) -> Self {
        let row = || (0..BACKENDS_MAX).map(|_| AtomicU32::new(0)).collect();
        Self { rows: (0..shards).map(|_| row()).collect() }
    }

    /// Exchanges of one shard on one backend.
    pub fn own(&self, shard: ShardId, slot: BackendSlot) -> u32 {
        self.rows[shard.index()][slot.index()].load(Ordering::Relaxed)
    }

    /// Exchanges of all other shards on one backend.
    pub fn others(&self, shard: ShardId, slot: BackendSlot) -> u32 {
        let cell = |row: &[AtomicU32]| row[slot.index()].load(Ordering::Relaxed);
        let rows = self.rows.iter().enumerate();
        rows.filter(|(index, _)| *index != shard.index()).map(|(_, row)| cell(row)).sum()
    }

    /// Counts one more. Only `shard` itself may call this, so no read-modify-write is needed.
    pub fn begin(&self, shard: ShardId, slot: BackendSlot) {
        let cell = &self.rows[shard.index()][slot.index()];
        cell.store(cell.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Counts one less; see [`InFlightBoard::begin`].
    pub fn end(&self, shard: ShardId, slot: BackendSlot) {
        let cell = &self.rows[shard.index()][slot.index()];
        let count = cell.load(Ordering::Relaxed);
        debug_assert!(count > 0, "more exchanges ended than began on {slot:?}");
        cell.store(count.saturating_sub(1), Ordering::Relaxed);
    }

    /// Sets a shard's row to zero, when the shard has lost its sessions.
    pub fn reset(&self, shard: ShardId) {
        for cell in &self.rows[shard.index()] {
            if cell.load(Ordering::Relaxed) != 0 {
                cell.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Exchanges in flight over all shards on one backend.
    pub fn total(&self, slot: BackendSlot) -> u32 {
        self.rows.iter().map(|row| row[slot.index()].load(Ordering::Relaxed)).sum()
    }
}
