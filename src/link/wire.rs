//! Operations on links, between connections and the engine.

use super::secure::Scratch;
use super::{
    Chain, Chains, Flush, Life, Link, OUTBOX_HIGH, OUTBOX_HIGH_WHEN_LOW, OUTBOX_LOW, Read, Write,
};
use crate::engine::{BufferId, Close, Engine, Failure, Key, Op, Room, SEND_SLICES_MAX, Slice};
use std::collections::VecDeque;

/// The engine, and the state that all links of a shard share.
pub struct Wire<E> {
    /// Sockets, buffers and time.
    pub engine: E,
    pub(super) chains: Chains,
    /// Links with something to send, in the order in which they got it.
    dirty: VecDeque<Key>,
    starved: VecDeque<Key>,
    /// Links that are flushed in the next turn: there was no buffer for what they send.
    postponed: Vec<Key>,
    pub(super) scratch: Scratch,
}

/// A range joined to the bytes that had been set aside before it.
pub struct Joined {
    /// Both, in one buffer.
    pub whole: Slice,
    /// The bytes that did not fit.
    pub left: Option<Slice>,
}

impl<E: Engine> Wire<E> {
    /// A wire with nothing on it.
    pub fn new(engine: E) -> Self {
        let (dirty, starved) = (VecDeque::with_capacity(1024), VecDeque::with_capacity(1024));
        let (postponed, scratch) = (Vec::new(), Scratch::default());
        Self { engine, chains: Chains::default(), dirty, starved, postponed, scratch }
    }

    // --- queues of ranges ---

    /// Appends a range to a queue that is not an outbox.
    pub fn push_back(&mut self, chain: &mut Chain, slice: Slice) {
        self.check_copied_out(slice);
        self.chains.push(chain, slice, false);
    }

    /// Appends a range whose buffer is not released before [`Wire::unpin`].
    pub fn push_pinned(&mut self, chain: &mut Chain, slice: Slice) {
        self.check_copied_out(slice);
        self.chains.push(chain, slice, true);
    }

    /// Puts a range before all others of a queue.
    pub fn push_front(&mut self, chain: &mut Chain, slice: Slice) {
        self.check_copied_out(slice);
        self.chains.push_front(chain, slice);
    }

    /// The first range of a queue.
    pub fn front(&self, chain: &Chain) -> Option<Slice> {
        self.chains.front(chain)
    }

    /// Pops the first range, with its buffer, off a queue that is not an outbox.
    pub fn pop_front(&mut self, chain: &mut Chain) -> Option<Slice> {
        self.chains.pop(chain).map(|(slice, _)| slice)
    }

    /// Releases all buffers of a queue.
    pub fn drop_chain(&mut self, chain: &mut Chain) {
        while let Some((slice, is_pinned)) = self.chains.pop(chain) {
            if !is_pinned {
                self.engine.release(slice.buffer);
            }
        }
    }

    /// The bytes of a range.
    pub fn bytes(&self, slice: Slice) -> &[u8] {
        &self.engine.bytes(slice.buffer)[slice.start as usize..slice.end as usize]
    }

    /// The bytes of a range, for writing.
    pub fn bytes_mut(&mut self, slice: Slice) -> &mut [u8] {
        &mut self.engine.bytes_mut(slice.buffer)[slice.start as usize..slice.end as usize]
    }

    // --- sending ---

    /// Queues a range; it is sent at the end of the turn. Its buffer is released once it is sent.
    pub fn send(&mut self, link: &mut Link, slice: Slice) {
        self.queue(link, slice, false);
    }

    /// As [`Wire::send`], but the buffer is not released before [`Wire::unpin`].
    pub fn send_pinned(&mut self, link: &mut Link, slice: Slice) {
        self.queue(link, slice, true);
    }

    fn queue(&mut self, link: &mut Link, slice: Slice, is_pinned: bool) {
        debug_assert!(!slice.is_empty() && link.write != Write::Ending);
        self.check_copied_out(slice);
        if link.is_broken() {
            if link.sending == 0 {
                self.drop_outbox(link);
            }
            if !is_pinned {
                self.engine.release(slice.buffer);
            }
            return;
        }
        self.chains.push(&mut link.outbox, slice, is_pinned);
        self.mark_dirty(link);
    }

