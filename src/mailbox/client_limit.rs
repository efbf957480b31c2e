//! Connections and flows per client address over all shards, for `max_connections_per_client` and
//! `max_flows_per_client`.
//!
//! Each is a count-min sketch, fixed memory, no lock, in which every shard counts, so that one
//! costs four cells whatever the number of shards. Two addresses are only counted together if they
//! share a cell in both rows; the count is never too low, and too high once in tens of thousands of
//! addresses, for flows once in a thousand while there are ten thousand.

use super::line::touch;
use crate::base::{ListenerId, ShardId};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

const CELLS: usize = 1 << 14;
const CELLS_OF_FLOWS: usize = 1 << 18;

type Rows = [Box<[AtomicU32]>; 2];

fn rows(cells: usize) -> Rows {
    [(); 2].map(|()| (0..cells).map(|_| AtomicU32::new(0)).collect())
}

/// Counts by the hash of something.
struct Sketch {
    // Secret keys: a client must not be able to choose the addresses it is counted with.
    keys: [RandomState; 2],
    total: Rows,
}

impl Sketch {
    fn new(cells: usize) -> Self {
        Self { keys: [RandomState::new(), RandomState::new()], total: rows(cells) }
    }

    fn places(&self, what: impl Hash) -> [usize; 2] {
        [0, 1].map(|row| self.keys[row].hash_one(&what) as usize % self.total[row].len())
    }

    fn cells(&self, places: [usize; 2]) -> [&AtomicU32; 2] {
        [0, 1].map(|row| touch(&self.total[row][places[row]]))
    }

    fn count(&self, places: [usize; 2]) -> u32 {
        let [one, other] = self.cells(places).map(|cell| cell.load(Ordering::SeqCst));
        one.min(other)
    }

    /// Counts one more, unless there are `limit`. Never too many over all shards; sometimes one too
    /// few for a moment.
    fn admit(&self, places: [usize; 2], limit: u32) -> bool {
        // So that a client that keeps trying writes to no line.
        if self.count(places) >= limit {
            return false;
        }
        // Counted first and read then, in one order for all shards: of two that admit a client at
        // the same moment, one sees the other in both rows; each may, and then both refuse.
        for cell in self.cells(places) {
            cell.fetch_add(1, Ordering::SeqCst);
        }
        let is_admitted = self.count(places) <= limit;
        if !is_admitted {
            self.leave(places);
        }
        is_admitted
    }

