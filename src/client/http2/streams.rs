//! What an exchange does with its stream.

use super::super::Client;
use super::Http2;
use super::grpc::Call;
use crate::base::Instant;
use crate::engine::{Engine, Slice};
use crate::head::{Peer, ResponseBody, ResponseHead, Rules, Scheme, TrailerRules};
use crate::http1::{ChunkedDecoder, ConnectionField, FieldStorage, Verdict, default_body};
use crate::http2::{ErrorCode, GrpcAnswer, StreamId};
use crate::limits::FIELDS_MAX;
use crate::local::{How, Local};
use crate::message::{Body, Content};
use crate::stats::CloseReason;
use crate::streams::{self, Framing};
use crate::table::ExchangeId;
use std::time::Duration;

/// For heads that were written here: they were within the limits before.
const OWN_HEADS: Rules = Rules {
    scheme: Scheme::Http,
    head_bytes_max: usize::MAX,
    fields_max: FIELDS_MAX,
    target_bytes_max: usize::MAX,
    underscore_names: crate::head::UnderscoreNames::Allow,
    allow_connect: false,
};

impl Http2 {
    /// Begins the exchange of a stream.
    pub fn begin_exchange(&mut self, stream: u32, id: ExchangeId) {
        if let Some(stream) = self.stream_mut(stream) {
            stream.exchange = Some(id);
        }
    }

    /// Keeps a part of a request's body until its backend takes it.
    pub fn keep_for_later<E: Engine>(&mut self, stream: u32, slice: Slice, local: &mut Local<E>) {
        match self.stream_mut(stream) {
            Some(stream) => {
                // It was taken off the front, or is the only one.
                stream.inbound.put_back(slice, &mut local.wire);
            }
            None => local.wire.engine.release(slice.buffer),
        }
    }

    /// What is received on a stream from here on, through a tunnel.
    pub fn tunnel_body(&self, stream: u32) -> Body {
        match self.stream(stream).map(|row| row.inbound.framing) {
            Some(Framing::Chunked) => Body::Chunked(ChunkedDecoder::stripping()),
            // The client has ended the stream with its request.
            Some(Framing::Plain) | None => Body::ENDED,
        }
    }

    /// Gives no credit back for now.
    pub fn pause(&mut self, stream: u32) {
        if let Some(stream) = self.stream_mut(stream) {
            stream.inbound.pause();
        }
    }

    /// The backend takes more of a request's body: the next part that waits.
    pub fn resume<E: Engine>(&mut self, stream: u32, local: &mut Local<E>) -> Option<Slice> {
        let stream = self.stream_mut(stream)?;
        stream.inbound.resume();
        stream.inbound.next(&mut local.wire).map(|part| part.slice)
    }

    /// Gives credit back for what the backend has taken, unless it is slow.
    pub fn give_credit(&mut self, stream: u32) {
        let Some(row) = self.stream_mut(stream) else { return };
        let credit = row.inbound.take_credit();
        self.connection.release(StreamId(stream), credit);
    }

    /// True if so much waits for the client that its source should be paused. `is_low`: buffers
    /// are.
    pub fn is_congested(&self, stream: u32, is_low: bool) -> bool {
        self.stream(stream)
            .is_some_and(|stream| streams::is_congested(&stream.outbox, self.queued, is_low))
    }

    /// True if the source of what is sent may be resumed.
    pub fn has_room(&self, stream: u32, is_low: bool) -> bool {
        self.stream(stream)
            .is_none_or(|stream| streams::has_room(&stream.outbox, self.queued, is_low))
    }

    /// True if all content of the stream was taken by the windows.
    pub fn is_flushed(&self, stream: u32) -> bool {
        self.stream(stream).is_none_or(|stream| stream.outbox.is_empty())
    }

    /// Keeps trailers, as HTTP/1 has them, for the end of the stream.
    pub fn keep_trailers(&mut self, stream: u32, trailers: Box<[u8]>) {
        if let Some(stream) = self.stream_mut(stream) {
            stream.trailers = Some(trailers);
        }
    }

