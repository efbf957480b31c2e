//! The traffic of a shard: all its connections, exchanges, relays and flows. It gives each event to
//! the part that it is for, and each signal that a part leaves to the next. Nothing else takes all
//! of them: a part takes what it touches.

use crate::access_log::Sender;
use crate::backend::Connections;
use crate::base::{Generation, Instant, Prng, TimerWheel};
use crate::client::{Clients, State};
use crate::engine::{BuffersHeld, Close, Engine, Owner, Socket};
use crate::exchange::Exchanges;
use crate::flow::Flows;
use crate::http2::Section;
use crate::link::{Life, Wire};
use crate::local::{Current, Handshakes, Local, Reports, UniqueIds, Windows, Work};
use crate::mailbox::{Mailbox, Stage};
use crate::pick::Replicas;
use crate::relay::Relays;
use crate::sides::Sides;
use crate::snapshot::Snapshot;
use crate::stats::Counters;
use crate::table::Table;
use std::sync::Arc;

/// Most connections that room is made for at the start; twice a shard's share, because clients do
/// not spread evenly.
const ROOM_MAX: usize = 1 << 18;

/// See the module.
pub struct Traffic<E: Engine> {
    pub(super) sides: Sides<E>,
    pub(super) exchanges: Exchanges,
    pub(super) relays: Relays,
    pub(super) flows: Flows,
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
        let ledger = mailbox.shared.ledger.clone();
        let room = snapshot.settings.connections_max as usize / ledger.shards();
        let room = (room * 2).min(ROOM_MAX);
        let mut prng = Prng::new(seed);
        let mut picks = Replicas::new(mailbox.shard(), ledger);
        picks.take(&snapshot, &mut prng);
        let timers = TimerWheel::with_capacity(engine.now(), room);
        let local = Local {
            wire: Wire::new(engine),
            timers,
            current: Current::new(snapshot),
            reports: Reports::new(mailbox, access_log),
            work: Work::default(),
            handshakes: Handshakes::default(),
            windows: Windows::default(),
            section: Section::default(),
            unique_ids: UniqueIds::new(&mut prng),
            prng,
            closed: Vec::with_capacity(1024),
        };
        let sides = Sides {
            clients: Table::with_capacity(room),
            connections: Connections::with_capacity(room),
            picks,
            local,
        };
        let exchanges = Table::with_capacity(room);
        let traffic = Self { sides, exchanges, relays: Table::default(), flows: Flows::default() };
        traffic.follow_limits();
        traffic
    }

    /// Sockets, buffers, time.
    #[inline]
    pub fn engine(&mut self) -> &mut E {
        &mut self.sides.local.wire.engine
    }

    /// Buffers that are in use.
    pub fn buffers_held(&self) -> BuffersHeld {
        self.sides.local.wire.engine.buffers_held()
    }

    /// The time at which the turn began.
    pub fn now(&self) -> Instant {
        self.sides.local.now()
    }

    /// Connections of clients.
    pub fn clients(&self) -> &Clients {
        &self.sides.clients
    }

    /// Connections to backends.
    pub fn connections(&self) -> &Connections {
        &self.sides.connections
    }

    /// The generation in force.
    pub fn generation(&self) -> Generation {
        self.snapshot().generation
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        self.sides.local.current.snapshot()
    }

    /// The stage of the process.
    pub fn stage(&self) -> Stage {
        self.sides.local.current.stage
    }

    /// When the next timer is due; `never` without one.
    pub fn next_deadline(&self, never: Instant) -> Instant {
        self.sides.local.timers.next_deadline().unwrap_or(never)
    }

    /// The counters that the shard writes.
    pub fn counters_of_shard(&self) -> Arc<Counters> {
        self.sides.local.reports.mailbox.counters.clone()
    }

    /// Exchanges in flight.
    pub fn exchange_count(&self) -> usize {
        self.exchanges.len()
    }

    /// Connections that are forwarded unread.
    pub fn relays(&self) -> &Relays {
        &self.relays
    }

    /// Flows of datagrams.
    pub fn flows(&self) -> &Flows {
        &self.flows
    }

    /// True if datagrams are still to be sent.
    pub fn has_datagrams(&self) -> bool {
        self.sides.local.wire.engine.has_datagrams()
    }

    /// True without a connection of any kind, and without a flow.
    pub fn is_empty(&self) -> bool {
        let Sides { clients, connections, .. } = &self.sides;
        clients.is_empty() && connections.is_empty() && self.flows.is_empty()
    }

    /// True if handshakes, or flows, wait for the next turn.
    pub(super) fn is_pressed(&self) -> bool {
        self.sides.local.handshakes.has_deferred() || self.flows.is_pressed()
    }

    /// Goes on with handshakes that an earlier turn had no time for.
    pub(super) fn resume_handshakes(&mut self) {
        self.sides.local.handshakes.begin_turn();
        while let Some(key) = self.sides.local.handshakes.next_deferred() {
            let Sides { clients, local, .. } = &mut self.sides;
            if let Some(id) = clients.find(key) {
                clients.at(id).resume_handshake(local);
                self.work_off();
            }
        }
    }

    /// Sends what was queued in this turn, and rearms links that found the receive ring empty.
    pub(super) fn finish_turn(&mut self) {
        let Sides { clients, connections, local, .. } = &mut self.sides;
        local.wire.resume_flushes();
        while let Some(key) = local.wire.next_dirty() {
            if key.owner() == Owner::Client {
                if let Some(id) = clients.find(key) {
                    let client = clients.at(id);
                    if client.state == State::Http2 {
                        client.fill(local);
                    }
                    local.wire.flush(&mut client.link);
                    client.after_flush(local);
                }
            } else if let Some(id) = connections.find(key) {
                let connection = connections.at(id);
                connection.fill(local);
                local.wire.flush(&mut connection.link);
            }
        }
        while let Some(key) = local.wire.next_out_of_buffers() {
            if key.owner() == Owner::Client {
                if let Some(id) = clients.find(key) {
                    local.wire.rearm(&mut clients.at(id).link);
                }
            } else if let Some(id) = connections.find(key) {
                local.wire.rearm(&mut connections.at(id).link);
            }
        }
        if !self.sides.local.closed.is_empty() {
            self.reap();
        }
    }

    /// Frees the rows of the connections that were closed in this turn. Not before the end of the
    /// turn, so that a step that closes its connection can still use it.
    fn reap(&mut self) {
        let Sides { clients, connections, local, .. } = &mut self.sides;
        while let Some(key) = local.closed.pop() {
            if key.owner() == Owner::Client {
                let client = clients.find(key).expect("closed in this turn");
                drop(clients.remove(client));
            } else {
                let connection = connections.find(key).expect("closed in this turn");
                drop(connections.remove(connection));
            }
        }
        local.reports.mailbox.show_connections(clients.len() as u32);
    }

    /// Closes every socket, whatever is in flight on it. Only for a shard that does not run again.
    /// A connection closed in its last turn still has a row, but its descriptor may be another's.
    pub(super) fn abandon(&mut self) {
        let mut sockets: Vec<Socket> = self.sides.connections.open_sockets();
        let links = self.sides.clients.iter().map(|(_, client)| &client.link);
        let open = links.filter(|link| link.life != Life::Closed);
        sockets.extend(open.map(|link| link.socket));
        sockets.into_iter().for_each(|socket| self.engine().close(socket, Close::Reset));
        self.flows.abandon(&mut self.sides.local);
    }
}
