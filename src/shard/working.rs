//! The work loop: takes the signals that the parts leave for each other, until none is left. Also
//! what begins and ends between the parts: exchanges, relays, the time of a connection.

use super::traffic::Traffic;
use crate::attempts::Attempts;
use crate::backend::Use;
use crate::client::{Arrival, Dial, State, Step};
use crate::engine::{Engine, Key, Owner};
use crate::exchange::Exchange;
use crate::local::{How, Local, Signal};
use crate::relay::{Ends, Relay};
use crate::sides::Sides;
use crate::stats::CloseReason;
use crate::table::{ClientId, ExchangeId, Port, RelayId};
use std::time::Duration;

impl<E: Engine> Traffic<E> {
    /// Takes signals until none is left. Most events leave none.
    #[inline(always)]
    pub(super) fn work_off(&mut self) {
        while let Some(signal) = self.sides.local.work.pop() {
            self.follow(signal);
        }
    }

    #[inline(never)]
    fn follow(&mut self, signal: Signal) {
        match signal {
            Signal::Serve(port) => self.serve(port),
            Signal::Deliver(port) => self.deliver(port),
            Signal::End(client, how, reason) => self.end_client(client, how, reason),
            Signal::Over(exchange) => drop(self.exchanges.remove(exchange)),
            Signal::Switched(exchange) => self.begin_relay(exchange),
            Signal::RelayOver(relay) => self.end_relay(relay),
        }
    }

    /// Serves the next bytes that wait on a client's connection: a request, or more of the body of
    /// the present one, if its backend keeps up.
    fn serve(&mut self, port: Port<ClientId>) {
        let id = port.connection;
        let client = self.sides.clients.at(id);
        match client.state {
            State::Http2 if port.stream > 0 => self.serve_stream(port),
            State::Http2 => {
                let local = &mut self.sides.local;
                if let Some(slice) = local.wire.pop_front(&mut client.inbox) {
                    self.http2_content(id, slice);
                }
            }
            State::Http1(Step::AwaitingHead | Step::ReadingHead) => {
                if let Some(arrival) = client.read_on(&mut self.sides.local) {
                    self.begin_exchange(arrival);
                }
            }
            State::Http1(Step::Exchanging(exchange)) => {
                if !self.exchanges.at(exchange).takes_body(&mut self.sides) {
                    return;
                }
                let (client, local) = (self.sides.clients.at(id), &mut self.sides.local);
                match local.wire.pop_front(&mut client.inbox) {
                    Some(slice) => {
                        local.work.push(Signal::Serve(port));
                        self.exchanges.at(exchange).request_bytes(slice, &mut self.sides);
                    }
                    None if client.link.has_ended() => {
                        self.exchanges.at(exchange).request_ended(&mut self.sides);
                    }
                    None => client.await_more(local),
                }
            }
            _ => {}
        }
    }

    pub(super) fn begin_exchange(&mut self, arrival: Arrival) {
        Exchange::begin(&mut self.exchanges, arrival, &mut self.sides);
    }

    /// Ends a client's connection, and what it carries.
    pub fn end_client(&mut self, id: ClientId, how: How, reason: CloseReason) {
        let client = self.sides.clients.at(id);
        match client.state {
            State::Http1(Step::Exchanging(exchange)) => {
                self.exchanges.at(exchange).end_with_client(how, reason, &mut self.sides);
            }
            State::Http2 => self.end_streams(id, how, reason),
            State::Relaying(relay) => self.cut_relay(relay, how, reason),
            State::Closing => {}
            State::Finishing
            | State::Lingering
            | State::Discarding { .. }
            | State::Delivering(_)
                if how == How::Cut => {}
            _ => client.end(how, reason, &mut self.sides.local),
        }
    }

    // --- relays ---

