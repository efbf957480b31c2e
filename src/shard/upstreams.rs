//! Events and time of connections to backends that carry exchanges on streams: what they leave for
//! the exchanges.

use super::traffic::Traffic;
use crate::attempts::{ConnectionFault, Need};
use crate::backend::{Agreed, Alarm, Came, Use};
use crate::engine::{Engine, Failure, Key, Slice};
use crate::exchange::ConnectLoss;
use crate::sides::Sides;
use crate::snapshot::BackendHttp;
use crate::stats::CloseReason;
use crate::table::{ConnectionId, ExchangeId, Port};
use crate::tls::FaultKind;

impl<E: Engine> Traffic<E> {
    /// Reads frames of a backend.
    pub(super) fn frames(&mut self, id: ConnectionId, slice: Slice) {
        let mut rest = slice;
        loop {
            let Sides { connections, local, .. } = &mut self.sides;
            let Some(came) = connections.at(id).read_frames(&mut rest, local) else { break };
            self.came(id, came);
            self.work_off();
        }
        self.engine().release(slice.buffer);
        while let Some(displaced) = self.sides.connections.at(id).next_displaced() {
            self.came(id, displaced);
            self.work_off();
        }
        while let Some(untunnelled) = self.sides.connections.at(id).next_untunnelled() {
            self.came(id, untunnelled);
            self.work_off();
        }
        let Sides { connections, local, .. } = &mut self.sides;
        connections.look_at_idle(id, local);
    }

    fn came(&mut self, id: ConnectionId, came: Came) {
        let sides = &mut self.sides;
        match came {
            Came::Head(exchange) => self.exchanges.at(exchange).response_section(sides),
            Came::Body(exchange, place, part) => {
                self.stream_part(Port { connection: id, stream: place }, exchange, part);
            }
            Came::Refused(exchange) => self.exchanges.at(exchange).refused(sides),
            Came::Reset(exchange, code) => self.exchanges.at(exchange).stream_reset(code, sides),
            Came::Malformed(exchange, text) => {
                self.exchanges.at(exchange).malformed(text, sides);
            }
            Came::OutOfBuffers(exchange) => self.exchanges.at(exchange).out_of_buffers(sides),
            Came::Displaced(exchange) => self.exchanges.at(exchange).displaced(sides),
            Came::NoTunnel(exchange) => self.exchanges.at(exchange).untunnelled(sides),
            Came::Fault(text) => self.end_upstreams(id, |traffic, exchange| {
                traffic.exchanges.at(exchange).malformed(text, &mut traffic.sides);
            }),
        }
    }

    fn stream_part(&mut self, port: Port<ConnectionId>, exchange: ExchangeId, part: Slice) {
        self.exchanges.at(exchange).response_bytes(part, &mut self.sides);
        let Sides { connections, local, .. } = &mut self.sides;
        connections.at(port.connection).give_credit(port.stream, local);
    }

    /// Gives the next part of a stream that waits to its exchange, if its client keeps up.
    pub(super) fn deliver(&mut self, port: Port<ConnectionId>) {
        let Sides { connections, local, .. } = &mut self.sides;
        let connection = connections.at(port.connection);
        match connection.next_part(port.stream, local) {
            Some((exchange, part)) => {
                local.work.push(crate::local::Signal::Deliver(port));
                self.stream_part(port, exchange, part);
            }
            None => connection.give_credit(port.stream, local),
        }
    }

    /// Bytes were sent to the backend: the exchanges whose streams had some of them go on.
    pub(super) fn upstreams_sent(&mut self, id: ConnectionId) {
        while let Some(exchange) = self.sides.connections.at(id).next_progressed() {
            self.exchanges.at(exchange).backend_sent(&mut self.sides);
            self.work_off();
        }
        let Sides { connections, local, .. } = &mut self.sides;
        local.wire.request_flush(&mut connections.at(id).link);
    }

    /// The connection is made: the requests that waited for it go out.
    pub(super) fn upstreams_made(&mut self, id: ConnectionId) {
        let connection = self.sides.connections.at(id);
        let (slot, agreed) = (connection.slot, connection.agreed());
        if agreed == Agreed::Other {
            return self.fall_back(id);
        }
        self.sides.connections.note_fallen_back(slot, false);
        let Sides { connections, local, .. } = &mut self.sides;
        connections.at(id).begin(local);
        self.for_upstreams(id, |traffic, exchange| {
            traffic.exchanges.at(exchange).connected(&mut traffic.sides);
        });
    }

    /// The backend speaks HTTP/1.1: the first exchange has the connection for itself, if its pool
    /// allows that, and the others go on without it.
    fn fall_back(&mut self, id: ConnectionId) {
        let Sides { connections, picks, .. } = &mut self.sides;
        let slot = connections.at(id).slot;
        let mut carried = connections.at(id).exchanges();
        let may_fall_back = |(_, exchange): &(u32, ExchangeId)| {
            let pool = picks.pool(self.exchanges[*exchange].pool());
            pool.is_some_and(|pool| pool.http == BackendHttp::Auto)
        };
        if carried.is_empty() || !carried.iter().all(may_fall_back) {
            return self.upstreams_not_made(id, ConnectionFault::Tls(FaultKind::NoHttp2));
        }
        connections.note_fallen_back(slot, true);
        connections.retire(id);
        let (place, first) = carried.remove(0);
        self.for_upstreams(id, |traffic, exchange| {
            if exchange != first {
                traffic.exchanges.at(exchange).displaced(&mut traffic.sides);
            }
        });
        let Sides { connections, local, .. } = &mut self.sides;
        if connections.at(id).exchange_at(place) == Some(first) {
            let port = Port { connection: id, stream: place };
            connections.fall_back(port, first, local);
            self.exchanges.at(first).has_whole_connection(&mut self.sides);
        }
    }