    /// Ends a stream behind what waits. False if nothing does: all is sent.
    fn end(&mut self, stream: u32) -> bool {
        match self.stream(stream) {
            None => false,
            Some(row) if row.trailers.is_none() => self.connection.end(StreamId(stream)),
            Some(row) if !row.outbox.is_empty() => true,
            Some(_) => {
                self.send_trailers(stream);
                false
            }
        }
    }

    /// Sends the trailers of a stream whose content is sent. False if it has none.
    pub(super) fn send_trailers(&mut self, stream: u32) -> bool {
        let row = self.stream_mut(stream).filter(|row| row.exchange.is_none());
        let Some(section) = row.and_then(|row| row.trailers.take()) else { return false };
        let rules = TrailerRules { from: Peer::Backend, named_by_connection: None };
        streams::send_trailers(&mut self.connection, StreamId(stream), &section, &rules);
        true
    }
}

impl Client {
    /// The exchange of a stream may last this long from now on without progress.
    pub(in crate::client) fn set_stream_deadline<E: Engine>(
        &mut self,
        stream: u32,
        span: Duration,
        local: &mut Local<E>,
    ) {
        let deadline = local.now() + span;
        let Some(http2) = &mut self.http2 else { return };
        let is_only = http2.streams.len() == 1;
        let due = http2.connection.settings_due(http2.begun);
        let Some(row) = http2.stream_mut(stream) else { return };
        let until = row.call.and_then(|call| call.until).unwrap_or(deadline);
        let deadline = deadline.min(until);
        row.deadline = deadline;
        let deadline = due.map_or(deadline, |due| due.min(deadline));
        if is_only || deadline < http2.alarm {
            http2.alarm = deadline;
            self.clock.set(deadline, self.link.key, &mut local.timers);
        }
    }

    /// Queues the head of a response as HTTP/1 has it, and what of its body lies behind it.
    pub(in crate::client) fn put_on_stream<E: Engine>(
        &mut self,
        stream: u32,
        slice: Slice,
        local: &mut Local<E>,
    ) {
        let length = self.send_head(stream, slice, local);
        let rest = Slice { start: slice.start + length as u32, ..slice };
        if length == 0 || rest.is_empty() {
            local.wire.engine.release(slice.buffer);
        } else {
            self.put_body_on_stream(stream, rest, local);
        }
        local.wire.request_flush(&mut self.link);
    }

    /// Sends the head at the start of a range; returns its length, or 0 if the stream is over.
    fn send_head<E: Engine>(&mut self, stream: u32, slice: Slice, local: &Local<E>) -> usize {
        let Some(http2) = &mut self.http2 else { return 0 };
        let Some(asked) = http2.stream(stream).map(|stream| stream.asked) else { return 0 };
        let mut storage = FieldStorage::own();
        let bytes = local.wire.bytes(slice);
        let Verdict::Complete(head) = ResponseHead::parse(bytes, &mut storage, asked, &OWN_HEADS)
        else {
            debug_assert!(false, "a head that was written here is valid");
            return 0;
        };
        let opens_tunnel = asked.connect && matches!(head.status, 101 | 200..=299);
        let is_last = head.body == ResponseBody::None && !opens_tunnel;
        match http2.connection.send_response(StreamId(stream), &head, None, is_last) {
            true => head.length,
            false => 0,
        }
    }

    /// Queues content of a response. False if no buffer was left.
    pub(in crate::client) fn put_body_on_stream<E: Engine>(
        &mut self,
        stream: u32,
        body: Slice,
        local: &mut Local<E>,
    ) -> bool {
        let bytes = u64::from(body.end - body.start);
        if bytes == 0 {
            local.wire.engine.release(body.buffer);
            return true;
        }
        let Some(body) = local.wire.copy_out(body) else { return false };
        let Some(http2) = &mut self.http2 else { return false };
        if !http2.connection.queue(StreamId(stream), bytes) {
            local.wire.engine.release(body.buffer);
            return true;
        }
        if let Some(row) = http2.stream_mut(stream) {
            local.wire.push_back(&mut row.outbox, body);
            http2.queued += bytes;
        }
        local.wire.request_flush(&mut self.link);
        true
    }

