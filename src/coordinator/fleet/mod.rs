//! The state of all pools and backends, and the snapshots built from it. No clock, no descriptor,
//! no task: results, orders and the time in, snapshots and events out, so that a simulation runs
//! the real code.
//!
//! `record` is one backend, `pool` one pool, `results` applies probe results and observations,
//! `lateness` excuses timeouts, `source_state` is the state of sources, `operating` the operator's
//! orders, `sourcing` applies the reports of sources, `numbers` gives routes and listeners their
//! numbers, `reasons` explains a standing, `saving` is the state kept over a restart.

mod lateness;
mod numbers;
mod operating;
mod pool;
mod reasons;
mod record;
mod results;
mod saving;
mod source_state;
mod sourcing;

pub use lateness::{Excused, Lateness, PUNCTUAL_EVERY};
pub use operating::{Operation, OperationError, no_pool};
pub use pool::PoolRecord;
pub use record::{Found, Probed, Record, Source};
pub use results::{Discovered, ProbeOf};
pub use saving::{Saved, SavedBackend};
pub use source_state::{Failing, SourceState};

use crate::base::{BackendSlot, Generation, Instant, PoolId};
use crate::coordinator::events::{Event, Events};
use crate::health::Standing;
use crate::limits::BACKENDS_MAX;
use crate::mailbox::Ledger;
use crate::snapshot::{self, Pool, Registry};
use crate::tls::Authorities;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long the process waits for the first probes of new backends. A backend whose probe has timed
/// out is not waited for.
pub const FIRST_ROUND_MAX: Duration = Duration::from_secs(5);
/// How long a shard has to send a half-open probe before another shard may.
const HALF_OPEN_ROUND: Duration = Duration::from_secs(1);

/// A backend's pool and address.
pub type BackendKey = (PoolId, SocketAddr);

/// See the module.
pub struct Fleet {
    /// The numbers of pools, routes, listeners and backends.
    registry: Registry,
    /// Pools by name.
    pools: BTreeMap<String, PoolRecord>,
    /// The counts of the shards.
    ledger: Arc<Ledger>,
    /// The events.
    events: Events,
    /// Whether the coordinator itself is late.
    lateness: Lateness,
    gone: numbers::Gone,
    shards: usize,
    by_slot: HashMap<BackendSlot, (String, SocketAddr)>,
    by_id: HashMap<PoolId, String>,
    /// The authorities that the system trusts, if a pool does.
    authorities: Authorities,
    /// Something may have changed since the last snapshot.
    is_dirty: bool,
    /// Counts the changes that set it.
    changes: u64,
    /// Changes with every change of the backends to be probed.
    revision: u64,
    /// How often a configuration was put in force.
    configurations: u64,
    /// The first round of probes is over: from now on slow start applies.
    is_started: bool,
    /// Backends that sources list and for which no slot is left.
    left_out: usize,
    /// When half-open rounds last went to another shard.
    half_open_renewed: Instant,
    /// When counts were last sampled for the success rate.
    sampled: Instant,
}

impl Fleet {
    /// A fleet without pools.
    pub fn new(ledger: Arc<Ledger>, shards: usize) -> Self {
        Self {
            registry: Registry::default(),
            pools: BTreeMap::new(),
            ledger,
            events: Events::default(),
            lateness: Lateness::default(),
            gone: numbers::Gone::default(),
            shards,
            by_slot: HashMap::new(),
            by_id: HashMap::new(),
            authorities: Authorities::joined([]),
            is_dirty: true,
            changes: 0,
            revision: 0,
            configurations: 0,
            is_started: false,
            left_out: 0,
            half_open_renewed: Instant::default(),
            sampled: Instant::default(),
        }
    }

    /// Pools by name.
    pub fn pools(&self) -> &BTreeMap<String, PoolRecord> {
        &self.pools
    }

