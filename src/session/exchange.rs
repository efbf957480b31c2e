//! What is kept of a request and its response while they are in flight.

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

/// How far the response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No whole final head yet.
    AwaitingHead,
    /// The head has been passed on.
    RelayingBody,
    /// All of it has been queued to the client.
    Done,
}

/// One request and its response.
pub struct Exchange {
    /// Tells it from every other one of this shard.
    pub serial: u64,
    /// The route that matched the request.
    pub route: RouteId,
    /// The pool that the request was routed to.
    pub pool: PoolId,
    /// The snapshot that it was routed by.
    pub routed_by: Generation,
    /// The backend that it is with, or was last.
    pub backend: Option<BackendSlot>,
    /// The connection that carries it; none between two attempts, which may be the wait before a
    /// retry.
    pub upstream: Option<UpstreamId>,
    /// Backends that it has failed on.
    pub tried: [Option<BackendSlot>; ATTEMPTS_MAX],
    /// Attempts that it was taken back from, to make another one.
    pub retries: u32,
    /// A connection died under it: the next attempt uses a fresh one.
    pub needs_fresh: bool,
    /// The first backend that may have seen the request and did not answer. If a second one does
    /// not either, the request may be what is wrong with them, and no third one gets it.
    pub unanswered_by: Option<BackendSlot>,
    /// What is sent with the next attempt, while that waits for its time.
    pub waiting: Chain,
    /// The round of its backend's trial, if it is to show whether that has recovered, and has not
    /// yet.
    pub trial: Option<u32>,

    /// The head as sent to backends, kept until a response begins, so that it can be sent again;
    /// only until it is sent, if it cannot.
    pub request_head: Option<Slice>,
    /// The same on the heap instead: there a head that no small buffer holds waits for its
    /// connection, and for the response.
    pub head_aside: Option<Box<[u8]>>,
    /// Where in `request_head` the address of the backend is to be: the client named no host.
    pub host_room: Option<Range<usize>>,
    /// What is still to come of the request's body.
    pub request_body: Body,
    /// Some of the request's body is not in `request_head`: it cannot be sent again.
    pub is_streaming: bool,
    /// The method may be sent twice (RFC 9110 §9.2.2).
    pub is_idempotent: bool,
    /// HEAD: the response has no body whatever its head says.
    pub is_head: bool,
    /// CONNECT: a 2xx response opens a tunnel.
    pub is_connect: bool,
    /// The protocol that the client asked to change to, if it is allowed.
    pub upgrade: Option<Arc<[u8]>>,
    /// The client's version.
    pub version: Version,
    /// The client wants to keep its connection.
    pub client_keeps: bool,
    /// Bytes of body that came from the client.
    pub request_bytes: u64,

    /// How far the response is.
    pub phase: Phase,
    /// What is still to come of the response's body.
    pub response_body: Body,
    /// The part of a response's head, or of its trailer section, that came with earlier reads.
    pub response_partial: Option<Box<[u8]>>,
    /// Interim responses so far.
    pub interims: u32,
    /// A byte of a response came over the present connection.
    pub has_response_bytes: bool,
    /// By its own word, and by what has come, the connection to the backend can be used again.
    pub is_upstream_reusable: bool,
    /// The status sent to the client; 0 before.
    pub status: u16,
    /// Bytes of body sent to the client.
    pub response_bytes: u64,

    /// When the request's head was complete.
    pub began: Instant,
    /// For the access log, if there is one.
    pub draft: Option<Box<Draft>>,
    /// Why it failed, if it did.
    pub failure: Option<CloseReason>,
    /// What was wrong with the request or the response, if either was refused.
    pub refusal: Option<&'static str>,
}

impl Exchange {
    /// Takes note of a backend that it has failed on.
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

    /// True if the request may be sent to a backend again although it may have been seen by one.
    pub fn is_replayable(&self) -> bool {
        let is_kept = self.request_head.is_some() || self.head_aside.is_some();
        self.is_idempotent && !self.is_streaming && is_kept
    }

    /// True if a request that this backend may have seen may be sent again: no byte of an answer
    /// has come, and at most one backend more than this one will have seen it.
    pub fn may_be_resent(&self, slot: BackendSlot, now: Instant) -> bool {
        let is_first = self.unanswered_by.is_none_or(|first| first == slot);
        is_first && self.is_replayable() && !self.has_response_bytes && self.may_try_again(now)
    }

    /// Keeps the request's head no longer; the buffer that it was in.
    pub fn take_request_head(&mut self) -> Option<BufferId> {
        self.head_aside = None;
        self.request_head.take().map(|slice| slice.buffer)
    }
}
