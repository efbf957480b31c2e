//! The memory of a shard: the receive ring, from which the kernel takes a buffer when data arrives,
//! and private buffers (see `private`) for bytes that the proxy writes itself. The ring's buffers
//! are untouched, and so not backed by memory, until they are first used; what a burst has used is
//! given back after it.
//!
//! Invariant that makes the slices sound: a buffer is either `held` by us, or free here, or
//! provided, which is the kernel's to write. Only held ones can be read or written here, only the
//! memory of free ones is given back, and a double release stops the shard.

use super::BUFFER_GROUP;
use super::free_list::{BLOCK_BUFFERS, FreeList, LOOK_EVERY};
use super::options::UringOptions;
use super::private::{PrivateBuffers, STAGGER};
use super::provision::Provision;
use super::setup_error::SetupError;
use crate::base::Instant;
use crate::engine::{BufferId, BuffersHeld, Room};
use crate::sys::memory::{Mapping, Pages, map_forever};
use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// See the module.
pub(super) struct Buffers {
    size: usize,
    /// Bytes from the start of a buffer to that of the next one.
    stride: usize,
    entries: NonNull<BufRingEntry>,
    tail: u16,
    mask: u16,
    receive_memory: Mapping,
    receive_count: usize,
    receive_held: usize,
    provision: Provision,
    /// Those of the ring that the kernel does not have and that are not held.
    spare: FreeList,
    private: PrivateBuffers,
    held: Vec<bool>,
    /// When it is next looked at which memory is needed.
    next_look: Instant,
}

