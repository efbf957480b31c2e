//! One pool: its backends from all sources, and the traffic that each of them may get.

use super::FIRST_ROUND_MAX;
use super::record::{Found, Probed, Record, Source};
use super::saving::Remembered;
use super::source_state::SourceState;
use crate::base::{BackendSlot, Instant, PoolId};
use crate::config;
use crate::health::{Ejections, OperatorState, Outlier, Standing, WEIGHT_SCALE, scaled_weight};
use crate::mailbox::Ledger;
use crate::snapshot::{self, Hashing, Member, Share};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// The last report of each source of a pool.
pub type Reported = BTreeMap<Source, Vec<Found>>;

/// See the module.
pub struct PoolRecord {
    /// Its number.
    pub id: PoolId,
    /// Its configuration.
    pub config: config::Pool,
    /// Its backends, in the order of their addresses.
    pub backends: BTreeMap<SocketAddr, Record>,
    /// The last report of each source.
    pub reported: Reported,
    /// Sources that have neither reported nor failed yet.
    pub awaited: Vec<Source>,
    /// Sources that have reported completely at least once.
    pub(super) complete: BTreeSet<Source>,
    /// The state of sources whose answers change by themselves.
    pub(super) source_states: BTreeMap<Source, SourceState>,
    /// Backends of the configuration that an operator has taken out.
    pub taken_out: Vec<SocketAddr>,
    /// State saved by the previous process for backends that no source has listed yet.
    pub(super) remembered: Remembered,
    /// Ejection by the outcomes of exchanges.
    pub ejections: Ejections,
    /// The pool as last published.
    pub built: Option<Arc<snapshot::Pool>>,
    /// It is not in the configuration any more; its record is dropped when nothing of it is left.
    pub is_removed: bool,
    /// No backend is fit; all are tried, or none, as configured.
    pub has_no_healthy: bool,
    /// The lowest priority of which a backend is fit, as last published: kept, since answers that
    /// list all backends need it for each of them.
    priority: Option<u16>,
    /// Exchanges have failed that are not judged yet.
    pub(super) has_new_faults: bool,
    /// Since when that is so.
    unfit_since: Option<Instant>,
    /// An event reported that no backend is fit, and none yet that one is again.
    is_alarmed: bool,
}

impl PoolRecord {
    /// A pool without backends.
    pub fn new(id: PoolId, config: config::Pool) -> Self {
        Self {
            id,
            config,
            backends: BTreeMap::new(),
            reported: Reported::new(),
            awaited: Vec::new(),
            complete: BTreeSet::new(),
            source_states: BTreeMap::new(),
            taken_out: Vec::new(),
            remembered: Remembered::default(),
            ejections: Ejections::default(),
            built: None,
            is_removed: false,
            has_no_healthy: false,
            priority: None,
            has_new_faults: false,
            unfit_since: None,
            is_alarmed: false,
        }
    }

    /// The reports of all sources together: for an address that several list, the first in the
    /// order of [`Source`] counts.
    pub fn wanted(&self) -> BTreeMap<SocketAddr, (Source, Found)> {
        let mut wanted = BTreeMap::new();
        if self.is_removed {
            return wanted;
        }
        for (source, found) in &self.reported {
            for found in found {
                let is_taken_out = self.taken_out.contains(&found.address);
                if !is_taken_out || *source == Source::Operator {
                    wanted.entry(found.address).or_insert_with(|| (source.clone(), *found));
                }
            }
        }
        wanted
    }

    /// The record of a new backend before its first probe.
    pub fn new_record(&self, slot: BackendSlot, source: Source, found: Found) -> Record {
        let (live, ready) = unprobed(&self.config);
        Record {
            slot,
            found,
            source,
            operator: OperatorState::default(),
            weight_override: None,
            live,
            ready,
            is_removed: false,
            standing: Standing::Unchecked,
            returned_at: None,
            leaving_since: None,
            is_cut: false,
            last_fault: None,
            tls_fault: None,
            ejections: 0,
        }
    }

