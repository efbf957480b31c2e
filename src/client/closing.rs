//! The end of a client's connection. Its socket is closed once no operation is in flight on it, and
//! not before.

use super::{Client, State, Step};
use crate::engine::{Close, Engine, Failure, Slice};
use crate::limits::{LINGER_BYTES_MAX, LINGER_IDLE, LINGER_MAX, LINGER_SILENCE};
use crate::link::{Delivery, Life};
use crate::local::{How, Local};
use crate::stats::{CloseReason, Counter};

impl Client {
    /// Ends a connection that carries nothing any more.
    pub fn end<E: Engine>(&mut self, how: How, reason: CloseReason, local: &mut Local<E>) {
        match how {
            How::Cut => self.linger(reason, local),
            How::Abort => self.abort(reason, local),
            How::Close => self.close_now(reason, local),
        }
    }

    /// Closes after the last answer to a client that has sent its complete request and expects the
    /// connection to end: there is nothing to drop and nothing to wait for, and FIN travels with
    /// the last bytes. If bytes arrive before that all the same, the connection lingers.
    pub fn finish<E: Engine>(&mut self, reason: CloseReason, local: &mut Local<E>) {
        if !self.inbox.is_empty() {
            return self.linger(reason, local);
        }
        self.state = State::Finishing;
        self.close_reason = reason;
        local.wire.end_write(&mut self.link);
        local.wire.pause(&mut self.link);
        self.set_deadline(local.current.timeouts().between_bytes, local);
        self.after_flush(local);
    }

    /// Closes after the last answer: the proxy's direction ends when the answer is sent, and bytes
    /// that the client still sends are dropped for a while. If a reset is to end the connection, it
    /// follows the last byte, once that was delivered.
    pub fn linger<E: Engine>(&mut self, reason: CloseReason, local: &mut Local<E>) {
        self.leave_preface(b"", reason, None, local);
        self.leave_http2(local);
        self.state = State::Lingering;
        self.close_reason = reason;
        self.dropped_bytes = 0;
        self.partial = None;
        self.beginning = None;
        local.wire.drop_chain(&mut self.inbox);
        if self.close == Close::Graceful {
            local.wire.end_write(&mut self.link);
        }
        local.wire.receive(&mut self.link);
        self.set_deadline(local.current.timeouts().between_bytes, local);
        self.after_flush(local);
    }

    /// Ends a connection without a request: only few bytes can still arrive.
    pub fn end_idle<E: Engine>(&mut self, reason: CloseReason, local: &mut Local<E>) {
        self.linger(reason, local);
        if matches!(self.state, State::Discarding { .. }) {
            self.set_deadline(LINGER_IDLE, local);
        }
    }

