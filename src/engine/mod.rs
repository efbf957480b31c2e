//! The interface of the data plane to the outside: sockets, buffers, time. A connection is a state
//! machine that takes an [`Event`] and calls methods of [`Engine`]; it never sees the kernel, so
//! the simulator is just another engine, and another system interface may be one too.
//!
//! Does not: know HTTP, connections' use or pools; mention kernel types; allocate per operation.
//!
//! Contract of every engine:
//! - An operation is named by its [`Op`] and the [`Key`] of its owner. There is at most one
//!   operation of a kind per key at a time, but any number of sends of datagrams.
//! - Each operation ends with exactly one final event, also after [`Engine::cancel`]. `Accept`
//!   and the receives may give any number of events with `more` set before it. The send of a
//!   datagram has an event only if it fails.
//! - A buffer that arrived with an event belongs to its receiver until [`Engine::release`]. A
//!   buffer named in a send must not be released or written before its `Sent` event.
//! - Closing a socket does not end its operations: cancel, await their final events, then close.

mod datagram;
mod event;
mod key;

pub mod uring;

pub use datagram::{DATAGRAM_HEADROOM, Datagram, Destination};
pub use event::{Event, Failure, ReceiveFlags};
pub use key::{Key, Op, Owner};

use crate::base::Instant;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// An open socket, as the engine names it. Not closed when dropped: its owner closes it through the
/// engine once no operation is in flight on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Socket(pub i32);

/// One of the engine's buffers: of [`Engine::buffer_size`], or small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// Bytes of a small buffer. Most requests' heads fit one, and a request that waits for its answer
/// holds no more than that.
pub const SMALL_BUFFER_BYTES: usize = 3 * 1024;

/// The size of a private buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// [`SMALL_BUFFER_BYTES`], or more where no such buffer is left.
    Small,
    /// [`Engine::buffer_size`].
    Whole,
}

impl Room {
    /// The smallest size that holds this many bytes.
    pub fn of(bytes: usize) -> Self {
        if bytes <= SMALL_BUFFER_BYTES { Self::Small } else { Self::Whole }
    }
}

/// A range of one buffer, in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The buffer.
    pub buffer: BufferId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Slice {
    /// Bytes in the range.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// True if the range holds no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Buffers that are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuffersHeld {
    /// Buffers that arrived with data or a datagram and were not released.
    pub receive: u32,
    /// Buffers that were acquired and not released.
    pub private: u32,
}

/// The address that a connection to a backend, or a flow, comes from; the kernel chooses the port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The kernel chooses it by the route.
    #[default]
    Any,
    /// An address of this machine.
    Own(IpAddr),
    /// An address of another machine, as that of a client. What is sent to it must be routed here.
    Foreign(IpAddr),
}

/// How a socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Bytes that were sent are still delivered.
    Graceful,
    /// The peer gets a reset (RST), so that it does not take a partial message for a complete one.
    Reset,
}

/// Most ranges that one [`Engine::send`] takes.
pub const SEND_SLICES_MAX: usize = 16;

/// Wakes a shard from another thread; cheap, never blocks.
pub trait Wake: Send + Sync {
    /// Makes the shard's current or next wait return at once.
    fn wake(&self);
}

/// Sockets, buffers and time for one shard. Used by one thread.
pub trait Engine {
    /// The time at which this turn began. It does not advance within a turn.
    fn now(&self) -> Instant;

    /// The wall clock, whole seconds since 1970 in UTC; 0 before that. It may be set back.
    fn wall_seconds(&self) -> u64;

    /// Submits all operations that were requested since the last turn, then waits for an event, a
    /// wake or `deadline`, whichever is first. Does not wait if events are left from the last turn.
    fn turn(&mut self, deadline: Instant);

    /// The next event; none if a new turn is due.
    fn next_event(&mut self) -> Option<Event>;

    /// Accepts connections on a listening socket: `Accepted` for each, until cancelled or failed;
    /// or only one, without `takes_many`.
    fn accept(&mut self, listener: Socket, key: Key, takes_many: bool);

    /// Accepts one waiting connection at once, for a listener that is about to close.
    fn accept_now(&mut self, listener: Socket) -> Option<Socket>;

    /// The peer's address; none if the peer is already disconnected.
    fn peer_address(&self, socket: Socket) -> Option<SocketAddr>;

    /// The address that the peer connected to; none if it is not known.
    fn local_address(&self, socket: Socket) -> Option<SocketAddr>;

    /// Opens a socket and connects it: `Connected` has the result. The caller must close the socket
    /// in either case.
    fn connect(&mut self, address: SocketAddr, source: Source, key: Key)
    -> Result<Socket, Failure>;

