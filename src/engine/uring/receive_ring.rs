//! A group of buffers from which the kernel takes one when data arrives. They are untouched, and so
//! not backed by memory, until they are first used; what a burst has used is given back after it.
//!
//! Invariant that makes the slices sound: a buffer is either `held` by us, or free here, or
//! provided, which is the kernel's to write. Only held ones can be read or written here, only the
//! memory of free ones is given back, and a double release stops the shard.

use super::free_list::{BLOCK_BUFFERS, FreeList};
use super::private::STAGGER;
use super::provision::Provision;
use super::setup_error::SetupError;
use crate::base::Instant;
use crate::sys::memory::{Mapping, Pages, map_forever};
use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// See the module.
pub(super) struct ReceiveRing {
    size: usize,
    /// Bytes from the start of a buffer to that of the next one.
    stride: usize,
    entries: NonNull<BufRingEntry>,
    tail: u16,
    mask: u16,
    memory: Mapping,
    held: Vec<bool>,
    held_count: usize,
    provision: Provision,
    /// Those that the kernel does not have and that are not held.
    spare: FreeList,
}

impl ReceiveRing {
    /// The buffers of a group: `count` of them, a power of two of at most 32,768, of `size` bytes.
    pub(super) fn new(
        ring: &IoUring,
        group: u16,
        count: usize,
        size: usize,
        pages: Pages,
    ) -> Result<Self, SetupError> {
        let stride = size + STAGGER;
        let entries = map_forever(count * size_of::<BufRingEntry>(), Pages::Usual)
            .map_err(SetupError::from_memory)?
            .start()
            .cast::<BufRingEntry>();
        let memory = map_forever(count * stride, pages).map_err(SetupError::from_memory)?;
        // SAFETY: the entries are page-aligned, zeroed, large enough for `count` of them and are
        // never unmapped, so they outlive the ring. JUSTIFICATION: the crate has no wrapper.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(entries.as_ptr() as u64, count as u16, group, 0)
                .map_err(SetupError::from_buffer_ring)?;
        }
        let mut spare = FreeList::default();
        spare.add(count);
        let mut buffers = Self {
            size,
            stride,
            entries,
            tail: 0,
            mask: (count - 1) as u16,
            memory,
            held: vec![false; count],
            held_count: 0,
            provision: Provision::new(count),
            spare,
        };
        buffers.top_up();
        Ok(buffers)
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// All buffers.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.held.len()
    }

    /// Buffers that are held here.
    pub(super) fn held_count(&self) -> usize {
        self.held_count
    }

    /// Takes a buffer that the kernel has put data into: it is held now.
    pub(super) fn take(&mut self, id: u16) {
        let held = &mut self.held[usize::from(id)];
        assert!(!*held, "the kernel used buffer {id}, which it did not own");
        *held = true;
        self.held_count += 1;
        self.provision.note_used();
    }

    pub(super) fn release(&mut self, index: usize) {
        assert!(self.held[index], "buffer {index} was released twice");
        self.held[index] = false;
        self.held_count -= 1;
        self.spare.put(index as u32);
        self.top_up();
    }

    /// The start of a held buffer.
    #[inline]
    pub(super) fn place(&self, index: usize) -> NonNull<u8> {
        assert!(self.held[index], "buffer {index} is used but not held");
        // SAFETY: there are more buffers in the mapping than `index`, so the result lies inside it.
        unsafe { self.memory.start().add(index * self.stride) }
    }

    // --- how many the kernel has ---

    /// A new turn has begun: all that the kernel used before it is known.
    pub(super) fn begin_turn(&mut self) {
        self.provision.begin_turn();
    }

    /// Looks which memory is not needed.
    pub(super) fn look(&mut self, now: Instant) {
        self.provision.look();
        self.spare.look(now);
    }

    /// Gives the memory of a block back, if there is one that was not needed for long.
    pub(super) fn give_back(&mut self, now: Instant) {
        if let Some(block) = self.spare.unneeded(now) {
            let first = block * BLOCK_BUFFERS;
            let end = (first + BLOCK_BUFFERS).min(self.count());
            self.memory.give_back(first * self.stride..end * self.stride);
        }
    }

    /// Buffers that the kernel has.
    #[cfg(test)]
    pub(super) fn provided(&self) -> usize {
        self.provision.provided()
    }

    /// How many buffers the kernel is to be asked for in this turn.
    pub(super) fn ask_back(&mut self) -> usize {
        self.provision.take_back()
    }

    /// The kernel has given a buffer back that it had no data for, or none.
    pub(super) fn take_back(&mut self, id: Option<u16>) {
        let Some(id) = id else { return self.provision.note_refusal() };
        assert!(!self.held[usize::from(id)], "the kernel gave buffer {id}, which it did not own");
        self.provision.note_taken_back();
        self.spare.put(u32::from(id));
        self.top_up();
    }

    /// The kernel found no buffer: it may have more of them from now on.
    pub(super) fn provide_more(&mut self) {
        self.provision.grow();
        self.top_up();
    }

    /// Gives the kernel what it may have, low numbers and the last used first.
    fn top_up(&mut self) {
        while self.provision.is_short() {
            let Some(id) = self.spare.take() else { return };
            self.provision.note_provided();
            self.provide(id as u16);
        }
    }

    /// Hands a buffer to the kernel.
    fn provide(&mut self, id: u16) {
        let at = usize::from(self.tail & self.mask);
        // SAFETY: `at` is below the number of entries; the buffer is the kernel's to write from
        // here on, which `held` being false records. The tail lies inside the first entry, where
        // the kernel looks for it, and is only read by the kernel.
        unsafe {
            let address = self.memory.start().add(usize::from(id) * self.stride);
            let entry = &mut *self.entries.add(at).as_ptr();
            entry.set_addr(address.as_ptr() as u64);
            entry.set_len(self.size as u32);
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_that_finds_no_buffer_doubles_them_once_in_a_turn() {
        let ring = IoUring::new(8).expect("io_uring works here");
        let mut buffers = ReceiveRing::new(&ring, 0, 512, 16 * 1024, Pages::Usual).expect("memory");
        for expected in [128, 256, 512, 512] {
            buffers.begin_turn();
            (0..100).for_each(|_| buffers.provide_more());
            assert_eq!(buffers.provided(), expected);
        }
    }
}