    fn leave(&self, places: [usize; 2]) {
        for cell in self.cells(places) {
            cell.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The counts of connections; empty, and free, where no limit is configured. Beside the sketch of
/// the process there is one for each shard, which is taken off when the shard panics.
pub struct ClientCounts {
    limit: u32,
    sketch: Sketch,
    /// By shard; only the shard writes to its own.
    shards: Vec<Rows>,
}

impl ClientCounts {
    /// Counts for `shards` shards; `limit` 0 means no limit.
    pub fn new(shards: usize, limit: u32) -> Self {
        let (shards, cells) = if limit == 0 { (0, 0) } else { (shards, CELLS) };
        let shards = (0..shards).map(|_| rows(cells)).collect();
        Self { limit, sketch: Sketch::new(cells), shards }
    }

    /// Counts a connection of `client` to `shard`, unless the client has as many as it may.
    pub fn admit(&self, shard: ShardId, client: IpAddr) -> bool {
        if self.limit == 0 {
            return true;
        }
        let places = self.sketch.places(client);
        if !self.sketch.admit(places, self.limit) {
            return false;
        }
        for (row, place) in places.into_iter().enumerate() {
            let own = &self.shards[shard.index()][row][place];
            own.store(own.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        true
    }

    /// Takes a connection of `client` off the count of `shard`, which admitted it.
    pub fn leave(&self, shard: ShardId, client: IpAddr) {
        if self.limit == 0 {
            return;
        }
        let places = self.sketch.places(client);
        let cells = self.sketch.cells(places);
        for ((row, place), cell) in places.into_iter().enumerate().zip(cells) {
            let own = &self.shards[shard.index()][row][place];
            let count = own.load(Ordering::Relaxed);
            if count > 0 {
                own.store(count - 1, Ordering::Relaxed);
                cell.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    /// Takes all connections of a shard off, when it has lost its sessions.
    pub fn reset(&self, shard: ShardId) {
        let Some(rows) = self.shards.get(shard.index()) else { return };
        for (own, total) in rows.iter().flatten().zip(self.sketch.total.iter().flatten()) {
            total.fetch_sub(own.swap(0, Ordering::Relaxed), Ordering::SeqCst);
        }
    }
}

/// The counts of flows, by their listener too; made when the first is counted.
#[derive(Default)]
pub struct FlowCounts(OnceLock<Sketch>);

impl FlowCounts {
    /// Counts a flow of `client`, unless it has `limit` on this listener. If true, the flow is
    /// counted until [`FlowCounts::leave`].
    pub fn admit(&self, listener: ListenerId, client: IpAddr, limit: u32) -> bool {
        let sketch = self.0.get_or_init(|| Sketch::new(CELLS_OF_FLOWS));
        sketch.admit(sketch.places((listener.0, client)), limit)
    }

    /// Takes off a flow that was counted.
    pub fn leave(&self, listener: ListenerId, client: IpAddr) {
        if let Some(sketch) = self.0.get() {
            sketch.leave(sketch.places((listener.0, client)));
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
        assert!(counts.shards.is_empty() && counts.sketch.total.iter().all(|row| row.is_empty()));
    }

    #[test]
    fn the_connections_of_a_shard_that_panicked_count_no_more() {
        let counts = ClientCounts::new(2, 4);
        let client = IpAddr::from([192, 0, 2, 1]);
        assert!([0, 0, 0, 1].map(ShardId).into_iter().all(|shard| counts.admit(shard, client)));
        counts.reset(ShardId(0));
        assert_eq!(counts.sketch.count(counts.sketch.places(client)), 1);
        let admitted = (0..9).filter(|_| counts.admit(ShardId(1), client)).count();
        assert_eq!(admitted, 3);
        counts.leave(ShardId(0), client);
        assert_eq!(counts.sketch.count(counts.sketch.places(client)), 4);
    }

    #[test]
    fn shards_that_admit_a_client_at_the_same_moment_are_not_over_its_limit_together() {
        const LIMIT: u32 = 2;
        let counts = &ClientCounts::new(4, LIMIT);
        let (open, admitted) = (&AtomicU32::new(0), &AtomicU32::new(0));
        let client = IpAddr::from([192, 0, 2, 1]);
        std::thread::scope(|scope| {
            for shard in (0..4).map(ShardId) {
                scope.spawn(move || {
                    for _ in 0..50_000 {
                        if counts.admit(shard, client) {
                            let now = open.fetch_add(1, Ordering::SeqCst) + 1;
                            assert!(now <= LIMIT, "{now} of {LIMIT}");
                            admitted.fetch_add(1, Ordering::Relaxed);
                            open.fetch_sub(1, Ordering::SeqCst);
                            counts.leave(shard, client);
                        }
                    }
                });
            }
        });
        assert!(admitted.load(Ordering::Relaxed) > 0);
        assert_eq!(counts.sketch.count(counts.sketch.places(client)), 0);
    }

    #[test]
    fn flows_are_counted_by_client_and_listener_and_a_limit_may_change() {
        let counts = FlowCounts::default();
        let [one, other] = [1, 2].map(|n| IpAddr::from([192, 0, 2, n]));
        let [dns, game] = [ListenerId(0), ListenerId(1)];
        counts.leave(dns, one);
        let admitted = |listener, client, limit| {
            (0..9).filter(|_| counts.admit(listener, client, limit)).count()
        };
        assert_eq!(admitted(dns, one, 3), 3);
        assert_eq!((admitted(dns, other, 1), admitted(game, one, 2)), (1, 2));
        assert_eq!(admitted(dns, one, 5), 2);
        (0..3).for_each(|_| counts.leave(dns, one));
        assert_eq!((admitted(dns, one, 1), admitted(dns, one, 4)), (0, 2));
    }
}
