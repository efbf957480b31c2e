//! A scene of datagrams: one shard, clients and backends that a test speaks for.

use super::datagrams::Packet;
use super::scene::{Scene, address};
use ringway::base::{BackendSlot, ListenerId};
use ringway::config::{Config, FlowRules, Protocol};
use ringway::engine::Engine;
use ringway::snapshot::Share;
use ringway::stats::{CloseReason, Counter};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

/// Where clients send to: the listener has all addresses of its host.
pub const ASKED: fn() -> SocketAddr = || ([192, 0, 2, 3], 53).into();

pub struct FlowScene(pub Scene);

impl Deref for FlowScene {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.0
    }
}

impl DerefMut for FlowScene {
    fn deref_mut(&mut self) -> &mut Scene {
        &mut self.0
    }
}

pub fn client(number: u16) -> SocketAddr {
    ([198, 51, 100, (number % 200) as u8], 1024 + number).into()
}

/// A configuration with one listener of UDP on all addresses.
pub fn listens(rules: FlowRules) -> impl FnOnce(&mut Config) {
    move |config| {
        let listener = &mut config.listeners[0];
        listener.protocol = Protocol::Udp;
        listener.address = ([0, 0, 0, 0], 53).into();
        listener.flows = rules;
    }
}

impl FlowScene {
    /// So many backends, and these rules.
    pub fn new(backends: usize, rules: FlowRules) -> Self {
        Self(Scene::with(&vec![Share::Weight(1); backends], listens(rules)))
    }

    /// A datagram is sent to the proxy, which has time for it.
    pub fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.network.borrow_mut().post(Packet { from, to, bytes: bytes.to_vec() });
        self.turns(3);
    }

    /// A client asks; what comes to a backend for it, if anything does.
    pub fn ask(&mut self, number: u16, bytes: &[u8]) -> Option<Packet> {
        self.send(client(number), ASKED(), bytes);
        self.come()
    }

    /// The same, where it comes to a backend; its slot.
    pub fn asks(&mut self, number: u16, bytes: &[u8]) -> (Packet, usize) {
        let packet = self.ask(number, bytes).expect("a backend gets it");
        assert_eq!(packet.bytes, bytes);
        let slot = (0..9).find(|slot| address(*slot) == packet.to).expect("a backend");
        (packet, slot)
    }

    /// A backend answers what came to it; what comes to a client, if anything does.
    pub fn answer(&mut self, asked: &Packet, bytes: &[u8]) -> Option<Packet> {
        self.send(asked.to, asked.from, bytes);
        self.come()
    }

    /// The next datagram that has come to an actor.
    pub fn come(&mut self) -> Option<Packet> {
        self.network.borrow_mut().datagrams.arrived.pop_front()
    }

    pub fn closes(&self, reason: CloseReason) -> u64 {
        self.mailbox.counters.read_closes(reason)
    }

    pub fn flows(&self) -> usize {
        let ledger = &self.mailbox.shared.ledger;
        ledger.listeners(ListenerId(0)).map(|cell| cell.sessions() as usize).sum()
    }

    /// UDP sockets of flows that are open.
    pub fn sockets(&self) -> usize {
        let network = self.network.borrow();
        network.datagrams.mouths.values().filter(|mouth| mouth.peer.is_some()).count()
    }

    /// Nothing of any flow is left.
    pub fn is_clean(&mut self) {
        self.turns(10);
        assert_eq!((self.flows(), self.sockets()), (0, 0), "flows are left");
        assert_eq!(self.shard.traffic().flows().len(), 0, "rows are left");
        assert_eq!(self.shard.traffic().engine().held_count(), 0, "buffers are left");
        let ledger = &self.mailbox.shared.ledger;
        for slot in (0..9).map(BackendSlot) {
            let open: u32 = ledger.backends(slot).map(|cell| cell.connections()).sum();
            assert_eq!((ledger.in_flight(slot), open), (0, 0), "{slot:?}");
        }
        let ends = CloseReason::ALL.iter().map(|reason| self.closes(*reason)).sum::<u64>();
        assert_eq!(ends, self.count(Counter::FlowsOpened), "each has one end");
        assert_eq!(self.count(Counter::LateCompletions), 0);
        let now = self.shard.traffic().engine().now();
        assert!(self.network.borrow().now >= now);
    }
}
