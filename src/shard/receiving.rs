//! The UDP sockets of listeners: those that this shard receives on, and the events of flows. Does
//! not: open sockets.

use super::listening::accepts;
use super::{Shard, Traffic};
use crate::engine::{Engine, Event, Key, Owner, Socket};
use crate::mailbox::Stage;
use crate::sides::Sides;
use crate::snapshot::Listener;
use crate::stats::Counter;
use std::sync::Arc;

impl<E: Engine> Shard<E> {
    /// Receives on new sockets of the snapshot, and leaves the ports of removed ones. A socket may
    /// have become another listener's.
    pub(super) fn follow_receivers(&mut self) {
        let (snapshot, index) = (self.traffic.snapshot().clone(), self.index);
        let present = snapshot.listeners.iter().flatten().filter(|one| !accepts(one));
        let mut kept = Vec::new();
        for listener in present {
            kept.push(listener.sockets[index]);
            self.traffic.receive_on(listener, listener.sockets[index]);
        }
        let Traffic { flows, sides, .. } = &mut self.traffic;
        flows.leave_others(&kept, &mut sides.local);
    }

    /// Takes over sockets that no shard receives on: of snapshots that were replaced before they
    /// were applied, or of a shard that has panicked. Those that no listener has are left: what
    /// waits in them is served.
    pub(super) fn adopt_receivers(&mut self, unclaimed: Vec<Arc<Listener>>) {
        if unclaimed.is_empty() {
            return;
        }
        for listener in unclaimed {
            let socket = listener.sockets[self.index];
            self.traffic.remember_listener(listener.clone());
            self.traffic.receive_on(&listener, socket);
        }
        self.follow_receivers();
        if self.traffic.stage() >= Stage::Draining {
            self.traffic.leave_ports();
        }
    }
}

impl<E: Engine> Traffic<E> {
    fn receive_on(&mut self, listener: &Listener, socket: Socket) {
        self.flows.follow(listener, socket, &mut self.sides.local);
    }

    /// The process drains.
    pub(super) fn leave_ports(&mut self) {
        self.flows.leave_all(&mut self.sides.local);
    }

    // --- events ---

    /// An event of a flow or of a listener's UDP socket.
    pub(super) fn flow_event(&mut self, event: Event) {
        let Sides { picks, local, .. } = &mut self.sides;
        match event {
            Event::Datagram { key, buffer, more } if key.owner() == Owner::Flow => {
                self.flows.backend_datagram(key, buffer, more, picks, local);
            }
            Event::Datagram { key, buffer, more } => {
                self.flows.client_datagram(key, buffer, more, picks, local);
            }
            Event::DatagramLost { key, failure } => {
                self.flows.datagram_lost(key, failure, picks, local);
            }
            Event::ReceiveEnded { key, failure } if key.owner() == Owner::Flow => {
                self.flows.listening_ended(key, failure, picks, local);
            }
            Event::ReceiveEnded { key, failure } => self.flows.hearing_ended(key, failure, local),
            _ => local.count(Counter::LateCompletions),
        }
    }

    /// Goes on with flows that earlier turns had no time for.
    pub(super) fn resume_flows(&mut self) {
        let Sides { picks, local, .. } = &mut self.sides;
        self.flows.begin_turn(picks, local);
    }

    /// The timer of a listener's UDP socket has fired.
    pub(super) fn receiver_timer(&mut self, key: Key) {
        let Sides { picks, local, .. } = &mut self.sides;
        self.flows.receiver_timer(key, picks, local);
    }

    // --- after a panic ---

    /// Ends the receives of listeners' sockets.
    pub(super) fn cancel_receivers(&mut self) {
        self.flows.cancel_receives(&mut self.sides.local);
    }

    /// True while one of them is in flight.
    pub(super) fn is_receiving(&self) -> bool {
        self.flows.receivers().any(|receiver| receiver.is_hearing())
    }

    /// One of them has ended.
    pub(super) fn note_silent(&mut self, key: Key) {
        if key.owner() == Owner::Listener {
            self.flows.note_silent(key);
        }
    }

    /// The sockets of listeners, which belong to the caller now.
    pub(super) fn take_receivers(&mut self) -> Vec<Socket> {
        self.flows.take_receivers()
    }
}
