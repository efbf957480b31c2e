//! Which connection gives an exchange a stream: one with a place left, the oldest first, so that
//! the newest become idle.

use super::super::{Connection, Connections, Use};
use super::{Http2, Row, Stage};
use crate::base::{BackendSlot, Instant};
use crate::engine::{Engine, Key};
use crate::link::Chain;
use crate::local::Local;
use crate::message::Body;
use crate::streams::{Framing, Inbound};
use crate::table::{ConnectionId, ExchangeId, Port};

/// What a request asks of the stream that carries it, beside its head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// The client accepts trailers.
    pub accepts_trailers: bool,
    /// The client's Upgrade is forwarded.
    pub forward_upgrade: bool,
}

/// What an exchange needs of a connection with streams.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// The exchange.
    pub exchange: ExchangeId,
    /// What its request asks for.
    pub wants: Wants,
    /// A connection failed under it: only one that is being made will do.
    pub needs_fresh: bool,
    /// The client, for connections that are for one client alone.
    pub client: Key,
    /// Idle connections to the backend that this shard may keep, and whether another shard may
    /// claim them.
    pub idle: (u32, bool),
}

/// What a new connection with streams is.
#[derive(Clone, Copy, Debug)]
pub struct NewStreams {
    /// Streams at a time.
    pub streams_max: u32,
    /// It has TLS.
    pub is_secure: bool,
    /// It is for one client alone.
    pub is_per_client: bool,
}

impl Http2 {
    /// True if one more exchange of a client may have a place.
    fn has_place(&self, client: Key) -> bool {
        let is_open = !self.is_retired && self.connection.takes_streams();
        let is_blocked = self.queued > 0 && self.connection.is_window_shut();
        is_open
            && !is_blocked
            && self.client.is_none_or(|only| only == client)
            && self.rows.len() < self.connection.capacity() as usize
    }

    fn add_row(&mut self, lease: &Lease) -> u32 {
        self.places += 1;
        self.idle = lease.idle;
        self.rows.push(Row {
            place: self.places,
            exchange: Some(lease.exchange),
            stage: Stage::Waiting,
            wants: lease.wants,
            is_reused: self.places > 1,
            request: Body::ENDED,
            outbox: Chain::default(),
            trailers: None,
            inbound: Inbound::new(Framing::Plain),
            has_ended: false,
            until: Instant::default(),
        });
        self.places
    }
}

impl Connection {
    /// True if it can carry one more stream.
    fn has_place(&self, client: Key, needs_fresh: bool) -> bool {
        let is_fit = !self.link.is_broken() && !self.link.has_ended();
        let is_fresh = self.link.is_connecting() || !needs_fresh;
        let http2 = self.http2.as_ref().filter(|_| is_fit && is_fresh);
        http2.is_some_and(|http2| http2.has_place(client))
    }
}

impl Connections {
    pub(super) fn with_streams(&self, slot: BackendSlot) -> &[ConnectionId] {
        self.streaming.get(slot.index()).map_or(&[], Vec::as_slice)
    }

    /// True if a connection to a backend has a place for one more exchange of a client.
    pub fn has_place(&self, slot: BackendSlot, client: Key, needs_fresh: bool) -> bool {
        let mut connections = self.with_streams(slot).iter();
        connections.any(|id| self.at_ref(*id).has_place(client, needs_fresh))
    }

    /// A place on a connection to a backend that there is; none if all are taken.
    pub fn lease<E: Engine>(
        &mut self,
        slot: BackendSlot,
        lease: &Lease,
        local: &mut Local<E>,
    ) -> Option<Port<ConnectionId>> {
        let connections = self.with_streams(slot).iter();
        let Lease { client, needs_fresh, .. } = *lease;
        let mut fit = connections.filter(|id| self.at_ref(**id).has_place(client, needs_fresh));
        let id = *fit.find(|id| {
            // Another shard may have claimed an idle one.
            !self.at_ref(**id).is_claimable || local.reports.backend_cell(slot).idle.reuse()
        })?;
        let connection = self.at(id);
        connection.is_claimable = false;
        connection.used_for = Use::Streams;
        let http2 = connection.http2.as_mut().expect("it has a place");
        Some(Port { connection: id, stream: http2.add_row(lease) })
    }

    /// The first place on a connection that was just begun. Others may follow.
    pub fn lease_first<E: Engine>(
        &mut self,
        id: ConnectionId,
        lease: &Lease,
        kind: NewStreams,
        local: &mut Local<E>,
    ) -> Port<ConnectionId> {
        let (now, span) = (local.now(), local.current.timeouts().connect);
        let connection = self.at(id);
        let scheme = if kind.is_secure { "https" } else { "http" };
        let mut http2 = Http2::new(kind.streams_max, scheme, now);
        http2.client = kind.is_per_client.then_some(lease.client);
        http2.alarm = now + span;
        let place = http2.add_row(lease);
        connection.http2 = Some(http2.into());
        connection.clock.set(now + span, connection.link.key, &mut local.timers);
        let slot = connection.slot.index();
        if self.streaming.len() <= slot {
            self.streaming.resize_with(slot + 1, Vec::new);
        }
        self.streaming[slot].push(id);
        Port { connection: id, stream: place }
    }

    /// True if a backend was found to speak HTTP/1.1 where HTTP/2 was offered too.
    pub fn has_fallen_back(&self, slot: BackendSlot) -> bool {
        self.fallen_back.get(slot.index()).is_some_and(|has| *has)
    }

    /// Notes what a backend was found to speak.
    pub fn note_fallen_back(&mut self, slot: BackendSlot, has_fallen_back: bool) {
        if self.fallen_back.len() <= slot.index() {
            self.fallen_back.resize(slot.index() + 1, false);
        }
        self.fallen_back[slot.index()] = has_fallen_back;
    }

    /// Makes a connection that was to have streams that of the exchange at a place alone: its
    /// backend speaks HTTP/1.1. No other place is taken.
    pub fn fall_back<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        exchange: ExchangeId,
        local: &mut Local<E>,
    ) {
        self.retire(port.connection);
        let connection = self.at(port.connection);
        let waiting = connection.http2.take().map(|mut http2| http2.take_unsent(port.stream));
        connection.used_for = Use::Exchange(exchange);
        if let Some(waiting) = waiting {
            connection.adopt(waiting, local);
        }
    }

    /// No stream of a connection is leased any more; it closes with the last that it has.
    pub fn retire(&mut self, id: ConnectionId) {
        let connection = self.at(id);
        let slot = connection.slot.index();
        if let Some(http2) = &mut connection.http2 {
            http2.is_retired = true;
        }
        if let Some(connections) = self.streaming.get_mut(slot) {
            connections.retain(|one| *one != id);
        }
    }
}
