//! Local answers, mostly errors.

use super::Traffic;
use super::exchange::Phase;
use super::recording::Denial;
use super::translating::Local;
use crate::engine::{Engine, Room, Slice};
use crate::http1::{Answer, ConnectionField, write_answer};
use crate::mailbox::Stage;
use crate::stats::CloseReason;
use crate::table::ClientId;

impl<E: Engine> Traffic<E> {
    /// Answers a request that goes to no backend. The connection is kept if the complete request
    /// has been received.
    pub(super) fn answer_request(&mut self, index: ClientId, local: Local) {
        let keep_alive = local.keep_alive && !self.is_ending(index);
        let connection = ConnectionField::of(keep_alive, local.version);
        let Local { denial, is_head, .. } = local;
        let reason = denial.reason;
        let Some(bytes) = self.queue_answer(index, denial.status, connection, is_head) else {
            return self.cut_denied(index, denial);
        };
        self.record_denial(index, denial, bytes);
        if keep_alive {
            self.await_next_request(index);
        } else {
            self.linger(index, reason);
        }
    }

    /// Answers whatever the client is sending, then closes the connection.
    pub(super) fn answer_and_close(&mut self, index: ClientId, denial: Denial) {
        let (connection, reason) = (ConnectionField::Close, denial.reason);
        let Some(bytes) = self.queue_answer(index, denial.status, connection, false) else {
            return self.cut_denied(index, denial);
        };
        self.record_denial(index, denial, bytes);
        self.linger(index, reason);
    }

    /// Ends an exchange without a response from a backend: answers if no byte of a response has
    /// been forwarded, else aborts the connection, so that the client does not take a partial
    /// response for a complete one.
    pub(super) fn fail_exchange(&mut self, index: ClientId, status: u16, reason: CloseReason) {
        let Some(id) = self.sessions.at(index).exchange() else { return };
        let exchange = &mut self.exchanges[id];
        exchange.failure = Some(reason);
        if exchange.phase != Phase::AwaitingHead {
            return self.cut_session(index, reason);
        }
        let (is_head, version) = (exchange.is_head, exchange.version);
        let request_ended = exchange.request_body.has_ended();
        let keep_alive =
            self.sessions.at(index).keep_alive && request_ended && !self.is_ending(index);
        let connection = ConnectionField::of(keep_alive, version);
        let Some(bytes) = self.queue_answer(index, status, connection, is_head) else {
            return self.cut_session(index, CloseReason::OutOfBuffers);
        };
        let exchange = &mut self.exchanges[id];
        exchange.status = status;
        exchange.response_bytes = bytes;
        self.end_exchange(index);
        if keep_alive {
            self.await_next_request(index);
            self.serve_inbox(index);
        } else {
            self.linger(index, reason);
        }
    }

    /// Queues a complete answer; returns the length of its body, or none if no buffer is left.
    fn queue_answer(
        &mut self,
        index: ClientId,
        status: u16,
        connection: ConnectionField,
        is_head: bool,
    ) -> Option<u64> {
        let buffer = self.wire.engine.acquire(Room::Whole)?;
        let configured = &self.snapshot.settings.error_answers;
        let configured = configured.iter().find(|answer| answer.status == status);
        let (content_type, body) = match configured {
            Some(answer) => (answer.content_type.as_str(), answer.body.bytes()),
            None => ("text/plain", crate::http1::default_body(status)),
        };
        let seconds = self.wire.engine.wall_seconds();
        let answer = Answer { status, seconds, content_type, body, connection, is_head };
        let output = self.wire.engine.bytes_mut(buffer);
        let length = body.len() as u64;
        let written = write_answer(&answer, output).expect("bodies are bounded by configuration");
        let slice = Slice { buffer, start: 0, end: written as u32 };
        self.wire.send(&mut self.sessions.at(index).link, slice);
        self.count_status(status);
        Some(if is_head { 0 } else { length })
    }

    /// Makes the connection ready for its next request.
    pub(super) fn await_next_request(&mut self, index: ClientId) {
        let session = self.sessions.at(index);
        session.await_head();
        session.requests += 1;
        if session.link.peer_ended && session.inbox.is_empty() {
            return self.linger(index, CloseReason::ClientClosed);
        }
        self.begin_idle(index);
    }

    /// True if a connection ends with its present exchange because the process or its listener
    /// ends.
    pub(super) fn is_ending(&mut self, index: ClientId) -> bool {
        self.stage != Stage::Serving || self.sessions.at(index).is_leaving
    }
}