    /// Receives into buffers of the shared ring as data arrives: `Received` for each, then
    /// `ReceiveEnded`. There is no back-pressure: cancel when enough is held.
    fn receive(&mut self, socket: Socket, key: Key);

    /// Waits for data, or for the end, without receiving it: one `Readable`. Costs the kernel a
    /// third of an armed receive, for connections that have been idle for long.
    fn poll(&mut self, socket: Socket, key: Key);

    /// Sends the ranges in order, all of them unless the connection fails: one `Sent`. At least one
    /// range, at most [`SEND_SLICES_MAX`]. `is_last`: the caller ends the stream as soon as they
    /// are sent (with [`Engine::shutdown_write`] or [`Engine::close`]), so the last of them may
    /// wait for that and travel in one segment with FIN.
    fn send(&mut self, socket: Socket, key: Key, slices: &[Slice], is_last: bool);

    /// A number that grows by the bytes that the peer acknowledges; 0 if unknown. Distinguishes a
    /// slow reader from a dead one.
    fn acknowledged(&self, socket: Socket) -> u64;

    /// Sends the last bytes of a connection that is about to close, as far as its socket takes them
    /// without waiting. No send is in flight on it.
    fn send_at_once(&mut self, socket: Socket, bytes: &[u8]);

    /// Bytes that were sent and that the peer has not acknowledged, those that wait for the end of
    /// the stream and the end itself included; 0 if that is unknown, or the connection is broken.
    fn unacknowledged(&self, socket: Socket) -> u32;

    /// Has the kernel probe the peer of a connection that is silent for `idle`, and reset the
    /// connection of one that does not answer. Zero: never.
    fn keep_alive(&mut self, socket: Socket, idle: Duration);

    /// Ends the proxy's direction of the stream behind all bytes that were sent.
    fn shutdown_write(&mut self, socket: Socket);

    /// Opens a UDP socket that is connected to an address: it receives from there only, and sends
    /// there. The caller closes it.
    fn connect_datagrams(&mut self, address: SocketAddr, source: Source)
    -> Result<Socket, Failure>;

    /// Receives datagrams into buffers of their own: `Datagram` for each, then `ReceiveEnded`. An
    /// empty datagram may end the receive, as its final event.
    fn receive_datagrams(&mut self, socket: Socket, key: Key);

    /// A datagram that was received into a held buffer.
    fn datagram(&self, buffer: BufferId) -> Datagram;

    /// Sends a datagram in the next turn, or not at all: `DatagramLost` if it cannot be sent. It
    /// lies in a buffer that came with a datagram, and that belongs to the engine from here on. To
    /// the peer of a connected socket, or to `destination`.
    fn send_datagram(
        &mut self,
        socket: Socket,
        key: Key,
        slice: Slice,
        destination: Option<Destination>,
    );

    /// True if datagrams are to be sent in the next turn, or UDP sockets closed.
    fn has_datagrams(&self) -> bool;

    /// Has new datagrams go past a socket that is bound and not connected: to others that are bound
    /// to its address, or to nobody. Those that wait in it are still received, and it still sends.
    fn turn_datagrams_away(&mut self, socket: Socket);

    /// Closes a UDP socket on which no receive is in flight, after the datagrams that it has still
    /// to send.
    fn close_datagrams(&mut self, socket: Socket);

    /// Requests the end of an operation; its final event follows. Harmless if it has ended.
    fn cancel(&mut self, op: Op, key: Key);

    /// Closes a socket on which no operation is in flight.
    fn close(&mut self, socket: Socket, how: Close);

    /// A free private buffer; none when the configured memory is used up.
    fn acquire(&mut self, room: Room) -> Option<BufferId>;

    /// Releases a buffer, whether it came from `acquire` or with an event.
    fn release(&mut self, buffer: BufferId);

    /// Size of every buffer but small ones, bytes.
    fn buffer_size(&self) -> usize;

    /// All bytes of a buffer. Those that were never written are unspecified, but not undefined.
    fn bytes(&self, buffer: BufferId) -> &[u8];

    /// All bytes of a buffer, for writing.
    fn bytes_mut(&mut self, buffer: BufferId) -> &mut [u8];

    /// One buffer to read and another one to write.
    fn bytes_pair(&mut self, read: BufferId, write: BufferId) -> (&[u8], &mut [u8]);

    /// True while so few receive buffers are free that none should be held for long.
    fn receive_buffers_scarce(&self) -> bool;

    /// True while so many buffers are in use that no connection should receive much more than it
    /// can forward. Becomes true before [`Engine::receive_buffers_scarce`].
    fn buffers_low(&self) -> bool;

    /// Buffers that were not released. Without traffic there is none.
    fn buffers_held(&self) -> BuffersHeld;

    /// True for a buffer of the receive ring, which receives wait for when it is scarce.
    fn is_receive_buffer(&self, buffer: BufferId) -> bool;
}
