//! The ends of streams and of the connection.

use super::control::DRAIN_PING;
use super::reading::Reading;
use super::{Connection, Pending};
use crate::http2::error::ErrorCode;
use crate::http2::frame::{self, StreamId};
use crate::http2::guard::Flood;
use crate::http2::settings::Role;
use crate::http2::stream::{Life, Receiving, Sending, Side, Streams};

/// The steps of a drain (RFC 9113 §6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    None,
    /// The client has been told not to open streams; those on their way are taken.
    Announced,
    /// Streams above the last one are not processed.
    Concluded {
        last: StreamId,
    },
}

impl Connection {
    /// Resets a stream. It counts until it is finished.
    pub fn reset(&mut self, stream: StreamId, code: ErrorCode) {
        let Some(row) = self.streams.open_mut(stream) else { return };
        let is_complete = row.is_complete();
        row.set_reset(Side::Us);
        if !is_complete {
            frame::write_reset(stream, code, &mut self.output);
        }
    }

    /// Ends the caller's part of a stream: it does not count any more, and its credit comes back.
    /// What either side has not ended is reset: by a server with NO_ERROR behind a complete
    /// response, whose request it does not need (RFC 9113 §8.1), with INTERNAL_ERROR where it is
    /// cut short; by a client with NO_ERROR behind a complete response, else with CANCEL.
    pub fn finished(&mut self, stream: StreamId) {
        let code = match (self.role, self.streams.stream(stream)) {
            (_, None) => return,
            (Role::Server, Some(row)) if row.sending == Sending::Ended => ErrorCode::NO_ERROR,
            (Role::Server, Some(_)) => ErrorCode::INTERNAL_ERROR,
            (Role::Client, Some(row)) if row.receiving == Receiving::Ended => ErrorCode::NO_ERROR,
            (Role::Client, Some(_)) => ErrorCode::CANCEL,
        };
        self.reset(stream, code);
        let row = self.streams.remove(stream).expect("it is there");
        self.credit(row.held);
        if row.sending == Sending::Ended {
            // A client may reset what has ended meanwhile.
            self.guard.forgive(Flood::Ignored, 1);
        }
        if row.life == Life::Reset(Side::Peer) || row.receiving == Receiving::Ended {
            self.closed.ended(stream);
        } else {
            self.closed.cut(stream);
        }
    }

    /// Begins a drain: no new streams. A server tells its client first, and takes the streams that
    /// are on their way; it concludes when the client has answered a PING, or when the caller calls
    /// [`Connection::conclude_drain`], which it does after a time.
    pub fn drain(&mut self) {
        if self.drain != Drain::None || self.is_closed() {
            return;
        }
        match self.role {
            Role::Server => {
                let last = StreamId::MAX;
                frame::write_goaway(last, ErrorCode::NO_ERROR, "", &mut self.output);
                frame::write_ping(DRAIN_PING, false, &mut self.output);
                self.drain = Drain::Announced;
            }
            Role::Client => self.conclude(StreamId::CONNECTION),
        }
    }

    /// True during the first step of a drain.
    pub(super) fn is_drain_announced(&self) -> bool {
        self.drain == Drain::Announced
    }

    /// Ends the first step of a drain: later streams are not processed.
    pub fn conclude_drain(&mut self) {
        if self.drain == Drain::Announced && !self.is_closed() {
            self.conclude(self.highest);
        }
    }

    fn conclude(&mut self, last: StreamId) {
        frame::write_goaway(last, ErrorCode::NO_ERROR, "", &mut self.output);
        self.drain = Drain::Concluded { last };
    }

    /// True if the connection may be closed once its output is sent: it is over, or was drained and
    /// has no streams.
    pub fn is_done(&self) -> bool {
        let is_drained = matches!(self.drain, Drain::Concluded { .. });
        self.is_closed() || (is_drained && self.streams.length() == 0)
    }

    /// True if nothing more is read.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.reading, Reading::Over)
    }

    /// Ends the connection at once, with all its streams; with a text for the peer's operator.
    pub fn close(&mut self, code: ErrorCode, text: &str) {
        if self.is_closed() {
            return;
        }
        let last = match (self.role, self.drain) {
            (_, Drain::Concluded { last }) => last,
            (Role::Server, _) => self.highest,
            (Role::Client, _) => StreamId::CONNECTION,
        };
        frame::write_goaway(last, code, text, &mut self.output);
        self.reading = Reading::Over;
        self.pending = Pending::None;
        self.streams = Streams::default();
    }
}
