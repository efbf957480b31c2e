//! The response on its way to the client: its head, interim or final, and what follows from it: a
//! tunnel or a body, and whether the client's connection is kept.

use super::connecting::COPY_BYTES_MAX;
use super::{Exchange, Flow, Phase};
use crate::attempts::ConnectionFault;
use crate::backend::BodyPart;
use crate::engine::{BufferId, Engine, Room, Slice};
use crate::http1::Verdict;
use crate::limits::INTERIMS_MAX;
use crate::link::Joined;
use crate::local::{Gathered, Local};
use crate::message::{Body, Response, ResponseOutcome, ResponseSide};
use crate::sides::Sides;
use crate::stats::CloseReason;
use crate::table::{ConnectionId, Port};

/// Longest last answer after which a connection is closed without waiting for the client.
const FINISH_BYTES_MAX: u64 = 64 * 1024;

impl Exchange {
    /// Takes bytes from its backend, in any phase of the response.
    pub fn response_bytes<E: Engine>(&mut self, slice: Slice, sides: &mut Sides<E>) {
        let Some(port) = self.port() else {
            return sides.local.wire.engine.release(slice.buffer);
        };
        let (mut upstream, local) = (sides.connections.upstream(port), &mut sides.local);
        if !upstream.is_flushed() && self.is_untouched(&upstream, &local.wire) {
            return self.refuse_early_answer(port, slice, sides);
        }
        if !(self.phase == Phase::AwaitingHead || self.is_relaying()) {
            upstream.distrust();
            return local.wire.engine.release(slice.buffer);
        }
        let Joined { whole, left } = match upstream.gather(slice, local) {
            Gathered::Due(joined) => joined,
            Gathered::Incomplete => return self.note_progress(sides),
            Gathered::OutOfBuffers => return self.cut(CloseReason::OutOfBuffers, sides),
        };
        self.read_response(port, whole, sides);
        if let Some(left) = left {
            self.read_left(port, left, sides);
        }
        if self.is_relaying() && !self.is_over() {
            self.after_response_bytes(port, sides);
        }
    }

