//! Removal by a newer snapshot: a backend gets no new exchanges, or loses those that it has, and a
//! listener's connections end with their present exchange.

use super::Traffic;
use crate::attempts::Need;
use crate::backend::Use;
use crate::base::BackendSlot;
use crate::engine::{Engine, Key};
use crate::local::How;
use crate::sides::Sides;
use crate::snapshot::{Cut, Leaving, Listener, Snapshot};
use crate::stats::CloseReason;
use std::collections::HashMap;
use std::sync::Arc;

impl<E: Engine> Traffic<E> {
    /// Applies a newer snapshot. Exchanges keep their present backend.
    pub fn take_snapshot(&mut self, snapshot: Arc<Snapshot>) {
        let left = self.sides.picks.take(&snapshot, &mut self.sides.local.prng);
        let is_one_removed = self.sides.local.current.replace(snapshot);
        self.follow_limits();
        if !left.is_empty() {
            self.release_backends(&left);
            self.release_flows(&left);
        }
        let limited = self.sides.picks.take_limited();
        if !limited.is_empty() {
            self.release_idle(&limited);
        }
        let resecured = self.sides.picks.take_resecured();
        if !resecured.is_empty() {
            self.release_insecure(&resecured);
        }
        if is_one_removed {
            self.release_clients();
        }
        self.work_off();
    }

    /// Follows the limits of listeners.
    pub(super) fn follow_limits(&self) {
        let local = &self.sides.local;
        for listener in local.current.snapshot().listeners.iter().flatten() {
            local.reports.sessions(listener.id).follow(listener.sessions_max());
        }
    }

    /// Adds a listener of a snapshot that was never in force here.
    pub(super) fn remember_listener(&mut self, listener: Arc<Listener>) {
        self.sides.local.current.remember_listener(listener);
    }

    /// Ends the idle connections of removed listeners, and lets the others finish.
    fn release_clients(&mut self) {
        let local = &mut self.sides.local;
        for id in self.sides.clients.ids() {
            let client = self.sides.clients.at(id);
            let is_present = local.current.snapshot().listener(client.listener).is_some();
            if client.is_leaving || is_present {
                continue;
            }
            client.is_leaving = true;
            client.drain_http2(local);
            if client.is_idle() {
                client.end_idle(CloseReason::ListenerRemoved, local);
            }
        }
    }

    /// Removes backends: idle connections close, exchanges that have not begun move to another
    /// backend; if ordered, those that may be repeated move too, and all others are aborted.
    fn release_backends(&mut self, left: &[Leaving]) {
        let left: HashMap<BackendSlot, Option<CloseReason>> =
            left.iter().map(|leaving| (leaving.slot, leaving.cut.map(reason_of))).collect();
        for key in self.sides.connections.keys_of(|slot| left.contains_key(&slot)) {
            self.release_connection(key, &left);
        }
    }

    /// Closes the idle connections to backends that got a limit of connections: no other shard can
    /// claim those.
    fn release_idle(&mut self, slots: &[BackendSlot]) {
        let Sides { connections, local, .. } = &mut self.sides;
        for id in connections.idle_ids() {
            if slots.contains(&connections.at(id).slot) {
                connections.discard_idle(id, local);
            }
        }
    }

    /// Keeps no connection to backends that new ones are secured in another way to: another TLS
    /// than before, or none.
    fn release_insecure(&mut self, slots: &[BackendSlot]) {
        self.release_idle(slots);
        let connections = &mut self.sides.connections;
        for key in connections.keys_of(|slot| slots.contains(&slot)) {
            if let Some(id) = connections.find(key) {
                connections.at(id).reserve();
                connections.retire(id);
            }
        }
    }

    /// Closes idle connections to a backend that other shards have claimed.
    pub(super) fn yield_claimed(&mut self, slot: BackendSlot) {
        self.sides.connections.yield_claimed(slot, &mut self.sides.local);
    }

    /// Ends the flows of backends whose exchanges are cut. The others move with their next datagram
    /// of a client.
    fn release_flows(&mut self, left: &[Leaving]) {
        let cut = left.iter().filter_map(|leaving| Some((leaving.slot, reason_of(leaving.cut?))));
        let cut: HashMap<BackendSlot, CloseReason> = cut.collect();
        if !cut.is_empty() {
            let Sides { picks, local, .. } = &mut self.sides;
            self.flows.cut(cut, picks, local);
        }
    }

    fn release_connection(&mut self, key: Key, left: &HashMap<BackendSlot, Option<CloseReason>>) {
        let Some(id) = self.sides.connections.find(key) else { return };
        let connection = self.sides.connections.at(id);
        let cut = left.get(&connection.slot).copied().flatten();
        let need = if cut.is_some() { Need::Any } else { Need::Better };
        let is_connecting = connection.is_connecting();
        match connection.used_for {
            Use::Closing | Use::Finishing | Use::Delivering(_) => {}
            Use::Idle => self.sides.connections.discard_idle(id, &mut self.sides.local),
            Use::Streams => self.release_upstreams(id, cut),
            Use::Exchange(exchange) if is_connecting => {
                self.exchanges.at(exchange).move_on(need, &mut self.sides);
            }
            Use::Relay(relay) if is_connecting => {
                self.relays.at(relay).move_on(need, &mut self.sides);
            }
            Use::Exchange(exchange) => {
                if let Some(reason) = cut {
                    self.exchanges.at(exchange).backend_removed(reason, &mut self.sides);
                }
            }
            Use::Relay(relay) => {
                let client = self.relays[relay].client();
                if let Some(reason) = cut {
                    self.end_client(client, How::Cut, reason);
                }
            }
        }
        self.work_off();
    }
}

/// What ends for a backend that is cut off ends for this reason.
fn reason_of(cut: Cut) -> CloseReason {
    match cut {
        Cut::Down => CloseReason::BackendDown,
        Cut::Ordered => CloseReason::BackendGone,
    }
}
