//! Dispatches events to the connections that they are for, and from these to what they carry. An
//! event for a row that has a new tenant is late: it is counted, its buffer or socket is released,
//! and nothing else happens.

use super::Shard;
use super::traffic::Traffic;
use crate::attempts::ConnectionFault;
use crate::backend::{SessionFault, Use};
use crate::client::{State, Step};
use crate::engine::{Close, Engine, Event, Failure, Owner, ReceiveFlags, Slice};
use crate::link::Life;
use crate::local::How;
use crate::relay::Relay;
use crate::sides::Sides;
use crate::stats::{CloseReason, Counter};
use crate::table::{ClientId, ConnectionId};
use crate::tls::FaultKind;

impl<E: Engine> Shard<E> {
    #[inline(always)]
    pub(super) fn dispatch(&mut self, event: Event) {
        match event {
            Event::Accepted { key, socket, more } => self.accepted(key, socket, more),
            Event::AcceptEnded { key, failure } => self.accept_ended(key, failure),
            Event::Woken => {}
            Event::Datagram { .. } | Event::DatagramLost { .. } => self.traffic.flow_event(event),
            Event::ReceiveEnded { key, .. }
                if matches!(key.owner(), Owner::Flow | Owner::Listener) =>
            {
                self.traffic.flow_event(event);
            }
            Event::Received { key, .. }
            | Event::ReceiveEnded { key, .. }
            | Event::Sent { key, .. }
            | Event::Connected { key, .. }
            | Event::Readable { key } => {
                let Traffic { sides, .. } = &self.traffic;
                if key.owner() == Owner::Client {
                    match sides.clients.find(key) {
                        Some(client) => self.traffic.client_event(client, event),
                        None => self.late(event),
                    }
                } else {
                    match sides.connections.find(key) {
                        Some(connection) => self.traffic.backend_event(connection, event),
                        None => self.late(event),
                    }
                }
                self.traffic.work_off();
            }
        }
    }

    fn late(&mut self, event: Event) {
        self.mailbox().counters.add(Counter::LateCompletions, 1);
        match event {
            Event::Received { buffer, .. } => self.traffic.engine().release(buffer),
            Event::Accepted { socket, .. } => self.traffic.engine().close(socket, Close::Reset),
            _ => {}
        }
    }
}

impl<E: Engine> Traffic<E> {
    fn client_event(&mut self, id: ClientId, event: Event) {
        match event {
            Event::Received { buffer, length, flags, .. } => {
                let slice = Slice { buffer, start: 0, end: length };
                self.client_received(id, slice, flags);
            }
            Event::ReceiveEnded { failure, .. } => self.client_ended(id, failure),
            Event::Sent { result, .. } => self.client_sent(id, result),
            Event::Readable { .. } => self.sides.clients.at(id).readable(&mut self.sides.local),
            Event::Connected { .. }
            | Event::Accepted { .. }
            | Event::AcceptEnded { .. }
            | Event::Datagram { .. }
            | Event::DatagramLost { .. }
            | Event::Woken => {}
        }
    }

    fn client_received(&mut self, id: ClientId, slice: Slice, flags: ReceiveFlags) {
        let (client, local) = (self.sides.clients.at(id), &mut self.sides.local);
        client.note_received(slice.len(), flags, local);
        if client.link.secure.is_none() || client.state == State::Closing {
            return self.client_content(id, slice);
        }
        let mut opened = client.open(slice, local);
        while let Some(slice) = self.sides.local.wire.pop_front(&mut opened.content) {
            self.client_content(id, slice);
            self.work_off();
        }
        if let Some(fault) = opened.fault {
            let (client, local) = (self.sides.clients.at(id), &mut self.sides.local);
            client.session_failed(fault, local);
        } else if opened.has_ended {
            self.client_stream_ended(id, None);
        }
    }

    /// What a client has sent, without TLS.
    fn client_content(&mut self, id: ClientId, slice: Slice) {
        let (client, local) = (self.sides.clients.at(id), &mut self.sides.local);
        match client.state {
            State::Http1(Step::Exchanging(_)) if !client.inbox.is_empty() => {
                client.keep_behind_others(slice, local);
            }
            State::Http1(Step::Exchanging(exchange)) => {
                self.exchanges.at(exchange).request_bytes(slice, &mut self.sides);
            }
            State::Http1(Step::AwaitingHead | Step::ReadingHead) => {
                if let Some(arrival) = client.read(slice, local) {
                    self.begin_exchange(arrival);
                }
            }
            State::Http2 => self.http2_content(id, slice),
            State::Relaying(relay) if self.relays[relay].ends().is_none() => {
                self.relays.at(relay).hold(slice, &mut self.sides);
            }
            State::Relaying(relay) => {
                self.with_relay(relay, |relay, ends, local| {
                    relay.take_from_client(slice, ends, local);
                });
            }
            State::Preface(_) => {
                if let Some(dial) = client.read_preface(slice, local) {
                    self.dial(id, dial);
                }
            }
            State::Finishing
            | State::Lingering
            | State::Discarding { .. }
            | State::Delivering(_)
            | State::Closing => client.discard(slice, local),
        }
    }

