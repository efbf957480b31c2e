//! How a flow ends: when it has all its responses, when nothing comes any more, with its backend,
//! its listener or the process.

use super::{Flow, Flows, State};
use crate::access_log::Record;
use crate::engine::{Engine, Op};
use crate::local::Local;
use crate::mailbox::TrialCourse;
use crate::pick::Replicas;
use crate::stats::CloseReason;
use crate::table::{FlowId, ReceiverId};
use std::time::Duration;

/// Flows of one receiver that end at once, because their time is over or there are too many; the
/// others a moment later.
pub(super) const ENDED_AT_ONCE_MAX: usize = 256;

/// The time within which the network reports that nobody receives a datagram.
const ICMP_COMES_WITHIN: Duration = Duration::from_secs(1);

impl Flows {
    /// True if all responses that were expected have come, and no request will follow.
    pub(super) fn is_answered(&self, id: FlowId) -> bool {
        let flow = &self.table[id];
        let rules = &self.receivers[flow.ends.receiver].rules;
        let takes_more = rules.requests > 0 && flow.state == State::Open;
        rules.responses.is_some() && !takes_more && self.missing(flow) == 0
    }

    /// Responses that are still expected.
    fn missing(&self, flow: &Flow) -> u64 {
        let responses = self.receivers[flow.ends.receiver].rules.responses.map_or(0, u64::from);
        let requests = flow.from_client.datagrams.saturating_sub(flow.unsent);
        let expected = requests.saturating_mul(responses);
        expected.saturating_sub(flow.from_backend.datagrams)
    }

    /// Ends a flow: it is counted and recorded. Its socket closes when its receive has ended.
    pub(super) fn end<E: Engine>(
        &mut self,
        id: FlowId,
        reason: CloseReason,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) {
        self.unlink(id);
        let flow = self.table.at(id);
        let (slot, listener) = (flow.slot(), flow.attempts.listener);
        let was = std::mem::replace(&mut flow.state, State::Ended);
        flow.attempts.end_half_open(slot, TrialCourse::Undecided, local);
        picks.end(slot);
        local.reports.session_ended(listener);
        local.reports.counters().add_close(reason);
        if flow.is_counted {
            local.reports.mailbox.shared.flows.leave(listener, flow.ends.client.ip());
        }
        if local.reports.has_access_log() {
            record(flow, reason, picks, local);
        }
        if flow.is_receiving {
            local.wire.engine.cancel(Op::ReceiveDatagrams, flow.key);
        }
        let receiver = flow.ends.receiver;
        if was == State::Open {
            self.index.remove(id, &self.table);
        }
        self.settle(receiver, local);
        self.close_if_quiet(id, local);
    }

    /// Closes the socket of a flow that has ended, and frees its row, once nothing is in flight.
    pub(super) fn close_if_quiet<E: Engine>(&mut self, id: FlowId, local: &mut Local<E>) {
        let flow = &self.table[id];
        if flow.state == State::Ended && !flow.is_receiving {
            local.reports.connection_ended(flow.slot());
            local.wire.engine.close_datagrams(flow.socket);
            self.table.remove(id);
        }
    }

    /// Ends the flows of a receiver in which nothing came for too long, or all of them if its
    /// listener was removed.
    pub(super) fn expire<E: Engine>(
        &mut self,
        receiver: ReceiverId,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) {
        let now = local.now();
        for _ in 0..ENDED_AT_ONCE_MAX {
            // The last flow takes the receiver along, if that is over.
            let Some(one) = self.receivers.get(receiver) else { return };
            let Some(oldest) = one.order.oldest else { break };
            if one.ends_flows(now) {
                self.end(oldest, CloseReason::ListenerRemoved, picks, local);
            } else if self.table[oldest].used_at + one.rules.idle <= now {
                self.end_idle(oldest, picks, local);
            } else {
                break;
            }
        }
        if self.receivers.get(receiver).is_some() {
            self.set_clock(receiver, local);
            self.settle(receiver, local);
        }
    }

    /// Ends a flow in which nothing came for too long. A backend that leaves a request without any
    /// response has failed, which is counted, and does not take it out of service, nor keep it out:
    /// anybody can send, from as many addresses as they like, what no backend answers.
    fn end_idle<E: Engine>(&mut self, id: FlowId, picks: &mut Replicas, local: &mut Local<E>) {
        let flow = &self.table[id];
        let responses = self.receivers[flow.ends.receiver].rules.responses.map_or(0, u64::from);
        let is_unanswered = responses > 0 && self.missing(flow) >= responses;
        if is_unanswered {
            local.reports.backend_cell(flow.slot()).failures.add(1);
            return self.end(id, CloseReason::BackendTimeout, picks, local);
        }
        self.pass_half_open(id, local);
        self.end(id, CloseReason::FlowIdle, picks, local);
    }

    /// A flow that is a half-open probe, and need have no response, passes if no ICMP message has
    /// come in time: nothing else would let its backend return to service.
    pub(super) fn pass_half_open<E: Engine>(&mut self, id: FlowId, local: &mut Local<E>) {
        let flow = self.table.at(id);
        if !flow.attempts.is_half_open() {
            return;
        }
        let rules = &self.receivers[flow.ends.receiver].rules;
        let is_due = flow.attempts.began + ICMP_COMES_WITHIN <= local.now();
        if is_due && rules.responses.unwrap_or(0) == 0 {
            let slot = flow.slot();
            flow.attempts.end_half_open(slot, TrialCourse::Passed, local);
        }
    }

    /// Ends all flows, and every receive: the process ends.
    pub fn end_all<E: Engine>(&mut self, picks: &mut Replicas, local: &mut Local<E>) {
        self.drop_waiting(local);
        let open = |(_, flow): &(FlowId, &Flow)| flow.state != State::Ended;
        let open: Vec<FlowId> = self.table.iter().filter(open).map(|(id, _)| id).collect();
        for id in open {
            self.end(id, CloseReason::Drained, picks, local);
        }
        for id in self.receivers.ids() {
            self.fall_silent(id, local);
            self.settle(id, local);
        }
    }
}

fn record<E: Engine>(flow: &Flow, reason: CloseReason, picks: &Replicas, local: &Local<E>) {
    let attempts = &flow.attempts;
    let duration = local.now().since(attempts.began);
    let listener = local.current.listener_words(attempts.listener);
    local.reports.record(Record {
        request_bytes: flow.from_client.bytes,
        response_bytes: flow.from_backend.bytes,
        datagrams: Some([flow.from_client.datagrams, flow.from_backend.datagrams]),
        duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
        pool: picks.pool(attempts.pool).map(|pool| pool.name.clone()),
        backend: picks.address(flow.slot()),
        retries: attempts.retries.into(),
        ..Record::unforwarded(listener, flow.ends.client, b"", reason.label())
    });
}
