//! What is kept of a client connection. It is small, because most connections are idle: what an
//! exchange needs is kept with the exchange.

use super::exchange::ExchangeId;
use crate::base::{Instant, ListenerId, TimerId};
use crate::engine::{Close, Key, Owner, Socket};
use crate::link::{Chain, Link};
use crate::stats::CloseReason;
use slab::Slab;
use std::net::SocketAddr;

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No byte of the next request has come.
    AwaitingHead,
    /// Part of a head has come.
    ReadingHead,
    /// A request is with a backend.
    Exchanging,
    /// Bytes go both ways after an upgrade.
    Tunnelling,
    /// The last answer is being sent; then it closes.
    Finishing,
    /// The last answer is being sent; what the client still sends is dropped.
    Lingering,
    /// The last answer has been sent; what the client still sends is dropped, but not after
    /// `until`.
    Discarding {
        /// Then it closes.
        until: Instant,
    },
    /// Waits for its operations to end.
    Closing,
}

/// One client connection.
#[derive(Debug)]
pub struct Session {
    /// Its socket and operations.
    pub link: Link,
    /// The client's address.
    pub client: SocketAddr,
    /// What it is doing.
    pub state: State,
    /// Where it was accepted.
    pub listener: ListenerId,
    /// Its listener is gone: it ends with its present exchange.
    pub is_leaving: bool,
    /// The connection may be kept after the present exchange.
    pub keep_alive: bool,
    /// How the socket is closed in the end. By a reset, if nothing else shows the client that its
    /// answer is not whole.
    pub close: Close,
    /// Why it ends.
    pub close_reason: CloseReason,
    /// Received, and not looked at yet: requests that came before their turn.
    pub inbox: Chain,
    /// The part of a head, or of a trailer section, that came with earlier reads.
    pub partial: Option<Box<[u8]>>,
    /// The exchange in flight.
    pub exchange: Option<ExchangeId>,
    /// When the present state has lasted too long.
    pub deadline: Instant,
    /// Fires at `alarm`, which is never after `deadline`.
    pub timer: Option<TimerId>,
    /// See `timer`.
    pub alarm: Instant,
    /// It has been polled since its last request, and its deadline is the end of its idle time.
    pub was_polled: bool,
    /// Requests so far.
    pub requests: u32,
    /// Bytes dropped: line ends before the next request, or what came after the last answer.
    pub dropped_bytes: u32,
    /// Bytes that the client had acknowledged when it was last found to be slow, the low bits.
    pub acknowledged: u32,
}

impl Session {
    /// Kept by a client that has been served and asks for nothing at the moment. One whose next
    /// request is here, and only waits until its answers are read, is not idle.
    pub fn is_idle(&self) -> bool {
        self.state == State::AwaitingHead && self.requests > 0 && self.inbox.is_empty()
    }
}

/// All sessions of a shard.
#[derive(Default)]
pub struct Sessions {
    slots: Slab<Session>,
    generation: u32,
}

impl Sessions {
    /// Without a session, and with room for so many. Room costs no memory before it is used, but
    /// a table that grows is copied, which takes time and leaves holes.
    pub fn with_capacity(sessions: usize) -> Self {
        Self { slots: Slab::with_capacity(sessions), generation: 0 }
    }

    /// Adds a session whose connection is open; returns its index.
    pub fn insert(&mut self, socket: Socket, client: SocketAddr, listener: ListenerId) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        let key = Key::new(Owner::Client, self.slots.vacant_key(), self.generation);
        let index = self.slots.insert(Session {
            link: Link::new(socket, key),
            client,
            state: State::AwaitingHead,
            listener,
            is_leaving: false,
            keep_alive: true,
            close: Close::Graceful,
            close_reason: CloseReason::ClientClosed,
            inbox: Chain::default(),
            partial: None,
            exchange: None,
            deadline: Instant::default(),
            timer: None,
            alarm: Instant::default(),
            was_polled: false,
            requests: 0,
            dropped_bytes: 0,
            acknowledged: 0,
        });
        index as u32
    }

    /// The session of an operation; none if the operation is older than the slot's tenant.
    pub fn find(&self, key: Key) -> Option<u32> {
        let session = self.slots.get(key.index())?;
        (session.link.key == key).then_some(key.index() as u32)
    }

    /// A session that exists.
    pub fn at(&mut self, index: u32) -> &mut Session {
        &mut self.slots[index as usize]
    }

    /// Takes a session out; its socket has been closed.
    pub fn remove(&mut self, index: u32) -> Session {
        self.slots.remove(index as usize)
    }

    /// Number of sessions.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True without a session.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Indexes of all sessions.
    pub fn indexes(&self) -> Vec<u32> {
        self.slots.iter().map(|(index, _)| index as u32).collect()
    }
}

// A session that only waits is all that an idle connection costs in memory of ours.
const _: () = assert!(size_of::<Session>() <= 256);
