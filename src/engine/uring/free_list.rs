//! Which buffers of one size are free, and which of their memory is not needed any more. Free ones
//! are taken from low numbers first, so that high ones come to rest. Pure: time is passed in.
//!
//! Buffers lie in blocks, and blocks in tiers, each as large as all before it together: whether a
//! lower tier has a free buffer is seen in one step, and within a tier the last used comes first,
//! which is kind to caches.

use crate::base::Instant;
use std::time::Duration;

/// Buffers in a block. The last one may have fewer.
pub(super) const BLOCK_BUFFERS: usize = 64;
/// A tier rests after nothing was taken from it for so long. What is given back costs page faults
/// when it is used again, so bursts that come every few seconds keep their memory.
const CALM: Duration = Duration::from_secs(10);
/// How often the tiers are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Blocks that are looked at in a turn.
const BLOCKS_PER_TURN_MAX: usize = 256;

#[derive(Default)]
struct Tier {
    free: Vec<u32>,
    taken_at: Instant,
}

#[derive(Clone, Copy, Default)]
struct Block {
    taken: u8,
    /// Buffers of it were taken since its memory was last given back.
    is_backed: bool,
}

/// See the module. Buffers are numbered from 0 on.
#[derive(Default)]
pub(super) struct FreeList {
    tiers: Vec<Tier>,
    blocks: Vec<Block>,
    count: usize,
    free: usize,
    /// A bit for each tier that has a free buffer.
    filled: u32,
    /// A bit for each tier of which a buffer was taken since the last look.
    taken: u32,
    /// Blocks below it are still to be looked at.
    unseen: usize,
}

fn tier_of(number: u32) -> usize {
    let block = number / BLOCK_BUFFERS as u32;
    (u32::BITS - block.leading_zeros()) as usize
}

impl FreeList {
    /// All buffers.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Those that are taken.
    pub(super) fn taken_count(&self) -> usize {
        self.count - self.free
    }

    /// So many more, which are free; they begin a block.
    pub(super) fn add(&mut self, count: usize) {
        assert!(self.count.is_multiple_of(BLOCK_BUFFERS), "the last block is full");
        let numbers = self.count as u32..(self.count + count) as u32;
        self.count += count;
        self.free += count;
        self.blocks.resize(self.count.div_ceil(BLOCK_BUFFERS), Block::default());
        for number in numbers.rev() {
            self.insert(number);
        }
    }

    /// Takes a free one of the lowest tier that has some.
    pub(super) fn take(&mut self) -> Option<u32> {
        let at = self.filled.trailing_zeros() as usize;
        let tier = self.tiers.get_mut(at)?;
        let number = tier.free.pop()?;
        if tier.free.is_empty() {
            self.filled &= !(1 << at);
        }
        self.taken |= 1 << at;
        self.free -= 1;
        let block = &mut self.blocks[number as usize / BLOCK_BUFFERS];
        block.taken += 1;
        block.is_backed = true;
        Some(number)
    }

    /// Gives one back that was taken.
    pub(super) fn put(&mut self, number: u32) {
        self.blocks[number as usize / BLOCK_BUFFERS].taken -= 1;
        self.free += 1;
        self.insert(number);
    }

    fn insert(&mut self, number: u32) {
        let at = tier_of(number);
        if self.tiers.len() <= at {
            self.tiers.resize_with(at + 1, Tier::default);
        }
        self.tiers[at].free.push(number);
        self.filled |= 1 << at;
    }

    /// Notes which tiers are in use, and begins to look for blocks that are not. To be called every
    /// [`LOOK_EVERY`].
    pub(super) fn look(&mut self, now: Instant) {
        for (at, tier) in self.tiers.iter_mut().enumerate() {
            if self.taken & 1 << at != 0 {
                tier.taken_at = now;
            }
        }
        self.taken = 0;
        self.unseen = self.blocks.len();
    }

