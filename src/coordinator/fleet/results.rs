//! Applies the results of probes and the observations of exchanges.

use super::{BackendKey, Fleet, Found, PoolRecord, Probed, Source};
use crate::base::{BackendSlot, Instant};
use crate::config::Probe;
use crate::coordinator::events::Event;
use crate::health::Change;
use crate::mailbox::{BackendFault, Observation, TrialCourse};
use std::net::SocketAddr;
use std::time::Duration;

/// How often counts are sampled for the success rate.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// How long after it a failure of TLS with a backend is no news.
const TLS_FAULT_KNOWN: Duration = Duration::from_secs(60);

/// One of a backend's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeOf {
    /// Whether it is alive.
    Health,
    /// Whether it accepts new traffic.
    Readiness,
}

/// What a preflight discovered of a configuration before it is in force.
#[derive(Debug, Default)]
pub struct Discovered {
    /// Reports of new sources of pools, and whether each is complete.
    pub reported: Vec<(String, Source, Vec<Found>, bool)>,
    /// Results of probes of pools' backends: the failure, none if it passed.
    pub probed: Vec<(String, SocketAddr, ProbeOf, Option<String>)>,
}

impl PoolRecord {
    /// The configuration of a probe.
    pub fn probe(&self, which: ProbeOf) -> Option<&Probe> {
        match which {
            ProbeOf::Health => Some(&self.config.health),
            ProbeOf::Readiness => self.config.readiness.as_ref(),
        }
    }
}

impl Fleet {
    /// Applies the results of the preflight of the configuration that has just been put in force.
    pub fn apply_discovered(&mut self, discovered: Discovered, now: Instant) {
        for (pool, source, found, is_whole) in discovered.reported {
            match is_whole {
                true => self.report(&pool, source, found, now),
                false => self.report_part(&pool, source, found, now),
            }
        }
        for (pool, address, which, failure) in discovered.probed {
            // It may have been removed, and any other result of it is newer.
            let record = self.record(&pool, address);
            if record.is_some_and(|record| !record.was_probed()) {
                self.note_probe((self.pools[&pool].id, address), which, failure);
            }
        }
    }

    /// Applies the result of a probe: the failure, none if it passed. True if something is to be
    /// published, by this result or an earlier one.
    pub fn note_probe(&mut self, key: BackendKey, which: ProbeOf, failure: Option<String>) -> bool {
        self.take_result(key, which, failure);
        self.is_dirty
    }

    fn take_result(&mut self, key: BackendKey, which: ProbeOf, failure: Option<String>) {
        let name = self.by_id.get(&key.0);
        let Some(pool) = name.and_then(|name| self.pools.get_mut(name)) else { return };
        let Some(rules) = pool.probe(which).map(|probe| probe.rules) else { return };
        let Some(record) = pool.backends.get_mut(&key.1) else { return };
        let probed: Option<&mut Probed> = match which {
            ProbeOf::Health => Some(&mut record.live),
            ProbeOf::Readiness => record.ready.as_mut(),
        };
        let Some(probed) = probed else { return };
        let was_probed = probed.state.was_probed();
        let change: Option<Change> = probed.state.note(failure.is_none(), &rules);
        match failure {
            None => probed.passes += 1,
            Some(_) => probed.failures += 1,
        }
        probed.last_failure = failure;
        if which == ProbeOf::Health && was_probed && change == Some(Change::Up) {
            // It was down and is up again: failures of exchanges in between do not count.
            pool.ejections.release(record.slot);
        }
        self.is_dirty |= change.is_some() || !was_probed;
    }

    /// Adds the duration of a probe.
    pub fn time_probe(&mut self, key: BackendKey, which: ProbeOf, took: Duration) {
        let pool = self.by_id.get(&key.0).and_then(|name| self.pools.get_mut(name));
        let Some(record) = pool.and_then(|pool| pool.backends.get_mut(&key.1)) else { return };
        match which {
            ProbeOf::Health => record.live.took += took,
            ProbeOf::Readiness => {
                record.ready.iter_mut().for_each(|probed| probed.took += took);
            }
        }
    }

