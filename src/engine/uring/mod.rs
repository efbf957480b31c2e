//! The engine on io_uring: multishot accept, multishot receive from a provided-buffer ring, sends
//! straight from the buffers that were received into. Kernel 6.1 or newer.
//!
//! Does: translate method calls to submissions and completions to events; own the ring and the
//! buffers. Does not: know the purpose of a connection. It must not move to another thread: the
//! ring takes submissions only from the thread that built it (`SINGLE_ISSUER`).
#![allow(unsafe_code)]

mod buffers;
mod completion;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod contract_of_datagrams;
mod features;
mod free_list;
mod options;
mod private;
mod probe;
mod provision;
mod receive_ring;
mod recvmsg;
mod sends;
mod setup;
mod setup_error;
mod submission;

pub use features::Features;
pub use options::UringOptions;
pub use probe::probe;
pub use setup_error::SetupError;

use self::buffers::Buffers;
use self::sends::Sends;
use self::submission::Scratch;
use super::{
    BufferId, BuffersHeld, Close, Datagram, Destination, Engine, Event, Failure, Key, Op, Room,
    Slice, Socket, Source,
};
use crate::base::Instant;
use crate::sys::event_fd::EventFd;
use crate::sys::source::NotMade;
use crate::sys::{clock, socket, udp};
use io_uring::IoUring;
use std::collections::VecDeque;
use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The buffer group of the receive ring.
const RECEIVE_GROUP: u16 = 0;
/// The buffer group of datagrams.
const DATAGRAM_GROUP: u16 = 1;

/// Sockets, buffers and time from one io_uring.
pub struct Uring {
    // The ring goes first: its descriptor is closed before anything it points to is dropped.
    ring: IoUring,
    buffers: Buffers,
    sends: Sends,
    /// Buffers of datagrams that are sent by the next submission, which the kernel copies there.
    sent_datagrams: Vec<BufferId>,
    /// The UDP socket that was just connected: nothing has been sent on it.
    opened_last: Option<Socket>,
    /// UDP sockets that close behind it.
    closing: Vec<Socket>,
    scratch: Scratch,
    wake: Arc<EventFd>,
    /// `/dev/null`, which gives nothing to read: how buffers come back that the kernel has. Without
    /// it they come back as data arrives.
    null: Option<File>,
    /// The connection of the last event, if that is that it was made.
    connected_last: Option<Key>,
    /// Completions that had to be taken out of a full queue before their turn.
    early: VecDeque<io_uring::cqueue::Entry>,
    /// Receives of datagrams for which there is no memory.
    refused: Vec<Key>,
    now: Instant,
    /// The kernel had no memory in the last turn, and that has been logged.
    is_short_of_memory: bool,
}

impl Uring {
    /// Builds the ring, its buffers and the wake-up. Must be called on the thread that uses it.
    ///
    /// # Errors
    /// A sentence that names the remedy; see [`SetupError`].
    pub fn new(options: &UringOptions, wake: Arc<EventFd>) -> Result<Self, SetupError> {
        Self::with_features(options, Features::ALL, wake)
    }

    /// The same, without those newer features that are not asked for. For tests: it behaves as on
    /// an older kernel.
    ///
    /// # Errors
    /// As [`Uring::new`].
    pub fn with_features(
        options: &UringOptions,
        features: Features,
        wake: Arc<EventFd>,
    ) -> Result<Self, SetupError> {
        let (ring, buffers, features) = setup::build(options, features)?;
        tracing::debug!(?features, "a ring is built");
        let mut engine = Self {
            ring,
            buffers,
            sends: Sends::default(),
            sent_datagrams: Vec::new(),
            opened_last: None,
            closing: Vec::new(),
            is_short_of_memory: false,
            scratch: Scratch::new(),
            wake,
            connected_last: None,
            null: File::open("/dev/null").ok(),
            early: VecDeque::with_capacity(64),
            refused: Vec::new(),
            now: clock::monotonic(),
        };
        engine.arm_wake();
        Ok(engine)
    }
}

impl Engine for Uring {
    fn now(&self) -> Instant {
        self.now
    }

    fn wall_seconds(&self) -> u64 {
        clock::wall_seconds()
    }

    fn turn(&mut self, deadline: Instant) {
        let has_events = !self.early.is_empty() || !self.refused.is_empty();
        self.enter(if has_events { self.now } else { deadline });
        self.now = clock::monotonic();
        self.buffers.begin_turn(self.now);
        self.take_buffers_back();
    }

    fn next_event(&mut self) -> Option<Event> {
        self.connected_last = None;
        if let Some(key) = self.refused.pop() {
            return Some(Event::ReceiveEnded { key, failure: Some(Failure::OutOfResources) });
        }
        loop {
            let entry = match self.early.pop_front() {
                Some(entry) => entry,
                None => self.ring.completion().next()?,
            };
            if let Some(event) = self.translate(&entry) {
                return Some(event);
            }
        }
    }

    fn accept(&mut self, listener: Socket, key: Key, takes_many: bool) {
        self.submit_accept(listener, key, takes_many);
    }

