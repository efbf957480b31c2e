//! The real shard over a simulated engine: virtual time, seeded faults, and what must always hold.
//!
//! `RINGWAY_SEEDS=5000` runs more seeds; `RINGWAY_SEED=17` replays one.

mod actors;
mod connections;
mod engine;
mod network;
mod refusing;
mod scene;
mod starving;
mod trials;

use actors::{Backend, Client, Outcome, Request};
use engine::SimEngine;
use network::{LISTENER, Meanness, Network};
use ringway::base::{BackendSlot, Generation, Prng, ShardId};
use ringway::config::{self, Config};
use ringway::engine::Wake;
use ringway::mailbox::{Mailbox, Shared, Stage};
use ringway::shard::{Shard, ShardParts};
use ringway::snapshot::{self, Registry};
use ringway::stats::{CloseReason, Counter};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

const SEEDS: u64 = 200;
/// More steps than any world needs: a world that is not over then has come to a halt.
const STEPS_MAX: usize = 60_000;

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

struct World {
    seed: u64,
    has_faults: bool,
    network: Rc<RefCell<Network>>,
    shard: Shard<SimEngine>,
    mailbox: Arc<Mailbox>,
    clients: Vec<Client>,
    backends: Vec<Backend>,
    connects: Vec<(i32, u32)>,
}

fn meanness(has_faults: bool, prng: &mut Prng) -> Meanness {
    let pick =
        |choices: &[u32], prng: &mut Prng| choices[prng.below(choices.len() as u32) as usize];
    Meanness {
        no_buffers_one_in: pick(&[0, 3, 50], prng),
        refuse_one_in: if has_faults { pick(&[0, 3, 30], prng) } else { 0 },
        receive_bytes_max: pick(&[2, 40, 2_000, 16_000], prng),
        hold_back_one_in: pick(&[0, 2, 20], prng),
        peer_bytes_max: pick(&[100, 5_000, 100_000], prng) as usize,
    }
}

fn config() -> Config {
    let backends = [1, 2, 3].map(|n| config::Backend {
        address: format!("192.0.2.10{n}:80").parse().expect("an address"),
        weight: n,
    });
    let listen = ["192.0.2.99:80".parse().expect("an address")];
    let algorithm = ringway::balance::Algorithm::P2c;
    Config::quick(&listen, &backends, algorithm).expect("it is well")
}

