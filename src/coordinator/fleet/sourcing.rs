//! Applies the reports of sources: new backends wait for their first probe, backends that stay keep
//! their state, removed ones finish their exchanges. Names and files change by themselves: a
//! backend that returns by them before it has finished keeps the operator's orders and its
//! ejection. The state of a backend that an order or a reload removed is dropped.

use super::pool::is_fit;
use super::{Fleet, Found, PoolRecord, Record, Source};
use crate::base::Instant;
use crate::config::{self, Config};
use crate::coordinator::events::Event;
use crate::tls::Authorities;
use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;

impl Fleet {
    /// Applies the pools of a configuration. The state of pools and backends that stay is kept.
    pub fn configure(&mut self, config: &Config, now: Instant) {
        self.configurations += 1;
        for pool in &config.pools {
            if !self.pools.contains_key(&pool.name) {
                let Some(id) = self.registry.pool(&pool.name) else {
                    self.events.push(Event::NoRoom { what: format!("pool {}", pool.name) });
                    continue;
                };
                self.by_id.insert(id, pool.name.clone());
                self.pools.insert(pool.name.clone(), PoolRecord::new(id, pool.clone()));
            }
            let record = self.pools.get_mut(&pool.name).expect("it was made above");
            record.configure(pool);
        }
        let is_configured = |name: &str| config.pools.iter().any(|pool| pool.name == name);
        for (name, pool) in &mut self.pools {
            pool.is_removed = !is_configured(name);
        }
        self.source(now);
        self.is_dirty = true;
    }

    /// Sets what a pool trusts that trusts the system: the authorities of this machine.
    pub fn trust(&mut self, authorities: Option<Authorities>) {
        self.authorities = authorities.unwrap_or_else(|| Authorities::joined([]));
        self.is_dirty = true;
    }

    /// Applies new content of the files of TLS alone.
    pub fn replace_tls(&mut self, config: &Config) {
        for pool in &config.pools {
            if let Some(record) = self.pools.get_mut(&pool.name) {
                record.config.tls.clone_from(&pool.tls);
                record.config.health.pool_tls.clone_from(&pool.health.pool_tls);
                if let (Some(probe), Some(new)) = (&mut record.config.readiness, &pool.readiness) {
                    probe.pool_tls.clone_from(&new.pool_tls);
                }
            }
        }
        self.revision += 1;
        self.is_dirty = true;
    }

    /// True if fewer backends of a pool serve and stay by this configuration than it needs to
    /// serve, or to be ready.
    pub fn is_short_for(&self, config: &config::Pool) -> bool {
        let needs = if config.required { config.min_ready.max(1) } else { 1 };
        let known = self.pools.get(&config.name).filter(|pool| !pool.is_removed);
        known.map_or(0, |pool| pool.count_fit_that_stay(config)) < needs
    }

    /// The backends of a pool that its sources list under another configuration of it, as far as
    /// they have reported already: the content of another file is not known.
    pub fn reported_under(&self, next: &config::Pool) -> BTreeSet<SocketAddr> {
        let mut all: BTreeSet<SocketAddr> = next.backends.iter().map(|b| b.address).collect();
        let Some(known) = self.pools.get(&next.name) else { return all };
        let goes_on = |source: &Source| match source {
            Source::Config => false, // the other configuration has its own list
            Source::Operator => true,
            Source::Name(name) => next.names.iter().any(|next| next.lookup.to_string() == *name),
            Source::File => next.backends_file == known.config.backends_file,
        };
        let reported = known.reported.iter().filter(|(source, _)| goes_on(source));
        all.extend(reported.flat_map(|(_, found)| found).map(|found| found.address));
        all
    }

