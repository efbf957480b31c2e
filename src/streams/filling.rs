//! Filling a buffer: control frames and heads first, then DATA of the streams in turn, as the
//! windows allow.

use crate::engine::{BufferId, Engine, Room};
use crate::http2::{Connection, DataFrame, FRAME_HEADER_BYTES, StreamId};
use crate::link::{Chain, Wire};
use crate::tls::OVERHEAD_BYTES_MAX;

/// A connection whose streams have content to send.
pub trait Sending {
    /// The codec.
    fn connection(&mut self) -> &mut Connection;

    /// Content of a stream that waits; a stream that sends is known.
    fn outbox(&mut self, stream: StreamId) -> &mut Chain;

    /// Content of a stream was taken by a frame. Returns true if the stream has ended with it, its
    /// trailers included.
    fn has_sent<E: Engine>(&mut self, frame: &DataFrame, wire: &Wire<E>) -> bool;
}

/// The room for so many bytes that wait, of so many streams, and the most that may be written.
pub fn room_for<E: Engine>(bytes: u64, streams: usize, wire: &Wire<E>) -> (Room, usize) {
    let most = wire.engine.buffer_size() - OVERHEAD_BYTES_MAX;
    let frames = streams * FRAME_HEADER_BYTES;
    (Room::of((bytes as usize).saturating_add(frames).min(most)), most)
}

/// Fills a buffer up to `most` bytes. Returns how many were written, and the streams that ended
/// with them.
pub fn fill_buffer<E: Engine>(
    streams: &mut impl Sending,
    buffer: BufferId,
    most: usize,
    wire: &mut Wire<E>,
) -> (usize, Vec<u32>) {
    let output = streams.connection().output();
    let mut at = output.len().min(most);
    wire.engine.bytes_mut(buffer)[..at].copy_from_slice(&output[..at]);
    streams.connection().advance_output(at);
    let mut ended = Vec::new();
    while streams.connection().output().is_empty() && at + FRAME_HEADER_BYTES < most {
        let room = most - at - FRAME_HEADER_BYTES;
        let Some(frame) = streams.connection().next_data(room as u32) else { break };
        wire.engine.bytes_mut(buffer)[at..at + FRAME_HEADER_BYTES].copy_from_slice(&frame.header);
        at += FRAME_HEADER_BYTES;
        copy_content(streams.outbox(frame.stream), frame.bytes, buffer, at, wire);
        at += frame.bytes as usize;
        if streams.has_sent(&frame, wire) {
            ended.push(frame.stream.0);
        }
    }
    (at, ended)
}

/// Copies content off the front of an outbox.
fn copy_content<E: Engine>(
    outbox: &mut Chain,
    bytes: u32,
    buffer: BufferId,
    at: usize,
    wire: &mut Wire<E>,
) {
    let (mut at, mut left) = (at, bytes);
    while left > 0 {
        let front = wire.front(outbox).expect("what is queued is here");
        let bytes = left.min(front.end - front.start);
        let (from, to) = wire.engine.bytes_pair(front.buffer, buffer);
        let content = &from[front.start as usize..(front.start + bytes) as usize];
        to[at..at + content.len()].copy_from_slice(content);
        wire.take_sent(outbox, bytes);
        at += bytes as usize;
        left -= bytes;
    }
}
