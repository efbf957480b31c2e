//! One shard over a calm network, in which a test says and hears every byte itself.

use super::engine::SimEngine;
use super::lone::{self, CALM, listen_address};
use super::network::Network;
use super::secured::backend_tls;
use ringway::access_log::Sender;
use ringway::base::{BackendSlot, Generation, PoolId, ShardId};
use ringway::config::{self, Config, ListenerIndex, Protocol};
use ringway::engine::{BufferId, Close, Engine, Room, Socket, Wake};
use ringway::mailbox::{Mailbox, Observation, Shared, Stage};
use ringway::shard::{Shard, ShardParts};
use ringway::snapshot::{self, Listener, Member, Pool, Registry, Settings, Share, Snapshot};
use ringway::stats::Counter;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

const POOL: PoolId = PoolId(0);

/// Stands for the coordinator: notes each observation when it is woken for it, with the number of
/// exchanges that are counted on the backend at that moment.
#[derive(Default)]
struct Witness {
    shared: OnceLock<Shared>,
    told: Mutex<Vec<(Observation, u32)>>,
}

impl Wake for Witness {
    fn wake(&self) {
        let Some(shared) = self.shared.get() else { return };
        while let Some(observation) = shared.observations.pop() {
            let slot = match observation {
                Observation::Fault(slot, ..) | Observation::Trial(slot, ..) => slot,
            };
            let in_flight = shared.ledger.in_flight(slot);
            self.told.lock().expect("no panic").push((observation, in_flight));
        }
    }
}

/// A socket for the listener of a configuration.
fn open_socket(config: &Config, network: &mut Network) -> Socket {
    let listener = &config.listeners[0];
    match listener.protocol {
        Protocol::Udp => network.open_mouth(listener.address, 0),
        _ => network.open_door(listener.address, 0),
    }
}

pub struct Scene {
    pub network: Rc<RefCell<Network>>,
    /// Connects that have been begun are accepted.
    pub accepts: bool,
    pub shard: Shard<SimEngine>,
    pub mailbox: Arc<Mailbox>,
    witness: Arc<Witness>,
    pub config: Config,
    registry: Registry,
    listener: Option<Arc<Listener>>,
    pool: Arc<Pool>,
    settings: Arc<Settings>,
    newest: Arc<Snapshot>,
    generation: u64,
    connects: Vec<(i32, SocketAddr)>,
}

/// The address of the backend with a slot.
pub fn address(slot: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 100 + slot as u8], 80))
}

impl Scene {
    /// A backend for each of `shares`, and these timeouts.
    pub fn new(shares: &[Share], timeouts: config::Timeouts) -> Self {
        Self::with(shares, |config| config.timeouts = timeouts)
    }

    /// A backend for each of `shares`, and a configuration that is changed in this way.
    pub fn with(shares: &[Share], change: impl FnOnce(&mut Config)) -> Self {
        Self::recorded(shares, None, change)
    }

    /// The same, with an access log.
    pub fn recorded(
        shares: &[Share],
        access_log: Option<Sender>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let witness = Arc::new(Witness::default());
        let shared = Shared::new(1, 0, witness.clone());
        assert!(witness.shared.set(shared.clone()).is_ok(), "once");
        let mailbox = Arc::new(Mailbox::new(ShardId(0), witness.clone(), shared));
        let listen = [listen_address()];
        let backend = |slot| config::Backend { address: address(slot), weight: 1 };
        let backends: Vec<_> = (0..shares.len()).map(backend).collect();
        let algorithm = ringway::balance::Algorithm::RoundRobin;
        let mut config = Config::quick(&listen, &backends, algorithm).expect("it is well");
        change(&mut config);
        let mut network = Network::new(1, CALM, 1);
        let sockets = [vec![open_socket(&config, &mut network)]];
        let network = Rc::new(RefCell::new(network));
        let engine = SimEngine::new(0, network.clone(), 64, 64);
        let mut registry = Registry::default();
        let first = snapshot::build(&config, Generation(1), &mut registry, &sockets, 1);
        let listener = first.listeners[0].clone();
        let pool = first.pools[0].clone().expect("it is there");
        let settings = first.settings.clone();
        let newest = Arc::new(first);
        let shard = Shard::new(ShardParts {
            engine,
            mailboxes: Arc::new([mailbox.clone()]),
            index: 0,
            snapshot: newest.clone(),
            access_log,
            seed: 1,
        });
        let (accepts, generation, connects) = (true, 1, Vec::new());
        let mut scene = Self {
            network,
            accepts,
            shard,
            mailbox,
            witness,
            config,
            registry,
            listener,
            pool,
            settings,
            newest,
            generation,
            connects,
        };
        scene.publish(shares);
        scene
    }

    /// A new snapshot in which the backends have these shares.
    pub fn publish(&mut self, shares: &[Share]) {
        let member = |(slot, share): (usize, &Share)| Member {
            slot: BackendSlot(slot as u32),
            address: address(slot),
            share: *share,
        };
        let members: Vec<Member> = shares.iter().enumerate().map(member).collect();
        let pool = snapshot::build_pool(&self.config.pools[0], POOL, &members, 1);
        self.pool = Arc::new(pool);
        self.publish_world();
        self.turns(2);
    }

