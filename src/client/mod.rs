//! One connection of a client: what it is doing, the bytes that wait on it, and its end. It is
//! small, because most connections are idle: the state of a request is kept with its exchange.
//!
//! `opening` begins it, `announced` keeps what a PROXY header said, `securing` gives it TLS, `http1`
//! reads requests and writes local answers, `http2` does so on streams, `origin` is what an
//! exchange has of it, `sending` forwards what an exchange or a relay has for it, `idle` watches it
//! between two requests, `closing` ends it.
//!
//! Does not: know backends, or the exchange that it carries but for its id.

mod announced;
mod closing;
mod http1;
mod http2;
mod idle;
mod opening;
mod origin;
mod preface;
mod securing;
mod sending;

pub use http1::{Arrival, BodyFault, BodyPart, Step, reason_of};
pub use http2::Arrived;
pub use opening::open;
pub use origin::Origin;
pub use preface::{Asked, Dial, Preface};

use self::announced::Announced;
use self::preface::Beginning;
use crate::base::Instant;
use crate::base::ListenerId;
use crate::engine::{Close, Key, Socket};
use crate::http1::Partial;
use crate::link::{Chain, Delivery, Life, Link};
use crate::local::Clock;
use crate::stats::CloseReason;
use crate::table::{ClientId, ExchangeId, Operating, RelayId, RowId, Table};
use std::net::SocketAddr;

/// What a client's connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// What stands before its protocol is being read.
    Preface(Preface),
    /// It speaks HTTP/1.
    Http1(Step),
    /// It speaks HTTP/2: each of its streams has an exchange.
    Http2,
    /// Its bytes are forwarded both ways, unparsed.
    Relaying(RelayId),
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
    /// All was sent, and a reset is to follow: not before the client has acknowledged it.
    Delivering(Delivery),
    /// Waits for its operations to end.
    Closing,
}

/// One connection of a client.
#[derive(Debug)]
pub struct Client {
    /// Its socket and operations.
    pub link: Link,
    /// The client's address.
    pub address: SocketAddr,
    /// What a PROXY header said of it, and its identifier.
    announced: Option<Box<Announced>>,
    /// What it is doing.
    pub state: State,
    /// It is one of its client's connections. Before its PROXY header it is nobody's.
    is_counted: bool,
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// Its listener was removed: the connection ends with its present exchange.
    pub is_leaving: bool,
    /// The connection may be kept after the present exchange.
    pub keep_alive: bool,
    /// How the socket is closed in the end. By a reset, if nothing else shows the client that its
    /// answer is incomplete.
    pub close: Close,
    /// The reason for its end.
    close_reason: CloseReason,
    /// Received and not processed yet: pipelined requests.
    pub inbox: Chain,
    /// The part of a head, a size line or a trailer section from earlier reads.
    partial: Option<Box<Partial>>,
    /// The part of its preface from earlier reads.
    beginning: Option<Box<Beginning>>,
    /// The time at which the present state has lasted too long.
    clock: Clock,
    /// It has been polled since its last request, and its deadline is the end of its idle time.
    was_polled: bool,
    /// HTTP/2, if it speaks that.
    http2: Option<Box<http2::Http2>>,
    /// Requests so far.
    requests: u32,
    /// Bytes dropped: line ends before the next request, or bytes after the last answer.
    dropped_bytes: u32,
    /// Bytes that the client had acknowledged when it was last found to be slow, the low bits.
    acknowledged: u32,
}

/// All clients' connections of a shard.
pub type Clients = Table<ClientId, Client>;

impl Operating for Client {
    fn key(&self) -> Key {
        self.link.key
    }
}

// The only memory of the process that an idle connection uses.
const _: () = assert!(size_of::<Client>() <= 256);

impl Client {
    /// A connection that is open, and on which nothing has been received.
    fn new(socket: Socket, key: Key, address: SocketAddr, listener: ListenerId) -> Self {
        Self {
            link: Link::new(socket, key, Life::Open),
            address,
            announced: None,
            state: State::Http1(Step::AwaitingHead),
            is_counted: true,
            listener,
            is_leaving: false,
            keep_alive: true,
            close: Close::Graceful,
            close_reason: CloseReason::ClientClosed,
            inbox: Chain::default(),
            partial: None,
            beginning: None,
            clock: Clock::default(),
            was_polled: false,
            http2: None,
            requests: 0,
            dropped_bytes: 0,
            acknowledged: 0,
        }
    }

    /// Its id.
    pub fn id(&self) -> ClientId {
        ClientId::from_row(self.link.key.index())
    }

    /// The exchange that it carries.
    pub fn exchange(&self) -> Option<ExchangeId> {
        match self.state {
            State::Http1(Step::Exchanging(id)) => Some(id),
            _ => None,
        }
    }

    /// Idle: at least one request served, none pending. A client whose next request has been
    /// received, and waits until its answers are read, is not idle.
    pub fn is_idle(&self) -> bool {
        self.state == State::Http1(Step::AwaitingHead) && self.requests > 0 && self.inbox.is_empty()
    }
}
