//! What a shard does with its connections over time, where time costs nothing: idle ones, those
//! that a backend refuses, those for which there is no place, and those of a shard that panicked.

use super::backend::Backend;
use super::lone::{CALM, Lone, config};
use super::message::Head;
use super::network::Network;
use ringway::balance::Algorithm;
use ringway::config::Config;
use ringway::engine::Failure;
use ringway::local::How;
use ringway::stats::{CloseReason, Counter};
use std::cell::RefMut;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// More turns than any exchange needs.
const TURNS_MAX: usize = 200;

/// A shard, and backends that answer it.
struct Scene {
    lone: Lone,
    backends: Vec<Backend>,
    /// Where the shard has connected to, in order.
    connected_to: Vec<SocketAddr>,
}

impl Scene {
    fn new(config: &Config) -> Self {
        let lone = Lone::new(config, CALM, [16, 4_096]);
        Self { lone, backends: Vec::new(), connected_to: Vec::new() }
    }

    fn network(&self) -> RefMut<'_, Network> {
        self.lone.network.borrow_mut()
    }

    fn turn(&mut self) {
        {
            let network = &mut *self.lone.network.borrow_mut();
            self.connected_to.extend(network.connects.drain(..).map(|(_, address, _)| address));
            for socket in std::mem::take(&mut network.arrivals) {
                self.backends.push(Backend::new(socket, network.streams[&socket].peer));
            }
            self.backends.iter_mut().for_each(|backend| _ = backend.step(network));
        }
        self.lone.turn();
    }

    /// Lets so much time pass in which nobody does anything.
    fn pass(&mut self, span: Duration) {
        let end = self.network().now + span;
        while self.network().now < end {
            self.turn();
        }
    }

    /// One exchange on a client's connection, which is kept; fails if it is not answered well.
    fn exchange(&mut self, client: i32) {
        let request = b"GET /steady/1/1/40/length/0 HTTP/1.1\r\nHost: test\r\n\r\n";
        self.network().streams.get_mut(&client).expect("open").to_proxy.push(request);
        for _ in 0..TURNS_MAX {
            self.turn();
            let mut network = self.network();
            let answer = &mut network.streams.get_mut(&client).expect("open").to_actor;
            while let Some(head) = Head::read(answer.front()) {
                let length = head.length + if head.status() == 100 { 0 } else { 40 };
                if answer.len() < length {
                    break;
                }
                answer.skip(length);
                if head.status() != 100 {
                    assert_eq!(head.status(), 200, "{}", head.start);
                    return;
                }
            }
        }
        panic!("no answer");
    }

    fn closes(&self, reason: CloseReason) -> u64 {
        self.lone.mailbox.counters.read_closes(reason)
    }

    /// Sockets that the shard has and has not closed.
    fn open_sockets(&self) -> usize {
        let network = self.network();
        network.streams.values().filter(|stream| stream.proxy_closed.is_none()).count()
    }
}

#[test]
fn an_idle_connection_holds_no_receive_and_no_buffer_and_is_served_again() {
    let mut scene = Scene::new(&config());
    let client = scene.lone.connect();
    scene.exchange(client);
    for round in 0..3 {
        scene.pass(Duration::from_secs(4));
        assert_eq!(scene.network().armed(client), (true, false), "not idle for long");
        scene.pass(Duration::from_secs(2));
        assert_eq!(scene.network().armed(client), (false, true), "round {round}");
        assert_eq!(scene.lone.shard.traffic().engine().held_count(), 0, "buffers are held");
        scene.exchange(client);
    }
    scene.pass(Duration::from_secs(6));
    assert_eq!(scene.network().armed(client), (false, true), "idle again");
    scene.network().streams.get_mut(&client).expect("open").actor_ended = true;
    (0..4).for_each(|_| scene.turn());
    assert_eq!(scene.closes(CloseReason::ClientClosed), 1, "its end is noticed while polled");
    assert!(scene.network().streams[&client].proxy_closed.is_some());
}

#[test]
fn a_connection_that_stays_idle_is_closed_on_time_whether_polled_or_not() {
    let mut scene = Scene::new(&config());
    let client = scene.lone.connect();
    scene.exchange(client);
    scene.pass(Duration::from_secs(59));
    assert_eq!(scene.network().armed(client), (false, true), "not yet");
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.closes(CloseReason::ClientIdle), 1);
    assert!(scene.network().streams[&client].proxy_closed.is_some());
}