    /// Judges every backend anew and returns those whose standing has changed, with what it was.
    pub fn judge(&mut self, now: Instant, is_started: bool) -> Vec<(SocketAddr, Standing)> {
        let mut changed = Vec::new();
        for (address, record) in &mut self.backends {
            let standing = record.findings(self.ejections.state(record.slot)).standing();
            let was = std::mem::replace(&mut record.standing, standing);
            if was == standing {
                continue;
            }
            changed.push((*address, was));
            record.ejections += u64::from(standing == Standing::Ejected);
            let comes_back = standing == Standing::Serving;
            record.returned_at = (comes_back && is_started).then_some(now);
            let is_leaving =
                matches!(standing, Standing::Draining | Standing::Maint | Standing::Removed);
            record.is_cut &= is_leaving;
            record.leaving_since = match (is_leaving, record.leaving_since) {
                (false, _) => None,
                (true, since) => since.or(Some(now)),
            };
        }
        changed
    }

    /// The traffic that each backend may get now.
    pub fn members(&mut self, now: Instant) -> Vec<Member> {
        let priority = self.best_priority();
        self.priority = priority;
        let slow_start = self.config.slow_start;
        let is_ramping = self.is_ramping(now);
        self.has_no_healthy = priority.is_none() && !self.is_removed && !self.backends.is_empty();
        let routes_to_all =
            self.has_no_healthy && self.config.no_healthy == config::NoHealthy::RouteToAll;
        let share = |record: &Record| match record.standing {
            Standing::Serving if Some(record.found.priority) == priority => {
                let factor = record.ramp(&slow_start, now);
                let weight = record.weight();
                Share::Weight(if is_ramping { scaled_weight(weight, factor) } else { weight })
            }
            Standing::HalfOpen => Share::Trial(self.ejections.half_open_round(record.slot)),
            // Fail open: no backend is fit, so all that the operator has not taken out are used.
            Standing::Unchecked | Standing::Down | Standing::NotReady | Standing::Ejected
                if routes_to_all =>
            {
                Share::Weight(record.weight())
            }
            Standing::Down if record.was_probed() => Share::Down,
            _ if record.is_cut => Share::Cut,
            _ => Share::Nothing,
        };
        let member = |(address, record): (&SocketAddr, &Record)| Member {
            slot: record.slot,
            address: *address,
            share: share(record),
        };
        self.backends.iter().map(member).collect()
    }

    /// The slot, address and weight of each backend that sources list, whatever its health: before
    /// slow start.
    pub fn weights(&self) -> impl Iterator<Item = (BackendSlot, SocketAddr, u32)> {
        let staying = self.backends.iter().filter(|(_, record)| !record.is_removed);
        staying.map(|(address, record)| (record.slot, *address, record.weight()))
    }

    /// The backends that are found by a name of their own, with that.
    pub(super) fn named_backends(&self) -> impl Iterator<Item = (SocketAddr, &str)> {
        let names: BTreeMap<Source, &str> = self
            .config
            .names
            .iter()
            .filter_map(|entry| Some((Source::of_name(entry), entry.lookup.host()?)))
            .collect();
        self.backends
            .iter()
            .filter_map(move |(address, record)| Some((*address, *names.get(&record.source)?)))
    }

    /// The table of the algorithm `hash`, as last published.
    pub fn hashing(&self) -> Option<&Arc<Hashing>> {
        self.built.as_ref()?.hashing.as_ref()
    }

    /// Whether an event is due that no backend is fit (true), or that one is again (false). New
    /// backends are down until their first probe: no event reports that before one of them has a
    /// result, unless this takes too long.
    pub(super) fn news_of_health(&mut self, now: Instant) -> Option<bool> {
        if !self.has_no_healthy {
            self.unfit_since = None;
            return (self.priority.is_some() && std::mem::take(&mut self.is_alarmed))
                .then_some(false);
        }
        self.unfit_since.get_or_insert(now);
        if self.is_alarmed || !(self.is_something_known() || self.is_unknown_for_long(now)) {
            return None;
        }
        self.is_alarmed = true;
        Some(true)
    }

