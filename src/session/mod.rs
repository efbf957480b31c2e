//! Sessions: the life of one client connection each, as a state machine. An event comes in, verbs
//! go out to the engine; nothing here waits.
//!
//! One file per state or step:
//! `opening` → `http1_reading_head` → `choosing` (a backend) → `http1_exchanging` (both bodies) with
//! `http1_answering_head` (the response's head) → back to reading, or `tunnelling` after an upgrade;
//! `retrying` sends a request again, `keeping_head` keeps its head for that,
//! `answering` is a local answer, `closing` the end, `timeouts` what happens when nothing does,
//! `leaving` what a newer snapshot takes away, `observing` what exchanges show of their backends.
//! `translating` is the pure part: bytes of a head in, bytes of a head out.
//!
//! Does not: know the kernel, configuration files or other shards.

mod answering;
mod body;
mod choosing;
mod closing;
mod draft;
mod exchange;
mod http1_answering_head;
mod http1_exchanging;
mod http1_reading_head;
mod keeping_head;
mod leaving;
mod observing;
mod opening;
mod recording;
mod retrying;
mod table;
mod timeouts;
mod translating;
mod tunnelling;

pub use table::{Session, Sessions, State};

use crate::access_log::Sender;
use crate::base::{Generation, Instant, Prng, TimerWheel};
use crate::engine::{Engine, Key, Owner};
use crate::link::Wire;
use crate::mailbox::{Mailbox, Stage};
use crate::snapshot::{Listener, Snapshot};
use crate::stats::{Counter, Counters};
use crate::table::{ExchangeId, Table};
use crate::upstream::{Replicas, Upstreams};
use exchange::Exchange;
use std::sync::Arc;

/// Sessions that room is made for at the start, at most; twice a shard's share, because clients do
/// not spread evenly.
const ROOM_MAX: usize = 1 << 18;

/// Everything that a shard is busy with, and what it needs for it. The files of this folder each
/// add the verbs of one state.
pub struct Traffic<E: Engine> {
    /// Sockets, buffers, time.
    pub wire: Wire<E>,
    /// Client connections.
    pub sessions: Sessions,
    /// Connections to backends.
    pub upstreams: Upstreams,
    exchanges: Table<ExchangeId, Exchange>,
    /// That of the newest exchange.
    serial: u64,
    replicas: Replicas,
    timers: TimerWheel<Key>,
    snapshot: Arc<Snapshot>,
    /// Every listener that a session may have been accepted on, in its newest form.
    listeners: Vec<Option<Arc<Listener>>>,
    mailbox: Arc<Mailbox>,
    prng: Prng,
    stage: Stage,
    /// What was closed in this turn; its slots are free at the turn's end.
    closed: Vec<Key>,
    access_log: Option<Sender>,
    /// Before this, malformed answers are only counted.
    next_warning: Instant,
    /// Malformed answers since the last warning.
    unsaid: u32,
}

impl<E: Engine> Traffic<E> {
    /// No traffic yet; `snapshot` is in force.
    pub fn new(
        engine: E,
        mailbox: Arc<Mailbox>,
        snapshot: Arc<Snapshot>,
        access_log: Option<Sender>,
        seed: u64,
    ) -> Self {
        let replicas = Replicas::new(mailbox.shard(), mailbox.shared.ledger.clone());
        let shards = mailbox.shared.ledger.shards();
        let sessions = snapshot.settings.connections_max as usize / shards;
        let sessions = (sessions * 2).min(ROOM_MAX);
        let timers = TimerWheel::with_capacity(engine.now(), sessions);
        let mut traffic = Self {
            wire: Wire::new(engine),
            sessions: Sessions::with_capacity(sessions),
            upstreams: Upstreams::with_capacity(sessions),
            exchanges: Table::with_capacity(sessions),
            serial: 0,
            replicas,
            timers,
            snapshot: snapshot.clone(),
            listeners: Vec::new(),
            mailbox,
            prng: Prng::new(seed),
            stage: Stage::Serving,
            closed: Vec::with_capacity(1024),
            access_log,
            next_warning: Instant::default(),
            unsaid: 0,
        };
        traffic.take_snapshot(snapshot);
        traffic
    }

    /// The generation in force.
    pub fn generation(&self) -> Generation {
        self.snapshot.generation
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// What the process is about.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// When the next timer is due; `never` without one.
    pub fn next_deadline(&self, never: Instant) -> Instant {
        self.timers.next_deadline().unwrap_or(never)
    }

    /// The counters that the shard writes.
    pub fn counters_of_shard(&self) -> Arc<Counters> {
        self.mailbox.counters.clone()
    }

    /// Exchanges in flight.
    pub fn exchange_count(&self) -> usize {
        self.exchanges.len()
    }

    /// Sends what was queued in this turn, and feeds those who found the receive ring empty.
    pub fn finish_turn(&mut self) {
        while let Some(key) = self.wire.next_dirty() {
            if key.owner() == Owner::Client {
                if let Some(client) = self.sessions.find(key) {
                    self.wire.flush(&mut self.sessions.at(client).link);
                    self.after_client_flush(client);
                }
            } else if let Some(upstream) = self.upstreams.find(key) {
                self.wire.flush(&mut self.upstreams.at(upstream).link);
            }
        }
        while let Some(key) = self.wire.next_out_of_buffers() {
            if key.owner() == Owner::Client {
                if let Some(index) = self.sessions.find(key) {
                    self.wire.rearm(&mut self.sessions.at(index).link);
                }
            } else if let Some(index) = self.upstreams.find(key) {
                self.wire.rearm(&mut self.upstreams.at(index).link);
            }
        }
        if !self.closed.is_empty() {
            self.reap();
        }
    }

    fn now(&self) -> Instant {
        self.wire.engine.now()
    }

    fn count(&self, counter: Counter) {
        self.counters().add(counter, 1);
    }

    fn counters(&self) -> &Counters {
        &self.mailbox.counters
    }
}