    /// True if a connection that an exchange was to have for itself has streams, since its backend
    /// has changed its mind about versions.
    pub(super) fn is_unexpected(&mut self, id: ConnectionId, exchange: ExchangeId) -> bool {
        let Sides { connections, picks, .. } = &mut self.sides;
        let connection = connections.at(id);
        if connection.agreed() != Agreed::Http2 {
            return false;
        }
        let slot = connection.slot;
        let pool = picks.pool(self.exchanges[exchange].pool());
        let is_offered = pool.is_some_and(|pool| pool.has_streams());
        if is_offered {
            connections.note_fallen_back(slot, false);
        }
        is_offered
    }

    /// The connection could not be made: its exchanges go elsewhere. It counts as one failure.
    pub(super) fn upstreams_not_made(&mut self, id: ConnectionId, fault: ConnectionFault) {
        let Sides { connections, local, .. } = &mut self.sides;
        connections.retire(id);
        connections.give_up(id, local);
        let mut loss = ConnectLoss::Own;
        self.for_upstreams(id, |traffic, exchange| {
            let sides = &mut traffic.sides;
            traffic.exchanges.at(exchange).connection_lost(fault, loss, sides);
            loss = ConnectLoss::Shared;
        });
        let Sides { connections, local, .. } = &mut self.sides;
        connections.look_at_idle(id, local);
    }

    /// The connection has ended, or its backend does not answer.
    pub(super) fn upstreams_ended(&mut self, id: ConnectionId, fault: Option<ConnectionFault>) {
        self.end_upstreams(id, |traffic, exchange| {
            traffic.exchanges.at(exchange).backend_ended(fault, &mut traffic.sides);
        });
    }

    /// Ends the exchanges of a connection that is over, but those whose responses have come in
    /// whole: their clients are still reading them.
    fn end_upstreams(&mut self, id: ConnectionId, mut end: impl FnMut(&mut Self, ExchangeId)) {
        self.sides.connections.retire(id);
        self.for_upstreams(id, |traffic, exchange| {
            if !traffic.has_whole_response(id, exchange) {
                end(traffic, exchange);
            }
        });
        let Sides { connections, local, .. } = &mut self.sides;
        connections.drop_tails(id, local);
    }

    fn has_whole_response(&mut self, id: ConnectionId, exchange: ExchangeId) -> bool {
        let ports = self.exchanges.at(exchange).ports();
        let place = ports.map_or(0, |(_, port)| port.stream);
        self.sides.connections.at(id).has_whole_response(place)
    }

    /// Calls for each exchange that still has a place on the connection.
    fn for_upstreams(&mut self, id: ConnectionId, mut call: impl FnMut(&mut Self, ExchangeId)) {
        for (place, exchange) in self.sides.connections.at(id).exchanges() {
            if self.sides.connections.at(id).exchange_at(place) == Some(exchange) {
                call(self, exchange);
            }
            self.work_off();
        }
    }

    /// The timer of a connection to a backend has fired.
    pub(super) fn backend_timer(&mut self, key: Key) {
        let Sides { connections, local, .. } = &mut self.sides;
        let Some(id) = connections.find(key) else { return };
        if connections.at(id).used_for != Use::Streams {
            return connections.expired(key, local);
        }
        match connections.streams_alarm(id, local) {
            Alarm::Nothing => {}
            Alarm::NotMade => {
                let is_securing = connections.at(id).is_securing();
                self.upstreams_not_made(id, ConnectionFault::timed_out(is_securing));
            }
            Alarm::Fault(text) => self.came(id, Came::Fault(text)),
            Alarm::Dead => {
                self.upstreams_ended(id, Some(Failure::TimedOut.into()));
                let Sides { connections, local, .. } = &mut self.sides;
                connections.give_up(id, local);
            }
        }
    }

    /// The backend is removed: exchanges that have not begun move to another one; if ordered, the
    /// others do too, or are aborted.
    pub(super) fn release_upstreams(&mut self, id: ConnectionId, cut: Option<CloseReason>) {
        self.sides.connections.retire(id);
        let need = if cut.is_some() { Need::Any } else { Need::Better };
        self.for_upstreams(id, |traffic, exchange| {
            let sides = &mut traffic.sides;
            let exchange = traffic.exchanges.at(exchange);
            match cut {
                _ if exchange.is_waiting(sides) => exchange.move_on(need, sides),
                Some(reason) => exchange.backend_removed(reason, sides),
                None => {}
            }
        });
        let Sides { connections, local, .. } = &mut self.sides;
        connections.look_at_idle(id, local);
    }
}
