//! Connections per client address over all shards, for `max_connections_per_client`.
//!
//! A count-min sketch with a row pair per shard: single-writer cells, no lock, fixed memory. Two
//! addresses are only counted together if they share a cell in both rows; the count is never too
//! low, and too high once in tens of thousands of addresses.

use crate::base::ShardId;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

const CELLS: usize = 1 << 14;

/// The counts; empty, and free, where no limit is configured.
pub struct ClientCounts {
    limit: u32,
    // Secret keys: a client must not be able to choose the addresses it is counted with.
    keys: [RandomState; 2],
    rows: Vec<[Box<[AtomicU32]>; 2]>,
}

impl ClientCounts {
    /// Counts for `shards` shards; `limit` 0 means no limit.
    pub fn new(shards: usize, limit: u32) -> Self {
        let cells = || (0..CELLS).map(|_| AtomicU32::new(0)).collect();
        let shards = if limit == 0 { 0 } else { shards };
        let rows = (0..shards).map(|_| [cells(), cells()]).collect();
        Self { limit, keys: [RandomState::new(), RandomState::new()], rows }
    }

    /// Counts a connection of `client` to `shard`, unless the client has as many as it may.
    pub fn admit(&self, shard: ShardId, client: IpAddr) -> bool {
        if self.limit == 0 {
            return true;
        }
        let places = self.places(client);
        let sum = |row: usize| -> u32 {
            let cell =
                |rows: &[Box<[AtomicU32]>; 2]| rows[row][places[row]].load(Ordering::Relaxed);
            self.rows.iter().map(cell).sum()
        };
        if sum(0).min(sum(1)) >= self.limit {
            return false;
        }
        self.change(shard, places, |count| count + 1);
        true
    }

    /// Takes a connection of `client` off the count of `shard`, which admitted it.
    pub fn leave(&self, shard: ShardId, client: IpAddr) {
        if self.limit > 0 {
            self.change(shard, self.places(client), |count| count.saturating_sub(1));
        }
    }

    /// Sets the counts of a shard to zero, when it has lost its sessions.
    pub fn reset(&self, shard: ShardId) {
        for row in self.rows.get(shard.index()).into_iter().flatten() {
            row.iter().for_each(|cell| cell.store(0, Ordering::Relaxed));
        }
    }

    fn places(&self, client: IpAddr) -> [usize; 2] {
        [0, 1].map(|row| self.keys[row].hash_one(client) as usize % CELLS)
    }

    fn change(&self, shard: ShardId, places: [usize; 2], by: impl Fn(u32) -> u32) {
        for (row, place) in places.into_iter().enumerate() {
            let cell = &self.rows[shard.index()][row][place];
            cell.store(by(cell.load(Ordering::Relaxed)), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_is_limited_over_all_shards_and_another_is_not() {
        let counts = ClientCounts::new(4, 8);
        let (greedy, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let admitted = (0..20).filter(|n| counts.admit(ShardId(n % 4), greedy)).count();
        assert_eq!(admitted, 8);
        assert!(counts.admit(ShardId(0), other));
        counts.leave(ShardId(2), greedy);
        assert!(counts.admit(ShardId(1), greedy));
        assert!(!counts.admit(ShardId(1), greedy));
    }

    #[test]
    fn no_limit_admits_everybody_and_costs_nothing() {
        let counts = ClientCounts::new(4, 0);
        assert!((0..10_000).all(|_| counts.admit(ShardId(0), IpAddr::from([192, 0, 2, 1]))));
        assert!(counts.rows.is_empty());
    }
}