    /// Queues a complete local answer; returns the length of its body, or none if no buffer is
    /// left.
    pub(in crate::client) fn put_answer_on_stream<E: Engine>(
        &mut self,
        stream: u32,
        status: u16,
        content: &Content,
        local: &mut Local<E>,
    ) -> Option<u64> {
        let row = self.http2.as_ref()?.stream(stream);
        if let Some(call) = row.and_then(|row| row.call) {
            self.answer_call(stream, call, status, local);
            return Some(0);
        }
        let is_head = row.is_some_and(|row| row.asked.head);
        let connection = ConnectionField::None;
        let (answer, bytes) = self.write_answer(status, content, connection, is_head, local)?;
        self.put_on_stream(stream, answer, local);
        Some(bytes)
    }

    /// Answers a call of gRPC in its terms.
    fn answer_call<E: Engine>(
        &mut self,
        stream: u32,
        call: Call,
        status: u16,
        local: &mut Local<E>,
    ) {
        let text = default_body(status).trim_ascii_end();
        let answer = GrpcAnswer {
            code: call.code(status, local.now()),
            message: std::str::from_utf8(text).unwrap_or_default(),
            seconds: local.wire.engine.wall_seconds(),
        };
        local.reports.count_status(status);
        if let Some(http2) = &mut self.http2 {
            http2.connection.send_grpc_answer(StreamId(stream), &answer);
        }
        local.wire.request_flush(&mut self.link);
    }

    /// True if the deadline of a call is over.
    pub(in crate::client) fn is_call_late(&self, stream: u32, now: Instant) -> bool {
        let row = self.http2.as_ref().and_then(|http2| http2.stream(stream));
        row.and_then(|row| row.call).is_some_and(|call| call.is_late(now))
    }

    /// The response is complete: the stream ends behind what waits.
    pub(in crate::client) fn end_stream<E: Engine>(&mut self, stream: u32, local: &mut Local<E>) {
        let Some(http2) = &mut self.http2 else { return };
        if let Some(row) = http2.stream_mut(stream) {
            row.exchange = None;
            let credit = row.inbound.end(&mut local.wire);
            http2.connection.release(StreamId(stream), credit);
        }
        if !http2.end(stream) {
            // Its head was all there is, or the client has reset it.
            self.finish_stream(stream, local);
        }
        local.wire.request_flush(&mut self.link);
    }

    /// The exchange has ended in the middle. The client gets to know what the backend has said of
    /// that, as far as it is for the client (RFC 9113 §8.1, §8.7).
    pub(in crate::client) fn reset_stream<E: Engine>(
        &mut self,
        stream: u32,
        how: How,
        reason: CloseReason,
        local: &mut Local<E>,
    ) {
        if let Some(http2) = &mut self.http2 {
            let code = match (reason, how) {
                (CloseReason::BackendCancelled, _) => ErrorCode::CANCEL,
                (CloseReason::BackendOverloaded, _) => ErrorCode::ENHANCE_YOUR_CALM,
                (CloseReason::BackendRefused, _) => ErrorCode::REFUSED_STREAM,
                (_, How::Close) => ErrorCode::CANCEL,
                (_, How::Cut | How::Abort) => ErrorCode::INTERNAL_ERROR,
            };
            http2.connection.reset(StreamId(stream), code);
        }
        self.finish_stream(stream, local);
        local.wire.request_flush(&mut self.link);
    }

    /// Forgets a stream of which nothing is left to do.
    pub(super) fn finish_stream<E: Engine>(&mut self, stream: u32, local: &mut Local<E>) {
        let Some(http2) = &mut self.http2 else { return };
        http2.connection.finished(StreamId(stream));
        let Some(at) = http2.position(StreamId(stream)) else { return };
        let mut row = http2.streams.remove(at);
        http2.queued -= local.wire.length_of(&row.outbox);
        local.wire.drop_chain(&mut row.outbox);
        row.inbound.end(&mut local.wire);
        if http2.streams.is_empty() {
            self.await_streams(local);
        }
    }
}
