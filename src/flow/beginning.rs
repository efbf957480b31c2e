//! The begin of a flow: whether there is a place for it, and a backend.

use super::ending::ENDED_AT_ONCE_MAX;
use super::{Endpoints, Flow, Flows, State, Tally};
use crate::attempts::{Attempts, Need};
use crate::base::ListenerId;
use crate::engine::{Engine, Failure, Socket, Source};
use crate::local::Local;
use crate::mailbox::TrialCourse;
use crate::pick::Replicas;
use crate::stats::{CloseReason, Counter};
use crate::table::{FlowId, ReceiverId};

/// A flow that was admitted.
#[derive(Clone, Copy)]
struct Admission {
    listener: ListenerId,
    /// It counts as one of its client's.
    is_counted: bool,
}

/// Why a flow has no backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unserved {
    /// None is available.
    NoBackend,
    /// No descriptor or local port is left.
    NoSocket,
}

/// True for what another flow has too many of.
fn is_short(failure: Failure) -> bool {
    matches!(failure, Failure::OutOfDescriptors | Failure::OutOfResources | Failure::NoLocalPort)
}

impl Flows {
    /// Begins a flow. None if its client, or the listener, has as many as it may have, or there is
    /// no backend: that is counted.
    pub(super) fn begin<E: Engine>(
        &mut self,
        ends: Endpoints,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) -> Option<FlowId> {
        let admission = self.admit(&ends, picks, local)?;
        match self.connect(&ends, picks, local) {
            Ok((attempts, socket)) => {
                Some(self.insert(ends, admission, attempts, socket, picks, local))
            }
            Err(reason) => {
                retract(admission, &ends, local);
                count_refused(admission.listener, Counter::DatagramsUnserved, local);
                match (reason, self.receivers[ends.receiver].target) {
                    (Unserved::NoSocket, _) => self.make_room(ends.receiver, picks, local),
                    (Unserved::NoBackend, Some(target)) => {
                        local.reports.mailbox.tables.pool(target.pool).unserved.add(1);
                    }
                    (Unserved::NoBackend, None) => {}
                }
                None
            }
        }
    }

    /// Ends the flow of a receiver that is idle for longest, so that its socket is there for the
    /// next one.
    fn make_room<E: Engine>(
        &mut self,
        receiver: ReceiverId,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) {
        if let Some(oldest) = self.receivers[receiver].order.oldest {
            self.end(oldest, CloseReason::FlowEvicted, picks, local);
        }
    }

    /// Begins a flow in place of one whose backend gets no new traffic. Without another backend the
    /// present one goes on.
    pub(super) fn move_on<E: Engine>(
        &mut self,
        id: FlowId,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) -> Option<FlowId> {
        let ends = self.table[id].ends;
        let Ok((mut attempts, socket)) = self.connect(&ends, picks, local) else {
            return Some(id);
        };
        self.end(id, CloseReason::FlowMoved, picks, local);
        let Some(admission) = self.admit(&ends, picks, local) else {
            let slot = attempts.backend.expect("it is connected");
            attempts.end_half_open(slot, TrialCourse::Undecided, local);
            local.reports.connection_ended(slot);
            local.wire.engine.close_datagrams(socket);
            return None;
        };
        Some(self.insert(ends, admission, attempts, socket, picks, local))
    }

    /// Admits a flow, in place of the one that is idle for longest if there are too many.
    fn admit<E: Engine>(
        &mut self,
        ends: &Endpoints,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) -> Option<Admission> {
        let receiver = &self.receivers[ends.receiver];
        let (listener, rules) = (receiver.listener, receiver.rules);
        let is_counted = rules.max_flows_per_client > 0;
        let clients = &local.reports.mailbox.shared.flows;
        if is_counted && !clients.admit(listener, ends.client.ip(), rules.max_flows_per_client) {
            count_refused(listener, Counter::FlowLimitRejections, local);
            return None;
        }
        let mut evicted = 0;
        while !local.reports.sessions(listener).take(rules.max_flows) {
            let oldest = self.receivers[ends.receiver].order.oldest;
            let Some(oldest) = oldest.filter(|_| evicted < ENDED_AT_ONCE_MAX) else {
                // All of them are other shards', or a reload has lowered the limit by more.
                count_refused(listener, Counter::FlowLimitRejections, local);
                if is_counted {
                    local.reports.mailbox.shared.flows.leave(listener, ends.client.ip());
                }
                return None;
            };
            self.end(oldest, CloseReason::FlowEvicted, picks, local);
            evicted += 1;
        }
        Some(Admission { listener, is_counted })
    }