    /// The stream from a client ended, or only the receive.
    pub fn client_ended(&mut self, id: ClientId, failure: Option<Failure>) {
        let (client, local) = (self.sides.clients.at(id), &mut self.sides.local);
        if client.note_receive_ended(failure, local) {
            self.client_stream_ended(id, failure);
        }
    }

    /// A client sends nothing more.
    fn client_stream_ended(&mut self, id: ClientId, failure: Option<Failure>) {
        let (client, local) = (self.sides.clients.at(id), &mut self.sides.local);
        match client.state {
            _ if failure.is_some() || client.link.is_broken() => {
                self.end_client(id, How::Abort, CloseReason::ClientReset)
            }
            State::Http1(Step::Exchanging(exchange)) => {
                self.exchanges.at(exchange).client_half_closed(&mut self.sides);
            }
            State::Http2 => self.end_client(id, How::Close, CloseReason::ClientClosed),
            // It is passed on once the connection to the backend is made.
            State::Relaying(relay) if self.relays[relay].ends().is_none() => {}
            State::Relaying(relay) => {
                self.with_relay(relay, |relay, ends, local| relay.client_ended(ends, local));
            }
            _ => client.ended(local),
        }
    }

    fn client_sent(&mut self, id: ClientId, result: Result<u32, Failure>) {
        let (client, local) = (self.sides.clients.at(id), &mut self.sides.local);
        client.note_sent(result, local);
        match client.state {
            _ if client.link.is_broken() => {}
            State::Http1(Step::Exchanging(exchange)) => {
                self.exchanges.at(exchange).client_sent(&mut self.sides);
            }
            State::Http2 => self.streams_sent(id),
            State::Relaying(relay) if self.relays[relay].ends().is_some() => {
                self.with_relay(relay, |relay, ends, local| relay.client_sent(ends, local));
            }
            _ => {}
        }
    }

    fn backend_event(&mut self, id: ConnectionId, event: Event) {
        match event {
            Event::Received { buffer, length, flags, .. } => {
                let slice = Slice { buffer, start: 0, end: length };
                self.backend_received(id, slice, flags);
            }
            Event::ReceiveEnded { failure, .. } => self.backend_ended(id, failure),
            Event::Sent { result, .. } => self.backend_sent(id, result),
            Event::Connected { result, .. } => self.connected(id, result),
            Event::Readable { .. }
            | Event::Accepted { .. }
            | Event::AcceptEnded { .. }
            | Event::Datagram { .. }
            | Event::DatagramLost { .. }
            | Event::Woken => {}
        }
    }

    fn backend_received(&mut self, id: ConnectionId, slice: Slice, flags: ReceiveFlags) {
        let Sides { connections, local, .. } = &mut self.sides;
        let connection = connections.at(id);
        connection.note_received(flags, local);
        local.reports.count(Counter::UpstreamBytesReceived, slice.len() as u64);
        if connection.link.secure.is_none() || connection.used_for == Use::Closing {
            return self.backend_content(id, slice);
        }
        let (mut opened, fault) = connection.open(slice, local);
        if fault.is_none() && connection.is_made_secure(local) {
            self.made(id);
            self.work_off();
        }
        while let Some(slice) = self.sides.local.wire.pop_front(&mut opened.content) {
            self.backend_content(id, slice);
            self.work_off();
        }
        match fault {
            Some(fault) => self.backend_session_failed(id, of_session(fault)),
            None if opened.has_ended => self.backend_stream_ended(id, None),
            None => {}
        }
    }

    /// The TLS session with a backend does not go on: it is not made, or it is broken.
    fn backend_session_failed(&mut self, id: ConnectionId, fault: ConnectionFault) {
        let connection = self.sides.connections.at(id);
        if connection.is_connecting() {
            return self.not_made(id, fault);
        }
        self.backend_stream_ended(id, Some(fault));
    }

    /// What a backend has sent, without TLS.
    fn backend_content(&mut self, id: ConnectionId, slice: Slice) {
        let Sides { connections, local, .. } = &mut self.sides;
        match connections.at(id).used_for {
            Use::Exchange(exchange) => {
                self.exchanges.at(exchange).response_bytes(slice, &mut self.sides);
            }
            Use::Streams => self.frames(id, slice),
            Use::Relay(relay) => {
                self.with_relay(relay, |relay, ends, local| {
                    relay.take_from_backend(slice, ends, local);
                });
            }
            Use::Idle => {
                // No request was sent: these bytes must not be used as an answer.
                local.wire.engine.release(slice.buffer);
                connections.discard_idle(id, local);
            }
            Use::Finishing | Use::Delivering(_) => local.wire.engine.release(slice.buffer),
            Use::Closing => {
                local.wire.engine.release(slice.buffer);
                connections.settle(id, local);
            }
        }
    }

