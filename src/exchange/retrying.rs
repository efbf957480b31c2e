//! Sending a request again: whether and how depends on the part of it that the connection has
//! taken. The first bytes that a backend gets are always a complete head.

use super::retained::Place;
use super::{Attempt, Exchange, Phase};
use crate::attempts::{ConnectionFault, Need};
use crate::backend::Upstream;
use crate::engine::Engine;
use crate::link::{Chain, Wire};
use crate::mailbox::BackendFault;
use crate::sides::Sides;
use crate::stats::{CloseReason, Counter};
use crate::table::{ConnectionId, Port};

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

impl Exchange {
    fn head_sent<E: Engine>(&self, upstream: &Upstream<'_>, wire: &Wire<E>) -> HeadSent {
        if upstream.is_waiting() {
            return HeadSent::Nothing;
        }
        let head = self.retained.buffer();
        let waiting = head.and_then(|head| wire.waiting(head.buffer));
        match waiting {
            None => HeadSent::All,
            Some(_) if upstream.is_sending() => HeadSent::Unknown,
            whole if whole == head => HeadSent::Nothing,
            Some(_) => HeadSent::Part,
        }
    }

    /// True if no byte of the request can have reached a backend.
    pub(super) fn is_untouched<E: Engine>(&self, upstream: &Upstream<'_>, wire: &Wire<E>) -> bool {
        let is_unanswered = !self.has_response_bytes && self.phase == Phase::AwaitingHead;
        is_unanswered && self.head_sent(upstream, wire) == HeadSent::Nothing
    }

    /// The connection ended before a complete head of a response was received on it.
    pub(super) fn died_unanswered<E: Engine>(
        &mut self,
        fault: Option<ConnectionFault>,
        sides: &mut Sides<E>,
    ) {
        let now = sides.local.now();
        let Some(port) = self.port() else { return };
        let upstream = sides.connections.upstream(port);
        let (slot, is_reused) = (upstream.slot(), upstream.is_reused());
        let is_untouched = self.is_untouched(&upstream, &sides.local.wire);
        let may_be_resent = self.may_be_resent(slot, now);
        let of_backend = match fault {
            None => Some(BackendFault::Reset),
            Some(fault) => fault.of_backend(BackendFault::Reset),
        };
        let Some(of_backend) = of_backend else {
            return self.cut(CloseReason::OutOfBuffers, sides);
        };
        if may_be_resent && self.attempts.is_half_open() {
            // The request was a half-open probe: the backend has not recovered.
            self.report_fault(slot, of_backend, sides);
            return self.replay(port, sides);
        }
        // An idle connection may have ended before it got the request, with no fault of its
        // backend. A request that was not sent yet has had no effect, whatever its method.
        if is_reused && (may_be_resent || (is_untouched && self.attempts.may_go_on(now))) {
            return self.replay(port, sides);
        }
        if matches!(of_backend, BackendFault::Reset) {
            return self.move_away(Some(of_backend), CloseReason::BackendReset, sides);
        }
        // The end of the exchange would not report it as that.
        self.report_fault(slot, of_backend, sides);
        let reason = CloseReason::BackendReset;
        self.move_away(None, fault.map_or(reason, |fault| fault.reason(reason)), sides);
    }

    /// Sends the request again, on a fresh connection, to any backend. The caller has checked that
    /// a further attempt is allowed.
    pub(super) fn replay<E: Engine>(&mut self, port: Port<ConnectionId>, sides: &mut Sides<E>) {
        self.attempts.count_retry(&sides.local);
        if let Some(waiting) = self.take_back(port, sides) {
            self.choose(waiting, sides);
        }
    }

