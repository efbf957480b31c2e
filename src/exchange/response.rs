//! The response on its way to the client: its head, interim or final, and what follows from it: a
//! tunnel or a body, and whether the client's connection is kept.

use super::attempts::COPY_BYTES_MAX;
use super::{Exchange, Phase, Sides};
use crate::engine::{BufferId, Engine, Failure, Room, Slice};
use crate::limits::INTERIMS_MAX;
use crate::link::Gathered;
use crate::local::{Local, Signal};
use crate::message::{self, Body, Passed, Response, ResponseOutcome, ResponseSide};
use crate::stats::CloseReason;
use crate::table::ConnectionId;

/// Longest last answer after which a connection is closed without waiting for the client.
const FINISH_BYTES_MAX: u64 = 64 * 1024;

impl Exchange {
    /// Takes bytes from its backend, in any phase of the response.
    pub fn response_bytes<E: Engine>(&mut self, slice: Slice, sides: &mut Sides<E>) {
        let Some((connection, local)) = self.connection_in(sides) else {
            return sides.local.wire.engine.release(slice.buffer);
        };
        if !connection.is_flushed() && self.is_untouched(connection, &local.wire) {
            return self.refuse_early_answer(connection.id(), slice, sides);
        }
        match self.phase {
            Phase::AwaitingHead => self.read_response(slice, sides),
            Phase::RelayingBody => self.pass_response_body(slice, sides),
            Phase::Done => {
                self.is_reusable = false;
                sides.local.wire.engine.release(slice.buffer);
            }
            Phase::Switched => self.hold_for_tunnel(slice, sides),
        }
    }

    /// The bytes arrived before the request was sent, so they are no answer to it.
    fn refuse_early_answer<E: Engine>(
        &mut self,
        id: ConnectionId,
        slice: Slice,
        sides: &mut Sides<E>,
    ) {
        sides.local.wire.engine.release(slice.buffer);
        match self.may_try_again(sides.local.now()) {
            true => self.replay(id, sides),
            false => self.refuse_answer("it came before the request was sent", sides),
        }
    }

    /// Reads bytes in which a response begins or continues.
    fn read_response<E: Engine>(&mut self, slice: Slice, sides: &mut Sides<E>) {
        self.has_response_bytes = true;
        let Some((connection, local)) = self.connection_in(sides) else { return };
        let id = connection.id();
        let Some(Gathered { whole, left }) = local.wire.gather(&mut connection.partial, slice)
        else {
            return self.cut(CloseReason::OutOfBuffers, sides);
        };
        let mut next = Some(whole);
        while let Some(input) = next {
            next = self.read_head(input, sides);
        }
        if let Some(left) = left {
            self.take_left(id, left, sides);
        }
        if self.phase == Phase::RelayingBody && !self.is_over() {
            self.after_response_bytes(sides);
        }
    }

    /// Takes the bytes of a read that did not fit one buffer with the part before them.
    fn take_left<E: Engine>(&mut self, id: ConnectionId, left: Slice, sides: &mut Sides<E>) {
        match self.phase {
            // The first bytes have ended the attempt, and these with it.
            _ if self.connection() != Some(id) => sides.local.wire.engine.release(left.buffer),
            Phase::AwaitingHead => self.read_response(left, sides),
            Phase::RelayingBody if self.response.body.has_ended() => {
                self.is_reusable = false;
                sides.local.wire.engine.release(left.buffer);
            }
            Phase::RelayingBody => _ = self.put_response_body(left, sides),
            Phase::Switched => self.hold_for_tunnel(left, sides),
            Phase::Done => sides.local.wire.engine.release(left.buffer),
        }
    }

    /// Reads one head; returns the bytes behind it if another head follows.
    fn read_head<E: Engine>(&mut self, slice: Slice, sides: &mut Sides<E>) -> Option<Slice> {
        let (client, local) = self.client_in(sides);
        let Some(output) = local.wire.engine.acquire(Room::Whole) else {
            local.wire.engine.release(slice.buffer);
            self.cut(CloseReason::OutOfBuffers, sides);
            return None;
        };
        let keep_alive = self.request.body.has_ended() && client.may_keep_alive(local);
        let side = ResponseSide {
            snapshot: local.current.snapshot(),
            version: self.facts.version,
            is_head: self.facts.is_head,
            is_connect: self.facts.is_connect,
            upgrade: self.facts.upgrade.as_deref(),
            keep_alive,
        };
        let (from, to) = local.wire.engine.bytes_pair(slice.buffer, output);
        let input = &from[slice.start as usize..slice.end as usize];
        let outcome = message::response(input, to, &side);
        self.take_head(outcome, slice, output, sides)
    }