    /// A new snapshot in which the backend speaks TLS.
    pub fn secure(&mut self) {
        let share = Share::Weight(1);
        let member = Member { slot: BackendSlot(0), address: address(0), share };
        let mut pool = snapshot::build_pool(&self.config.pools[0], POOL, &[member], 1);
        pool.tls = Some(backend_tls());
        self.pool = Arc::new(pool);
        self.publish_world();
        self.turns(2);
    }

    /// A new snapshot in which another pool, with the backend of this slot alone, has taken the
    /// place of the first one.
    pub fn replace_pool(&mut self, slot: usize) {
        let mut config = self.config.clone();
        config.pools[0].name = "other".to_owned();
        let id = self.registry.pool("other").expect("there is room");
        let share = Share::Weight(1);
        let member = Member { slot: BackendSlot(slot as u32), address: address(slot), share };
        self.pool = Arc::new(snapshot::build_pool(&config.pools[0], id, &[member], 1));
        let sockets = self.listener.as_ref().expect("it listens").sockets.clone();
        let (index, bound) = (ListenerIndex(0), config.listeners[0].address);
        let listener = snapshot::build_listener(&config, index, &mut self.registry, bound, sockets);
        self.listener = Some(Arc::new(listener.expect("there is room")));
        self.publish_world();
        self.turns(2);
    }

    fn publish_world(&mut self) {
        self.generation += 1;
        let generation = Generation(self.generation);
        let listeners = self.listener.iter().cloned().collect();
        let (pools, settings) = (vec![self.pool.clone()], self.settings.clone());
        let next: Snapshot = snapshot::assemble(generation, listeners, pools, settings);
        self.newest = Arc::new(next);
        self.mailbox.publish(self.newest.clone());
    }

    /// The shard panics, and has closed what is its own.
    pub fn panics(&mut self) {
        self.network.borrow_mut().is_abandoned = true;
        self.shard.abandon();
        self.network.borrow_mut().is_abandoned = false;
    }

    /// The shard panics while it goes on in the newest world, and has closed what is its own.
    pub fn panics_in_the_newest_world(&mut self) {
        let newest = self.newest.clone();
        self.shard.traffic().take_snapshot(newest);
        self.panics();
    }

    /// A new snapshot in which the sockets of the listener are another process's too.
    pub fn share_listener(&mut self) {
        let (config, registry) = (&self.config, &mut self.registry);
        let bound = config.listeners[0].address;
        let sockets = self.listener.as_ref().expect("it listens").sockets.clone();
        let built = snapshot::build_listener(config, ListenerIndex(0), registry, bound, sockets);
        let built = built.expect("there is room");
        self.listener = Some(Arc::new(Listener { is_passed: true, ..built }));
        self.publish_world();
        self.turns(2);
    }

    /// A new snapshot in which another listener has the socket of the present one.
    pub fn rename_listener(&mut self) {
        self.config.listeners[0].name.push('2');
        self.relisten();
    }

    /// A new snapshot with the listener as it is in the configuration, on the present socket.
    pub fn relisten(&mut self) {
        let (config, registry) = (&self.config, &mut self.registry);
        let bound = config.listeners[0].address;
        let sockets = self.listener.as_ref().expect("it listens").sockets.clone();
        let built = snapshot::build_listener(config, ListenerIndex(0), registry, bound, sockets);
        self.listener = Some(Arc::new(built.expect("there is room")));
        self.publish_world();
    }

    /// Another shard begins in the place of one that has panicked.
    pub fn begin_again(&mut self) {
        self.shard = Shard::new(ShardParts {
            engine: SimEngine::new(0, self.network.clone(), 64, 64),
            mailboxes: Arc::new([self.mailbox.clone()]),
            index: 0,
            snapshot: self.newest.clone(),
            access_log: None,
            seed: 2,
        });
    }

    /// A new snapshot without the listener, or with it on a new socket. Nothing happens yet.
    pub fn listen(&mut self, listens: bool) {
        let (config, registry) = (&self.config, &mut self.registry);
        let bound = config.listeners[0].address;
        self.listener = listens.then(|| {
            let sockets = vec![open_socket(config, &mut self.network.borrow_mut())];
            let built =
                snapshot::build_listener(config, ListenerIndex(0), registry, bound, sockets);
            Arc::new(built.expect("there is room"))
        });
        self.publish_world();
    }

    /// Listening sockets that are open.
    pub fn doors(&self) -> usize {
        self.network.borrow().doors.values().filter(|door| !door.is_closed).count()
    }

    /// A client that is connected.
    pub fn client(&mut self) -> i32 {
        lone::connect(&mut self.network.borrow_mut())
    }

    /// Orders a stage of the way out.
    pub fn order(&self, stage: Stage) {
        self.mailbox.order(stage);
    }

    pub fn is_over(&self) -> bool {
        self.shard.is_over()
    }

    /// The connection to a backend that was begun last.
    pub fn connected(&self) -> (i32, SocketAddr) {
        *self.connects.last().expect("one was begun")
    }

