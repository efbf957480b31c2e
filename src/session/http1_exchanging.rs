//! The exchange of bodies: the request's body goes to the backend and the response's body to the
//! client, at the same time, each at the pace of its recipient.

use super::body::Passed;
use super::exchange::{Exchange, Phase};
use super::http1_reading_head::reason_of;
use super::translating::BODY_TOO_LARGE;
use super::{State, Traffic};
use crate::engine::{Close, Engine, Failure, ReceiveFlags, Slice};
use crate::stats::{CloseReason, Counter};
use crate::table::{ClientId, ExchangeId, UpstreamId};

/// Buffers of pipelined requests that a client may have here.
const PIPELINED_BUFFERS_MAX: u32 = 2;

/// Longest last answer after which a connection is closed without waiting for the client.
const FINISH_BYTES_MAX: u64 = 64 * 1024;

impl<E: Engine> Traffic<E> {
    /// Bytes from the client during an exchange: its body, or pipelined requests.
    pub(super) fn request_bytes(&mut self, index: ClientId, id: ExchangeId, slice: Slice) {
        let exchange = &self.exchanges[id];
        // Between two attempts no backend can receive the body.
        let (Some(upstream), false) = (exchange.upstream, exchange.request_body.has_ended()) else {
            return self.keep_for_later(index, slice);
        };
        let Some(slice) = self.gather_from_client(index, slice) else { return };
        let exchange = &mut self.exchanges[id];
        let passed = match exchange.request_body.pass(self.wire.bytes_mut(slice)) {
            Ok(passed) => passed,
            Err(refusal) => {
                tracing::debug!(refusal = refusal.text(), "request body refused");
                self.wire.engine.release(slice.buffer);
                let (status, reason) = (refusal.status(), reason_of(refusal));
                return self.fail_request(index, status, reason, refusal.text());
            }
        };
        exchange.request_bytes += passed.consumed as u64;
        let max = self.snapshot.settings.request_body_bytes_max.unwrap_or(u64::MAX);
        if exchange.request_bytes > max {
            self.wire.engine.release(slice.buffer);
            let reason = CloseReason::RequestRefused;
            return self.fail_request(index, 413, reason, BODY_TOO_LARGE);
        }
        self.forward_body(index, upstream, slice, passed);
    }

    /// True if the request's body continues and its backend keeps up.
    pub(super) fn takes_body(&mut self, id: ExchangeId) -> bool {
        let exchange = &self.exchanges[id];
        if exchange.request_body.has_ended() {
            return false;
        }
        let Some(upstream) = exchange.upstream else { return false };
        !self.wire.is_congested(&self.upstreams.at(upstream).link)
    }

    /// Queues the first bytes of a range to the backend, and keeps the bytes that are left.
    fn forward_body(
        &mut self,
        index: ClientId,
        upstream: UpstreamId,
        slice: Slice,
        passed: Passed,
    ) {
        let body = Slice { end: slice.start + passed.kept as u32, ..slice };
        let rest = Slice { start: slice.start + passed.consumed as u32, ..slice };
        if !rest.is_empty() && !self.keep_behind_body(index, rest) {
            self.wire.engine.release(slice.buffer);
            return self.cut_session(index, CloseReason::OutOfBuffers);
        }
        let Some(body) = self.wire.copy_out(body) else {
            return self.cut_session(index, CloseReason::OutOfBuffers);
        };
        let upstream = &mut self.upstreams.at(upstream).link;
        if body.is_empty() {
            self.wire.engine.release(body.buffer);
        } else {
            self.wire.send(upstream, body);
        }
        let is_congested = self.wire.is_congested(upstream);
        let is_connecting = upstream.is_connecting;
        if is_congested {
            self.wire.pause(&mut self.sessions.at(index).link);
        }
        if !is_connecting {
            let span = self.snapshot.settings.timeouts.between_bytes;
            self.set_deadline(index, span);
        }
    }

    /// Keeps a copy of the bytes behind the forwarded part of a body: the next request, or the
    /// beginning of a trailer section. False if no buffer is left.
    fn keep_behind_body(&mut self, index: ClientId, rest: Slice) -> bool {
        let session = self.sessions.at(index);
        let exchange = session.exchange().map(|id| &self.exchanges[id]);
        if exchange.is_some_and(|exchange| !exchange.request_body.has_ended()) {
            session.partial = Some(self.wire.bytes(rest).into());
            return true;
        }
        let Some(rest) = self.wire.copy_of(rest) else { return false };
        self.wire.push_front(&mut session.inbox, rest);
        true
    }

