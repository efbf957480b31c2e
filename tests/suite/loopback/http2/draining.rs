//! Connections that end without a request being lost: drain, age, reload, and backends that die.

use super::*;
use crate::loopback::load::{OriginProcess, signed};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// The PING behind the first GOAWAY of a drain.
fn is_ping(frame: &Frame) -> bool {
    (frame.kind, frame.flags) == (PING, NONE)
}

fn is_goaway(frame: &Frame) -> bool {
    frame.kind == GOAWAY
}

#[test]
fn a_drain_is_told_in_two_steps_and_no_request_is_lost() {
    let origin = Origin::http(|_, body| ok(body));
    let quick = "[timeouts]\nlame_duck = \"0s\"\nlinger = \"0s\"\n";
    let mut operated = started(&origin, quick);
    let mut wire = Wire::open(operated.ringway.address);
    wire.sends(HEADERS, END_HEADERS, 1, &request("POST", "/", &[]));
    assert!(wire.lives());
    operated.ringway.signal("-TERM");
    let first = wire.await_frame("the first step", is_goaway);
    assert_eq!((first.number(), first.code()), (0x7fff_ffff, Some(NO_ERROR)));
    let ping = wire.await_frame("a PING behind it", is_ping);
    // This one was on its way.
    wire.sends(HEADERS, END_HEADERS, 3, &request("POST", "/", &[]));
    wire.acknowledge(&ping);
    let second = wire.await_frame("the second step", is_goaway);
    assert_eq!((second.number(), second.code()), (3, Some(NO_ERROR)));
    // This one comes too late, and is safe to send elsewhere: nothing is said of it.
    wire.get(5, "/");
    for stream in [3, 1] {
        wire.sends(DATA, END_STREAM, stream, b"body");
        assert_eq!(wire.response(stream), (200, b"body".to_vec()));
    }
    while let Some(frame) = wire.next() {
        assert_ne!(frame.stream, 5, "{frame:?}");
    }
    drop(wire);
    assert_eq!(operated.ringway.wait(), Some(0));
}

#[test]
fn a_connection_that_is_too_old_is_drained_idle_or_not() {
    let origin = Origin::saying("hello");
    let operated = started(&origin, "[http2]\nmax_age = \"1s\"\n");
    let mut wire = Wire::open(operated.ringway.address);
    // Requests one after the other, without a pause, each of them answered.
    let mut stream = 1;
    let goaway = loop {
        wire.get(stream, "/");
        let mut told = None;
        loop {
            let frame = wire.next().expect("it is answered");
            match frame.kind {
                GOAWAY => told = Some(frame),
                PING => wire.acknowledge(&frame),
                _ if frame.stream == stream && frame.is_last() => break,
                _ => {}
            }
        }
        stream += 2;
        if let Some(told) = told {
            break told;
        }
    };
    assert_eq!(goaway.code(), Some(NO_ERROR));
    while wire.next().is_some() {}
    let mut idle = Wire::open(operated.ringway.address);
    assert_eq!(idle.get(1, "/").response(1).0, 200);
    let goaway = idle.await_frame("it is drained", is_goaway);
    assert_eq!(goaway.code(), Some(NO_ERROR));
    while idle.next().is_some() {}
}

/// Clients that ask on many streams at once, and open another connection where they are told to.
pub(super) struct Askers {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

/// Streams that each has open at once.
const STREAMS: u32 = 8;

impl Askers {
    pub(super) fn start(address: SocketAddr, count: usize, path: &'static str) -> Self {
        let (is_over, answered) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
        let one = |_| {
            let (is_over, answered) = (is_over.clone(), answered.clone());
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let mut wire = Wire::open(address);
                    let mut first = 1;
                    while !is_over.load(Ordering::Relaxed) && ask(&mut wire, first, path) {
                        first += 2 * STREAMS;
                        answered.fetch_add(STREAMS as usize, Ordering::Relaxed);
                    }
                }
            })
        };
        let threads = (0..count).map(one).collect();
        Self { is_over, answered, threads }
    }

    /// Waits for so many more answers.
    pub(super) fn await_answers(&self, more: usize) {
        let goal = self.answered.load(Ordering::Relaxed) + more;
        await_that("all are served", || {
            let ended = self.threads.iter().any(JoinHandle::is_finished);
            assert!(!ended, "one of them has failed");
            self.answered.load(Ordering::Relaxed) >= goal
        });
    }

    /// Ends them: the number of answers. Each of them was a whole 200.
    pub(super) fn stop(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("nobody fails"));
        self.answered.load(Ordering::Relaxed)
    }
}

/// Asks on several streams; each must have its answer. False if the connection is drained.
fn ask(wire: &mut Wire, first: u32, path: &str) -> bool {
    let streams: Vec<u32> = (0..STREAMS).map(|n| first + 2 * n).collect();
    for stream in &streams {
        wire.get(*stream, path);
    }
    let (mut open, mut is_drained) = (streams.len(), false);
    while open > 0 {
        let frame = wire.next().expect("no connection ends with open streams");
        match frame.kind {
            HEADERS => assert_eq!(frame.status(), 200, "{frame:?}"),
            RST_STREAM => panic!("reset: {frame:?}"),
            PING if frame.flags == NONE => wire.acknowledge(&frame),
            DATA => wire.credit(0, frame.payload.len()),
            GOAWAY => {
                assert_eq!(frame.code(), Some(NO_ERROR));
                is_drained = true;
            }
            _ => {}
        }
        open -= usize::from(frame.is_last());
    }
    !is_drained
}

#[test]
fn reloads_beside_busy_connections_lose_nothing() {
    let origin = Origin::saying("hello");
    let text = |max: usize| {
        let keys = format!("[http]\nrequest_body_max = \"{max}MiB\"\n[runtime]\nshards = 2\n");
        config(&[origin.address], &keys)
    };
    let operated = Operated::start(&text(1));
    let askers = Askers::start(operated.ringway.address, 3, "/");
    for round in 2..8 {
        askers.await_answers(50);
        operated.rewrite(&text(round));
        operated.done(&["reload"]);
    }
    askers.await_answers(100);
    assert!(askers.stop() >= 400);
}

#[test]
fn a_backend_that_is_killed_costs_no_request_that_may_be_repeated() {
    let (one, two) = (OriginProcess::start(), OriginProcess::start());
    let more = "[runtime]\nshards = 1\n[pool.all]\nretry_budget_percent = 100\n";
    let text = config(&[one.address, two.address], more);
    let operated = Operated::start(&text);
    let askers = Askers::start(operated.ringway.address, 3, "/1/300");
    askers.await_answers(100);
    two.kill();
    askers.await_answers(300);
    two.restart();
    askers.await_answers(100);
    askers.stop();
}

#[test]
fn a_listener_that_is_removed_drains_its_connections() {
    let origin = Origin::http(|_, _| signed("a", b"hello"));
    let text = config(&[origin.address], "[runtime]\nshards = 1\n");
    let more = "[[listener]]\nname = \"other\"\naddress = \"LISTEN\"\n";
    let operated = Operated::start(&format!("{text}{more}"));
    let mut wire = Wire::open(operated.address_of("other"));
    wire.get(1, "/").response(1);
    operated.rewrite(&text);
    operated.done(&["reload"]);
    let goaway = wire.await_frame("it is told", is_goaway);
    assert_eq!(goaway.code(), Some(NO_ERROR));
    while wire.next().is_some() {}
    assert_eq!(Wire::open(operated.ringway.address).get(1, "/").response(1).0, 200);
}
