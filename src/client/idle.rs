//! Clients between two requests, and clients that are slow: what the connection alone can see.

use super::{Client, State, Step};
use crate::engine::Engine;
use crate::local::{How, Local, Signal};
use crate::stats::CloseReason;
use std::time::Duration;

/// After this time without a byte, a kept connection is polled instead of received on, which costs
/// the kernel a third of the memory.
const DEMOTE_AFTER: Duration = Duration::from_secs(5);

impl Client {
    /// The connection waits for its next request: first armed, then, after a while, polled.
    pub(super) fn begin_idle<E: Engine>(&mut self, local: &mut Local<E>) {
        let idle = local.current.timeouts().idle;
        self.set_deadline(idle.min(DEMOTE_AFTER), local);
    }

    /// The timer of the connection has fired. True if the time of its present state is over.
    pub fn fire<E: Engine>(&mut self, local: &mut Local<E>) -> bool {
        let now = local.now();
        self.clock.fire(now, self.link.key, &mut local.timers)
    }

    /// The time of the present state is over, and nothing is to blame for it but the client. Not
    /// for a connection that carries an exchange or a relay.
    pub fn expired<E: Engine>(&mut self, local: &mut Local<E>) {
        let is_flushed = self.link.is_flushed();
        let is_starved = self.is_starved();
        let is_at_head = matches!(self.state, State::Http1(Step::AwaitingHead | Step::ReadingHead));
        if is_at_head && is_flushed && is_starved {
            // Nothing was read for lack of buffers: the delay is the proxy's, not the client's.
            return self.set_deadline(local.current.timeouts().between_bytes, local);
        }
        match self.state {
            State::Http1(Step::AwaitingHead) | State::Lingering | State::Finishing
                if !is_flushed =>
            {
                self.check_reading(local);
            }
            // The rest of the head may have been sent; only the client's reading can be observed.
            State::Http1(Step::ReadingHead) if is_starved => self.check_reading(local),
            State::Http1(Step::AwaitingHead) if self.requests == 0 => {
                self.close_now(CloseReason::HeadTimeout, local);
            }
            State::Http1(Step::AwaitingHead) => self.idle_expired(local),
            State::Http1(Step::ReadingHead) => self.head_expired(local),
            State::Lingering | State::Discarding { .. } | State::Finishing => {
                let reason = self.close_reason;
                self.close_now(reason, local);
            }
            State::Delivering(delivery) => self.await_delivery(delivery, local),
            State::Closing
            | State::Preface(_)
            | State::Http1(Step::Exchanging(_))
            | State::Http2
            | State::Relaying(_) => {}
        }
    }

    fn idle_expired<E: Engine>(&mut self, local: &mut Local<E>) {
        let idle = local.current.timeouts().idle;
        if self.was_polled || idle <= DEMOTE_AFTER {
            return self.close_now(CloseReason::ClientIdle, local);
        }
        self.was_polled = true;
        local.wire.pause(&mut self.link);
        self.demote_if_idle(local);
        self.set_deadline(idle - DEMOTE_AFTER, local);
    }

    /// Polls a connection that waits for a request and has no receive armed. A client whose next
    /// request has been received, and waits until its answers are read, is not idle.
    pub(super) fn demote_if_idle<E: Engine>(&mut self, local: &mut Local<E>) {
        let waits = self.state == State::Http1(Step::AwaitingHead) && self.inbox.is_empty();
        if waits && self.link.is_flushed() {
            local.wire.poll(&mut self.link);
        }
    }

    /// The polled client has sent bytes, or its poll was cancelled.
    pub fn readable<E: Engine>(&mut self, local: &mut Local<E>) {
        local.wire.polled(&mut self.link);
        match self.state {
            State::Closing => self.settle(local),
            _ => local.wire.receive(&mut self.link),
        }
    }

    /// A client has not read its answer for long. A slow client is not a dead one: its timeout
    /// starts again if it has acknowledged bytes since the last check.
    fn check_reading<E: Engine>(&mut self, local: &mut Local<E>) {
        if self.is_stuck(local) {
            local.work.push(Signal::End(self.id(), How::Abort, CloseReason::ClientStalled));
        } else {
            self.set_deadline(local.current.timeouts().between_bytes, local);
        }
    }

    /// True if the client has acknowledged no byte since this was last asked.
    pub(super) fn is_stuck<E: Engine>(&mut self, local: &Local<E>) -> bool {
        // The low bits suffice: no client reads four gigabytes within a timeout, or exactly none.
        let acknowledged = local.wire.engine.acknowledged(self.link.socket) as u32;
        std::mem::replace(&mut self.acknowledged, acknowledged) == acknowledged
    }
}
