//! The state of a client connection. It is small, because most connections are idle: the state of
//! an exchange is kept with the exchange.

use crate::base::{Instant, ListenerId, TimerId};
use crate::engine::{Close, Key, Socket};
use crate::link::{Chain, Link};
use crate::stats::CloseReason;
use crate::table::{ClientId, ExchangeId, Operating, Table};
use std::net::SocketAddr;

/// The state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No byte of the next request has been received.
    AwaitingHead,
    /// Part of a head has been received.
    ReadingHead,
    /// A request is with a backend, or waits for one.
    Exchanging(ExchangeId),
    /// Bytes are forwarded both ways after an upgrade.
    Tunnelling(ExchangeId),
    /// The last answer is being sent; then the connection closes.
    Finishing,
    /// The last answer is being sent; bytes that the client still sends are dropped.
    Lingering,
    /// The last answer has been sent; bytes that the client still sends are dropped, but not after
    /// `until`.
    Discarding {
        /// The time at which the connection closes.
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
    /// Its state.
    pub state: State,
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// Its listener was removed: the session ends with its present exchange.
    pub is_leaving: bool,
    /// The connection may be kept after the present exchange.
    pub keep_alive: bool,
    /// How the socket is closed in the end. By a reset, if nothing else shows the client that its
    /// answer is incomplete.
    pub close: Close,
    /// The reason for its end.
    pub close_reason: CloseReason,
    /// Received and not processed yet: pipelined requests.
    pub inbox: Chain,
    /// The part of a head, or of a trailer section, from earlier reads.
    pub partial: Option<Box<[u8]>>,
    /// The time at which the present state has lasted too long.
    pub deadline: Instant,
    /// Fires at `alarm`, which is never after `deadline`.
    pub timer: Option<TimerId>,
    /// See `timer`.
    pub alarm: Instant,
    /// It has been polled since its last request, and its deadline is the end of its idle time.
    pub was_polled: bool,
    /// Requests so far.
    pub requests: u32,
    /// Bytes dropped: line ends before the next request, or bytes after the last answer.
    pub dropped_bytes: u32,
    /// Bytes that the client had acknowledged when it was last found to be slow, the low bits.
    pub acknowledged: u32,
}

impl Session {
    /// A session whose connection is open.
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

    /// The exchange in flight, or the one that began the tunnel.
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

    /// Idle: at least one request served, none pending. A client whose next request has been
    /// received, and waits until its answers are read, is not idle.
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

// The session is the only memory of the process that an idle connection uses.
const _: () = assert!(size_of::<Session>() <= 256);
