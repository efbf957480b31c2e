//! What only streams of a backend bring: heads as sections, requests that were not processed, and
//! places that are none.

use super::{Attempt, Exchange, Phase};
use crate::engine::{Engine, Failure, Room};
use crate::http2::ErrorCode;
use crate::sides::Sides;
use crate::stats::CloseReason;
use crate::table::Port;

impl Exchange {
    /// Takes the head of a response, interim or final, that frames have brought.
    pub fn response_section<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let Some(port) = self.port() else { return };
        self.has_response_bytes = true;
        // No bytes lie behind it, as they may in HTTP/1.
        let Some(behind) = sides.local.wire.private(b"") else {
            return self.cut(CloseReason::OutOfBuffers, sides);
        };
        let Some(output) = sides.local.wire.engine.acquire(Room::Whole) else {
            sides.local.wire.engine.release(behind.buffer);
            return self.cut(CloseReason::OutOfBuffers, sides);
        };
        let side = self.response_side(sides);
        let (mut upstream, local) = (sides.connections.upstream(port), &mut sides.local);
        let verdict = upstream.judge_section(output, &side, local);
        self.take_head(port, verdict, behind, output, sides);
        if self.is_relaying() && !self.is_over() {
            self.after_response_bytes(port, sides);
        }
    }

    /// The backend has not processed the request: whatever its method, it is sent again, if it is
    /// still here.
    pub fn refused<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let Some(port) = self.port() else { return };
        let is_here = self.retained.is_there() && !self.facts.is_streaming;
        let may_go_on = self.attempts.may_go_on(sides.local.now());
        if self.phase != Phase::AwaitingHead || !is_here || !may_go_on {
            return self.refuse_unprocessed(is_here, sides);
        }
        self.leave_attempt(port, sides);
        self.go_elsewhere(Default::default(), sides);
    }

    /// The request was not processed, and is not sent again from here. If that is because it is not
    /// here any more, a client that can be told so sends it again itself; not if another backend
    /// may have processed it, or this one has begun to answer.
    fn refuse_unprocessed<E: Engine>(&mut self, is_here: bool, sides: &mut Sides<E>) {
        let reason = CloseReason::BackendRefused;
        let is_untouched = self.phase == Phase::AwaitingHead && self.interims == 0;
        let is_unprocessed = is_untouched && self.unanswered_by.is_none();
        if is_unprocessed && !is_here && self.client_in(sides).0.may_be_refused() {
            return self.cut(reason, sides);
        }
        match self.phase {
            Phase::AwaitingHead => self.fail(503, reason, sides),
            // It had begun to answer: that is no refusal to its client.
            _ => self.fail(503, CloseReason::BackendTruncated, sides),
        }
    }

    /// The backend has reset the stream before its response was complete. What it means by that is
    /// passed on where the response has begun; before, the client is answered.
    pub fn stream_reset<E: Engine>(&mut self, code: ErrorCode, sides: &mut Sides<E>) {
        tracing::debug!(code = code.name(), "a backend has reset a stream");
        if matches!(self.phase, Phase::RelayingBody | Phase::Tunnelling) {
            let reason = match code {
                ErrorCode::CANCEL => CloseReason::BackendCancelled,
                ErrorCode::ENHANCE_YOUR_CALM => CloseReason::BackendOverloaded,
                _ => CloseReason::BackendTruncated,
            };
            return self.cut(reason, sides);
        }
        self.backend_ended(Some(Failure::Reset.into()), sides);
    }

    /// The response is malformed, for this reason.
    pub fn malformed<E: Engine>(&mut self, text: &'static str, sides: &mut Sides<E>) {
        match self.phase {
            Phase::AwaitingHead | Phase::RelayingBody | Phase::Tunnelling => {
                self.refuse_answer(text, sides);
            }
            Phase::Done | Phase::Switched { .. } => {}
        }
    }

    /// No buffer is left for the response.
    pub fn out_of_buffers<E: Engine>(&mut self, sides: &mut Sides<E>) {
        self.cut(CloseReason::OutOfBuffers, sides);
    }

    /// The request was not sent, and has no place on its connection any more.
    pub fn displaced<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let Some(port) = self.port() else { return };
        let mut upstream = sides.connections.upstream(port);
        let mut waiting = upstream.take_unsent(&mut sides.local);
        self.leave_attempt(port, sides);
        if !self.attempts.may_go_on(sides.local.now()) {
            sides.local.wire.drop_chain(&mut waiting);
            return self.fail(503, CloseReason::BackendsFull, sides);
        }
        self.attempts.count_retry(&sides.local);
        self.choose(waiting, sides);
    }

    /// Its backend speaks HTTP/1.1: the connection is its own from here on.
    pub fn has_whole_connection<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let Some(port) = self.port() else { return };
        self.attempt = Attempt::With(Port::only(port.connection));
        self.connected(sides);
    }

    /// True if nothing of the request can have been sent.
    pub fn is_waiting<E: Engine>(&self, sides: &mut Sides<E>) -> bool {
        self.upstream_in(sides).is_some_and(|(upstream, _)| upstream.is_waiting())
    }
}
