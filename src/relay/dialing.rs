//! From a client's connection to a backend for it. No byte of the client is awaited: in many
//! protocols the server speaks first. What the client sends meanwhile waits here, bounded.

use super::{Backend, Relay, Source};
use crate::attempts::{ConnectionFault, Need, Next, no_place};
use crate::backend::Use;
use crate::engine::{Close, Engine, Slice, Source as Origin};
use crate::local::{How, Signal};
use crate::mailbox::TrialCourse;
use crate::pick::Pick;
use crate::sides::Sides;
use crate::snapshot::ProxyProtocol;
use crate::stats::{CloseReason, Counter};
use crate::table::{ConnectionId, Port};

/// Buffers of a client's bytes that may wait for the connection to its backend.
const HELD_BUFFERS_MAX: u32 = 2;

impl Relay {
    /// Connects to a backend, or to another one if that fails at once; ends the client's connection
    /// if none is left.
    pub fn dial<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let pick = self.pick(Need::Any, sides);
        self.go_to(pick, sides);
    }

    fn go_to<E: Engine>(&mut self, pick: Option<Pick>, sides: &mut Sides<E>) {
        let mut pick = pick;
        let reason = loop {
            let Some(picked) = pick else {
                let Source::Listener(attempts) = &self.source else { return };
                break attempts.none_left(&sides.picks);
            };
            match self.connect(picked, sides) {
                Ok(()) => return,
                Err(Next::End(reason)) => break reason,
                Err(Next::Repick | Next::Retry) => pick = self.pick(Need::Any, sides),
            }
        };
        sides.local.work.push(Signal::End(self.client(), How::Abort, reason));
    }

    /// Begins a connection to a backend. If that is not possible, returns what follows.
    fn connect<E: Engine>(&mut self, pick: Pick, sides: &mut Sides<E>) -> Result<(), Next> {
        let Source::Listener(attempts) = &mut self.source else { return Ok(()) };
        let Pick { slot, address, .. } = pick;
        attempts.go_to(&pick, &sides.local);
        if !attempts.take_place(slot, &sides.picks, &sides.local) {
            return Err(Next::Repick);
        }
        sides.local.count(Counter::UpstreamConnects);
        let used_for = Use::Relay(self.id);
        let client = sides.clients[self.client.connection].address;
        let pool = sides.picks.pool(attempts.pool);
        let source = pool.map_or(Origin::Any, |pool| pool.source_for(client));
        let tls = pool.and_then(|pool| pool.tls.clone());
        let to = (address, source);
        let begun = sides.connections.connect(slot, to, tls, used_for, &mut sides.local);
        let id = begun.map_err(|failure| {
            tracing::debug!(%address, ?failure, "no socket for a backend");
            if !attempts.connect_failed(slot, failure.into(), &mut sides.picks, &sides.local) {
                return Next::End(CloseReason::NoBackend);
            }
            attempts.count_retry(&sides.local);
            Next::Retry
        })?;
        attempts.backend = Some(slot);
        sides.picks.begin(slot);
        self.backend = Backend::Connecting(Port::only(id));
        if !self.announce(id, sides) {
            return Err(Next::End(CloseReason::OutOfBuffers));
        }
        let span = sides.local.current.timeouts().connect;
        sides.clients.at(self.client()).set_deadline(span, &mut sides.local);
        Ok(())
    }

    /// Says to the backend who the client is, if it expects that. False if no buffer is left.
    fn announce<E: Engine>(&self, id: ConnectionId, sides: &mut Sides<E>) -> bool {
        let Source::Listener(attempts) = &self.source else { return true };
        let Sides { clients, connections, picks, local } = sides;
        let pool = picks.pool(attempts.pool);
        let Some(pool) = pool.filter(|pool| pool.proxy_protocol != ProxyProtocol::None) else {
            return true;
        };
        let client = clients.at(self.client());
        let addresses = (client.address, client.destination(local));
        let extras = client.extras(pool, Some(&self.asked), local);
        connections.at(id).announce(pool.proxy_protocol, addresses, extras, local)
    }

    fn pick<E: Engine>(&mut self, need: Need, sides: &mut Sides<E>) -> Option<Pick> {
        let Source::Listener(attempts) = &mut self.source else { return None };
        attempts.pick(need, true, &no_place, &mut sides.picks, &mut sides.local)
    }

    /// Bytes of the client wait for the connection.
    pub fn hold<E: Engine>(&mut self, slice: Slice, sides: &mut Sides<E>) {
        let (client, local) = (sides.clients.at(self.client()), &mut sides.local);
        let Some(slice) = local.wire.copy_out(slice) else {
            let end = Signal::End(self.client(), How::Abort, CloseReason::OutOfBuffers);
            return local.work.push(end);
        };
        local.wire.push_back(&mut client.inbox, slice);
        if client.inbox.len() >= HELD_BUFFERS_MAX {
            client.pause(local);
        }
    }

    /// The connection is made. The caller begins to forward.
    pub fn connected<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let Backend::Connecting(port) = self.backend else { return };
        self.backend = Backend::Open(port);
        let (connection, local) = (sides.connections.at(port.connection), &mut sides.local);
        if let Source::Listener(attempts) = &mut self.source {
            attempts.end_half_open(connection.slot, TrialCourse::Passed, local);
        }
        if let Source::Listener(attempts) = &self.source
            && let Some(pool) = sides.picks.pool(attempts.pool)
        {
            connection.keep_alive(pool.keepalive, local);
        }
        connection.begin(local);
    }

    /// The attempt to connect failed: another backend is tried, at once the first time, after a
    /// random delay later on.
    pub fn connect_failed<E: Engine>(&mut self, fault: ConnectionFault, sides: &mut Sides<E>) {
        let Backend::Connecting(port) = self.backend else { return };
        let slot = sides.connections.at(port.connection).slot;
        let Source::Listener(attempts) = &mut self.source else { return };
        let may_go_on = attempts.connect_failed(slot, fault, &mut sides.picks, &sides.local);
        self.leave(port.connection, sides);
        let Source::Listener(attempts) = &mut self.source else { return };
        if !may_go_on {
            let reason = attempts.unconnected();
            let end = Signal::End(self.client(), How::Abort, reason);
            return sides.local.work.push(end);
        }
        attempts.count_retry(&sides.local);
        match attempts.backoff(&mut sides.local) {
            Some(delay) if attempts.has_pick(&sides.picks, &sides.local) => {
                sides.clients.at(self.client.connection).set_deadline(delay, &mut sides.local);
            }
            Some(_) => self.go_to(None, sides),
            None => self.dial(sides),
        }
    }

    /// Moves a relay that is connecting away from a backend that is removed; see
    /// [`crate::attempts::Need`].
    pub fn move_on<E: Engine>(&mut self, need: Need, sides: &mut Sides<E>) {
        let Backend::Connecting(port) = self.backend else { return };
        let now = sides.local.now();
        let Source::Listener(attempts) = &mut self.source else { return };
        let pick = if attempts.may_go_on(now) { self.pick(need, sides) } else { None };
        if pick.is_none() && need == Need::Better {
            return;
        }
        if let (Source::Listener(attempts), Some(_)) = (&mut self.source, pick) {
            attempts.count_retry(&sides.local);
        }
        self.leave(port.connection, sides);
        self.go_to(pick, sides);
    }

    /// The time for the present attempt, or for the wait before the next one, is over.
    pub fn dialing_expired<E: Engine>(&mut self, sides: &mut Sides<E>) {
        match self.backend {
            Backend::Between => self.dial(sides),
            Backend::Connecting(port) => {
                let connection = sides.connections.at(port.connection);
                let is_securing = connection.is_securing();
                if is_securing && connection.is_starved() {
                    let (client, local) = (self.client.connection, &mut sides.local);
                    let span = local.current.timeouts().connect;
                    return sides.clients.at(client).set_deadline(span, local);
                }
                self.connect_failed(ConnectionFault::timed_out(is_securing), sides);
            }
            Backend::Open(_) => {}
        }
    }

    /// Closes a connection that is not needed any more. A half-open probe without an outcome is
    /// reported first: no other backend can get the slot while it is counted.
    fn leave<E: Engine>(&mut self, id: ConnectionId, sides: &mut Sides<E>) {
        let slot = sides.connections.at(id).slot;
        self.backend = Backend::Between;
        if let Source::Listener(attempts) = &mut self.source {
            attempts.end_half_open(slot, TrialCourse::Undecided, &sides.local);
        }
        sides.picks.end(slot);
        sides.connections.close(id, Close::Reset, &mut sides.local);
    }
}