    /// Calls a relay with its two connections.
    pub(super) fn with_relay<R>(
        &mut self,
        id: RelayId,
        call: impl FnOnce(&mut Relay, &mut Ends<'_>, &mut Local<E>) -> R,
    ) -> R {
        let Sides { clients, connections, local, .. } = &mut self.sides;
        let relay = self.relays.at(id);
        let (client, backend) = relay.ends().expect("only called with both");
        let (client, backend) = (clients.at(client), connections.at(backend));
        call(relay, &mut Ends { client, backend }, local)
    }

    /// Finds a backend for a client whose bytes are forwarded.
    pub(super) fn dial(&mut self, id: ClientId, dial: Dial) {
        let id_of_relay = self.relays.next_id();
        let client = self.sides.clients.at(id);
        self.sides.local.reports.count_connection(dial.target.route);
        let mut attempts = Attempts::new(client.listener, dial.target, &self.sides.local);
        let pool = self.sides.local.current.snapshot().pool(dial.target.pool);
        let hashing = pool.and_then(|pool| pool.hashing.as_ref());
        attempts.key = hashing
            .and_then(|one| one.connection_key(client.address, dial.asked.server_name.as_deref()));
        client.state = State::Relaying(id_of_relay);
        let relay = Relay::of_listener(id_of_relay, Port::only(id), attempts, dial.asked);
        self.relays.insert(relay);
        self.relays.at(id_of_relay).dial(&mut self.sides);
    }

    /// Gives the two connections of an exchange to a relay.
    fn begin_relay(&mut self, exchange: ExchangeId) {
        let Some(ports) = self.exchanges.at(exchange).ports() else { return };
        let id = self.relays.next_id();
        self.relays.insert(Relay::of_exchange(id, ports, exchange));
        let client = self.sides.clients.at(ports.0.connection);
        client.state = State::Relaying(id);
        client.keep_alive = false;
        let pool = self.sides.picks.pool(self.exchanges.at(exchange).pool());
        let idle = pool.map_or(Duration::ZERO, |pool| pool.keepalive);
        let connection = self.sides.connections.at(ports.1.connection);
        connection.used_for = Use::Relay(id);
        connection.keep_alive(idle, &mut self.sides.local);
        self.with_relay(id, Relay::begin);
    }

    /// Both sides of a relay have ended.
    fn end_relay(&mut self, id: RelayId) {
        if self.relays.get(id).is_none() {
            return;
        }
        let relay = self.relays.remove(id);
        let Some((exchange, from_client, from_backend)) = relay.exchange() else {
            return relay.end(&mut self.sides);
        };
        let exchange = self.exchanges.at(exchange);
        exchange.note_relayed(from_client, from_backend);
        exchange.end_tunnel(&mut self.sides);
        let (client, local) = (self.sides.clients.at(relay.client()), &mut self.sides.local);
        client.linger(CloseReason::TunnelEnded, local);
    }

    /// Ends a relay in the middle, and its client's connection.
    fn cut_relay(&mut self, id: RelayId, how: How, reason: CloseReason) {
        let relay = self.relays.remove(id);
        let Some((exchange, from_client, from_backend)) = relay.exchange() else {
            return relay.cut(how, reason, &mut self.sides);
        };
        let exchange = self.exchanges.at(exchange);
        exchange.note_relayed(from_client, from_backend);
        if relay.has_backend_ended() {
            exchange.note_ended();
        }
        exchange.end_with_client(how, reason, &mut self.sides);
    }

    // --- time ---

    /// Fires the timers that are due, up to `limit`.
    pub(super) fn expire(&mut self, limit: usize) {
        let now = self.now();
        for _ in 0..limit {
            let Some((_, key)) = self.sides.local.timers.pop_expired(now) else { return };
            match key.owner() {
                Owner::Client => self.client_timer(key),
                Owner::Backend => self.backend_timer(key),
                Owner::Listener => self.receiver_timer(key),
                Owner::Flow => {}
            }
            self.work_off();
        }
    }

    fn client_timer(&mut self, key: Key) {
        let Some(id) = self.sides.clients.find(key) else { return };
        let (client, local) = (self.sides.clients.at(id), &mut self.sides.local);
        if !client.fire(local) {
            return;
        }
        match client.state {
            State::Http1(Step::Exchanging(exchange)) => {
                self.exchanges.at(exchange).expired(&mut self.sides);
            }
            State::Http2 => self.streams_late(id),
            State::Relaying(relay) if self.relays[relay].ends().is_none() => {
                self.relays.at(relay).dialing_expired(&mut self.sides);
            }
            State::Relaying(relay) => {
                if self.with_relay(relay, Relay::is_silent) {
                    self.end_client(id, How::Cut, CloseReason::TunnelIdle);
                }
            }
            State::Preface(_) => {
                if let Some(dial) = client.preface_expired(local) {
                    self.dial(id, dial);
                }
            }
            _ => client.expired(local),
        }
    }
}