    /// The bytes arrived before the request was sent, so they are no answer to it.
    fn refuse_early_answer<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        slice: Slice,
        sides: &mut Sides<E>,
    ) {
        sides.local.wire.engine.release(slice.buffer);
        match self.attempts.may_go_on(sides.local.now()) {
            true => self.replay(port, sides),
            false => self.refuse_answer("it came before the request was sent", sides),
        }
    }

    /// Reads bytes in which a response begins or continues, heads first.
    fn read_response<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        slice: Slice,
        sides: &mut Sides<E>,
    ) {
        if self.is_relaying() {
            return self.forward_response_body(port, slice, sides);
        }
        self.has_response_bytes = true;
        let mut input = slice;
        while let Some(next) = self.read_head(port, input, sides) {
            input = next;
        }
    }

    /// Reads the bytes of a read that did not fit one buffer with the part before them.
    fn read_left<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        left: Slice,
        sides: &mut Sides<E>,
    ) {
        let (mut upstream, local) = (sides.connections.upstream(port), &mut sides.local);
        match self.phase {
            // The first bytes have ended the attempt, and these with it.
            _ if self.port() != Some(port) => local.wire.engine.release(left.buffer),
            Phase::Switched { .. } => self.hold_for_tunnel(left, sides),
            Phase::RelayingBody | Phase::Tunnelling if self.response.body.has_ended() => {
                upstream.distrust();
                local.wire.engine.release(left.buffer);
            }
            // What was set aside again is what followed a head, begins a size line or ends a body:
            // each fits.
            _ => match upstream.gather(left, local) {
                Gathered::Due(Joined { whole, .. }) => self.read_response(port, whole, sides),
                Gathered::Incomplete => {}
                Gathered::OutOfBuffers => self.cut(CloseReason::OutOfBuffers, sides),
            },
        }
    }

    /// Reads one head; returns the bytes behind it if another head follows.
    fn read_head<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        slice: Slice,
        sides: &mut Sides<E>,
    ) -> Option<Slice> {
        let Some(output) = sides.local.wire.engine.acquire(Room::Whole) else {
            sides.local.wire.engine.release(slice.buffer);
            self.cut(CloseReason::OutOfBuffers, sides);
            return None;
        };
        let side = self.response_side(sides);
        let (mut upstream, local) = (sides.connections.upstream(port), &mut sides.local);
        let verdict = upstream.read_head(slice, output, &side, local);
        self.take_head(port, verdict, slice, output, sides)
    }

    /// What the head of a response is judged by.
    #[inline(always)]
    pub(super) fn response_side<E: Engine>(&self, sides: &mut Sides<E>) -> ResponseSide<'_> {
        let (client, local) = self.client_in(sides);
        ResponseSide {
            listener: client.listener(),
            version: self.facts.version,
            is_head: self.facts.is_head,
            is_connect: self.facts.is_connect,
            upgrade: self.facts.upgrade.as_deref(),
            keep_alive: self.request.body.has_ended() && client.may_keep_alive(local),
        }
    }

    /// Does what follows from a head that `slice` begins with.
    #[inline(always)]
    pub(super) fn take_head<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        verdict: Verdict<ResponseOutcome>,
        slice: Slice,
        output: BufferId,
        sides: &mut Sides<E>,
    ) -> Option<Slice> {
        let rest = |length: usize| Slice { start: slice.start + length as u32, ..slice };
        let outcome = match verdict {
            Verdict::Complete(outcome) => outcome,
            Verdict::Incomplete => {
                sides.local.wire.engine.release(output);
                self.note_progress(sides);
                return None;
            }
            Verdict::Refused(refusal) => ResponseOutcome::Unexpected(refusal.text()),
        };
        let fault = match outcome {
            ResponseOutcome::Final(response) if self.is_of_idle_time(response.status, sides) => {
                sides.local.wire.engine.release(output);
                sides.local.wire.engine.release(slice.buffer);
                self.replay(port, sides);
                return None;
            }
            ResponseOutcome::Final(response) => {
                self.begin_response(port, response, slice, output, sides);
                return None;
            }
            ResponseOutcome::Interim { head_length, written } if self.interims < INTERIMS_MAX => {
                self.interims += 1;
                self.put_head(output, written, sides);
                return self.go_on_behind(rest(head_length), sides);
            }
            ResponseOutcome::Switch { head_length, written, status } => {
                self.put_head(output, written, sides);
                self.switch(port, status, rest(head_length), sides);
                return None;
            }
            ResponseOutcome::Interim { .. } => "there are too many interim answers",
            ResponseOutcome::Unexpected(text) => text,
        };
        sides.local.wire.engine.release(output);
        sides.local.wire.engine.release(slice.buffer);
        self.refuse_answer(fault, sides);
        None
    }

    /// Returns the bytes behind an interim head, if there are any.
    fn go_on_behind<E: Engine>(&mut self, rest: Slice, sides: &mut Sides<E>) -> Option<Slice> {
        if !rest.is_empty() {
            return Some(rest);
        }
        sides.local.wire.engine.release(rest.buffer);
        self.note_progress(sides);
        None
    }

    /// True for a 408 that is for the idle connection and not for the request: the backend timed
    /// out just when the request was sent, which may be repeated then (RFC 9110 §15.5.9).
    fn is_of_idle_time<E: Engine>(&self, status: u16, sides: &mut Sides<E>) -> bool {
        if status != 408 || self.interims > 0 {
            return false;
        }
        let now = sides.local.now();
        let is_reused = self.upstream_in(sides).is_some_and(|(one, _)| one.is_reused());
        is_reused && self.is_replayable() && self.attempts.may_go_on(now)
    }

    /// Queues a head that was written to `output`; nothing if its length is 0.
    fn put_head<E: Engine>(&mut self, output: BufferId, written: usize, sides: &mut Sides<E>) {
        let (mut client, local) = self.client_in(sides);
        if written == 0 {
            return local.wire.engine.release(output);
        }
        client.put(Slice { buffer: output, start: 0, end: written as u32 }, local);
    }

    /// Forwards the final head to the client with the part of the body that has been received, if
    /// that is valid. No byte of a response has been forwarded before.
    fn begin_response<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        response: Response,
        slice: Slice,
        output: BufferId,
        sides: &mut Sides<E>,
    ) {
        let (mut upstream, local) = (sides.connections.upstream(port), &mut sides.local);
        let rest = Slice { start: slice.start + response.head_length as u32, ..slice };
        let mut body = response.body;
        upstream.reusable(response.idle_max);
        let BodyPart { part, trailers } = match upstream.read_body(&mut body, rest, local) {
            Ok(part) => part,
            Err(refusal) => {
                local.wire.engine.release(output);
                local.wire.engine.release(rest.buffer);
                return self.refuse_answer(refusal.text(), sides);
            }
        };
        self.phase = Phase::RelayingBody;
        self.status = response.status;
        self.response = Flow { body, bytes: part.len() as u64 };
        self.retained.drop_head(&mut local.wire);
        local.reports.count_status(response.status);
        self.backend_answered(response.status, sides);
        let head = Slice { buffer: output, start: 0, end: response.written as u32 };
        let (mut client, local) = self.client_in(sides);
        client.keep_alive(response.keep_alive);
        let (head, part) = join_head(head, part, local);
        client.put(head, local);
        trailers.into_iter().for_each(|trailers| client.put_trailers(trailers));
        if part.is_some_and(|part| !client.put_body(part, local)) {
            self.cut(CloseReason::OutOfBuffers, sides);
        }
    }

    /// Forwards bytes of a response's body.
    pub(super) fn forward_response_body<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        slice: Slice,
        sides: &mut Sides<E>,
    ) {
        let (mut upstream, local) = (sides.connections.upstream(port), &mut sides.local);
        let body = &mut self.response.body;
        let BodyPart { part, trailers } = match upstream.read_body(body, slice, local) {
            Ok(part) => part,
            Err(refusal) => {
                local.wire.engine.release(slice.buffer);
                return self.refuse_answer(refusal.text(), sides);
            }
        };
        self.response.bytes += part.len() as u64;
        let (mut client, local) = self.client_in(sides);
        trailers.into_iter().for_each(|trailers| client.put_trailers(trailers));
        if !client.put_body(part, local) {
            self.cut(CloseReason::OutOfBuffers, sides);
        }
    }

    /// After bytes of a response were queued to the client: ends the exchange, or pauses the
    /// backend if the client is slow.
    #[inline(always)]
    pub(super) fn after_response_bytes<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        sides: &mut Sides<E>,
    ) {
        if self.response.body.has_ended() {
            return self.response_complete(sides);
        }
        let (mut client, local) = (self.client_among(&mut sides.clients), &mut sides.local);
        if client.is_congested(local) {
            sides.connections.upstream(port).pause(local);
        }
        client.set_deadline(self.patience(local), local);
    }

    /// All of the response is queued.
    fn response_complete<E: Engine>(&mut self, sides: &mut Sides<E>) {
        match self.phase {
            Phase::Tunnelling => self.shorten_patience(sides),
            _ => self.phase = Phase::Done,
        }
        let has_request = self.request.body.has_ended();
        // A client that asked for the end of the connection sends nothing more. Another one may
        // send more, and an immediate close could cost it a long answer: its connection lingers
        // after that.
        let is_last =
            has_request && !self.facts.client_keeps && self.response.bytes <= FINISH_BYTES_MAX;
        self.end(sides);
        let (mut client, local) = self.client_in(sides);
        if client.keeps_alive() && has_request {
            client.next_request(local);
        } else if is_last {
            client.finish(CloseReason::KeepAliveEnded, local);
        } else {
            client.linger(CloseReason::KeepAliveEnded, local);
        }
    }

    /// The stream from its backend ended.
    pub fn backend_ended<E: Engine>(
        &mut self,
        fault: Option<ConnectionFault>,
        sides: &mut Sides<E>,
    ) {
        match self.phase {
            Phase::AwaitingHead => self.died_unanswered(fault, sides),
            Phase::Tunnelling if fault.is_none() && self.is_broken(sides) => {
                self.cut(CloseReason::BackendReset, sides);
            }
            Phase::RelayingBody | Phase::Tunnelling
                if fault.is_none() && matches!(self.response.body, Body::UntilClose) =>
            {
                self.response.body = Body::ENDED;
                self.response_complete(sides);
            }
            Phase::RelayingBody | Phase::Tunnelling => {
                let is_ours = fault.is_some_and(ConnectionFault::is_of_own_shortage);
                let reason =
                    if is_ours { CloseReason::OutOfBuffers } else { CloseReason::BackendTruncated };
                self.cut(reason, sides);
            }
            Phase::Done | Phase::Switched { .. } => {}
        }
    }

    /// Bytes were sent to the client: more of the response is received.
    pub fn client_sent<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let (client, local) = self.client_in(sides);
        if client.has_room(local)
            && let Some((mut upstream, local)) = self.upstream_in(sides)
        {
            upstream.take_more(local);
        }
        self.note_progress(sides);
    }
}

/// Joins a head and the first bytes of its body: a few of them are copied behind the head, so that
/// one plain send covers both. Returns the body too if it is longer.
fn join_head<E: Engine>(head: Slice, body: Slice, local: &mut Local<E>) -> (Slice, Option<Slice>) {
    let at = head.end as usize;
    if body.len() > COPY_BYTES_MAX.min(local.wire.engine.buffer_size() - at) {
        return (head, Some(body));
    }
    let (from, to) = local.wire.engine.bytes_pair(body.buffer, head.buffer);
    let copied = &from[body.start as usize..body.end as usize];
    to[at..at + copied.len()].copy_from_slice(copied);
    local.wire.engine.release(body.buffer);
    (Slice { end: head.end + body.len() as u32, ..head }, None)
}