#[test]
fn a_backend_that_refused_is_not_tried_for_the_next_second() {
    let mut config = config();
    config.pools[0].algorithm = Algorithm::RoundRobin;
    let refusing = config.pools[0].backends[2].address;
    let mut scene = Scene::new(&config);
    scene.network().refusing = Some(refusing);
    let tries = |scene: &Scene| scene.connected_to.iter().filter(|to| **to == refusing).count();
    let client = scene.lone.connect();
    // It has half of the weight: its turn comes again and again.
    while tries(&scene) == 0 {
        scene.exchange(client);
    }
    let refused_at = scene.network().now;
    while scene.network().now + Duration::from_millis(100) < refused_at + Duration::from_secs(1) {
        scene.exchange(client);
        assert_eq!(tries(&scene), 1, "tried again within a second");
    }
    scene.pass(Duration::from_millis(200));
    (0..12).for_each(|_| scene.exchange(client));
    assert_eq!(tries(&scene), 2, "once a second has passed, once more");
    scene.network().refusing = None;
    scene.pass(Duration::from_secs(1));
    (0..12).for_each(|_| scene.exchange(client));
    assert_eq!(tries(&scene), 3, "it accepts, and its connection is kept");
}

#[test]
fn a_shard_that_panicked_closes_what_it_accepted_and_had_no_session_for() {
    let mut config = config();
    config.runtime.max_connections = 1_030;
    let mut scene = Scene::new(&config);
    // More than two turns take, and more than there may be: some get a session, some are held
    // back, and of some the shard does not know yet.
    (0..2_060).for_each(|_| _ = scene.lone.connect());
    (0..2).for_each(|_| scene.turn());
    assert_eq!(scene.lone.shard.traffic().clients().len(), 1_030);
    assert_eq!(scene.open_sockets(), 2_060);
    scene.network().is_abandoned = true;
    // One of them was closed in the turn of the panic: its number may be another's.
    let traffic = scene.lone.shard.traffic();
    let first = traffic.clients().ids()[0];
    traffic.end_client(first, How::Close, CloseReason::ClientClosed);
    traffic.client_ended(first, Some(Failure::Cancelled));
    assert_eq!(scene.open_sockets(), 2_059);
    scene.lone.shard.abandon();
    assert_eq!(scene.open_sockets(), 0, "clients wait for ever");
    // What comes now is left to the shard that is started in its place.
    let next = scene.lone.connect();
    scene.network().step(0, |_| None);
    let waits = scene.network().doors.values().any(|door| door.backlog.contains(&next));
    assert!(waits, "accepted by a shard that is gone");
}

#[test]
fn without_a_place_connections_wait_and_are_served_in_their_turn() {
    let mut config = config();
    config.runtime.max_connections = 3;
    let mut scene = Scene::new(&config);
    let clients: Vec<i32> = (0..7).map(|_| scene.lone.connect()).collect();
    (0..4).for_each(|_| scene.turn());
    assert_eq!(scene.lone.shard.traffic().clients().len(), 3);
    for (at, client) in clients.iter().enumerate() {
        scene.exchange(*client);
        assert!(scene.lone.shard.traffic().clients().len() <= 3, "more than there may be");
        scene.network().streams.get_mut(client).expect("open").actor_ended = true;
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
    let client = scene.lone.connect();
    tracing::subscriber::with_default(log, || {
        scene.network().is_out_of_descriptors = true;
        scene.pass(Duration::from_secs(10));
        scene.network().is_out_of_descriptors = false;
        scene.pass(Duration::from_millis(150));
        scene.exchange(client);
    });
    let tries = scene.lone.mailbox.counters.read(Counter::AcceptFailures);
    assert!((90..=101).contains(&tries), "ten times a second, {tries}");
    let text = String::from_utf8(lines.0.lock().expect("no panic").clone()).expect("text");
    let warnings = text.matches("WARN").count();
    assert!((1..=2).contains(&warnings), "{warnings} warnings in ten seconds:\n{text}");
    assert!(text.contains("RLIMIT_NOFILE"), "it says what to do: {text}");
}
