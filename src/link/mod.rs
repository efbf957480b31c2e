//! One end of one connection: its socket, the operations in flight on it, and the bytes that wait
//! to be sent. Connections of clients and to backends are both built on it.
//!
//! `wire` operates links, `secure` protects the bytes of those that have TLS.
//!
//! Does: keep the engine's contract (one operation of a kind, nothing closed while an operation is
//! in flight), batch sends, apply back-pressure. Does not: know the meaning of the bytes.

mod chain;
mod delivery;
mod secure;
mod wire;

pub use chain::{Chain, Chains};
pub use delivery::Delivery;
pub use secure::{OpenFault, Opened, Secure};
pub use wire::{Joined, Wire};

use crate::engine::{Key, Socket};

/// Buffers that may wait in an outbox before its source is paused, and the count at which the
/// source is resumed.
pub const OUTBOX_HIGH: u32 = 16;
/// See [`OUTBOX_HIGH`].
pub const OUTBOX_LOW: u32 = 4;
/// The same as [`OUTBOX_HIGH`] while buffers are low.
pub const OUTBOX_HIGH_WHEN_LOW: u32 = 2;

/// The life of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// A connect is in flight.
    Connecting,
    /// Connected; the TLS handshake of a connection to a backend is not complete.
    Securing,
    /// Connected, or broken.
    Open,
    /// Closed; its row is free at the end of the turn.
    Closed,
}

/// The peer's direction of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
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
    /// A poll is armed: it reports data, and the end of the stream, without a buffer.
    Polling,
    /// The peer has ended its direction.
    Ended,
}

/// The proxy's direction of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Bytes can be sent.
    Open,
    /// It ends once the outbox is empty, or has ended.
    Ending,
    /// Nothing can be sent any more: the connection is broken, or about to be closed.
    Failed,
}

/// Whether what waits on a link is about to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Nothing is scheduled.
    None,
    /// Its key waits in the list of links to be flushed.
    Due,
    /// The same, and no buffer was left for it meanwhile: it is flushed once more in the next turn,
    /// whatever the present flush brings.
    DueTwice,
    /// No buffer was left for it: it is flushed in the next turn.
    Postponed,
}

/// One end of one connection.
#[derive(Debug)]
pub struct Link {
    /// The socket.
    pub socket: Socket,
    /// The owner of every operation on the socket.
    pub key: Key,
    /// The ranges to be sent, in order; a send in flight covers its front. After the failure of a
    /// send that took no byte of it, another connection may send it, unless a range that was to
    /// follow has been dropped.
    pub outbox: Chain,
    /// Bytes that the send in flight covers; 0 without one.
    pub sending: u32,
    /// The life of the socket.
    pub life: Life,
    /// The peer's direction.
    pub read: Read,
    /// The proxy's direction.
    pub write: Write,
    /// The flush that is scheduled.
    pub flush: Flush,
    /// TLS, where the connection has it: `outbox` is what it seals next.
    pub secure: Option<Box<Secure>>,
}

const _: () = assert!(size_of::<Link>() <= 64);

impl Link {
    /// A link on which nothing is in flight, or its connect.
    pub fn new(socket: Socket, key: Key, life: Life) -> Self {
        Self {
            socket,
            key,
            outbox: Chain::default(),
            sending: 0,
            life,
            read: Read::Off,
            write: Write::Open,
            flush: Flush::None,
            secure: None,
        }
    }

    /// True if no operation is in flight: the socket may be closed.
    pub fn is_quiet(&self) -> bool {
        self.sending == 0
            && self.life != Life::Connecting
            && matches!(self.read, Read::Off | Read::OutOfBuffers | Read::Ended)
    }

    /// True if nothing waits to be sent: all has been, or nothing can be any more.
    pub fn is_flushed(&self) -> bool {
        self.waiting() == 0 || (self.is_broken() && self.sending == 0)
    }

    /// Ranges that wait to be sent, sealed ones with them.
    fn waiting(&self) -> u32 {
        self.outbox.len() + self.secure.as_ref().map_or(0, |secure| secure.sealed.len())
    }

    /// True while its connection is being made, its TLS handshake with it.
    pub fn is_connecting(&self) -> bool {
        matches!(self.life, Life::Connecting | Life::Securing)
    }

    /// True if there is a peer to send to.
    fn is_connected(&self) -> bool {
        matches!(self.life, Life::Securing | Life::Open)
    }

    /// True if nothing can be received for want of a buffer.
    pub fn is_starved(&self) -> bool {
        self.read == Read::OutOfBuffers
    }

    /// True if what waits cannot be sent for want of a buffer for its frames or records.
    pub fn is_postponed(&self) -> bool {
        self.flush == Flush::Postponed
    }

    /// True if the peer has ended its direction of the stream.
    pub fn has_ended(&self) -> bool {
        self.read == Read::Ended || self.secure.as_ref().is_some_and(|secure| secure.has_ended)
    }

    /// True if nothing can be sent any more.
    pub fn is_broken(&self) -> bool {
        self.write == Write::Failed
    }
}
