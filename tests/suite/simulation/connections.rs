//! What a shard does with its connections over time, where time costs nothing: idle ones, those
//! that a backend refuses, those for which there is no place, and those of a shard that panicked.

use super::actors::Backend;
use super::engine::SimEngine;
use super::network::{LISTENER, Network};
use super::scene::CALM;
use super::{NoWake, config};
use ringway::balance::Algorithm;
use ringway::base::{Generation, ShardId};
use ringway::config::Config;
use ringway::mailbox::{Mailbox, Shared};
use ringway::shard::{Shard, ShardParts};
use ringway::snapshot::{self, Registry};
use ringway::stats::{CloseReason, Counter};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// More turns than any exchange needs.
const TURNS_MAX: usize = 200;

/// A shard, and a network in which only what the test wants happens.
struct Scene {
    network: Rc<RefCell<Network>>,
    shard: Shard<SimEngine>,
    mailbox: Arc<Mailbox>,
    backends: Vec<Backend>,
    /// Where the shard has connected to, in order.
    connected_to: Vec<SocketAddr>,
    /// Who refuses connections.
    refusing: Option<SocketAddr>,
}

impl Scene {
    fn new(config: &Config) -> Self {
        let network = Rc::new(RefCell::new(Network::new(1, CALM)));
        let engine = SimEngine::new(network.clone(), 16, 4_096);
        let shared = Shared::new(1, 0, Arc::new(NoWake));
        let mailbox = Arc::new(Mailbox::new(ShardId(0), Arc::new(NoWake), shared));
        let registry = &mut Registry::default();
        let snapshot = snapshot::build(config, Generation(1), registry, &[vec![LISTENER]], 1);
        let shard = Shard::new(ShardParts {
            engine,
            mailboxes: Arc::new([mailbox.clone()]),
            index: 0,
            snapshot: Arc::new(snapshot),
            access_log: None,
            seed: 1,
        });
        let (backends, connected_to) = (Vec::new(), Vec::new());
        Self { network, shard, mailbox, backends, connected_to, refusing: None }
    }

    fn connect(&self) -> i32 {
        self.network.borrow_mut().client_connects()
    }

    fn turn(&mut self) {
        {
            let network = &mut *self.network.borrow_mut();
            for (socket, address) in std::mem::take(&mut network.connects) {
                self.connected_to.push(address);
                let stream = network.streams.get_mut(&socket).expect("begun");
                if self.refusing == Some(address) {
                    stream.actor_reset = true;
                } else {
                    stream.is_connected = true;
                    self.backends.push(Backend::new(socket));
                }
            }
            self.backends.iter_mut().for_each(|backend| backend.step(network));
        }
        self.shard.turn();
    }

    /// Lets so much time pass in which nobody does anything.
    fn pass(&mut self, span: Duration) {
        let end = self.network.borrow().now + span;
        while self.network.borrow().now < end {
            self.turn();
        }
    }

    /// One exchange on a client's connection, which is kept; fails if it is not answered well.
    fn exchange(&mut self, client: i32) {
        let request = b"GET /1/1/40/l HTTP/1.1\r\nHost: test\r\n\r\n";
        self.network.borrow_mut().streams.get_mut(&client).expect("open").to_proxy.extend(request);
        for _ in 0..TURNS_MAX {
            self.turn();
            let network = &mut *self.network.borrow_mut();
            let answer = &mut network.streams.get_mut(&client).expect("open").to_actor;
            while let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
                let is_interim = answer.starts_with(b"HTTP/1.1 100 ");
                let length = head + 4 + if is_interim { 0 } else { 40 };
                if answer.len() < length {
                    break;
                }
                let whole: Vec<u8> = answer.drain(..length).collect();
                if !is_interim {
                    let text = String::from_utf8_lossy(&whole);
                    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
                    return;
                }
            }
        }
        panic!("no answer");
    }

    fn closes(&self, reason: CloseReason) -> u64 {
        self.mailbox.counters.read_closes(reason)
    }

    /// Sockets that the shard has and has not closed.
    fn open_sockets(&self) -> usize {
        let network = self.network.borrow();
        network.streams.values().filter(|stream| stream.proxy_closed.is_none()).count()
    }
}

#[test]
fn an_idle_connection_holds_no_receive_and_no_buffer_and_is_served_again() {
    let mut scene = Scene::new(&config());
    let client = scene.connect();
    scene.exchange(client);
    for round in 0..3 {
        scene.pass(Duration::from_secs(4));
        assert_eq!(scene.network.borrow().armed(client), (true, false), "not idle for long");
        scene.pass(Duration::from_secs(2));
        assert_eq!(scene.network.borrow().armed(client), (false, true), "round {round}");
        assert_eq!(scene.shard.traffic().wire.engine.held_count(), 0, "buffers are held");
        scene.exchange(client);
    }
    scene.pass(Duration::from_secs(6));
    assert_eq!(scene.network.borrow().armed(client), (false, true), "idle again");
    scene.network.borrow_mut().streams.get_mut(&client).expect("open").actor_ended = true;
    (0..4).for_each(|_| scene.turn());
    assert_eq!(scene.closes(CloseReason::ClientClosed), 1, "its end is noticed while polled");
    assert!(scene.network.borrow().streams[&client].proxy_closed.is_some());
}

