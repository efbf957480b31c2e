//! What one part of a shard leaves for another: signals, in the order in which they came up. The
//! shard's loop takes one after the other until none is left, then the next event. So no part calls
//! another that might call it back, and a chain of short requests is a loop and no recursion.

use crate::stats::CloseReason;
use crate::table::{ClientId, ConnectionId, ExchangeId, Port, RelayId};
use std::collections::VecDeque;

/// How a client's connection ends in the middle of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Queued bytes are sent first: they may contain complete answers to earlier requests. The
    /// framing of an answer shows the client that it is cut short; without framing, a reset does.
    Cut,
    /// At once, with a reset that shows the client that its answer is incomplete.
    Abort,
    /// At once; bytes that wait to be sent are dropped.
    Close,
}

/// Something that is still to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A client has bytes that wait here, or may receive more of them.
    Serve(Port<ClientId>),
    /// A stream of a backend has content that waits here, and its client takes more.
    Deliver(Port<ConnectionId>),
    /// A client's connection ends, and with it what it carries.
    End(ClientId, How, CloseReason),
    /// An exchange is over; its row is free now.
    Over(ExchangeId),
    /// An exchange has become a tunnel.
    Switched(ExchangeId),
    /// Both sides of a relay have ended, and the backend has all that the client sent.
    RelayOver(RelayId),
}

const _: () = assert!(size_of::<Signal>() <= 12);

/// See the module.
#[derive(Debug, Default)]
pub struct Work {
    signals: VecDeque<Signal>,
}

impl Work {
    /// Adds a signal behind the others.
    #[inline]
    pub fn push(&mut self, signal: Signal) {
        self.signals.push_back(signal);
    }

    /// The next signal.
    #[inline]
    pub fn pop(&mut self) -> Option<Signal> {
        self.signals.pop_front()
    }
}
