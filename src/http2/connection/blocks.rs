//! Reading HEADERS and CONTINUATION: field blocks become heads and trailers.
//!
//! Whatever becomes of its stream, a block is decoded, so that the compression stays in step (RFC
//! 9113 §4.3).

use super::reading::{Gathering, KEPT_BYTES_MAX};
use super::{Connection, Drain};
use crate::base::Instant;
use crate::head::ResponseTo;
use crate::http2::Event;
use crate::http2::closed::Past;
use crate::http2::error::{ErrorCode, Fault};
use crate::http2::frame::{self, Flags, FrameHeader, StreamId};
use crate::http2::guard::Flood;
use crate::http2::request;
use crate::http2::response::{self, ResponseKind};
use crate::http2::section::{Kind, Section, SectionLimits, State};
use crate::http2::settings::Role;
use crate::http2::stream::{Content, Life, Receiving, Sending, Side, Stream};
use crate::http2::window::{ReceiveWindow, SendWindow};
use crate::limits::{FIELDS_MAX, HTTP2_BLOCK_BYTES_MAX, INTERIMS_MAX, TRAILER_BYTES_MAX};

const BEHIND_END: Fault = Fault::stream_closed("HEADERS is behind the end of its stream");

impl Connection {
    pub(super) fn on_headers(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        section: &mut Section,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        let fragment = frame::fragment(header.stream, header.flags, payload)?;
        let is_last = header.flags.has(Flags::END_STREAM);
        if header.flags.has(Flags::END_HEADERS) {
            return self.on_block(header.stream, is_last, fragment, section, now);
        }
        self.gathering = Some(Gathering { stream: header.stream, is_last, continuations: 0 });
        self.block.clear();
        self.block.extend_from_slice(fragment);
        Ok(None)
    }

    pub(super) fn on_continuation(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        section: &mut Section,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        if self.block.len() + payload.len() > HTTP2_BLOCK_BYTES_MAX {
            return Err(Fault::excess(Flood::Oversized, "a field block is far too large"));
        }
        self.block.extend_from_slice(payload);
        let complete = header.flags.has(Flags::END_HEADERS);
        let Some(gathering) = self.gathering.take_if(|_| complete) else { return Ok(None) };
        let mut block = std::mem::take(&mut self.block);
        let result = self.on_block(gathering.stream, gathering.is_last, &block, section, now);
        block.clear();
        block.shrink_to(KEPT_BYTES_MAX);
        self.block = block;
        result
    }

    fn decode(&mut self, block: &[u8], kind: Kind, section: &mut Section) -> Result<(), Fault> {
        let limits = match kind {
            Kind::Trailers => SectionLimits { bytes: TRAILER_BYTES_MAX, fields: FIELDS_MAX },
            _ => {
                SectionLimits { bytes: self.config.head_bytes_max, fields: self.config.fields_max }
            }
        };
        section.begin(kind, limits);
        self.decoder.decode(block, section)?;
        section.end();
        Ok(())
    }

    fn on_block(
        &mut self,
        stream: StreamId,
        is_last: bool,
        block: &[u8],
        section: &mut Section,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        if let Some(row) = self.streams.stream(stream) {
            return match (row.life, row.receiving) {
                (Life::Reset(Side::Us), _) => {
                    self.decode(block, Kind::Ignored, section)?;
                    Ok(None)
                }
                (Life::Reset(Side::Peer), _) | (Life::Open, Receiving::Ended) => {
                    self.decode(block, Kind::Ignored, section)?;
                    self.reset_for(stream, BEHIND_END, now)
                }
                (Life::Open, Receiving::Head { .. }) => {
                    self.on_response(stream, is_last, block, section, now)
                }
                (Life::Open, Receiving::Body) => {
                    self.on_trailers(stream, is_last, block, section, now)
                }
            };
        }
        if self.role == Role::Server && stream.is_of_client() && stream > self.highest {
            self.highest = stream;
            return self.on_request(stream, is_last, block, section, now);
        }
        if self.is_idle(stream) {
            return Err(Fault::protocol(
                "HEADERS opens a stream that is not for the sender to open",
            ));
        }
        self.decode(block, Kind::Ignored, section)?;
        match self.past(stream) {
            Past::Cut => Ok(None),
            Past::Ended => Err(BEHIND_END),
            Past::Unknown if self.role == Role::Server => {
                Err(Fault::protocol("a new stream has a lower number than one before"))
            }
            Past::Unknown => self.answer_closed(stream, BEHIND_END, now),
        }
    }

