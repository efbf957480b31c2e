//! The begin of a flow: whether there is a place for it, and a backend.

use super::ending::ENDED_AT_ONCE_MAX;
use super::{Endpoints, Flow, Flows, Receiver, State, Tally};
use crate::attempts::{Attempts, Need, no_place};
use crate::base::ListenerId;
use crate::engine::{Engine, Failure, Socket, Source};
use crate::local::Local;
use crate::mailbox::TrialCourse;
use crate::pick::Replicas;
use crate::stats::{CloseReason, Counter};
use crate::table::{FlowId, ReceiverId};

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
    /// no backend: that is counted. Nothing of another flow is given up before there is one.
    pub(super) fn begin<E: Engine>(
        &mut self,
        ends: Endpoints,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) -> Option<FlowId> {
        let is_counted = self.admit_client(&ends, local)?;
        match self.connect(&ends, picks, local) {
            Ok((attempts, socket)) => self.admit(ends, is_counted, attempts, socket, picks, local),
            Err(reason) => {
                let listener = self.receivers[ends.receiver].listener;
                retract_client(is_counted, listener, &ends, local);
                count_refused(listener, Counter::DatagramsUnserved, local);
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
        let Ok((attempts, socket)) = self.connect(&ends, picks, local) else {
            return Some(id);
        };
        self.end(id, CloseReason::FlowMoved, picks, local);
        match self.admit_client(&ends, local) {
            Some(is_counted) => self.admit(ends, is_counted, attempts, socket, picks, local),
            None => {
                give_back(attempts, socket, local);
                None
            }
        }
    }

    /// Admits a flow as one of its client's. The result is true if it counts as that, and none if
    /// the client has as many as it may have.
    fn admit_client<E: Engine>(&self, ends: &Endpoints, local: &Local<E>) -> Option<bool> {
        let Receiver { listener, rules, .. } = self.receivers[ends.receiver];
        let most = rules.max_flows_per_client;
        let clients = &local.reports.mailbox.shared.flows;
        if most > 0 && !clients.admit(listener, ends.client.ip(), most) {
            count_refused(listener, Counter::FlowLimitRejections, local);
            return None;
        }
        Some(most > 0)
    }

    /// Admits a flow that has a backend, in place of the one that is idle for longest if there are
    /// too many.
    fn admit<E: Engine>(
        &mut self,
        ends: Endpoints,
        is_counted: bool,
        attempts: Attempts,
        socket: Socket,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) -> Option<FlowId> {
        let Receiver { listener, rules, .. } = self.receivers[ends.receiver];
        let mut evicted = 0;
        while !local.reports.sessions(listener).take(rules.max_flows) {
            let oldest = self.receivers[ends.receiver].order.oldest;
            let Some(oldest) = oldest.filter(|_| evicted < ENDED_AT_ONCE_MAX) else {
                // All of them are other shards', or a reload has lowered the limit by more.
                count_refused(listener, Counter::FlowLimitRejections, local);
                retract_client(is_counted, listener, &ends, local);
                give_back(attempts, socket, local);
                return None;
            };
            self.end(oldest, CloseReason::FlowEvicted, picks, local);
            evicted += 1;
        }
        Some(self.insert(ends, is_counted, attempts, socket, picks, local))
    }

    /// A socket that is connected to a backend.
    fn connect<E: Engine>(
        &mut self,
        ends: &Endpoints,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) -> Result<(Attempts, Socket), Unserved> {
        let receiver = &self.receivers[ends.receiver];
        let target = receiver.target.ok_or(Unserved::NoBackend)?;
        let mut attempts = Attempts::new(receiver.listener, target, local);
        let hashing = picks.pool(attempts.pool).and_then(|pool| pool.hashing.as_ref());
        attempts.key = hashing.and_then(|one| one.connection_key(ends.client, None));
        while let Some(pick) = attempts.pick(Need::Any, true, &no_place, picks, local) {
            attempts.go_to(&pick, local);
            if !attempts.take_place(pick.slot, picks, local) {
                continue;
            }
            local.count(Counter::UpstreamConnects);
            self.begun += 1;
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
        is_counted: bool,
        attempts: Attempts,
        socket: Socket,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) -> FlowId {
        let slot = attempts.backend.expect("it is connected");
        picks.begin(slot);
        local.count(Counter::FlowsOpened);
        local.reports.count_connection(attempts.route);
        local.reports.listener_cell(attempts.listener).accepted.add(1);
        let key = self.table.next_key();
        local.wire.engine.receive_datagrams(socket, key);
        let id = self.table.insert(Flow {
            key,
            ends,
            socket,
            state: State::Open,
            is_receiving: true,
            is_counted,
            attempts,
            used_at: local.now(),
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

/// Takes off a flow that was counted as one of its client's and did not begin.
fn retract_client<E: Engine>(
    is_counted: bool,
    listener: ListenerId,
    ends: &Endpoints,
    local: &Local<E>,
) {
    if is_counted {
        local.reports.mailbox.shared.flows.leave(listener, ends.client.ip());
    }
}

/// Gives back a backend that no flow uses.
fn give_back<E: Engine>(mut attempts: Attempts, socket: Socket, local: &mut Local<E>) {
    let slot = attempts.backend.expect("it is connected");
    attempts.end_half_open(slot, TrialCourse::Undecided, local);
    local.reports.connection_ended(slot);
    local.wire.engine.close_datagrams(socket);
}
