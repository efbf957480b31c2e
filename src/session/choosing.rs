//! From a request's head to a connection for it: choice of a backend, an idle or a fresh
//! connection, and another backend if the first one does not answer.

use super::exchange::{Exchange, Phase};
use super::translating::Request;
use super::{State, Traffic};
use crate::base::{BackendSlot, PoolId};
use crate::engine::{BufferId, Close, Engine, Failure, Slice};
use crate::link::Chain;
use crate::mailbox::{BackendFault, TrialCourse};
use crate::stats::{CloseReason, Counter};
use crate::table::{ClientId, ExchangeId, UpstreamId};
use crate::upstream::{Pick, Wish};

/// A body that was received with its head in one read is copied behind the new head, so that one
/// plain send covers both; a longer one is sent from the buffer that received it.
pub(super) const COPY_BYTES_MAX: usize = 4096;

/// The condition on a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Any backend that has not failed this exchange.
    Any,
    /// Only one without a known fault: a connection to another backend is being made.
    Better,
}

/// An exchange that got no connection.
struct Unattached {
    /// The bytes that it has to send.
    back: Chain,
    /// The reason that it ends with; none if another backend may be tried.
    ends_by: Option<CloseReason>,
}

impl<E: Engine> Traffic<E> {
    /// Begins an exchange whose head for the backend is in `output`; `rest` is the bytes behind the
    /// request's head.
    pub(super) fn begin_exchange(
        &mut self,
        index: ClientId,
        request: Request,
        output: BufferId,
        rest: Option<Slice>,
    ) {
        let mut head = Slice { buffer: output, start: 0, end: request.written as u32 };
        let mut body = request.body;
        let rest = self.join_body(&mut head, &mut body, rest);
        let began = self.now();
        self.serial += 1;
        let id = self.exchanges.insert(Exchange {
            serial: self.serial,
            route: request.target.route,
            pool: request.target.pool,
            routed_by: self.snapshot.generation,
            backend: None,
            upstream: None,
            tried: Default::default(),
            retries: 0,
            needs_fresh: false,
            unanswered_by: None,
            waiting: Chain::default(),
            trial: None,
            request_head: Some(head),
            head_aside: None,
            host_room: request.host_room,
            is_streaming: !body.has_ended(),
            request_body: body,
            is_idempotent: request.is_idempotent,
            is_head: request.is_head,
            is_connect: request.is_connect,
            upgrade: request.upgrade,
            version: request.version,
            client_keeps: request.keep_alive,
            request_bytes: u64::from(head.end) - request.written as u64,
            phase: Phase::AwaitingHead,
            response_body: super::body::Body::ENDED,
            response_partial: None,
            interims: 0,
            has_response_bytes: false,
            is_upstream_reusable: false,
            status: 0,
            response_bytes: 0,
            began,
            draft: request.draft,
            failure: None,
            refusal: None,
        });
        let session = self.sessions.at(index);
        session.state = State::Exchanging(id);
        session.keep_alive = request.keep_alive;
        session.partial = None;
        self.count(Counter::Requests);
        self.replicas.note_request(request.target.pool, began);
        // The bytes behind the head are the body, or the next request: the caller serves them.
        if let Some(rest) = rest {
            self.wire.push_front(&mut self.sessions.at(index).inbox, rest);
        }
        self.choose(index, Chain::default());
    }

    /// Copies a short body that is completely in `rest` behind the head; returns what is left.
    fn join_body(
        &mut self,
        head: &mut Slice,
        body: &mut super::body::Body,
        rest: Option<Slice>,
    ) -> Option<Slice> {
        let rest = rest?;
        let super::body::Body::Sized(length @ 1..) = *body else { return Some(rest) };
        let room = self.wire.engine.bytes(head.buffer).len() - head.end as usize;
        if length > rest.len() as u64 || length > COPY_BYTES_MAX.min(room) as u64 {
            return Some(rest);
        }
        let (from, to) = self.wire.engine.bytes_pair(rest.buffer, head.buffer);
        let (start, at, length) = (rest.start as usize, head.end as usize, length as usize);
        to[at..at + length].copy_from_slice(&from[start..start + length]);
        head.end += length as u32;
        *body = super::body::Body::ENDED;
        let rest = Slice { start: rest.start + length as u32, ..rest };
        if rest.is_empty() {
            self.wire.engine.release(rest.buffer);
            return None;
        }
        Some(rest)
    }

    /// Chooses a backend and a connection to it. `waiting` is what an earlier attempt did not send,
    /// its head included.
    pub(super) fn choose(&mut self, index: ClientId, waiting: Chain) {
        let pick = self.pick(index, Need::Any);
        self.go_to(index, pick, waiting);
    }

