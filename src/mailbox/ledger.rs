//! The counts of each shard per backend, pool, route and listener. Each shard writes its own tables
//! and reads the sum of the others' exchanges in flight, slightly stale: that is how shards
//! balance together without a lock. The coordinator reads all tables.
//!
//! Does not: count events of no backend, pool, route or listener (see `stats`).

use super::quota::{Quota, Sum};
use super::tables::{BackendCell, ListenerCell, PoolCell, RouteCell, Table};
use crate::base::{BackendSlot, ListenerId, PoolId, RouteId, ShardId};
use crate::limits::{BACKENDS_MAX, LISTENERS_MAX, POOLS_MAX, ROUTES_MAX};
use std::sync::Arc;

/// The tables of all shards.
pub struct Ledger {
    shards: Vec<Arc<Tables>>,
    /// The sessions of each listener over all shards.
    sessions: Table<Sum>,
    /// The connections to each backend over all shards.
    connections: Table<Sum>,
}

/// The tables of one shard: only it may write to them.
pub struct Tables {
    backends: Table<BackendCell>,
    pools: Table<PoolCell>,
    routes: Table<RouteCell>,
    listeners: Table<ListenerCell>,
}

impl Tables {
    fn new() -> Self {
        Self {
            backends: Table::new(BACKENDS_MAX),
            pools: Table::new(POOLS_MAX),
            routes: Table::new(ROUTES_MAX),
            listeners: Table::new(LISTENERS_MAX),
        }
    }

    /// The row of a backend.
    #[inline]
    pub fn backend(&self, slot: BackendSlot) -> &BackendCell {
        self.backends.at(slot.index())
    }

    /// The row of a pool.
    #[inline]
    pub fn pool(&self, pool: PoolId) -> &PoolCell {
        self.pools.at(pool.index())
    }

    /// The row of a route.
    #[inline]
    pub fn route(&self, route: RouteId) -> &RouteCell {
        self.routes.at(route.index())
    }

    /// The row of a listener.
    #[inline]
    pub fn listener(&self, listener: ListenerId) -> &ListenerCell {
        self.listeners.at(listener.index())
    }
}

impl Ledger {
    /// Tables of zeros.
    pub fn new(shards: usize) -> Self {
        let tables = |_| Arc::new(Tables::new());
        Self {
            shards: (0..shards).map(tables).collect(),
            sessions: Table::new(LISTENERS_MAX),
            connections: Table::new(BACKENDS_MAX),
        }
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The tables of a shard.
    pub fn tables(&self, shard: ShardId) -> &Arc<Tables> {
        &self.shards[shard.index()]
    }

    /// The sessions of a listener, as a shard has them.
    pub fn sessions(&self, shard: ShardId, listener: ListenerId) -> Quota<'_> {
        let own = &self.tables(shard).listener(listener).sessions;
        Quota { shard, own, sum: self.sessions.at(listener.index()) }
    }

    /// The connections to a backend, as a shard has them.
    pub fn connections(&self, shard: ShardId, slot: BackendSlot) -> Quota<'_> {
        let own = &self.tables(shard).backend(slot).connections;
        Quota { shard, own, sum: self.connections.at(slot.index()) }
    }

    /// Claims an idle connection to a backend for a shard, its own or another one's: the shard that
    /// holds it.
    pub fn claim_idle(&self, shard: ShardId, slot: BackendSlot) -> Option<ShardId> {
        let shards = self.shards.len();
        let mut others = (0..shards).map(|step| (shard.index() + step) % shards);
        let holds = |at: &usize| {
            let cell = self.shards[*at].backends.peek(slot.index());
            cell.is_some_and(|cell| cell.idle.claim())
        };
        others.find(holds).map(|holder| ShardId(holder as u16))
    }

    /// Exchanges of all other shards on one backend.
    pub fn others_in_flight(&self, shard: ShardId, slot: BackendSlot) -> u32 {
        let rows = self.shards.iter().enumerate();
        let others = rows.filter(|(index, _)| *index != shard.index());
        others
            .filter_map(|(_, tables)| tables.backends.peek(slot.index()))
            .map(|cell| cell.in_flight.read())
            .sum()
    }

    /// Exchanges in flight over all shards on one backend.
    pub fn in_flight(&self, slot: BackendSlot) -> u32 {
        self.backends(slot).map(|cell| cell.in_flight.read()).sum()
    }

    /// Successful exchanges over all shards on one backend.
    pub fn successes(&self, slot: BackendSlot) -> u64 {
        self.backends(slot).map(|cell| cell.successes.read()).sum()
    }

    /// The rows of a backend that exist.
    pub fn backends(&self, slot: BackendSlot) -> impl Iterator<Item = &BackendCell> {
        self.shards.iter().filter_map(move |tables| tables.backends.peek(slot.index()))
    }

    /// The rows of a pool that exist.
    pub fn pools(&self, pool: PoolId) -> impl Iterator<Item = &PoolCell> {
        self.shards.iter().filter_map(move |tables| tables.pools.peek(pool.index()))
    }

    /// The rows of a route that exist.
    pub fn routes(&self, route: RouteId) -> impl Iterator<Item = &RouteCell> {
        self.shards.iter().filter_map(move |tables| tables.routes.peek(route.index()))
    }

    /// The rows of a listener that exist.
    pub fn listeners(&self, listener: ListenerId) -> impl Iterator<Item = &ListenerCell> {
        self.shards.iter().filter_map(move |tables| tables.listeners.peek(listener.index()))
    }

    /// Sets the gauges of a shard to zero, after it has lost its sessions.
    pub fn reset(&self, shard: ShardId) {
        let tables = &self.shards[shard.index()];
        for row in tables.backends.existing_rows() {
            self.connections(shard, BackendSlot(row as u32)).reset();
            tables.backends.at(row).reset();
        }
        let listeners = tables.listeners.existing_rows();
        listeners.for_each(|row| self.sessions(shard, ListenerId(row as u16)).reset());
    }

    /// Sets the rows of a pool to zero before another one gets its number.
    pub fn clear_pool(&self, pool: PoolId) {
        self.pools(pool).for_each(PoolCell::clear);
    }

    /// Sets the rows of a route to zero before another one gets its number. Exchanges of the old
    /// one that are still in flight may be counted for the new one.
    pub fn clear_route(&self, route: RouteId) {
        self.routes(route).for_each(RouteCell::clear);
    }

    /// Sets the rows of a listener to zero before another one gets its number. It must have no
    /// session left.
    pub fn clear_listener(&self, listener: ListenerId) {
        self.listeners(listener).for_each(ListenerCell::clear);
    }

    /// Sets the rows of a slot to zero before another backend gets it. No shard may use it.
    pub fn clear_slot(&self, slot: BackendSlot) {
        self.backends(slot).for_each(BackendCell::clear);
    }
}