    fn is_something_known(&self) -> bool {
        let mut staying = self.backends.values().filter(|record| !record.is_removed).peekable();
        staying.peek().is_none() || staying.any(Record::is_known)
    }

    /// True if no backend is fit, no event has reported it, and the wait for results is over.
    pub(super) fn is_unknown_for_long(&self, now: Instant) -> bool {
        let is_long = |since: Instant| now.since(since) >= FIRST_ROUND_MAX;
        !self.is_alarmed && self.unfit_since.is_some_and(is_long)
    }

    /// The lowest priority of which a backend is fit for traffic.
    fn best_priority(&self) -> Option<u16> {
        let fit = self.backends.values().filter(|record| is_fit(record));
        fit.map(|record| record.found.priority).min()
    }

    /// The better priority because of which a serving backend gets no traffic.
    pub fn outranked_by(&self, record: &Record) -> Option<u16> {
        let is_worse = |best: &u16| record.found.priority > *best;
        self.priority.filter(|best| record.standing == Standing::Serving && is_worse(best))
    }

    /// True while a backend is in slow start.
    pub fn is_ramping(&self, now: Instant) -> bool {
        let slow_start = &self.config.slow_start;
        let ramps = |record: &Record| {
            record.standing == Standing::Serving && record.ramp(slow_start, now) < 1.0
        };
        self.backends.values().any(ramps)
    }

    /// Backends that would get traffic without ejection.
    fn fit_but_for_exchanges(&self) -> Vec<BackendSlot> {
        let is_fit = |record: &&Record| {
            let standing = record.findings(Outlier::In).standing();
            standing == Standing::Serving && record.weight() > 0
        };
        self.backends.values().filter(is_fit).map(|record| record.slot).collect()
    }

    /// Ends all ejections if no other backend is left: an ejected backend is better than a dead
    /// one, or none.
    pub fn take_back_the_last(&mut self, now: Instant) {
        let fit = self.fit_but_for_exchanges();
        if fit.iter().all(|slot| self.ejections.state(*slot) != Outlier::In) {
            fit.into_iter().for_each(|slot| self.ejections.take_back(slot, now));
        }
    }

    /// Ejects backends and makes them half-open by the rules. True if something changed.
    pub fn eject(&mut self, ledger: &Ledger, now: Instant) -> bool {
        self.has_new_faults = false;
        let rules = self.config.ejection;
        let mut has_changed = false;
        if self.ejections.has_suspects(&rules) {
            let candidates = self.fit_but_for_exchanges();
            let successes = |slot| ledger.successes(slot);
            has_changed = !self.ejections.judge(&rules, &candidates, successes, now).is_empty();
        }
        has_changed | !self.ejections.end_times(now).is_empty()
    }

    /// Cuts exchanges of backends whose drain timeout is over. True if there is one.
    pub fn end_drains(&mut self, now: Instant) -> bool {
        let timeout = self.config.drain_timeout;
        let mut is_one_over = false;
        for record in self.backends.values_mut().filter(|record| !record.is_cut) {
            let is_over = record.leaving_since.is_some_and(|since| now.since(since) >= timeout);
            record.is_cut = is_over;
            is_one_over |= is_over;
        }
        is_one_over
    }

    /// Backends that can get a request now, or as soon as those of a better priority are gone.
    pub fn fit_count(&self) -> usize {
        self.backends.values().filter(|record| is_fit(record)).count()
    }
}

pub(super) fn is_fit(record: &Record) -> bool {
    record.standing == Standing::Serving && record.weight() > 0
}

/// Probe states of a backend without results: up if there is no probe.
pub(super) fn unprobed(pool: &config::Pool) -> (Probed, Option<Probed>) {
    let has_probe = pool.health.kind != config::ProbeKind::None;
    let live = Probed::new((!has_probe).then_some(true));
    (live, pool.readiness.as_ref().map(|_| Probed::new(None)))
}

const _: () = assert!(
    crate::limits::WEIGHT_MAX as u64 * WEIGHT_SCALE as u64 * crate::limits::BACKENDS_MAX as u64
        <= u32::MAX as u64,
    "sums of scaled weights fit 32 bits"
);