    fn accept_now(&mut self, listener: Socket) -> Option<Socket> {
        socket::accept_now(listener)
    }

    fn peer_address(&self, socket: Socket) -> Option<SocketAddr> {
        socket::peer_address(socket)
    }

    fn local_address(&self, socket: Socket) -> Option<SocketAddr> {
        socket::own_address(socket)
    }

    fn connect(
        &mut self,
        address: SocketAddr,
        source: Source,
        key: Key,
    ) -> Result<Socket, Failure> {
        let socket = socket::open(address, source).map_err(|error| match error {
            NotMade::NoSocket(error) => completion::failure_of(&error),
            NotMade::NoSource(_) => Failure::NoSource,
        })?;
        self.submit_connect(socket, address, key);
        Ok(socket)
    }

    fn receive(&mut self, socket: Socket, key: Key) {
        self.submit_receive(socket, key);
    }

    fn poll(&mut self, socket: Socket, key: Key) {
        self.submit_poll(socket, key);
    }

    fn send(&mut self, socket: Socket, key: Key, slices: &[Slice], is_last: bool) {
        self.sends.begin(key, slices);
        self.submit_send(socket, key, slices, is_last);
    }

    fn acknowledged(&self, socket: Socket) -> u64 {
        socket::acknowledged(socket)
    }

    fn send_at_once(&mut self, socket: Socket, bytes: &[u8]) {
        socket::send_at_once(socket, bytes);
    }

    fn unacknowledged(&self, socket: Socket) -> u32 {
        socket::unacknowledged(socket)
    }

    fn keep_alive(&mut self, socket: Socket, idle: Duration) {
        socket::keep_alive(socket, idle);
    }

    fn shutdown_write(&mut self, socket: Socket) {
        socket::shutdown_write(socket);
    }

    fn connect_datagrams(
        &mut self,
        address: SocketAddr,
        source: Source,
    ) -> Result<Socket, Failure> {
        let made = udp::connect(address, source).map_err(|error| match error {
            NotMade::NoSocket(error) => completion::failure_of_connect(&error),
            NotMade::NoSource(_) => Failure::NoSource,
        });
        self.opened_last = made.ok();
        made
    }

    fn receive_datagrams(&mut self, socket: Socket, key: Key) {
        if self.opened_last.take() != Some(socket) {
            // Else a receive of a socket with such an error would be tried again and again.
            udp::drop_errors(socket);
        }
        match self.buffers.need_datagrams(&self.ring) {
            Ok(()) => self.submit_receive_datagrams(socket, key),
            Err(error) => {
                tracing::error!(%error, "datagrams cannot be received");
                self.refused.push(key);
            }
        }
    }

    fn datagram(&self, buffer: BufferId) -> Datagram {
        recvmsg::parse(buffer, self.buffers.bytes(buffer))
    }

    fn send_datagram(
        &mut self,
        socket: Socket,
        key: Key,
        slice: Slice,
        destination: Option<Destination>,
    ) {
        self.submit_datagram(socket, key, slice, destination);
        self.sent_datagrams.push(slice.buffer);
    }

    fn has_datagrams(&self) -> bool {
        !self.sent_datagrams.is_empty() || !self.closing.is_empty()
    }

    fn turn_datagrams_away(&mut self, socket: Socket) {
        if let Err(error) = udp::turn_away(socket) {
            tracing::warn!(%error, "a socket cannot leave its port before it is closed");
        }
    }

    fn close_datagrams(&mut self, socket: Socket) {
        self.closing.push(socket);
    }

    fn cancel(&mut self, op: Op, key: Key) {
        self.submit_cancel(op, key);
    }

    fn close(&mut self, socket: Socket, how: Close) {
        if how == Close::Reset {
            socket::reset_on_close(socket);
        }
        socket::close(socket);
    }

    fn acquire(&mut self, room: Room) -> Option<BufferId> {
        self.buffers.acquire(room)
    }

    fn release(&mut self, buffer: BufferId) {
        self.sends.check(buffer);
        self.buffers.release(buffer);
    }

    fn buffer_size(&self) -> usize {
        self.buffers.size()
    }

    fn bytes(&self, buffer: BufferId) -> &[u8] {
        self.buffers.bytes(buffer)
    }

    fn bytes_mut(&mut self, buffer: BufferId) -> &mut [u8] {
        self.sends.check(buffer);
        self.buffers.bytes_mut(buffer)
    }

    fn bytes_pair(&mut self, read: BufferId, write: BufferId) -> (&[u8], &mut [u8]) {
        self.sends.check(write);
        self.buffers.bytes_pair(read, write)
    }

    fn receive_buffers_scarce(&self) -> bool {
        self.buffers.is_scarce()
    }

    fn buffers_low(&self) -> bool {
        self.buffers.is_low()
    }

    fn buffers_held(&self) -> BuffersHeld {
        self.buffers.held_count()
    }

    fn is_receive_buffer(&self, buffer: BufferId) -> bool {
        self.buffers.is_receive_buffer(buffer)
    }
}
