//! Opening streams with the requests that wait, and filling the connection's outbox.

use super::super::Connection;
use super::{Http2, Row, Stage};
use crate::engine::{Engine, Slice};
use crate::head::{BodyLength, Peer, RequestHead, Rules, Scheme, TrailerRules, UnderscoreNames};
use crate::http1::{ChunkedDecoder, FieldStorage, Verdict};
use crate::http2::{self, DataFrame, RequestForm, RequestTo, StreamId};
use crate::limits::{BUFFER_BYTES_MAX, FIELDS_MAX};
use crate::link::{Chain, Wire};
use crate::local::Local;
use crate::message::Body;
use crate::streams::send_trailers;
use crate::streams::{self, FILLED_MAX, OUTPUT_HIGH, Sending, fill_buffer, room_for};

/// For heads that were written here: they were within the limits before.
const OWN_HEADS: Rules = Rules {
    scheme: Scheme::Http,
    head_bytes_max: BUFFER_BYTES_MAX,
    fields_max: FIELDS_MAX,
    target_bytes_max: BUFFER_BYTES_MAX,
    underscore_names: UnderscoreNames::Allow,
    allow_connect: true,
};

/// For trailers that were read here, and filtered.
const FROM_CLIENT: Peer = Peer::Client(UnderscoreNames::Allow);

impl Http2 {
    // --- what an exchange does with its place ---

    /// Queues a range of a request.
    pub(in crate::backend) fn put<E: Engine>(
        &mut self,
        place: u32,
        slice: Slice,
        wire: &mut Wire<E>,
    ) {
        match self.position(place) {
            None => wire.engine.release(slice.buffer),
            Some(at) if self.rows[at].stage == Stage::Waiting => {
                wire.push_back(&mut self.rows[at].outbox, slice);
            }
            Some(at) => self.queue_body(at, slice, wire),
        }
    }

    /// The same for a request's head, whose buffer is kept until it is unpinned.
    pub(in crate::backend) fn put_pinned<E: Engine>(
        &mut self,
        place: u32,
        slice: Slice,
        wire: &mut Wire<E>,
    ) {
        if let Some(row) = self.row_mut(place) {
            wire.push_pinned(&mut row.outbox, slice);
        }
    }

    /// Queues what another attempt did not send.
    pub(in crate::backend) fn adopt<E: Engine>(
        &mut self,
        place: u32,
        unsent: Chain,
        wire: &mut Wire<E>,
    ) {
        match self.row_mut(place) {
            Some(row) if row.outbox.is_empty() => row.outbox = unsent,
            _ => wire.drop_chain(&mut { unsent }),
        }
    }

    /// Takes back a request that was not sent.
    pub(in crate::backend) fn take_unsent(&mut self, place: u32) -> Chain {
        let waiting = self.row_mut(place).filter(|row| row.stage == Stage::Waiting);
        waiting.map(|row| std::mem::take(&mut row.outbox)).unwrap_or_default()
    }

    /// The request at this place goes out without its Upgrade.
    pub(in crate::backend) fn forget_upgrade(&mut self, place: u32) {
        if let Some(row) = self.row_mut(place) {
            row.wants.forward_upgrade = false;
        }
    }

    /// Ends the client's direction of a tunnel behind what waits.
    pub(in crate::backend) fn end_request(&mut self, place: u32) {
        let Some(row) = self.row_mut(place) else { return };
        row.request = Body::ENDED;
        if let Stage::Open(stream) = row.stage {
            self.connection.end(stream);
        }
    }

    /// True if nothing of the request at this place was sent.
    pub(in crate::backend) fn is_waiting(&self, place: u32) -> bool {
        self.row(place).is_some_and(|row| row.stage == Stage::Waiting)
    }

    /// See [`crate::link::Wire::is_congested`]. `is_low`: buffers are.
    pub(in crate::backend) fn is_congested(&self, place: u32, is_low: bool) -> bool {
        self.row(place).is_some_and(|row| streams::is_congested(&row.outbox, self.queued, is_low))
    }

    /// See [`crate::link::Wire::has_room`].
    pub(in crate::backend) fn has_room(&self, place: u32, is_low: bool) -> bool {
        self.row(place).is_none_or(|row| streams::has_room(&row.outbox, self.queued, is_low))
    }

