//! The body of a request on its way to the backend, at the backend's pace.

use super::{Exchange, Phase};
use crate::client::{BodyFault, BodyPart, reason_of};
use crate::engine::{Engine, Slice};
use crate::head::Refusal;
use crate::message::BODY_TOO_LARGE;
use crate::sides::Sides;
use crate::stats::CloseReason;
use crate::table::{ConnectionId, Port};

impl Exchange {
    /// Takes bytes from the client: the request's body, or pipelined requests.
    pub fn request_bytes<E: Engine>(&mut self, slice: Slice, sides: &mut Sides<E>) {
        let (mut client, local) = self.client_in(sides);
        // Between two attempts no backend can receive the body.
        let (Some(port), false) = (self.port(), self.request.body.has_ended()) else {
            return client.keep_for_later(slice, local);
        };
        let Some(slice) = client.gather(slice, local) else { return self.note_progress(sides) };
        let BodyPart { part, length } = match client.read_body(&mut self.request.body, slice, local)
        {
            Ok(read) => read,
            Err(BodyFault::OutOfBuffers) => return self.cut(CloseReason::OutOfBuffers, sides),
            Err(BodyFault::Refused(refusal)) => return self.refuse_rest(refusal, sides),
        };
        self.request.bytes += length as u64;
        let max = local.current.settings().request_body_bytes_max.unwrap_or(u64::MAX);
        if self.request.bytes > max && self.phase != Phase::Tunnelling {
            local.wire.engine.release(slice.buffer);
            return self.fail_request(413, CloseReason::RequestRefused, BODY_TOO_LARGE, sides);
        }
        self.forward_request_body(port, part, sides);
        if self.phase == Phase::Tunnelling && self.request.body.has_ended() {
            self.end_request(sides);
        }
    }

    /// Ends the exchange: the rest of its request is malformed, or beyond a limit.
    pub fn refuse_rest<E: Engine>(&mut self, refusal: Refusal, sides: &mut Sides<E>) {
        tracing::debug!(refusal = refusal.text(), "request body refused");
        let (status, reason) = (refusal.status(), reason_of(refusal));
        self.fail_request(status, reason, refusal.text(), sides);
    }

    /// The client has ended its direction, and all that came before is taken.
    pub fn request_ended<E: Engine>(&mut self, sides: &mut Sides<E>) {
        match self.phase {
            Phase::Tunnelling => self.end_request(sides),
            _ => self.cut(CloseReason::ClientClosed, sides),
        }
    }

    /// True if the request's body continues and its backend keeps up.
    pub fn takes_body<E: Engine>(&self, sides: &mut Sides<E>) -> bool {
        if self.request.body.has_ended() {
            return false;
        }
        self.upstream_in(sides).is_some_and(|(upstream, local)| !upstream.is_congested(local))
    }

    /// Queues a part of the body to the backend.
    fn forward_request_body<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        part: Slice,
        sides: &mut Sides<E>,
    ) {
        let Some(part) = sides.local.wire.copy_out(part) else {
            return self.cut(CloseReason::OutOfBuffers, sides);
        };
        let (mut upstream, local) = (sides.connections.upstream(port), &mut sides.local);
        if part.is_empty() {
            local.wire.engine.release(part.buffer);
        } else {
            upstream.put(part, local);
        }
        let mut client = self.client_among(&mut sides.clients);
        if upstream.is_congested(local) && !self.request.body.has_ended() {
            client.pause(local);
        }
        if !upstream.is_connecting() {
            client.set_deadline(self.patience(local), local);
        }
    }

    /// Ends the exchange because of bytes that the client sent, or failed to send.
    pub(super) fn fail_request<E: Engine>(
        &mut self,
        status: u16,
        reason: CloseReason,
        text: &'static str,
        sides: &mut Sides<E>,
    ) {
        self.client_in(sides).0.keep_alive(false);
        self.note_refusal(text);
        self.fail(status, reason, sides);
    }

    /// The client has ended its direction. That cuts its request short, or is the end after it.
    pub fn client_half_closed<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let allows = sides.local.current.settings().allows_half_close;
        let (mut client, local) = self.client_in(sides);
        let has_more = client.has_waiting();
        if self.phase == Phase::Tunnelling {
            return if has_more { client.serve(local) } else { self.end_request(sides) };
        }
        if !has_more {
            client.keep_alive(false);
        }
        if !allows {
            self.abort(CloseReason::ClientClosed, sides);
        } else if !(self.request.body.has_ended() || has_more) {
            self.cut(CloseReason::ClientClosed, sides);
        }
    }

    /// Bytes were sent to the backend: more of the request is forwarded.
    #[inline(always)]
    pub fn backend_sent<E: Engine>(&mut self, sides: &mut Sides<E>) {
        self.shrink_head(&mut sides.local);
        if !self.request.body.has_ended() {
            self.serve_client(sides);
        }
        self.note_progress(sides);
    }

    /// Has the client go on with the request's body, if the backend has room for it.
    fn serve_client<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let upstream = self.upstream_in(sides);
        let has_room = upstream.is_some_and(|(upstream, local)| upstream.has_room(local));
        if has_room {
            let (client, local) = self.client_in(sides);
            client.serve(local);
        }
    }
}