    fn on_request(
        &mut self,
        stream: StreamId,
        is_last: bool,
        block: &[u8],
        section: &mut Section,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        if let Drain::Concluded { .. } = self.drain {
            // GOAWAY has told that it is not processed.
            self.decode(block, Kind::Ignored, section)?;
            return Ok(None);
        }
        if self.streams.length() >= self.config.streams_max as usize {
            self.decode(block, Kind::Ignored, section)?;
            let reason = "there are more streams than SETTINGS_MAX_CONCURRENT_STREAMS";
            let fault = Fault::of(ErrorCode::REFUSED_STREAM, reason);
            return self.reset_for(stream, fault, now);
        }
        self.decode(block, Kind::Request, section)?;
        section.is_last = is_last;
        let (content, event) = match section.state() {
            State::TooLarge(refusal) => {
                self.charge(Flood::Oversized, now)?;
                let content = if is_last { Content::Rest(0) } else { Content::Unknown };
                (content, Event::Refused { stream, refusal, is_last })
            }
            State::Malformed(reason) => {
                return self.reset_for(stream, Fault::protocol(reason), now);
            }
            State::Valid | State::Ignored => {
                match request::check(section, is_last, self.config.extended_connect) {
                    Ok(content) => (content, Event::Request { stream, is_last }),
                    Err(reason) => return self.reset_for(stream, Fault::protocol(reason), now),
                }
            }
        };
        let receiving = if is_last { Receiving::Ended } else { Receiving::Body };
        let mut row = self.new_stream(stream, receiving, Sending::Head, ResponseTo::default());
        row.content = content;
        row.priority = section.priority();
        self.streams.insert(row);
        Ok(Some(event))
    }

    /// A stream that begins.
    pub(super) fn new_stream(
        &self,
        id: StreamId,
        receiving: Receiving,
        sending: Sending,
        asked: ResponseTo,
    ) -> Stream {
        Stream {
            id,
            life: Life::Open,
            receiving,
            sending,
            priority: Default::default(),
            asked,
            content: Content::Unknown,
            window: self.config.stream_window,
            receive_window: ReceiveWindow::new(self.config.stream_window),
            sounded: 0,
            held: 0,
            send_window: SendWindow::new(self.peer.initial_window),
            queued: 0,
            turn: 0,
            sent_in_turn: 0,
        }
    }

    fn on_response(
        &mut self,
        stream: StreamId,
        is_last: bool,
        block: &[u8],
        section: &mut Section,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        self.decode(block, Kind::Response, section)?;
        let Some(row) = self.streams.open_mut(stream) else { return Ok(None) };
        section.asked = row.asked;
        section.is_last = is_last;
        let checked = match section.state() {
            State::TooLarge(refusal) => Err(Fault::of(ErrorCode::CANCEL, refusal.text())),
            State::Malformed(reason) => Err(Fault::protocol(reason)),
            State::Valid | State::Ignored => {
                response::check(section, is_last, row.asked).map_err(Fault::protocol)
            }
        };
        let fault = match (checked, row.receiving) {
            (Ok(ResponseKind::Interim), Receiving::Head { interims })
                if interims < INTERIMS_MAX =>
            {
                row.receiving = Receiving::Head { interims: interims + 1 };
                return Ok(Some(Event::Response { stream, is_last: false }));
            }
            (Ok(ResponseKind::Interim), _) => {
                Fault::of(ErrorCode::CANCEL, "there are too many interim responses")
            }
            (Ok(ResponseKind::Final(content)), _) => {
                row.content = content;
                row.receiving = if is_last { Receiving::Ended } else { Receiving::Body };
                return Ok(Some(Event::Response { stream, is_last }));
            }
            (Err(fault), _) => fault,
        };
        self.reset_for(stream, fault, now)
    }

    fn on_trailers(
        &mut self,
        stream: StreamId,
        is_last: bool,
        block: &[u8],
        section: &mut Section,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        self.decode(block, Kind::Trailers, section)?;
        let Some(row) = self.streams.open_mut(stream) else { return Ok(None) };
        let reason = match (section.state(), row.content) {
            _ if !is_last => Some("trailers do not end their stream"),
            (State::Malformed(reason), _) => Some(reason),
            (_, Content::Tunnel) => Some("a tunnel has trailers"),
            (_, Content::Rest(rest)) if rest > 0 => Some(request::TOO_SHORT),
            _ => None,
        };
        if let Some(reason) = reason {
            return self.reset_for(stream, Fault::protocol(reason), now);
        }
        row.receiving = Receiving::Ended;
        section.is_last = true;
        match section.state() {
            State::TooLarge(refusal) => {
                self.charge(Flood::Oversized, now)?;
                Ok(Some(Event::Refused { stream, refusal, is_last }))
            }
            _ => Ok(Some(Event::Trailers { stream })),
        }
    }
}