    /// True if all that was queued has been taken by the windows.
    pub(in crate::backend) fn is_flushed(&self, place: u32) -> bool {
        self.row(place).is_none_or(|row| row.outbox.is_empty())
    }

    /// True if the connection carried an exchange before the one at this place.
    pub(in crate::backend) fn is_reused(&self, place: u32) -> bool {
        self.row(place).is_some_and(|row| row.is_reused)
    }

    // --- opening ---

    /// Sends the heads of requests that wait, as far as there is room.
    fn open_rows<E: Engine>(&mut self, wire: &mut Wire<E>) {
        let mut room = if self.is_retired { 0 } else { self.connection.room() };
        for at in 0..self.rows.len() {
            let row = &self.rows[at];
            if room == 0 {
                return;
            }
            if row.stage != Stage::Waiting || row.exchange.is_none() {
                continue;
            }
            if let Some(head) = wire.front(&row.outbox) {
                self.open(at, head, wire);
                room = self.connection.room();
            }
        }
    }

    /// Opens a stream with the head at the start of a range, and what lies behind it of its body.
    fn open<E: Engine>(&mut self, at: usize, first: Slice, wire: &mut Wire<E>) {
        let row = &self.rows[at];
        let mut storage = FieldStorage::own();
        let verdict = RequestHead::parse(wire.bytes(first), &mut storage, &OWN_HEADS);
        let Verdict::Complete(head) = verdict else {
            debug_assert!(false, "a head that was written here is valid");
            return;
        };
        let form = RequestForm::Kept {
            forward_upgrade: row.wants.forward_upgrade,
            accepts_trailers: row.wants.accepts_trailers,
        };
        let to = RequestTo { scheme: self.scheme, form };
        let body = match head.body {
            BodyLength::None if to.opens_tunnel(&head) => Body::UntilClose,
            BodyLength::None => Body::ENDED,
            BodyLength::Sized(bytes) => Body::Sized(bytes),
            BodyLength::Chunked => Body::Chunked(ChunkedDecoder::unframing(FROM_CLIENT, None)),
        };
        let length = head.length as u32;
        let Some(stream) = self.connection.send_request(&head, &to, body.has_ended()) else {
            return;
        };
        let row = &mut self.rows[at];
        row.stage = Stage::Open(stream);
        row.request = body;
        self.has_opened = true;
        wire.take_sent(&mut row.outbox, length);
        self.note_progress(at);
        self.queue_waiting(at, stream, wire);
    }

    /// Queues the part of a body that waited with its head.
    fn queue_waiting<E: Engine>(&mut self, at: usize, stream: StreamId, wire: &mut Wire<E>) {
        let row = &mut self.rows[at];
        if let Body::Sized(left) = &mut row.request {
            // It is as it goes out, and may be pinned.
            let bytes = wire.length_of(&row.outbox);
            debug_assert!(bytes <= *left, "what waits is of this request");
            *left -= bytes.min(*left);
            let has_ended = *left == 0;
            if bytes > 0 {
                self.queued += bytes;
                self.connection.queue(stream, bytes);
                if has_ended {
                    self.connection.end(stream);
                }
            }
            return;
        }
        let mut waiting = std::mem::take(&mut row.outbox);
        while let Some(slice) = wire.pop_front(&mut waiting) {
            self.queue_body(at, slice, wire);
        }
    }

    /// Queues a range of a body on an open stream, without its framing.
    fn queue_body<E: Engine>(&mut self, at: usize, slice: Slice, wire: &mut Wire<E>) {
        let row = &mut self.rows[at];
        let (Stage::Open(stream), false) = (row.stage, row.request.has_ended()) else {
            return wire.engine.release(slice.buffer);
        };
        let passed = row.request.pass(wire.bytes_mut(slice));
        let Ok(passed) = passed else {
            debug_assert!(false, "a body that was read here is valid");
            return wire.engine.release(slice.buffer);
        };
        let part = Slice { end: slice.start + passed.kept as u32, ..slice };
        let trailers = Slice { start: part.end, end: part.end + passed.trailers as u32, ..slice };
        if !trailers.is_empty() {
            row.trailers = Some(wire.bytes(trailers).into());
        }
        let (has_ended, has_trailers) = (row.request.has_ended(), row.trailers.is_some());
        let bytes = u64::from(part.end - part.start);
        if bytes > 0 && self.connection.queue(stream, bytes) {
            wire.push_back(&mut self.rows[at].outbox, part);
            self.queued += bytes;
        } else {
            // There is nothing, or the backend does not need it.
            wire.engine.release(part.buffer);
        }
        if has_ended && !has_trailers {
            self.connection.end(stream);
        } else if has_ended {
            self.send_trailers_if_next(at);
        }
    }