    /// Moves a request whose backend did not answer to another one, if it may be sent again and the
    /// pool's retry budget allows that; answers 502 if not, or if there is no other one. `fault`:
    /// the fault that is reported of the backend.
    pub(super) fn move_away<E: Engine>(
        &mut self,
        fault: Option<BackendFault>,
        reason: CloseReason,
        sides: &mut Sides<E>,
    ) {
        let now = sides.local.now();
        let Some(port) = self.port() else { return };
        let upstream = sides.connections.upstream(port);
        let slot = upstream.slot();
        let is_untouched = self.is_untouched(&upstream, &sides.local.wire);
        let may_move = is_untouched && self.attempts.may_go_on(now);
        if !may_move && !self.may_be_resent(slot, now) {
            return self.fail(502, reason, sides);
        }
        self.attempts.give_up(slot);
        let Some(pick) = self.pick(Need::Any, sides) else {
            return self.fail(502, reason, sides);
        };
        if !is_untouched && !sides.picks.may_resend(self.attempts.pool, now) {
            sides.local.count(Counter::RetriesDenied);
            return self.fail(502, reason, sides);
        }
        if let Some(fault) = fault {
            self.report_fault(slot, fault, sides);
        }
        self.attempts.count_retry(&sides.local);
        if let Some(waiting) = self.take_back(port, sides) {
            self.go_to(Some(pick), waiting, sides);
        }
    }

    /// Takes the request back from its connection, which is closed. If nothing of it was sent, the
    /// waiting bytes move as they are; else the chain is empty and the complete head is sent again,
    /// which the caller has checked to be safe. None if no buffer is left: the exchange ends.
    fn take_back<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        sides: &mut Sides<E>,
    ) -> Option<Chain> {
        let mut upstream = sides.connections.upstream(port);
        let slot = upstream.slot();
        let sent = self.head_sent(&upstream, &sides.local.wire);
        let waiting = match sent {
            HeadSent::Nothing => upstream.take_unsent(&mut sides.local),
            HeadSent::Unknown | HeadSent::Part | HeadSent::All => Chain::default(),
        };
        self.leave_attempt(port, sides);
        self.needs_fresh = true;
        if sent != HeadSent::Nothing {
            self.unanswered_by.get_or_insert(slot);
        }
        if let (HeadSent::Unknown, Some(head)) = (sent, self.retained.buffer()) {
            // The kernel still reads the old buffer.
            let Some(copy) = sides.local.wire.copy_of(head) else {
                self.cut(CloseReason::OutOfBuffers, sides);
                return None;
            };
            sides.local.wire.unpin(head.buffer);
            self.retained.place = Place::Buffer(copy);
        }
        Some(waiting)
    }

    /// Gives an exchange that got no connection to another backend: at once the first time, after a
    /// random delay later on.
    pub(super) fn go_elsewhere<E: Engine>(&mut self, waiting: Chain, sides: &mut Sides<E>) {
        self.attempts.count_retry(&sides.local);
        let Some(delay) = self.attempts.backoff(&mut sides.local) else {
            return self.choose(waiting, sides);
        };
        // If no backend is left to wait for, the client is answered at once.
        if !self.attempts.has_pick(&sides.picks, &sides.local) {
            return self.go_to(None, waiting, sides);
        }
        self.attempt = Attempt::Between(waiting);
        let (mut client, local) = self.client_in(sides);
        client.set_deadline(delay, local);
    }

    /// The backoff before the next attempt has ended.
    pub(super) fn end_backoff<E: Engine>(&mut self, sides: &mut Sides<E>) {
        if let Attempt::Between(waiting) = self.attempt {
            self.attempt = Attempt::Between(Chain::default());
            self.choose(waiting, sides);
        }
    }

    // --- a backend that is removed ---

    /// Moves an exchange of which nothing has been sent to another backend. If there is none, or no
    /// attempt is left, and its own backend is only draining, it stays with that, which is alive.
    pub fn move_on<E: Engine>(&mut self, need: Need, sides: &mut Sides<E>) {
        let Some(port) = self.port() else { return };
        let may_go_on = self.attempts.may_go_on(sides.local.now());
        let pick = if may_go_on { self.pick(need, sides) } else { None };
        match pick {
            Some(_) => self.attempts.count_retry(&sides.local),
            None if need == Need::Better => return,
            None => {}
        }
        let waiting = sides.connections.upstream(port).take_unsent(&mut sides.local);
        self.leave_attempt(port, sides);
        self.go_to(pick, waiting, sides);
    }

    /// Aborts an exchange whose backend must not be used any more, or moves it, if it may be
    /// repeated.
    pub fn backend_removed<E: Engine>(&mut self, reason: CloseReason, sides: &mut Sides<E>) {
        match self.phase {
            Phase::AwaitingHead => self.move_away(None, reason, sides),
            Phase::RelayingBody | Phase::Tunnelling => self.cut(reason, sides),
            Phase::Done | Phase::Switched { .. } => {}
        }
    }
}
