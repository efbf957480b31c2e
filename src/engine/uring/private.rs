//! Private buffers, for bytes that the proxy writes itself: whole ones, and small ones for heads
//! that are kept while a request waits for its answer. They are mapped in blocks when first needed,
//! and not backed by memory until they are used; a block that was not needed for long gives its
//! memory back.

use super::free_list::{BLOCK_BUFFERS, FreeList};
use crate::base::Instant;
use crate::engine::{Room, SMALL_BUFFER_BYTES};
use crate::sys::memory::{Mapping, Pages, map_forever};
use std::io;
use std::ptr::NonNull;

/// Bytes between two buffers. Heads lie at the beginning of buffers, whose size is a power of two:
/// without a stagger all of them would compete for the same few sets of a cache.
pub(super) const STAGGER: usize = 5 * 64;

struct Block {
    memory: Mapping,
    room: Room,
    /// Its number among the blocks of its kind.
    at: usize,
}

/// The buffers of one size.
struct Kind {
    size: usize,
    free: FreeList,
    /// The numbers of its blocks among all.
    blocks: Vec<usize>,
}

impl Kind {
    fn new(size: usize) -> Self {
        Self { size, free: FreeList::default(), blocks: Vec::new() }
    }

    /// The number among all private buffers of a free one, which is taken.
    fn take(&mut self) -> Option<u32> {
        let number = self.free.take()? as usize;
        let block = self.blocks[number / BLOCK_BUFFERS];
        Some((block * BLOCK_BUFFERS + number % BLOCK_BUFFERS) as u32)
    }
}

/// See the module. A buffer is identified by its number, from 0 on.
pub(super) struct PrivateBuffers {
    blocks: Vec<Block>,
    whole: Kind,
    small: Kind,
    /// Most buffers of each kind.
    count_max: usize,
    /// The lack of memory has been logged.
    is_logged: bool,
}

impl PrivateBuffers {
    /// With the first block of each kind, so that a process without memory for them does not
    /// start.
    pub(super) fn new(size: usize, count_max: usize) -> io::Result<Self> {
        let mut buffers = Self {
            blocks: Vec::new(),
            whole: Kind::new(size),
            small: Kind::new(SMALL_BUFFER_BYTES),
            count_max,
            is_logged: false,
        };
        if count_max > 0 {
            buffers.map_block(Room::Whole)?;
            buffers.map_block(Room::Small)?;
        }
        Ok(buffers)
    }

    fn kind(&mut self, room: Room) -> &mut Kind {
        match room {
            Room::Whole => &mut self.whole,
            Room::Small => &mut self.small,
        }
    }

    /// The number of a free buffer, which may be larger than requested.
    pub(super) fn acquire(&mut self, room: Room) -> Option<u32> {
        if let Some(number) = self.kind(room).take() {
            return Some(number);
        }
        self.grow(room);
        match (self.kind(room).take(), room) {
            (None, Room::Small) => self.acquire(Room::Whole),
            (number, _) => number,
        }
    }

    pub(super) fn release(&mut self, number: u32) {
        let block = &self.blocks[number as usize / BLOCK_BUFFERS];
        let (room, first) = (block.room, block.at * BLOCK_BUFFERS);
        self.kind(room).free.put((first + number as usize % BLOCK_BUFFERS) as u32);
    }

    /// The start of a buffer and its size.
    pub(super) fn place(&self, number: usize) -> (NonNull<u8>, usize) {
        let block = &self.blocks[number / BLOCK_BUFFERS];
        let size = match block.room {
            Room::Whole => self.whole.size,
            Room::Small => self.small.size,
        };
        // SAFETY: the remainder counts buffers within the block, so the result lies inside its
        // mapping.
        (unsafe { block.memory.start().add(number % BLOCK_BUFFERS * (size + STAGGER)) }, size)
    }

    /// Buffers in use.
    pub(super) fn held(&self) -> usize {
        self.whole.free.taken_count() + self.small.free.taken_count()
    }