    /// Gives a link the outbox of another one, which sent nothing of it, behind its own.
    pub fn adopt_outbox(&mut self, link: &mut Link, outbox: Chain) {
        let mut outbox = outbox;
        while let Some((slice, is_pinned)) = self.chains.pop(&mut outbox) {
            self.chains.push(&mut link.outbox, slice, is_pinned);
        }
        self.mark_dirty(link);
    }

    /// Schedules a send of the outbox of a link that could not send before.
    pub fn schedule_flush(&mut self, link: &mut Link) {
        if !link.outbox.is_empty() {
            self.mark_dirty(link);
        }
    }

    /// Unpins a buffer; it is released now, or when it has been sent.
    pub fn unpin(&mut self, buffer: BufferId) {
        if self.chains.unpin(buffer) {
            self.engine.release(buffer);
        }
    }

    /// The queued range of a buffer; none if it is in no queue.
    pub fn waiting(&self, buffer: BufferId) -> Option<Slice> {
        self.chains.queued(buffer)
    }

    /// Schedules a flush, whether something waits already or is added before the end of the turn.
    pub fn request_flush(&mut self, link: &mut Link) {
        if !link.is_broken() {
            self.mark_dirty(link);
        }
    }

    /// Schedules a flush in the next turn: no buffer is left. The one of the present turn may be
    /// what finds none, so it does not count.
    pub fn retry_flush(&mut self, link: &mut Link) {
        if link.flush == Flush::None {
            self.dirty.push_back(link.key);
        }
        link.flush = Flush::DueTwice;
    }

    /// Schedules the flushes that had no buffer in an earlier turn. Once in a turn.
    pub fn resume_flushes(&mut self) {
        self.dirty.extend(self.postponed.drain(..));
    }

    /// Bytes of a queue.
    pub fn length_of(&self, chain: &Chain) -> u64 {
        self.chains.length(chain)
    }

    pub(super) fn mark_dirty(&mut self, link: &mut Link) {
        if link.flush == Flush::None && link.sending == 0 {
            link.flush = Flush::Due;
            self.dirty.push_back(link.key);
        }
    }

    /// Flushes a link in the next turn.
    pub(super) fn postpone_flush(&mut self, link: &mut Link) {
        link.flush = Flush::Postponed;
        self.postponed.push(link.key);
    }

    /// The next link with something to send, at the end of a turn; the first that got it first.
    pub fn next_dirty(&mut self) -> Option<Key> {
        self.dirty.pop_front()
    }

    /// Starts a send of the outbox, as much as one send covers.
    pub fn flush(&mut self, link: &mut Link) {
        match std::mem::replace(&mut link.flush, Flush::None) {
            Flush::DueTwice => self.postpone_flush(link),
            Flush::None | Flush::Due | Flush::Postponed => {}
        }
        if link.sending > 0 || !link.is_connected() || link.is_broken() {
            return;
        }
        if link.secure.is_some() {
            return self.flush_secure(link);
        }
        match (self.chains.front(&link.outbox), link.outbox.len()) {
            (Some(only), 1) => self.send_now(link, &[only], only.end - only.start),
            (Some(_), _) => {
                let empty = Slice { buffer: BufferId(0), start: 0, end: 0 };
                let mut slices = [empty; SEND_SLICES_MAX];
                let count = self.chains.peek(&link.outbox, &mut slices);
                let bytes = slices[..count].iter().map(|slice| slice.end - slice.start).sum();
                self.send_now(link, &slices[..count], bytes);
            }
            (None, _) if link.write == Write::Ending => self.engine.shutdown_write(link.socket),
            (None, _) => {}
        }
    }

    #[inline]
    pub(super) fn send_now(&mut self, link: &mut Link, slices: &[Slice], bytes: u32) {
        link.sending = bytes;
        let is_last = link.write == Write::Ending && slices.len() == link.waiting() as usize;
        self.engine.send(link.socket, link.key, slices, is_last);
    }

    /// Processes the end of a send. True if it succeeded and the link can send more.
    pub fn sent(&mut self, link: &mut Link, result: Result<u32, Failure>) -> bool {
        link.sending = 0;
        let Ok(bytes) = result else {
            link.write = Write::Failed;
            return false;
        };
        match &mut link.secure {
            Some(secure) => self.take_sent(&mut secure.sealed, bytes),
            None => self.take_sent(&mut link.outbox, bytes),
        }
        if link.waiting() > 0 || link.write == Write::Ending {
            self.mark_dirty(link);
        }
        true
    }