    /// Keeps bytes for later, behind those that wait already.
    pub(super) fn keep_for_later(&mut self, index: ClientId, slice: Slice) {
        let Some(slice) = self.wire.copy_out(slice) else {
            return self.cut_out_of_buffers(index, None);
        };
        let session = self.sessions.at(index);
        self.wire.push_back(&mut session.inbox, slice);
        if session.inbox.len() >= PIPELINED_BUFFERS_MAX {
            self.wire.pause(&mut session.link);
        }
    }

    /// Ends an exchange because of bytes that the client sent, or failed to send.
    pub(super) fn fail_request(
        &mut self,
        index: ClientId,
        status: u16,
        reason: CloseReason,
        text: &'static str,
    ) {
        self.sessions.at(index).keep_alive = false;
        self.note_refusal(index, text);
        self.fail_exchange(index, status, reason);
    }

    /// Bytes from a backend.
    pub fn upstream_received(&mut self, upstream: UpstreamId, slice: Slice, flags: ReceiveFlags) {
        let buffer = slice.buffer;
        let connection = self.upstreams.at(upstream);
        let session = connection.session;
        let is_closing = connection.is_closing;
        connection.has_unread = flags.more_readable;
        self.wire.received(&mut connection.link, flags.still_armed);
        let Some(index) = session else {
            self.wire.engine.release(buffer);
            return match is_closing {
                true => self.settle_upstream(upstream),
                // No request was sent: these bytes must not be used as an answer.
                false => self.discard_idle_upstream(upstream),
            };
        };
        self.counters().add(Counter::UpstreamBytesReceived, slice.len() as u64);
        let is_flushed = self.upstreams.at(upstream).link.is_flushed();
        if !is_flushed && self.is_untouched(index, upstream) {
            // The bytes arrived before the request was sent, so they are no answer to it.
            self.wire.engine.release(buffer);
            return match self.may_try_again(index) {
                true => self.replay(index, upstream),
                false => self.refuse_answer(index, "it came before the request was sent"),
            };
        }
        self.response_goes_on(index, slice);
    }

    /// Processes the next bytes from the backend of a session, in any phase of the response.
    pub(super) fn response_goes_on(&mut self, index: ClientId, slice: Slice) {
        let id = match self.sessions.at(index).state {
            State::Tunnelling(_) => return self.tunnel_from_upstream(index, slice),
            State::Exchanging(id) => id,
            _ => return self.wire.engine.release(slice.buffer),
        };
        let exchange = &mut self.exchanges[id];
        match exchange.phase {
            Phase::AwaitingHead => self.read_response_head(index, id, slice),
            Phase::RelayingBody => self.response_bytes(index, id, slice),
            Phase::Done => {
                exchange.is_upstream_reusable = false;
                self.wire.engine.release(slice.buffer);
            }
        }
    }

    /// Forwards bytes of a response's body.
    fn response_bytes(&mut self, index: ClientId, id: ExchangeId, slice: Slice) {
        let exchange = &mut self.exchanges[id];
        let Some(gathered) = self.wire.gather(&mut exchange.response_partial, slice) else {
            return self.cut_session(index, CloseReason::OutOfBuffers);
        };
        if let Some(left) = gathered.left {
            // A trailer section is shorter than a buffer, so these bytes are behind its end.
            exchange.is_upstream_reusable = false;
            self.wire.engine.release(left.buffer);
        }
        let slice = gathered.whole;
        let passed = match exchange.response_body.pass(self.wire.bytes_mut(slice)) {
            Ok(passed) => passed,
            Err(refusal) => {
                self.wire.engine.release(slice.buffer);
                return self.refuse_answer(index, refusal.text());
            }
        };
        exchange.note_passed(passed, self.wire.bytes(slice));
        let body = Slice { end: slice.start + passed.kept as u32, ..slice };
        if self.send_response_bytes(index, body) {
            self.after_response_bytes(index, id);
        }
    }

    /// Queues bytes of a response to the client. False if no buffer was left.
    pub(super) fn send_response_bytes(&mut self, index: ClientId, body: Slice) -> bool {
        if body.is_empty() {
            self.wire.engine.release(body.buffer);
            return true;
        }
        let Some(body) = self.wire.copy_out(body) else {
            // The lost bytes may be the last ones: the framing does not show the loss then.
            self.sessions.at(index).close = Close::Reset;
            self.cut_session(index, CloseReason::OutOfBuffers);
            return false;
        };
        self.wire.send(&mut self.sessions.at(index).link, body);
        true
    }

