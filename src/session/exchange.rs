//! The state of a request and its response while they are in flight.

use super::body::Body;
use super::draft::Draft;
use crate::base::{BackendSlot, Generation, Instant, PoolId, RouteId};
use crate::engine::{BufferId, Slice};
use crate::http1::Version;
use crate::limits::{ATTEMPTS_MAX, RETRY_TIME_MAX};
use crate::link::Chain;
use crate::stats::CloseReason;
use crate::table::UpstreamId;
use std::ops::Range;
use std::sync::Arc;

/// The progress of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No complete final head yet.
    AwaitingHead,
    /// The head has been forwarded.
    RelayingBody,
    /// All of it has been queued to the client.
    Done,
}

/// One request and its response.
pub struct Exchange {
    /// Identifies it among all exchanges of this shard.
    pub serial: u64,
    /// The route that matched the request.
    pub route: RouteId,
    /// The pool that the request was routed to.
    pub pool: PoolId,
    /// The snapshot that it was routed by.
    pub routed_by: Generation,
    /// Its present backend, or its last one.
    pub backend: Option<BackendSlot>,
    /// The connection that carries it; none between two attempts, also during the wait before a
    /// retry.
    pub upstream: Option<UpstreamId>,
    /// Backends that it has failed on.
    pub tried: [Option<BackendSlot>; ATTEMPTS_MAX],
    /// Attempts that were given up for another one.
    pub retries: u32,
    /// A connection failed under it: the next attempt uses a fresh one.
    pub needs_fresh: bool,
    /// The first backend that may have seen the request and did not answer. If a second one does
    /// not answer either, the request itself may be the cause, and no third one gets it.
    pub unanswered_by: Option<BackendSlot>,
    /// The bytes that the next attempt sends, during the wait before it.
    pub waiting: Chain,
    /// The round of its backend's half-open probes, if it is one and has no outcome yet.
    pub trial: Option<u32>,

    /// The head as sent to backends, kept until a response begins, so that it can be sent again;
    /// only until it is sent, if it must not be sent again.
    pub request_head: Option<Slice>,
    /// The same on the heap: a head that fits no small buffer waits there for its connection, and
    /// for the response.
    pub head_aside: Option<Box<[u8]>>,
    /// The place in `request_head` for the address of the backend: the request names no host.
    pub host_room: Option<Range<usize>>,
    /// What remains of the request's body.
    pub request_body: Body,
    /// Some of the request's body is not in `request_head`: it cannot be sent again.
    pub is_streaming: bool,
    /// The method may be sent twice (RFC 9110 §9.2.2).
    pub is_idempotent: bool,
    /// HEAD: the response has no body whatever its head states.
    pub is_head: bool,
    /// CONNECT: a 2xx response opens a tunnel.
    pub is_connect: bool,
    /// The protocol of the client's Upgrade, if it is allowed.
    pub upgrade: Option<Arc<[u8]>>,
    /// The client's version.
    pub version: Version,
    /// The client keeps its connection.
    pub client_keeps: bool,
    /// Bytes of body received from the client.
    pub request_bytes: u64,

    /// The progress of the response.
    pub phase: Phase,
    /// What remains of the response's body.
    pub response_body: Body,
    /// The part of a response's head, or of its trailer section, from earlier reads.
    pub response_partial: Option<Box<[u8]>>,
    /// Interim responses so far.
    pub interims: u32,
    /// A byte of a response has been received on the present connection.
    pub has_response_bytes: bool,
    /// The backend's head, and the bytes received, allow another use of its connection.
    pub is_upstream_reusable: bool,
    /// The status sent to the client; 0 before.
    pub status: u16,
    /// Bytes of body sent to the client.
    pub response_bytes: u64,

    /// When the request's head was complete.
    pub began: Instant,
    /// For the access log, if there is one.
    pub draft: Option<Box<Draft>>,
    /// The reason for its failure, if it failed.
    pub failure: Option<CloseReason>,
    /// The fault of the request or the response, if either was refused.
    pub refusal: Option<&'static str>,
}

impl Exchange {
    /// Adds a backend to those that it has failed on.
    pub fn note_failed(&mut self, slot: BackendSlot) {
        if let Some(place) = self.tried.iter_mut().find(|tried| tried.is_none()) {
            *place = Some(slot);
        }
    }

    /// True if the request may have a further attempt, whatever ended the present one: see
    /// [`ATTEMPTS_MAX`] and [`RETRY_TIME_MAX`].
    pub fn may_try_again(&self, now: Instant) -> bool {
        (self.retries as usize) < ATTEMPTS_MAX - 1 && now.since(self.began) < RETRY_TIME_MAX
    }

    /// True if the request may be sent again although a backend may have seen it.
    pub fn is_replayable(&self) -> bool {
        let is_kept = self.request_head.is_some() || self.head_aside.is_some();
        self.is_idempotent && !self.is_streaming && is_kept
    }

    /// True if a request that this backend may have seen may be sent again: no byte of an answer
    /// has been received, and at most one more backend will have seen it.
    pub fn may_be_resent(&self, slot: BackendSlot, now: Instant) -> bool {
        let is_first = self.unanswered_by.is_none_or(|first| first == slot);
        is_first && self.is_replayable() && !self.has_response_bytes && self.may_try_again(now)
    }

    /// Drops the request's head; returns its buffer.
    pub fn take_request_head(&mut self) -> Option<BufferId> {
        self.head_aside = None;
        self.request_head.take().map(|slice| slice.buffer)
    }
}