/// The real shard on a simulated engine.
fn shard_on(engine: SimEngine, config: &Config, seed: u64) -> (Shard<SimEngine>, Arc<Mailbox>) {
    let shared = Shared::new(1, 0, Arc::new(NoWake));
    let mailbox = Arc::new(Mailbox::new(ShardId(0), Arc::new(NoWake), shared));
    let sockets = [vec![LISTENER]];
    let registry = &mut Registry::default();
    let snapshot = snapshot::build(config, Generation(1), registry, &sockets, 1);
    let shard = Shard::new(ShardParts {
        engine,
        mailboxes: Arc::new([mailbox.clone()]),
        index: 0,
        snapshot: Arc::new(snapshot),
        access_log: None,
        seed,
    });
    (shard, mailbox)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut prng = Prng::new(seed);
        let has_faults = prng.one_in(2);
        let meanness = meanness(has_faults, &mut prng);
        let network = Rc::new(RefCell::new(Network::new(prng.next_u64(), meanness)));
        let receive_buffers = [4, 16, 128][prng.below(3) as usize];
        let engine = SimEngine::new(network.clone(), receive_buffers, 4_096);
        let (shard, mailbox) = shard_on(engine, &config(), seed);
        let (clients, backends, connects) = (Vec::new(), Vec::new(), Vec::new());
        let mut world =
            Self { seed, has_faults, network, shard, mailbox, clients, backends, connects };
        world.add_clients(&mut prng);
        world
    }

    fn add_clients(&mut self, prng: &mut Prng) {
        let count = 1 + prng.below(12);
        // Where bytes come one by one, long bodies would only take long.
        let is_slow = self.network.borrow().meanness.receive_bytes_max < 100;
        let size_max = if is_slow { 200 } else { 200_000 };
        let aborts = if self.has_faults { [0, 200][prng.below(2) as usize] } else { 0 };
        for client in 0..count {
            let draw = |number| Request::draw(client, number, self.has_faults, size_max, prng);
            let requests: Vec<Request> = (0..6).map(draw).collect();
            let requests = requests[..1 + prng.below(5) as usize].to_vec();
            let socket = self.network.borrow_mut().client_connects();
            let reads = [0, 0, 4][prng.below(3) as usize];
            self.clients.push(Client::new(socket, requests, aborts, reads, prng));
        }
    }

    fn step(&mut self) {
        {
            let network = self.network.clone();
            let network = &mut *network.borrow_mut();
            self.clients.iter_mut().for_each(|client| client.step(network));
            self.answer_connects(network);
            self.backends.iter_mut().for_each(|backend| backend.step(network));
        }
        self.shard.turn();
    }

    /// Connections to backends are accepted after a while.
    fn answer_connects(&mut self, network: &mut Network) {
        let begun = std::mem::take(&mut network.connects);
        for (socket, _) in begun {
            let delay = network.prng.below(4);
            self.connects.push((socket, delay));
        }
        for (socket, delay) in &mut self.connects {
            *delay = delay.saturating_sub(1);
            let stream = network.streams.get_mut(socket).expect("begun");
            if *delay == 0 && !stream.actor_reset && !stream.is_connected {
                stream.is_connected = true;
                self.backends.push(Backend::new(*socket));
            }
        }
        self.connects.retain(|(_, delay)| *delay > 0);
    }

    fn run(&mut self) {
        let is_running = |client: &Client| client.outcome == Outcome::Running;
        let mut steps = 0;
        while self.clients.iter().any(is_running) {
            self.step();
            steps += 1;
            assert!(steps < STEPS_MAX, "a client waits for ever: {}", self.picture());
        }
        self.mailbox.order(Stage::Draining);
        while !self.shard.is_over() {
            self.step();
            steps += 1;
            assert!(steps < STEPS_MAX * 2, "draining does not end");
        }
    }

    /// What everybody is waiting for, for the message of a failure.
    fn picture(&mut self) -> String {
        let mut picture = format!("{:#?}\n", self.network.borrow().meanness);
        for reason in CloseReason::ALL {
            let count = self.mailbox.counters.read_closes(*reason);
            picture += &format!("{}: {count}; ", reason.label());
        }
        for client in &self.clients {
            picture += &format!("client {}: {}\n", client.socket, client.picture());
        }
        let sessions = &mut self.shard.traffic().sessions;
        for index in sessions.indexes() {
            picture += &format!("{:?}\n", sessions.at(index));
        }
        picture
    }

    fn check(&mut self) {
        let picture = self.picture();
        for client in &self.clients {
            if !self.has_faults {
                assert_eq!(client.outcome, Outcome::Satisfied, "nobody was mean: {picture}");
                assert_eq!(client.errors, 0, "nobody was mean to this client");
            }
        }
        let traffic = self.shard.traffic();
        assert_eq!(traffic.exchange_count(), 0, "exchanges are left");
        assert_eq!(traffic.wire.engine.held_count(), 0, "buffers are left");
        for slot in 0..3 {
            assert_eq!(
                self.mailbox.shared.ledger.in_flight(BackendSlot(slot)),
                0,
                "in flight is left"
            );
        }
        let counters = &self.mailbox.counters;
        let accepted = counters.read(Counter::ConnectionsAccepted);
        let closes = CloseReason::ALL.iter().map(|reason| counters.read_closes(*reason));
        assert_eq!(accepted, self.clients.len() as u64);
        assert_eq!(accepted, closes.sum::<u64>(), "each session has one close reason");
        assert_eq!(counters.read(Counter::LateCompletions), 0, "the close is a join");
        let network = self.network.borrow();
        let open = network.streams.values().filter(|stream| stream.proxy_closed.is_none());
        assert_eq!(open.count(), 0, "sockets are left open");
    }
}

fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("RINGWAY_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("RINGWAY_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

#[test]
fn nobody_gets_foreign_bytes_and_everything_comes_back_whatever_happens() {
    let (mut answered, mut errors) = (0, 0);
    for seed in seeds() {
        let run = std::panic::AssertUnwindSafe(|| {
            let mut world = World::new(seed);
            world.run();
            world.check();
            world
        });
        match std::panic::catch_unwind(run) {
            Ok(world) => {
                answered += world.clients.iter().map(|client| client.answered).sum::<u32>();
                errors += world.clients.iter().map(|client| client.errors).sum::<u32>();
                assert_eq!(world.seed, seed);
            }
            Err(panic) => {
                eprintln!("seed {seed} fails; replay it with RINGWAY_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    if std::env::var_os("RINGWAY_SEED").is_none() {
        assert!(answered > 100 && errors > 10, "{answered} answers, {errors} errors: too tame");
    }
}
