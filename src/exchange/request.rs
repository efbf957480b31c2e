//! The body of a request on its way to the backend, at the backend's pace.

use super::{Exchange, Phase, Sides};
use crate::client::reason_of;
use crate::engine::{Engine, Slice};
use crate::local::Signal;
use crate::message::{BODY_TOO_LARGE, Passed};
use crate::stats::CloseReason;
use crate::table::ConnectionId;

impl Exchange {
    /// Takes bytes from the client: the request's body, or pipelined requests.
    pub fn request_bytes<E: Engine>(&mut self, slice: Slice, sides: &mut Sides<E>) {
        if self.is_over() {
            return sides.local.wire.engine.release(slice.buffer);
        }
        let (client, local) = self.client_in(sides);
        // Between two attempts no backend can receive the body.
        let (Some(id), false) = (self.connection(), self.request.body.has_ended()) else {
            return client.keep_for_later(slice, local);
        };
        let Some(slice) = client.gather(slice, local) else { return };
        let passed = match self.request.body.pass(local.wire.bytes_mut(slice)) {
            Ok(passed) => passed,
            Err(refusal) => {
                tracing::debug!(refusal = refusal.text(), "request body refused");
                local.wire.engine.release(slice.buffer);
                let (status, reason) = (refusal.status(), reason_of(refusal));
                return self.fail_request(status, reason, refusal.text(), sides);
            }
        };
        self.request.bytes += passed.consumed as u64;
        let max = local.current.settings().request_body_bytes_max.unwrap_or(u64::MAX);
        if self.request.bytes > max {
            local.wire.engine.release(slice.buffer);
            return self.fail_request(413, CloseReason::RequestRefused, BODY_TOO_LARGE, sides);
        }
        self.forward_body(id, slice, passed, sides);
    }

    /// True if the request's body continues and its backend keeps up.
    pub fn takes_body<E: Engine>(&self, sides: &mut Sides<E>) -> bool {
        if self.request.body.has_ended() {
            return false;
        }
        self.connection_in(sides).is_some_and(|(connection, local)| !connection.is_congested(local))
    }

    /// Queues the first bytes of a range to the backend, and keeps the bytes that are left.
    fn forward_body<E: Engine>(
        &mut self,
        id: ConnectionId,
        slice: Slice,
        passed: Passed,
        sides: &mut Sides<E>,
    ) {
        let body = Slice { end: slice.start + passed.kept as u32, ..slice };
        let rest = Slice { start: slice.start + passed.consumed as u32, ..slice };
        if !rest.is_empty() && !self.keep_behind_body(rest, sides) {
            sides.local.wire.engine.release(slice.buffer);
            return self.cut(CloseReason::OutOfBuffers, sides);
        }
        let Some(body) = sides.local.wire.copy_out(body) else {
            return self.cut(CloseReason::OutOfBuffers, sides);
        };
        let (connection, local) = (sides.connections.at(id), &mut sides.local);
        if body.is_empty() {
            local.wire.engine.release(body.buffer);
        } else {
            connection.put(body, local);
        }
        let client = sides.clients.at(self.client());
        if connection.is_congested(local) {
            client.pause(local);
        }
        if !connection.is_connecting() {
            client.set_deadline(local.current.timeouts().between_bytes, local);
        }
    }

    /// Keeps a copy of the bytes behind the forwarded part of a body: the next request, or the
    /// beginning of a trailer section. False if no buffer is left.
    fn keep_behind_body<E: Engine>(&mut self, rest: Slice, sides: &mut Sides<E>) -> bool {
        let has_ended = self.request.body.has_ended();
        let (client, local) = self.client_in(sides);
        if !has_ended {
            client.partial = Some(local.wire.bytes(rest).into());
            return true;
        }
        let Some(rest) = local.wire.copy_of(rest) else { return false };
        client.keep_first(rest, local);
        true
    }

    /// Ends the exchange because of bytes that the client sent, or failed to send.
    pub(super) fn fail_request<E: Engine>(
        &mut self,
        status: u16,
        reason: CloseReason,
        text: &'static str,
        sides: &mut Sides<E>,
    ) {
        sides.clients.at(self.client()).keep_alive = false;
        self.refusal = Some(text);
        self.fail(status, reason, sides);
    }

    /// The client has ended its direction. That cuts its request short, or is the end after it.
    pub fn client_half_closed<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let allows = sides.local.current.settings().allows_half_close;
        let (client, _) = self.client_in(sides);
        let has_more = !client.inbox.is_empty();
        client.keep_alive &= has_more;
        if !allows {
            self.abort(CloseReason::ClientClosed, sides);
        } else if !(self.request.body.has_ended() || has_more) {
            self.cut(CloseReason::ClientClosed, sides);
        }
    }

    /// Bytes were sent to the backend: more of the request is forwarded.
    pub fn backend_sent<E: Engine>(&mut self, sides: &mut Sides<E>) {
        if self.phase == Phase::Switched {
            return;
        }
        self.shrink_head(&mut sides.local);
        if !self.request.body.has_ended() {
            self.take_more_of_request(sides);
        }
        self.note_progress(sides);
    }

    /// Has the client go on with the request's body, if the backend has room for it.
    fn take_more_of_request<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let has_room =
            self.connection_in(sides).is_some_and(|(connection, local)| connection.has_room(local));
        if has_room {
            let (client, local) = self.client_in(sides);
            local.work.push(Signal::Serve(client.id()));
        }
    }
}
