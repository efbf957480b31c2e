//! What the coordinator does, drawn at random: snapshots in which backends, pools, routes and
//! listeners come, go and change. It remembers what each generation offered.

use super::backend::backend_address;
use super::message::Area;
use super::network::{Mark, Network};
use super::secured::backend_tls;
use super::veil::server_names;
use ringway::balance::Algorithm;
use ringway::base::{BackendSlot, Generation, PoolId, Prng};
use ringway::config::{self, Config, ListenerIndex, PoolIndex};
use ringway::engine::Socket;
use ringway::mailbox::{Mailbox, Stage};
use ringway::route::HostPattern;
use ringway::snapshot::{self, Member, Pool, Registry, Share, Snapshot};
use ringway::tls::BackendTls;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Most snapshots of one world, so that each comes to an end.
const PUBLICATIONS_MAX: u64 = 60;
const BACKENDS: u8 = 6;

/// The doors: the first one always stays.
pub const FRONT: ListenerIndex = ListenerIndex(0);
pub const SIDE: ListenerIndex = ListenerIndex(1);

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

struct Managed {
    area: Area,
    id: PoolId,
    is_there: bool,
    records: BTreeMap<SocketAddr, Record>,
    built: Option<Arc<Pool>>,
}

pub struct Control {
    pub config: Config,
    pub generation: Generation,
    has_faults: bool,
    registry: Registry,
    /// Of the pools that are secure.
    tls: Arc<BackendTls>,
    mailboxes: Arc<[Arc<Mailbox>]>,
    pools: Vec<Managed>,
    front: Vec<Socket>,
    side: Option<Vec<Socket>>,
    offers: BTreeMap<Generation, Offer>,
    /// Of the newest trial.
    trial_round: u32,
}

fn config(algorithm: Algorithm, connections_max: usize) -> Config {
    let listen = [80, 81].map(|port| SocketAddr::from(([203, 0, 113, 1], port)));
    let backend = |area, number| config::Backend {
        address: backend_address(area, number),
        weight: u32::from(number),
    };
    let pool = |area: Area| {
        let backends = [1, 2, 3].map(|number| backend(area, number)).to_vec();
        config::Pool { algorithm, ..config::Pool::new(area.name(), backends) }
    };
    let mut config = Config::quick(&listen, &[backend(Area::Steady, 1)], algorithm).expect("well");
    config.listeners[SIDE.0].protocol = config::Protocol::Https;
    config.pools = Area::ALL.map(pool).to_vec();
    config.routes = routes(true);
    config.runtime.max_connections = connections_max;
    config.timeouts.tunnel = Duration::from_secs(90);
    config
}

/// Each area by its path, the passing one if it is there.
fn routes(has_passing: bool) -> Vec<config::Route> {
    let route = |(index, area): (usize, &Area)| config::Route {
        listener: None,
        host: HostPattern::Any,
        path: format!("/{}", area.name()),
        alpn: Vec::new(),
        pool: PoolIndex(index),
    };
    let all = Area::ALL.iter().enumerate();
    all.filter(|(_, area)| has_passing || **area != Area::Passing).map(route).collect()
}

impl Control {
    pub fn new(
        has_faults: bool,
        connections_max: usize,
        mailboxes: Arc<[Arc<Mailbox>]>,
        network: &mut Network,
        prng: &mut Prng,
    ) -> Self {
        let algorithm = Algorithm::ALL[prng.below(4) as usize];
        let mut config = config(algorithm, connections_max);
        if has_faults && prng.one_in(4) {
            let most = 1 + prng.below(2) as usize;
            config.pools.iter_mut().for_each(|pool| pool.max_connections_per_backend = most);
        }
        let mut registry = Registry::default();
        let mut pools = Vec::new();
        for (area, pool) in Area::ALL.into_iter().zip(&config.pools) {
            let id = registry.pool(&pool.name).expect("there is room");
            let record = |backend: &config::Backend| {
                let slot = registry.slot(id, backend.address).expect("there is room");
                let share = Share::Weight(backend.weight);
                (backend.address, Record { slot, share, removed_in: None })
            };
            let records = pool.backends.iter().map(record).collect();
            pools.push(Managed { area, id, is_there: true, records, built: None });
        }
        let mut control = Self {
            config,
            generation: Generation(0),
            has_faults,
            registry,
            tls: backend_tls(),
            mailboxes,
            pools,
            front: Vec::new(),
            side: None,
            offers: BTreeMap::new(),
            trial_round: 0,
        };
        control.front = control.open_doors(FRONT, network);
        control.side = Some(control.open_doors(SIDE, network));
        control
    }

    pub fn address(&self, listener: ListenerIndex) -> SocketAddr {
        self.config.listeners[listener.0].address
    }

    fn open_doors(&self, listener: ListenerIndex, network: &mut Network) -> Vec<Socket> {
        let address = self.address(listener);
        (0..self.mailboxes.len()).map(|shard| network.open_door(address, shard)).collect()
    }

    /// True once every shard that still follows snapshots works with the newest one.
    pub fn is_applied(&self) -> bool {
        let follows = |mailbox: &&Arc<Mailbox>| mailbox.stage() < Stage::Draining;
        self.mailboxes.iter().filter(follows).all(|mailbox| mailbox.applied() == self.generation)
    }