    /// Applies the complete report of a source in place of its last one. A late report of a source
    /// that is not configured any more is ignored.
    pub fn report(&mut self, pool: &str, source: Source, found: Vec<Found>, now: Instant) {
        if let Some(record) = self.pools.get_mut(pool).filter(|pool| pool.has_source(&source)) {
            record.complete.insert(source.clone());
        }
        self.source_answered(pool, &source, now);
        self.report_part(pool, source, found, now);
        if let Some(record) = self.pools.get_mut(pool) {
            record.forget_unreported();
        }
    }

    /// As [`Fleet::report`], for an incomplete report.
    pub fn report_part(&mut self, pool: &str, source: Source, found: Vec<Found>, now: Instant) {
        let Some(record) = self.pools.get_mut(pool) else { return };
        if !record.has_source(&source) {
            return;
        }
        record.awaited.retain(|awaited| *awaited != source);
        if record.reported.get(&source) == Some(&found) {
            return;
        }
        record.reported.insert(source, found);
        self.source(now);
    }

    /// Makes the backends of every pool those that its sources list.
    pub(super) fn source(&mut self, now: Instant) {
        self.revision += 1;
        let had_left_out = self.left_out > 0;
        self.left_out = 0;
        let names: Vec<String> = self.pools.keys().cloned().collect();
        for name in names {
            self.source_pool(&name, now);
        }
        if self.left_out > 0 && !had_left_out {
            let what = format!("{} backends, until others have gone", self.left_out);
            self.events.push(Event::NoRoom { what });
        }
    }

    fn source_pool(&mut self, name: &str, now: Instant) {
        let wanted = self.pools[name].wanted();
        for (address, (source, found)) in &wanted {
            self.source_backend(name, *address, source, *found, now);
        }
        let pool = self.pools.get_mut(name).expect("its name was listed");
        let is_gone = |(address, record): &(&SocketAddr, &Record)| {
            !wanted.contains_key(*address) && !record.is_removed
        };
        let gone = pool.backends.iter().filter(is_gone).map(|(address, _)| *address);
        for address in gone.collect::<Vec<_>>() {
            pool.remove_backend(address);
            self.is_dirty = true;
        }
        pool.forget_unreported();
    }

    fn source_backend(
        &mut self,
        name: &str,
        address: SocketAddr,
        source: &Source,
        found: Found,
        now: Instant,
    ) {
        let pool = self.pools.get_mut(name).expect("its name was listed");
        match pool.backends.get_mut(&address) {
            Some(record) if record.is_removed => pool.return_backend(address, source, found),
            Some(record) if record.found == found && record.source == *source => return,
            Some(record) => (record.found, record.source) = (found, source.clone()),
            None => {
                let Some(slot) = self.registry.slot(pool.id, address) else {
                    self.left_out += 1;
                    return;
                };
                let record = pool.new_record(slot, source.clone(), found);
                pool.backends.insert(address, record);
                pool.recall(address, now);
                self.by_slot.insert(slot, (name.to_owned(), address));
            }
        }
        self.is_dirty = true;
    }
}

impl PoolRecord {
    fn count_fit_that_stay(&self, config: &config::Pool) -> usize {
        let is_same_file = self.config.backends_file == config.backends_file;
        // A set, because each of thousands of backends is looked up.
        let addresses: HashSet<SocketAddr> = config.backends.iter().map(|b| b.address).collect();
        let names: BTreeSet<Source> = config.names.iter().map(Source::of_name).collect();
        let stays = |address: &SocketAddr, source: &Source| match source {
            Source::Config => addresses.contains(address),
            Source::Operator => true,
            Source::Name(_) => names.contains(source),
            Source::File => is_same_file,
        };
        let fit = self.backends.iter().filter(|(_, record)| is_fit(record));
        fit.filter(|(address, record)| stays(address, &record.source)).count()
    }

    /// No source lists a backend any more.
    fn remove_backend(&mut self, address: SocketAddr) {
        let is_by_itself = !self.is_removed
            && !self.taken_out.contains(&address)
            && self.backends.get(&address).is_some_and(|record| {
                let source = &record.source;
                matches!(source, Source::Name(_) | Source::File) && self.has_source(source)
            });
        let Some(record) = self.backends.get_mut(&address) else { return };
        record.is_removed = true;
        if !is_by_itself {
            record.forget_orders();
            self.ejections.release(record.slot);
        }
    }

