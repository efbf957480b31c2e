//! One shard alone on a network without actors: what a test does itself is all that happens.

use super::engine::SimEngine;
use super::network::{Meanness, Network};
use super::plan::client_address;
use ringway::base::{Generation, ShardId};
use ringway::config::{self, Config};
use ringway::engine::Wake;
use ringway::mailbox::{Mailbox, Shared};
use ringway::shard::{Shard, ShardParts};
use ringway::snapshot::{self, Registry};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A network without any meanness.
pub const CALM: Meanness = Meanness {
    no_buffers_one_in: 0,
    receive_bytes_max: 16_000,
    hold_back_one_in: 0,
    peer_bytes_max: 1 << 20,
    misses_turn_one_in: 0,
    connect_fails_one_in: 0,
    accept_fails_one_in: 0,
    ends_early_one_in: 0,
    sends_short_one_in: 0,
    acknowledges_late_one_in: 0,
};

pub struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

pub fn listen_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 99], 80))
}

/// Three backends, the heaviest of which has half of the weight.
pub fn config() -> Config {
    let backends = [1, 2, 3].map(|n| config::Backend {
        address: SocketAddr::from(([192, 0, 2, 100 + n as u8], 80)),
        weight: n,
    });
    let algorithm = ringway::balance::Algorithm::P2c;
    Config::quick(&[listen_address()], &backends, algorithm).expect("it is well")
}

/// A shard in the world of a configuration, with so many buffers to receive into and others.
pub struct Lone {
    pub network: Rc<RefCell<Network>>,
    pub shard: Shard<SimEngine>,
    pub mailbox: Arc<Mailbox>,
}

impl Lone {
    pub fn new(config: &Config, meanness: Meanness, buffers: [usize; 2]) -> Self {
        let mut network = Network::new(1, meanness, 1);
        let sockets = [vec![network.open_door(listen_address(), 0)]];
        let network = Rc::new(RefCell::new(network));
        let shared = Shared::new(1, 0, Arc::new(NoWake));
        let mailbox = Arc::new(Mailbox::new(ShardId(0), Arc::new(NoWake), shared));
        let registry = &mut Registry::default();
        let snapshot = snapshot::build(config, Generation(1), registry, &sockets, 1);
        let [receive, private] = buffers;
        let shard = Shard::new(ShardParts {
            engine: SimEngine::new(0, network.clone(), receive, private),
            mailboxes: Arc::new([mailbox.clone()]),
            index: 0,
            snapshot: Arc::new(snapshot),
            access_log: None,
            seed: 1,
        });
        Self { network, shard, mailbox }
    }

    /// A client that is connected.
    pub fn connect(&self) -> i32 {
        connect(&mut self.network.borrow_mut())
    }

    pub fn turn(&mut self) {
        turn(&self.network, &mut self.shard);
    }
}

/// A client that is connected.
pub fn connect(network: &mut Network) -> i32 {
    network.client_connects(client_address(1), listen_address(), None).expect("it listens")
}

/// A turn of the only shard. Where it has nothing to do, time passes, but not past what the shard
/// waits for.
pub fn turn(network: &RefCell<Network>, shard: &mut Shard<SimEngine>) {
    let taken = network.borrow().taken;
    network.borrow_mut().deliver();
    shard.turn();
    let network = &mut *network.borrow_mut();
    if network.taken == taken {
        let later = network.now + Duration::from_millis(5);
        network.now = later.min(network.lanes[0].deadline).max(network.now);
    }
}
