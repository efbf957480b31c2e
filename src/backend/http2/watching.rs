//! The time of a connection with streams: how long it may be idle, whether its backend lives, and
//! streams whose end is awaited.
//!
//! A backend is asked by PING when a stream is opened after a silence, for the connection may have
//! been lost meanwhile without a trace, and once in a long while of a stream without a byte. More
//! often would be a flood to some: servers of gRPC take one in five minutes.

use super::super::{Connection, Connections};
use super::{Http2, Ping, Stage};
use crate::base::Instant;
use crate::engine::Engine;
use crate::http2::ErrorCode;
use crate::limits::{HTTP2_PING_AFTER, HTTP2_PING_APART};
use crate::local::Local;
use crate::table::ConnectionId;

/// What the time of a connection with streams has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Nothing for others.
    Nothing,
    /// It could not be made in time.
    NotMade,
    /// Its backend does not answer.
    Dead,
    /// Its backend broke the rules, in this way.
    Fault(&'static str),
}

impl Http2 {
    /// Asks whether the backend lives, if it was silent before a stream was opened. True if it was
    /// asked.
    pub(super) fn ping_if_silent(&mut self, now: Instant) -> bool {
        let was_silent = now.since(self.heard_at) >= HTTP2_PING_AFTER;
        let is_asked = was_silent && self.ping == Ping::None;
        if is_asked {
            self.connection.ping();
            self.ping = Ping::Asked(now);
        }
        is_asked
    }

    fn has_open_stream(&self) -> bool {
        self.rows.iter().any(|row| matches!(row.stage, Stage::Open(_)))
    }
}

impl Connection {
    /// Looks at the connection at this time.
    pub(super) fn set_alarm<E: Engine>(&mut self, at: Instant, local: &mut Local<E>) {
        if let Some(http2) = &mut self.http2 {
            http2.alarm = at;
            self.clock.set(at, self.link.key, &mut local.timers);
        }
    }

    /// Looks at the connection at this time at the latest.
    pub(super) fn set_alarm_by<E: Engine>(&mut self, at: Instant, local: &mut Local<E>) {
        if self.http2.as_ref().is_some_and(|http2| http2.alarm > at) {
            self.set_alarm(at, local);
        }
    }
}

impl Connections {
    /// The timer of a connection with streams has fired.
    pub fn streams_alarm<E: Engine>(&mut self, id: ConnectionId, local: &mut Local<E>) -> Alarm {
        let (now, patience) = (local.now(), local.current.timeouts().connect);
        let connection = self.at(id);
        if !connection.clock.fire(now, connection.link.key, &mut local.timers) {
            return Alarm::Nothing;
        }
        if connection.http2.is_none() {
            return Alarm::Nothing;
        }
        // What cannot be received, or sent, for want of a buffer here is no silence of the backend.
        if connection.link.is_starved() || connection.link.is_postponed() {
            connection.set_alarm(now + patience, local);
            return Alarm::Nothing;
        }
        if connection.link.is_connecting() {
            return Alarm::NotMade;
        }
        let Some(http2) = &mut connection.http2 else { return Alarm::Nothing };
        if http2.is_idle() {
            self.close_streams(id, local);
            return Alarm::Nothing;
        }
        http2.end_late(local);
        let due = http2.connection.settings_due(http2.begun);
        if due.is_some_and(|due| due <= now) {
            let text = "it does not acknowledge SETTINGS";
            http2.connection.close(ErrorCode::SETTINGS_TIMEOUT, text);
            return Alarm::Fault(text);
        }
        let next = match http2.ping {
            Ping::Asked(at) if now.since(at) >= patience => return Alarm::Dead,
            Ping::Asked(at) => at + patience,
            Ping::None if !http2.has_open_stream() => now + HTTP2_PING_APART,
            Ping::None if now.since(http2.heard_at) >= HTTP2_PING_APART => {
                http2.connection.ping();
                http2.ping = Ping::Asked(now);
                now + patience
            }
            Ping::None => http2.heard_at + HTTP2_PING_APART,
        };
        let tails = http2.rows.iter().filter(|row| row.exchange.is_none());
        let next = tails.map(|row| row.until).chain(due).fold(next, Instant::min);
        connection.set_alarm(next, local);
        local.wire.request_flush(&mut connection.link);
        self.look_at_idle(id, local);
        Alarm::Nothing
    }
}
