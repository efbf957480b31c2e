//! The pools of a world: backends that come, go and change as the seed has it, and what each
//! generation offered of them.

use super::network::Mark;
use ringway::base::{BackendSlot, Generation, PoolId, Prng};
use ringway::config;
use ringway::mailbox::{Mailbox, Stage};
use ringway::snapshot::{self, Member, Pool, Registry, Share};
use ringway::tls::BackendTls;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Most backends of a pool.
pub const BACKENDS: u8 = 6;

/// What a shard might have picked in a generation.
#[derive(Default)]
struct Offer {
    serving: BTreeSet<SocketAddr>,
    /// With the shard that may.
    trials: Vec<(SocketAddr, usize)>,
    /// What they still carry is cut.
    cut: BTreeSet<SocketAddr>,
}

struct Record {
    slot: BackendSlot,
    share: Share,
    /// It is removed, which this generation was the first to say.
    removed_in: Option<Generation>,
}

/// One pool.
pub struct Managed {
    id: PoolId,
    pub is_there: bool,
    /// One of its backends serves at any time.
    pub keeps_one: bool,
    /// TLS to its backends.
    pub tls: Option<Arc<BackendTls>>,
    records: BTreeMap<SocketAddr, Record>,
    built: Option<Arc<Pool>>,
}

/// See the module.
pub struct Pools {
    pub all: Vec<Managed>,
    pub generation: Generation,
    pub registry: Registry,
    pub mailboxes: Arc<[Arc<Mailbox>]>,
    /// A backend that leaves may lose what it carries.
    may_cut: bool,
    offers: BTreeMap<Generation, Offer>,
    /// Of the newest trial.
    trial_round: u32,
}

/// Where the backends of a pool listen: no two pools have one in common.
pub fn backend_address(pool: usize, number: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, pool as u8, number], 80))
}

/// The pool of a backend.
pub fn pool_of(backend: SocketAddr) -> usize {
    let IpAddr::V4(address) = backend.ip() else { panic!("{backend} is no backend's") };
    usize::from(address.octets()[2])
}

impl Pools {
    /// The pools of a configuration, all of whose backends serve.
    pub fn new(configs: &[config::Pool], may_cut: bool, mailboxes: Arc<[Arc<Mailbox>]>) -> Self {
        let mut registry = Registry::default();
        let mut all = Vec::new();
        for config in configs {
            let id = registry.pool(&config.name).expect("there is room");
            let record = |backend: &config::Backend| {
                let slot = registry.slot(id, backend.address).expect("there is room");
                let share = Share::Weight(backend.weight);
                (backend.address, Record { slot, share, removed_in: None })
            };
            let records = config.backends.iter().map(record).collect();
            let (is_there, keeps_one, tls, built) = (true, false, None, None);
            all.push(Managed { id, is_there, keeps_one, tls, records, built });
        }
        let generation = Generation(0);
        let (offers, trial_round) = (BTreeMap::new(), 0);
        Self { all, generation, registry, mailboxes, may_cut, offers, trial_round }
    }

    /// True once every shard that still follows snapshots works with the newest one.
    fn is_applied(&self) -> bool {
        let follows = |mailbox: &&Arc<Mailbox>| mailbox.stage() < Stage::Draining;
        self.mailboxes.iter().filter(follows).all(|mailbox| mailbox.applied() == self.generation)
    }

    /// True once a shard is on its way out: the coordinator takes no configuration then.
    pub fn is_one_leaving(&self) -> bool {
        self.mailboxes.iter().any(|mailbox| mailbox.stage() >= Stage::Draining)
    }

    /// Adds a backend, takes one out, in one of the ways that there are, or changes its weight.
    pub fn change_backend(&mut self, pool: usize, prng: &mut Prng) {
        let address = backend_address(pool, 1 + prng.below(u32::from(BACKENDS)) as u8);
        let share = match prng.below(if self.may_cut { 8 } else { 7 }) {
            0..=2 => Share::Weight([1, 3, 100][prng.below(3) as usize]),
            3 | 4 => Share::Nothing,
            5 => Share::Weight(0),
            6 => {
                self.trial_round += 1;
                Share::Trial(self.trial_round)
            }
            _ => Share::Cut,
        };
        let removes = prng.one_in(4);
        let is_good = |record: &Record| matches!(record.share, Share::Weight(1..));
        let managed = &mut self.all[pool];
        let others = managed.records.iter().filter(|(other, record)| {
            **other != address && is_good(record) && record.removed_in.is_none()
        });
        let is_last = others.count() == 0 && managed.keeps_one;
        if is_last && (removes || !matches!(share, Share::Weight(1..))) {
            return;
        }
        let next = Generation(self.generation.0 + 1);
        if removes {
            if let Some(record) = managed.records.get_mut(&address) {
                record.removed_in.get_or_insert(next);
                record.share = Share::Nothing;
            }
            return;
        }
        let slot = self.registry.slot(managed.id, address).expect("there is room");
        managed.records.insert(address, Record { slot, share, removed_in: None });
    }