    /// Changes something and publishes it.
    pub fn change(&mut self, network: &mut Network, prng: &mut Prng) {
        if self.generation.0 > PUBLICATIONS_MAX {
            return;
        }
        if prng.one_in(6) {
            self.change_side_door(network, prng);
        }
        for _ in 0..1 + prng.below(3) {
            match prng.below(10) {
                0 => self.pools[2].is_there ^= true,
                1 => self.change_pool(prng),
                2 => self.config.http.via = ["", "sim"][prng.below(2) as usize].to_owned(),
                3 | 4 => self.change_backend(2, prng),
                5 => {
                    let most = [0, 2, 5][prng.below(3) as usize];
                    self.config.listeners[FRONT.0].max_connections = most;
                }
                _ => self.change_backend(1, prng),
            }
        }
        let snapshot = self.next_snapshot();
        self.mailboxes.iter().for_each(|mailbox| mailbox.publish(snapshot.clone()));
    }

    /// Not once a shard is on its way out: the coordinator takes no configuration then.
    fn change_side_door(&mut self, network: &mut Network, prng: &mut Prng) {
        let is_leaving = |mailbox: &Arc<Mailbox>| mailbox.stage() >= Stage::Draining;
        if self.mailboxes.iter().any(is_leaving) {
            return;
        }
        let is_there = self.side.is_none() || prng.one_in(2);
        self.side = is_there.then(|| self.open_doors(SIDE, network));
    }

    fn change_pool(&mut self, prng: &mut Prng) {
        let pool = &mut self.config.pools[1 + prng.below(2) as usize];
        match prng.below(if self.has_faults { 3 } else { 2 }) {
            0 => pool.algorithm = Algorithm::ALL[prng.below(4) as usize],
            2 => pool.max_connections_per_backend = [0, 1, 3][prng.below(3) as usize],
            _ => pool.idle_connections = [0, 1, 256][prng.below(3) as usize],
        }
    }

    /// Adds a backend, takes one out, in one of the ways that there are, or changes its weight.
    fn change_backend(&mut self, pool: usize, prng: &mut Prng) {
        let area = self.pools[pool].area;
        let address = backend_address(area, 1 + prng.below(u32::from(BACKENDS)) as u8);
        let share = match prng.below(if self.has_faults { 8 } else { 7 }) {
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
        let managed = &mut self.pools[pool];
        let others = managed.records.iter().filter(|(other, record)| {
            **other != address && is_good(record) && record.removed_in.is_none()
        });
        let is_last = others.count() == 0 && area == Area::Flux;
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

    /// The next generation. Pools that did not change are those of the one before.
    pub fn next_snapshot(&mut self) -> Arc<Snapshot> {
        self.generation.0 += 1;
        self.config.routes = routes(self.pools[2].is_there);
        let mut offer = Offer::default();
        let mut pools = Vec::new();
        for (managed, config) in self.pools.iter_mut().zip(&self.config.pools) {
            if !managed.is_there {
                managed.built = None;
                continue;
            }
            let member = |(address, record): (&SocketAddr, &Record)| Member {
                slot: record.slot,
                address: *address,
                share: record.share,
            };
            let members: Vec<Member> = managed.records.iter().map(member).collect();
            let mut built =
                snapshot::build_pool(config, managed.id, &members, self.mailboxes.len());
            built.tls = managed.area.is_secure().then(|| self.tls.clone());
            let built = match managed.built.take() {
                Some(before) if *before == built => before,
                _ => Arc::new(built),
            };
            offer.serving.extend(built.backends.iter().map(|backend| backend.address));
            let trial = |trial: &snapshot::Trial| (trial.backend.address, trial.shard.index());
            offer.trials.extend(built.trials.iter().map(trial));
            let cut = managed.records.iter().filter(|(_, record)| record.share == Share::Cut);
            offer.cut.extend(cut.map(|(address, _)| *address));
            managed.built = Some(built.clone());
            pools.push(built);
        }
        self.offers.insert(self.generation, offer);
        let mut listeners = Vec::new();
        let doors = [(FRONT, Some(self.front.clone())), (SIDE, self.side.clone())];
        for (index, sockets) in doors {
            let Some(sockets) = sockets else { continue };
            let bound = self.address(index);
            let registry = &mut self.registry;
            let built = snapshot::build_listener(&self.config, index, registry, bound, sockets);
            let mut built = built.expect("there is room");
            if built.protocol == config::Protocol::Https {
                built.tls = Some(server_names());
            }
            listeners.push(Arc::new(built));
        }
        let settings = Arc::new(snapshot::build_settings(&self.config));
        Arc::new(snapshot::assemble(self.generation, listeners, pools, settings))
    }

    /// Forgets removed backends of which nothing is left; their slots go to others.
    pub fn bury(&mut self) {
        if !self.is_applied() {
            return;
        }
        let ledger = self.mailboxes[0].shared.ledger.clone();
        let generation = self.generation;
        for managed in &mut self.pools {
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
        (0..3 * u32::from(BACKENDS)).map(BackendSlot)
    }
}
