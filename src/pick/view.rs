//! The load of the backends as one shard sees it: its own exchanges exactly, the last published
//! counts of the other shards, and a penalty for backends that fail. The others' counts are read
//! again at most once a millisecond, and only for backends that are candidates.

use crate::balance::Load;
use crate::base::{BackendSlot, Instant, ShardId};
use crate::mailbox::{BackendCell, Ledger, NO_LIMIT, Tables};
use crate::snapshot::{Backend, Pool};
use std::net::SocketAddr;
use std::sync::Arc;

/// How long a failure weighs on a backend, milliseconds, as in Linkerd's load biaser.
const PENALTY_MS: u64 = 5_000;
/// Most failures that count at the same moment. Each counts as much as an exchange in flight on the
/// lightest backend of the pool, for its weight: if all fail alike, shares stay as they are.
const PENALTY_MAX: u32 = 64;

/// The shard's state of a backend.
#[derive(Clone, Copy)]
struct Row {
    address: SocketAddr,
    idle_max: u32,
    /// The number of its connections is limited.
    is_limited: bool,
    /// The weight of one failure.
    penalty_unit: u32,
    others: u32,
    others_read_ms: u64,
    penalty: u32,
    penalty_until_ms: u64,
    /// It gets no more traffic. If it returns, its state starts anew.
    has_left: bool,
}

/// See the module.
pub(super) struct View {
    shard: ShardId,
    ledger: Arc<Ledger>,
    /// The tables of this shard.
    tables: Arc<Tables>,
    now_ms: u64,
    rows: Vec<Option<Row>>,
}

impl View {
    pub(super) fn new(shard: ShardId, ledger: Arc<Ledger>) -> Self {
        let tables = ledger.tables(shard).clone();
        Self { shard, ledger, tables, now_ms: 0, rows: Vec::new() }
    }

    pub(super) fn shard(&self) -> ShardId {
        self.shard
    }

    /// Slots up to the highest known one.
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn set_now(&mut self, now: Instant) {
        self.now_ms = now.as_millis();
    }

    pub(super) fn address(&self, slot: BackendSlot) -> Option<SocketAddr> {
        Some(self.rows.get(slot.index())?.as_ref()?.address)
    }

    #[inline]
    pub(super) fn is_serving(&self, slot: BackendSlot) -> bool {
        self.rows[slot.index()].is_some_and(|row| !row.has_left)
    }

    /// Idle connections that this shard may keep, and whether another one may claim them.
    pub(super) fn idle(&self, slot: BackendSlot) -> (u32, bool) {
        self.rows[slot.index()].map_or((0, false), |row| (row.idle_max, row.is_limited))
    }

    /// The counts of this shard for a backend.
    pub(super) fn cell(&self, slot: BackendSlot) -> &BackendCell {
        self.tables.backend(slot)
    }

    /// Adds or updates a backend; its state is kept if it is the same as before and has not been
    /// away. True if nothing was kept.
    pub(super) fn learn(&mut self, backend: &Backend, pool: &Pool, lightest: u32) -> bool {
        let index = backend.slot.index();
        let (shards, is_limited) = (self.ledger.shards(), pool.connections_max != NO_LIMIT);
        let idle_max = idle_share(pool.idle_connections, shards, self.shard, backend.slot);
        if self.rows.len() <= index {
            self.rows.resize(index + 1, None);
        }
        let address = backend.address;
        let penalty_unit = (backend.weight / lightest.max(1)).max(1);
        match &mut self.rows[index] {
            Some(row) if row.address == address && !row.has_left => {
                row.idle_max = idle_max;
                row.is_limited = is_limited;
                row.penalty_unit = penalty_unit;
                false
            }
            row => {
                *row = Some(Row {
                    address,
                    idle_max,
                    is_limited,
                    penalty_unit,
                    others: 0,
                    others_read_ms: 0,
                    penalty: 0,
                    penalty_until_ms: 0,
                    has_left: false,
                });
                true
            }
        }
    }

    /// Removes a backend from traffic: none of its connections is kept once it is unused.
    pub(super) fn leave(&mut self, slot: BackendSlot) {
        if let Some(Some(row)) = self.rows.get_mut(slot.index()) {
            row.idle_max = 0;
            row.has_left = true;
        }
    }

    pub(super) fn penalise(&mut self, slot: BackendSlot, now: Instant) {
        let Some(Some(row)) = self.rows.get_mut(slot.index()) else { return };
        let now_ms = now.as_millis();
        let before = if row.penalty_until_ms > now_ms { row.penalty } else { 0 };
        row.penalty = (before + 1).min(PENALTY_MAX);
        row.penalty_until_ms = now_ms + PENALTY_MS;
    }
}

/// Idle connections to a backend that one of `shards` shards may keep: never more than `in_total`
/// over all of them. If they do not divide, each backend begins with another shard, so that with
/// fewer connections than shards no shard is left with none for all backends.
fn idle_share(in_total: u32, shards: usize, shard: ShardId, slot: BackendSlot) -> u32 {
    let shards = shards as u32;
    let first = slot.0 % shards;
    let turn = (u32::from(shard.0) + shards - first) % shards;
    in_total / shards + u32::from(turn < in_total % shards)
}

impl Load for View {
    fn in_flight(&mut self, slot: BackendSlot) -> u32 {
        let own = self.tables.backend(slot).in_flight.read();
        let Some(row) = &mut self.rows[slot.index()] else { return own };
        if row.others_read_ms != self.now_ms {
            row.others_read_ms = self.now_ms;
            row.others = self.ledger.others_in_flight(self.shard, slot);
        }
        let penalty = if row.penalty_until_ms > self.now_ms { row.penalty } else { 0 };
        own + row.others + penalty * row.penalty_unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_together_keep_as_many_idle_connections_as_are_asked_for_and_no_more() {
        for shards in [1, 2, 3, 16, 256] {
            for in_total in [0, 1, 5, 16, 17, 512, 65_535] {
                for slot in [0, 1, 15, 16, 4_000].map(BackendSlot) {
                    let of = |shard| idle_share(in_total, shards, ShardId(shard), slot);
                    let shares: Vec<u32> = (0..shards as u16).map(of).collect();
                    assert_eq!(shares.iter().sum::<u32>(), in_total, "{shards} shards");
                    let (least, most) = (shares.iter().min(), shares.iter().max());
                    assert!(most.unwrap() - least.unwrap() <= 1, "{shares:?}");
                }
            }
        }
        let keeps =
            |slot| (0..16).find(|shard| idle_share(1, 16, ShardId(*shard), BackendSlot(slot)) == 1);
        assert_ne!(keeps(0), keeps(1), "one shard keeps the connections to all backends");
    }
}