    /// Drops bytes that a client sends after its last request.
    pub fn discard<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        local.wire.engine.release(slice.buffer);
        match self.state {
            State::Finishing => self.linger(self.close_reason, local),
            State::Closing => self.settle(local),
            State::Discarding { until } => {
                self.dropped_bytes = self.dropped_bytes.saturating_add(slice.len() as u32);
                if self.dropped_bytes > LINGER_BYTES_MAX {
                    return self.close_now(self.close_reason, local);
                }
                self.set_deadline(LINGER_SILENCE.min(until.since(local.now())), local);
            }
            // The answer is still being sent, and has its own timeout.
            State::Lingering
            | State::Delivering(_)
            | State::Preface(_)
            | State::Http1(_)
            | State::Http2
            | State::Relaying(_) => {}
        }
    }

    /// After a flush: a lingering connection that has sent everything is closed, at once if the
    /// client has ended its direction too, and soon if it has not.
    pub fn after_flush<E: Engine>(&mut self, local: &mut Local<E>) {
        if !self.link.is_flushed() || self.link.sending > 0 {
            return;
        }
        let reason = self.close_reason;
        match self.state {
            State::Finishing => self.close_now(reason, local),
            State::Lingering if self.close == Close::Reset => {
                let left = local.wire.undelivered(&self.link);
                let patience = local.current.timeouts().between_bytes;
                self.await_delivery(Delivery::new(left, local.now(), patience), local);
            }
            State::Lingering | State::Discarding { .. } if self.link.has_ended() => {
                self.close_now(reason, local);
            }
            State::Lingering => {
                self.state = State::Discarding { until: local.now() + LINGER_MAX };
                self.set_deadline(LINGER_SILENCE, local);
            }
            _ => {}
        }
    }

    /// Closes the connection once the client has acknowledged all that was sent, or acknowledges
    /// nothing for so long that it is not waited for any more.
    pub(super) fn await_delivery<E: Engine>(
        &mut self,
        mut delivery: Delivery,
        local: &mut Local<E>,
    ) {
        let (left, now) = (local.wire.undelivered(&self.link), local.now());
        let next = delivery.look(left, now, local.current.timeouts().between_bytes);
        let Some(next) = next else { return self.close_now(self.close_reason, local) };
        self.state = State::Delivering(delivery);
        self.set_deadline(next.since(now), local);
    }

    /// Processes the end of a receive. True if the client's stream has ended.
    pub fn note_receive_ended<E: Engine>(
        &mut self,
        failure: Option<Failure>,
        local: &mut Local<E>,
    ) -> bool {
        local.reports.count_if_starved(failure);
        let has_ended = local.wire.receive_ended(&mut self.link, failure);
        if self.state == State::Closing {
            self.settle(local);
            return false;
        }
        if !has_ended {
            self.demote_if_idle(local);
        }
        has_ended
    }

    /// The stream of a client has ended, and its connection carries nothing.
    pub fn ended<E: Engine>(&mut self, local: &mut Local<E>) {
        let reason = CloseReason::ClientClosed;
        match self.state {
            State::Http1(Step::AwaitingHead) if self.link.is_flushed() => {
                self.close_now(reason, local);
            }
            State::Preface(_) => self.close_now(reason, local),
            State::Http1(_) if self.inbox.is_empty() => self.linger(reason, local),
            State::Lingering | State::Discarding { .. } | State::Finishing => {
                self.after_flush(local);
            }
            State::Http1(_)
            | State::Http2
            | State::Relaying(_)
            | State::Delivering(_)
            | State::Closing => {}
        }
    }

    /// Closes at once, with a reset that shows the client that its answer is incomplete. For
    /// clients that are disconnected or do not read, and for the end of the process.
    fn abort<E: Engine>(&mut self, reason: CloseReason, local: &mut Local<E>) {
        self.close = Close::Reset;
        self.close_now(reason, local);
    }

    /// Closes at once; bytes that wait to be sent are dropped.
    pub(super) fn close_now<E: Engine>(&mut self, reason: CloseReason, local: &mut Local<E>) {
        self.leave_preface(b"", reason, None, local);
        self.leave_http2(local);
        self.state = State::Closing;
        self.close_reason = reason;
        self.partial = None;
        self.beginning = None;
        local.wire.drop_chain(&mut self.inbox);
        local.wire.quiesce(&mut self.link);
        self.settle(local);
    }

    /// Closes the socket of a connection that is marked for closing, if nothing is in flight on it.
    pub(super) fn settle<E: Engine>(&mut self, local: &mut Local<E>) {
        if self.link.life == Life::Closed || !self.link.is_quiet() {
            return;
        }
        local.wire.close(&mut self.link, self.close);
        self.clock.stop(&mut local.timers);
        local.closed.push(self.link.key);
        let mailbox = &local.reports.mailbox;
        let (shard, shared) = (mailbox.shard(), &mailbox.shared);
        if self.is_counted {
            shared.clients.leave(shard, self.address.ip());
        }
        local.reports.session_ended(self.listener);
        local.count(Counter::ConnectionsClosed);
        local.reports.counters().add_close(self.close_reason);
    }
}