    /// Takes bytes off the front of a queue, and releases the buffers that are used up.
    pub fn take_sent(&mut self, queue: &mut Chain, bytes: u32) {
        let mut bytes = bytes;
        while bytes > 0 {
            let Some(front) = self.chains.front(queue) else { break };
            let length = front.end - front.start;
            if bytes < length {
                self.chains.advance(queue, bytes);
                break;
            }
            bytes -= length;
            if let Some((slice, false)) = self.chains.pop(queue) {
                self.engine.release(slice.buffer);
            }
        }
    }

    /// Ends the proxy's direction of the stream once the outbox is sent.
    pub fn end_write(&mut self, link: &mut Link) {
        if link.write == Write::Open {
            link.write = Write::Ending;
            self.mark_dirty(link);
        }
    }

    /// True if the source of the bytes that this link sends should be paused.
    pub fn is_congested(&self, link: &Link) -> bool {
        let high = match self.engine.buffers_low() {
            true => OUTBOX_HIGH_WHEN_LOW,
            false => OUTBOX_HIGH,
        };
        !link.is_flushed() && link.waiting() >= high
    }

    /// True if the source of the bytes that this link sends may be resumed.
    pub fn has_room(&self, link: &Link) -> bool {
        match self.engine.buffers_low() {
            _ if link.is_flushed() => true,
            true => false,
            false => link.waiting() <= OUTBOX_LOW,
        }
    }

    /// Bytes that were sent and that the peer can still acknowledge, with the end of the stream as
    /// one.
    pub fn undelivered(&self, link: &Link) -> u32 {
        if link.is_broken() {
            return 0;
        }
        let is_to_end = link.write == Write::Ending && link.flush != Flush::None;
        self.engine.unacknowledged(link.socket) + u32::from(is_to_end)
    }

    // --- receiving ---

    /// Receives as data arrives. A polled link is left polled: the poll reports data.
    pub fn receive(&mut self, link: &mut Link) {
        match link.read {
            Read::Off => {
                link.read = Read::Armed;
                self.engine.receive(link.socket, link.key);
            }
            Read::Cancelling { .. } => link.read = Read::Cancelling { resume: true },
            Read::Armed | Read::OutOfBuffers | Read::Polling | Read::Ended => {}
        }
    }

    /// Stops receiving; a little data may still arrive.
    pub fn pause(&mut self, link: &mut Link) {
        match link.read {
            Read::Armed => {
                link.read = Read::Cancelling { resume: false };
                self.engine.cancel(Op::Receive, link.key);
            }
            Read::Cancelling { .. } => link.read = Read::Cancelling { resume: false },
            Read::OutOfBuffers => link.read = Read::Off,
            Read::Off | Read::Polling | Read::Ended => {}
        }
    }

    /// Waits for data, or the end, without receiving, on a link on which nothing is armed.
    pub fn poll(&mut self, link: &mut Link) {
        if link.read == Read::Off {
            link.read = Read::Polling;
            self.engine.poll(link.socket, link.key);
        }
    }

    /// Processes the end of a poll.
    pub fn polled(&mut self, link: &mut Link) {
        link.read = Read::Off;
    }

    /// Processes the arrival of data; `more` is true if the receive is still armed.
    pub fn received(&mut self, link: &mut Link, more: bool) {
        if more {
            return;
        }
        let resume = !matches!(link.read, Read::Cancelling { resume: false });
        link.read = Read::Off;
        if resume {
            self.receive(link);
        }
    }

    /// Processes the end of a receive. True if the stream has ended or is broken; false if only the
    /// operation has ended.
    pub fn receive_ended(&mut self, link: &mut Link, failure: Option<Failure>) -> bool {
        let was = std::mem::replace(&mut link.read, Read::Off);
        match failure {
            Some(Failure::Cancelled) => {
                if was == (Read::Cancelling { resume: true }) {
                    self.receive(link);
                }
                false
            }
            Some(Failure::NoBuffers) => {
                if was != (Read::Cancelling { resume: false }) {
                    link.read = Read::OutOfBuffers;
                    self.starved.push_back(link.key);
                }
                false
            }
            other => {
                link.read = Read::Ended;
                if other.is_some() {
                    link.write = Write::Failed;
                }
                true
            }
        }
    }

    /// The next link to rearm because buffers are free again, oldest first; none while there are no
    /// buffers.
    pub fn next_out_of_buffers(&mut self) -> Option<Key> {
        if self.engine.receive_buffers_scarce() { None } else { self.starved.pop_front() }
    }