impl Buffers {
    pub(super) fn new(ring: &IoUring, options: &UringOptions) -> Result<Self, SetupError> {
        let count = options.receive_buffers.next_power_of_two();
        let size = options.buffer_size;
        let stride = size + STAGGER;
        let private = PrivateBuffers::new(size, options.private_buffers_max)
            .map_err(SetupError::from_memory)?;
        let entries = map_forever(count * size_of::<BufRingEntry>(), Pages::Usual)
            .map_err(SetupError::from_memory)?
            .start()
            .cast::<BufRingEntry>();
        // SAFETY: the entries are page-aligned, zeroed, large enough for `count` of them and are
        // never unmapped, so they outlive the ring. JUSTIFICATION: the crate has no wrapper.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(
                    entries.as_ptr() as u64,
                    count as u16,
                    BUFFER_GROUP,
                    0,
                )
                .map_err(SetupError::from_buffer_ring)?;
        }
        let receive_memory =
            map_forever(count * stride, Pages::Huge).map_err(SetupError::from_memory)?;
        let mut spare = FreeList::default();
        spare.add(count);
        let mut buffers = Self {
            size,
            stride,
            entries,
            tail: 0,
            mask: (count - 1) as u16,
            receive_memory,
            receive_count: count,
            receive_held: 0,
            provision: Provision::new(count),
            spare,
            private,
            held: vec![false; count],
            next_look: Instant::default(),
        };
        buffers.top_up();
        Ok(buffers)
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn is_receive_buffer(&self, buffer: BufferId) -> bool {
        (buffer.0 as usize) < self.receive_count
    }

    /// True if half of the receive ring, or half of the possible private buffers, are in use.
    pub(super) fn is_low(&self) -> bool {
        self.receive_held * 2 > self.receive_count || self.private.is_low()
    }

    /// Buffers that are held here.
    pub(super) fn held_count(&self) -> BuffersHeld {
        BuffersHeld { receive: self.receive_held as u32, private: self.private.held() as u32 }
    }

    /// True if less than a quarter of the receive ring is left to the kernel.
    pub(super) fn is_scarce(&self) -> bool {
        self.receive_held * 4 > self.receive_count * 3
    }

    /// Takes a buffer of the ring that the kernel has put data into: it is held now.
    pub(super) fn take(&mut self, id: u16) -> BufferId {
        let held = &mut self.held[usize::from(id)];
        assert!(!*held, "the kernel used buffer {id}, which it did not own");
        *held = true;
        self.receive_held += 1;
        self.provision.note_used();
        BufferId(u32::from(id))
    }

    pub(super) fn acquire(&mut self, room: Room) -> Option<BufferId> {
        let id = self.receive_count + self.private.acquire(room)? as usize;
        let known = self.receive_count + self.private.mapped();
        if self.held.len() < known {
            self.held.resize(known, false);
        }
        self.held[id] = true;
        Some(BufferId(id as u32))
    }

    pub(super) fn release(&mut self, buffer: BufferId) {
        let index = buffer.0 as usize;
        assert!(self.held[index], "buffer {index} was released twice");
        self.held[index] = false;
        if self.is_receive_buffer(buffer) {
            self.receive_held -= 1;
            self.spare.put(buffer.0);
            self.top_up();
        } else {
            self.private.release(buffer.0 - self.receive_count as u32);
        }
    }

    pub(super) fn bytes(&self, buffer: BufferId) -> &[u8] {
        let (address, size) = self.place(buffer);
        // SAFETY: `place` checked that the buffer is held, so the kernel does not write to it,
        // and it spans `size` mapped bytes. The borrow of self keeps it from being released.
        unsafe { std::slice::from_raw_parts(address.as_ptr(), size) }
    }

    pub(super) fn bytes_mut(&mut self, buffer: BufferId) -> &mut [u8] {
        let (address, size) = self.place(buffer);
        // SAFETY: as in `bytes`; the exclusive borrow of self excludes other slices.
        unsafe { std::slice::from_raw_parts_mut(address.as_ptr(), size) }
    }

    pub(super) fn bytes_pair(&mut self, read: BufferId, write: BufferId) -> (&[u8], &mut [u8]) {
        assert_ne!(read, write, "a pair is two buffers");
        let ((from, readable), (to, writable)) = (self.place(read), self.place(write));
        // SAFETY: as in `bytes`; the two buffers are different, so they do not overlap.
        unsafe {
            (
                std::slice::from_raw_parts(from.as_ptr(), readable),
                std::slice::from_raw_parts_mut(to.as_ptr(), writable),
            )
        }
    }

    /// The start of a held buffer and its size.
    pub(super) fn place(&self, buffer: BufferId) -> (NonNull<u8>, usize) {
        let index = buffer.0 as usize;
        assert!(self.held[index], "buffer {index} is used but not held");
        match index.checked_sub(self.receive_count) {
            // SAFETY: there are more buffers in the ring's memory than `index`, so the result
            // lies inside its mapping.
            None => (unsafe { self.receive_memory.start().add(index * self.stride) }, self.size),
            Some(private) => self.private.place(private),
        }
    }

    /// A new turn has begun: all that the kernel used before it is known.
    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.provision.begin_turn();
        if now >= self.next_look {
            self.look(now);
        }
        self.give_back(now);
    }

    /// Looks which memory is not needed.
    #[cold]
    fn look(&mut self, now: Instant) {
        self.next_look = now + LOOK_EVERY;
        self.provision.look();
        self.spare.look(now);
        self.private.look(now);
    }

    /// Gives the memory of a block of each kind back, if there is one that was not needed for long.
    fn give_back(&mut self, now: Instant) {
        self.private.give_back(now);
        if let Some(block) = self.spare.unneeded(now) {
            let first = block * BLOCK_BUFFERS;
            let end = (first + BLOCK_BUFFERS).min(self.receive_count);
            self.receive_memory.give_back(first * self.stride..end * self.stride);
        }
    }

    /// Buffers of the ring that the kernel has.
    #[cfg(test)]
    pub(super) fn provided(&self) -> usize {
        self.provision.provided()
    }

    /// How many buffers of the ring the kernel is to be asked for in this turn.
    pub(super) fn ask_back(&mut self) -> usize {
        self.provision.take_back()
    }

    /// The kernel has given a buffer of the ring back that it had no data for, or none.
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

    /// Hands a buffer of the ring to the kernel.
    fn provide(&mut self, id: u16) {
        let at = usize::from(self.tail & self.mask);
        // SAFETY: `at` is below the number of entries; the buffer is the kernel's to write from
        // here on, which `held` being false records. The tail lies inside the first entry, where
        // the kernel looks for it, and is only read by the kernel.
        unsafe {
            let address = self.receive_memory.start().add(usize::from(id) * self.stride);
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
        let options = UringOptions {
            ring_entries: 8,
            receive_buffers: 512,
            buffer_size: 16 * 1024,
            private_buffers_max: 0,
        };
        let mut buffers = Buffers::new(&ring, &options).expect("memory");
        for expected in [128, 256, 512, 512] {
            buffers.begin_turn(Instant::default());
            (0..100).for_each(|_| buffers.provide_more());
            assert_eq!(buffers.provided(), expected);
        }
    }
}
