//! What a turn does at most of the work whose amount others decide: flows that begin, which anybody
//! can have by sending from many addresses, and flows that end with their backend. Each takes
//! several system calls, and the connections of the shard wait for them.
//!
//! Datagrams beyond that wait here, in order, for a turn or a few; when too many wait they are
//! dropped. They do not wait in their socket: what established flows receive there would wait
//! behind a flood, and be lost when the socket is full.

use super::{Flows, State};
use crate::base::{BackendSlot, Instant};
use crate::engine::{BufferId, Engine};
use crate::limits::{FLOWS_BEGUN_PER_TURN_MAX, FLOWS_WAITING_MAX};
use crate::local::Local;
use crate::pick::Replicas;
use crate::stats::{CloseReason, Counter};
use crate::table::{FlowId, ReceiverId, RowId};
use std::collections::HashMap;

/// Flows that end with their backends in one turn.
const CUT_PER_TURN_MAX: usize = 128;
/// Flows that are looked at for that in one turn.
const SEEN_PER_TURN_MAX: usize = 4_096;

/// Backends whose flows end.
#[derive(Debug)]
pub(super) struct Cut {
    /// With the reason that they end for.
    slots: HashMap<BackendSlot, CloseReason>,
    /// Flows that began later are another backend's with the same slot.
    since: Instant,
    /// The row that is looked at next.
    row: usize,
}

impl Flows {
    /// True if another flow may begin in this turn.
    pub(super) fn may_begin(&self) -> bool {
        self.begun < FLOWS_BEGUN_PER_TURN_MAX
    }

    /// True if something is left for the next turn.
    pub fn is_pressed(&self) -> bool {
        !self.waiting.is_empty() || self.cut.is_some()
    }

    /// Keeps a datagram whose flow cannot begin in this turn.
    pub(super) fn wait<E: Engine>(
        &mut self,
        receiver: ReceiverId,
        buffer: BufferId,
        local: &mut Local<E>,
    ) {
        let receiver = &self.receivers[receiver];
        if self.waiting.len() < FLOWS_WAITING_MAX {
            return self.waiting.push_back((receiver.key, buffer));
        }
        local.reports.count_dropped(receiver.listener, Counter::DatagramsCrowdedOut);
        local.reports.listener_cell(receiver.listener).refused.add(1);
        local.wire.engine.release(buffer);
    }

    /// Begins a turn: what earlier turns had no time for comes first.
    pub fn begin_turn<E: Engine>(&mut self, picks: &mut Replicas, local: &mut Local<E>) {
        self.begun = 0;
        while self.may_begin()
            && let Some((key, buffer)) = self.waiting.pop_front()
        {
            match self.receivers.find(key) {
                Some(receiver) => self.take(receiver, buffer, picks, local),
                None => {
                    local.count(Counter::DatagramsUnserved);
                    local.wire.engine.release(buffer);
                }
            }
        }
        self.go_on_cutting(picks, local);
    }

    /// Drops the datagrams that wait.
    pub(super) fn drop_waiting<E: Engine>(&mut self, local: &mut Local<E>) {
        for (_, buffer) in self.waiting.drain(..) {
            local.count(Counter::DatagramsUnserved);
            local.wire.engine.release(buffer);
        }
    }

    /// Ends the flows of backends that are cut off, from now on in each turn as many as it has time
    /// for.
    pub fn cut<E: Engine>(
        &mut self,
        slots: HashMap<BackendSlot, CloseReason>,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) {
        let mut slots = slots;
        if let Some(earlier) = self.cut.take() {
            slots.extend(earlier.slots);
        }
        self.cut = Some(Cut { slots, since: local.now(), row: 0 });
        self.go_on_cutting(picks, local);
    }

    fn go_on_cutting<E: Engine>(&mut self, picks: &mut Replicas, local: &mut Local<E>) {
        let Some(mut cut) = self.cut.take() else { return };
        let (mut seen, mut ended) = (0, 0);
        while cut.row < self.table.row_count() {
            if seen == SEEN_PER_TURN_MAX || ended == CUT_PER_TURN_MAX {
                self.cut = Some(cut);
                return;
            }
            let id = FlowId::from_row(cut.row);
            cut.row += 1;
            let Some(flow) = self.table.get(id) else { continue };
            seen += 1;
            let is_open = flow.state != State::Ended && flow.attempts.began <= cut.since;
            if let Some(reason) = cut.slots.get(&flow.slot()).filter(|_| is_open) {
                self.end(id, *reason, picks, local);
                ended += 1;
            }
        }
    }
}
