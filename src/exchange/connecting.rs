//! From a request's head to a connection for it: choice of a backend, an idle or a fresh
//! connection, and another backend if the first one does not answer.

use super::retained::{Place, Retained};
use super::{Attempt, Exchange, Exchanges, Facts, Flow, Phase};
use crate::attempts::{Attempts, ConnectionFault, Need, Next};
use crate::backend::{Lease, NewStreams, Use, Wants};
use crate::client::Arrival;
use crate::engine::{Engine, Slice, Source};
use crate::link::{Chain, Wire};
use crate::mailbox::TrialCourse;
use crate::message::Body;
use crate::pick::Pick;
use crate::sides::Sides;
use crate::snapshot::ProxyProtocol;
use crate::stats::{CloseReason, Counter};
use crate::table::{ConnectionId, Port};

/// A body that was received with its head in one read is copied behind the new head, so that one
/// plain send covers both; a longer one is sent from the buffer that received it.
pub(super) const COPY_BYTES_MAX: usize = 4096;

/// Whose loss a connection is that could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectLoss {
    /// The exchange's, which reports it.
    Own,
    /// That of several: another one reports it.
    Shared,
}

/// A place on a connection, for an exchange.
struct Leased {
    port: Port<ConnectionId>,
    /// The connection is made.
    is_made: bool,
    /// It was begun for this exchange.
    is_fresh: bool,
}

impl Leased {
    /// All of a connection that was begun.
    #[inline]
    fn fresh(id: ConnectionId) -> Self {
        Self { port: Port::only(id), is_made: false, is_fresh: true }
    }
}

/// An exchange that got no connection.
struct Unattached {
    /// The bytes that it has to send.
    back: Chain,
    next: Next,
}

impl Exchange {
    /// Begins the exchange of a request whose head is complete, and gives it to a backend.
    pub fn begin<E: Engine>(exchanges: &mut Exchanges, arrival: Arrival, sides: &mut Sides<E>) {
        let Arrival { origin, request, output, rest } = arrival;
        let mut head = Slice { buffer: output, start: 0, end: request.written as u32 };
        let mut body = request.body;
        let rest = join_body(&mut head, &mut body, rest, &mut sides.local.wire);
        let client = sides.clients.at(origin.connection).origin(origin.stream);
        let (listener, client_address) = (client.listener(), client.address());
        let mut attempts = Attempts::new(listener, request.target, &sides.local);
        attempts.key = request.key.or_else(|| {
            let pool = sides.local.current.snapshot().pool(request.target.pool)?;
            pool.hashing.as_ref()?.address_key(client_address)
        });
        let is_streaming = !body.has_ended();
        let id = exchanges.next_id();
        exchanges.insert(Self {
            id,
            origin,
            attempt: Attempt::Between(Chain::default()),
            facts: Facts {
                version: request.version,
                is_idempotent: request.is_idempotent,
                is_head: request.is_head,
                is_connect: request.is_connect,
                accepts_trailers: request.accepts_trailers,
                client_keeps: request.keep_alive,
                is_streaming,
                upgrade: request.upgrade,
            },
            request: Flow { body, bytes: u64::from(head.end) - request.written as u64 },
            response: Flow { body: Body::ENDED, bytes: 0 },
            phase: Phase::AwaitingHead,
            attempts,
            needs_fresh: false,
            unanswered_by: None,
            retained: Retained { place: Place::Buffer(head), host_room: request.host_room },
            interims: 0,
            has_response_bytes: false,
            status: 0,
            draft: request.draft,
            failure: None,
        });
        sides.local.count(Counter::Requests);
        sides.picks.note_request(request.target.pool, sides.local.now());
        let (mut client, local) = exchanges[id].client_in(sides);
        client.begin_exchange(id, request.keep_alive);
        // The bytes behind the head are the body, or the next request.
        if let Some(rest) = rest {
            client.keep_first(rest, local);
        }
        if is_streaming {
            client.serve(local);
        }
        exchanges.at(id).choose(Chain::default(), sides);
    }

