//! Sending messages: heads, DATA, trailers.

use super::{Connection, Drain};
use crate::head::{RequestHead, ResponseHead, ResponseTo};
use crate::http2::frame::{self, FRAME_HEADER_BYTES, StreamId};
use crate::http2::guard::Flood;
use crate::http2::request_writer::RequestTo;
use crate::http2::response_writer::{Answer, GrpcAnswer, write_response};
use crate::http2::schedule::Share;
use crate::http2::settings::{ExtendedConnect, Role};
use crate::http2::stream::{Receiving, Sending, Stream};
use crate::http2::trailers::Trailers;

/// A DATA frame: its header goes before so many of the bytes that the caller has queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataFrame {
    /// Its stream.
    pub stream: StreamId,
    /// The header.
    pub header: [u8; FRAME_HEADER_BYTES],
    /// Bytes of data.
    pub bytes: u32,
    /// It ends the stream.
    pub is_last: bool,
}

/// The window that keeps a stream from sending DATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutWindow {
    /// That of the stream.
    OfStream,
    /// That of the connection.
    OfConnection,
}

/// WINDOW_UPDATE frames that a DATA frame may lead to: of its stream, and of the connection.
const UPDATES_PER_DATA: u32 = 2;

impl Connection {
    /// How many more streams can be opened towards the server: within our limit and its own, which
    /// is not known before its SETTINGS have come; what is too much is refused, and safe to send
    /// again.
    pub fn room(&self) -> u32 {
        match self.takes_streams() {
            true => self.capacity().saturating_sub(self.streams.length() as u32),
            false => 0,
        }
    }

    /// How many streams there may be at a time towards the server.
    pub fn capacity(&self) -> u32 {
        self.config.streams_max.min(self.peer.streams_max)
    }

    /// False if no stream can be opened towards the server any more, whichever ends.
    pub fn takes_streams(&self) -> bool {
        self.drain == Drain::None
            && self.peer_last == StreamId::MAX
            && self.highest.0 <= StreamId::MAX.0 - 2
            && !self.is_closed()
    }

    /// True if the window of the connection keeps all streams from sending.
    pub fn is_window_shut(&self) -> bool {
        self.send_window.available() == 0
    }

    /// Opens a stream with a request. None if there is no room, see [`Connection::room`], or it is
    /// for an extended CONNECT that the server does not accept.
    pub fn send_request(
        &mut self,
        head: &RequestHead<'_, '_>,
        to: &RequestTo<'_>,
        is_last: bool,
    ) -> Option<StreamId> {
        debug_assert!(self.role == Role::Client, "a server opens no streams");
        let is_accepted = self.peer.extended_connect == ExtendedConnect::Accepted;
        if self.room() == 0 || (to.upgrade(head).is_some() && !is_accepted) {
            return None;
        }
        let stream = StreamId(if self.highest.0 == 0 { 1 } else { self.highest.0 + 2 });
        self.highest = stream;
        let connect = to.opens_tunnel(head);
        let asked = ResponseTo { head: head.method.is_head(), connect };
        let sending = if is_last { Sending::Ended } else { Sending::Body };
        let row = self.new_stream(stream, Receiving::Head { interims: 0 }, sending, asked);
        self.streams.insert(row);
        self.blocks.write(stream, is_last, &mut self.output, |block| to.write(head, block));
        Some(stream)
    }

    /// Sends the head of a response; `is_last`: all of it. `via`: the proxy's name in Via. False if
    /// the stream is over, or has had its final head.
    pub fn send_response(
        &mut self,
        stream: StreamId,
        head: &ResponseHead<'_, '_>,
        via: Option<&[u8]>,
        is_last: bool,
    ) -> bool {
        // The final response to an extended CONNECT is 101 in HTTP/1.1.
        let is_interim = head.status < 200 && head.status != 101;
        let Some(row) = self.awaiting_head(stream) else { return false };
        if !is_interim {
            row.sending = if is_last { Sending::Ended } else { Sending::Body };
        }
        let is_last = is_last && !is_interim;
        self.blocks.write(stream, is_last, &mut self.output, |block| {
            write_response(head, via, is_last, block);
        });
        true
    }

