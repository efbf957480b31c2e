//! The ends of streams, and of a connection that has none left.

use super::super::{Connection, Connections, Use};
use super::reading::Came;
use super::{Http2, Stage};
use crate::base::BackendSlot;
use crate::engine::{Close, Engine};
use crate::http2::ErrorCode;
use crate::link::{Wire, Write};
use crate::local::Local;
use crate::mailbox::Stage as ProcessStage;
use crate::table::{ConnectionId, ExchangeId, Port};

impl Http2 {
    /// Removes a row: nothing is left to do for its stream. Always none, for who reads on.
    pub(super) fn remove<E: Engine>(&mut self, at: usize, wire: &mut Wire<E>) -> Option<Came> {
        let mut row = self.rows.remove(at);
        if let Stage::Open(stream) = row.stage {
            self.queued -= wire.length_of(&row.outbox);
            self.connection.finished(stream);
        }
        row.drop_chains(wire);
        None
    }

    /// The exchange at a place is over. `is_complete`: both messages have ended. The end of a
    /// stream whose response was complete by its length is awaited: to reset it would be taken for
    /// a flood.
    fn end<E: Engine>(&mut self, place: u32, is_complete: bool, local: &mut Local<E>) {
        let Some(at) = self.position(place) else { return };
        let until = local.now() + local.current.timeouts().between_bytes;
        let row = &mut self.rows[at];
        row.exchange = None;
        let Stage::Open(stream) = row.stage else {
            self.remove(at, &mut local.wire);
            return;
        };
        let credit = row.inbound.end(&mut local.wire);
        if is_complete && row.is_sent() && !row.has_ended {
            row.until = until;
            self.connection.release(stream, credit);
            return;
        }
        if !is_complete && !row.has_ended {
            self.connection.reset(stream, ErrorCode::CANCEL);
        }
        self.remove(at, &mut local.wire);
    }

    /// Forgets streams whose end is awaited for too long.
    pub(super) fn end_late<E: Engine>(&mut self, local: &mut Local<E>) {
        let now = local.now();
        let is_late = |row: &super::Row| row.exchange.is_none() && row.until <= now;
        while let Some(at) = self.rows.iter().position(is_late) {
            self.remove(at, &mut local.wire);
        }
    }
}

impl Connection {
    /// Exchanges on it, the first one first.
    pub fn exchanges(&self) -> Vec<(u32, ExchangeId)> {
        self.http2.as_ref().map(|http2| http2.exchanges()).unwrap_or_default()
    }

    /// An exchange of a stream that has sent something since this was last asked.
    pub fn next_progressed(&mut self) -> Option<ExchangeId> {
        let http2 = self.http2.as_mut()?;
        while let Some(one) = http2.progressed.pop() {
            if http2.rows.iter().any(|row| row.exchange == Some(one)) {
                return Some(one);
            }
        }
        None
    }

    /// The exchange at a place.
    pub fn exchange_at(&self, place: u32) -> Option<ExchangeId> {
        self.http2.as_ref().and_then(|http2| http2.exchange(place))
    }

    /// Releases what its streams hold. True if it had some, or could have.
    pub(in crate::backend) fn drop_streams<E: Engine>(&mut self, wire: &mut Wire<E>) -> bool {
        let Some(mut http2) = self.http2.take() else { return false };
        debug_assert!(http2.rows.iter().all(|row| row.exchange.is_none()), "exchanges are left");
        http2.rows.iter_mut().for_each(|row| row.drop_chains(wire));
        true
    }

    /// True if all of the response at this place has been received, also if some of it waits for
    /// the client.
    pub fn has_whole_response(&self, place: u32) -> bool {
        let row = self.http2.as_ref().and_then(|http2| http2.row(place));
        row.is_some_and(|row| row.has_ended)
    }
}

