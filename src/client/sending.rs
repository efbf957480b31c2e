//! What an exchange or a relay may do with a client's connection, and the progress of it.

use super::{Client, State, Step};
use crate::engine::{Close, Engine, Failure, ReceiveFlags, Slice};
use crate::local::{How, Local, Signal};
use crate::stats::{CloseReason, Counter};
use std::time::Duration;

impl Client {
    /// The present state may last this long from now on without progress.
    #[inline]
    pub fn set_deadline<E: Engine>(&mut self, span: Duration, local: &mut Local<E>) {
        let deadline = local.now() + span;
        self.clock.set(deadline, self.link.key, &mut local.timers);
    }

    /// Queues a range for the client.
    pub fn put<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        local.wire.send(&mut self.link, slice);
    }

    /// Queues received bytes of a response's body. False if no buffer was left: the lost bytes may
    /// be the last ones, and the framing does not show the loss then, so the end is a reset.
    pub fn put_body<E: Engine>(&mut self, body: Slice, local: &mut Local<E>) -> bool {
        if body.is_empty() {
            local.wire.engine.release(body.buffer);
            return true;
        }
        let Some(body) = local.wire.copy_out(body) else {
            self.close = Close::Reset;
            return false;
        };
        self.put(body, local);
        true
    }

    /// True if so much waits for the client that its source should be paused.
    pub fn is_congested<E: Engine>(&self, local: &Local<E>) -> bool {
        local.wire.is_congested(&self.link)
    }

    /// True if the source of what is sent to the client may be resumed.
    pub fn has_room<E: Engine>(&self, local: &Local<E>) -> bool {
        local.wire.has_room(&self.link)
    }

    /// True if everything that was queued has been sent.
    pub fn is_flushed(&self) -> bool {
        self.link.is_flushed()
    }

    /// True if nothing can be received for want of a buffer.
    pub fn is_starved(&self) -> bool {
        self.link.is_starved()
    }

    /// Receives as data arrives.
    pub fn take_more<E: Engine>(&mut self, local: &mut Local<E>) {
        local.wire.receive(&mut self.link);
    }

    /// Receives no more for now.
    pub fn pause<E: Engine>(&mut self, local: &mut Local<E>) {
        local.wire.pause(&mut self.link);
    }

    /// Processes the arrival of bytes on the connection.
    pub fn note_received<E: Engine>(
        &mut self,
        bytes: usize,
        flags: ReceiveFlags,
        local: &mut Local<E>,
    ) {
        local.wire.received(&mut self.link, flags.still_armed);
        local.reports.count(Counter::ClientBytesReceived, bytes as u64);
    }

    /// Processes the end of a send. The exchange or relay that it carries is not told.
    pub fn note_sent<E: Engine>(&mut self, result: Result<u32, Failure>, local: &mut Local<E>) {
        if let Ok(bytes) = result {
            local.reports.count(Counter::ClientBytesSent, u64::from(bytes));
        }
        let is_valid = local.wire.sent(&mut self.link, result);
        match self.state {
            State::Closing => self.settle(local),
            _ if !is_valid => {
                local.work.push(Signal::End(self.id(), How::Close, CloseReason::ClientReset));
            }
            State::Lingering | State::Discarding { .. } | State::Finishing => {
                self.after_flush(local);
            }
            // Answers that were not read held the next requests back.
            State::Http1(Step::AwaitingHead | Step::ReadingHead) if self.has_room(local) => {
                self.serve_what_waits(local);
            }
            State::Http2 => local.wire.request_flush(&mut self.link),
            State::Preface(_) | State::Http1(_) | State::Relaying(_) | State::Delivering(_) => {}
        }
    }
}
