//! The memory of a shard: the receive ring, private buffers (see `private`) for bytes that the
//! proxy writes itself, and, from the first UDP socket on, a ring of buffers for datagrams.
//!
//! The numbers of private buffers follow those of the receive ring; those of buffers for datagrams
//! have their highest bit set.

use super::free_list::LOOK_EVERY;
use super::options::UringOptions;
use super::private::PrivateBuffers;
use super::receive_ring::ReceiveRing;
use super::setup_error::SetupError;
use super::{DATAGRAM_GROUP, RECEIVE_GROUP, recvmsg};
use crate::base::Instant;
use crate::engine::{BufferId, BuffersHeld, Room};
use crate::sys::memory::Pages;
use io_uring::IoUring;
use std::ptr::NonNull;

/// Set in the number of a buffer for datagrams.
const DATAGRAM: u32 = 1 << 31;
/// Buffers for datagrams: what arrives in a turn and is sent in the next one. Few of them are
/// touched unless they are needed, and of each no more than the longest datagram.
const DATAGRAM_BUFFERS: usize = 1024;

/// See the module.
pub(super) struct Buffers {
    receive: ReceiveRing,
    datagrams: Option<ReceiveRing>,
    private: PrivateBuffers,
    private_held: Vec<bool>,
    size: usize,
    /// When it is next looked at which memory is needed.
    next_look: Instant,
}

impl Buffers {
    pub(super) fn new(ring: &IoUring, options: &UringOptions) -> Result<Self, SetupError> {
        let count = options.receive_buffers.next_power_of_two();
        let size = options.buffer_size;
        let private = PrivateBuffers::new(size, options.private_buffers_max)
            .map_err(SetupError::from_memory)?;
        Ok(Self {
            receive: ReceiveRing::new(ring, RECEIVE_GROUP, count, size, Pages::Huge)?,
            datagrams: None,
            private,
            private_held: Vec::new(),
            size,
            next_look: Instant::default(),
        })
    }

    /// Makes buffers for datagrams, unless there are some.
    pub(super) fn need_datagrams(&mut self, ring: &IoUring) -> Result<(), SetupError> {
        if self.datagrams.is_none() {
            let (group, count) = (DATAGRAM_GROUP, DATAGRAM_BUFFERS);
            // Most datagrams are short: a huge page would back 31 buffers for one of them.
            let pages = Pages::Usual;
            let made = ReceiveRing::new(ring, group, count, recvmsg::BUFFER_BYTES, pages)?;
            self.datagrams = Some(made);
        }
        Ok(())
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn is_receive_buffer(&self, buffer: BufferId) -> bool {
        (buffer.0 as usize) < self.receive.count()
    }

    /// True if half of the receive ring, or half of the possible private buffers, are in use.
    pub(super) fn is_low(&self) -> bool {
        self.receive.held_count() * 2 > self.receive.count() || self.private.is_low()
    }

    /// Buffers that are held here.
    pub(super) fn held_count(&self) -> BuffersHeld {
        let datagrams = self.datagrams.as_ref().map_or(0, ReceiveRing::held_count);
        let receive = self.receive.held_count() + datagrams;
        BuffersHeld { receive: receive as u32, private: self.private.held() as u32 }
    }

    /// True if less than a quarter of the receive ring is left to the kernel.
    pub(super) fn is_scarce(&self) -> bool {
        self.receive.held_count() * 4 > self.receive.count() * 3
    }

    /// Takes a buffer of the receive ring that the kernel has put data into: it is held now.
    pub(super) fn take(&mut self, id: u16) -> BufferId {
        self.receive.take(id);
        BufferId(u32::from(id))
    }

    /// Takes a buffer that the kernel has put a datagram into.
    pub(super) fn take_datagram(&mut self, id: u16) -> BufferId {
        self.datagrams.as_mut().expect("the kernel has some").take(id);
        BufferId(DATAGRAM | u32::from(id))
    }

    pub(super) fn acquire(&mut self, room: Room) -> Option<BufferId> {
        let number = self.private.acquire(room)? as usize;
        if self.private_held.len() < self.private.mapped() {
            self.private_held.resize(self.private.mapped(), false);
        }
        self.private_held[number] = true;
        Some(BufferId((self.receive.count() + number) as u32))
    }

    pub(super) fn release(&mut self, buffer: BufferId) {
        let index = buffer.0 as usize;
        if index < self.receive.count() {
            self.receive.release(index);
        } else if let Some(index) = index_of_datagram(buffer) {
            self.datagrams.as_mut().expect("it is one of them").release(index);
        } else {
            let number = index - self.receive.count();
            assert!(self.private_held[number], "buffer {index} was released twice");
            self.private_held[number] = false;
            self.private.release(number as u32);
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
        if index < self.receive.count() {
            return (self.receive.place(index), self.size);
        }
        if let (Some(index), Some(datagrams)) = (index_of_datagram(buffer), &self.datagrams) {
            return (datagrams.place(index), datagrams.size());
        }
        let number = index - self.receive.count();
        assert!(self.private_held[number], "buffer {index} is used but not held");
        self.private.place(number)
    }

    /// A new turn has begun: all that the kernel used before it is known.
    pub(super) fn begin_turn(&mut self, now: Instant) {
        let is_due = now >= self.next_look;
        for ring in [Some(&mut self.receive), self.datagrams.as_mut()].into_iter().flatten() {
            ring.begin_turn();
            if is_due {
                ring.look(now);
            }
            ring.give_back(now);
        }
        if is_due {
            self.next_look = now + LOOK_EVERY;
            self.private.look(now);
        }
        self.private.give_back(now);
    }

    /// Buffers of the receive ring that the kernel has.
    #[cfg(test)]
    pub(super) fn provided(&self) -> usize {
        self.receive.provided()
    }

    /// The buffers of a group that the kernel takes.
    pub(super) fn group(&mut self, group: u16) -> Option<&mut ReceiveRing> {
        match group {
            RECEIVE_GROUP => Some(&mut self.receive),
            _ => self.datagrams.as_mut(),
        }
    }
}

fn index_of_datagram(buffer: BufferId) -> Option<usize> {
    (buffer.0 & DATAGRAM != 0).then_some((buffer.0 & !DATAGRAM) as usize)
}