    /// Rearms a link that found the receive ring empty.
    pub fn rearm(&mut self, link: &mut Link) {
        if link.read == Read::OutOfBuffers {
            link.read = Read::Off;
            self.receive(link);
        }
    }

    /// Makes a received range safe to hold: while the receive ring is nearly empty, its bytes move
    /// to a private buffer. None if none is left; the range is released then.
    pub fn copy_out(&mut self, slice: Slice) -> Option<Slice> {
        let is_scarce = self.engine.receive_buffers_scarce();
        if !is_scarce || !self.engine.is_receive_buffer(slice.buffer) {
            return Some(slice);
        }
        let copy = self.copy_of(slice);
        self.engine.release(slice.buffer);
        copy
    }

    /// A range that is held for long must have been copied out: otherwise all buffers of the
    /// receive ring may be held by connections that wait for bytes that need one.
    fn check_copied_out(&self, slice: Slice) {
        debug_assert!(
            !self.engine.receive_buffers_scarce() || !self.engine.is_receive_buffer(slice.buffer),
            "a buffer of the receive ring is held while the ring is scarce"
        );
    }

    /// A copy of a range in a private buffer; none if there is none left.
    pub fn copy_of(&mut self, slice: Slice) -> Option<Slice> {
        let buffer = self.engine.acquire(Room::of(slice.len()))?;
        let (from, to) = self.engine.bytes_pair(slice.buffer, buffer);
        let bytes = &from[slice.start as usize..slice.end as usize];
        to[..bytes.len()].copy_from_slice(bytes);
        Some(Slice { buffer, start: 0, end: bytes.len() as u32 })
    }

    /// These bytes in a private buffer; none if there is none left.
    pub fn private(&mut self, bytes: &[u8]) -> Option<Slice> {
        let buffer = self.engine.acquire(Room::of(bytes.len()))?;
        self.engine.bytes_mut(buffer)[..bytes.len()].copy_from_slice(bytes);
        Some(Slice { buffer, start: 0, end: bytes.len() as u32 })
    }

    // --- what arrives in pieces ---

    /// Joins bytes that were set aside and the range behind them, in one buffer. None if no buffer
    /// is left; the range is released then.
    pub fn join(&mut self, aside: &[u8], slice: Slice) -> Option<Joined> {
        let Some(buffer) = self.engine.acquire(Room::Whole) else {
            self.engine.release(slice.buffer);
            return None;
        };
        let (from, to) = self.engine.bytes_pair(slice.buffer, buffer);
        let bytes = &from[slice.start as usize..slice.end as usize];
        let fitting = bytes.len().min(to.len() - aside.len());
        to[..aside.len()].copy_from_slice(aside);
        to[aside.len()..aside.len() + fitting].copy_from_slice(&bytes[..fitting]);
        let whole = Slice { buffer, start: 0, end: (aside.len() + fitting) as u32 };
        let left = Slice { start: slice.start + fitting as u32, ..slice };
        if left.is_empty() {
            self.engine.release(slice.buffer);
            return Some(Joined { whole, left: None });
        }
        Some(Joined { whole, left: Some(left) })
    }

    // --- closing ---

    /// Releases all buffers that wait to be sent.
    fn drop_outbox(&mut self, link: &mut Link) {
        self.drop_chain(&mut link.outbox);
        if let Some(secure) = &mut link.secure {
            self.drop_chain(&mut secure.sealed);
        }
    }

    /// Cancels all operations in flight, so that the link becomes quiet. The outbox is dropped.
    pub fn quiesce(&mut self, link: &mut Link) {
        self.pause(link);
        if link.read == Read::Polling {
            self.engine.cancel(Op::Poll, link.key);
        }
        if link.life == Life::Connecting {
            self.engine.cancel(Op::Connect, link.key);
        }
        if link.sending > 0 {
            self.engine.cancel(Op::Send, link.key);
        } else {
            self.drop_outbox(link);
        }
        link.write = Write::Failed;
    }

    /// Releases the buffers that are left and closes the socket of a quiet link.
    pub fn close(&mut self, link: &mut Link, how: Close) {
        debug_assert!(link.is_quiet(), "closed with an operation in flight: {link:?}");
        self.drop_outbox(link);
        if how == Close::Graceful {
            self.say_goodbye(link);
        }
        self.engine.close(link.socket, how);
        link.life = Life::Closed;
    }
}
