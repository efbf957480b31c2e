//! The control plane of a whole process without its threads: what it tells of itself, and what
//! it has room for.

use super::{address, config};
use ringway::balance::Algorithm;
use ringway::base::{Instant, ShardId};
use ringway::config::{Backend, Config, Listener};
use ringway::coordinator::fleet::{Discovered, ProbeOf};
use ringway::coordinator::{self, BellReceiver, Control, ListenSockets, OpenListener};
use ringway::engine::Socket;
use ringway::mailbox::{Mailbox, Shared};
use ringway::sys::event_fd::EventFd;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// ListenSockets that nobody comes through.
struct Closed;

impl ListenSockets for Closed {
    fn open(&mut self, listener: &Listener) -> Result<OpenListener, String> {
        Ok(OpenListener { bound: listener.address, sockets: vec![Socket(-1)], is_passed: false })
    }

    fn note_open(&mut self, _listeners: &[Listener]) {}

    fn turn_away(&mut self, _sockets: &[Socket]) {}

    fn close(&mut self, _door: OpenListener) {}

    fn close_unused(&mut self) {}
}

/// A process of one shard.
struct Process {
    control: Control,
    now: Instant,
    _bell: BellReceiver,
}

impl Process {
    fn new(config: Config) -> Self {
        let (ringing, bell) = coordinator::bell().expect("a socket pair");
        let wake = Arc::new(EventFd::new().expect("an eventfd"));
        let shared = Shared::new(1, 0, Arc::new(ringing));
        let mailboxes = [Arc::new(Mailbox::new(ShardId(0), wake, shared))].into();
        let now = Instant::from_nanos(1_000_000_000);
        let control = Control::new(config, Box::new(Closed), mailboxes, now);
        Self { control: control.expect("the listen_sockets open"), now, _bell: bell }
    }

    fn probe(&mut self, backend: usize, times: usize, passed: bool) {
        let pool = self.control.fleet().pools()["default"].id;
        for _ in 0..times {
            let failure = (!passed).then(|| "as ordered by a test".to_owned());
            self.control.fleet_mut().note_probe((pool, address(backend)), ProbeOf::Health, failure);
        }
        self.control.publish(self.now);
    }

    /// Why the process is not ready; empty if it is.
    fn reasons(&self) -> &[String] {
        &self.control.readiness().process().readiness.reasons
    }
}

#[test]
fn readiness_follows_each_change_and_is_kept_between_them() {
    let mut config = config(&[1; 2], Algorithm::P2c, super::AT_ONCE);
    (config.pools[0].required, config.pools[0].min_ready) = (true, 2);
    let mut process = Process::new(config);
    let short = |has: usize| format!("pool default has {has} healthy backends and needs 2");
    assert_eq!(process.reasons(), ["the process is starting", &short(0)]);
    process.probe(0, 1, true);
    process.probe(1, 1, true);
    assert_eq!(process.reasons(), ["the process is starting"]);
    process.control.start();
    assert_eq!(process.reasons(), ["no shard runs"]);
    process.control.set_running(0, true);
    assert!(process.reasons().is_empty());

    let body = |process: &Process| process.control.readiness().process().body.as_ptr();
    let of_pool = |process: &Process| process.control.readiness().pool("default").cloned();
    let made = body(&process);
    process.probe(0, 2, false);
    assert_eq!(body(&process), made, "nothing has changed yet, so nothing was made anew");
    process.probe(0, 1, false);
    assert_eq!(process.reasons(), [short(1)]);
    let answer = of_pool(&process).expect("there is this pool");
    assert_eq!(answer.readiness.reasons, [short(1)]);
    assert!(String::from_utf8_lossy(&answer.body).contains(&short(1)));
    process.probe(0, 2, true);
    assert!(process.reasons().is_empty());

    process.control.drain(process.now);
    assert_eq!(process.reasons(), ["the process is lame-duck"]);
    process.now = process.now + Duration::from_secs(11);
    process.control.step(process.now);
    assert_eq!(process.reasons(), ["the process is lingering"], "time leads on as orders do");
    assert!(process.control.undrain());
    assert!(process.reasons().is_empty());
    assert!(process.control.readiness().pool("other").is_none());
}

/// So many listeners on addresses of their own, from this port on.
fn listening(from: u16, count: u16) -> Config {
    let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
    let listen: Vec<SocketAddr> = (from..from + count).map(address).collect();
    let backend = Backend { address: address(1), weight: 1 };
    Config::quick(&listen, &[backend], Algorithm::P2c).expect("it is well")
}

#[test]
fn listeners_that_ended_their_sessions_make_room_for_new_ones() {
    let mut process = Process::new(listening(1_000, 2_049));
    let (control, now, shard) = (&mut process.control, process.now, ShardId(0));
    let ledger = control.fleet().ledger().clone();
    control.step(now);
    let old: Vec<_> = control.listeners().iter().map(|listener| listener.id).collect();
    let sessions = || old.iter().map(|id| ledger.sessions(shard, *id));
    sessions().for_each(|one| one.take_anyway());
    control.apply(listening(9_000, 1), Discovered::default(), now).expect("there is room");
    control.step(now);
    let now = now + Duration::from_secs(3);
    let refused =
        control.apply(listening(10_000, 2_049), Discovered::default(), now).expect_err("too many");
    assert!(refused.contains("2049 new listeners"), "{refused}");
    sessions().for_each(|one| assert_eq!(one.put_back(), None));
    control
        .apply(listening(10_000, 2_049), Discovered::default(), now)
        .expect("what is gone has no session any more");
    assert_eq!(control.listeners().iter().count(), 2_049);
}

#[test]
fn the_number_of_a_listener_is_kept_while_its_old_sockets_are_accepted_on() {
    let mut process = Process::new(listening(1_000, 2_049));
    let (control, now) = (&mut process.control, process.now);
    control.step(now);
    control.apply(listening(9_000, 1), Discovered::default(), now).expect("there is room");
    control.step(now);
    let soon = now + Duration::from_millis(1_500);
    control.step(soon);
    let refused = control.apply(listening(10_000, 2_049), Discovered::default(), soon);
    assert!(refused.expect_err("they may be in use").contains("2049 new listeners"));
    let later = now + Duration::from_secs(3);
    control.step(later);
    control.apply(listening(10_000, 2_049), Discovered::default(), later).expect("there is room");
}