    /// A removed backend that still drains is listed again. It is probed as if it were new, since
    /// its health may have changed, but keeps its row, where its exchanges in flight are counted,
    /// and the orders that were not dropped at its removal.
    fn return_backend(&mut self, address: SocketAddr, source: &Source, found: Found) {
        let Some(slot) = self.backends.get(&address).map(|record| record.slot) else { return };
        let new = self.new_record(slot, source.clone(), found);
        if let Some(record) = self.backends.get_mut(&address) {
            *record = Record {
                operator: record.operator,
                weight_override: record.weight_override,
                // As last judged, so that its return is an event.
                standing: record.standing,
                last_fault: record.last_fault,
                tls_fault: record.tls_fault,
                ..new
            };
        }
    }

    /// The sources of this pool whose answers change by themselves.
    pub(super) fn changing_sources(&self) -> impl Iterator<Item = Source> {
        let names = self.config.names.iter().map(Source::of_name);
        names.chain(self.config.backends_file.iter().map(|_| Source::File))
    }

    /// True if the configuration has this source.
    pub(super) fn has_source(&self, source: &Source) -> bool {
        match source {
            Source::Config | Source::Operator => true,
            Source::Name(_) => {
                self.config.names.iter().any(|name| Source::of_name(name) == *source)
            }
            Source::File => self.config.backends_file.is_some(),
        }
    }

    /// Drops the operator's removals of backends that have left the configuration since: if one is
    /// configured again, it is meant to serve. Backends of other sources may come and go by
    /// themselves.
    pub(super) fn forget_taken_out(&mut self, was_configured: &[Found]) {
        let is_reported = |address: &SocketAddr| {
            self.reported.values().flatten().any(|found| found.address == *address)
        };
        let has_other_sources =
            !self.config.names.is_empty() || self.config.backends_file.is_some();
        let is_kept = |address: &SocketAddr| {
            let was_configured = was_configured.iter().any(|found| found.address == *address);
            is_reported(address) || (has_other_sources && !was_configured)
        };
        let kept = self.taken_out.iter().copied().filter(is_kept).collect();
        self.taken_out = kept;
    }

    /// Applies a new configuration of the same pool.
    fn configure(&mut self, pool: &config::Pool) {
        let is_same_probe = self.config.health == pool.health;
        let is_same_readiness = self.config.readiness == pool.readiness;
        self.config = pool.clone();
        let backends = pool.backends.iter();
        let found = backends.map(|b| Found { address: b.address, weight: b.weight, priority: 0 });
        let was_configured = self.reported.insert(Source::Config, found.collect());
        let mut reported = std::mem::take(&mut self.reported);
        reported.retain(|source, _| self.has_source(source));
        self.reported = reported;
        let is_awaited = |source: &Source| !self.reported.contains_key(source);
        self.awaited = self.changing_sources().filter(is_awaited).collect();
        self.complete.retain(|source| self.reported.contains_key(source));
        self.doubt_sources();
        self.forget_taken_out(&was_configured.unwrap_or_default());
        // The results of another kind of probe do not count for the new one; still, a backend that
        // was up stays up until the new probe has failed, so that a reload takes none out.
        if !is_same_probe && pool.health.kind == config::ProbeKind::None {
            for record in self.backends.values_mut() {
                record.live = super::Probed::new(Some(true));
            }
        }
        if !is_same_readiness {
            for record in self.backends.values_mut() {
                let was_up = record.ready.as_ref().is_none_or(|probed| probed.state.is_up());
                record.ready = pool.readiness.as_ref().map(|_| super::Probed::new(Some(was_up)));
            }
        }
    }
}
