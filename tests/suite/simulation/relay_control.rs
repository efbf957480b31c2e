//! What the coordinator does in a world of relays, drawn at random: backends come, go and change,
//! limits and algorithms change, and one of the listeners goes and comes back.

use super::network::Network;
use super::pools::{Pools, backend_address};
use super::relay_plan::{Door, Plan, Pool};
use ringway::balance::Algorithm;
use ringway::base::Prng;
use ringway::config::{
    self, Config, ListenerIndex, NoSni, NotTls, PoolIndex, Protocol, ProxyHeader, ProxyTlv,
};
use ringway::engine::Socket;
use ringway::mailbox::Mailbox;
use ringway::route::HostPattern;
use ringway::snapshot::{self, Snapshot};
use std::net::SocketAddr;
use std::sync::Arc;

/// Most snapshots of one world.
const PUBLICATIONS_MAX: u64 = 80;

const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::P2c,
    Algorithm::LeastConnections,
    Algorithm::RoundRobin,
    Algorithm::Random,
    Algorithm::Hash,
];

pub struct RelayControl {
    config: Config,
    pub pools: Pools,
    has_faults: bool,
    sockets: [Option<Vec<Socket>>; 4],
}

/// Where a listener listens.
pub fn door_address(door: Door) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 1], 80 + door as u16))
}

fn route(door: Door, host: HostPattern, alpn: &[&str], pool: Pool) -> config::Route {
    config::Route {
        listener: Some(ListenerIndex(door as usize)),
        host,
        path: "/".to_owned(),
        alpn: alpn.iter().map(|name| (*name).to_owned()).collect(),
        pool: PoolIndex(pool as usize),
    }
}

fn config(plan: &Plan, prng: &mut Prng) -> Config {
    let backend = |pool, number| config::Backend {
        address: backend_address(pool, number),
        weight: u32::from(number),
    };
    let listen = Door::ALL.map(door_address);
    let mut config = Config::quick(&listen, &[backend(0, 1)], Algorithm::P2c).expect("well");
    config.timeouts = Plan::timeouts();
    config.http.trusted_proxies = vec!["198.18.0.0/16".parse().expect("a network")];
    config.runtime.max_connections = plan.connections_max;
    for (door, listener) in Door::ALL.into_iter().zip(&mut config.listeners) {
        listener.protocol = if door.is_tls() { Protocol::TlsPassthrough } else { Protocol::Tcp };
        if plan.requires_header(door) {
            listener.proxy_protocol = ProxyHeader::Require;
        }
        listener.no_sni = if door == Door::Open { NoSni::Default } else { NoSni::Reject };
        listener.not_tls = if door == Door::Open { NotTls::Default } else { NotTls::Close };
        listener.max_connections = if door.is_tls() { plan.door_limit } else { 0 };
    }
    let tlvs = [
        ProxyTlv::Authority,
        ProxyTlv::Alpn,
        ProxyTlv::UniqueId,
        ProxyTlv::Crc32c,
        ProxyTlv::Received,
    ];
    config.pools = (0..Pool::ALL.len())
        .map(|pool| config::Pool {
            algorithm: ALGORITHMS[prng.below(5) as usize],
            proxy_protocol: plan.header(pool),
            proxy_tlvs: tlvs.to_vec(),
            max_connections_per_backend: plan.backend_limit,
            ..config::Pool::new(pool.to_string(), [1, 2, 3].map(|n| backend(pool, n)).to_vec())
        })
        .collect();
    config.routes = vec![
        route(Door::Plain, HostPattern::Any, &[], Pool::Plain),
        route(Door::Announced, HostPattern::Any, &[], Pool::Plain),
        route(Door::Open, HostPattern::Any, &[], Pool::Default),
    ];
    for door in [Door::Open, Door::Strict] {
        let exact = HostPattern::Exact("a.example".to_owned());
        let below = HostPattern::Below("w.example".to_owned());
        config.routes.push(route(door, exact.clone(), &["h2"], Pool::Wild));
        config.routes.push(route(door, exact, &[], Pool::Named));
        config.routes.push(route(door, below, &[], Pool::Wild));
    }
    config
}

impl RelayControl {
    pub fn new(
        plan: &Plan,
        mailboxes: Arc<[Arc<Mailbox>]>,
        network: &mut Network,
        prng: &mut Prng,
    ) -> Self {
        let config = config(plan, prng);
        let mut pools = Pools::new(&config.pools, plan.has_faults, mailboxes);
        // Without faults nobody is to be refused for want of a backend.
        pools.all.iter_mut().for_each(|pool| pool.keeps_one = !plan.has_faults);
        let sockets = [const { None }; 4];
        let mut control = Self { config, pools, has_faults: plan.has_faults, sockets };
        control.sockets = Door::ALL.map(|door| Some(control.open(door, network)));
        control
    }

    fn open(&self, door: Door, network: &mut Network) -> Vec<Socket> {
        let shards = 0..self.pools.mailboxes.len();
        shards.map(|shard| network.open_door(door_address(door), shard)).collect()
    }

    /// Changes something and publishes it.
    pub fn change(&mut self, network: &mut Network, prng: &mut Prng) {
        if self.pools.generation.0 > PUBLICATIONS_MAX {
            return;
        }
        if prng.one_in(6) && !self.pools.is_one_leaving() {
            let passing = Door::Announced as usize;
            let is_there = self.sockets[passing].is_none() || prng.one_in(2);
            self.sockets[passing] = is_there.then(|| self.open(Door::Announced, network));
        }
        for _ in 0..1 + prng.below(3) {
            let pool = prng.below(Pool::ALL.len() as u32) as usize;
            match prng.below(8) {
                0 => {
                    self.config.pools[pool].algorithm = ALGORITHMS[prng.below(5) as usize];
                }
                1 => {
                    let most = [0, 2, 5][prng.below(3) as usize];
                    self.config.listeners[Door::Open as usize].max_connections = most;
                }
                2 if self.has_faults => {
                    let most = [0, 1, 3][prng.below(3) as usize];
                    self.config.pools[pool].max_connections_per_backend = most;
                }
                _ => self.pools.change_backend(pool, prng),
            }
        }
        let snapshot = self.next_snapshot();
        self.pools.mailboxes.iter().for_each(|mailbox| mailbox.publish(snapshot.clone()));
    }

    /// The next generation.
    pub fn next_snapshot(&mut self) -> Arc<Snapshot> {
        let pools = self.pools.build(&self.config.pools);
        let mut listeners = Vec::new();
        for door in Door::ALL {
            let Some(sockets) = self.sockets[door as usize].clone() else { continue };
            let (index, registry) = (ListenerIndex(door as usize), &mut self.pools.registry);
            let bound = door_address(door);
            let built = snapshot::build_listener(&self.config, index, registry, bound, sockets);
            listeners.push(Arc::new(built.expect("there is room")));
        }
        let settings = Arc::new(snapshot::build_settings(&self.config));
        Arc::new(snapshot::assemble(self.pools.generation, listeners, pools, settings))
    }
}