    /// After bytes of a response were queued to the client: ends the exchange, or pauses the
    /// backend if the client is slow.
    pub(super) fn after_response_bytes(&mut self, index: ClientId, id: ExchangeId) {
        let exchange = &self.exchanges[id];
        if exchange.response_body.has_ended() {
            return self.response_complete(index, id);
        }
        let upstream = exchange.upstream;
        let is_congested = self.wire.is_congested(&self.sessions.at(index).link);
        if let (true, Some(upstream)) = (is_congested, upstream) {
            self.wire.pause(&mut self.upstreams.at(upstream).link);
        }
        let span = self.snapshot.settings.timeouts.between_bytes;
        self.set_deadline(index, span);
    }

    /// All of the response is queued.
    pub(super) fn response_complete(&mut self, index: ClientId, id: ExchangeId) {
        let exchange = &mut self.exchanges[id];
        exchange.phase = Phase::Done;
        let is_whole = exchange.request_body.has_ended();
        // A client that asked for the end of the connection sends nothing more. Another one may
        // send more, and an immediate close could cost it a long answer: a session lingers after
        // that.
        let is_last =
            is_whole && !exchange.client_keeps && exchange.response_bytes <= FINISH_BYTES_MAX;
        let keep_alive = self.sessions.at(index).keep_alive && is_whole;
        self.end_exchange(index);
        if keep_alive {
            self.await_next_request(index);
            self.serve_inbox(index);
        } else if is_last {
            self.finish(index, CloseReason::KeepAliveEnded);
        } else {
            self.linger(index, CloseReason::KeepAliveEnded);
        }
    }

    /// A send to a client ended.
    pub fn client_sent(&mut self, index: ClientId, result: Result<u32, Failure>) {
        if let Ok(bytes) = result {
            self.counters().add(Counter::ClientBytesSent, u64::from(bytes));
        }
        let session = self.sessions.at(index);
        let is_well = self.wire.sent(&mut session.link, result);
        match session.state {
            State::Closing => return self.settle_closing(index),
            _ if !is_well => return self.close_session(index, CloseReason::ClientReset),
            State::Lingering | State::Discarding { .. } | State::Finishing => {
                return self.after_client_flush(index);
            }
            State::AwaitingHead | State::ReadingHead => {
                // Answers that were not read held the next requests back.
                if self.wire.has_room(&session.link) && !session.link.is_polling {
                    self.serve_inbox(index);
                }
                return;
            }
            State::Exchanging(_) | State::Tunnelling(_) => {}
        }
        let has_room = self.wire.has_room(&session.link);
        let upstream = session.exchange().and_then(|id| self.exchanges[id].upstream);
        if let (true, Some(upstream)) = (has_room, upstream) {
            let link = &mut self.upstreams.at(upstream).link;
            if !link.is_connecting {
                self.wire.receive(link);
            }
        }
        self.note_progress(index);
    }

    /// A send to a backend ended. A failure is not the end: the backend may have answered before it
    /// closed the connection, and the receive shows that.
    pub fn upstream_sent(&mut self, upstream: UpstreamId, result: Result<u32, Failure>) {
        if let Ok(bytes) = result {
            self.counters().add(Counter::UpstreamBytesSent, u64::from(bytes));
        }
        let connection = self.upstreams.at(upstream);
        self.wire.sent(&mut connection.link, result);
        let Some(index) = connection.session else { return self.settle_upstream(upstream) };
        let has_room = self.wire.has_room(&connection.link);
        self.shrink_head(index);
        if has_room {
            self.serve_inbox(index);
        }
        if self.sessions.at(index).is_tunnel() {
            let link = &self.upstreams.at(upstream).link;
            if link.is_broken && link.peer_ended {
                return self.cut_session(index, CloseReason::BackendReset);
            }
            self.resume_tunnel(index);
        }
        self.note_progress(index);
    }
}

impl Exchange {
    /// Records the progress of the response's body after `bytes`.
    pub(super) fn note_passed(&mut self, passed: Passed, bytes: &[u8]) {
        self.response_bytes += passed.kept as u64;
        let rest = &bytes[passed.consumed..];
        if rest.is_empty() {
            return;
        }
        if self.response_body.has_ended() {
            // The message was complete, but the connection cannot be trusted.
            self.is_upstream_reusable = false;
        } else {
            self.response_partial = Some(rest.into());
        }
    }
}
