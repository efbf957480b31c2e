//! Filling the connection's outbox: control frames and heads first, then DATA of the streams in
//! turn, as the windows allow. Many frames go into one buffer, and so into one send.

use super::super::Client;
use super::Http2;
use crate::engine::{Engine, Slice};
use crate::http2::{Connection, DataFrame, StreamId};
use crate::link::{Chain, Wire};
use crate::local::Local;
use crate::streams::{FILLED_MAX, Sending, fill_buffer, room_for};

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
            let waiting = http2.connection.output().len() as u64 + http2.queued;
            let (room, most) = room_for(waiting, http2.streams.len(), &local.wire);
            let Some(buffer) = local.wire.engine.acquire(room) else {
                local.wire.retry_flush(&mut self.link);
                break;
            };
            let most = most.min(local.wire.engine.bytes(buffer).len());
            let (filled, ended) = fill_buffer(&mut **http2, buffer, most, &mut local.wire);
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

impl Sending for Http2 {
    fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn outbox(&mut self, stream: StreamId) -> &mut Chain {
        let position = self.position(stream).expect("a stream that sends is known");
        &mut self.streams[position].outbox
    }

    fn has_sent<E: Engine>(&mut self, frame: &DataFrame, wire: &Wire<E>) -> bool {
        self.queued -= u64::from(frame.bytes);
        if frame.bytes > 0 {
            self.sent_at = wire.engine.now();
        }
        let exchange = self.exchange(frame.stream.0);
        if let Some(exchange) = exchange.filter(|one| self.progressed.last() != Some(one)) {
            self.progressed.push(exchange);
        }
        frame.is_last || self.is_at_trailers(frame.stream.0)
    }
}

impl Http2 {
    /// Sends the trailers of a stream if its content is sent. False if it has none.
    fn is_at_trailers(&mut self, stream: u32) -> bool {
        self.is_flushed(stream) && self.send_trailers(stream)
    }
}
