//! State kept over a restart: the health of backends and the operator's orders.

use super::{Fleet, Found, PoolRecord, Source};
use crate::base::Instant;
use crate::config::values::check_backend_address;
use crate::health::OperatorState;
use crate::limits::WEIGHT_MAX;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// A pool's part of the state file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// Its name.
    pub pool: String,
    /// Its backends.
    pub backends: Vec<SavedBackend>,
    /// Backends of other sources that the operator has taken out.
    pub taken_out: Vec<SocketAddr>,
}

/// A backend's part of the state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with the `address` of a backend")]
pub struct SavedBackend {
    /// Its address.
    pub address: SocketAddr,
    /// It was up; none if it was never probed.
    pub is_live: Option<bool>,
    /// It was ready; none if that was never probed.
    pub is_ready: Option<bool>,
    /// The operator's order.
    pub operator: String,
    /// The operator's weight, if there is one.
    pub weight: Option<u32>,
    /// The operator added it, with this weight.
    pub added: Option<u32>,
}

impl Fleet {
    /// The state to be saved.
    pub fn save(&self) -> Vec<Saved> {
        let pools = self.pools.values().filter(|pool| !pool.is_removed);
        pools
            .map(|pool| Saved {
                pool: pool.config.name.clone(),
                backends: pool
                    .backends
                    .iter()
                    .filter(|(_, record)| !record.is_removed)
                    .map(|(address, record)| SavedBackend {
                        address: *address,
                        is_live: up(&record.live),
                        is_ready: record.ready.as_ref().and_then(up),
                        operator: record.operator.word().to_owned(),
                        weight: record.weight_override,
                        added: (record.source == Source::Operator).then_some(record.found.weight),
                    })
                    .chain(pool.remembered.orders())
                    .collect(),
                taken_out: pool.taken_out.clone(),
            })
            .collect()
    }

    /// Restores state that was saved `age` ago. The operator's orders hold whatever their age;
    /// health counts only if it is younger than two intervals of its probe. State of backends that
    /// sources have not listed yet is kept until they report; what no source lists is dropped, as
    /// the previous process would have done.
    pub fn restore(&mut self, saved: &[Saved], age: Duration, now: Instant) {
        for saved in saved {
            let Some(pool) = self.pools.get_mut(&saved.pool) else { continue };
            pool.taken_out.clone_from(&saved.taken_out);
            pool.forget_taken_out(&[]);
            let added = saved.backends.iter().filter_map(|backend| {
                Some(Found { address: backend.address, weight: backend.added?, priority: 0 })
            });
            pool.reported.insert(Source::Operator, added.collect());
            let fresh_until = now + (pool.config.health.rules.interval * 2).saturating_sub(age);
            let backends = saved.backends.iter().map(|backend| (backend.address, backend.clone()));
            pool.remembered = Remembered { backends: backends.collect(), fresh_until };
            let known: Vec<SocketAddr> = pool.backends.keys().copied().collect();
            known.into_iter().for_each(|address| pool.recall(address, now));
        }
        self.source(now);
        self.is_dirty = true;
    }
}

/// See [`PoolRecord::remembered`].
#[derive(Default)]
pub(super) struct Remembered {
    backends: BTreeMap<SocketAddr, SavedBackend>,
    /// Until when their health counts.
    fresh_until: Instant,
}

impl Remembered {
    /// The operator's orders that are still to be applied. Without health: that gets old.
    fn orders(&self) -> impl Iterator<Item = SavedBackend> {
        let is_order = |backend: &&SavedBackend| {
            backend.weight.is_some() || backend.operator != OperatorState::Ready.word()
        };
        let order = |backend: &SavedBackend| SavedBackend {
            is_live: None,
            is_ready: None,
            ..backend.clone()
        };
        self.backends.values().filter(is_order).map(order)
    }
}

impl PoolRecord {
    /// Drops restored state of backends that no source lists, once each source has reported
    /// completely: an order must not wait for an address that returns in weeks.
    pub(super) fn forget_unreported(&mut self) {
        if self.changing_sources().all(|source| self.complete.contains(&source)) {
            self.remembered.backends.clear();
        }
    }

    /// Applies the state of the previous process to a backend when a source first lists it.
    pub(super) fn recall(&mut self, address: SocketAddr, now: Instant) {
        let Some(saved) = self.remembered.backends.remove(&address) else { return };
        let Some(record) = self.backends.get_mut(&address) else { return };
        record.operator = saved.operator.parse().unwrap_or_default();
        record.weight_override = saved.weight;
        if now >= self.remembered.fresh_until {
            return;
        }
        if saved.is_live.is_some() && !record.live.state.was_probed() {
            record.live = super::Probed::new(saved.is_live);
        }
        if saved.is_ready.is_some() && record.ready.is_some() {
            record.ready = Some(super::Probed::new(saved.is_ready));
        }
    }
}

/// A pool's part of the state file before its entries are looked at.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with a `pool`, its `backends` and what was `taken_out`"
)]
struct Entries {
    pool: String,
    backends: Vec<Value>,
    taken_out: Vec<Value>,
}

impl Saved {
    /// The usable entries of a pool's part of the state file. A file edited by hand may have any
    /// error: invalid entries go to `left_out`, with their place, and the others are used.
    pub fn read(part: Value, left_out: &mut Vec<String>) -> Option<Self> {
        let name = part["pool"].to_string();
        let entries = Entries::deserialize(part);
        let note = |error| left_out.push(format!("pool {name}: {error}"));
        let Entries { pool, backends, taken_out } = entries.map_err(note).ok()?;
        let backend = |entry: Value| {
            let place = format!("pool {name}, backend {}", entry["address"]);
            let note = |error| left_out.push(format!("{place}: {error}"));
            SavedBackend::read(entry).map_err(note).ok()
        };
        let backends = backends.into_iter().filter_map(backend).collect();
        let address = |entry: Value| {
            let note = |error| left_out.push(format!("pool {name}, taken_out: {error}"));
            SocketAddr::deserialize(entry).map_err(note).ok()
        };
        let taken_out = taken_out.into_iter().filter_map(address).collect();
        Some(Self { pool, backends, taken_out })
    }
}

impl SavedBackend {
    fn read(entry: Value) -> Result<Self, String> {
        let backend = Self::deserialize(entry).map_err(|error| error.to_string())?;
        let weights = [backend.weight, backend.added];
        if weights.into_iter().flatten().any(|weight| weight > WEIGHT_MAX) {
            return Err(format!("a weight goes from 0 to {WEIGHT_MAX}"));
        }
        check_backend_address(&backend.address)?;
        backend.operator.parse::<OperatorState>()?;
        Ok(backend)
    }
}

fn up(probed: &super::Probed) -> Option<bool> {
    probed.state.was_probed().then(|| probed.state.is_up())
}
