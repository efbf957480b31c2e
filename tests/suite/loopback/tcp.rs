//! Listeners that forward bytes, with clients and servers that speak no HTTP.

use super::harness::*;
use super::load::Operated;
use crate::drilling::{record, size};
use ringway::base::Prng;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

fn forwarding(backends: &[SocketAddr], more: &str) -> String {
    let mut text = String::from("[[listener]]\nname = \"db\"\naddress = \"127.0.0.1:0\"\n");
    text += "protocol = \"tcp\"\n[runtime]\nshards = 1\n[pool.db.health]\nprotocol = \"none\"\n";
    for address in backends {
        text += &format!("[[pool.db.backend]]\naddress = \"{address}\"\n");
    }
    text + more
}

/// Sends back what it receives, and ends when its client has.
pub(super) fn echo() -> Origin {
    Origin::start(|mut stream| {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    })
}

fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).expect("set");
}

#[test]
fn bytes_go_both_ways_and_each_side_ends_on_its_own() {
    let origin = Origin::start(|mut stream| {
        let asked = read_to_end(&mut stream);
        // The client has ended its direction; the answer comes all the same.
        let _ = stream.write_all(&asked.repeat(1_000));
    });
    let ringway = Ringway::with_config(&forwarding(&[origin.address], ""));
    let mut stream = ringway.connect();
    stream.write_all(b"not HTTP\0\xff").expect("sent");
    stream.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(read_to_end(&mut stream), b"not HTTP\0\xff".repeat(1_000));
}

#[test]
fn a_server_that_ends_first_still_gets_what_its_client_sends() {
    let (heard, hears) = std::sync::mpsc::channel();
    let origin = Origin::start(move |mut stream| {
        let _ = stream.write_all(b"bye");
        let _ = stream.shutdown(Shutdown::Write);
        let _ = heard.send(read_to_end(&mut stream));
    });
    let ringway = Ringway::with_config(&forwarding(&[origin.address], ""));
    let mut stream = ringway.connect();
    assert_eq!(read_to_end(&mut stream), b"bye");
    stream.write_all(b"last words").expect("the direction is open");
    stream.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(hears.recv().expect("heard"), b"last words");
}

#[test]
fn a_server_that_speaks_first_is_heard_by_a_client_that_says_nothing() {
    let origin = Origin::start(|mut stream| {
        let _ = stream.write_all(b"220 mail ready\r\n");
        let _ = read_until(&mut stream, b"QUIT\r\n");
    });
    let ringway = Ringway::with_config(&forwarding(&[origin.address], ""));
    let mut stream = ringway.connect();
    assert_eq!(read_until(&mut stream, b"\r\n"), b"220 mail ready\r\n");
    stream.write_all(b"QUIT\r\n").expect("sent");
    assert_eq!(read_to_end(&mut stream), b"");
}

#[test]
fn a_backend_that_refuses_costs_a_client_nothing_and_what_it_has_sent_is_not_lost() {
    let (_held, dead) = refusing();
    let origin = echo();
    let more = "[pool.db]\nalgorithm = \"round-robin\"\n";
    let ringway = Ringway::with_config(&forwarding(&[dead, origin.address], more));
    for round in 0..6 {
        let mut stream = ringway.connect();
        stream.write_all(b"early").expect("sent");
        let mut back = [0; 5];
        stream.read_exact(&mut back).expect("an echo");
        assert_eq!(&back, b"early", "round {round}");
    }
    assert_eq!(origin.connections(), 6);
}

#[test]
fn without_a_backend_that_can_be_reached_the_client_is_reset() {
    let (_held, dead) = refusing();
    let operated = Operated::start(&forwarding(&[dead], ""));
    let mut stream = operated.ringway.connect();
    let mut byte = [0; 1];
    let error = stream.read(&mut byte).expect_err("no clean end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    await_that("it is counted", || {
        let text = operated.asked("GET /metrics", "");
        text.lines().any(|line| line.contains("reason=\"no_backend\"") && line.ends_with(" 1"))
    });
}

