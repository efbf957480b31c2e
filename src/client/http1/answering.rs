//! Local answers, mostly errors.

use super::super::Client;
use crate::access_log::Record;
use crate::engine::{Engine, Room, Slice};
use crate::http1::{Answer, ConnectionField, default_body, write_answer};
use crate::local::{How, Local, Signal};
use crate::mailbox::Stage;
use crate::message::{Content, Denial, Draft, LocalAnswer};
use crate::stats::CloseReason;

impl Client {
    /// Answers a request that goes to no backend. The connection is kept if the complete request
    /// has been received.
    pub(super) fn answer_request<E: Engine>(&mut self, answer: LocalAnswer, local: &mut Local<E>) {
        let keep_alive = answer.keep_alive && !self.is_ending(local);
        let connection = ConnectionField::of(keep_alive, answer.version);
        let LocalAnswer { denial, is_head, .. } = answer;
        let reason = denial.reason;
        let Some(bytes) = self.put_denial(&denial, connection, is_head, local) else {
            return self.cut_denied(denial, local);
        };
        self.record_denial(denial, None, bytes, local);
        if keep_alive {
            self.await_next_request(local);
        } else {
            self.linger(reason, local);
        }
    }

    /// Answers whatever the client is sending, then closes the connection.
    pub(super) fn answer_and_close<E: Engine>(&mut self, denial: Denial, local: &mut Local<E>) {
        let (connection, reason) = (ConnectionField::Close, denial.reason);
        let Some(bytes) = self.put_denial(&denial, connection, false, local) else {
            return self.cut_denied(denial, local);
        };
        self.record_denial(denial, None, bytes, local);
        self.linger(reason, local);
    }

    /// Queues a complete answer; returns the length of its body, or none if no buffer is left.
    pub fn put_answer<E: Engine>(
        &mut self,
        status: u16,
        connection: ConnectionField,
        is_head: bool,
        local: &mut Local<E>,
    ) -> Option<u64> {
        let content = &Content::Refusal;
        let (answer, bytes) = self.write_answer(status, content, connection, is_head, local)?;
        self.put(answer, local);
        Some(bytes)
    }

    /// Queues the answer to a request that goes to no backend; see [`Client::put_answer`].
    fn put_denial<E: Engine>(
        &mut self,
        denial: &Denial,
        connection: ConnectionField,
        is_head: bool,
        local: &mut Local<E>,
    ) -> Option<u64> {
        let (status, content) = (denial.status, &denial.content);
        let (answer, bytes) = self.write_answer(status, content, connection, is_head, local)?;
        self.put(answer, local);
        Some(bytes)
    }

    /// Writes a complete answer; returns it, and the length of its body, or none if no buffer is
    /// left.
    pub(in crate::client) fn write_answer<E: Engine>(
        &self,
        status: u16,
        content: &Content,
        connection: ConnectionField,
        is_head: bool,
        local: &mut Local<E>,
    ) -> Option<(Slice, u64)> {
        let buffer = local.wire.engine.acquire(Room::Whole)?;
        let configured = &local.current.settings().error_answers;
        let configured = configured.iter().find(|answer| answer.status == status);
        let (content_type, body) = match (content, configured) {
            (Content::Body(body), _) => ("application/octet-stream", &**body),
            (_, Some(answer)) => (answer.content_type.as_str(), answer.body.bytes()),
            (_, None) => ("text/plain", default_body(status)),
        };
        let location = match content {
            Content::Redirect(location) => Some(&**location),
            Content::Refusal | Content::Body(_) => None,
        };
        let seconds = local.wire.engine.wall_seconds();
        let hsts = local.current.listener(self.listener).and_then(|one| one.hsts.as_deref());
        let answer =
            Answer { status, seconds, content_type, body, location, hsts, connection, is_head };
        let output = local.wire.engine.bytes_mut(buffer);
        let length = body.len() as u64;
        let written = write_answer(&answer, output).expect("bodies and targets are bounded");
        local.reports.count_status(status);
        let slice = Slice { buffer, start: 0, end: written as u32 };
        Some((slice, if is_head { 0 } else { length }))
    }

    /// True if the connection ends with its present exchange because the process or its listener
    /// ends.
    pub fn is_ending<E: Engine>(&self, local: &Local<E>) -> bool {
        local.current.stage != Stage::Serving || self.is_leaving
    }

    /// Ends the connection because no buffer is left. A request without an exchange leaves a record
    /// all the same.
    pub(super) fn cut_out_of_buffers<E: Engine>(
        &mut self,
        draft: Option<Box<Draft>>,
        local: &mut Local<E>,
    ) {
        let (status, reason) = (0, CloseReason::OutOfBuffers);
        let text = "no buffer was left for the request";
        match self.exchange() {
            Some(_) => local.work.push(Signal::End(self.id(), How::Cut, reason)),
            None => self.cut_denied(Denial::refusal(status, reason, text, draft), local),
        }
    }

    /// Ends the connection because no buffer is left for a local answer.
    pub(super) fn cut_denied<E: Engine>(&mut self, denial: Denial, local: &mut Local<E>) {
        let reason = CloseReason::OutOfBuffers;
        self.record_denial(Denial { status: 0, reason, ..denial }, None, 0, local);
        self.linger(reason, local);
    }

    /// Records a request that was answered locally.
    pub(in crate::client) fn record_denial<E: Engine>(
        &self,
        denial: Denial,
        stream: Option<u32>,
        response_bytes: u64,
        local: &Local<E>,
    ) {
        if !local.reports.has_access_log() {
            return;
        }
        let Denial { status, reason, text, draft, content } = denial;
        let is_refused = matches!(content, Content::Refusal);
        let draft = draft.map(|draft| *draft).unwrap_or_default();
        let listener = local.current.listener_words(self.listener);
        local.reports.record(Record {
            status,
            response_bytes,
            tls: self.logged_tls(),
            stream,
            failure: is_refused.then(|| reason.label()),
            refusal: is_refused.then_some(text),
            ..draft.record(listener, self.address)
        });
    }
}