#[test]
fn a_connection_that_stays_idle_is_closed_on_time_whether_polled_or_not() {
    let mut scene = Scene::new(&config());
    let client = scene.connect();
    scene.exchange(client);
    scene.pass(Duration::from_secs(59));
    assert_eq!(scene.network.borrow().armed(client), (false, true), "not yet");
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.closes(CloseReason::ClientIdle), 1);
    assert!(scene.network.borrow().streams[&client].proxy_closed.is_some());
}

#[test]
fn a_backend_that_refused_is_not_tried_for_the_next_second() {
    let mut config = config();
    config.pools[0].algorithm = Algorithm::RoundRobin;
    let refusing = config.pools[0].backends[2].address;
    let mut scene = Scene::new(&config);
    scene.refusing = Some(refusing);
    let tries = |scene: &Scene| scene.connected_to.iter().filter(|to| **to == refusing).count();
    let client = scene.connect();
    // It has half of the weight: its turn comes again and again.
    while tries(&scene) == 0 {
        scene.exchange(client);
    }
    let refused_at = scene.network.borrow().now;
    while scene.network.borrow().now + Duration::from_millis(100)
        < refused_at + Duration::from_secs(1)
    {
        scene.exchange(client);
        assert_eq!(tries(&scene), 1, "tried again within a second");
    }
    scene.pass(Duration::from_millis(200));
    (0..12).for_each(|_| scene.exchange(client));
    assert_eq!(tries(&scene), 2, "once a second has passed, once more");
    scene.refusing = None;
    scene.pass(Duration::from_secs(1));
    (0..12).for_each(|_| scene.exchange(client));
    assert_eq!(tries(&scene), 3, "it accepts, and its connection is kept");
}

#[test]
fn a_shard_that_panicked_closes_what_it_accepted_and_had_no_session_for() {
    let mut config = config();
    config.runtime.max_connections = 1_000;
    let mut scene = Scene::new(&config);
    // More than one turn takes, and more than there may be: some get a session, some are held
    // back, and of some the shard does not know yet.
    (0..1_030).for_each(|_| _ = scene.connect());
    scene.turn();
    assert_eq!(scene.shard.traffic().sessions.len(), 1_000);
    assert_eq!(scene.open_sockets(), 1_030);
    scene.network.borrow_mut().is_abandoned = true;
    scene.shard.abandon();
    assert_eq!(scene.open_sockets(), 0, "clients wait for ever");
    // What comes now is left to the shard that is started in its place.
    let next = scene.connect();
    scene.network.borrow_mut().step(|_| None);
    assert!(scene.network.borrow().backlog.contains(&next), "accepted by a shard that is gone");
}

#[test]
fn without_a_place_connections_wait_and_are_served_in_their_turn() {
    let mut config = config();
    config.runtime.max_connections = 3;
    let mut scene = Scene::new(&config);
    let clients: Vec<i32> = (0..7).map(|_| scene.connect()).collect();
    (0..4).for_each(|_| scene.turn());
    assert_eq!(scene.shard.traffic().sessions.len(), 3);
    for (at, client) in clients.iter().enumerate() {
        scene.exchange(*client);
        assert!(scene.shard.traffic().sessions.len() <= 3, "more than there may be");
        scene.network.borrow_mut().streams.get_mut(client).expect("open").actor_ended = true;
        scene.pass(Duration::from_millis(250));
        assert_eq!(scene.closes(CloseReason::ClientClosed), at as u64 + 1);
    }
}

/// Lines that were logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn out_of_descriptors_it_says_so_now_and_then_and_serves_who_waited() {
    let lines = Lines::default();
    let log = lines.clone();
    let log = tracing_subscriber::fmt().with_writer(move || log.clone()).with_ansi(false).finish();
    let mut scene = Scene::new(&config());
    let client = scene.connect();
    tracing::subscriber::with_default(log, || {
        scene.network.borrow_mut().is_out_of_descriptors = true;
        scene.pass(Duration::from_secs(10));
        scene.network.borrow_mut().is_out_of_descriptors = false;
        scene.pass(Duration::from_millis(150));
        scene.exchange(client);
    });
    let tries = scene.mailbox.counters.read(Counter::AcceptFailures);
    assert!((90..=101).contains(&tries), "ten times a second, {tries}");
    let text = String::from_utf8(lines.0.lock().expect("no panic").clone()).expect("text");
    let warnings = text.matches("WARN").count();
    assert!((1..=2).contains(&warnings), "{warnings} warnings in ten seconds:\n{text}");
    assert!(text.contains("RLIMIT_NOFILE"), "it says what to do: {text}");
}
