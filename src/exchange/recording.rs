//! The record of an exchange in the access log, if there is one.

use super::Exchange;
use crate::access_log::Record;
use crate::engine::Engine;
use crate::sides::Sides;

impl Exchange {
    /// Notes the fault of the request or the response, which is refused.
    pub(super) fn note_refusal(&mut self, text: &'static str) {
        if let Some(draft) = &mut self.draft {
            draft.refusal = Some(text);
        }
    }

    /// Records the exchange, which ends.
    pub(super) fn record<E: Engine>(&mut self, sides: &Sides<E>) {
        let reports = &sides.local.reports;
        if !reports.has_access_log() {
            return;
        }
        let backend = self.attempts.backend.and_then(|slot| sides.picks.address(slot));
        let draft = self.draft.take().map(|draft| *draft).unwrap_or_default();
        let client = &sides.clients[self.origin.connection];
        let listener = sides.local.current.listener_words(client.listener);
        reports.record(Record {
            status: self.status,
            request_bytes: self.request.bytes,
            response_bytes: self.response.bytes,
            duration_us: sides.local.now().micros_since(self.attempts.began),
            pool: sides.picks.pool(self.attempts.pool).map(|pool| pool.name.clone()),
            backend,
            retries: self.attempts.retries.into(),
            failure: self.failure.map(|reason| reason.label()),
            unique_id: client.unique_id().map(Into::into),
            tls: client.logged_tls(),
            stream: client.speaks_http2().then_some(self.origin.stream),
            ..draft.record(listener, client.address)
        });
    }
}