    /// Chooses a backend and a connection to it. `waiting` is what an earlier attempt did not send,
    /// its head included.
    pub(super) fn choose<E: Engine>(&mut self, waiting: Chain, sides: &mut Sides<E>) {
        let pick = self.pick(Need::Any, sides);
        self.go_to(pick, waiting, sides);
    }

    /// Connects to a backend, or to another one if that fails at once; answers if none is left.
    pub(super) fn go_to<E: Engine>(
        &mut self,
        pick: Option<Pick>,
        waiting: Chain,
        sides: &mut Sides<E>,
    ) {
        let (mut pick, mut waiting) = (pick, waiting);
        loop {
            let Some(picked) = pick else {
                sides.local.wire.drop_chain(&mut waiting);
                let reason = self.attempts.none_left(&sides.picks);
                return self.fail_unconnected(reason, sides);
            };
            match self.attach(picked, waiting, sides) {
                Ok(()) => return self.check_tunnel(sides),
                Err(Unattached { back, next: Next::Retry }) => {
                    waiting = back;
                    self.attempts.count_retry(&sides.local);
                    pick = self.pick(Need::Any, sides);
                }
                Err(Unattached { back, next: Next::Repick }) => {
                    waiting = back;
                    pick = self.pick(Need::Any, sides);
                }
                Err(Unattached { mut back, next: Next::End(reason) }) => {
                    sides.local.wire.drop_chain(&mut back);
                    return match reason {
                        CloseReason::OutOfBuffers => self.cut(reason, sides),
                        _ => self.fail(503, reason, sides),
                    };
                }
            }
        }
    }

    pub(super) fn pick<E: Engine>(&mut self, need: Need, sides: &mut Sides<E>) -> Option<Pick> {
        let may_probe = self.is_replayable();
        let Sides { clients, connections, picks, local } = sides;
        let (origin, needs_fresh) = (self.origin.connection, self.needs_fresh);
        let has_place = |slot| connections.has_place(slot, clients[origin].link.key, needs_fresh);
        self.attempts.pick(need, may_probe, &has_place, picks, local)
    }

    /// Uses a connection to a backend that there is, or begins a fresh one.
    fn attach<E: Engine>(
        &mut self,
        pick: Pick,
        waiting: Chain,
        sides: &mut Sides<E>,
    ) -> Result<(), Unattached> {
        let slot = pick.slot;
        self.attempts.go_to(&pick, &sides.local);
        let pool = sides.picks.pool(self.attempts.pool);
        let is_per_client = pool.is_some_and(|pool| pool.is_per_client());
        let has_streams = pool.is_some_and(|pool| pool.has_streams());
        let idle = match has_streams || is_per_client || self.needs_fresh {
            true => None,
            false => sides.connections.reuse(slot, self.id, &sides.local),
        };
        let leased = match idle {
            Some(id) => {
                sides.local.count(Counter::UpstreamReuses);
                Ok(Leased { port: Port::only(id), is_made: true, is_fresh: false })
            }
            None if has_streams => self.lease_stream(pick, is_per_client, sides),
            None => self.connect(pick, Use::Exchange(self.id), sides).map(Leased::fresh),
        };
        let Leased { port, is_made, is_fresh } = match leased {
            Ok(leased) => leased,
            Err(next) => return Err(Unattached { back: waiting, next }),
        };
        if is_made && !self.retained.restore(&mut sides.local.wire) {
            sides.connections.leave(port, &mut sides.local);
            self.attempts.end_half_open(slot, TrialCourse::Undecided, &sides.local);
            let next = Next::End(CloseReason::OutOfBuffers);
            return Err(Unattached { back: waiting, next });
        }
        sides.picks.begin(slot);
        self.attempt = Attempt::With(port);
        self.attempts.backend = Some(slot);
        self.has_response_bytes = false;
        if is_per_client && is_fresh {
            sides.connections.upstream(port).reserve();
            if !self.announce(port, sides) {
                self.leave_attempt(port, sides);
                let next = Next::End(CloseReason::OutOfBuffers);
                return Err(Unattached { back: waiting, next });
            }
        }
        let (mut upstream, local) = (sides.connections.upstream(port), &mut sides.local);
        if !waiting.is_empty() {
            upstream.adopt(waiting, local);
        } else if is_made || !self.set_head_aside(local) {
            let head = self.retained.buffer().expect("kept until a response begins");
            upstream.put_pinned(head, local);
        }
        self.retained.name_host(pick.address, &mut local.wire);
        let timeouts = local.current.timeouts();
        let span = if is_made { timeouts.between_bytes } else { timeouts.connect };
        // The time of a connection that others may wait for too is its own.
        let span = if upstream.is_stream() { span * 2 } else { span };
        let (mut client, local) = self.client_in(sides);
        client.set_deadline(span, local);
        Ok(())
    }

