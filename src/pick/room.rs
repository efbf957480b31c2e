//! Whether a backend may get one more connection, where their number is limited over all shards.
//!
//! Does not: open or close connections.

use crate::base::{BackendSlot, Instant, ShardId};
use crate::mailbox::{Ledger, NO_LIMIT};
use std::cell::Cell;
use std::sync::Arc;

/// A backend.
#[derive(Clone, Default)]
struct Row {
    /// Most connections over all shards, or [`NO_LIMIT`].
    most: u32,
    /// Idle connections that may be claimed, as last looked at; how long ago, milliseconds.
    idle: Cell<u32>,
    idle_read_ms: Cell<u64>,
}

/// A place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It was free.
    Free,
    /// It is that of an idle connection of this shard, which has to be told to close it.
    Claimed(ShardId),
}

/// See the module.
pub(super) struct Rooms {
    shard: ShardId,
    ledger: Arc<Ledger>,
    now_ms: u64,
    rows: Vec<Row>,
}

impl Rooms {
    pub(super) fn new(shard: ShardId, ledger: Arc<Ledger>) -> Self {
        Self { shard, ledger, now_ms: 0, rows: Vec::new() }
    }

    /// Follows the limit of a backend; true if it had none before.
    pub(super) fn learn(&mut self, slot: BackendSlot, most: u32) -> bool {
        if self.rows.len() <= slot.index() {
            let unlimited = Row { most: NO_LIMIT, ..Row::default() };
            self.rows.resize(slot.index() + 1, unlimited);
        }
        let before = std::mem::replace(&mut self.rows[slot.index()].most, most);
        self.ledger.connections(self.shard, slot).follow(most);
        before == NO_LIMIT && most != NO_LIMIT
    }

    pub(super) fn set_now(&mut self, now: Instant) {
        self.now_ms = now.as_millis();
    }

    /// True if a backend has as many connections as it may have, and none of them is idle, as far
    /// as known. Idle ones of other shards are looked for at most once a millisecond.
    pub(super) fn is_full(&self, slot: BackendSlot) -> bool {
        let Some(row) = self.rows.get(slot.index()).filter(|row| row.most != NO_LIMIT) else {
            return false;
        };
        let has_place = self.ledger.connections(self.shard, slot).free(row.most) > 0;
        if has_place || self.ledger.tables(self.shard).backend(slot).idle.unclaimed() > 0 {
            return false;
        }
        if row.idle_read_ms.replace(self.now_ms) != self.now_ms {
            row.idle.set(self.ledger.backends(slot).map(|cell| cell.idle.unclaimed()).sum());
        }
        row.idle.get() == 0
    }

    /// Takes a place for a connection to a backend; none if it has as many as it may have, and none
    /// of them is idle.
    pub(super) fn take(&self, slot: BackendSlot) -> Option<Place> {
        let row = self.rows.get(slot.index());
        let quota = self.ledger.connections(self.shard, slot);
        if quota.take(row.map_or(NO_LIMIT, |row| row.most)) {
            return Some(Place::Free);
        }
        match self.ledger.claim_idle(self.shard, slot) {
            Some(holder) => {
                // One more than there may be, until the holder has closed the idle one.
                quota.take_anyway();
                Some(Place::Claimed(holder))
            }
            None => {
                if let Some(row) = row {
                    row.idle_read_ms.set(self.now_ms);
                    row.idle.set(0);
                }
                None
            }
        }
    }
}
