//! Flows: the datagrams between an address of a client and an address of a listener, all of which
//! go to one backend, over a socket of the flow's own: so ICMP messages concern no other flow, and
//! answers need no look-up. Answers leave from the listener's socket, and from the address that the
//! client asked.
//!
//! `receiver` is a listener's socket, `arriving` are datagrams of clients, `beginning` finds a
//! place and a backend for a flow, `answering` are datagrams of backends, `ending` is how a flow
//! ends, `turns` is how much of that a turn does.
//!
//! Does not: wait for anything. Datagrams that cannot be sent on at once are dropped and counted.

mod answering;
mod arriving;
mod beginning;
mod ending;
mod index;
mod order;
mod receiver;
mod turns;

pub use receiver::Receiver;

use crate::attempts::Attempts;
use crate::base::{BackendSlot, Instant};
use crate::engine::{BufferId, Close, Engine, Key, Op, Socket};
use crate::local::Local;
use crate::table::{FlowId, Operating, ReceiverId, Table};
use index::Index;
use receiver::Hearing;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use turns::Cut;

/// Most flows of one listener that room is made for at once.
const ROOM_MAX: usize = 1 << 18;

/// What a flow is between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The listener's socket.
    pub receiver: ReceiverId,
    /// The client.
    pub client: SocketAddr,
    /// The address that it sends to.
    pub local: IpAddr,
}

/// What a flow does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Datagrams go both ways.
    Open,
    /// Its client has sent as many datagrams as a flow takes; it still gets answers.
    Answering,
    /// It has ended, and awaits the end of its receive.
    Ended,
}

/// Datagrams, and their bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    datagrams: u64,
    bytes: u64,
}

impl Tally {
    fn add(&mut self, bytes: usize) {
        self.datagrams += 1;
        self.bytes += bytes as u64;
    }
}

/// A flow.
#[derive(Debug)]
pub struct Flow {
    key: Key,
    ends: Endpoints,
    /// Connected to the backend.
    socket: Socket,
    state: State,
    /// A receive is in flight.
    is_receiving: bool,
    /// It counts as one of its client's.
    is_counted: bool,
    /// How it came to its backend.
    attempts: Attempts,
    /// When its last datagram came, from either side.
    used_at: Instant,
    from_client: Tally,
    /// Datagrams of its client that did not reach the backend: no answer comes to them.
    unsent: u64,
    from_backend: Tally,
    /// Its neighbours among the flows of its receiver, in the order of their last datagrams.
    older: Option<FlowId>,
    newer: Option<FlowId>,
}

// With the slab's tag and its place in the index, a flow has less than 300 bytes.
const _: () = assert!(size_of::<Flow>() <= 256);

impl Operating for Flow {
    fn key(&self) -> Key {
        self.key
    }
}

impl Flow {
    fn slot(&self) -> BackendSlot {
        self.attempts.backend.expect("a flow begins with a backend")
    }
}

/// All flows of a shard, and the sockets that their clients send to.
#[derive(Default)]
pub struct Flows {
    table: Table<FlowId, Flow>,
    /// Those that are open, by what they are between.
    index: Index,
    receivers: Table<ReceiverId, Receiver>,
    /// Sockets that were connected to a backend in this turn.
    begun: usize,
    /// Datagrams that came to these listeners' sockets, and whose flows could not begin yet.
    waiting: VecDeque<(Key, BufferId)>,
    cut: Option<Cut>,
}

impl Flows {
    /// True without a flow and without a socket of a listener.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty() && self.receivers.is_empty() && self.waiting.is_empty()
    }

    /// Flows, those whose last operation ends included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// The sockets of listeners.
    pub fn receivers(&self) -> impl Iterator<Item = &Receiver> {
        self.receivers.iter().map(|(_, receiver)| receiver)
    }

    /// Ends the receives of listeners' sockets: the shard does not run again.
    pub fn cancel_receives<E: Engine>(&mut self, local: &mut Local<E>) {
        for (_, receiver) in self.receivers.iter().filter(|(_, one)| one.is_hearing()) {
            local.wire.engine.cancel(Op::ReceiveDatagrams, receiver.key);
        }
    }

    /// The receive of a listener's socket has ended, and is not made again.
    pub fn note_silent(&mut self, key: Key) {
        if let Some(id) = self.receivers.find(key) {
            self.receivers.at(id).hearing = Hearing::Over;
        }
    }

    /// Gives the sockets of listeners away.
    pub fn take_receivers(&mut self) -> Vec<Socket> {
        let receivers = std::mem::take(&mut self.receivers);
        receivers.iter().map(|(_, receiver)| receiver.socket).collect()
    }

    /// Closes the sockets of all flows, whatever is in flight on them: the shard does not run
    /// again.
    pub fn abandon<E: Engine>(&mut self, local: &mut Local<E>) {
        self.drop_waiting(local);
        for (_, flow) in self.table.iter() {
            local.wire.engine.close(flow.socket, Close::Reset);
            if flow.is_counted {
                let clients = &local.reports.mailbox.shared.flows;
                clients.leave(flow.attempts.listener, flow.ends.client.ip());
            }
        }
        self.table = Table::default();
    }
}
