//! Receive windows that grow while they are what limits the peer.
//!
//! A PING shows how long a round trip takes: where half a window of DATA or more comes within one,
//! the peer has waited for credit (gRPC's estimator does the same). Such a window is doubled, but
//! only where the caller keeps up with what comes, and as far as the caller allows: a window is a
//! promise of memory. Those towards a backend do not grow: a client that reads slowly would hold a
//! large part of a connection that others use too.

use super::Connection;
use crate::http2::frame::{self, StreamId};
use crate::http2::settings::Role;
use crate::limits::HTTP2_WINDOW_BYTES_MAX;

/// The PING that takes the time of a round trip.
pub(super) const SOUNDING_PING: [u8; 8] = *b"rw-sound";

/// Bytes of DATA before another PING where many led to nothing.
const PAUSE_MAX: u32 = 1 << 24;

/// PINGs that may lead to nothing without a pause. The first one goes out in the middle of what the
/// peer sends in a round trip; the next one follows its answer, and so has all of it behind it.
const FRUITLESS_MAX: u32 = 2;

/// What of its window a peer uses in a round trip if the window is what limits it: half of it at
/// least, since credit is announced in halves.
fn is_limiting(received: u32, window: u32) -> bool {
    received >= window / 2
}

/// Whether a PING is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sounding {
    /// No: the next one follows so many bytes of DATA.
    Idle { left: u32 },
    /// Yes, and so many bytes of DATA have come since.
    Sent { received: u32 },
}

/// The growth of a connection's windows.
#[derive(Debug)]
pub(super) struct Growth {
    sounding: Sounding,
    /// PINGs in a row that led to nothing.
    fruitless: u32,
    /// Bytes by which the connection's window may still grow.
    allowed: u32,
}

impl Growth {
    pub(super) fn new(stream_window: u32) -> Self {
        Self { sounding: Sounding::Idle { left: stream_window }, fruitless: 0, allowed: 0 }
    }

    /// Waits for the next time, after a PING that led to something or not.
    fn rest(&mut self, has_grown: bool, stream_window: u32) {
        self.fruitless = if has_grown { 0 } else { self.fruitless.saturating_add(1).min(16) };
        let left = match self.fruitless.checked_sub(FRUITLESS_MAX) {
            Some(more) => (u64::from(stream_window) << more).min(u64::from(PAUSE_MAX)) as u32,
            None => 0,
        };
        self.sounding = Sounding::Idle { left };
    }
}

impl Connection {
    /// The windows may grow by so many bytes in all from now on; none before it is said.
    pub fn allow_growth(&mut self, bytes: u32) {
        self.growth.allowed = bytes;
    }

    /// Bytes by which the connection's window has grown.
    pub fn grown_by(&self) -> u32 {
        self.window - self.config.connection_window
    }

    /// Takes back the growth of an idle connection: credit beyond the window is not renewed.
    pub(super) fn forget_growth(&mut self) {
        self.window = self.config.connection_window;
        self.growth = Growth::new(self.config.stream_window);
    }

    /// Counts DATA that was received.
    pub(super) fn sound(&mut self, bytes: u32) {
        if self.role == Role::Client {
            return;
        }
        match &mut self.growth.sounding {
            Sounding::Sent { received } => *received = received.saturating_add(bytes),
            Sounding::Idle { left } if *left > bytes => *left -= bytes,
            Sounding::Idle { .. } => self.begin_sounding(),
        }
    }

    fn begin_sounding(&mut self) {
        let may_grow = self.growth.allowed > 0 && self.window < HTTP2_WINDOW_BYTES_MAX;
        if !self.has_stream_below(if may_grow { u32::MAX } else { self.stream_window_max() }) {
            return self.growth.rest(false, self.config.stream_window);
        }
        self.growth.sounding = Sounding::Sent { received: 0 };
        self.streams.iter_mut().for_each(|row| row.sounded = 0);
        frame::write_ping(SOUNDING_PING, false, &mut self.output);
    }

    /// True if a PING that takes the time is on its way.
    pub(super) fn is_sounding(&self) -> bool {
        matches!(self.growth.sounding, Sounding::Sent { .. })
    }

    /// The largest window that a stream may have: the others are left a part of the connection's.
    fn stream_window_max(&self) -> u32 {
        (self.window / 4 * 3).max(self.config.stream_window)
    }

    /// True if a stream that goes on has a smaller window.
    fn has_stream_below(&mut self, window: u32) -> bool {
        self.streams.iter_mut().any(|row| row.takes_credit() && row.window < window)
    }

    /// The answer to the PING has come.
    pub(super) fn end_sounding(&mut self) {
        let Sounding::Sent { received } = self.growth.sounding else { return };
        let has_grown = self.grow_connection(received) | self.grow_streams();
        self.growth.rest(has_grown, self.config.stream_window);
    }

    fn grow_connection(&mut self, received: u32) -> bool {
        let room = HTTP2_WINDOW_BYTES_MAX.saturating_sub(self.window);
        let by = self.window.min(room).min(self.growth.allowed);
        let held: u64 = self.streams.iter_mut().map(|row| u64::from(row.held)).sum();
        let keeps_up = held <= u64::from(self.window / 4);
        if by == 0 || !keeps_up || !is_limiting(received, self.window) {
            return false;
        }
        self.window += by;
        self.growth.allowed -= by;
        self.receive_window.grow(by);
        frame::write_window_update(StreamId::CONNECTION, by, &mut self.output);
        true
    }

    fn grow_streams(&mut self) -> bool {
        let most = self.stream_window_max();
        let mut has_grown = false;
        for row in self.streams.iter_mut() {
            let by = row.window.min(most.saturating_sub(row.window));
            let keeps_up = row.held <= row.window / 4;
            if by == 0 || !keeps_up || !row.takes_credit() || !is_limiting(row.sounded, row.window)
            {
                continue;
            }
            row.window += by;
            row.receive_window.grow(by);
            frame::write_window_update(row.id, by, &mut self.output);
            has_grown = true;
        }
        has_grown
    }
}