#[test]
fn a_reset_stays_a_reset_behind_all_that_was_sent_before() {
    let origin = Origin::start(|mut stream| {
        let _ = stream.write_all(&[b'x'; 300_000]);
        let _ = read_until(&mut stream, b"!");
        reset(stream);
    });
    let ringway = Ringway::with_config(&forwarding(&[origin.address], ""));
    let mut stream = ringway.connect();
    let mut all = vec![0; 300_000];
    stream.read_exact(&mut all).expect("all of it");
    stream.write_all(b"!").expect("sent");
    let error = stream.read(&mut all).expect_err("no clean end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_client_that_resets_is_a_reset_for_its_backend_too() {
    let (heard, hears) = std::sync::mpsc::channel();
    let origin = Origin::start(move |mut stream| {
        let mut all = Vec::new();
        let end = stream.read_to_end(&mut all).map_err(|error| error.kind());
        let _ = heard.send((all, end));
    });
    let ringway = Ringway::with_config(&forwarding(&[origin.address], ""));
    let mut stream = ringway.connect();
    stream.write_all(b"begun").expect("sent");
    await_that("the connection is made", || origin.connections() == 1);
    reset(stream);
    let (_, end) = hears.recv().expect("heard");
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
}

/// More than a peer that reads nothing takes into its kernel.
const MUCH: usize = 600_000;

/// All that a connection brings before it is reset.
fn read_to_reset(stream: &mut TcpStream) -> usize {
    let mut all = Vec::new();
    let end = stream.read_to_end(&mut all);
    assert_eq!(end.map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
    all.len()
}

#[test]
fn a_client_that_reads_late_gets_all_that_came_before_its_backend_reset() {
    let (go, going) = std::sync::mpsc::channel();
    let going = std::sync::Mutex::new(going);
    let origin = Origin::start(move |mut stream| {
        let _ = stream.write_all(&[b'x'; MUCH]);
        let _ = going.lock().expect("no panic").recv();
        reset(stream);
    });
    let operated = Operated::start(&forwarding(&[origin.address], ""));
    let mut stream = operated.ringway.connect();
    let received = || operated.metric("ringway_backend_received_bytes_total");
    await_that("all of it is received", || received() == MUCH as u64);
    go.send(()).expect("it waits");
    await_that("the reset is seen", || operated.metric("ringway_backend_in_flight") == 0);
    assert_eq!(read_to_reset(&mut stream), MUCH);
}

#[test]
fn a_backend_that_reads_late_gets_all_that_came_before_its_client_reset() {
    let (go, going) = std::sync::mpsc::channel();
    let going = std::sync::Mutex::new(going);
    let (heard, hears) = std::sync::mpsc::channel();
    let origin = Origin::start(move |mut stream| {
        let _ = going.lock().expect("no panic").recv();
        let _ = heard.send(read_to_reset(&mut stream));
    });
    let operated = Operated::start(&forwarding(&[origin.address], ""));
    let mut stream = operated.ringway.connect();
    stream.write_all(&[b'x'; MUCH]).expect("sent");
    let sent = || operated.metric("ringway_backend_sent_bytes_total");
    await_that("all of it is received", || sent() == MUCH as u64);
    reset(stream);
    await_that("the reset is seen", || operated.metric("ringway_backend_in_flight") == 0);
    go.send(()).expect("it waits");
    assert_eq!(hears.recv().expect("heard"), MUCH);
}

/// Bytes that are sent and compared in one round.
const ROUND_BYTES: usize = 1 << 20;

/// Bytes that look random, from which each round of one direction begins at another place.
struct Stream {
    bytes: Vec<u8>,
    prng: Prng,
}

impl Stream {
    fn new(seed: u64) -> Self {
        let mut prng = Prng::new(seed);
        let bytes = (0..ROUND_BYTES / 8).flat_map(|_| prng.next_u64().to_le_bytes()).collect();
        Self { bytes, prng }
    }

    /// The bytes of a round: these two, one behind the other.
    fn round(&self, number: usize) -> [&[u8]; 2] {
        let (end, start) = self.bytes.split_at(number * 4_099 % ROUND_BYTES);
        [start, end]
    }

    /// Now and then one side does nothing for a moment, so that the other one has to wait.
    fn pause(&mut self) {
        if self.prng.one_in(16) {
            thread::sleep(Duration::from_micros(u64::from(self.prng.below(4_000))));
        }
    }

    /// Sends so many rounds, and ends the direction.
    fn send(mut self, mut stream: &TcpStream, rounds: usize) {
        for round in 0..rounds {
            self.pause();
            self.round(round).iter().for_each(|part| stream.write_all(part).expect("sent"));
        }
        stream.shutdown(Shutdown::Write).expect("ended");
    }

    /// Receives so many rounds and the end behind them.
    fn receive(mut self, mut stream: &TcpStream, rounds: usize, mut after_each: impl FnMut()) {
        let mut read = vec![0; ROUND_BYTES];
        for round in 0..rounds {
            self.pause();
            stream.read_exact(&mut read).expect("it goes on");
            let [start, end] = self.round(round);
            let (first, second) = read.split_at(start.len());
            assert!(first == start && second == end, "changed in round {round}");
            after_each();
        }
        assert_eq!(stream.read(&mut read).expect("a clean end"), 0, "nothing behind it");
    }
}

#[test]
fn much_goes_both_ways_at_once_unchanged_and_with_little_memory() {
    let rounds = size("RINGWAY_BULK", 64, 1024);
    let (done, is_done) = std::sync::mpsc::channel();
    let origin = Origin::start(move |stream| {
        thread::scope(|scope| {
            scope.spawn(|| Stream::new(2).send(&stream, rounds));
            Stream::new(1).receive(&stream, rounds, || {});
        });
        let _ = done.send(());
    });
    let operated = Operated::start(&forwarding(&[origin.address], ""));
    let ringway = &operated.ringway;
    let stream = ringway.connect();
    let before = ringway.resident();
    let mut most = before;
    thread::scope(|scope| {
        scope.spawn(|| Stream::new(1).send(&stream, rounds));
        Stream::new(2).receive(&stream, rounds, || most = most.max(ringway.resident()));
    });
    is_done.recv().expect("the other direction is unchanged too");
    let grown = most - before;
    record("bulk both ways at once", "MiB in each direction", rounds);
    record("bulk both ways at once", "bytes of memory more, at most", grown);
    // Its buffers, a part of them in huge pages, and not what passes through them.
    assert!(grown < 32 << 20, "{grown} bytes more for one connection");
    operated.await_nothing_left();
}

#[test]
fn a_connection_that_is_half_closed_and_silent_ends_in_time() {
    // A server that keeps its direction open as long as the test runs.
    let held = std::sync::Mutex::new(Vec::new());
    let origin = Origin::start(move |stream| held.lock().expect("no panic").push(stream));
    let more = "[timeouts]\nhalf_closed = \"1s\"\n";
    let operated = Operated::start(&forwarding(&[origin.address], more));
    let mut stream = operated.ringway.connect();
    stream.shutdown(Shutdown::Write).expect("ended");
    let mut byte = [0; 1];
    assert!(stream.read(&mut byte).is_err(), "cut, and not ended");
    await_that("it is counted as what it was", || {
        let text = operated.asked("GET /metrics", "");
        text.lines().any(|line| line.contains("reason=\"tunnel_idle\"") && line.ends_with(" 1"))
    });
}
