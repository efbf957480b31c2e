//! What outlives the process: what was known of backends and what the operator wants of them.

use super::{Fleet, Found, Source};
use crate::base::Instant;
use crate::health::OperatorState;
use serde::{Deserialize, Serialize};
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
#[serde(deny_unknown_fields)]
pub struct SavedBackend {
    /// Its address.
    pub address: SocketAddr,
    /// It was up; none if it was never probed.
    pub is_live: Option<bool>,
    /// It was ready; none if that was never asked.
    pub is_ready: Option<bool>,
    /// What the operator wants of it.
    pub operator: String,
    /// The operator's weight, if there is one.
    pub weight: Option<u32>,
    /// The operator added it, with this weight.
    pub added: Option<u32>,
}

impl Fleet {
    /// What there is to be saved.
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
                    .collect(),
                taken_out: pool.taken_out.clone(),
            })
            .collect()
    }

    /// Takes what was saved `age` ago. What the operator wants holds whatever its age; health
    /// counts only if it is younger than two intervals of its probe.
    pub fn restore(&mut self, saved: &[Saved], age: Duration, now: Instant) {
        for saved in saved {
            let Some(pool) = self.pools.get_mut(&saved.pool) else { continue };
            pool.taken_out.clone_from(&saved.taken_out);
            let added = saved.backends.iter().filter_map(|backend| {
                Some(Found { address: backend.address, weight: backend.added?, priority: 0 })
            });
            pool.told.insert(Source::Operator, added.collect());
        }
        self.source(now);
        for saved in saved {
            let Some(pool) = self.pools.get_mut(&saved.pool) else { continue };
            let is_fresh = age < pool.config.health.rules.interval * 2;
            for backend in &saved.backends {
                let Some(record) = pool.backends.get_mut(&backend.address) else { continue };
                record.operator = backend.operator.parse().unwrap_or(OperatorState::Ready);
                record.weight_override = backend.weight;
                if !is_fresh {
                    continue;
                }
                if backend.is_live.is_some() && !record.live.state.was_probed() {
                    record.live = super::Probed::new(backend.is_live);
                }
                if backend.is_ready.is_some() && record.ready.is_some() {
                    record.ready = Some(super::Probed::new(backend.is_ready));
                }
            }
        }
        self.is_dirty = true;
    }
}

fn up(probed: &super::Probed) -> Option<bool> {
    probed.state.was_probed().then(|| probed.state.is_up())
}