    /// The stream from a backend ended, or only the receive.
    fn backend_ended(&mut self, id: ConnectionId, failure: Option<Failure>) {
        let Sides { connections, local, .. } = &mut self.sides;
        local.reports.count_if_starved(failure);
        let connection = connections.at(id);
        let has_ended = local.wire.receive_ended(&mut connection.link, failure);
        if connection.used_for == Use::Closing {
            return connections.settle(id, local);
        }
        if !has_ended {
            return;
        }
        // An end that TLS has not announced may be anybody's.
        let is_announced = connection.link.secure.as_ref().is_none_or(|secure| secure.has_ended());
        let failure = if is_announced { failure } else { Some(Failure::Reset) };
        if connection.link.life == Life::Securing {
            return self.not_made(id, ConnectionFault::Tls(FaultKind::Closed));
        }
        self.backend_stream_ended(id, failure.map(ConnectionFault::from));
    }

    /// A backend sends nothing more.
    fn backend_stream_ended(&mut self, id: ConnectionId, fault: Option<ConnectionFault>) {
        let Sides { connections, local, .. } = &mut self.sides;
        match connections.at(id).used_for {
            Use::Closing => connections.settle(id, local),
            Use::Idle => connections.discard_idle(id, local),
            Use::Finishing | Use::Delivering(_) => connections.finish_if_sent(id, local),
            Use::Exchange(exchange) => {
                self.exchanges.at(exchange).backend_ended(fault, &mut self.sides);
            }
            Use::Streams => self.upstreams_ended(id, fault),
            Use::Relay(relay) => {
                self.with_relay(relay, |relay, ends, local| {
                    relay.backend_ended(fault, ends, local);
                });
            }
        }
    }

    /// A send to a backend ended. A failure is not the end: the backend may have answered before it
    /// closed the connection, and the receive shows that.
    fn backend_sent(&mut self, id: ConnectionId, result: Result<u32, Failure>) {
        let Sides { connections, local, .. } = &mut self.sides;
        let connection = connections.at(id);
        connection.note_sent(result, local);
        match connection.used_for {
            // It was of the handshake.
            Use::Exchange(_) | Use::Relay(_) if connection.is_securing() => {}
            Use::Exchange(exchange) => self.exchanges.at(exchange).backend_sent(&mut self.sides),
            Use::Streams => self.upstreams_sent(id),
            Use::Relay(relay) => {
                self.with_relay(relay, |relay, ends, local| relay.backend_sent(ends, local));
            }
            Use::Idle | Use::Delivering(_) => {}
            Use::Finishing => connections.finish_if_sent(id, local),
            Use::Closing => connections.settle(id, local),
        }
    }

    fn connected(&mut self, id: ConnectionId, result: Result<(), Failure>) {
        let Sides { connections, local, .. } = &mut self.sides;
        let connection = connections.at(id);
        let tls = connection.note_connect_ended();
        if result.is_ok() {
            local.reports.backend_cell(connection.slot).connects.add(1);
        }
        let begun = match (result, tls) {
            (Err(failure), _) => Err(failure.into()),
            (Ok(()), Some(tls)) if connection.used_for != Use::Closing => {
                match connection.begin_tls(&tls, local) {
                    Ok(()) => return,
                    Err(fault) => Err(of_session(fault)),
                }
            }
            (Ok(()), _) => Ok(()),
        };
        match begun {
            Ok(()) => self.made(id),
            Err(fault) => self.not_made(id, fault),
        }
    }

    /// A connection to a backend is made.
    fn made(&mut self, id: ConnectionId) {
        let used_for = self.sides.connections.at(id).used_for;
        match used_for {
            Use::Exchange(exchange) if self.is_unexpected(id, exchange) => {
                self.exchanges.at(exchange).displaced(&mut self.sides);
            }
            Use::Exchange(exchange) => self.exchanges.at(exchange).connected(&mut self.sides),
            Use::Streams => self.upstreams_made(id),
            Use::Relay(relay) => {
                self.relays.at(relay).connected(&mut self.sides);
                self.with_relay(relay, Relay::begin);
            }
            Use::Idle | Use::Finishing | Use::Delivering(_) | Use::Closing => {
                let Sides { connections, local, .. } = &mut self.sides;
                connections.settle(id, local);
            }
        }
    }

    /// A connection to a backend could not be made.
    fn not_made(&mut self, id: ConnectionId, fault: ConnectionFault) {
        let Sides { connections, local, .. } = &mut self.sides;
        match connections.at(id).used_for {
            Use::Exchange(exchange) => {
                self.exchanges.at(exchange).connect_failed(fault, &mut self.sides);
            }
            Use::Streams => self.upstreams_not_made(id, fault),
            Use::Relay(relay) => self.relays.at(relay).connect_failed(fault, &mut self.sides),
            Use::Idle | Use::Finishing | Use::Delivering(_) | Use::Closing => {
                connections.settle(id, local);
            }
        }
    }
}

/// What the end of a TLS session is to those whose connection it was of.
fn of_session(fault: SessionFault) -> ConnectionFault {
    match fault {
        SessionFault::Tls(kind) => ConnectionFault::Tls(kind),
        SessionFault::OutOfBuffers => ConnectionFault::OutOfBuffers,
    }
}
