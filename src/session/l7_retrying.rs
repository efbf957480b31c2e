//! Sending a request once more: what of it the connection has taken so far decides whether it may,
//! and how. A backend never gets anything but a whole head first.

use super::Traffic;
use super::exchange::Phase;
use crate::engine::Engine;
use crate::link::Chain;
use crate::mailbox::BackendFault;
use crate::stats::CloseReason;

/// How much of a request's head its present connection has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeadSent {
    /// Nothing: whatever the method, no backend can have acted on the request.
    Nothing,
    /// A send of it is under way, of which nobody knows how far it is.
    Unknown,
    /// Some of it: the rest alone must not go to anybody else.
    Part,
    /// All of it.
    All,
}

impl<E: Engine> Traffic<E> {
    fn head_sent(&mut self, index: u32, upstream: u32) -> HeadSent {
        let link = &self.upstreams.at(upstream).link;
        if link.is_connecting {
            return HeadSent::Nothing;
        }
        let is_sending = link.sending > 0;
        let id = self.sessions.at(index).exchange;
        let head = id.and_then(|id| self.exchanges[id as usize].request_head);
        let waiting = head.and_then(|head| self.wire.waiting(head.buffer));
        match waiting {
            None => HeadSent::All,
            Some(_) if is_sending => HeadSent::Unknown,
            whole if whole == head => HeadSent::Nothing,
            Some(_) => HeadSent::Part,
        }
    }

    /// True if no byte of the request can have reached a backend.
    pub(super) fn is_untouched(&mut self, index: u32, upstream: u32) -> bool {
        let id = self.sessions.at(index).exchange;
        let phase = id.map(|id| self.exchanges[id as usize].phase);
        phase == Some(Phase::AwaitingHead) && self.head_sent(index, upstream) == HeadSent::Nothing
    }

    /// A connection ended before a whole head came over it.
    pub(super) fn died_unanswered(&mut self, index: u32, upstream: u32) {
        let is_reused = self.upstreams.at(upstream).is_reused;
        let Some(id) = self.sessions.at(index).exchange else { return };
        let exchange = &self.exchanges[id as usize];
        let may_replay = !exchange.has_response_bytes && exchange.is_replayable();
        if may_replay && exchange.trial.is_some() {
            // The request was lent to find out whether the backend has recovered: it has not.
            let slot = self.upstreams.at(upstream).slot;
            let trial = self.exchanges[id as usize].trial.take();
            self.backend_failed(slot, BackendFault::Reset, trial);
            return self.replay(index, upstream);
        }
        // Of what was not sent yet nothing can have been done, whatever the method.
        if is_reused && (may_replay || self.is_untouched(index, upstream)) {
            return self.replay(index, upstream);
        }
        self.fail_exchange(index, 502, CloseReason::BackendReset);
    }

    /// Sends a request again, on a fresh connection, after an idle one had died under it. What
    /// waits moves as it is if nothing of it was sent; otherwise the whole head is sent again,
    /// which the caller has checked to be safe.
    pub(super) fn replay(&mut self, index: u32, upstream: u32) {
        self.count_retry(index);
        let Some(id) = self.sessions.at(index).exchange else { return };
        let sent = self.head_sent(index, upstream);
        let waiting = match sent {
            HeadSent::Nothing => std::mem::take(&mut self.upstreams.at(upstream).link.outbox),
            HeadSent::Unknown | HeadSent::Part | HeadSent::All => Chain::default(),
        };
        self.leave_attempt(index, upstream);
        self.exchanges[id as usize].needs_fresh = true;
        let head = self.exchanges[id as usize].request_head;
        if let (HeadSent::Unknown, Some(head)) = (sent, head) {
            // The kernel still reads the old buffer.
            let Some(copy) = self.wire.copy_of(head) else {
                return self.cut_session(index, CloseReason::OutOfBuffers);
            };
            self.wire.let_go(head.buffer);
            self.exchanges[id as usize].request_head = Some(copy);
        }
        self.choose(index, waiting);
    }
}
