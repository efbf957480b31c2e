//! Reading DATA (RFC 9113 §6.1): windows, padding, content-length, and credit that comes back.

use super::Connection;
use super::reading::{Input, Reading};
use crate::base::Instant;
use crate::http2::Event;
use crate::http2::closed::Past;
use crate::http2::error::Fault;
use crate::http2::frame::{self, Flags, FrameHeader, StreamId};
use crate::http2::guard::Flood;
use crate::http2::request::TOO_SHORT;
use crate::http2::stream::{Content, Life, Receiving, Side, Stream};

/// What becomes of a DATA frame by the state of its stream.
enum Admission {
    Delivered,
    /// Its stream was cut by us: the frame was on its way.
    Discarded,
    /// The stream is reset.
    Refused(Fault),
}

const BEHIND_END: Fault = Fault::stream_closed("DATA is behind the end of its stream");

impl Stream {
    fn admit(&mut self, length: u32) -> Admission {
        match (self.life, self.receiving) {
            (Life::Reset(Side::Us), _) => Admission::Discarded,
            (Life::Reset(Side::Peer), _) | (Life::Open, Receiving::Ended) => {
                Admission::Refused(BEHIND_END)
            }
            (Life::Open, Receiving::Head { .. }) => {
                Admission::Refused(Fault::protocol("DATA is before the head"))
            }
            (Life::Open, Receiving::Body) if !self.receive_window.take(length) => {
                Admission::Refused(Fault::flow_control("DATA overruns the window of its stream"))
            }
            (Life::Open, Receiving::Body) => Admission::Delivered,
        }
    }

    /// Counts DATA against content-length (RFC 9113 §8.1.1).
    fn count_content(&mut self, bytes: u32, is_last: bool) -> Result<(), Fault> {
        let Content::Rest(rest) = &mut self.content else { return Ok(()) };
        *rest = rest
            .checked_sub(u64::from(bytes))
            .ok_or(Fault::protocol("DATA is longer than content-length"))?;
        if is_last && *rest > 0 { Err(Fault::protocol(TOO_SHORT)) } else { Ok(()) }
    }

    /// Gives back credit of the stream; returns the increment to announce. There is none where all
    /// that is still to come fits.
    fn give_back(&mut self, bytes: u32) -> Option<u32> {
        if !self.takes_credit() {
            return None;
        }
        self.receive_window.give_back(bytes, self.window)
    }

    /// True if the peer may have more to send than its credit allows.
    pub(super) fn takes_credit(&self) -> bool {
        let fits = match self.content {
            Content::Rest(rest) => rest <= u64::from(self.receive_window.available()),
            Content::Unknown | Content::Tunnel => false,
        };
        !fits && self.is_open() && self.receiving != Receiving::Ended
    }
}

impl Connection {
    /// Begins a DATA frame. The whole frame counts for the windows, its padding too.
    pub(super) fn begin_frame_of_data(
        &mut self,
        header: FrameHeader,
        input: &mut Input<'_>,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        let FrameHeader { stream, .. } = header;
        let length = header.length as u32;
        if self.is_idle(stream) {
            return Err(Fault::protocol("DATA is for an idle stream"));
        }
        if !self.receive_window.take(length) {
            return Err(Fault::flow_control("DATA overruns the window of the connection"));
        }
        let past = self.past(stream);
        let admission = match self.streams.stream_mut(stream) {
            Some(row) => row.admit(length),
            None if past == Past::Cut => Admission::Discarded,
            None => Admission::Refused(BEHIND_END),
        };
        match admission {
            Admission::Delivered if header.flags.has(Flags::PADDED) => {
                self.reading = Reading::PadLength { header };
                Ok(None)
            }
            Admission::Delivered => self.begin_data(header, None, input, now),
            Admission::Discarded => {
                self.discard(length, 0);
                Ok(None)
            }
            Admission::Refused(fault) => {
                self.discard(length, 0);
                match self.streams.stream(stream) {
                    Some(_) => self.reset_for(stream, fault, now),
                    None => self.answer_closed(stream, fault, now),
                }
            }
        }
    }

    /// Begins the data of a frame whose padding is known.
    pub(super) fn begin_data(
        &mut self,
        header: FrameHeader,
        padding: Option<u8>,
        input: &mut Input<'_>,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        let FrameHeader { stream, .. } = header;
        let is_last = header.flags.has(Flags::END_STREAM);
        let overhead = padding.map_or(0, |padding| 1 + u32::from(padding));
        let Some(data) = (header.length as u32).checked_sub(overhead) else {
            return Err(Fault::protocol("a DATA frame has more padding than bytes"));
        };
        let padding = u32::from(padding.unwrap_or(0));
        let Some(row) = self.streams.open_mut(stream) else {
            // The caller has reset it meanwhile.
            self.credit(overhead);
            self.discard(data, padding);
            return Ok(None);
        };
        let counted = row.count_content(data, is_last);
        if data == 0 && is_last && counted.is_ok() {
            row.receiving = Receiving::Ended;
        }
        if overhead > 0 {
            self.give_back(stream, overhead);
        }
        if let Err(fault) = counted {
            self.discard(data, padding);
            return self.reset_for(stream, fault, now);
        }
        if data > 0 {
            self.guard.forgive(Flood::Ping, 1);
            self.reading = Reading::Data { stream, left: data, padding, is_last };
            return Ok(None);
        }
        self.skip(padding);
        if is_last {
            return Ok(Some(Event::Data { stream, range: input.at..input.at, is_last }));
        }
        self.charge(Flood::Empty, now)?;
        Ok(None)
    }

    /// Reads a piece of data.
    pub(super) fn read_data(
        &mut self,
        stream: StreamId,
        left: u32,
        padding: u32,
        is_last: bool,
        input: &mut Input<'_>,
    ) -> Option<Event> {
        let range = input.take_range(left as usize);
        let bytes = range.len() as u32;
        let left = left - bytes;
        match left {
            0 => self.skip(padding),
            _ => self.reading = Reading::Data { stream, left, padding, is_last },
        }
        let Some(row) = self.streams.open_mut(stream) else {
            self.credit(bytes);
            return None;
        };
        row.held += bytes;
        row.sounded = row.sounded.saturating_add(bytes);
        let is_last = is_last && left == 0;
        if is_last {
            row.receiving = Receiving::Ended;
        }
        self.sound(bytes);
        Some(Event::Data { stream, range, is_last })
    }

    /// Skips data that nobody gets, and padding behind it, and gives the data's credit back.
    fn discard(&mut self, data: u32, padding: u32) {
        self.credit(data);
        self.skip(data + padding);
    }

    /// Gives back credit of a stream and of the connection.
    fn give_back(&mut self, stream: StreamId, bytes: u32) {
        let row = self.streams.stream_mut(stream);
        if let Some(increment) = row.and_then(|row| row.give_back(bytes)) {
            frame::write_window_update(stream, increment, &mut self.output);
        }
        self.credit(bytes);
    }

    /// The caller has room again for bytes of DATA that it got: the peer may send as many more.
    /// Those that it has not released when a stream is finished are released then.
    pub fn release(&mut self, stream: StreamId, bytes: u32) {
        let Some(row) = self.streams.stream_mut(stream) else { return };
        let bytes = bytes.min(row.held);
        row.held -= bytes;
        self.give_back(stream, bytes);
    }
}
