//! The end of a relay of a listener: a reset stays a reset and an end an end, and what was received
//! before it is delivered first.

use super::{Backend, Relay, Source};
use crate::access_log::Record;
use crate::attempts::Attempts;
use crate::client::Client;
use crate::engine::{Close, Engine};
use crate::local::{How, Local};
use crate::mailbox::TrialCourse;
use crate::pick::Replicas;
use crate::sides::Sides;
use crate::stats::CloseReason;

impl Relay {
    /// Both sides have ended, and the backend has all that the client sent.
    pub fn end<E: Engine>(self, sides: &mut Sides<E>) {
        let client = self.client();
        let reason = CloseReason::TunnelEnded;
        self.release(reason, Close::Graceful, sides);
        sides.clients.at(client).linger(reason, &mut sides.local);
    }

    /// Ends it in the middle. A side whose peer has ended gets that end, the other one a reset.
    pub fn cut<E: Engine>(self, how: How, reason: CloseReason, sides: &mut Sides<E>) {
        let (client, ended) = (self.client(), self.ended);
        let close_of = |has_ended| if has_ended { Close::Graceful } else { Close::Reset };
        self.release(reason, close_of(ended.client), sides);
        let client = sides.clients.at(client);
        client.close = close_of(ended.backend);
        client.end(how, reason, &mut sides.local);
    }

    /// Returns what it holds, and records it. The backend gets all that was received for it before
    /// its connection closes.
    fn release<E: Engine>(mut self, reason: CloseReason, how: Close, sides: &mut Sides<E>) {
        let (clients, picks, local) = (&sides.clients, &mut sides.picks, &mut sides.local);
        let has_answered = self.from_backend > 0;
        let is_open = matches!(self.backend, Backend::Open(_));
        if let Source::Listener(attempts) = &mut self.source {
            observe(attempts, reason, is_open && !has_answered, picks, local);
        }
        self.record(reason, &clients[self.client()], picks, local);
        let id = match self.backend {
            Backend::Between => return,
            Backend::Connecting(port) | Backend::Open(port) => port.connection,
        };
        picks.end(sides.connections.at(id).slot);
        sides.connections.finish(id, how, local);
    }

    fn record<E: Engine>(
        &self,
        reason: CloseReason,
        client: &Client,
        picks: &Replicas,
        local: &Local<E>,
    ) {
        let Source::Listener(attempts) = &self.source else { return };
        if !local.reports.has_access_log() {
            return;
        }
        let duration = local.now().since(attempts.began);
        let listener = local.current.listener_words(attempts.listener);
        let name = self.asked.server_name.as_deref().unwrap_or_default();
        local.reports.record(Record {
            request_bytes: self.from_client,
            response_bytes: self.from_backend,
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            pool: picks.pool(attempts.pool).map(|pool| pool.name.clone()),
            backend: attempts.backend.and_then(|slot| picks.address(slot)),
            retries: attempts.retries.into(),
            unique_id: client.unique_id().map(Into::into),
            ..Record::unforwarded(listener, client.address, name, reason.label())
        });
    }
}

/// Reports what the end shows of the backend: one that breaks a connection before its first byte
/// has failed; later on a reset may be part of the protocol. `is_silent`: it was connected, and
/// sent nothing.
fn observe<E: Engine>(
    attempts: &mut Attempts,
    reason: CloseReason,
    is_silent: bool,
    picks: &mut Replicas,
    local: &Local<E>,
) {
    let is_unconnected = matches!(reason, CloseReason::NoBackend | CloseReason::BackendsFull);
    let is_of_tls = reason.is_of_backend_tls();
    if is_unconnected || (is_of_tls && !is_silent) {
        let mailbox = &local.reports.mailbox;
        mailbox.tables.pool(attempts.pool).unserved.add(1);
        local.reports.listener_cell(attempts.listener).refused.add(1);
    }
    let Some(slot) = attempts.backend else { return };
    if is_silent && (is_of_tls || reason == CloseReason::BackendReset) {
        attempts.report_fault(slot, attempts.broken(), picks, local);
    } else {
        attempts.end_half_open(slot, TrialCourse::Undecided, local);
    }
}
