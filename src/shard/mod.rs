//! The data plane: one thread, one engine, one loop.
//!
//! Does: run turns, dispatch events, accept, take snapshots, drain. Does not: know
//! configuration files, the coordinator or the kernel; lock; wait for anything but its engine.

mod accepting;
mod dispatching;
mod listening;
mod receiving;
mod removal;
mod stages;
mod streams;
mod traffic;
mod upstreams;
mod working;

pub use traffic::Traffic;

use crate::access_log::Sender;
use crate::base::{Generation, Instant, Prng};
use crate::engine::{Engine, Socket};
use crate::limits::{COMPLETIONS_PER_TURN_MAX, TIMERS_PER_TURN_MAX};
use crate::mailbox::{Handoff, Mailbox, Stage, Taken};
use crate::snapshot::Snapshot;
use accepting::BACKOFF;
use listening::{Acceptor, accepts};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A shard waits no longer than this, so that it shows signs of life.
const TURN_MAX: Duration = Duration::from_millis(500);

/// The parts of a shard.
pub struct ShardParts<E> {
    /// Its engine, built on the thread that runs the shard.
    pub engine: E,
    /// The mailboxes of all shards, its own at its own index.
    pub mailboxes: Arc<[Arc<Mailbox>]>,
    /// Its index.
    pub index: usize,
    /// The initial snapshot.
    pub snapshot: Arc<Snapshot>,
    /// Where exchanges are recorded.
    pub access_log: Option<Sender>,
    /// Seeds its random choices.
    pub seed: u64,
}

/// One shard.
pub struct Shard<E: Engine> {
    traffic: Traffic<E>,
    /// By their socket.
    acceptors: BTreeMap<Socket, Acceptor>,
    /// Accepted connections that wait until the process may serve them.
    deferred: VecDeque<Handoff>,
    /// No warning before this time about connections that cannot be accepted.
    next_warning: Instant,
    /// A generation that is in force and not reported yet.
    unreported: Option<Generation>,
    mailboxes: Arc<[Arc<Mailbox>]>,
    index: usize,
    prng: Prng,
}

impl<E: Engine> Shard<E> {
    /// A shard that accepts from its first turn on.
    pub fn new(parts: ShardParts<E>) -> Self {
        let ShardParts { engine, mailboxes, index, snapshot, access_log, seed } = parts;
        let mailbox = mailboxes[index].clone();
        let traffic = Traffic::new(engine, mailbox, snapshot, access_log, seed);
        let prng = Prng::new(seed.wrapping_add(1));
        let generation = traffic.generation();
        let mut shard = Self {
            traffic,
            acceptors: BTreeMap::new(),
            deferred: VecDeque::new(),
            next_warning: Instant::default(),
            unreported: Some(generation),
            mailboxes,
            index,
            prng,
        };
        shard.follow_listeners();
        shard.follow_receivers();
        shard
    }

    /// Runs until it is ordered to end and nothing is left, or until the order to end is followed.
    pub fn run(&mut self) {
        while !self.is_over() {
            self.turn();
        }
    }

    /// One turn: submit the operations of the last turn, wait, and process the events.
    pub fn turn(&mut self) {
        let now = self.traffic.now();
        let is_last = self.traffic.is_empty() && self.traffic.has_datagrams();
        let is_pressed = self.unreported.is_some() || is_last || self.traffic.is_pressed();
        let latest = if is_pressed { now } else { now + TURN_MAX };
        let deadline = self.next_deadline(latest);
        self.traffic.engine().turn(deadline);
        self.mailbox().show_turn(self.traffic.now());
        self.report_applied();
        self.traffic.resume_handshakes();
        self.traffic.resume_flows();
        for _ in 0..COMPLETIONS_PER_TURN_MAX {
            let Some(event) = self.traffic.engine().next_event() else { break };
            self.dispatch(event);
        }
        self.traffic.expire(TIMERS_PER_TURN_MAX);
        self.resume_accepting();
        self.take_mail();
        self.traffic.finish_turn();
        self.mailbox().show_buffers(self.traffic.buffers_held());
    }

    /// After a panic: closes every socket, so that no client waits for a shard that has ended.
    pub fn abandon(&mut self) {
        self.traffic.abandon();
        self.abandon_accepted();
    }

    /// Its connections, for tests of the whole shard.
    pub fn traffic(&mut self) -> &mut Traffic<E> {
        &mut self.traffic
    }

    /// True once an order to end or to drain has been followed completely.
    pub fn is_over(&self) -> bool {
        match self.traffic.stage() {
            Stage::Serving | Stage::LameDuck => false,
            Stage::Draining | Stage::Ending => {
                self.traffic.is_empty()
                    && !self.traffic.has_datagrams()
                    && self.acceptors.is_empty()
                    && !self.mailbox().has_handoffs()
            }
        }
    }

    fn next_deadline(&self, latest: Instant) -> Instant {
        let timers = self.traffic.next_deadline(latest);
        let acceptors = self.acceptors.values().filter_map(|acceptor| self.due_at(acceptor));
        let next = acceptors.fold(timers.min(latest), Instant::min);
        // No event reports that another shard's connection has closed.
        if self.deferred.is_empty() { next } else { next.min(self.traffic.now() + BACKOFF) }
    }

    /// A generation counts as applied when everything that was decided before it has been handed to
    /// the kernel, one turn after it was taken.
    fn report_applied(&mut self) {
        if let Some(generation) = self.unreported.take() {
            self.mailbox().report_applied(generation);
        }
    }

    fn mailbox(&self) -> &Mailbox {
        &self.mailboxes[self.index]
    }

    /// Takes snapshots, orders and connections from the mailbox.
    fn take_mail(&mut self) {
        // An order applies to the snapshot that it was given with: no shard would close a listener
        // that was published before the order to drain.
        let stage = self.mailbox().stage();
        self.take_newest();
        let is_current = !self.mailbox().has_newer(self.traffic.generation());
        if is_current && stage.may_follow(self.traffic.stage()) {
            self.enter_stage(stage);
        }
        while let Some(handoff) = self.mailbox().next_handoff() {
            self.serve(handoff);
        }
        if self.mailbox().take_has_claims() {
            while let Some(slot) = self.mailbox().next_claim() {
                self.traffic.yield_claimed(slot);
            }
        }
    }

    /// Takes the newest snapshot, if there is one that is newer.
    fn take_newest(&mut self) {
        let Some(taken) = self.mailbox().take(self.traffic.generation()) else { return };
        let Taken { newest, unclaimed } = taken;
        // First, so that they are among the acceptors if what follows panics.
        let (accepting, receiving) = unclaimed.into_iter().partition(|one| accepts(one));
        self.adopt(accepting);
        self.adopt_receivers(receiving);
        if let Some(snapshot) = newest {
            self.unreported = Some(snapshot.generation);
            self.traffic.take_snapshot(snapshot);
            if self.traffic.stage() < Stage::Draining {
                self.follow_listeners();
                self.follow_receivers();
            }
        }
    }
}