    /// A place on a connection with streams, or on one that is begun; a whole connection, if the
    /// backend was found to speak HTTP/1.1.
    #[inline(never)]
    fn lease_stream<E: Engine>(
        &mut self,
        pick: Pick,
        is_per_client: bool,
        sides: &mut Sides<E>,
    ) -> Result<Leased, Next> {
        let slot = pick.slot;
        if sides.connections.has_fallen_back(slot) {
            let idle = match self.needs_fresh || is_per_client {
                true => None,
                false => sides.connections.reuse(slot, self.id, &sides.local),
            };
            let Some(id) = idle else {
                return self.connect(pick, Use::Exchange(self.id), sides).map(Leased::fresh);
            };
            sides.local.count(Counter::UpstreamReuses);
            return Ok(Leased { port: Port::only(id), is_made: true, is_fresh: false });
        }
        let lease = Lease {
            exchange: self.id,
            wants: Wants {
                accepts_trailers: self.facts.accepts_trailers,
                forward_upgrade: self.facts.upgrade.is_some(),
            },
            needs_fresh: self.needs_fresh,
            client: sides.clients[self.origin.connection].link.key,
            idle: sides.picks.idle(slot),
        };
        if let Some(port) = sides.connections.lease(slot, &lease, &mut sides.local) {
            sides.local.count(Counter::UpstreamReuses);
            let is_made = !sides.connections.upstream(port).is_connecting();
            return Ok(Leased { port, is_made, is_fresh: false });
        }
        let pool = sides.picks.pool(self.attempts.pool);
        let streams_max = pool.map_or(1, |pool| pool.streams_max);
        let is_secure = pool.is_some_and(|pool| pool.tls.is_some());
        let kind = NewStreams { streams_max, is_secure, is_per_client };
        let id = self.connect(pick, Use::Streams, sides)?;
        let port = sides.connections.lease_first(id, &lease, kind, &mut sides.local);
        Ok(Leased { port, is_made: false, is_fresh: true })
    }

    /// Says to the backend who the client is, if it expects that. False if no buffer is left.
    fn announce<E: Engine>(&self, port: Port<ConnectionId>, sides: &mut Sides<E>) -> bool {
        let Sides { clients, connections, picks, local } = sides;
        let pool = picks.pool(self.attempts.pool);
        let Some(pool) = pool.filter(|pool| pool.proxy_protocol != ProxyProtocol::None) else {
            return true;
        };
        let client = clients.at(self.origin.connection);
        let addresses = (client.address, client.destination(local));
        let extras = client.extras(pool, None, local);
        connections.at(port.connection).announce(pool.proxy_protocol, addresses, extras, local)
    }

    /// Begins a connection to a backend. If that is not possible, returns what follows.
    fn connect<E: Engine>(
        &mut self,
        pick: Pick,
        used_for: Use,
        sides: &mut Sides<E>,
    ) -> Result<ConnectionId, Next> {
        let Pick { slot, address, .. } = pick;
        if !self.attempts.take_place(slot, &sides.picks, &sides.local) {
            return Err(Next::Repick);
        }
        sides.local.count(Counter::UpstreamConnects);
        let client = sides.clients[self.origin.connection].address;
        let pool = sides.picks.pool(self.attempts.pool);
        let source = pool.map_or(Source::Any, |pool| pool.source_for(client));
        let tls = pool.and_then(|pool| pool.tls.clone());
        let local = &mut sides.local;
        let begun = sides.connections.connect(slot, (address, source), tls, used_for, local);
        begun.map_err(|failure| {
            tracing::debug!(%address, ?failure, "no socket for a backend");
            match self.attempts.connect_failed(slot, failure.into(), &mut sides.picks, &sides.local)
            {
                true => Next::Retry,
                false => Next::End(CloseReason::NoBackend),
            }
        })
    }

