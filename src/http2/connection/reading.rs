//! Reading frames from bytes as they come: each frame's header is checked when it is complete, so
//! that a verdict does not depend on how the bytes were split.

use super::{Connection, PREFACE, Pending};
use crate::base::Instant;
use crate::http2::Event;
use crate::http2::error::{ErrorCode, Fault};
use crate::http2::frame::{FRAME_HEADER_BYTES, Flags, FrameHeader, FrameKind, StreamId};
use crate::http2::guard::Flood;
use crate::http2::section::Section;
use crate::http2::settings::Role;
use crate::http2::stream::{Life, Side};
use crate::limits::HTTP2_CONTINUATIONS_MAX;
use std::ops::Range;

/// What is read next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// The preface of a client, of which so many bytes have come.
    Preface { seen: u8 },
    /// The header of a frame, of which so many bytes have come.
    Header { bytes: [u8; FRAME_HEADER_BYTES], seen: u8, is_first: bool },
    /// The payload of a frame that is read when it is complete.
    Payload { header: FrameHeader },
    /// The byte with the length of the padding of a DATA frame.
    PadLength { header: FrameHeader },
    /// Data, and padding behind it.
    Data { stream: StreamId, left: u32, padding: u32, is_last: bool },
    /// Bytes without a meaning.
    Skip { left: u32 },
    /// Nothing: the connection is over.
    Over,
}

/// A header block that CONTINUATION goes on with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gathering {
    pub(super) stream: StreamId,
    pub(super) is_last: bool,
    pub(super) continuations: u8,
}

/// What a call of [`Connection::receive`] has done.
#[derive(Debug)]
pub struct Received {
    /// Bytes that were read.
    pub consumed: usize,
    /// What they mean; none if more bytes are needed, and then all were read.
    pub event: Option<Event>,
}

/// The bytes of one call.
pub(super) struct Input<'i> {
    pub(super) bytes: &'i [u8],
    pub(super) at: usize,
}

impl<'i> Input<'i> {
    fn rest(&self) -> &'i [u8] {
        &self.bytes[self.at..]
    }

    /// At most `max` of the next bytes.
    pub(super) fn take(&mut self, max: usize) -> &'i [u8] {
        let range = self.take_range(max);
        &self.bytes[range]
    }

    /// The place of at most `max` of the next bytes.
    pub(super) fn take_range(&mut self, max: usize) -> Range<usize> {
        let start = self.at;
        self.at += max.min(self.bytes.len() - start);
        start..self.at
    }
}

/// Bytes of a frame that came in pieces for which memory is kept.
pub(super) const KEPT_BYTES_MAX: usize = 512;

impl Reading {
    const HEADER: Self = Self::Header { bytes: [0; FRAME_HEADER_BYTES], seen: 0, is_first: false };
    /// The header of the frame that must be SETTINGS (RFC 9113 §3.4).
    const FIRST: Self = Self::Header { bytes: [0; FRAME_HEADER_BYTES], seen: 0, is_first: true };

    pub(super) fn first(role: Role) -> Self {
        match role {
            Role::Server => Self::Preface { seen: 0 },
            Role::Client => Self::FIRST,
        }
    }
}

impl Connection {
    /// Reads bytes up to the first event. The caller takes the event, with what it needs of
    /// `section`, before it calls again with the rest, until there is no event: then all bytes are
    /// read, and streams may have got room to send ([`Connection::next_data`]).
    pub fn receive(&mut self, bytes: &[u8], section: &mut Section, now: Instant) -> Received {
        let mut input = Input { bytes, at: 0 };
        let event = loop {
            if let Some(event) = self.next_pending() {
                break Some(event);
            }
            if input.rest().is_empty() {
                break None;
            }
            match self.read(&mut input, section, now) {
                Ok(None) => {}
                Ok(event) => break event,
                Err(fault) => break Some(self.fail(fault)),
            }
        };
        Received { consumed: input.at, event }
    }

    fn next_pending(&mut self) -> Option<Event> {
        match self.pending {
            Pending::None => None,
            Pending::Draining(flood) => {
                self.pending = Pending::None;
                Some(Event::Draining { flood })
            }
            Pending::Refusing => {
                let refused = |stream: &&mut crate::http2::stream::Stream| {
                    stream.id > self.peer_last && stream.life == Life::Open
                };
                let Some(stream) = self.streams.iter_mut().find(refused) else {
                    self.pending = Pending::None;
                    return None;
                };
                stream.set_reset(Side::Peer);
                let code = ErrorCode::REFUSED_STREAM;
                Some(Event::Reset { stream: stream.id, code, is_complete: false })
            }
        }
    }