impl Connections {
    /// Ends the exchange at a place of a connection with streams.
    pub(in crate::backend) fn end_stream<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        is_complete: bool,
        local: &mut Local<E>,
    ) {
        let connection = self.at(port.connection);
        if let Some(http2) = &mut connection.http2 {
            http2.end(port.stream, is_complete, local);
            local.wire.request_flush(&mut connection.link);
            connection.set_alarm_by(local.now() + local.current.timeouts().between_bytes, local);
        }
        self.look_at_idle(port.connection, local);
    }

    /// Keeps a connection without streams for a while, or closes it, if it is one.
    pub fn look_at_idle<E: Engine>(&mut self, id: ConnectionId, local: &mut Local<E>) {
        let connection = self.at(id);
        let is_idle = connection.http2.as_ref().is_some_and(|http2| http2.is_idle());
        if connection.used_for != Use::Streams || !is_idle {
            return;
        }
        let slot = connection.slot;
        let (idle_max, is_claimable) = connection.http2.as_ref().map_or((0, false), |it| it.idle);
        let is_last = !connection.is_fit_to_wait() || local.current.stage >= ProcessStage::Draining;
        if is_last || self.idle_with_streams(slot) > idle_max as usize {
            return self.close_streams(id, local);
        }
        let until = local.now() + local.current.timeouts().idle;
        let connection = self.at(id);
        if is_claimable && !connection.is_claimable {
            connection.is_claimable = true;
            local.reports.backend_cell(slot).idle.add();
        }
        connection.set_alarm(until, local);
    }

    /// Connections with streams to a backend that have none at the moment.
    fn idle_with_streams(&self, slot: BackendSlot) -> usize {
        self.with_streams(slot).iter().filter(|id| self.at_ref(**id).is_without_streams()).count()
    }

    /// Closes a connection that has no streams: the backend is told, if it can be.
    pub(in crate::backend) fn close_streams<E: Engine>(
        &mut self,
        id: ConnectionId,
        local: &mut Local<E>,
    ) {
        self.retire(id);
        let connection = self.at(id);
        if std::mem::take(&mut connection.is_claimable) {
            local.reports.backend_cell(connection.slot).idle.close();
        }
        let link = &connection.link;
        if link.is_connecting() || link.is_broken() || link.has_ended() {
            let is_abort = link.is_connecting();
            return self.close(id, if is_abort { Close::Reset } else { Close::Graceful }, local);
        }
        if let Some(http2) = &mut connection.http2 {
            http2.connection.drain();
        }
        connection.fill(local);
        connection.http2 = None;
        self.finish(id, Close::Graceful, local);
    }

    /// Forgets streams whose end is awaited, on a connection that is over.
    pub fn drop_tails<E: Engine>(&mut self, id: ConnectionId, local: &mut Local<E>) {
        if let Some(http2) = &mut self.at(id).http2 {
            while let Some(at) = http2.rows.iter().position(|row| row.exchange.is_none()) {
                http2.remove(at, &mut local.wire);
            }
        }
        self.look_at_idle(id, local);
    }

    /// Closes a connection whose backend does not answer. Responses that have come in whole are
    /// still being read.
    pub fn give_up<E: Engine>(&mut self, id: ConnectionId, local: &mut Local<E>) {
        let connection = self.at(id);
        if connection.used_for == Use::Streams {
            local.wire.pause(&mut connection.link);
            connection.link.write = Write::Failed;
        }
        self.look_at_idle(id, local);
    }

    /// The connection with streams to a backend that is idle, the oldest.
    pub(in crate::backend) fn oldest_without_streams(
        &self,
        slot: BackendSlot,
    ) -> Option<ConnectionId> {
        let mut connections = self.with_streams(slot).iter().copied();
        connections.find(|id| self.at_ref(*id).is_without_streams())
    }
}

impl Connection {
    /// True if it speaks HTTP/2, or is about to, and has no stream.
    pub(in crate::backend) fn is_without_streams(&self) -> bool {
        self.used_for == Use::Streams && self.http2.as_ref().is_some_and(|http2| http2.is_idle())
    }

    /// True if a connection without streams may get some later.
    fn is_fit_to_wait(&self) -> bool {
        let takes_streams = self
            .http2
            .as_ref()
            .is_some_and(|http2| !http2.is_retired && http2.connection.takes_streams());
        let link = &self.link;
        takes_streams && !link.is_connecting() && !link.is_broken() && !link.has_ended()
    }
}
