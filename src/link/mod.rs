//! One end of one connection: its socket, the operations in flight on it, and the bytes that wait
//! to be sent. Sessions and connections to backends are both built on it.
//!
//! Does: keep the engine's contract (one operation of a kind, nothing closed while an operation is
//! in flight), batch sends, apply back-pressure. Does not: know the meaning of the bytes.

mod chain;
mod wire;

pub use chain::{Chain, Chains};
pub use wire::Wire;

use crate::engine::{Key, Socket};

/// Buffers that may wait in an outbox before its source is paused, and the count at which the
/// source is resumed.
pub const OUTBOX_HIGH: u32 = 16;
/// See [`OUTBOX_HIGH`].
pub const OUTBOX_LOW: u32 = 4;
/// The same as [`OUTBOX_HIGH`] while buffers are low.
pub const OUTBOX_HIGH_WHEN_LOW: u32 = 2;

/// The state of a link's receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiving {
    /// Nothing is armed.
    Off,
    /// A receive is armed.
    Armed,
    /// A receive is armed and has been cancelled; data may still arrive before it ends. `resume`:
    /// arm it again when it has ended.
    Cancelling {
        /// Arm again.
        resume: bool,
    },
    /// The receive ring was empty; the receive is armed again once the ring has buffers.
    OutOfBuffers,
}

/// One end of one connection.
#[derive(Debug)]
pub struct Link {
    /// The socket.
    pub socket: Socket,
    /// The owner of every operation on the socket.
    pub key: Key,
    /// The ranges to be sent, in order; a send in flight covers its front.
    pub outbox: Chain,
    /// The outbox at the failure of a send that took no byte of it: another connection may send it,
    /// unless a range that was to follow has been dropped.
    pub unsent: Chain,
    /// Bytes that the send in flight covers; 0 without one.
    pub sending: u32,
    /// The state of its receive.
    pub receiving: Receiving,
    /// A poll is armed.
    pub is_polling: bool,
    /// A connect is in flight.
    pub is_connecting: bool,
    /// Its key waits in the list of links with something to send.
    pub is_dirty: bool,
    /// The peer has ended its direction of the stream.
    pub peer_ended: bool,
    /// The proxy's direction of the stream has ended, or ends once the outbox is empty.
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