    /// How long until the next probe of a backend; none if it is not to be probed any more.
    pub fn next_probe_in(
        &mut self,
        key: BackendKey,
        which: ProbeOf,
        prng: &mut crate::base::Prng,
    ) -> Option<Duration> {
        let pool = self.pool_of(key.0)?;
        let rules = pool.probe(which)?.rules;
        let record = pool.backends.get(&key.1)?;
        let probed = match which {
            ProbeOf::Health => &record.live,
            ProbeOf::Readiness => record.ready.as_ref()?,
        };
        Some(probed.state.next_in(&rules, prng))
    }

    /// Applies an observation of a shard. Many failures come at once: [`Fleet::judge_faults`]
    /// follows.
    pub fn observe(&mut self, observation: Observation, now: Instant) {
        match observation {
            Observation::Fault(slot, fault) => self.take_fault(slot, fault, now),
            Observation::Trial(slot, round, course) => {
                self.take_half_open(slot, round, course, now)
            }
        }
    }

    fn take_fault(&mut self, slot: BackendSlot, fault: BackendFault, now: Instant) {
        let Some((pool, address)) = self.place(slot) else { return };
        self.report_tls_fault(&pool, address, fault, now);
        let Some(pool) = self.pools.get_mut(&pool) else { return };
        let Some(record) = pool.backends.get_mut(&address) else { return };
        record.last_fault = Some(fault);
        pool.has_new_faults = true;
        pool.ejections.note_failures(slot, 1, self.ledger.successes(slot));
    }

    /// Reports a failure of TLS with a backend, if that is news.
    fn report_tls_fault(
        &mut self,
        pool: &str,
        backend: SocketAddr,
        fault: BackendFault,
        now: Instant,
    ) {
        let BackendFault::Tls(kind) = fault else { return };
        let record = self.pools.get_mut(pool).and_then(|pool| pool.backends.get_mut(&backend));
        let Some(record) = record else { return };
        let before = record.tls_fault.replace((kind, now));
        let is_known =
            before.is_some_and(|(known, at)| known == kind && now.since(at) < TLS_FAULT_KNOWN);
        if !is_known {
            let (pool, reason) = (pool.to_owned(), kind.to_string());
            self.events.push(Event::BackendTlsFailed { pool, backend, reason });
        }
    }

    /// Ejects by the failures observed since the last call.
    pub fn judge_faults(&mut self, now: Instant) {
        for pool in self.pools.values_mut().filter(|pool| pool.has_new_faults) {
            self.is_dirty |= pool.eject(&self.ledger, now);
        }
    }

    fn take_half_open(&mut self, slot: BackendSlot, round: u32, course: TrialCourse, now: Instant) {
        let Some((pool, backend)) = self.place(slot) else { return };
        if let TrialCourse::Failed(fault) = course {
            self.report_tls_fault(&pool, backend, fault, now);
        }
        let Some(pool) = self.pools.get_mut(&pool) else { return };
        let passed = match course {
            TrialCourse::Begun => return pool.ejections.note_half_open_begun(slot, round, now),
            TrialCourse::Undecided => return pool.ejections.note_half_open_undecided(slot, round),
            TrialCourse::Passed => true,
            TrialCourse::Failed(fault) => {
                if let Some(record) = pool.backends.get_mut(&backend) {
                    record.last_fault = Some(fault);
                }
                false
            }
        };
        if !pool.ejections.note_half_open(slot, round, passed, &pool.config.ejection, now) {
            return;
        }
        self.events.push(Event::HalfOpenProbe { pool: pool.config.name.clone(), backend, passed });
        self.is_dirty = true;
    }

    fn place(&self, slot: BackendSlot) -> Option<(String, SocketAddr)> {
        self.by_slot.get(&slot).cloned()
    }

    /// Samples the counts of the shards, for the success rate over a window.
    pub(super) fn sample(&mut self, now: Instant) {
        if now.since(self.sampled) < SAMPLE_EVERY {
            return;
        }
        self.sampled = now;
        for pool in self.pools.values_mut() {
            if pool.config.ejection.success_rate_min_percent == 0 {
                continue;
            }
            for record in pool.backends.values() {
                let (mut successes, mut failures) = (0, 0);
                for cell in self.ledger.backends(record.slot) {
                    successes += cell.successes.read();
                    failures += cell.failures.read();
                }
                let window = pool.config.ejection.window;
                pool.ejections.note_window(record.slot, successes, failures, window, now);
            }
        }
    }
}