    /// The counts of the shards.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The events.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Adds an event, now.
    pub fn note_event(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Ends the first round: from now on slow start applies.
    pub fn start(&mut self) {
        self.is_started = true;
        // Pools without a healthy backend have had no event yet.
        self.is_dirty = true;
    }

    /// True if every source has reported or failed, and every backend that is to be probed has had
    /// a result.
    pub fn was_all_probed(&self) -> bool {
        let is_probed = |pool: &PoolRecord| {
            pool.awaited.is_empty() && pool.backends.values().all(Record::is_known)
        };
        self.pools.values().all(is_probed)
    }

    /// Backends that serve, and all of them.
    pub fn counts(&self) -> (usize, usize) {
        let fit = self.pools.values().map(PoolRecord::fit_count).sum();
        (fit, self.pools.values().map(|pool| pool.backends.len()).sum())
    }

    /// True if something may have changed since [`Fleet::publish`] was last called.
    pub fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Changes whenever something may have changed that is published or saved.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Changes with every change of the backends to be probed, and of their probes.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How often a configuration was put in force.
    pub fn configurations(&self) -> u64 {
        self.configurations
    }

    /// A backend.
    pub fn record(&self, pool: &str, address: SocketAddr) -> Option<&Record> {
        self.pools.get(pool)?.backends.get(&address)
    }

    /// The pool with this number.
    pub fn pool_of(&self, id: PoolId) -> Option<&PoolRecord> {
        self.pools.get(self.by_id.get(&id)?)
    }

    /// The name that a backend was found by, if it was by one of its own.
    pub fn name_of(&self, key: BackendKey) -> Option<String> {
        let pool = self.pool_of(key.0)?;
        let source = &pool.backends.get(&key.1)?.source;
        let entry = pool.config.names.iter().find(|entry| Source::of_name(entry) == *source)?;
        entry.lookup.host().map(str::to_owned)
    }

    /// Applies the passing of time: ejections and drains end, weights rise, half-open rounds go to
    /// other shards.
    pub fn tick(&mut self, now: Instant) {
        self.sample(now);
        self.renew_half_open(now);
        for pool in self.pools.values_mut() {
            let has_changed = pool.eject(&self.ledger, now) | pool.end_drains(now);
            let is_due = pool.is_ramping(now) || pool.is_unknown_for_long(now);
            self.is_dirty |= has_changed || is_due;
        }
    }

    /// The pools as they are to be published, if anything has changed since the last time. Pools
    /// without a change are shared with the snapshot before.
    pub fn publish(&mut self, now: Instant) -> Option<Vec<Arc<Pool>>> {
        if !std::mem::take(&mut self.is_dirty) {
            return None;
        }
        self.changes += 1;
        let mut has_changed = false;
        let mut published = Vec::new();
        for pool in self.pools.values_mut() {
            pool.take_back_the_last(now);
            let changed = pool.judge(now, self.is_started);
            for (address, was) in changed {
                announce(&mut self.events, pool, address, was);
            }
            let members = pool.members(now);
            let news = if self.is_started { pool.news_of_health(now) } else { None };
            if let Some(is_unfit) = news {
                announce_health(&mut self.events, pool, is_unfit);
            }
            let mut built = snapshot::build_pool(&pool.config, pool.id, &members, self.shards);
            built.is_last_resort = pool.has_no_healthy;
            let before = pool.built.as_ref().and_then(|before| before.hashing.as_ref());
            built.hashing = snapshot::build_hashing(&pool.config, pool.weights(), before);
            let before = pool.built.as_ref().and_then(|before| before.tls.as_ref());
            let names = pool.named_backends();
            built.tls = snapshot::build_tls(&pool.config, &self.authorities, names, before);
            let shared = pool.built.take().filter(|before| **before == built);
            has_changed |= shared.is_none();
            let built = shared.unwrap_or_else(|| Arc::new(built));
            pool.built = Some(built.clone());
            published.push(built);
        }
        has_changed.then_some(published)
    }

    /// The pools as last published.
    pub fn published(&self) -> Vec<Arc<Pool>> {
        self.pools.values().filter_map(|pool| pool.built.clone()).collect()
    }

    /// Drops removed backends and pools, once every shard has applied the removal and nothing of
    /// them is in flight.
    pub fn reap(&mut self, applied: Generation, current: Generation, now: Instant) {
        if applied < current {
            return;
        }
        let ledger = self.ledger.clone();
        let is_idle = |slot| {
            ledger.backends(slot).all(|cell| cell.in_flight.read() == 0 && cell.connections() == 0)
        };
        let mut has_room_again = false;
        for pool in self.pools.values_mut() {
            let is_over = |record: &Record| {
                let is_published = record.standing == Standing::Removed;
                record.is_removed && is_published && is_idle(record.slot)
            };
            let over: Vec<SocketAddr> = pool
                .backends
                .iter()
                .filter(|(_, record)| is_over(record))
                .map(|(address, _)| *address)
                .collect();
            for address in over {
                let record = pool.backends.remove(&address).expect("listed above");
                pool.ejections.release(record.slot);
                self.by_slot.remove(&record.slot);
                self.registry.release_slot(pool.id, address);
                ledger.clear_slot(record.slot);
                self.is_dirty = true;
                has_room_again = true;
            }
        }
        self.bury_pools();
        if has_room_again && self.left_out > 0 {
            self.source(now);
        }
    }

    fn bury_pools(&mut self) {
        let is_over = |pool: &&PoolRecord| pool.is_removed && pool.backends.is_empty();
        let over = self.pools.values().filter(is_over).map(|pool| pool.config.name.clone());
        for name in over.collect::<Vec<_>>() {
            let Some(pool) = self.pools.remove(&name) else { continue };
            self.by_id.remove(&pool.id);
            self.registry.release_pool(&name);
            self.ledger.clear_pool(pool.id);
            self.is_dirty = true;
        }
    }

    /// Gives half-open rounds for which a shard had no request to another shard.
    fn renew_half_open(&mut self, now: Instant) {
        if now.since(self.half_open_renewed) < HALF_OPEN_ROUND {
            return;
        }
        self.half_open_renewed = now;
        for pool in self.pools.values_mut() {
            self.is_dirty |= pool.ejections.renew_half_open(now);
        }
    }

    /// Backends over all pools may not be more than the tables have rows.
    fn has_room(&self) -> bool {
        self.by_slot.len() < BACKENDS_MAX
    }
}

fn announce(events: &mut Events, pool: &PoolRecord, address: SocketAddr, was: Standing) {
    let record = &pool.backends[&address];
    events.push(Event::Backend {
        pool: pool.config.name.clone(),
        backend: address,
        was: was.word(),
        is: record.standing.word(),
        reason: pool.reason(record),
    });
}

fn announce_health(events: &mut Events, pool: &PoolRecord, is_unfit: bool) {
    let name = pool.config.name.clone();
    if !is_unfit {
        return events.push(Event::PoolHealthy { pool: name });
    }
    let backends = pool.backends.values().filter(|record| !record.is_removed).count();
    let policy = config_word(pool);
    events.push(Event::PoolWithoutHealthy { pool: name, backends, policy });
}

fn config_word(pool: &PoolRecord) -> &'static str {
    use crate::config::Choice;
    pool.config.no_healthy.word()
}
