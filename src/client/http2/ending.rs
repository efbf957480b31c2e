//! The time and the end of a connection that speaks HTTP/2: idle, drained, or with streams that are
//! late.

use super::super::Client;
use crate::engine::Engine;
use crate::http2::ErrorCode;
use crate::local::{How, Local};
use crate::stats::CloseReason;
use crate::table::ExchangeId;
use std::time::Duration;

/// How long a client that was told to open no more streams may take to acknowledge it.
const DRAIN_STEP: Duration = Duration::from_secs(1);

impl Client {
    /// The connection has no stream: it is idle, or ends.
    pub(super) fn await_streams<E: Engine>(&mut self, local: &mut Local<E>) {
        let span = match self.is_ending(local) {
            true => DRAIN_STEP,
            false => local.current.timeouts().idle,
        };
        if let Some(http2) = &mut self.http2 {
            http2.alarm = local.now() + span;
            if self.requests > 0 {
                http2.connection.shrink();
            }
        }
        self.set_deadline(span, local);
    }

    /// Tells the client to open no more streams; those that there are go on.
    pub fn drain_http2<E: Engine>(&mut self, local: &mut Local<E>) {
        let Some(http2) = &mut self.http2 else { return };
        http2.connection.drain();
        let is_idle = http2.streams.is_empty();
        local.wire.request_flush(&mut self.link);
        if is_idle {
            self.set_deadline(DRAIN_STEP, local);
        }
    }

    /// Closes a connection of which nothing is left, once all is sent.
    pub(super) fn close_if_done<E: Engine>(&mut self, local: &mut Local<E>) {
        let Some(http2) = &self.http2 else { return };
        let is_over = http2.connection.is_done() && http2.connection.output().is_empty();
        if is_over && http2.streams.is_empty() {
            let reason = match local.current.stage == crate::mailbox::Stage::Serving {
                true => CloseReason::KeepAliveEnded,
                false => CloseReason::Drained,
            };
            self.http2 = None;
            self.linger(reason, local);
        }
    }

    /// The timer has fired: the exchanges that are late.
    pub fn late_streams<E: Engine>(&mut self, local: &mut Local<E>) -> Vec<ExchangeId> {
        let now = local.now();
        let Some(http2) = &mut self.http2 else { return Vec::new() };
        if http2.streams.is_empty() {
            self.idle_expired_http2(local);
            return Vec::new();
        }
        let late = http2.streams.iter().filter(|stream| stream.deadline <= now);
        let late: Vec<ExchangeId> = late.filter_map(|stream| stream.exchange).collect();
        let next = http2.streams.iter().map(|stream| stream.deadline).filter(|at| *at > now).min();
        let next = next.unwrap_or(now + local.current.timeouts().between_bytes);
        http2.alarm = next;
        self.clock.set(next, self.link.key, &mut local.timers);
        late
    }

    fn idle_expired_http2<E: Engine>(&mut self, local: &mut Local<E>) {
        let is_ending = self.is_ending(local);
        let Some(http2) = &mut self.http2 else { return };
        if !http2.has_had_streams {
            return self.close_now(CloseReason::HeadTimeout, local);
        }
        http2.connection.drain();
        http2.connection.conclude_drain();
        let reason = if is_ending { CloseReason::Drained } else { CloseReason::ClientIdle };
        self.fill(local);
        if self.http2.is_some() {
            self.http2 = None;
            self.linger(reason, local);
        }
    }

    /// Ends the connection, whose exchanges have ended. What says so goes before the end.
    pub fn end_http2<E: Engine>(&mut self, how: How, reason: CloseReason, local: &mut Local<E>) {
        if let Some(http2) = &mut self.http2 {
            http2.connection.close(ErrorCode::NO_ERROR, "");
        }
        if how == How::Cut {
            self.fill(local);
        }
        self.leave_http2(local);
        self.end(how, reason, local);
    }

    /// Ends HTTP/2 at once: what was queued for streams is dropped.
    pub(in crate::client) fn leave_http2<E: Engine>(&mut self, local: &mut Local<E>) {
        let Some(mut http2) = self.http2.take() else { return };
        for stream in &mut http2.streams {
            local.wire.drop_chain(&mut stream.outbox);
            local.wire.drop_chain(&mut stream.inbox);
        }
    }
}
