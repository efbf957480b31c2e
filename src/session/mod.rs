//! Sessions: the life of one client connection each, as a state machine. Events come from the
//! engine, calls go to the engine; nothing here blocks.
//!
//! One file per state or step:
//! `opening` → `http1_reading_head` → `choosing` (a backend) → `http1_exchanging` (both bodies) with
//! `http1_answering_head` (the response's head) → back to reading, or `tunnelling` after an upgrade;
//! `retrying` sends a request again, `keeping_head` keeps its head for that,
//! `answering` is a local answer, `closing` the end, `timeouts` slow, stalled and idle peers,
//! `leaving` removal by a newer snapshot, `observing` the results of backends.
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

/// Most sessions that room is made for at the start; twice a shard's share, because clients do not
/// spread evenly.
const ROOM_MAX: usize = 1 << 18;

/// The traffic of a shard: its connections, and what they need. Each file of this folder adds the
/// methods of one state.
pub struct Traffic<E: Engine> {
    /// Sockets, buffers, time.
    pub wire: Wire<E>,
    /// Client connections.
    pub sessions: Sessions,
    /// Connections to backends.
    pub upstreams: Upstreams,
    exchanges: Table<ExchangeId, Exchange>,
    /// The serial of the newest exchange.
    serial: u64,
    replicas: Replicas,
    timers: TimerWheel<Key>,
    snapshot: Arc<Snapshot>,
    /// Every listener that a session may have been accepted on, in its newest version.
    listeners: Vec<Option<Arc<Listener>>>,
    mailbox: Arc<Mailbox>,
    prng: Prng,
    stage: Stage,
    /// Connections that were closed in this turn; their slots are free at the turn's end.
    closed: Vec<Key>,
    access_log: Option<Sender>,
    /// Before this time, malformed answers are only counted.
    next_warning: Instant,
    /// Malformed answers since the last warning.
    suppressed: u32,
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
            suppressed: 0,
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

    /// The stage of the process.
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

    /// Sends what was queued in this turn, and rearms links that found the receive ring empty.
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
