//! A shard's replica of the pools: a picker for each, and for each backend what this shard knows
//! of it. The counts of the other shards are read again at most once a millisecond, and only for
//! backends that are candidates.

use crate::balance::{Candidate, Load, Picker};
use crate::base::{BackendSlot, Instant, PoolId, Prng, ShardId};
use crate::mailbox::InFlightBoard;
use crate::snapshot::{Backend, Pool, Snapshot};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a backend that refused a connection is left alone.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

struct Replica {
    pool: Arc<Pool>,
    picker: Picker,
}

/// What the shard knows of a backend's load.
#[derive(Clone, Copy)]
struct Row {
    address: SocketAddr,
    idle_max: u32,
    others: u32,
    others_read_ms: u64,
}

/// The load of the backends as this shard sees it.
struct View {
    shard: ShardId,
    board: Arc<InFlightBoard>,
    now_ms: u64,
    rows: Vec<Option<Row>>,
}

/// See the module.
pub struct Replicas {
    pools: Vec<Option<Replica>>,
    view: View,
    /// By slot: until when a backend that refused a connection is left alone.
    refused_until: Vec<Instant>,
}

impl Replicas {
    /// Without pools, until the first snapshot.
    pub fn new(shard: ShardId, board: Arc<InFlightBoard>) -> Self {
        let view = View { shard, board, now_ms: 0, rows: Vec::new() };
        Self { pools: Vec::new(), view, refused_until: Vec::new() }
    }

    /// Takes the pools of a snapshot. What is known of backends that stay is kept, and so is the
    /// phase of pickers whose pools did not change.
    pub fn take(&mut self, snapshot: &Snapshot, prng: &mut Prng) {
        let mut old = std::mem::take(&mut self.pools);
        old.resize_with(snapshot.pools.len(), || None);
        for (pool, was) in snapshot.pools.iter().zip(old) {
            let replica = pool.as_ref().map(|pool| self.replica(pool, was, prng));
            self.pools.push(replica);
        }
        self.refused_until.resize(self.view.rows.len(), Instant::default());
    }

    fn replica(&mut self, pool: &Arc<Pool>, was: Option<Replica>, prng: &mut Prng) -> Replica {
        let candidate =
            |backend: &Backend| Candidate { slot: backend.slot, weight: backend.weight };
        let candidates: Vec<Candidate> = pool.backends.iter().map(candidate).collect();
        let picker = match was {
            Some(was) if was.pool.algorithm == pool.algorithm => {
                was.picker.succeed(&candidates, prng)
            }
            _ => Picker::new(pool.algorithm, &candidates, prng),
        };
        for backend in &pool.backends {
            self.view.learn(backend, pool.idle_connections_per_shard);
        }
        Replica { pool: pool.clone(), picker }
    }

    /// The backend for the next exchange of a pool; none if none can be used. `tried` are those
    /// that this exchange has failed on.
    pub fn pick(
        &mut self,
        pool: PoolId,
        tried: &[BackendSlot],
        now: Instant,
        prng: &mut Prng,
    ) -> Option<(BackendSlot, SocketAddr)> {
        let replica = self.pools.get_mut(pool.index())?.as_mut()?;
        let refused_until = &self.refused_until;
        let usable =
            |slot: BackendSlot| !tried.contains(&slot) && refused_until[slot.index()] <= now;
        self.view.now_ms = now.as_millis();
        let slot = replica.picker.pick(&mut self.view, usable, prng)?;
        Some((slot, self.view.rows[slot.index()]?.address))
    }

    /// Number of backends of a pool.
    pub fn backends(&self, pool: PoolId) -> usize {
        let replica = self.pools.get(pool.index()).and_then(Option::as_ref);
        replica.map_or(0, |replica| replica.pool.backends.len())
    }

    /// The address of a backend.
    pub fn address(&self, slot: BackendSlot) -> Option<SocketAddr> {
        Some((*self.view.rows.get(slot.index())?)?.address)
    }

    /// Takes note that a backend did not accept a connection.
    pub fn refused(&mut self, slot: BackendSlot, now: Instant) {
        self.refused_until[slot.index()] = now + REFUSAL_PAUSE;
    }

    /// Counts an exchange in.
    pub fn begin(&mut self, slot: BackendSlot) {
        self.view.board.begin(self.view.shard, slot);
    }

    /// Counts an exchange out.
    pub fn end(&mut self, slot: BackendSlot) {
        self.view.board.end(self.view.shard, slot);
    }

    /// Idle connections to a backend that this shard may keep.
    pub fn idle_max(&self, slot: BackendSlot) -> u32 {
        self.view.rows[slot.index()].map_or(0, |row| row.idle_max)
    }
}

impl View {
    fn learn(&mut self, backend: &Backend, idle_max: u32) {
        let index = backend.slot.index();
        if self.rows.len() <= index {
            self.rows.resize(index + 1, None);
        }
        let address = backend.address;
        self.rows[index] = Some(Row { address, idle_max, others: 0, others_read_ms: 0 });
    }
}

impl Load for View {
    fn in_flight(&mut self, slot: BackendSlot) -> u32 {
        let own = self.board.own(self.shard, slot);
        let Some(row) = &mut self.rows[slot.index()] else { return own };
        if row.others_read_ms != self.now_ms {
            row.others_read_ms = self.now_ms;
            row.others = self.board.others(self.shard, slot);
        }
        own + row.others
    }
}
