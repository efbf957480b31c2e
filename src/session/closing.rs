//! The end of an exchange, of a session, of a connection to a backend. A socket is closed once no
//! operation is in flight on it, and not before.

use super::exchange::Phase;
use super::{State, Traffic};
use crate::engine::{Close, Engine, Failure, Owner, Slice, Socket};
use crate::limits::{LINGER_BYTES_MAX, LINGER_IDLE, LINGER_MAX, LINGER_SILENCE};
use crate::mailbox::Stage;
use crate::stats::{CloseReason, Counter};
use crate::table::{ClientId, ExchangeId, UpstreamId};

impl<E: Engine> Traffic<E> {
    // --- exchanges ---

    /// Ends the exchange of a session, whatever its state, and returns all that it held. The
    /// connection to the backend is kept only if both messages ended exactly where they should.
    pub(super) fn end_exchange(&mut self, index: ClientId) {
        let session = self.sessions.at(index);
        let Some(id) = session.exchange() else { return };
        // The caller sets the state that follows.
        session.state = State::AwaitingHead;
        let mut exchange = self.exchanges.remove(id);
        if let Some(buffer) = exchange.take_request_head() {
            self.wire.unpin(buffer);
        }
        self.wire.drop_chain(&mut exchange.waiting);
        // Before it is counted out: a slot with nothing in flight may be given to another backend.
        self.observe_end(&exchange);
        self.record(index, &mut exchange);
        if let Some(upstream) = exchange.upstream.take() {
            let is_complete = exchange.phase == Phase::Done && exchange.request_body.has_ended();
            self.replicas.end(self.upstreams.at(upstream).slot);
            self.leave_upstream(upstream, is_complete && exchange.is_upstream_reusable);
        }
    }

    /// Keeps a connection for the next exchange, or closes it.
    fn leave_upstream(&mut self, upstream: UpstreamId, is_reusable: bool) {
        let connection = self.upstreams.at(upstream);
        let slot = connection.slot;
        let link = &mut connection.link;
        let is_clean = is_reusable
            && !connection.has_unread
            && !link.peer_ended
            && !link.is_broken
            && !link.write_ended
            && link.is_flushed()
            && link.sending == 0;
        let has_place = self.upstreams.idle_count(slot) < self.replicas.idle_max(slot);
        if !is_clean || !has_place || self.stage >= Stage::Draining {
            let how = if is_clean { Close::Graceful } else { Close::Reset };
            return self.close_upstream(upstream, how);
        }
        self.wire.receive(&mut self.upstreams.at(upstream).link);
        self.upstreams.park(upstream);
        self.watch_idle_upstream(upstream);
    }

    // --- connections to backends ---

    /// Closes a connection as soon as nothing is in flight on it.
    pub(super) fn close_upstream(&mut self, upstream: UpstreamId, how: Close) {
        let connection = self.upstreams.at(upstream);
        connection.session = None;
        connection.is_closing = true;
        connection.close = how;
        self.wire.quiesce(&mut connection.link);
        self.settle_upstream(upstream);
    }

    /// Closes a connection that is marked for closing, if nothing is in flight on it.
    pub(super) fn settle_upstream(&mut self, upstream: UpstreamId) {
        let connection = self.upstreams.at(upstream);
        if !connection.is_closing || connection.link.is_closed || !connection.link.is_quiet() {
            return;
        }
        self.wire.close(&mut connection.link, connection.close);
        let slot = connection.slot;
        if let Some(timer) = connection.timer.take() {
            self.timers.disarm(timer);
        }
        self.closed.push(connection.link.key);
        self.backend_cell(slot).connections.fall();
    }

    // --- sessions ---

    /// Closes after the last answer to a client that has sent its complete request and expects the
    /// connection to end: there is nothing to drop and nothing to wait for, and FIN travels with
    /// the last bytes. If bytes arrive before that all the same, the session lingers.
    pub(super) fn finish(&mut self, index: ClientId, reason: CloseReason) {
        let session = self.sessions.at(index);
        if !session.inbox.is_empty() {
            return self.linger(index, reason);
        }
        session.state = State::Finishing;
        session.close_reason = reason;
        self.wire.end_write(&mut session.link);
        self.wire.pause(&mut session.link);
        let span = self.snapshot.settings.timeouts.between_bytes;
        self.set_deadline(index, span);
        self.after_client_flush(index);
    }

