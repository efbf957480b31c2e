//! The streams that were closed last, as far as frames for them mean something.

use super::frame::StreamId;

/// How a stream was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// By us, while the peer could send: its frames may have been on their way.
    Cut,
    /// By the peer, with END_STREAM or RST_STREAM: it sends no more frames.
    Ended,
    /// Long ago, or it never was one.
    Unknown,
}

/// Streams that were cut: many, as a peer may be far behind. Each reset of ours is rare.
const CUT: usize = 32;
/// Streams that the peer ended.
const ENDED: usize = 8;

/// Two short memories.
#[derive(Debug, Default)]
pub(super) struct Closed {
    cut: Ring<CUT>,
    ended: Ring<ENDED>,
}

/// The last so many.
#[derive(Debug)]
struct Ring<const N: usize> {
    streams: [StreamId; N],
    next: u8,
}

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self { streams: [StreamId::CONNECTION; N], next: 0 }
    }
}

impl<const N: usize> Ring<N> {
    fn push(&mut self, stream: StreamId) {
        self.streams[usize::from(self.next)] = stream;
        self.next = (self.next + 1) % N as u8;
    }
}

impl Closed {
    /// Remembers a stream that we cut.
    pub(super) fn cut(&mut self, stream: StreamId) {
        self.cut.push(stream);
    }

    /// Remembers a stream that the peer ended.
    pub(super) fn ended(&mut self, stream: StreamId) {
        self.ended.push(stream);
    }

    /// How a stream that is not open was closed.
    pub(super) fn past(&self, stream: StreamId) -> Past {
        if self.cut.streams.contains(&stream) {
            Past::Cut
        } else if self.ended.streams.contains(&stream) {
            Past::Ended
        } else {
            Past::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered() {
        let mut closed = Closed::default();
        for stream in (1..=201).step_by(2) {
            closed.cut(StreamId(stream));
            closed.ended(StreamId(stream + 1_000));
        }
        assert_eq!(closed.past(StreamId(201)), Past::Cut);
        assert_eq!(closed.past(StreamId(139)), Past::Cut);
        assert_eq!(closed.past(StreamId(137)), Past::Unknown);
        assert_eq!(closed.past(StreamId(1_201)), Past::Ended);
        assert_eq!(closed.past(StreamId(1_187)), Past::Ended);
        assert_eq!(closed.past(StreamId(1_185)), Past::Unknown);
    }
}
