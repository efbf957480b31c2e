//! One end of one connection: its socket, the operations in flight on it, and what waits to be
//! sent. Sessions and connections to backends are both built on it.
//!
//! Does: keep the engine's contract (one operation of a kind, nothing closed while an operation
//! is in flight), batch what is sent, hold back-pressure. Does not: know what the bytes mean.

mod chain;
mod wire;

pub use chain::{Chain, Chains};
pub use wire::Wire;

use crate::engine::{Key, Socket};

/// Buffers that may wait in an outbox before its source is paused, and the count at which the
/// source goes on.
pub const OUTBOX_HIGH: u32 = 16;
/// See [`OUTBOX_HIGH`].
pub const OUTBOX_LOW: u32 = 4;
/// The same as [`OUTBOX_HIGH`] while buffers are low.
pub const OUTBOX_HIGH_WHEN_LOW: u32 = 2;

/// What a link does about incoming bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiving {
    /// Nothing is armed.
    Off,
    /// A receive is armed.
    Armed,
    /// A receive is armed and has been cancelled; data may still come before it ends. `resume`:
    /// arm it again when it has ended.
    Cancelling {
        /// Arm again.
        resume: bool,
    },
    /// The receive ring was empty; the receive is armed again once buffers are back.
    OutOfBuffers,
}

/// One end of one connection.
#[derive(Debug)]
pub struct Link {
    /// The socket.
    pub socket: Socket,
    /// Names the owner of every operation on the socket.
    pub key: Key,
    /// What waits to be sent, in order; its front is what a send in flight covers.
    pub outbox: Chain,
    /// What waited when a send failed that took nothing of it: a connection in place of this one
    /// may send it, until something that was to follow is dropped.
    pub unsent: Chain,
    /// Bytes that the send in flight covers; 0 without one.
    pub sending: u32,
    /// What it does about incoming bytes.
    pub receiving: Receiving,
    /// A poll is armed.
    pub is_polling: bool,
    /// A connect is in flight.
    pub is_connecting: bool,
    /// Its key waits in the list of links with something to send.
    pub is_dirty: bool,
    /// The peer has ended its direction of the stream.
    pub peer_ended: bool,
    /// We have ended, or are to end once the outbox is empty, our direction of the stream.
    pub write_ended: bool,
    /// Nothing can be sent any more.
    pub is_broken: bool,
    /// The socket has been closed.
    pub is_closed: bool,
}

impl Link {
    /// A link on which nothing is in flight.
    pub fn new(socket: Socket, key: Key) -> Self {
        Self {
            socket,
            key,
            outbox: Chain::default(),
            unsent: Chain::default(),
            sending: 0,
            receiving: Receiving::Off,
            is_polling: false,
            is_connecting: false,
            is_dirty: false,
            peer_ended: false,
            write_ended: false,
            is_broken: false,
            is_closed: false,
        }
    }

    /// True if no operation is in flight: the socket may be closed.
    pub fn is_quiet(&self) -> bool {
        self.sending == 0
            && !self.is_polling
            && !self.is_connecting
            && matches!(self.receiving, Receiving::Off | Receiving::OutOfBuffers)
    }

    /// True if everything that was queued has been sent.
    pub fn is_flushed(&self) -> bool {
        self.outbox.is_empty()
    }
}