    /// Closes after the last answer: the proxy's direction ends when the answer is sent, and bytes
    /// that the client still sends are dropped for a while. If a reset is to end the connection, it
    /// follows the last byte.
    pub(super) fn linger(&mut self, index: ClientId, reason: CloseReason) {
        let session = self.sessions.at(index);
        session.state = State::Lingering;
        session.close_reason = reason;
        session.dropped_bytes = 0;
        session.partial = None;
        self.wire.drop_chain(&mut session.inbox);
        if session.close == Close::Graceful {
            self.wire.end_write(&mut session.link);
        }
        self.wire.receive(&mut session.link);
        let span = self.snapshot.settings.timeouts.between_bytes;
        self.set_deadline(index, span);
        self.after_client_flush(index);
    }

    /// Ends a connection without a request: only few bytes can still arrive.
    pub(super) fn end_idle(&mut self, index: ClientId, reason: CloseReason) {
        self.linger(index, reason);
        if matches!(self.sessions.at(index).state, State::Discarding { .. }) {
            self.set_deadline(index, LINGER_IDLE);
        }
    }

    /// Drops bytes that a client sends after its last answer.
    pub(super) fn discard(&mut self, index: ClientId, slice: Slice) {
        self.wire.engine.release(slice.buffer);
        let now = self.now();
        let session = self.sessions.at(index);
        let State::Discarding { until } = session.state else {
            return; // the answer is still being sent, and has its own timeout
        };
        session.dropped_bytes = session.dropped_bytes.saturating_add(slice.len() as u32);
        if session.dropped_bytes > LINGER_BYTES_MAX {
            let reason = session.close_reason;
            return self.close_session(index, reason);
        }
        self.set_deadline(index, LINGER_SILENCE.min(until.since(now)));
    }

    /// After a flush to a client: a lingering session that has sent everything is closed, at once
    /// if the client has ended its direction too, and soon if it has not.
    pub(super) fn after_client_flush(&mut self, index: ClientId) {
        let session = self.sessions.at(index);
        if !session.link.is_flushed() || session.link.sending > 0 {
            return;
        }
        let reason = session.close_reason;
        let is_over = session.link.peer_ended || session.close == Close::Reset;
        match session.state {
            State::Finishing => self.close_session(index, reason),
            State::Lingering | State::Discarding { .. } if is_over => {
                self.close_session(index, reason);
            }
            State::Lingering => {
                session.state = State::Discarding { until: self.wire.engine.now() + LINGER_MAX };
                self.set_deadline(index, LINGER_SILENCE);
            }
            _ => {}
        }
    }

    /// The stream from a client ended.
    pub fn client_ended(&mut self, index: ClientId, failure: Option<Failure>) {
        self.count_if_starved(failure);
        let session = self.sessions.at(index);
        let has_ended = self.wire.receive_ended(&mut session.link, failure);
        if session.state == State::Closing {
            return self.settle_closing(index);
        }
        if !has_ended {
            return self.demote_if_idle(index);
        }
        let is_reset = failure.is_some();
        match session.state {
            _ if is_reset => self.abort_session(index, CloseReason::ClientReset),
            State::AwaitingHead if session.link.is_flushed() => {
                self.close_session(index, CloseReason::ClientClosed);
            }
            State::AwaitingHead | State::ReadingHead if session.inbox.is_empty() => {
                self.cut_session(index, CloseReason::ClientClosed);
            }
            State::AwaitingHead | State::ReadingHead => {}
            State::Exchanging(id) => self.client_half_closed(index, id),
            State::Tunnelling(_) => self.tunnel_client_ended(index),
            State::Lingering | State::Discarding { .. } | State::Finishing => {
                self.after_client_flush(index);
            }
            State::Closing => {}
        }
    }

    /// The client has ended its direction. That cuts its request short, or is the end after it.
    fn client_half_closed(&mut self, index: ClientId, id: ExchangeId) {
        let session = self.sessions.at(index);
        let has_more = !session.inbox.is_empty();
        session.keep_alive &= has_more;
        let has_request = self.exchanges[id].request_body.has_ended();
        let allows = self.snapshot.settings.allows_half_close;
        if !allows {
            self.abort_session(index, CloseReason::ClientClosed);
        } else if !(has_request || has_more) {
            self.cut_session(index, CloseReason::ClientClosed);
        }
    }

