//! Filling the connection's outbox: control frames and heads first, then DATA of the streams in
//! turn, as the windows allow. Many frames go into one buffer, and so into one send.

use super::super::Client;
use super::Http2;
use crate::engine::{BufferId, Engine, Room, Slice};
use crate::http2::{DataFrame, FRAME_HEADER_BYTES};
use crate::link::Wire;
use crate::local::Local;
use crate::tls::OVERHEAD_BYTES_MAX;

/// Buffers that wait to be sent, beyond which DATA waits in its stream.
const FILLED_MAX: u32 = 4;

impl Client {
    /// Moves what can be sent to the outbox of the connection, which closes behind the last of it.
    pub fn fill<E: Engine>(&mut self, local: &mut Local<E>) {
        self.fill_outbox(local);
        if self.http2.as_ref().is_some_and(|http2| !http2.is_output_long()) {
            local.wire.receive(&mut self.link);
        }
        self.close_if_done(local);
    }

    /// Moves what can be sent to the outbox of the connection.
    pub(super) fn fill_outbox<E: Engine>(&mut self, local: &mut Local<E>) {
        while self.link.outbox.len() < FILLED_MAX && !self.link.is_broken() {
            let Some(http2) = self.http2.as_mut().filter(|http2| http2.has_output()) else { break };
            let most = local.wire.engine.buffer_size() - OVERHEAD_BYTES_MAX;
            let wanted = http2.connection.output().len() as u64 + http2.queued;
            let frames = http2.streams.len() * FRAME_HEADER_BYTES;
            let room = Room::of((wanted as usize).saturating_add(frames).min(most));
            let Some(buffer) = local.wire.engine.acquire(room) else {
                local.wire.retry_flush(&mut self.link);
                break;
            };
            let most = most.min(local.wire.engine.bytes(buffer).len());
            let (filled, ended) = http2.fill_buffer(buffer, most, &mut local.wire);
            for stream in ended {
                self.finish_stream(stream, local);
            }
            if filled == 0 {
                local.wire.engine.release(buffer);
                break;
            }
            let slice = Slice { buffer, start: 0, end: filled as u32 };
            local.wire.send(&mut self.link, slice);
        }
    }
}

impl Http2 {
    /// Fills a buffer up to `most` bytes. Returns how many were written, and the streams that ended
    /// with them.
    fn fill_buffer<E: Engine>(
        &mut self,
        buffer: BufferId,
        most: usize,
        wire: &mut Wire<E>,
    ) -> (usize, Vec<u32>) {
        let output = self.connection.output();
        let mut at = output.len().min(most);
        wire.engine.bytes_mut(buffer)[..at].copy_from_slice(&output[..at]);
        self.connection.advance_output(at);
        let mut ended = Vec::new();
        while self.connection.output().is_empty() && at + FRAME_HEADER_BYTES < most {
            let room = most - at - FRAME_HEADER_BYTES;
            let Some(frame) = self.connection.next_data(room as u32) else { break };
            wire.engine.bytes_mut(buffer)[at..at + FRAME_HEADER_BYTES]
                .copy_from_slice(&frame.header);
            at += FRAME_HEADER_BYTES;
            self.copy_content(frame, buffer, at, wire);
            at += frame.bytes as usize;
            if frame.is_last || self.is_at_trailers(frame.stream.0) {
                ended.push(frame.stream.0);
            }
        }
        (at, ended)
    }

    /// Sends the trailers of a stream if its content is sent. False if it has none.
    fn is_at_trailers(&mut self, stream: u32) -> bool {
        self.is_flushed(stream) && self.send_trailers(stream)
    }

    /// Copies the content of a frame off the front of its stream's outbox.
    fn copy_content<E: Engine>(
        &mut self,
        frame: DataFrame,
        buffer: BufferId,
        at: usize,
        wire: &mut Wire<E>,
    ) {
        let position = self.position(frame.stream).expect("a stream that sends is known");
        let stream = &mut self.streams[position];
        let (mut at, mut left) = (at, frame.bytes);
        while left > 0 {
            let front = wire.front(&stream.outbox).expect("what is queued is here");
            let bytes = left.min(front.end - front.start);
            let (from, to) = wire.engine.bytes_pair(front.buffer, buffer);
            let content = &from[front.start as usize..(front.start + bytes) as usize];
            to[at..at + content.len()].copy_from_slice(content);
            wire.take_sent(&mut stream.outbox, bytes);
            at += bytes as usize;
            left -= bytes;
        }
        self.queued -= u64::from(frame.bytes);
        if frame.bytes > 0 {
            self.sent_at = wire.engine.now();
        }
        let exchange = self.streams[position].exchange;
        if let Some(exchange) = exchange.filter(|one| self.progressed.last() != Some(one)) {
            self.progressed.push(exchange);
        }
    }
}