    /// The next block that has been free for long and is backed by memory, which its caller gives
    /// back. None if there is none, or none was found in a while: ask again in the next turn.
    pub(super) fn unneeded(&mut self, now: Instant) -> Option<usize> {
        for _ in 0..self.unseen.min(BLOCKS_PER_TURN_MAX) {
            self.unseen -= 1;
            let block = self.unseen;
            let at = tier_of((block * BLOCK_BUFFERS) as u32);
            let rests = self.taken & 1 << at == 0 && now.since(self.tiers[at].taken_at) >= CALM;
            let state = &mut self.blocks[block];
            if rests && state.taken == 0 && std::mem::take(&mut state.is_backed) {
                return Some(block);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    fn second(number: u64) -> Instant {
        Instant::default() + Duration::from_secs(number)
    }

    fn with(count: usize) -> FreeList {
        let mut list = FreeList::default();
        list.add(count);
        list
    }

    /// The blocks that are given back at a look.
    fn given_back(list: &mut FreeList, now: Instant) -> Vec<usize> {
        list.look(now);
        std::iter::from_fn(|| list.unneeded(now)).collect()
    }

    #[test]
    fn the_last_used_of_the_lowest_tier_comes_first() {
        let mut list = with(256);
        let taken: Vec<u32> = std::iter::from_fn(|| list.take()).collect();
        assert_eq!(taken, (0..256).collect::<Vec<u32>>());
        assert_eq!((list.count(), list.taken_count()), (256, 256));
        // Tiers are 0..64, 64..128, 128..256.
        for number in [200, 70, 130, 3, 100, 9] {
            list.put(number);
        }
        let again: Vec<u32> = std::iter::from_fn(|| list.take()).collect();
        assert_eq!(again, [9, 3, 100, 70, 130, 200]);
    }

    #[test]
    fn a_list_may_end_within_a_block_and_grow_by_blocks() {
        let mut list = with(16);
        assert_eq!(std::iter::from_fn(|| list.take()).count(), 16);
        let mut list = with(64);
        list.add(64);
        assert_eq!(std::iter::from_fn(|| list.take()).last(), Some(127));
        list.add(64);
        assert_eq!(list.take(), Some(128));
    }

    #[test]
    fn what_was_not_used_for_ten_seconds_is_given_back_once() {
        let mut list = with(512);
        let burst: Vec<u32> = (0..300).filter_map(|_| list.take()).collect();
        assert_eq!(given_back(&mut list, second(100)), NONE);
        burst.iter().for_each(|number| list.put(*number));
        for now in 101..110 {
            assert_eq!(given_back(&mut list, second(now)), NONE, "at {now} s");
        }
        // Blocks 5 to 7 were never touched.
        assert_eq!(given_back(&mut list, second(110)), [4, 3, 2, 1, 0]);
        assert_eq!(given_back(&mut list, second(200)), NONE);
    }

    #[test]
    fn a_tier_in_use_and_a_block_with_a_buffer_in_use_keep_their_memory() {
        let mut list = with(512);
        let burst: Vec<u32> = (0..512).filter_map(|_| list.take()).collect();
        given_back(&mut list, second(0));
        burst.iter().filter(|number| **number != 140).for_each(|number| list.put(*number));
        for now in 1..30 {
            let one = list.take().expect("most are free");
            list.put(one);
            let expected: &[usize] = if now == 10 { &[7, 6, 5, 4, 3, 1] } else { &[] };
            assert_eq!(given_back(&mut list, second(now)), expected, "at {now} s");
        }
        list.put(140);
        assert_eq!(given_back(&mut list, second(30)), [2]);
    }

    #[test]
    fn a_turn_looks_at_few_blocks() {
        let mut list = with(1024 * BLOCK_BUFFERS);
        let all: Vec<u32> = std::iter::from_fn(|| list.take()).collect();
        list.look(second(0));
        all.iter().filter(|number| **number >= 64).for_each(|number| list.put(*number));
        list.look(second(10));
        let mut turns = 0;
        let mut found = 0;
        while list.unseen > 0 {
            turns += 1;
            found += usize::from(list.unneeded(second(10)).is_some());
        }
        assert_eq!((found, turns), (1023, 1024));
    }
}