    /// Connects to a backend, or to another one if that fails at once; answers if none is left.
    pub(super) fn go_to(&mut self, index: ClientId, pick: Option<Pick>, waiting: Chain) {
        let (mut pick, mut waiting) = (pick, waiting);
        loop {
            let Some(picked) = pick else {
                self.wire.drop_chain(&mut waiting);
                return self.fail_exchange(index, 503, CloseReason::NoBackend);
            };
            match self.attach(index, picked, waiting) {
                Ok(()) => return,
                Err(Unattached { back, ends_by: None }) => {
                    waiting = back;
                    self.count_retry(index);
                    pick = self.pick(index, Need::Any);
                }
                Err(Unattached { mut back, ends_by: Some(reason) }) => {
                    self.wire.drop_chain(&mut back);
                    return match reason {
                        CloseReason::OutOfBuffers => self.cut_session(index, reason),
                        _ => self.fail_exchange(index, 503, reason),
                    };
                }
            }
        }
    }

    pub(super) fn count_retry(&mut self, index: ClientId) {
        self.count(Counter::Retries);
        if let Some(id) = self.sessions.at(index).exchange() {
            self.exchanges[id].retries += 1;
        }
    }

    /// A backend of the exchange's pool; if the pool has none, or no longer exists, a backend of
    /// the pool that the route leads to now.
    pub(super) fn pick(&mut self, index: ClientId, need: Need) -> Option<Pick> {
        let id = self.sessions.at(index).exchange()?;
        let pool = self.exchanges[id].pool;
        if let Some(pick) = self.pick_of(id, pool, need) {
            return Some(pick);
        }
        let newer = self.newer_pool(index)?;
        let pick = self.pick_of(id, newer, need)?;
        self.exchanges[id].pool = newer;
        Some(pick)
    }

    /// True if [`Traffic::pick`] would find a backend. It picks none, so no backend loses its turn.
    pub(super) fn has_pick(&mut self, index: ClientId) -> bool {
        let Some(id) = self.sessions.at(index).exchange() else { return false };
        let newer = self.newer_pool(index);
        let exchange = &self.exchanges[id];
        let mut pools = [Some(exchange.pool), newer].into_iter().flatten();
        pools.any(|pool| self.replicas.has_untried(pool, &exchange.tried))
    }

    /// The pool that an exchange's route leads to now, if it is not the exchange's own.
    fn newer_pool(&mut self, index: ClientId) -> Option<PoolId> {
        let session = self.sessions.at(index);
        let exchange = &self.exchanges[session.exchange()?];
        // Finding a route takes a pass over all routes: too much for each request to a pool that is
        // down.
        if exchange.routed_by == self.snapshot.generation {
            return None;
        }
        let listener = self.snapshot.listener(session.listener)?;
        listener.pool_of(exchange.route).filter(|newer| *newer != exchange.pool)
    }

    fn pick_of(&mut self, id: ExchangeId, pool: PoolId, need: Need) -> Option<Pick> {
        let now = self.now();
        let exchange = &self.exchanges[id];
        // A request that has lost an attempt is not used as a half-open probe: a second loss would
        // cost it its answer. Neither is one that could stay with a live backend.
        let is_first = exchange.retries == 0 && exchange.tried[0].is_none();
        let may_try = need == Need::Any && is_first && exchange.is_replayable();
        let wish = Wish { pool, tried: &exchange.tried, may_try, takes_any: need == Need::Any };
        self.replicas.pick(&wish, now, &mut self.prng)
    }

    /// Uses an idle connection to a backend, or begins a fresh one.
    fn attach(&mut self, index: ClientId, pick: Pick, waiting: Chain) -> Result<(), Unattached> {
        let slot = pick.slot;
        let Some(id) = self.sessions.at(index).exchange() else {
            return Err(Unattached { back: waiting, ends_by: Some(CloseReason::NoBackend) });
        };
        let exchange = &mut self.exchanges[id];
        exchange.trial = pick.trial;
        let needs_fresh = exchange.needs_fresh;
        if let Some(round) = pick.trial {
            self.report_half_open(slot, round, TrialCourse::Begun);
        }
        let idle = if needs_fresh { None } else { self.upstreams.reuse(slot, index) };
        let upstream = match idle {
            Some(upstream) => {
                self.count(Counter::UpstreamReuses);
                upstream
            }
            None => match self.connect(index, pick) {
                Ok(upstream) => upstream,
                Err(may_go_on) => {
                    let ends_by = (!may_go_on).then_some(CloseReason::NoBackend);
                    return Err(Unattached { back: waiting, ends_by });
                }
            },
        };
        if idle.is_some() && !self.restore_head(id) {
            self.close_upstream(upstream, Close::Graceful);
            if let Some(round) = self.exchanges[id].trial.take() {
                self.report_half_open(slot, round, TrialCourse::Undecided);
            }
            return Err(Unattached { back: waiting, ends_by: Some(CloseReason::OutOfBuffers) });
        }
        self.replicas.begin(slot);
        let exchange = &mut self.exchanges[id];
        exchange.upstream = Some(upstream);
        exchange.backend = Some(slot);
        exchange.has_response_bytes = false;
        if !waiting.is_empty() {
            self.wire.adopt_outbox(&mut self.upstreams.at(upstream).link, waiting);
        } else if idle.is_some() || !self.set_head_aside(id) {
            self.queue_head(id, upstream);
        }
        self.name_host(id, pick.address);
        let timeouts = &self.snapshot.settings.timeouts;
        let span = if idle.is_some() { timeouts.between_bytes } else { timeouts.connect };
        self.set_deadline(index, span);
        Ok(())
    }

