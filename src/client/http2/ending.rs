//! The time and the end of a connection that speaks HTTP/2: idle, drained, or with streams that are
//! late.

use super::super::Client;
use crate::engine::Engine;
use crate::http2::{ErrorCode, ShutWindow, StreamId};
use crate::local::{How, Local, Signal};
use crate::mailbox::Stage;
use crate::stats::CloseReason;
use crate::table::ExchangeId;
use std::time::Duration;

/// How long a client that was told to open no more streams may take to acknowledge it.
const DRAIN_STEP: Duration = Duration::from_secs(1);

impl Client {
    /// The connection has no stream: it is idle, or ends.
    pub(super) fn await_streams<E: Engine>(&mut self, local: &mut Local<E>) {
        self.drain_if_ending(local);
        let idle = local.current.timeouts().idle;
        let span = match self.is_ending(local) {
            true => DRAIN_STEP,
            false => self.age_left(local).map_or(idle, |left| left.max(DRAIN_STEP).min(idle)),
        };
        if let Some(http2) = &mut self.http2 {
            http2.alarm = local.now() + span;
            if self.requests > 0 {
                http2.connection.shrink();
            }
        }
        self.count_growth(local);
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

    /// The time until the connection is too old; none if it never is.
    fn age_left<E: Engine>(&self, local: &Local<E>) -> Option<Duration> {
        let most = local.current.settings().http2_age_max?;
        let end = self.http2.as_ref()?.begun + most;
        Some(end.since(local.now()))
    }

    /// Tells the client to open no more streams, if the process or its listener ends, or the
    /// connection is too old: this is what `Connection: close` of an answer is in HTTP/1.
    pub(super) fn drain_if_ending<E: Engine>(&mut self, local: &Local<E>) {
        let is_old = self.age_left(local).is_some_and(|left| left.is_zero());
        if (is_old || self.is_ending(local))
            && let Some(http2) = &mut self.http2
        {
            http2.connection.drain();
        }
    }

    /// Closes a connection of which nothing is left, once all is sent.
    pub(super) fn close_if_done<E: Engine>(&mut self, local: &mut Local<E>) {
        let Some(http2) = &self.http2 else { return };
        let is_over = http2.connection.is_done() && http2.connection.output().is_empty();
        if is_over && http2.streams.is_empty() {
            self.take_http2(local);
            self.linger(self.reason_or(CloseReason::KeepAliveEnded, local), local);
        }
    }

    /// The reason for the end of a connection without a stream: the process or its listener ends,
    /// or else this.
    fn reason_or<E: Engine>(&self, reason: CloseReason, local: &Local<E>) -> CloseReason {
        match local.current.stage {
            Stage::Serving if self.is_leaving => CloseReason::ListenerRemoved,
            Stage::Serving => reason,
            Stage::LameDuck | Stage::Draining | Stage::Ending => CloseReason::Drained,
        }
    }

    /// True if the client has not acknowledged our settings in time: the connection ends.
    pub(super) fn is_unsettled<E: Engine>(&mut self, local: &mut Local<E>) -> bool {
        let (now, id) = (local.now(), self.id());
        // It may have answered, or not have been told, while there are no buffers.
        let is_short = self.link.is_starved() || self.link.is_postponed();
        let Some(http2) = self.http2.as_mut().filter(|_| !is_short) else { return false };
        let is_late = http2.connection.settings_due(http2.begun).is_some_and(|due| due <= now);
        if is_late {
            let text = "SETTINGS are not acknowledged in time";
            http2.connection.close(ErrorCode::SETTINGS_TIMEOUT, text);
            let reason = CloseReason::Http2SettingsTimeout;
            local.work.push(Signal::End(id, How::Cut, reason));
        }
        is_late
    }

    /// The timer has fired: the exchanges that are late.
    pub fn late_streams<E: Engine>(&mut self, local: &mut Local<E>) -> Vec<ExchangeId> {
        if self.is_unsettled(local) {
            return Vec::new();
        }
        self.drain_if_ending(local);
        let now = local.now();
        let Some(http2) = &self.http2 else { return Vec::new() };
        if http2.streams.is_empty() {
            self.idle_expired_http2(local);
            return Vec::new();
        }
        let late = http2.streams.iter().filter(|stream| stream.deadline <= now);
        let (carried, alone): (Vec<_>, Vec<_>) = late
            .map(|stream| (stream.id.0, stream.exchange))
            .partition(|(_, exchange)| exchange.is_some());
        for (stream, _) in alone {
            self.look_at_tail(stream, local);
        }
        self.set_alarm(local);
        carried.into_iter().filter_map(|(_, exchange)| exchange).collect()
    }

    /// Waits for the next stream that may be late. Those that are set their deadlines anew.
    fn set_alarm<E: Engine>(&mut self, local: &mut Local<E>) {
        let now = local.now();
        let Some(http2) = self.http2.as_mut().filter(|http2| !http2.streams.is_empty()) else {
            return;
        };
        let deadlines = http2.streams.iter().map(|stream| stream.deadline);
        let due = http2.connection.settings_due(http2.begun);
        let next = deadlines.chain(due).filter(|at| *at > now).min();
        http2.alarm = next.unwrap_or(now + local.current.timeouts().between_bytes);
        self.clock.set(http2.alarm, self.link.key, &mut local.timers);
    }

    /// The exchange of a stream has ended, and the client takes long to read the last of it.
    fn look_at_tail<E: Engine>(&mut self, stream: u32, local: &mut Local<E>) {
        if self.is_stream_stuck(stream, local) {
            return self.reset_stream(stream, How::Close, CloseReason::ClientStalled, local);
        }
        let deadline = local.now() + local.current.timeouts().between_bytes;
        if let Some(row) = self.http2.as_mut().and_then(|http2| http2.stream_mut(stream)) {
            row.deadline = deadline;
        }
    }

    /// True if the client has taken nothing of a stream that is late. If it reads nothing at all,
    /// the connection ends too.
    pub(in crate::client) fn is_stream_stuck<E: Engine>(
        &mut self,
        stream: u32,
        local: &mut Local<E>,
    ) -> bool {
        let (now, span) = (local.now(), local.current.timeouts().between_bytes);
        let acknowledged = local.wire.engine.acknowledged(self.link.socket) as u32;
        let Some(http2) = &mut self.http2 else { return true };
        if http2.acknowledged.0 != acknowledged {
            http2.acknowledged = (acknowledged, now);
        }
        match http2.connection.shut_window(StreamId(stream)) {
            Some(ShutWindow::OfStream) => true,
            Some(ShutWindow::OfConnection) => http2.sent_at + span <= now,
            None => {
                let is_stuck = !self.link.is_flushed() && http2.acknowledged.1 + span <= now;
                if is_stuck {
                    let reason = CloseReason::ClientStalled;
                    local.work.push(Signal::End(self.id(), How::Abort, reason));
                }
                is_stuck
            }
        }
    }

    fn idle_expired_http2<E: Engine>(&mut self, local: &mut Local<E>) {
        let Some(http2) = &mut self.http2 else { return };
        http2.connection.drain();
        http2.connection.conclude_drain();
        let reason = match http2.has_had_streams {
            true => self.reason_or(CloseReason::ClientIdle, local),
            false => CloseReason::HeadTimeout,
        };
        self.fill_outbox(local);
        self.take_http2(local);
        self.linger(reason, local);
    }

    /// Ends the connection, whose exchanges have ended. What says so goes before the end.
    pub fn end_http2<E: Engine>(&mut self, how: How, reason: CloseReason, local: &mut Local<E>) {
        if let Some(http2) = &mut self.http2 {
            http2.connection.close(ErrorCode::NO_ERROR, "");
        }
        if how == How::Cut {
            self.fill_outbox(local);
        }
        self.leave_http2(local);
        self.end(how, reason, local);
    }

    /// Ends HTTP/2 at once: what was queued for streams is dropped.
    pub(in crate::client) fn leave_http2<E: Engine>(&mut self, local: &mut Local<E>) {
        let Some(mut http2) = self.take_http2(local) else { return };
        for stream in &mut http2.streams {
            local.wire.drop_chain(&mut stream.outbox);
            stream.inbound.end(&mut local.wire);
        }
    }
}
