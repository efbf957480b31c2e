//! What the coordinator does in a world of flows, drawn at random: backends come, go and change,
//! the route leads to another pool, and one of two listeners goes and comes back. It remembers what
//! each generation offered.

use super::flow_actors::backend_address;
use super::network::{Mark, Network};
use ringway::balance::Algorithm;
use ringway::base::{BackendSlot, Generation, PoolId, Prng};
use ringway::config::{self, Config, FlowRules, ListenerIndex, PoolIndex, Protocol, ProxyProtocol};
use ringway::engine::Socket;
use ringway::mailbox::Mailbox;
use ringway::snapshot::{self, Member, Registry, Share, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// Most snapshots of one world.
const PUBLICATIONS_MAX: u64 = 80;
/// Backends of a pool; the numbers of those of the second one follow.
const BACKENDS: u8 = 4;

/// The port of the listener that stays, and of the one that does not.
pub const PORTS: [u16; 2] = [53, 54];

/// What a shard might have picked in a generation.
#[derive(Default)]
struct Offer {
    serving: BTreeSet<SocketAddr>,
    trials: BTreeSet<SocketAddr>,
}

pub struct FlowControl {
    config: Config,
    pub generation: Generation,
    has_faults: bool,
    registry: Registry,
    mailboxes: Arc<[Arc<Mailbox>]>,
    ids: [PoolId; 2],
    /// By backend.
    shares: Vec<Share>,
    sockets: [Option<Vec<Socket>>; 2],
    offers: BTreeMap<Generation, Offer>,
    trial_round: u32,
}

impl FlowControl {
    pub fn new(
        has_faults: bool,
        rules: FlowRules,
        header: ProxyProtocol,
        mailboxes: Arc<[Arc<Mailbox>]>,
        network: &mut Network,
        prng: &mut Prng,
    ) -> Self {
        let algorithm = Algorithm::ALL[prng.below(4) as usize];
        let listen = PORTS.map(|port| SocketAddr::from(([0, 0, 0, 0], port)));
        let backend = |number| config::Backend { address: backend_address(number), weight: 1 };
        let mut config = Config::quick(&listen, &[backend(1)], algorithm).expect("it is well");
        for listener in &mut config.listeners {
            listener.protocol = Protocol::Udp;
            listener.flows = rules;
        }
        let pool = |name, first: u8| {
            let backends = (first..first + BACKENDS).map(backend).collect();
            let pool = config::Pool::new(name, backends);
            config::Pool { algorithm, proxy_protocol: header, ..pool }
        };
        config.pools = vec![pool("a", 1), pool("b", 1 + BACKENDS)];
        let mut registry = Registry::default();
        let ids = ["a", "b"].map(|name| registry.pool(name).expect("there is room"));
        let mut control = Self {
            config,
            generation: Generation(0),
            has_faults,
            registry,
            mailboxes,
            ids,
            shares: vec![Share::Weight(1); 2 * usize::from(BACKENDS)],
            sockets: [None, None],
            offers: BTreeMap::new(),
            trial_round: 0,
        };
        control.sockets = [0, 1].map(|at| Some(control.open(at, network)));
        control
    }

    fn open(&self, listener: usize, network: &mut Network) -> Vec<Socket> {
        let address = self.config.listeners[listener].address;
        (0..self.mailboxes.len()).map(|shard| network.open_mouth(address, shard)).collect()
    }

    /// Changes something, and publishes it.
    pub fn change(&mut self, network: &mut Network, prng: &mut Prng) {
        if self.generation.0 >= PUBLICATIONS_MAX {
            return;
        }
        match prng.below(12) {
            0 => {
                let pool = PoolIndex(prng.below(2) as usize);
                self.config.routes.iter_mut().for_each(|route| route.pool = pool);
            }
            1 => {
                let is_there = self.sockets[1].is_none() || prng.one_in(2);
                self.sockets[1] = is_there.then(|| self.open(1, network));
            }
            _ => self.change_backend(prng),
        }
        let snapshot = self.next_snapshot();
        self.mailboxes.iter().for_each(|mailbox| mailbox.publish(snapshot.clone()));
    }

    fn change_backend(&mut self, prng: &mut Prng) {
        let at = prng.below(2 * u32::from(BACKENDS)) as usize;
        let share = match prng.below(if self.has_faults { 9 } else { 7 }) {
            0..=2 => Share::Weight([1, 3, 100][prng.below(3) as usize]),
            3 | 4 => Share::Nothing,
            5 => Share::Weight(0),
            6 => {
                self.trial_round += 1;
                Share::Trial(self.trial_round)
            }
            7 => Share::Down,
            _ => Share::Cut,
        };
        let is_good = |share: &Share| matches!(share, Share::Weight(1..));
        let pool = at / usize::from(BACKENDS) * usize::from(BACKENDS);
        let others = (pool..pool + usize::from(BACKENDS)).filter(|other| *other != at);
        let has_other = others.into_iter().any(|other| is_good(&self.shares[other]));
        if has_other || is_good(&share) || self.has_faults {
            self.shares[at] = share;
        }
    }

    pub fn next_snapshot(&mut self) -> Arc<Snapshot> {
        self.generation.0 += 1;
        let target = self.config.routes[0].pool.0;
        let mut pools = Vec::new();
        for (index, id) in self.ids.into_iter().enumerate() {
            let first = index * usize::from(BACKENDS);
            let member = |at: usize| {
                let address = backend_address(at as u8 + 1);
                let slot = self.registry.slot(id, address).expect("there is room");
                Member { slot, address, share: self.shares[at] }
            };
            let members: Vec<Member> = (first..first + usize::from(BACKENDS)).map(member).collect();
            let config = &self.config.pools[index];
            let built = snapshot::build_pool(config, id, &members, self.mailboxes.len());
            if index == target {
                let serving = built.backends.iter().map(|backend| backend.address).collect();
                let trials = built.trials.iter().map(|trial| trial.backend.address).collect();
                self.offers.insert(self.generation, Offer { serving, trials });
            }
            pools.push(Arc::new(built));
        }
        let mut listeners = Vec::new();
        for (at, sockets) in self.sockets.iter().enumerate() {
            let Some(sockets) = sockets else { continue };
            let (index, registry) = (ListenerIndex(at), &mut self.registry);
            let bound = self.config.listeners[at].address;
            let sockets = sockets.clone();
            let built = snapshot::build_listener(&self.config, index, registry, bound, sockets);
            listeners.push(Arc::new(built.expect("there is room")));
        }
        let settings = Arc::new(snapshot::build_settings(&self.config));
        Arc::new(snapshot::assemble(self.generation, listeners, pools, settings))
    }

    fn offers(&self, generation: Generation, address: SocketAddr) -> bool {
        let offer = &self.offers[&generation];
        offer.serving.contains(&address) || offer.trials.contains(&address)
    }

    /// Fails if a shard may not have begun a flow with a backend.
    pub fn check_begun(&self, address: SocketAddr, mark: Mark, after: Generation) {
        let offered = [mark.before, after].iter().any(|at| self.offers(*at, address));
        assert!(offered, "{address} was not offered: {mark:?}, {after:?} after the turn");
    }

    /// Fails if a shard sent a datagram to a backend that has left, while another one serves.
    pub fn check_sent(&self, address: SocketAddr, mark: Mark) {
        let has_other = !self.offers[&mark.before].serving.is_empty();
        let is_kept = has_other && !self.offers(mark.before, address);
        assert!(!is_kept || self.has_faults, "{address} has left: {mark:?}");
    }

    /// The slots of all backends.
    pub fn slots(&self) -> impl Iterator<Item = BackendSlot> {
        (0..2 * u32::from(BACKENDS)).map(BackendSlot)
    }
}
