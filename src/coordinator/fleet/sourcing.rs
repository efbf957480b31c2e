//! What sources tell becomes backends: those that are new wait for their first probe, those that
//! stay keep everything that is known of them, those that are gone finish what they have.

use super::{Fleet, Found, PoolRecord, Source};
use crate::base::Instant;
use crate::config::{self, Config};
use crate::coordinator::events::Event;
use std::net::SocketAddr;

impl Fleet {
    /// Takes the pools of a configuration. What is known of pools and backends that stay is kept.
    pub fn configure(&mut self, config: &Config, now: Instant) {
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

    /// Takes what a source tells of a pool in place of what it told before.
    pub fn tell(&mut self, pool: &str, source: Source, found: Vec<Found>, now: Instant) {
        let Some(record) = self.pools.get_mut(pool) else { return };
        record.awaited.retain(|awaited| *awaited != source);
        if record.told.get(&source) == Some(&found) {
            return;
        }
        record.told.insert(source, found);
        self.source(now);
    }

    /// Takes note that a source has nothing to tell for now; what it told before still holds.
    pub fn source_failed(&mut self, pool: &str, source: &Source, reason: String) {
        if let Some(record) = self.pools.get_mut(pool) {
            record.awaited.retain(|awaited| awaited != source);
        }
        let (pool, source) = (pool.to_owned(), source.to_string());
        self.events.push(Event::SourceFailed { pool, source, reason });
    }

    /// Makes the backends of every pool those that its sources tell of.
    pub(super) fn source(&mut self, _now: Instant) {
        self.revision += 1;
        let names: Vec<String> = self.pools.keys().cloned().collect();
        for name in names {
            self.source_pool(&name);
        }
    }

    fn source_pool(&mut self, name: &str) {
        let wanted = self.pools[name].wanted();
        for (address, (source, found)) in &wanted {
            self.source_backend(name, *address, source, *found);
        }
        let pool = self.pools.get_mut(name).expect("its name was listed");
        for (address, record) in &mut pool.backends {
            if !wanted.contains_key(address) && !record.is_removed {
                record.is_removed = true;
                self.is_dirty = true;
            }
        }
    }

    fn source_backend(&mut self, name: &str, address: SocketAddr, source: &Source, found: Found) {
        let pool = self.pools.get_mut(name).expect("its name was listed");
        if let Some(record) = pool.backends.get_mut(&address) {
            let is_same = record.found == found && record.source == *source && !record.is_removed;
            if !is_same {
                record.found = found;
                record.source = source.clone();
                record.is_removed = false;
                self.is_dirty = true;
            }
            return;
        }
        let Some(slot) = self.registry.slot(pool.id, address) else {
            self.events.push(Event::NoRoom { what: format!("backend {address} of pool {name}") });
            return;
        };
        let record = pool.new_record(slot, source.clone(), found);
        pool.backends.insert(address, record);
        self.by_slot.insert(slot, (name.to_owned(), address));
        self.is_dirty = true;
    }
}

impl PoolRecord {
    /// Takes a new configuration of the same pool.
    fn configure(&mut self, pool: &config::Pool) {
        let is_same_probe = self.config.health == pool.health;
        let is_same_readiness = self.config.readiness == pool.readiness;
        self.config = pool.clone();
        let backends = pool.backends.iter();
        let found = backends.map(|b| Found { address: b.address, weight: b.weight, priority: 0 });
        self.told.insert(Source::Config, found.collect());
        let is_configured = |source: &Source| match source {
            Source::Config | Source::Operator => true,
            Source::Name(name) => pool.names.iter().any(|known| known.lookup.to_string() == *name),
            Source::File => pool.backends_file.is_some(),
        };
        self.told.retain(|source, _| is_configured(source));
        let names = pool.names.iter().map(|name| Source::Name(name.lookup.to_string()));
        let file = pool.backends_file.iter().map(|_| Source::File);
        let awaited = names.chain(file).filter(|source| !self.told.contains_key(source));
        self.awaited = awaited.collect();
        // A probe of another kind says nothing about the results of the one before; still, what
        // was up stays up until the new one has failed, so that a reload takes nobody out.
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
