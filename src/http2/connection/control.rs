//! Frames without DATA and fields: settings, windows, resets, PING, GOAWAY.

use super::growing::SOUNDING_PING;
use super::{Connection, Pending, SettingsAck};
use crate::base::Instant;
use crate::http2::Event;
use crate::http2::error::Fault;
use crate::http2::frame::{self, Flags, FrameHeader, FrameKind, StreamId};
use crate::http2::guard::Flood;
use crate::http2::section::Section;
use crate::http2::settings::{self, Role};
use crate::http2::stream::{Receiving, Sending, Side};

/// The PING that finds out whether a client has read the first GOAWAY of a drain.
pub(super) const DRAIN_PING: [u8; 8] = *b"rw-drain";
/// The PING of [`Connection::ping`].
pub(super) const LIVENESS_PING: [u8; 8] = *b"rw-alive";

/// An increment below this is of a peer that announces each bit that it reads.
const SMALL_INCREMENT: u32 = 1_024;

impl Connection {
    /// Reads a complete frame.
    pub(super) fn on_frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        section: &mut Section,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        let FrameHeader { kind, flags, stream, .. } = header;
        match kind {
            FrameKind::Headers => self.on_headers(header, payload, section, now),
            FrameKind::Continuation => self.on_continuation(header, payload, section, now),
            FrameKind::Priority => self.on_priority(stream, payload, now),
            FrameKind::RstStream => self.on_reset(stream, payload, now),
            FrameKind::Settings if flags.has(Flags::ACK) => self.on_settings_ack(),
            FrameKind::Settings => self.on_settings(payload, now),
            FrameKind::Ping => self.on_ping(flags, payload, now),
            FrameKind::GoAway => Ok(self.on_goaway(payload)),
            FrameKind::WindowUpdate => self.on_window_update(stream, payload, now),
            FrameKind::Data | FrameKind::PushPromise | FrameKind::Unknown => Ok(None),
        }
    }

    fn on_settings(&mut self, payload: &[u8], now: Instant) -> Result<Option<Event>, Fault> {
        self.charge(Flood::Settings, now)?;
        let before = self.peer;
        self.peer.apply(payload, self.role)?;
        settings::table_sizes(payload).for_each(|size| self.blocks.set_peer_table_size(size));
        let change = i64::from(self.peer.initial_window) - i64::from(before.initial_window);
        if change != 0 {
            for stream in self.streams.iter_mut() {
                stream.send_window.change(change).map_err(|_| {
                    Fault::flow_control("SETTINGS_INITIAL_WINDOW_SIZE makes a window too large")
                })?;
            }
        }
        self.answer(frame::write_settings_ack)?;
        Ok(None)
    }

    fn on_settings_ack(&mut self) -> Result<Option<Event>, Fault> {
        if self.settings_ack == SettingsAck::Received {
            return Err(Fault::protocol("SETTINGS is acknowledged that was not sent"));
        }
        self.settings_ack = SettingsAck::Received;
        Ok(None)
    }

    fn on_ping(
        &mut self,
        flags: Flags,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        let payload: [u8; 8] = payload.try_into().expect("the size was checked");
        let is_ack = flags.has(Flags::ACK);
        // What was not asked for is charged like a PING.
        if is_ack && payload == DRAIN_PING && self.is_drain_announced() {
            self.conclude_drain();
            return Ok(None);
        }
        if is_ack && payload == LIVENESS_PING && self.pongs_awaited > 0 {
            self.pongs_awaited -= 1;
            return Ok(Some(Event::Pong));
        }
        if is_ack && payload == SOUNDING_PING && self.is_sounding() {
            self.end_sounding();
            return Ok(None);
        }
        self.charge(Flood::Ping, now)?;
        if !is_ack {
            self.answer(|out| frame::write_ping(payload, true, out))?;
        }
        Ok(None)
    }

    fn on_goaway(&mut self, payload: &[u8]) -> Option<Event> {
        let (last, code) = frame::goaway(payload);
        // It may not grow (RFC 9113 §6.8); one that does changes nothing.
        self.peer_last = self.peer_last.min(last);
        if self.role == Role::Client {
            self.pending = Pending::Refusing;
        }
        Some(Event::GoAway { code })
    }

    fn on_priority(
        &mut self,
        stream: StreamId,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        self.charge(Flood::Ignored, now)?;
        if payload.len() == frame::PRIORITY_BYTES {
            return frame::check_dependency(stream, payload).map(|()| None);
        }
        let fault = Fault::frame_size("a PRIORITY frame has a wrong size");
        match self.streams.open_mut(stream) {
            Some(_) => self.reset_for(stream, fault, now),
            // An idle stream cannot be reset.
            None => Err(fault),
        }
    }

    fn on_reset(
        &mut self,
        stream: StreamId,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        if self.is_idle(stream) {
            return Err(Fault::protocol("RST_STREAM is for an idle stream"));
        }
        let Some(row) = self.streams.open_mut(stream).filter(|row| !row.is_complete()) else {
            self.charge(Flood::Ignored, now)?;
            return Ok(None);
        };
        let is_complete = row.receiving == Receiving::Ended;
        // A backend's reset answers a request that we chose to send.
        let is_premature = row.sending != Sending::Ended && self.role == Role::Server;
        row.set_reset(Side::Peer);
        if is_premature {
            self.charge(Flood::Reset, now)?;
        }
        Ok(Some(Event::Reset { stream, code: frame::error_code(payload), is_complete }))
    }

    fn on_window_update(
        &mut self,
        stream: StreamId,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        let increment = frame::increment(payload);
        let no_increment = Fault::protocol("WINDOW_UPDATE has no increment");
        let overflow = Fault::flow_control("WINDOW_UPDATE makes a window too large");
        if increment < SMALL_INCREMENT {
            self.charge(Flood::WindowUpdate, now)?;
        }
        if stream == StreamId::CONNECTION {
            if increment == 0 {
                return Err(no_increment);
            }
            self.send_window.change(i64::from(increment)).map_err(|_| overflow)?;
            return Ok(None);
        }
        if self.is_idle(stream) {
            return Err(Fault::protocol("WINDOW_UPDATE is for an idle stream"));
        }
        let Some(row) = self.streams.open_mut(stream).filter(|row| !row.is_complete()) else {
            // Many peers announce what they read behind the end of a stream too.
            if increment >= SMALL_INCREMENT {
                self.charge(Flood::WindowUpdate, now)?;
            }
            return Ok(None);
        };
        if increment == 0 {
            return self.reset_for(stream, no_increment, now);
        }
        match row.send_window.change(i64::from(increment)) {
            Ok(()) => Ok(None),
            Err(_) => self.reset_for(stream, overflow, now),
        }
    }

    /// Sends a PING, which a peer that lives answers: see [`Event::Pong`].
    pub fn ping(&mut self) {
        if !self.is_closed() {
            self.pongs_awaited += 1;
            frame::write_ping(LIVENESS_PING, false, &mut self.output);
        }
    }
}
