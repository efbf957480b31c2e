//! Reading the head of a response, and what follows from it: interim or final, a tunnel or a body,
//! and whether the client's connection is kept.

use super::Traffic;
use super::choosing::COPY_BYTES_MAX;
use super::exchange::Phase;
use super::translating::{self, Response, ResponseOutcome, ResponseSide};
use crate::engine::{BufferId, Close, Engine, Failure, Room, Slice};
use crate::limits::INTERIMS_MAX;
use crate::stats::CloseReason;
use crate::table::{ClientId, ExchangeId, UpstreamId};

impl<E: Engine> Traffic<E> {
    /// Processes bytes in which a response begins or continues.
    pub(super) fn read_response_head(&mut self, index: ClientId, id: ExchangeId, slice: Slice) {
        let exchange = &mut self.exchanges[id];
        exchange.has_response_bytes = true;
        let (serial, upstream) = (exchange.serial, exchange.upstream);
        let Some(gathered) = self.wire.gather(&mut exchange.response_partial, slice) else {
            return self.cut_session(index, CloseReason::OutOfBuffers);
        };
        let had_unread = self.note_left(upstream, gathered.left.is_some());
        let mut input = gathered.whole;
        while let Some(rest) = self.read_one_response_head(index, input) {
            input = rest;
        }
        let Some(left) = gathered.left else { return };
        let exchange = self.sessions.at(index).exchange().map(|id| &self.exchanges[id]);
        // The first bytes may have ended the exchange and begun the next one: the bytes that are
        // left belong to neither.
        if !exchange.is_some_and(|e| e.serial == serial && e.upstream == upstream) {
            return self.wire.engine.release(left.buffer);
        }
        if let (Some(upstream), false) = (upstream, had_unread) {
            self.upstreams.at(upstream).has_unread = false;
        }
        self.response_goes_on(index, left);
    }

    /// Records whether bytes of a read are still to be processed, so that the connection is not
    /// kept if the response ends before them. Returns the value before.
    fn note_left(&mut self, upstream: Option<UpstreamId>, is_left: bool) -> bool {
        let Some(upstream) = upstream else { return false };
        let connection = self.upstreams.at(upstream);
        let had_unread = connection.has_unread;
        connection.has_unread |= is_left;
        had_unread
    }

    /// Processes one head; returns the bytes behind it if another head follows.
    fn read_one_response_head(&mut self, index: ClientId, slice: Slice) -> Option<Slice> {
        let Some(output) = self.wire.engine.acquire(Room::Whole) else {
            self.wire.engine.release(slice.buffer);
            self.cut_session(index, CloseReason::OutOfBuffers);
            return None;
        };
        let keep_alive = self.may_keep_alive(index);
        let id = self.sessions.at(index).exchange()?;
        let exchange = &self.exchanges[id];
        let side = ResponseSide {
            snapshot: &self.snapshot,
            version: exchange.version,
            is_head: exchange.is_head,
            is_connect: exchange.is_connect,
            upgrade: exchange.upgrade.as_deref(),
            keep_alive,
        };
        let (from, to) = self.wire.engine.bytes_pair(slice.buffer, output);
        let input = &from[slice.start as usize..slice.end as usize];
        let outcome = translating::response(input, to, &side);
        self.take_response_head(index, outcome, slice, output)
    }

    fn take_response_head(
        &mut self,
        index: ClientId,
        outcome: ResponseOutcome,
        slice: Slice,
        output: BufferId,
    ) -> Option<Slice> {
        match outcome {
            ResponseOutcome::Interim { head_length, written } => {
                let id = self.sessions.at(index).exchange()?;
                self.exchanges[id].interims += 1;
                if self.exchanges[id].interims > INTERIMS_MAX {
                    self.wire.engine.release(output);
                    self.wire.engine.release(slice.buffer);
                    self.refuse_answer(index, "there are too many interim answers");
                    return None;
                }
                self.pass_head(index, output, written);
                let rest = Slice { start: slice.start + head_length as u32, ..slice };
                if rest.is_empty() {
                    self.wire.engine.release(slice.buffer);
                    self.note_progress(index);
                    return None;
                }
                return Some(rest);
            }
            ResponseOutcome::Final(response) if self.is_of_idle_time(index, response.status) => {
                self.wire.engine.release(output);
                self.wire.engine.release(slice.buffer);
                let upstream = self.exchanges[self.sessions.at(index).exchange()?].upstream?;
                self.replay(index, upstream);
            }
            ResponseOutcome::Final(response) => {
                self.begin_response(index, response, slice, output);
            }
            ResponseOutcome::Switch { head_length, written, status } => {
                self.pass_head(index, output, written);
                let rest = Slice { start: slice.start + head_length as u32, ..slice };
                self.begin_tunnel(index, status, rest);
            }
            ResponseOutcome::Incomplete => {
                self.wire.engine.release(output);
                let id = self.sessions.at(index).exchange()?;
                self.wire.set_aside(&mut self.exchanges[id].response_partial, slice);
                self.note_progress(index);
            }
            ResponseOutcome::Refused(refusal) => {
                self.wire.engine.release(output);
                self.wire.engine.release(slice.buffer);
                self.refuse_answer(index, refusal.text());
            }
            ResponseOutcome::Unexpected(text) => {
                self.wire.engine.release(output);
                self.wire.engine.release(slice.buffer);
                self.refuse_answer(index, text);
            }
        }
        None
    }