    /// Sends the trailers of a request whose content is sent.
    fn send_trailers_if_next(&mut self, at: usize) {
        let row = &mut self.rows[at];
        let Stage::Open(stream) = row.stage else { return };
        if !row.request.has_ended() || !row.outbox.is_empty() {
            return;
        }
        let Some(section) = row.trailers.take() else { return };
        let rules = TrailerRules { from: FROM_CLIENT, named_by_connection: None };
        send_trailers(&mut self.connection, stream, &section, &rules);
    }

    /// Something of the stream of a row was sent: its exchange is told later.
    fn note_progress(&mut self, at: usize) {
        let exchange = self.rows[at].exchange;
        if let Some(exchange) = exchange.filter(|one| self.progressed.last() != Some(one)) {
            self.progressed.push(exchange);
        }
    }

    /// True if the backend reads too little of what is sent to it.
    fn is_output_long(&self) -> bool {
        self.connection.output().len() > OUTPUT_HIGH
    }
}

impl Sending for Http2 {
    fn connection(&mut self) -> &mut http2::Connection {
        &mut self.connection
    }

    fn outbox(&mut self, stream: StreamId) -> &mut Chain {
        let at = self.position_of(stream).expect("a stream that sends is known");
        &mut self.rows[at].outbox
    }

    fn has_sent<E: Engine>(&mut self, frame: &DataFrame, _: &Wire<E>) -> bool {
        self.queued -= u64::from(frame.bytes);
        if let Some(at) = self.position_of(frame.stream) {
            self.note_progress(at);
            self.send_trailers_if_next(at);
        }
        // The response is still to come.
        false
    }
}

impl Connection {
    /// Moves what can be sent to the outbox of the connection.
    #[inline]
    pub fn fill<E: Engine>(&mut self, local: &mut Local<E>) {
        if self.http2.is_some() {
            self.fill_outbox(local);
        }
    }

    #[inline(never)]
    fn fill_outbox<E: Engine>(&mut self, local: &mut Local<E>) {
        if self.link.is_connecting() || self.link.is_broken() {
            return;
        }
        let Some(http2) = &mut self.http2 else { return };
        http2.open_rows(&mut local.wire);
        let is_asked = http2.has_opened && http2.ping_if_silent(local.now());
        http2.has_opened = false;
        while self.link.outbox.len() < FILLED_MAX {
            let waiting = http2.connection.output().len() as u64 + http2.queued;
            if waiting == 0 && http2.rows.is_empty() {
                break;
            }
            let (room, most) = room_for(waiting, http2.rows.len(), &local.wire);
            let Some(buffer) = local.wire.engine.acquire(room) else {
                local.wire.retry_flush(&mut self.link);
                break;
            };
            let most = most.min(local.wire.engine.bytes(buffer).len());
            let (filled, _) = fill_buffer(&mut **http2, buffer, most, &mut local.wire);
            if filled == 0 {
                local.wire.engine.release(buffer);
                break;
            }
            local.wire.send(&mut self.link, Slice { buffer, start: 0, end: filled as u32 });
        }
        let is_output_long = http2.is_output_long();
        if is_asked {
            self.set_alarm_by(local.now() + local.current.timeouts().connect, local);
        }
        match is_output_long {
            // The backend does not read what answers it.
            true => local.wire.pause(&mut self.link),
            false => local.wire.receive(&mut self.link),
        }
    }
}

impl Row {
    /// True if nothing of the request is left to send.
    pub(super) fn is_sent(&self) -> bool {
        self.request.has_ended() && self.outbox.is_empty() && self.trailers.is_none()
    }
}
