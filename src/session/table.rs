//! What is kept of a client connection. It is small, because most connections are idle: what an
//! exchange needs is kept with the exchange.

use crate::base::{Instant, ListenerId, TimerId};
use crate::engine::{Close, Key, Socket};
use crate::link::{Chain, Link};
use crate::stats::CloseReason;
use crate::table::{ClientId, ExchangeId, Operating, Table};
use std::net::SocketAddr;

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No byte of the next request has come.
    AwaitingHead,
    /// Part of a head has come.
    ReadingHead,
    /// A request is with a backend, or waits for one.
    Exchanging(ExchangeId),
    /// Bytes go both ways after an upgrade.
    Tunnelling(ExchangeId),
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
    /// One whose connection is open.
    pub fn new(socket: Socket, key: Key, client: SocketAddr, listener: ListenerId) -> Self {
        Self {
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
            deadline: Instant::default(),
            timer: None,
            alarm: Instant::default(),
            was_polled: false,
            requests: 0,
            dropped_bytes: 0,
            acknowledged: 0,
        }
    }

    /// The exchange in flight, or that the tunnel began with.
    pub fn exchange(&self) -> Option<ExchangeId> {
        match self.state {
            State::Exchanging(id) | State::Tunnelling(id) => Some(id),
            _ => None,
        }
    }

    /// True after an upgrade.
    pub fn is_tunnel(&self) -> bool {
        matches!(self.state, State::Tunnelling(_))
    }

    /// Kept by a client that has been served and asks for nothing at the moment. One whose next
    /// request is here, and only waits until its answers are read, is not idle.
    pub fn is_idle(&self) -> bool {
        self.state == State::AwaitingHead && self.requests > 0 && self.inbox.is_empty()
    }
}

/// All sessions of a shard.
pub type Sessions = Table<ClientId, Session>;

impl Operating for Session {
    fn key(&self) -> Key {
        self.link.key
    }
}

// A session that only waits is all that an idle connection costs in memory of ours.
const _: () = assert!(size_of::<Session>() <= 256);
