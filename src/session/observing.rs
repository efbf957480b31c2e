//! Observations of backends, routes and pools: counted in the shard's tables, and reported to the
//! coordinator if they may take a backend out of service or back into it.

use super::Traffic;
use super::exchange::Exchange;
use crate::base::{BackendSlot, RouteId};
use crate::engine::Engine;
use crate::mailbox::{BackendCell, BackendFault, Observation, TrialCourse};
use crate::stats::CloseReason;
use crate::table::{ClientId, ExchangeId};
use std::time::Duration;

/// The time between two warnings of malformed answers.
const WARNINGS_APART: Duration = Duration::from_secs(10);

impl<E: Engine> Traffic<E> {
    /// A request was routed.
    pub(super) fn count_request(&mut self, index: ClientId, route: RouteId) {
        let listener = self.sessions.at(index).listener;
        let (shard, ledger) = (self.mailbox.shard(), &self.mailbox.shared.ledger);
        ledger.listener(shard, listener).requests.add(1);
        ledger.route(shard, route).requests.add(1);
    }

    pub(super) fn backend_cell(&self, slot: BackendSlot) -> &BackendCell {
        self.mailbox.shared.ledger.backend(self.mailbox.shard(), slot)
    }

    /// A backend gave a final answer, or opened a tunnel. An application's 500 is an answer like
    /// any other; a gateway's answer in place of an application is a failure.
    pub(super) fn backend_answered(&mut self, id: ExchangeId, status: u16) {
        let exchange = &mut self.exchanges[id];
        let trial = exchange.trial.take();
        let Some(slot) = exchange.backend else { return };
        let cell = self.mailbox.shared.ledger.backend(self.mailbox.shard(), slot);
        cell.answers.add(status);
        if matches!(status, 502..=504) {
            return self.backend_failed(slot, BackendFault::Status(status), trial);
        }
        cell.successes.add(1);
        if let Some(round) = trial {
            self.report_half_open(slot, round, TrialCourse::Passed);
        }
    }

    /// Reports the progress of a round of half-open probes of a backend.
    pub(super) fn report_half_open(&self, slot: BackendSlot, round: u32, course: TrialCourse) {
        self.mailbox.shared.observations.push(Observation::Trial(slot, round, course));
    }

    /// A backend failed, in this round of half-open probes if it was one.
    pub(super) fn backend_failed(
        &mut self,
        slot: BackendSlot,
        fault: BackendFault,
        trial: Option<u32>,
    ) {
        self.backend_cell(slot).failures.add(1);
        let now = self.now();
        self.replicas.failed(slot, now);
        if let Some(round) = trial {
            return self.report_half_open(slot, round, TrialCourse::Failed(fault));
        }
        self.mailbox.shared.observations.push(Observation::Fault(slot, fault));
    }

    /// Records the fault of a request or its response, for the record of the exchange.
    pub(super) fn note_refusal(&mut self, index: ClientId, text: &'static str) {
        if let Some(id) = self.sessions.at(index).exchange() {
            self.exchanges[id].refusal = Some(text);
        }
    }

    /// Rejects an answer of a backend for this reason.
    pub(super) fn refuse_answer(&mut self, index: ClientId, text: &'static str) {
        self.note_refusal(index, text);
        self.warn_of_answer(index, text);
        self.fail_exchange(index, 502, CloseReason::BackendMalformed);
    }

    /// Warns of malformed answers of backends, but not of each of them.
    fn warn_of_answer(&mut self, index: ClientId, text: &'static str) {
        let now = self.now();
        if now < self.next_warning {
            self.suppressed += 1;
            return;
        }
        let Some(id) = self.sessions.at(index).exchange() else { return };
        let exchange = &self.exchanges[id];
        let Some(address) = exchange.backend.and_then(|slot| self.replicas.address(slot)) else {
            return;
        };
        let pool = self.replicas.pool(exchange.pool).map_or("", |pool| &*pool.name);
        self.next_warning = now + WARNINGS_APART;
        let further = std::mem::take(&mut self.suppressed);
        tracing::warn!(
            "backend {pool} {address}: its answer is malformed and is not forwarded: {text} \
             ({further} others since the last such warning; the access log has each as `refusal`)"
        );
    }

    /// An exchange has ended. A failure to connect was reported when it happened.
    pub(super) fn observe_end(&mut self, exchange: &Exchange) {
        let duration = self.now().since(exchange.began);
        let (shard, ledger) = (self.mailbox.shard(), &self.mailbox.shared.ledger);
        if exchange.status > 0 {
            ledger.route(shard, exchange.route).answers.add(exchange.status);
        }
        let pool = ledger.pool(shard, exchange.pool);
        pool.latencies.add(duration);
        if exchange.failure == Some(CloseReason::NoBackend) {
            pool.unserved.add(1);
        }
        let fault = exchange.failure.and_then(fault_of);
        match (exchange.backend, fault, exchange.trial) {
            (Some(slot), Some(fault), trial) => self.backend_failed(slot, fault, trial),
            (Some(slot), None, Some(round)) => {
                self.report_half_open(slot, round, TrialCourse::Undecided);
            }
            _ => {}
        }
    }
}

/// The backend's fault that an exchange ended by; none if it was not the backend's.
fn fault_of(reason: CloseReason) -> Option<BackendFault> {
    match reason {
        CloseReason::BackendReset | CloseReason::BackendTruncated => Some(BackendFault::Reset),
        CloseReason::BackendTimeout => Some(BackendFault::Timeout),
        CloseReason::BackendMalformed => Some(BackendFault::Malformed),
        _ => None,
    }
}
