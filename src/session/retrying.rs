//! Sending a request again: whether and how depends on the part of it that the connection has
//! taken. The first bytes that a backend gets are always a complete head.

use super::Traffic;
use super::choosing::Need;
use super::exchange::{Exchange, Phase};
use crate::engine::Engine;
use crate::limits::RETRY_BACKOFF;
use crate::link::Chain;
use crate::mailbox::BackendFault;
use crate::stats::{CloseReason, Counter};
use crate::table::{ClientId, UpstreamId};
use std::time::Duration;

/// The part of a request's head that its present connection has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeadSent {
    /// Nothing: whatever the method, no backend can have acted on the request.
    Nothing,
    /// A send of it is in flight, and its progress is unknown.
    Unknown,
    /// Some of it: the rest alone must not go to any other backend.
    Part,
    /// All of it.
    All,
}

impl<E: Engine> Traffic<E> {
    fn head_sent(&mut self, index: ClientId, upstream: UpstreamId) -> HeadSent {
        let link = &self.upstreams.at(upstream).link;
        if link.is_connecting {
            return HeadSent::Nothing;
        }
        let is_sending = link.sending > 0;
        let id = self.sessions.at(index).exchange();
        let head = id.and_then(|id| self.exchanges[id].request_head);
        let waiting = head.and_then(|head| self.wire.waiting(head.buffer));
        match waiting {
            None => HeadSent::All,
            Some(_) if is_sending => HeadSent::Unknown,
            whole if whole == head => HeadSent::Nothing,
            Some(_) => HeadSent::Part,
        }
    }

    /// True if the request of a session may have a further attempt.
    pub(super) fn may_try_again(&mut self, index: ClientId) -> bool {
        let (now, id) = (self.now(), self.sessions.at(index).exchange());
        id.is_some_and(|id| self.exchanges[id].may_try_again(now))
    }

    /// True if no byte of the request can have reached a backend.
    pub(super) fn is_untouched(&mut self, index: ClientId, upstream: UpstreamId) -> bool {
        let id = self.sessions.at(index).exchange();
        let is_answered = |exchange: &Exchange| {
            exchange.has_response_bytes || exchange.phase != Phase::AwaitingHead
        };
        let is_unanswered = id.is_some_and(|id| !is_answered(&self.exchanges[id]));
        is_unanswered && self.head_sent(index, upstream) == HeadSent::Nothing
    }

    /// A connection ended before a complete head of a response was received on it.
    pub(super) fn died_unanswered(&mut self, index: ClientId, upstream: UpstreamId) {
        let connection = self.upstreams.at(upstream);
        let (is_reused, slot) = (connection.is_reused, connection.slot);
        let (now, Some(id)) = (self.now(), self.sessions.at(index).exchange()) else { return };
        let exchange = &mut self.exchanges[id];
        let may_be_resent = exchange.may_be_resent(slot, now);
        if may_be_resent && let Some(round) = exchange.trial.take() {
            // The request was a half-open probe: the backend has not recovered.
            self.backend_failed(slot, BackendFault::Reset, Some(round));
            return self.replay(index, upstream);
        }
        // An idle connection may have ended before it got the request, with no fault of its
        // backend. A request that was not sent yet has had no effect, whatever its method.
        let may_move = self.may_try_again(index) && self.is_untouched(index, upstream);
        if is_reused && (may_be_resent || may_move) {
            return self.replay(index, upstream);
        }
        self.move_away(index, upstream, Some(BackendFault::Reset), CloseReason::BackendReset);
    }

    /// Sends a request again, on a fresh connection, to any backend. The caller has checked that a
    /// further attempt is allowed.
    pub(super) fn replay(&mut self, index: ClientId, upstream: UpstreamId) {
        self.count_retry(index);
        if let Some(waiting) = self.take_back(index, upstream) {
            self.choose(index, waiting);
        }
    }

