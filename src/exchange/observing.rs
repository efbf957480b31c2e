//! Observations of backends, routes and pools: counted in the shard's tables, and reported to the
//! coordinator if they may take a backend out of service or back into it.

use super::{Exchange, Phase};
use crate::base::BackendSlot;
use crate::engine::Engine;
use crate::mailbox::{BackendFault, TrialCourse};
use crate::sides::Sides;
use crate::stats::CloseReason;

impl Exchange {
    /// Its backend gave a final answer, or opened a tunnel. An application's 500 is an answer like
    /// any other; a gateway's answer in place of an application is a failure.
    pub(super) fn backend_answered<E: Engine>(&mut self, status: u16, sides: &mut Sides<E>) {
        let Some(slot) = self.attempts.backend else { return };
        let cell = sides.local.reports.backend_cell(slot);
        cell.answers.add(status);
        if matches!(status, 502..=504) {
            return self.report_fault(slot, BackendFault::Status(status), sides);
        }
        cell.successes.add(1);
        self.attempts.end_half_open(slot, TrialCourse::Passed, &sides.local);
    }

    /// Reports a fault of a backend, as the outcome of the half-open probe if the exchange is one.
    pub(super) fn report_fault<E: Engine>(
        &mut self,
        slot: BackendSlot,
        fault: BackendFault,
        sides: &mut Sides<E>,
    ) {
        self.attempts.report_fault(slot, fault, &mut sides.picks, &sides.local);
    }

    /// Rejects the answer of the backend for this reason.
    pub(super) fn refuse_answer<E: Engine>(&mut self, text: &'static str, sides: &mut Sides<E>) {
        self.note_refusal(text);
        self.warn_of_answer(text, sides);
        self.fail(502, CloseReason::BackendMalformed, sides);
    }

    /// Warns of malformed answers of backends, but not of each of them.
    fn warn_of_answer<E: Engine>(&self, text: &'static str, sides: &mut Sides<E>) {
        let Some(address) = self.attempts.backend.and_then(|slot| sides.picks.address(slot)) else {
            return;
        };
        let now = sides.local.now();
        let Some(further) = sides.local.reports.may_warn(now) else { return };
        let pool = sides.picks.pool(self.attempts.pool).map_or("", |pool| &*pool.name);
        tracing::warn!(
            "backend {pool} {address}: its answer is malformed and is not forwarded: {text} \
             ({further} others since the last such warning; the access log has each as `refusal`)"
        );
    }

    /// The exchange ends. A failure to connect was reported when it happened.
    pub(super) fn observe_end<E: Engine>(&mut self, sides: &mut Sides<E>) {
        let tables = &sides.local.reports.mailbox.tables;
        if self.status > 0 {
            tables.route(self.attempts.route).answers.add(self.status);
        }
        let pool = tables.pool(self.attempts.pool);
        pool.latencies.add(sides.local.now().micros_since(self.attempts.began));
        let is_unserved = |reason: CloseReason| {
            matches!(
                reason,
                CloseReason::NoBackend | CloseReason::BackendsFull | CloseReason::BackendRefused
            ) || (reason.is_of_backend_tls() && self.phase == Phase::AwaitingHead)
        };
        if self.failure.is_some_and(is_unserved) {
            pool.unserved.add(1);
        }
        let Some(slot) = self.attempts.backend else { return };
        match self.failure.and_then(fault_of) {
            Some(fault) => self.report_fault(slot, fault, sides),
            None => self.attempts.end_half_open(slot, TrialCourse::Undecided, &sides.local),
        }
    }
}

/// The backend's fault that an exchange ended by; none if it was not the backend's.
fn fault_of(reason: CloseReason) -> Option<BackendFault> {
    match reason {
        CloseReason::BackendReset
        | CloseReason::BackendTruncated
        | CloseReason::BackendCancelled
        | CloseReason::BackendOverloaded => Some(BackendFault::Reset),
        CloseReason::BackendTimeout => Some(BackendFault::Timeout),
        CloseReason::BackendMalformed => Some(BackendFault::Malformed),
        _ => None,
    }
}