    /// Ends a session in the middle of an exchange. Queued bytes are sent first: they may contain
    /// complete answers to earlier requests. The framing of an answer shows the client that it is
    /// cut short; without framing, a reset does.
    pub(super) fn cut_session(&mut self, index: ClientId, reason: CloseReason) {
        if self.is_ended_by_stream(index) {
            self.sessions.at(index).close = Close::Reset;
        }
        if let Some(id) = self.sessions.at(index).exchange() {
            self.exchanges[id].failure.get_or_insert(reason);
        }
        self.end_exchange(index);
        self.linger(index, reason);
    }

    /// True if the client would take FIN for the end of the message that is being sent.
    fn is_ended_by_stream(&mut self, index: ClientId) -> bool {
        let session = self.sessions.at(index);
        let Some(id) = session.exchange() else { return false };
        let exchange = &self.exchanges[id];
        let is_unframed =
            exchange.phase == Phase::RelayingBody && exchange.response_body.is_passed_unframed();
        session.is_tunnel() || is_unframed
    }

    /// Closes at once, with a reset that shows the client that its answer is incomplete. For
    /// clients that are disconnected or do not read, and for the end of the process.
    pub(super) fn abort_session(&mut self, index: ClientId, reason: CloseReason) {
        self.sessions.at(index).close = Close::Reset;
        self.close_session(index, reason);
    }

    /// Closes at once; bytes that wait to be sent are dropped.
    pub fn close_session(&mut self, index: ClientId, reason: CloseReason) {
        if let Some(id) = self.sessions.at(index).exchange() {
            self.exchanges[id].failure.get_or_insert(reason);
        }
        self.end_exchange(index);
        let session = self.sessions.at(index);
        session.state = State::Closing;
        session.close_reason = reason;
        session.partial = None;
        self.wire.drop_chain(&mut session.inbox);
        self.wire.quiesce(&mut session.link);
        self.settle_closing(index);
    }

    /// Closes a session that is marked for closing, if nothing is in flight on its socket.
    pub(super) fn settle_closing(&mut self, index: ClientId) {
        let session = self.sessions.at(index);
        if session.link.is_closed || !session.link.is_quiet() {
            return;
        }
        self.wire.close(&mut session.link, session.close);
        if let Some(timer) = session.timer.take() {
            self.timers.disarm(timer);
        }
        self.closed.push(session.link.key);
        let (shard, shared) = (self.mailbox.shard(), &self.mailbox.shared);
        shared.clients.leave(shard, session.client.ip());
        shared.ledger.listener(shard, session.listener).sessions.fall();
        let reason = session.close_reason;
        self.count(Counter::ConnectionsClosed);
        self.counters().add_close(reason);
    }

    /// Frees the slots of the connections that were closed in this turn. Not before the end of the
    /// turn, so that a step that closes its session can still use it.
    pub(super) fn reap(&mut self) {
        while let Some(key) = self.closed.pop() {
            match key.owner() {
                Owner::Client => {
                    let client = self.sessions.find(key).expect("closed in this turn");
                    drop(self.sessions.remove(client));
                }
                _ => {
                    let upstream = self.upstreams.find(key).expect("closed in this turn");
                    self.upstreams.remove(upstream);
                }
            }
        }
        self.mailbox.show_connections(self.sessions.len() as u32);
    }

    // --- the process ---

    /// Serving and lame duck: answers state whether their connection is kept. Draining: idle
    /// connections close, others with their present exchange. Ending: all close.
    pub fn enter_stage(&mut self, stage: Stage) {
        self.stage = stage;
        if stage < Stage::Draining {
            return;
        }
        for upstream in self.upstreams.idle_ids() {
            self.discard_idle_upstream(upstream);
        }
        for index in self.sessions.ids() {
            let session = self.sessions.at(index);
            let is_idle = session.is_idle();
            match session.state {
                State::Closing => {}
                _ if stage == Stage::Ending => self.abort_session(index, CloseReason::Drained),
                _ if is_idle => self.end_idle(index, CloseReason::Drained),
                _ => {}
            }
        }
    }

    /// Closes every socket, whatever is in flight on it. Only for a shard that does not run again.
    /// A connection closed in its last turn still has a slot, but its descriptor may be another's.
    pub fn abandon(&mut self) {
        let mut sockets: Vec<Socket> = self.upstreams.open_sockets();
        for index in self.sessions.ids() {
            let link = &self.sessions.at(index).link;
            sockets.extend((!link.is_closed).then_some(link.socket));
        }
        sockets.into_iter().for_each(|socket| self.wire.engine.close(socket, Close::Reset));
    }
}