    /// True if half of the possible whole buffers are in use.
    pub(super) fn is_low(&self) -> bool {
        self.whole.free.taken_count() * 2 > self.count_max
    }

    /// Buffers that have a number.
    pub(super) fn mapped(&self) -> usize {
        self.blocks.len() * BLOCK_BUFFERS
    }

    /// Maps another block, unless the limit is reached or there is no memory.
    fn grow(&mut self, room: Room) {
        if self.kind(room).free.count() >= self.count_max {
            return;
        }
        if let Err(error) = self.map_block(room)
            && !std::mem::replace(&mut self.is_logged, true)
        {
            tracing::error!(
                %error,
                "no memory for buffers: connections that need one are cut (out_of_buffers); give \
                 the process more memory (systemd: MemoryMax, LimitAS; shell: ulimit -v), or lower \
                 runtime.max_connections or runtime.buffer_size"
            );
        }
    }

    fn map_block(&mut self, room: Room) -> io::Result<()> {
        let number = self.blocks.len();
        let kind = self.kind(room);
        let pages = match room {
            Room::Whole => Pages::Huge,
            // A block has a tenth of a huge page.
            Room::Small => Pages::Usual,
        };
        let memory = map_forever(BLOCK_BUFFERS * (kind.size + STAGGER), pages)?;
        let at = kind.blocks.len();
        kind.blocks.push(number);
        kind.free.add(BLOCK_BUFFERS);
        self.blocks.push(Block { memory, room, at });
        Ok(())
    }

    /// Begins to look for memory that is not needed.
    pub(super) fn look(&mut self, now: Instant) {
        self.whole.free.look(now);
        self.small.free.look(now);
    }

    /// Gives the memory of a block of each kind back, if there is one that was not needed for long.
    pub(super) fn give_back(&mut self, now: Instant) {
        for kind in [&mut self.whole, &mut self.small] {
            if let Some(at) = kind.free.unneeded(now) {
                let bytes = BLOCK_BUFFERS * (kind.size + STAGGER);
                self.blocks[kind.blocks[at]].memory.give_back(0..bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 16 * 1024;

    #[test]
    fn small_ones_are_small_and_whole_ones_stand_in_when_there_is_none_left() {
        let mut buffers = PrivateBuffers::new(SIZE, BLOCK_BUFFERS).expect("memory");
        let size = |buffers: &PrivateBuffers, number: u32| buffers.place(number as usize).1;
        let taken: Vec<u32> = std::iter::from_fn(|| buffers.acquire(Room::Small)).collect();
        let sizes: Vec<usize> = taken.iter().map(|number| size(&buffers, *number)).collect();
        let expected = [vec![SMALL_BUFFER_BYTES; BLOCK_BUFFERS], vec![SIZE; BLOCK_BUFFERS]];
        assert_eq!(sizes, expected.concat());
        assert!(buffers.held() == 2 * BLOCK_BUFFERS && buffers.is_low());
        taken.iter().for_each(|number| buffers.release(*number));
        assert!(buffers.held() == 0 && !buffers.is_low());
        let small = buffers.acquire(Room::Small).expect("all are free");
        assert_eq!(size(&buffers, small), SMALL_BUFFER_BYTES);
    }

    #[test]
    fn no_two_overlap() {
        let mut buffers = PrivateBuffers::new(SIZE, 4 * BLOCK_BUFFERS).expect("memory");
        let rooms = (0..6 * BLOCK_BUFFERS).map(|n| [Room::Small, Room::Whole][n % 2]);
        let taken = rooms.map(|room| buffers.acquire(room).expect("there are enough"));
        let taken: Vec<u32> = taken.collect();
        let mut places: Vec<(usize, usize)> = taken
            .iter()
            .map(|number| buffers.place(*number as usize))
            .map(|(start, size)| (start.as_ptr() as usize, size))
            .collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
    }
}
