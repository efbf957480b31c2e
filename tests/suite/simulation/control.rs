//! What the coordinator does, drawn at random: snapshots in which backends, pools, routes and
//! listeners come, go and change.

use super::message::Area;
use super::network::Network;
use super::pools::{Pools, backend_address};
use super::secured::backend_tls;
use super::veil::server_names;
use ringway::balance::Algorithm;
use ringway::base::Prng;
use ringway::config::{self, Config, ListenerIndex, PoolIndex};
use ringway::engine::Socket;
use ringway::mailbox::Mailbox;
use ringway::route::HostPattern;
use ringway::snapshot::{self, Snapshot};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Most snapshots of one world, so that each comes to an end.
const PUBLICATIONS_MAX: u64 = 60;

/// The doors: the first one always stays.
pub const FRONT: ListenerIndex = ListenerIndex(0);
pub const SIDE: ListenerIndex = ListenerIndex(1);

pub struct Control {
    pub config: Config,
    pub pools: Pools,
    has_faults: bool,
    front: Vec<Socket>,
    side: Option<Vec<Socket>>,
}

fn config(algorithm: Algorithm, connections_max: usize) -> Config {
    let listen = [80, 81].map(|port| SocketAddr::from(([203, 0, 113, 1], port)));
    let backend = |area: Area, number| config::Backend {
        address: backend_address(area.index(), number),
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
        let mut pools = Pools::new(&config.pools, has_faults, mailboxes);
        let tls = backend_tls();
        for (area, pool) in Area::ALL.into_iter().zip(&mut pools.all) {
            pool.keeps_one = area == Area::Flux;
            pool.tls = area.is_secure().then(|| tls.clone());
        }
        let mut control = Self { config, pools, has_faults, front: Vec::new(), side: None };
        control.front = control.open_doors(FRONT, network);
        control.side = Some(control.open_doors(SIDE, network));
        control
    }

    pub fn address(&self, listener: ListenerIndex) -> SocketAddr {
        self.config.listeners[listener.0].address
    }

    fn open_doors(&self, listener: ListenerIndex, network: &mut Network) -> Vec<Socket> {
        let address = self.address(listener);
        (0..self.pools.mailboxes.len()).map(|shard| network.open_door(address, shard)).collect()
    }

    /// Changes something and publishes it.
    pub fn change(&mut self, network: &mut Network, prng: &mut Prng) {
        if self.pools.generation.0 > PUBLICATIONS_MAX {
            return;
        }
        if prng.one_in(6) && !self.pools.is_one_leaving() {
            let is_there = self.side.is_none() || prng.one_in(2);
            self.side = is_there.then(|| self.open_doors(SIDE, network));
        }
        for _ in 0..1 + prng.below(3) {
            match prng.below(10) {
                0 => self.pools.all[2].is_there ^= true,
                1 => self.change_pool(prng),
                2 => self.config.http.via = ["", "sim"][prng.below(2) as usize].to_owned(),
                3 | 4 => self.pools.change_backend(2, prng),
                5 => {
                    let most = [0, 2, 5][prng.below(3) as usize];
                    self.config.listeners[FRONT.0].max_connections = most;
                }
                _ => self.pools.change_backend(1, prng),
            }
        }
        let snapshot = self.next_snapshot();
        self.pools.mailboxes.iter().for_each(|mailbox| mailbox.publish(snapshot.clone()));
    }

    fn change_pool(&mut self, prng: &mut Prng) {
        let pool = &mut self.config.pools[1 + prng.below(2) as usize];
        match prng.below(if self.has_faults { 3 } else { 2 }) {
            0 => pool.algorithm = Algorithm::ALL[prng.below(4) as usize],
            2 => pool.max_connections_per_backend = [0, 1, 3][prng.below(3) as usize],
            _ => pool.idle_connections = [0, 1, 256][prng.below(3) as usize],
        }
    }

    /// The next generation.
    pub fn next_snapshot(&mut self) -> Arc<Snapshot> {
        self.config.routes = routes(self.pools.all[2].is_there);
        let pools = self.pools.build(&self.config.pools);
        let mut listeners = Vec::new();
        let doors = [(FRONT, Some(self.front.clone())), (SIDE, self.side.clone())];
        for (index, sockets) in doors {
            let Some(sockets) = sockets else { continue };
            let bound = self.address(index);
            let registry = &mut self.pools.registry;
            let built = snapshot::build_listener(&self.config, index, registry, bound, sockets);
            let mut built = built.expect("there is room");
            if built.protocol == config::Protocol::Https {
                built.tls = Some(server_names());
            }
            listeners.push(Arc::new(built));
        }
        let settings = Arc::new(snapshot::build_settings(&self.config));
        Arc::new(snapshot::assemble(self.pools.generation, listeners, pools, settings))
    }
}
