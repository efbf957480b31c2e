//! Queues of buffer ranges without memory of their own: a queue is a list threaded through one
//! table with a row per buffer, so that queueing never allocates and an empty queue costs
//! sixteen bytes. A buffer is in at most one queue, with one range.

use crate::engine::{BufferId, Slice};

const NONE: u32 = u32::MAX;

/// A queue of ranges. Its rows are in [`Chains`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    head: u32,
    tail: u32,
    count: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self { head: NONE, tail: NONE, count: 0 }
    }
}

impl Chain {
    /// True without a range.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Number of ranges, which is the number of buffers held.
    pub fn len(&self) -> u32 {
        self.count
    }
}

#[derive(Clone, Copy)]
struct Row {
    start: u32,
    end: u32,
    next: u32,
    is_queued: bool,
    is_pinned: bool,
}

const UNUSED: Row = Row { start: 0, end: 0, next: NONE, is_queued: false, is_pinned: false };

/// The rows of all queues of a shard.
#[derive(Default)]
pub struct Chains {
    rows: Vec<Row>,
}

impl Chains {
    /// Appends a range. `is_pinned`: the caller that pops it must not release its buffer, because
    /// its holder may send it again.
    pub fn push(&mut self, chain: &mut Chain, slice: Slice, is_pinned: bool) {
        let index = self.enter(slice, is_pinned);
        match chain.tail {
            NONE => chain.head = index,
            tail => self.rows[tail as usize].next = index,
        }
        chain.tail = index;
        chain.count += 1;
    }

    /// Puts a range before all others.
    pub fn push_front(&mut self, chain: &mut Chain, slice: Slice) {
        let index = self.enter(slice, false);
        self.rows[index as usize].next = chain.head;
        if chain.head == NONE {
            chain.tail = index;
        }
        chain.head = index;
        chain.count += 1;
    }

    /// The first range.
    pub fn front(&self, chain: &Chain) -> Option<Slice> {
        (chain.head != NONE).then(|| self.slice(chain.head))
    }

    /// Pops the first range; the flag is true if its buffer is pinned.
    pub fn pop(&mut self, chain: &mut Chain) -> Option<(Slice, bool)> {
        if chain.head == NONE {
            return None;
        }
        let index = chain.head;
        let slice = self.slice(index);
        let row = &mut self.rows[index as usize];
        let is_pinned = row.is_pinned;
        chain.head = row.next;
        chain.count -= 1;
        if chain.head == NONE {
            chain.tail = NONE;
        }
        *row = Row { is_pinned, ..UNUSED };
        Some((slice, is_pinned))
    }

    /// Cuts `bytes` off the start of the first range, which is longer than that.
    pub fn advance(&mut self, chain: &Chain, bytes: u32) {
        let row = &mut self.rows[chain.head as usize];
        row.start += bytes;
        debug_assert!(row.start < row.end, "a range that is used up leaves its queue");
    }

    /// Copies the first ranges into `slices` and returns how many there are.
    pub fn peek(&self, chain: &Chain, slices: &mut [Slice]) -> usize {
        let mut index = chain.head;
        for (at, slice) in slices.iter_mut().enumerate() {
            if index == NONE {
                return at;
            }
            *slice = self.slice(index);
            index = self.rows[index as usize].next;
        }
        slices.len()
    }

    /// Bytes of all ranges.
    pub fn length(&self, chain: &Chain) -> u64 {
        let (mut index, mut bytes) = (chain.head, 0);
        while index != NONE {
            let row = &self.rows[index as usize];
            bytes += u64::from(row.end - row.start);
            index = row.next;
        }
        bytes
    }

    /// Unpins a buffer. True if it is in no queue, so that the caller must release it; else it is
    /// released when it is popped from its queue.
    pub fn unpin(&mut self, buffer: BufferId) -> bool {
        let Some(row) = self.rows.get_mut(buffer.0 as usize) else { return true };
        row.is_pinned = false;
        !row.is_queued
    }

    /// The queued range of a buffer; none if it is in no queue.
    pub fn queued(&self, buffer: BufferId) -> Option<Slice> {
        let row = self.rows.get(buffer.0 as usize)?;
        row.is_queued.then(|| self.slice(buffer.0))
    }

    fn slice(&self, index: u32) -> Slice {
        let row = &self.rows[index as usize];
        Slice { buffer: BufferId(index), start: row.start, end: row.end }
    }

    fn enter(&mut self, slice: Slice, is_pinned: bool) -> u32 {
        let index = slice.buffer.0 as usize;
        if index >= self.rows.len() {
            self.rows.resize(index + 1, UNUSED);
        }
        let row = &mut self.rows[index];
        assert!(!row.is_queued, "buffer {index} is in two queues");
        let Slice { start, end, .. } = slice;
        *row = Row { start, end, next: NONE, is_queued: true, is_pinned };
        slice.buffer.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(buffer: u32, end: u32) -> Slice {
        Slice { buffer: BufferId(buffer), start: 0, end }
    }

    #[test]
    fn keeps_order_over_two_queues_in_one_table() {
        let mut chains = Chains::default();
        let (mut one, mut two) = (Chain::default(), Chain::default());
        for buffer in 0..6 {
            let chain = if buffer % 2 == 0 { &mut one } else { &mut two };
            chains.push(chain, slice(buffer, 10), false);
        }
        chains.push_front(&mut one, slice(9, 3));
        chains.advance(&one, 2);
        let mut peeked = [slice(0, 0); 3];
        assert_eq!(chains.peek(&one, &mut peeked), 3);
        assert_eq!(peeked.map(|s| s.buffer.0), [9, 0, 2]);
        assert_eq!(peeked[0].start, 2);
        let popped: Vec<u32> =
            std::iter::from_fn(|| chains.pop(&mut one)).map(|(s, _)| s.buffer.0).collect();
        assert_eq!(popped, [9, 0, 2, 4]);
        assert_eq!((one, two.len()), (Chain::default(), 3));
    }

    #[test]
    fn a_retained_buffer_is_released_by_the_last_who_lets_go() {
        let mut chains = Chains::default();
        let mut chain = Chain::default();
        chains.push(&mut chain, slice(1, 5), true);
        assert!(!chains.unpin(BufferId(1)), "still queued");
        assert_eq!(chains.pop(&mut chain).map(|(_, retained)| retained), Some(false));

        chains.push(&mut chain, slice(1, 5), true);
        assert_eq!(chains.pop(&mut chain).map(|(_, retained)| retained), Some(true));
        assert!(chains.unpin(BufferId(1)), "sent, so the holder releases it");
    }
}
