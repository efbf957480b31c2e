//! Datagrams of backends, which go to the client of their flow, and what the network reports of
//! those that were sent.

use super::{Flows, State};
use crate::engine::{BufferId, Destination, Engine, Failure, Key, Owner};
use crate::local::Local;
use crate::mailbox::{BackendFault, TrialCourse};
use crate::pick::Replicas;
use crate::stats::{CloseReason, Counter};
use crate::table::FlowId;

impl Flows {
    /// A datagram has come to the socket of a flow. `more`: the receive goes on.
    pub fn backend_datagram<E: Engine>(
        &mut self,
        key: Key,
        buffer: BufferId,
        more: bool,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) {
        let Some(id) = self.table.find(key) else {
            local.count(Counter::LateCompletions);
            return local.wire.engine.release(buffer);
        };
        self.table.at(id).is_receiving = more;
        if self.table[id].state == State::Ended {
            local.wire.engine.release(buffer);
            return self.close_if_quiet(id, local);
        }
        self.answer(id, buffer, local);
        if self.is_answered(id) {
            return self.end(id, CloseReason::FlowAnswered, picks, local);
        }
        if !more {
            self.listen_on(id, local);
        }
    }

    /// Sends a backend's datagram to the client.
    fn answer<E: Engine>(&mut self, id: FlowId, buffer: BufferId, local: &mut Local<E>) {
        let datagram = local.wire.engine.datagram(buffer);
        local.count(Counter::UpstreamDatagramsReceived);
        local.reports.count(Counter::UpstreamBytesReceived, datagram.payload.len() as u64);
        if !datagram.is_whole {
            let listener = self.table[id].attempts.listener;
            local.reports.count_dropped(listener, Counter::DatagramsTruncated);
            return local.wire.engine.release(buffer);
        }
        self.touch(id, local.now());
        let flow = self.table.at(id);
        let slot = flow.slot();
        if flow.from_backend.datagrams == 0 {
            local.reports.backend_cell(slot).successes.add(1);
            flow.attempts.end_half_open(slot, TrialCourse::Passed, local);
        }
        flow.from_backend.add(datagram.payload.len());
        let receiver = &self.receivers[flow.ends.receiver];
        let source = receiver.has_many_addresses().then_some(flow.ends.local);
        let destination = Destination { address: flow.ends.client, source };
        local.count(Counter::ClientDatagramsSent);
        let bytes = datagram.payload.len() as u64;
        local.reports.count(Counter::ClientBytesSent, bytes);
        let of_listener = local.reports.listener_cell(receiver.listener);
        of_listener.datagrams_sent.add(1);
        of_listener.bytes.sent.add(bytes);
        local.reports.backend_cell(slot).bytes.received.add(bytes);
        let (socket, key) = (receiver.socket, receiver.key);
        local.wire.engine.send_datagram(socket, key, datagram.payload, Some(destination));
    }

    /// Receives on from the backend of a flow.
    fn listen_on<E: Engine>(&mut self, id: FlowId, local: &mut Local<E>) {
        let flow = self.table.at(id);
        flow.is_receiving = true;
        local.wire.engine.receive_datagrams(flow.socket, flow.key);
    }

    /// The receive of a flow has ended.
    pub fn listening_ended<E: Engine>(
        &mut self,
        key: Key,
        failure: Option<Failure>,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) {
        let Some(id) = self.table.find(key) else {
            return local.count(Counter::LateCompletions);
        };
        local.reports.count_if_starved(failure);
        self.table.at(id).is_receiving = false;
        match failure {
            _ if self.table[id].state == State::Ended => self.close_if_quiet(id, local),
            None | Some(Failure::NoBuffers) => self.listen_on(id, local),
            // Path MTU discovery (ip(7), `IP_MTU_DISCOVER`): a router has dropped a datagram that
            // is too long for its link. The kernel sends the next ones in fragments.
            Some(Failure::TooLong) => {
                self.note_unsent(id, Counter::DatagramsTooLong, local);
                self.listen_on(id, local);
            }
            Some(Failure::OutOfResources) => {
                self.end(id, CloseReason::OutOfBuffers, picks, local);
            }
            Some(failure) => self.unreachable(id, failure, picks, local),
        }
    }

    /// A datagram could not be sent.
    pub fn datagram_lost<E: Engine>(
        &mut self,
        key: Key,
        failure: Failure,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) {
        let is_too_long = failure == Failure::TooLong;
        let reason = if is_too_long { Counter::DatagramsTooLong } else { Counter::DatagramsUnsent };
        let is_flow = key.owner() == Owner::Flow;
        let flow = if is_flow { self.table.find(key) } else { None };
        let receiver = if is_flow { None } else { self.receivers.find(key) };
        match (flow, receiver) {
            (Some(flow), _) => self.note_unsent(flow, reason, local),
            (None, Some(receiver)) => {
                local.reports.count_dropped(self.receivers[receiver].listener, reason);
            }
            // It has ended meanwhile.
            (None, None) => local.count(reason),
        }
        let open = flow.filter(|id| self.table[*id].state != State::Ended);
        if let (Failure::Refused | Failure::Reset | Failure::Unreachable, Some(id)) =
            (failure, open)
        {
            self.unreachable(id, failure, picks, local);
        }
    }

    /// A datagram of a flow's client did not reach the backend.
    fn note_unsent<E: Engine>(&mut self, id: FlowId, reason: Counter, local: &mut Local<E>) {
        let flow = self.table.at(id);
        flow.unsent += 1;
        local.reports.count_dropped(flow.attempts.listener, reason);
    }

    /// The network has reported that the backend of a flow cannot be reached, or that nobody
    /// receives there (ICMP).
    fn unreachable<E: Engine>(
        &mut self,
        id: FlowId,
        failure: Failure,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) {
        let flow = self.table.at(id);
        let slot = flow.slot();
        tracing::debug!(address = ?picks.address(slot), ?failure, "a backend is unreachable");
        picks.refused(slot, local.now());
        flow.attempts.report_fault(slot, BackendFault::Unreachable, picks, local);
        self.end(id, CloseReason::BackendUnreachable, picks, local);
    }
}