    /// Moves a request whose backend did not answer to another one, if it may be sent again and the
    /// pool's retry budget allows that; answers 502 if not, or if there is no other one. `fault`:
    /// the fault that is reported of the backend.
    pub(super) fn move_away(
        &mut self,
        index: ClientId,
        upstream: UpstreamId,
        fault: Option<BackendFault>,
        reason: CloseReason,
    ) {
        let slot = self.upstreams.at(upstream).slot;
        let (now, Some(id)) = (self.now(), self.sessions.at(index).exchange()) else { return };
        let is_untouched = self.is_untouched(index, upstream);
        let exchange = &mut self.exchanges[id];
        let may_move = is_untouched && exchange.may_try_again(now);
        if !may_move && !exchange.may_be_resent(slot, now) {
            return self.fail_exchange(index, 502, reason);
        }
        exchange.note_failed(slot);
        let Some(pick) = self.pick(index, Need::Any) else {
            return self.fail_exchange(index, 502, reason);
        };
        let pool = self.exchanges[id].pool;
        if !is_untouched && !self.replicas.may_resend(pool, now) {
            self.count(Counter::RetriesDenied);
            return self.fail_exchange(index, 502, reason);
        }
        if let Some(fault) = fault {
            self.backend_failed(slot, fault, None);
        }
        self.count_retry(index);
        if let Some(waiting) = self.take_back(index, upstream) {
            self.go_to(index, Some(pick), waiting);
        }
    }

    /// Takes a request back from its connection, which is closed. If nothing of it was sent, the
    /// waiting bytes move as they are; else the chain is empty and the complete head is sent again,
    /// which the caller has checked to be safe. None if no buffer is left: the session ends.
    fn take_back(&mut self, index: ClientId, upstream: UpstreamId) -> Option<Chain> {
        let id = self.sessions.at(index).exchange()?;
        let (slot, sent) = (self.upstreams.at(upstream).slot, self.head_sent(index, upstream));
        let waiting = match sent {
            HeadSent::Nothing => {
                let link = &mut self.upstreams.at(upstream).link;
                // A connection that the peer closed before anything was sent is broken too.
                let unsent = std::mem::take(&mut link.unsent);
                if unsent.is_empty() { std::mem::take(&mut link.outbox) } else { unsent }
            }
            HeadSent::Unknown | HeadSent::Part | HeadSent::All => Chain::default(),
        };
        self.leave_attempt(index, upstream);
        let exchange = &mut self.exchanges[id];
        exchange.needs_fresh = true;
        if sent != HeadSent::Nothing {
            exchange.unanswered_by.get_or_insert(slot);
        }
        if let (HeadSent::Unknown, Some(head)) = (sent, exchange.request_head) {
            // The kernel still reads the old buffer.
            let Some(copy) = self.wire.copy_of(head) else {
                self.cut_session(index, CloseReason::OutOfBuffers);
                return None;
            };
            self.wire.unpin(head.buffer);
            self.exchanges[id].request_head = Some(copy);
        }
        Some(waiting)
    }

    /// Gives an exchange that got no connection to another backend: at once the first time, after a
    /// random delay later on.
    pub(super) fn go_elsewhere(&mut self, index: ClientId, waiting: Chain) {
        self.count_retry(index);
        let Some(id) = self.sessions.at(index).exchange() else { return };
        let Some(doublings) = self.exchanges[id].retries.checked_sub(2) else {
            return self.choose(index, waiting);
        };
        // If no backend is left to wait for, the client is answered at once.
        if !self.has_pick(index) {
            return self.go_to(index, None, waiting);
        }
        let most = RETRY_BACKOFF * (1 << doublings);
        let micros = self.prng.below(most.as_micros() as u32);
        self.exchanges[id].waiting = waiting;
        self.set_deadline(index, Duration::from_micros(u64::from(micros)));
    }

    /// The backoff of an exchange before its next attempt has ended.
    pub(super) fn end_backoff(&mut self, index: ClientId) {
        let Some(id) = self.sessions.at(index).exchange() else { return };
        let waiting = std::mem::take(&mut self.exchanges[id].waiting);
        self.choose(index, waiting);
    }
}