    /// A socket that is connected to a backend.
    fn connect<E: Engine>(
        &self,
        ends: &Endpoints,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) -> Result<(Attempts, Socket), Unserved> {
        let receiver = &self.receivers[ends.receiver];
        let target = receiver.target.ok_or(Unserved::NoBackend)?;
        let mut attempts = Attempts::new(receiver.listener, target, local);
        let hashing = picks.pool(attempts.pool).and_then(|pool| pool.hashing.as_ref());
        attempts.key = hashing.and_then(|one| one.connection_key(ends.client, None));
        while let Some(pick) = attempts.pick(Need::Any, true, picks, local) {
            attempts.go_to(&pick, local);
            if !attempts.take_place(pick.slot, picks, local) {
                continue;
            }
            local.count(Counter::UpstreamConnects);
            let pool = picks.pool(attempts.pool);
            let source = pool.map_or(Source::Any, |pool| pool.source_for(ends.client));
            match local.wire.engine.connect_datagrams(pick.address, source) {
                Ok(socket) => {
                    local.reports.backend_cell(pick.slot).connects.add(1);
                    attempts.backend = Some(pick.slot);
                    return Ok((attempts, socket));
                }
                Err(failure) => {
                    tracing::debug!(address = %pick.address, ?failure, "no socket for a backend");
                    local.reports.connection_ended(pick.slot);
                    let may_go_on =
                        attempts.connect_failed(pick.slot, failure.into(), picks, local);
                    if is_short(failure) {
                        return Err(Unserved::NoSocket);
                    }
                    if !may_go_on {
                        return Err(Unserved::NoBackend);
                    }
                    attempts.count_retry(local);
                }
            }
        }
        Err(Unserved::NoBackend)
    }

    fn insert<E: Engine>(
        &mut self,
        ends: Endpoints,
        admission: Admission,
        attempts: Attempts,
        socket: Socket,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) -> FlowId {
        let slot = attempts.backend.expect("it is connected");
        picks.begin(slot);
        local.count(Counter::FlowsOpened);
        local.reports.count_connection(attempts.route);
        local.reports.listener_cell(admission.listener).accepted.add(1);
        let key = self.table.next_key();
        local.wire.engine.receive_datagrams(socket, key);
        let id = self.table.insert(Flow {
            key,
            ends,
            socket,
            state: State::Open,
            is_receiving: true,
            is_counted: admission.is_counted,
            attempts,
            used_at: local.now(),
            successes_before: local.reports.backend_cell(slot).successes.read(),
            from_client: Tally::default(),
            unsent: 0,
            from_backend: Tally::default(),
            older: None,
            newer: None,
        });
        self.index.add(id, &self.table);
        self.link(id);
        if self.receivers[ends.receiver].order.count == 1 {
            self.set_clock(ends.receiver, local);
        }
        id
    }
}

/// Counts a datagram that is dropped because its flow cannot begin.
fn count_refused<E: Engine>(listener: ListenerId, why: Counter, local: &Local<E>) {
    local.reports.count_dropped(listener, why);
    local.reports.listener_cell(listener).refused.add(1);
}

/// Takes off a flow that was admitted and did not begin.
fn retract<E: Engine>(admission: Admission, ends: &Endpoints, local: &mut Local<E>) {
    local.reports.session_ended(admission.listener);
    if admission.is_counted {
        local.reports.mailbox.shared.flows.leave(admission.listener, ends.client.ip());
    }
}