    /// True for a 408 that is for the idle connection and not for the request: the backend timed
    /// out just when the request was sent, which may be repeated then (RFC 9110 §15.5.9).
    fn is_of_idle_time(&mut self, index: ClientId, status: u16) -> bool {
        if status != 408 {
            return false;
        }
        let (now, id) = (self.now(), self.sessions.at(index).exchange());
        let Some(exchange) = id.map(|id| &self.exchanges[id]) else { return false };
        let is_reused = exchange.upstream.is_some_and(|at| self.upstreams.at(at).is_reused);
        let may_be_repeated = exchange.is_replayable() && exchange.may_try_again(now);
        is_reused && exchange.interims == 0 && may_be_repeated
    }

    /// Queues a head that was written to `output`; nothing if its length is 0.
    fn pass_head(&mut self, index: ClientId, output: BufferId, written: usize) {
        if written == 0 {
            return self.wire.engine.release(output);
        }
        let slice = Slice { buffer: output, start: 0, end: written as u32 };
        self.wire.send(&mut self.sessions.at(index).link, slice);
    }

    /// Forwards the final head to the client with the part of the body that has been received, if
    /// that is valid. No byte of a response has been forwarded before.
    fn begin_response(
        &mut self,
        index: ClientId,
        response: Response,
        slice: Slice,
        output: BufferId,
    ) {
        let Some(id) = self.sessions.at(index).exchange() else { return };
        let rest = Slice { start: slice.start + response.head_length as u32, ..slice };
        let mut body = response.body;
        let passed = match body.pass(self.wire.bytes_mut(rest)) {
            Ok(passed) => passed,
            Err(refusal) => {
                self.wire.engine.release(output);
                self.wire.engine.release(rest.buffer);
                return self.refuse_answer(index, refusal.text());
            }
        };
        self.sessions.at(index).keep_alive = response.keep_alive;
        let exchange = &mut self.exchanges[id];
        exchange.phase = Phase::RelayingBody;
        exchange.status = response.status;
        exchange.response_body = body;
        exchange.is_upstream_reusable = response.upstream_idle_max.is_some();
        exchange.note_passed(passed, self.wire.bytes(rest));
        if let (Some(upstream), Some(max)) = (exchange.upstream, response.upstream_idle_max) {
            self.upstreams.at(upstream).idle_max = max;
        }
        if let Some(buffer) = exchange.take_request_head() {
            self.wire.unpin(buffer);
        }
        self.count_status(response.status);
        self.backend_answered(id, response.status);
        let head = Slice { buffer: output, start: 0, end: response.written as u32 };
        let body = Slice { end: rest.start + passed.kept as u32, ..rest };
        if self.send_head_with_body(index, head, body) {
            self.after_response_bytes(index, id);
        }
    }

    /// Queues a head and the first bytes of its body. A few of them are copied behind the head, so
    /// that one plain send covers both. False if no buffer was left.
    fn send_head_with_body(&mut self, index: ClientId, head: Slice, body: Slice) -> bool {
        let at = head.end as usize;
        if body.len() > COPY_BYTES_MAX.min(self.wire.engine.buffer_size() - at) {
            self.wire.send(&mut self.sessions.at(index).link, head);
            return self.send_response_bytes(index, body);
        }
        let (from, to) = self.wire.engine.bytes_pair(body.buffer, head.buffer);
        let copied = &from[body.start as usize..body.end as usize];
        to[at..at + copied.len()].copy_from_slice(copied);
        self.wire.engine.release(body.buffer);
        let whole = Slice { end: head.end + body.len() as u32, ..head };
        self.wire.send(&mut self.sessions.at(index).link, whole);
        true
    }

    /// True if nothing on the client's side forbids keeping its connection.
    fn may_keep_alive(&mut self, index: ClientId) -> bool {
        let is_ending = self.is_ending(index);
        let session = self.sessions.at(index);
        let request_ended =
            session.exchange().is_none_or(|id| self.exchanges[id].request_body.has_ended());
        session.keep_alive && request_ended && !is_ending
    }

    /// The stream from a backend ended.
    pub fn upstream_ended(&mut self, upstream: UpstreamId, failure: Option<Failure>) {
        self.count_if_starved(failure);
        let connection = self.upstreams.at(upstream);
        let has_ended = self.wire.receive_ended(&mut connection.link, failure);
        let Some(index) = connection.session else {
            return match connection.is_closing {
                true => self.settle_upstream(upstream),
                false if has_ended => self.discard_idle_upstream(upstream),
                false => {}
            };
        };
        if !has_ended {
            return;
        }
        if self.sessions.at(index).is_tunnel() {
            return self.tunnel_upstream_ended(index, failure);
        }
        let Some(id) = self.sessions.at(index).exchange() else { return };
        let exchange = &mut self.exchanges[id];
        exchange.is_upstream_reusable = false;
        match exchange.phase {
            Phase::AwaitingHead => self.died_unanswered(index, upstream),
            Phase::RelayingBody
                if failure.is_none()
                    && matches!(exchange.response_body, super::body::Body::UntilClose) =>
            {
                exchange.response_body = super::body::Body::ENDED;
                self.response_complete(index, id);
            }
            Phase::RelayingBody => self.cut_session(index, CloseReason::BackendTruncated),
            Phase::Done => {}
        }
    }

    /// Closes an idle connection that received bytes without a request, or its end.
    pub(super) fn discard_idle_upstream(&mut self, upstream: UpstreamId) {
        self.upstreams.unpark(upstream);
        self.close_upstream(upstream, Close::Graceful);
    }
}
