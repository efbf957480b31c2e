//! What an engine reports.

use super::{BufferId, Key, Socket};

/// Why an operation failed, as far as anyone above the engine acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The operation was cancelled.
    Cancelled,
    /// Nobody listens there.
    Refused,
    /// The peer cut the connection, or it broke under a send.
    Reset,
    /// The network gave up waiting.
    TimedOut,
    /// No way to the address.
    Unreachable,
    /// The process or the system has no descriptor left.
    OutOfDescriptors,
    /// No memory for a socket.
    OutOfResources,
    /// No local port is left for connections to this address; to others there may be.
    NoLocalPort,
    /// Of a receive: the ring is empty for the moment; nothing is lost, receive again. Of anything
    /// else: the kernel has no buffer for it.
    NoBuffers,
    /// Anything else, with the system's number.
    Other(i32),
}

/// What follows some received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveFlags {
    /// The receive is still armed; false in its final event.
    pub still_armed: bool,
    /// More bytes were there to be read already.
    pub more_readable: bool,
}

/// Something that happened. Every event but `Woken` names the owner of the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection was taken. `more`: the accept goes on.
    Accepted {
        /// The listener.
        key: Key,
        /// The new connection; the receiver of this event owns it, whatever else it does.
        socket: Socket,
        /// False if this was the final event.
        more: bool,
    },
    /// The accept ended.
    AcceptEnded {
        /// The listener.
        key: Key,
        /// Why.
        failure: Failure,
    },
    /// A connect ended.
    Connected {
        /// The connection.
        key: Key,
        /// How.
        result: Result<(), Failure>,
    },
    /// Bytes arrived, in `0..length` of a buffer that is now the receiver's.
    Received {
        /// The connection.
        key: Key,
        /// Holds the bytes.
        buffer: BufferId,
        /// Number of bytes, at least one.
        length: u32,
        /// What is still to come.
        flags: ReceiveFlags,
    },
    /// The receive ended: the peer's end of stream if there is no failure.
    ReceiveEnded {
        /// The connection.
        key: Key,
        /// Why; none means that the peer has sent everything.
        failure: Option<Failure>,
    },
    /// A polled connection has data, or an end, to be received; or the poll was cancelled.
    Readable {
        /// The connection.
        key: Key,
    },
    /// A send ended.
    Sent {
        /// The connection.
        key: Key,
        /// Bytes that were taken; fewer than asked only if the connection fails. A failure: none.
        result: Result<u32, Failure>,
    },
    /// Another thread called [`super::Wake::wake`].
    Woken,
}

const _: () = assert!(size_of::<Event>() <= 24);
