//! One stream (RFC 9113 §5.1): what either side still sends, and what it may.

use super::frame::StreamId;
use super::priority::Priority;
use super::window::{ReceiveWindow, SendWindow};
use crate::head::ResponseTo;

/// What the peer still sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    /// A response's final head, after so many interim ones.
    Head { interims: u8 },
    /// DATA or trailers.
    Body,
    /// Nothing: it has sent END_STREAM.
    Ended,
}

/// What we still send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// A response's final head.
    Head,
    /// DATA or trailers.
    Body,
    /// What is queued, and END_STREAM with it.
    Ending,
    /// Nothing: we have sent END_STREAM.
    Ended,
}

/// Who.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Us,
    Peer,
}

/// Whether a stream was reset. It is in the table until what it leads to has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Open,
    Reset(Side),
}

/// The DATA that the peer still has to send (RFC 9113 §8.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Any.
    Unknown,
    /// This many bytes.
    Rest(u64),
    /// Any, and no trailers: it is a tunnel (RFC 9113 §8.5).
    Tunnel,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) life: Life,
    pub(super) receiving: Receiving,
    pub(super) sending: Sending,
    pub(super) priority: Priority,
    /// As the client: what the response answers.
    pub(super) asked: ResponseTo,
    pub(super) content: Content,
    /// The size of its receive window.
    pub(super) window: u32,
    pub(super) receive_window: ReceiveWindow,
    /// Bytes of DATA since the last measure of a round trip began.
    pub(super) sounded: u32,
    /// Bytes of DATA that the caller has and has not released.
    pub(super) held: u32,
    pub(super) send_window: SendWindow,
    /// Bytes of DATA that the caller has for the peer.
    pub(super) queued: u64,
    /// Its place in the order of its urgency: the smallest is sent next.
    pub(super) turn: u64,
    /// Bytes sent in this turn.
    pub(super) sent_in_turn: u32,
}

impl Stream {
    /// True if it was not reset.
    pub(super) fn is_open(&self) -> bool {
        self.life == Life::Open
    }

    /// True if both sides have ended it.
    pub(super) fn is_complete(&self) -> bool {
        self.receiving == Receiving::Ended && self.sending == Sending::Ended
    }

    /// Bytes of DATA that may be sent, of which a connection's window allows `window`. None if
    /// there is nothing to send, or the windows are shut.
    pub(super) fn sendable(&self, window: u32) -> Option<u32> {
        if self.queued == 0 {
            return (self.sending == Sending::Ending).then_some(0);
        }
        let allowed = self.send_window.available().min(window);
        let queued = u32::try_from(self.queued).unwrap_or(u32::MAX);
        (allowed > 0).then_some(allowed.min(queued))
    }

    /// Marks it as reset: nothing more is sent.
    pub(super) fn set_reset(&mut self, by: Side) {
        self.life = Life::Reset(by);
        self.queued = 0;
        if self.sending == Sending::Ending {
            self.sending = Sending::Body;
        }
    }
}

/// The streams of a connection that count, by their number: each from its head until what it leads
/// to has ended, whoever reset it.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// In the order of their numbers, which is that of their beginning.
    rows: Vec<Stream>,
}

impl Streams {
    pub(super) fn length(&self) -> usize {
        self.rows.len()
    }

    fn place(&self, id: StreamId) -> Option<usize> {
        // The newest is the one that most frames are for.
        match self.rows.last() {
            Some(last) if last.id == id => Some(self.rows.len() - 1),
            _ => self.rows.binary_search_by_key(&id, |stream| stream.id).ok(),
        }
    }

    #[inline]
    pub(super) fn stream(&self, id: StreamId) -> Option<&Stream> {
        self.place(id).map(|place| &self.rows[place])
    }

    #[inline]
    pub(super) fn stream_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.place(id).map(|place| &mut self.rows[place])
    }

    /// The stream if it was not reset.
    #[inline]
    pub(super) fn open_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.stream_mut(id).filter(|stream| stream.is_open())
    }

    /// Adds a stream, whose number is above all before.
    pub(super) fn insert(&mut self, stream: Stream) {
        debug_assert!(self.rows.last().is_none_or(|last| last.id < stream.id));
        self.rows.push(stream);
    }

    pub(super) fn remove(&mut self, id: StreamId) -> Option<Stream> {
        self.place(id).map(|place| self.rows.remove(place))
    }

    pub(super) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Stream> {
        self.rows.iter_mut()
    }

    /// Gives back memory that no stream needs.
    pub(super) fn shrink(&mut self) {
        self.rows.shrink_to_fit();
    }
}

const _: () = assert!(size_of::<Stream>() <= 96, "there is one for each request");