    /// Its connection is made: a head that was set aside goes out.
    pub fn connected<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let is_aside = matches!(self.retained.place, Place::Heap(_));
        if is_aside && !self.retained.restore(&mut sides.local.wire) {
            return self.cut(CloseReason::OutOfBuffers, sides);
        }
        let Some((mut upstream, local)) = self.upstream_in(sides) else { return };
        if let (true, Some(head)) = (is_aside, self.retained.buffer()) {
            upstream.put_pinned(head, local);
        }
        upstream.begin(local);
        self.note_progress(sides);
    }

    /// The attempt to connect failed: the exchange goes to another backend.
    pub fn connect_failed<E: Engine>(&mut self, fault: ConnectionFault, sides: &mut Sides<E>) {
        self.connection_lost(fault, ConnectLoss::Own, sides);
    }

    /// The same for a connection that several exchanges may have waited for.
    pub fn connection_lost<E: Engine>(
        &mut self,
        fault: ConnectionFault,
        loss: ConnectLoss,
        sides: &mut Sides<E>,
    ) {
        let Some(port) = self.port() else { return };
        let (mut upstream, local) = (sides.connections.upstream(port), &mut sides.local);
        let slot = upstream.slot();
        let mut waiting = upstream.take_unsent(local);
        let may_go_on = match loss {
            ConnectLoss::Own => {
                self.attempts.connect_failed(slot, fault, &mut sides.picks, &sides.local)
            }
            ConnectLoss::Shared => {
                self.attempts.give_up(slot);
                self.attempts.may_go_on(sides.local.now())
            }
        };
        self.leave_attempt(port, sides);
        if may_go_on {
            self.go_elsewhere(waiting, sides);
        } else {
            sides.local.wire.drop_chain(&mut waiting);
            self.fail_unconnected(self.attempts.unconnected(), sides);
        }
    }

    /// Answers without a connection: with 502 if a backend was there, and TLS with it failed.
    fn fail_unconnected<E: Engine>(&mut self, reason: CloseReason, sides: &mut Sides<E>) {
        let status = if reason.is_of_backend_tls() { 502 } else { 503 };
        self.fail(status, reason, sides);
    }

    /// Closes a connection that the exchange does not need any more. A half-open probe without an
    /// outcome is reported first: no other backend can get the slot while it is counted.
    pub(super) fn leave_attempt<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        sides: &mut Sides<E>,
    ) {
        let slot = sides.connections.upstream(port).slot();
        self.attempt = Attempt::Between(Chain::default());
        self.attempts.end_half_open(slot, TrialCourse::Undecided, &sides.local);
        sides.picks.end(slot);
        sides.connections.leave(port, &mut sides.local);
    }
}

/// Copies a short body that is completely in `rest` behind the head; returns what is left.
fn join_body<E: Engine>(
    head: &mut Slice,
    body: &mut Body,
    rest: Option<Slice>,
    wire: &mut Wire<E>,
) -> Option<Slice> {
    let rest = rest?;
    let Body::Sized(length @ 1..) = *body else { return Some(rest) };
    let room = wire.engine.bytes(head.buffer).len() - head.end as usize;
    if length > rest.len() as u64 || length > COPY_BYTES_MAX.min(room) as u64 {
        return Some(rest);
    }
    let (from, to) = wire.engine.bytes_pair(rest.buffer, head.buffer);
    let (start, at, length) = (rest.start as usize, head.end as usize, length as usize);
    to[at..at + length].copy_from_slice(&from[start..start + length]);
    head.end += length as u32;
    *body = Body::ENDED;
    let rest = Slice { start: rest.start + length as u32, ..rest };
    if rest.is_empty() {
        wire.engine.release(rest.buffer);
        return None;
    }
    Some(rest)
}