    fn read(
        &mut self,
        input: &mut Input<'_>,
        section: &mut Section,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        match self.reading {
            Reading::Preface { seen } => {
                let expected = &PREFACE[usize::from(seen)..];
                let bytes = input.take(expected.len());
                if !expected.starts_with(bytes) {
                    return Err(Fault::protocol("the connection preface is not that of HTTP/2"));
                }
                self.reading = match bytes.len() {
                    all if all == expected.len() => Reading::FIRST,
                    some => Reading::Preface { seen: seen + some as u8 },
                };
                Ok(None)
            }
            Reading::Header { mut bytes, seen, is_first } => {
                let start = usize::from(seen);
                let new = input.take(FRAME_HEADER_BYTES - start);
                bytes[start..start + new.len()].copy_from_slice(new);
                let seen = start + new.len();
                if seen < FRAME_HEADER_BYTES {
                    self.reading = Reading::Header { bytes, seen: seen as u8, is_first };
                    return Ok(None);
                }
                self.begin(FrameHeader::read(&bytes), is_first, input, section, now)
            }
            Reading::Payload { header } => {
                let left = header.length - self.gathered.len();
                let bytes = input.take(left);
                self.gathered.extend_from_slice(bytes);
                if bytes.len() < left {
                    return Ok(None);
                }
                self.reading = Reading::HEADER;
                self.read_gathered(header, section, now)
            }
            Reading::PadLength { header } => {
                let padding = input.take(1)[0];
                self.begin_data(header, Some(padding), input, now)
            }
            Reading::Data { stream, left, padding, is_last } => {
                Ok(self.read_data(stream, left, padding, is_last, input))
            }
            Reading::Skip { left } => {
                let skipped = input.take(left as usize).len() as u32;
                self.skip(left - skipped);
                Ok(None)
            }
            Reading::Over => {
                input.at = input.bytes.len();
                Ok(None)
            }
        }
    }

    /// Skips bytes without a meaning, and reads the next frame behind them.
    pub(super) fn skip(&mut self, left: u32) {
        self.reading = if left == 0 { Reading::HEADER } else { Reading::Skip { left } };
    }

    /// Begins a frame whose header is complete.
    fn begin(
        &mut self,
        header: FrameHeader,
        is_first: bool,
        input: &mut Input<'_>,
        section: &mut Section,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        header.check()?;
        if is_first && (header.kind != FrameKind::Settings || header.flags.has(Flags::ACK)) {
            return Err(Fault::protocol("the first frame is not SETTINGS"));
        }
        self.check_order(header, now)?;
        match header.kind {
            FrameKind::Data => self.begin_frame_of_data(header, input, now),
            FrameKind::Unknown => {
                self.skip(header.length as u32);
                self.charge(Flood::Ignored, now)?;
                Ok(None)
            }
            _ if input.rest().len() >= header.length => {
                self.reading = Reading::HEADER;
                self.on_frame(header, input.take(header.length), section, now)
            }
            _ => {
                self.reading = Reading::Payload { header };
                Ok(None)
            }
        }
    }

    /// A header block is not interrupted (RFC 9113 §4.3), and has a bounded number of frames.
    fn check_order(&mut self, header: FrameHeader, now: Instant) -> Result<(), Fault> {
        let is_continuation = header.kind == FrameKind::Continuation;
        let Some(gathering) = &mut self.gathering else {
            return match is_continuation {
                true => Err(Fault::protocol("CONTINUATION is not behind HEADERS")),
                false => Ok(()),
            };
        };
        if !is_continuation || header.stream != gathering.stream {
            return Err(Fault::protocol("a frame interrupts a header block"));
        }
        gathering.continuations += 1;
        if gathering.continuations > HTTP2_CONTINUATIONS_MAX {
            let reason = "a header block has too many CONTINUATION frames";
            return Err(Fault::excess(Flood::Continuation, reason));
        }
        self.charge(Flood::Continuation, now)
    }

    /// Reads a frame whose payload was gathered.
    fn read_gathered(
        &mut self,
        header: FrameHeader,
        section: &mut Section,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        let mut gathered = std::mem::take(&mut self.gathered);
        let result = self.on_frame(header, &gathered, section, now);
        gathered.clear();
        gathered.shrink_to(KEPT_BYTES_MAX);
        self.gathered = gathered;
        result
    }
}
