//! The events of an engine.

use super::{BufferId, Key, Socket};

/// The failure of an operation, as far as the code above the engine distinguishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The operation was cancelled.
    Cancelled,
    /// No process listens on the address.
    Refused,
    /// The peer reset the connection, or it broke during a send.
    Reset,
    /// The network timed out.
    TimedOut,
    /// No route to the address.
    Unreachable,
    /// The process or the system has no descriptor left.
    OutOfDescriptors,
    /// No memory for a socket.
    OutOfResources,
    /// No local port is left for connections to this address; there may be one for others.
    NoLocalPort,
    /// The connection cannot come from the address that was asked for.
    NoSource,
    /// Of a receive: the ring is empty at the moment; no data is lost, receive again. Of any other
    /// operation: the kernel has no buffer for it.
    NoBuffers,
    /// A datagram is longer than the socket can send.
    TooLong,
    /// Anything else, with the system's number.
    Other(i32),
}

/// State of the receive after some received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveFlags {
    /// The receive is still armed; false in its final event.
    pub still_armed: bool,
    /// More bytes were already in the socket.
    pub more_readable: bool,
}

/// An event. Every one but `Woken` names the owner of the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection was accepted. `more`: the accept is still armed.
    Accepted {
        /// The listener.
        key: Key,
        /// The new connection; the receiver of this event owns it in any case.
        socket: Socket,
        /// False if this was the final event.
        more: bool,
    },
    /// The accept ended.
    AcceptEnded {
        /// The listener.
        key: Key,
        /// The reason.
        failure: Failure,
    },
    /// A connect ended.
    Connected {
        /// The connection.
        key: Key,
        /// The result.
        result: Result<(), Failure>,
    },
    /// Bytes arrived, in `0..length` of a buffer that belongs to the receiver of the event now.
    Received {
        /// The connection.
        key: Key,
        /// Holds the bytes.
        buffer: BufferId,
        /// Number of bytes, at least one.
        length: u32,
        /// The state of the receive.
        flags: ReceiveFlags,
    },
    /// The receive ended: the peer's end of stream if there is no failure.
    ReceiveEnded {
        /// The connection, or the flow or listener of datagrams.
        key: Key,
        /// The reason; none means that the peer has sent everything.
        failure: Option<Failure>,
    },
    /// A datagram arrived, in a buffer that belongs to the receiver of the event now; see
    /// [`super::Engine::datagram`].
    Datagram {
        /// The flow or listener.
        key: Key,
        /// Holds the datagram.
        buffer: BufferId,
        /// The receive is still armed; false in its final event.
        more: bool,
    },
    /// A datagram could not be sent, and is lost.
    DatagramLost {
        /// The flow or listener.
        key: Key,
        /// The reason.
        failure: Failure,
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
        /// Bytes that were sent; fewer than asked only if the connection fails. A failure: none.
        result: Result<u32, Failure>,
    },
    /// Another thread called [`super::Wake::wake`].
    Woken,
}

const _: () = assert!(size_of::<Event>() <= 24);