    /// Begins a connection to a backend. If that is not possible, returns whether another backend
    /// may be tried.
    fn connect(&mut self, index: ClientId, pick: Pick) -> Result<UpstreamId, bool> {
        let Pick { slot, address, .. } = pick;
        self.count(Counter::UpstreamConnects);
        let key = self.upstreams.next_key();
        match self.wire.engine.connect(address, key) {
            Ok(socket) => {
                let upstream = self.upstreams.insert(socket, key, slot, index);
                self.upstreams.at(upstream).link.is_connecting = true;
                self.backend_cell(slot).connections.rise();
                Ok(upstream)
            }
            Err(failure) => {
                tracing::debug!(%address, ?failure, "no socket for a backend");
                Err(self.note_connect_failure(index, slot, failure))
            }
        }
    }

    /// A connect ended.
    pub fn upstream_connected(&mut self, upstream: UpstreamId, result: Result<(), Failure>) {
        self.upstreams.at(upstream).link.is_connecting = false;
        let Some(index) = self.upstreams.at(upstream).session else {
            return self.settle_upstream(upstream);
        };
        if let Err(failure) = result {
            return self.connect_failed(index, upstream, failure);
        }
        if !self.send_head_aside(index, upstream) {
            return self.cut_session(index, CloseReason::OutOfBuffers);
        }
        let link = &mut self.upstreams.at(upstream).link;
        self.wire.receive(link);
        self.wire.schedule_flush(link);
        let span = self.snapshot.settings.timeouts.between_bytes;
        self.set_deadline(index, span);
    }

    /// A connection attempt to a backend failed: the exchange goes to another backend.
    pub(super) fn connect_failed(
        &mut self,
        index: ClientId,
        upstream: UpstreamId,
        failure: Failure,
    ) {
        let slot = self.upstreams.at(upstream).slot;
        let mut waiting = std::mem::take(&mut self.upstreams.at(upstream).link.outbox);
        let may_go_on = self.note_connect_failure(index, slot, failure);
        self.leave_attempt(index, upstream);
        if may_go_on {
            self.go_elsewhere(index, waiting);
        } else {
            self.wire.drop_chain(&mut waiting);
            self.fail_exchange(index, 503, CloseReason::NoBackend);
        }
    }

    /// True if the exchange may try another backend.
    fn note_connect_failure(
        &mut self,
        index: ClientId,
        slot: BackendSlot,
        failure: Failure,
    ) -> bool {
        self.count(Counter::UpstreamConnectFailures);
        if failure == Failure::NoLocalPort {
            self.count(Counter::UpstreamNoLocalPort);
        }
        let Some(id) = self.sessions.at(index).exchange() else { return false };
        let trial = self.exchanges[id].trial.take();
        // This shortage is no backend's fault, and no other backend helps. The exception is a
        // half-open probe: backends that are in service may have idle connections.
        let is_ours = matches!(
            failure,
            Failure::OutOfDescriptors | Failure::OutOfResources | Failure::NoBuffers
        );
        if is_ours {
            if let Some(round) = trial {
                self.report_half_open(slot, round, TrialCourse::Undecided);
            }
            return trial.is_some() && self.may_try_again(index);
        }
        match (failure, trial) {
            // No fault of the backend: the proxy has too many connections to it.
            (Failure::NoLocalPort, None) => {}
            (Failure::NoLocalPort, Some(round)) => {
                self.report_half_open(slot, round, TrialCourse::Undecided);
            }
            _ => {
                let now = self.now();
                self.replicas.refused(slot, now);
                self.backend_failed(slot, BackendFault::Connect, trial);
            }
        }
        let now = self.now();
        let exchange = &mut self.exchanges[id];
        exchange.note_failed(slot);
        let may_go_on = exchange.may_try_again(now);
        let pool = exchange.pool;
        // If no backend is known to be healthy, another one would make the client wait for the same
        // time again. A refused connection costs no time.
        let is_silent = failure == Failure::TimedOut;
        let fails_open = self.replicas.pool(pool).is_some_and(|pool| pool.is_last_resort);
        may_go_on && !(is_silent && fails_open)
    }

    /// Closes a connection that its exchange does not need any more. A half-open probe without an
    /// outcome is reported first: no other backend can get the slot while it is counted.
    pub(super) fn leave_attempt(&mut self, index: ClientId, upstream: UpstreamId) {
        let slot = self.upstreams.at(upstream).slot;
        if let Some(id) = self.sessions.at(index).exchange() {
            let exchange = &mut self.exchanges[id];
            exchange.upstream = None;
            if let Some(round) = exchange.trial.take() {
                self.report_half_open(slot, round, TrialCourse::Undecided);
            }
        }
        self.replicas.end(slot);
        self.close_upstream(upstream, Close::Reset);
    }
}
