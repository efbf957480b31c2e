//! One request and its response, between a client's connection and those to backends. It knows
//! neither's protocol: it takes and gives heads and parts of bodies through ports.
//!
//! `connecting` finds a backend and a connection for the request, `retrying` sends it again,
//! `retained` keeps its head for that, `request` and `response` forward both messages at the same
//! time, `tunnelling` is what follows from a tunnel, `answering` answers in the place of a
//! backend, `streaming` takes what only streams bring, `stalling` says who is late, `ending` ends
//! it; `observing` and `recording` report its outcome.
//!
//! Does not: touch a socket; read requests; know the configuration but by the snapshot in force.

mod answering;
mod connecting;
mod ending;
mod observing;
mod recording;
mod request;
mod response;
mod retained;
mod retrying;
mod stalling;
mod streaming;
mod tunnelling;

use crate::attempts::Attempts;
use crate::backend::Upstream;
use crate::base::{BackendSlot, Instant, PoolId};
use crate::client::{Clients, Origin};
use crate::head::Version;
use crate::link::Chain;
use crate::local::Local;
use crate::message::{Body, Draft, Upgrade};
use crate::sides::Sides;
use crate::stats::CloseReason;
use crate::table::{ClientId, ConnectionId, ExchangeId, Port, Table};
pub use connecting::ConnectLoss;
use retained::Retained;

/// All exchanges of a shard.
pub type Exchanges = Table<ExchangeId, Exchange>;

/// The connection that an exchange has at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    /// None: before the first attempt, and between two. The chain is what the next one sends; if it
    /// is empty, that is the retained head.
    Between(Chain),
    /// This one.
    With(Port<ConnectionId>),
    /// None any more: the exchange is over.
    Over,
}

/// The progress of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No complete final head yet.
    AwaitingHead,
    /// The head has been forwarded.
    RelayingBody,
    /// The response has opened a tunnel that has a stream on a side: what follows is forwarded as
    /// bodies, see [`tunnelling`].
    Tunnelling,
    /// All of it has been queued to the client.
    Done,
    /// The response has opened a tunnel between two connections: a relay forwards what follows.
    Switched {
        /// The backend has ended its direction, and not by a reset.
        has_ended: bool,
    },
}

/// One direction of an exchange.
#[derive(Debug)]
struct Flow {
    /// What remains of the message's body.
    body: Body,
    /// Bytes of body so far: received of a request, sent of a response.
    bytes: u64,
}

/// What is known of a request from its head.
#[derive(Debug)]
struct Facts {
    /// The client's version.
    version: Version,
    /// The method may be sent twice (RFC 9110 §9.2.2).
    is_idempotent: bool,
    /// HEAD: the response has no body whatever its head states.
    is_head: bool,
    /// CONNECT: a 2xx response opens a tunnel.
    is_connect: bool,
    /// The client accepts trailers.
    accepts_trailers: bool,
    /// The client keeps its connection.
    client_keeps: bool,
    /// Some of its body came behind its head: it cannot be sent again.
    is_streaming: bool,
    /// The client's Upgrade, if it is allowed.
    upgrade: Option<Box<Upgrade>>,
}

/// One request and its response.
pub struct Exchange {
    id: ExchangeId,
    /// The client's side.
    origin: Port<ClientId>,
    /// The backend's side.
    attempt: Attempt,
    facts: Facts,
    request: Flow,
    response: Flow,
    /// The progress of the response.
    phase: Phase,

    /// Its attempts to reach a backend.
    attempts: Attempts,
    /// A connection failed under it: the next attempt uses a fresh one.
    needs_fresh: bool,
    /// The first backend that may have seen the request and did not answer. If a second one does
    /// not answer either, the request itself may be the cause, and no third one gets it.
    unanswered_by: Option<BackendSlot>,
    /// The head as sent to backends.
    retained: Retained,

    /// Interim responses so far.
    interims: u8,
    /// A byte of a response has been received on the present connection.
    has_response_bytes: bool,

    /// The status sent to the client; 0 before.
    status: u16,
    /// For the access log, if there is one.
    draft: Option<Box<Draft>>,
    /// The reason for its failure, if it failed.
    failure: Option<CloseReason>,
}

// It is written once for each request, and all of them lie side by side.
const _: () = assert!(size_of::<Exchange>() <= 256);

impl Exchange {
    /// The backend's side; none between two attempts.
    #[inline]
    fn port(&self) -> Option<Port<ConnectionId>> {
        match self.attempt {
            Attempt::With(port) => Some(port),
            Attempt::Between(_) | Attempt::Over => None,
        }
    }

    /// True once it has ended; its row is freed behind all signals for it.
    #[inline]
    fn is_over(&self) -> bool {
        self.attempt == Attempt::Over
    }

    /// The pool of its backend.
    pub fn pool(&self) -> PoolId {
        self.attempts.pool
    }

    /// Both of its places; none without a connection to a backend.
    pub fn ports(&self) -> Option<(Port<ClientId>, Port<ConnectionId>)> {
        self.port().map(|port| (self.origin, port))
    }

    /// The same for who needs other parts of the sides too.
    #[inline]
    fn client_among<'c>(&self, clients: &'c mut Clients) -> Origin<'c> {
        clients.at(self.origin.connection).origin(self.origin.stream)
    }

    #[inline]
    fn client_in<'s, E>(&self, sides: &'s mut Sides<E>) -> (Origin<'s>, &'s mut Local<E>) {
        (self.client_among(&mut sides.clients), &mut sides.local)
    }

    #[inline]
    fn upstream_in<'s, E>(
        &self,
        sides: &'s mut Sides<E>,
    ) -> Option<(Upstream<'s>, &'s mut Local<E>)> {
        let port = self.port()?;
        Some((sides.connections.upstream(port), &mut sides.local))
    }

    /// True if the request may be sent again although a backend may have seen it.
    fn is_replayable(&self) -> bool {
        self.facts.is_idempotent && !self.facts.is_streaming && self.retained.is_there()
    }

    /// True if a request that this backend may have seen may be sent again: no byte of an answer
    /// has been received, and at most one more backend will have seen it.
    fn may_be_resent(&self, slot: BackendSlot, now: Instant) -> bool {
        let is_first = self.unanswered_by.is_none_or(|first| first == slot);
        is_first && self.is_replayable() && !self.has_response_bytes && self.attempts.may_go_on(now)
    }
}