    fn take_head<E: Engine>(
        &mut self,
        outcome: ResponseOutcome,
        slice: Slice,
        output: BufferId,
        sides: &mut Sides<E>,
    ) -> Option<Slice> {
        let rest = |length: usize| Slice { start: slice.start + length as u32, ..slice };
        let fault = match outcome {
            ResponseOutcome::Final(response) if self.is_of_idle_time(response.status, sides) => {
                sides.local.wire.engine.release(output);
                sides.local.wire.engine.release(slice.buffer);
                self.replay(self.connection()?, sides);
                return None;
            }
            ResponseOutcome::Final(response) => {
                self.begin_response(response, slice, output, sides);
                return None;
            }
            ResponseOutcome::Interim { head_length, written } if self.interims < INTERIMS_MAX => {
                self.interims += 1;
                self.put_head(output, written, sides);
                return self.go_on_behind(rest(head_length), sides);
            }
            ResponseOutcome::Switch { head_length, written, status } => {
                self.put_head(output, written, sides);
                self.switch(status, rest(head_length), sides);
                return None;
            }
            ResponseOutcome::Incomplete => {
                sides.local.wire.engine.release(output);
                let (connection, local) = self.connection_in(sides)?;
                local.wire.set_aside(&mut connection.partial, slice);
                self.note_progress(sides);
                return None;
            }
            ResponseOutcome::Interim { .. } => "there are too many interim answers",
            ResponseOutcome::Refused(refusal) => refusal.text(),
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
        let is_reused = self.connection_in(sides).is_some_and(|(one, _)| one.is_reused);
        is_reused && self.is_replayable() && self.may_try_again(now)
    }

    /// Queues a head that was written to `output`; nothing if its length is 0.
    fn put_head<E: Engine>(&mut self, output: BufferId, written: usize, sides: &mut Sides<E>) {
        let (client, local) = self.client_in(sides);
        if written == 0 {
            return local.wire.engine.release(output);
        }
        client.put(Slice { buffer: output, start: 0, end: written as u32 }, local);
    }

    /// Forwards the final head to the client with the part of the body that has been received, if
    /// that is valid. No byte of a response has been forwarded before.
    fn begin_response<E: Engine>(
        &mut self,
        response: Response,
        slice: Slice,
        output: BufferId,
        sides: &mut Sides<E>,
    ) {
        let rest = Slice { start: slice.start + response.head_length as u32, ..slice };
        let mut body = response.body;
        let passed = match body.pass(sides.local.wire.bytes_mut(rest)) {
            Ok(passed) => passed,
            Err(refusal) => {
                sides.local.wire.engine.release(output);
                sides.local.wire.engine.release(rest.buffer);
                return self.refuse_answer(refusal.text(), sides);
            }
        };
        self.phase = Phase::RelayingBody;
        self.status = response.status;
        self.response.body = body;
        self.is_reusable = response.idle_max.is_some();
        self.note_passed(passed, rest, sides);
        if let (Some((connection, _)), Some(max)) = (self.connection_in(sides), response.idle_max) {
            connection.idle_max = max;
        }
        self.retained.drop_head(&mut sides.local.wire);
        sides.local.reports.count_status(response.status);
        self.backend_answered(response.status, sides);
        let head = Slice { buffer: output, start: 0, end: response.written as u32 };
        let body = Slice { end: rest.start + passed.kept as u32, ..rest };
        let (client, local) = self.client_in(sides);
        client.keep_alive = response.keep_alive;
        match join_head(head, body, local) {
            (head, None) => client.put(head, local),
            (head, Some(body)) => {
                client.put(head, local);
                if !client.put_body(body, local) {
                    self.cut(CloseReason::OutOfBuffers, sides);
                }
            }
        }
    }

    /// Forwards bytes of a response's body.
    fn pass_response_body<E: Engine>(&mut self, slice: Slice, sides: &mut Sides<E>) {
        let Some((connection, local)) = self.connection_in(sides) else { return };
        let Some(gathered) = local.wire.gather(&mut connection.partial, slice) else {
            return self.cut(CloseReason::OutOfBuffers, sides);
        };
        if let Some(left) = gathered.left {
            // A trailer section is shorter than a buffer, so these bytes are behind its end.
            self.is_reusable = false;
            local.wire.engine.release(left.buffer);
        }
        if self.put_response_body(gathered.whole, sides) {
            self.after_response_bytes(sides);
        }
    }

    /// Queues the bytes of a range that belong to the body. False if the exchange has ended.
    fn put_response_body<E: Engine>(&mut self, slice: Slice, sides: &mut Sides<E>) -> bool {
        let passed = match self.response.body.pass(sides.local.wire.bytes_mut(slice)) {
            Ok(passed) => passed,
            Err(refusal) => {
                sides.local.wire.engine.release(slice.buffer);
                self.refuse_answer(refusal.text(), sides);
                return false;
            }
        };
        self.note_passed(passed, slice, sides);
        let body = Slice { end: slice.start + passed.kept as u32, ..slice };
        let (client, local) = self.client_in(sides);
        let is_queued = client.put_body(body, local);
        if !is_queued {
            self.cut(CloseReason::OutOfBuffers, sides);
        }
        is_queued
    }

    /// Records the progress of the response's body after the bytes of a range.
    fn note_passed<E: Engine>(&mut self, passed: Passed, slice: Slice, sides: &mut Sides<E>) {
        self.response.bytes += passed.kept as u64;
        let rest = Slice { start: slice.start + passed.consumed as u32, ..slice };
        if rest.is_empty() {
            return;
        }
        if self.response.body.has_ended() {
            // The message was complete, but the connection cannot be trusted.
            self.is_reusable = false;
        } else if let Some((connection, local)) = self.connection_in(sides) {
            connection.partial = Some(local.wire.bytes(rest).into());
        }
    }

    /// After bytes of a response were queued to the client: ends the exchange, or pauses the
    /// backend if the client is slow.
    fn after_response_bytes<E: Engine>(&mut self, sides: &mut Sides<E>) {
        if self.response.body.has_ended() {
            return self.response_complete(sides);
        }
        let Some(id) = self.connection() else { return };
        let (client, local) = (sides.clients.at(self.client()), &mut sides.local);
        if client.is_congested(local) {
            sides.connections.at(id).pause(local);
        }
        client.set_deadline(local.current.timeouts().between_bytes, local);
    }

    /// All of the response is queued.
    fn response_complete<E: Engine>(&mut self, sides: &mut Sides<E>) {
        self.phase = Phase::Done;
        let has_request = self.request.body.has_ended();
        // A client that asked for the end of the connection sends nothing more. Another one may
        // send more, and an immediate close could cost it a long answer: its connection lingers
        // after that.
        let is_last =
            has_request && !self.facts.client_keeps && self.response.bytes <= FINISH_BYTES_MAX;
        self.end(sides);
        let (client, local) = self.client_in(sides);
        if client.keep_alive && has_request {
            client.next_request(local);
        } else if is_last {
            client.finish(CloseReason::KeepAliveEnded, local);
        } else {
            client.linger(CloseReason::KeepAliveEnded, local);
        }
    }

    /// The stream from its backend ended.
    pub fn backend_ended<E: Engine>(&mut self, failure: Option<Failure>, sides: &mut Sides<E>) {
        self.is_reusable = false;
        match self.phase {
            Phase::AwaitingHead => self.died_unanswered(sides),
            Phase::RelayingBody
                if failure.is_none() && matches!(self.response.body, Body::UntilClose) =>
            {
                self.response.body = Body::ENDED;
                self.response_complete(sides);
            }
            Phase::RelayingBody => self.cut(CloseReason::BackendTruncated, sides),
            Phase::Done | Phase::Switched => {}
        }
    }

    /// Bytes were sent to the client: more of the response is received.
    pub fn client_sent<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let (client, local) = self.client_in(sides);
        if client.has_room(local)
            && let Some((connection, local)) = self.connection_in(sides)
        {
            connection.take_more(local);
        }
        self.note_progress(sides);
    }

    // --- from a response to a tunnel ---

    /// The response opens a tunnel; `rest` is the backend's bytes behind its head. The client's
    /// bytes behind its request have waited until now.
    fn switch<E: Engine>(&mut self, status: u16, rest: Slice, sides: &mut Sides<E>) {
        self.phase = Phase::Switched;
        self.status = status;
        self.is_reusable = false;
        self.retained.drop_head(&mut sides.local.wire);
        sides.local.reports.count_status(status);
        self.backend_answered(status, sides);
        sides.local.work.push(Signal::Switched(self.id));
        if rest.is_empty() {
            sides.local.wire.engine.release(rest.buffer);
        } else {
            self.hold_for_tunnel(rest, sides);
        }
    }

    /// Keeps the backend's bytes until the tunnel takes them.
    fn hold_for_tunnel<E: Engine>(&mut self, slice: Slice, sides: &mut Sides<E>) {
        let Some((connection, local)) = self.connection_in(sides) else { return };
        match local.wire.copy_out(slice) {
            Some(slice) => local.wire.push_back(&mut connection.inbox, slice),
            None => self.cut(CloseReason::OutOfBuffers, sides),
        }
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