    /// Sends the head of a local answer; `is_last`: it has no body, or answers HEAD. False if the
    /// stream is over, or has had its final head.
    pub fn send_answer(&mut self, stream: StreamId, answer: &Answer<'_>, is_last: bool) -> bool {
        let Some(row) = self.awaiting_head(stream) else { return false };
        row.sending = if is_last { Sending::Ended } else { Sending::Body };
        self.blocks.write(stream, is_last, &mut self.output, |block| answer.write(block));
        true
    }

    /// Sends a local answer to a call of gRPC, which ends the stream. False as above.
    pub fn send_grpc_answer(&mut self, stream: StreamId, answer: &GrpcAnswer<'_>) -> bool {
        let Some(row) = self.awaiting_head(stream) else { return false };
        row.sending = Sending::Ended;
        self.blocks.write(stream, true, &mut self.output, |block| answer.write(block));
        true
    }

    fn awaiting_head(&mut self, stream: StreamId) -> Option<&mut Stream> {
        self.streams.open_mut(stream).filter(|row| row.sending == Sending::Head)
    }

    /// Sends trailers, which end the stream. False if it is over, or if DATA is queued: trailers
    /// are behind all of it.
    pub fn send_trailers(&mut self, stream: StreamId, trailers: &Trailers<'_, '_>) -> bool {
        let is_ready = |row: &&mut Stream| row.sending == Sending::Body && row.queued == 0;
        let Some(row) = self.streams.open_mut(stream).filter(is_ready) else { return false };
        row.sending = Sending::Ended;
        self.blocks.write(stream, true, &mut self.output, |block| {
            for (field, never_indexed) in trailers.forwarded() {
                block.field_like(field.name.as_bytes(), field.value, never_indexed);
            }
        });
        true
    }

    /// The caller has so many more bytes for a stream whose head was sent. False if it is over:
    /// they are not needed.
    pub fn queue(&mut self, stream: StreamId, bytes: u64) -> bool {
        let is_sent = |row: &&mut Stream| row.sending == Sending::Body;
        let Some(row) = self.streams.open_mut(stream).filter(is_sent) else { return false };
        if row.queued == 0 {
            self.schedule.enqueue(row);
        }
        row.queued += bytes;
        true
    }

    /// The caller has no more bytes for a stream than it has queued. False if it is over.
    pub fn end(&mut self, stream: StreamId) -> bool {
        let is_sent = |row: &&mut Stream| row.sending == Sending::Body;
        let Some(row) = self.streams.open_mut(stream).filter(is_sent) else { return false };
        if row.queued == 0 {
            self.schedule.enqueue(row);
        }
        row.sending = Sending::Ending;
        true
    }

    /// Bytes that are queued on a stream.
    pub fn queued(&self, stream: StreamId) -> u64 {
        self.streams.stream(stream).map_or(0, |row| row.queued)
    }

    /// The window that keeps a stream from sending what is queued on it; none if none does.
    pub fn shut_window(&self, stream: StreamId) -> Option<ShutWindow> {
        let row = self.streams.stream(stream).filter(|row| row.queued > 0)?;
        match (row.send_window.available(), self.send_window.available()) {
            (0, _) => Some(ShutWindow::OfStream),
            (_, 0) => Some(ShutWindow::OfConnection),
            _ => None,
        }
    }

    /// The next DATA frame, with at most `max` bytes of data; none if no stream has anything to
    /// send that the windows allow. The caller sends it behind the output so far, and before what
    /// is written to the output later.
    pub fn next_data(&mut self, max: u32) -> Option<DataFrame> {
        let window = self.send_window.available();
        let share = self.schedule.next(&mut self.streams, window, max)?;
        let Share { stream, bytes, is_last } = share;
        self.send_window.spend(bytes);
        self.guard.forgive(Flood::WindowUpdate, UPDATES_PER_DATA);
        self.guard.forgive(Flood::Ping, 1);
        let header = frame::data_header(stream, bytes as usize, is_last);
        Some(DataFrame { stream, header, bytes, is_last })
    }
}