    /// The pools of the next generation. Those that did not change are those of the one before.
    pub fn build(&mut self, configs: &[config::Pool]) -> Vec<Arc<Pool>> {
        self.generation.0 += 1;
        let mut offer = Offer::default();
        let mut pools = Vec::new();
        for (managed, config) in self.all.iter_mut().zip(configs) {
            if !managed.is_there {
                managed.built = None;
                continue;
            }
            let before = managed.built.take();
            let built = managed.build(config, before.as_deref(), self.mailboxes.len());
            let built = before.filter(|before| **before == built).unwrap_or_else(|| built.into());
            offer.serving.extend(built.backends.iter().map(|backend| backend.address));
            let trial = |trial: &snapshot::Trial| (trial.backend.address, trial.shard.index());
            offer.trials.extend(built.trials.iter().map(trial));
            let cut = managed.records.iter().filter(|(_, record)| record.share == Share::Cut);
            offer.cut.extend(cut.map(|(address, _)| *address));
            managed.built = Some(built.clone());
            pools.push(built);
        }
        self.offers.insert(self.generation, offer);
        pools
    }

    /// Forgets removed backends of which nothing is left; their slots go to others.
    pub fn bury(&mut self) {
        if !self.is_applied() {
            return;
        }
        let ledger = self.mailboxes[0].shared.ledger.clone();
        let generation = self.generation;
        for managed in &mut self.all {
            let is_over = |record: &Record| {
                let mut cells = ledger.backends(record.slot);
                record.removed_in.is_some_and(|removed| removed <= generation)
                    && cells.all(|c| c.in_flight.read() == 0 && c.connections() == 0)
            };
            let over = managed.records.iter().filter(|(_, record)| is_over(record));
            let over: Vec<SocketAddr> = over.map(|(address, _)| *address).collect();
            for address in over {
                let record = managed.records.remove(&address).expect("listed");
                self.registry.release_slot(managed.id, address);
                ledger.clear_slot(record.slot);
            }
        }
    }

    /// True if a generation offered a backend to a shard.
    fn offers(&self, generation: Generation, address: SocketAddr, shard: Option<usize>) -> bool {
        let offer = &self.offers[&generation];
        let is_its = |trial: &(SocketAddr, usize)| {
            trial.0 == address && shard.is_none_or(|shard| shard == trial.1)
        };
        offer.serving.contains(&address) || offer.trials.iter().any(is_its)
    }

    /// Fails if a shard may not have begun a connection to a backend, or an exchange with it.
    pub fn check(&self, mark: Mark, address: SocketAddr, after: Generation, is_connect: bool) {
        let Mark { before, shard, .. } = mark;
        // A trial that was begun may become another shard's before it is sent.
        let shard = is_connect.then_some(shard);
        let offered = [before, after].iter().any(|at| self.offers(*at, address, shard));
        // A backend that leaves while it is connected to has the request if nobody else could.
        let is_first = !is_connect && mark.offset == 0;
        let goes_on = is_first && !self.offers[&before].cut.contains(&address);
        assert!(
            offered || goes_on,
            "{address} was not offered: {mark:?}, {after:?} after the turn"
        );
    }

    /// The slots that any backend ever had.
    pub fn slots(&self) -> impl Iterator<Item = BackendSlot> {
        (0..self.all.len() as u32 * u32::from(BACKENDS)).map(BackendSlot)
    }
}

impl Managed {
    fn build(&self, config: &config::Pool, before: Option<&Pool>, shards: usize) -> Pool {
        let member = |(address, record): (&SocketAddr, &Record)| Member {
            slot: record.slot,
            address: *address,
            share: record.share,
        };
        let members: Vec<Member> = self.records.iter().map(member).collect();
        let mut built = snapshot::build_pool(config, self.id, &members, shards);
        built.tls.clone_from(&self.tls);
        let all = members.iter().map(|member| (member.slot, member.address, 1));
        let before = before.and_then(|before| before.hashing.as_ref());
        built.hashing = snapshot::build_hashing(config, all, before);
        built
    }
}
