//! The record of an exchange: counts, and a line in the access log if there is one.

use super::Traffic;
use super::draft::Draft;
use super::exchange::Exchange;
use crate::access_log::Record;
use crate::engine::{Engine, Failure, Slice};
use crate::http1::Version;
use crate::stats::{CloseReason, Counter};
use crate::table::ClientId;

/// A local answer to a request that goes to no backend.
pub(super) struct Denial {
    pub(super) status: u16,
    pub(super) reason: CloseReason,
    /// For operators.
    pub(super) text: &'static str,
    /// From the received part of the request's head, if there is an access log.
    pub(super) draft: Option<Box<Draft>>,
}

impl<E: Engine> Traffic<E> {
    pub(super) fn count_status(&self, status: u16) {
        self.count(match status {
            100..=199 => Counter::Responses1xx,
            200..=299 => Counter::Responses2xx,
            300..=399 => Counter::Responses3xx,
            400..=499 => Counter::Responses4xx,
            _ => Counter::Responses5xx,
        });
    }

    pub(super) fn count_if_starved(&self, failure: Option<Failure>) {
        if failure == Some(Failure::NoBuffers) {
            self.count(Counter::ReceiveRingEmpty);
        }
    }

    /// Records an exchange that has ended.
    pub(super) fn record(&mut self, index: ClientId, exchange: &mut Exchange) {
        if self.access_log.is_none() {
            return;
        }
        let backend = exchange.backend.and_then(|slot| self.replicas.address(slot));
        let duration = self.now().since(exchange.began);
        let draft = exchange.draft.take().map(|draft| *draft).unwrap_or_default();
        let client = self.sessions.at(index).client;
        self.leave(Record {
            client,
            method: draft.method,
            host: draft.host,
            target: draft.target,
            version: draft.version.map(Version::name),
            referer: draft.referer,
            user_agent: draft.user_agent,
            status: exchange.status,
            request_bytes: exchange.request_bytes,
            response_bytes: exchange.response_bytes,
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            pool: self.replicas.pool(exchange.pool).map(|pool| pool.name.clone()),
            backend,
            retries: exchange.retries,
            failure: exchange.failure.map(|reason| reason.label()),
            refusal: exchange.refusal,
        });
    }

    /// Records a request that was answered locally.
    pub(super) fn record_denial(&mut self, index: ClientId, denial: Denial, response_bytes: u64) {
        if self.access_log.is_none() {
            return;
        }
        let Denial { status, reason, text, draft } = denial;
        let draft = draft.map(|draft| *draft).unwrap_or_default();
        let client = self.sessions.at(index).client;
        self.leave(Record {
            client,
            method: draft.method,
            host: draft.host,
            target: draft.target,
            version: draft.version.map(Version::name),
            referer: draft.referer,
            user_agent: draft.user_agent,
            status,
            request_bytes: 0,
            response_bytes,
            duration_us: 0,
            pool: None,
            backend: None,
            retries: 0,
            failure: Some(reason.label()),
            refusal: Some(text),
        });
    }

    /// Aborts a session because no buffer is left. A request without an exchange leaves a record
    /// all the same.
    pub(super) fn cut_out_of_buffers(&mut self, index: ClientId, draft: Option<Box<Draft>>) {
        let (status, reason) = (0, CloseReason::OutOfBuffers);
        let text = "no buffer was left for the request";
        match self.sessions.at(index).exchange() {
            Some(_) => self.cut_session(index, reason),
            None => self.cut_denied(index, Denial { status, reason, text, draft }),
        }
    }

    /// Aborts a session because no buffer is left for a local answer.
    pub(super) fn cut_denied(&mut self, index: ClientId, denial: Denial) {
        let reason = CloseReason::OutOfBuffers;
        self.record_denial(index, Denial { status: 0, reason, ..denial }, 0);
        self.cut_session(index, reason);
    }

    /// The access log's draft of a head, or of a part of one; none without an access log.
    pub(super) fn draft_of(&self, head: Slice) -> Option<Box<Draft>> {
        self.access_log.as_ref().map(|_| Box::new(Draft::of_part(self.wire.bytes(head))))
    }

    /// The same of the part that was set aside; none if there is none.
    pub(super) fn draft_of_partial(&mut self, index: ClientId) -> Option<Box<Draft>> {
        let part = self.sessions.at(index).partial.as_deref();
        let part = part.filter(|_| self.access_log.is_some());
        part.map(|part| Box::new(Draft::of_part(part)))
    }

    fn leave(&self, record: Record) {
        if self.access_log.as_ref().is_some_and(|log| !log.push(record)) {
            self.count(Counter::AccessLogDropped);
        }
    }
}