    /// How many connections to backends were begun.
    pub fn connects(&self) -> usize {
        self.connects.len()
    }

    /// One end says something, and the shard has time for it.
    pub fn say(&mut self, socket: i32, text: &str) {
        self.say_bytes(socket, text.as_bytes());
    }

    /// The same with bytes that are no text.
    pub fn say_bytes(&mut self, socket: i32, bytes: &[u8]) {
        self.add_bytes(socket, bytes);
        self.turns(8);
    }

    /// One end says something. Nothing happens yet.
    pub fn add(&self, socket: i32, text: &str) {
        self.add_bytes(socket, text.as_bytes());
    }

    fn add_bytes(&self, socket: i32, bytes: &[u8]) {
        let mut network = self.network.borrow_mut();
        network.streams.get_mut(&socket).expect("open").to_proxy.push(bytes);
    }

    /// One end says no more.
    pub fn end(&mut self, socket: i32) {
        self.network.borrow_mut().streams.get_mut(&socket).expect("open").actor_ended = true;
        self.turns(8);
    }

    /// What one end has heard since it last listened.
    pub fn heard(&mut self, socket: i32) -> String {
        String::from_utf8(self.heard_bytes(socket)).expect("text")
    }

    /// The same, which need not be text.
    pub fn heard_bytes(&mut self, socket: i32) -> Vec<u8> {
        let mut network = self.network.borrow_mut();
        let stream = network.streams.get_mut(&socket).expect("open");
        let bytes = stream.to_actor.front().to_vec();
        stream.to_actor.clear();
        bytes
    }

    /// Connections to backends that have heard something since their end last listened.
    pub fn asked(&mut self) -> Vec<i32> {
        let begun: Vec<i32> = self.connects.iter().map(|(socket, _)| *socket).collect();
        begun.into_iter().filter(|socket| !self.heard(*socket).is_empty()).collect()
    }

    /// Buffers that the shard holds.
    pub fn held_buffers(&mut self) -> usize {
        self.shard.traffic().engine().held_count()
    }

    /// How often the shard has acquired a buffer: twice for each time that it reads a head which
    /// came in pieces.
    pub fn acquired(&mut self) -> u64 {
        self.shard.traffic().engine().acquired()
    }

    pub fn is_closed(&self, socket: i32) -> bool {
        self.closed(socket).is_some()
    }

    /// How the shard has closed a connection, if it has.
    pub fn closed(&self, socket: i32) -> Option<Close> {
        self.network.borrow().streams[&socket].proxy_closed
    }

    /// The shard has ended its direction.
    pub fn has_ended(&self, socket: i32) -> bool {
        let network = self.network.borrow();
        network.streams[&socket].proxy_ended || network.streams[&socket].proxy_closed.is_some()
    }

    /// From now on a receive on this connection finds no buffer.
    pub fn starve(&mut self, socket: i32) {
        self.network.borrow_mut().starved.insert(socket);
    }

    /// Takes every buffer that the shard could write to.
    pub fn hoard(&mut self) -> Vec<BufferId> {
        // Whole ones stand in where no small one is left.
        std::iter::from_fn(|| self.shard.traffic().engine().acquire(Room::Small)).collect()
    }

    /// Gives buffers back. Nothing happens yet.
    pub fn give_back(&mut self, hoard: Vec<BufferId>) {
        hoard.into_iter().for_each(|buffer| self.shard.traffic().engine().release(buffer));
    }

    /// Buffers of its own that the shard holds.
    pub fn private_buffers(&mut self) -> u32 {
        self.shard.traffic().engine().buffers_held().private
    }

    /// Buffers are back for everybody.
    pub fn feed(&mut self) {
        self.network.borrow_mut().starved.clear();
        self.turns(8);
    }

    /// Cuts a connection from its other end.
    pub fn reset(&mut self, socket: i32) {
        self.network.borrow_mut().streams.get_mut(&socket).expect("open").actor_reset = true;
        self.turns(8);
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.network.borrow().now + time;
        while self.network.borrow().now < until {
            self.turns(1);
        }
    }

    pub fn turns(&mut self, count: usize) {
        for _ in 0..count {
            let mut network = self.network.borrow_mut();
            network.accepts = self.accepts;
            drop(network);
            lone::turn(&self.network, &mut self.shard);
            let mut network = self.network.borrow_mut();
            let begun = network.connects.drain(..).map(|(socket, address, _)| (socket, address));
            self.connects.extend(begun);
        }
    }

    /// What the coordinator was told since it was last asked, and the exchanges that were counted
    /// on the backend when it was.
    pub fn told(&self) -> Vec<(Observation, u32)> {
        std::mem::take(&mut *self.witness.told.lock().expect("no panic"))
    }

    /// The value of a counter.
    pub fn count(&self, counter: Counter) -> u64 {
        self.mailbox.counters.read(counter)
    }

    /// Failures that are counted on a backend.
    pub fn failures(&self, slot: usize) -> u64 {
        let ledger = &self.mailbox.shared.ledger;
        ledger.backends(BackendSlot(slot as u32)).map(|cell| cell.failures.read()).sum()
    }
}
