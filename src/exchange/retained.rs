//! The place of a request's head while it may have to be sent, or sent again: a small buffer if it
//! fits one, else the heap, so that no request that waits for its backend holds a whole buffer. It
//! is in a whole one only while it is sent, or while more of the request, its body, arrives.

use super::Exchange;
use crate::engine::{BufferId, Engine, SMALL_BUFFER_BYTES, Slice};
use crate::http1::{HostRoom, fill_host_room};
use crate::link::Wire;
use crate::local::Local;
use std::net::SocketAddr;

/// The head of a request as sent to backends, kept until a response begins, so that it can be sent
/// again; only until it is sent, if it must not be sent again.
#[derive(Debug)]
pub(super) struct Retained {
    pub(super) place: Place,
    /// The place in the head for the address of the backend: the request names no host.
    pub(super) host_room: Option<HostRoom>,
}

#[derive(Debug)]
pub(super) enum Place {
    Nowhere,
    Buffer(Slice),
    /// A head that fits no small buffer waits here for its connection, and for the response.
    Heap(Box<[u8]>),
}

impl Retained {
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.place, Place::Nowhere)
    }

    /// The range of a head that is in a buffer.
    pub(super) fn buffer(&self) -> Option<Slice> {
        match self.place {
            Place::Buffer(head) => Some(head),
            Place::Nowhere | Place::Heap(_) => None,
        }
    }

    /// Drops the head.
    #[inline]
    pub(super) fn drop_head<E: Engine>(&mut self, wire: &mut Wire<E>) {
        if let Place::Buffer(head) = std::mem::replace(&mut self.place, Place::Nowhere) {
            wire.unpin(head.buffer);
        }
    }

    /// Moves a head from its buffer to the heap.
    fn set_aside<E: Engine>(&mut self, wire: &mut Wire<E>) {
        if let Place::Buffer(head) = self.place {
            self.place = Place::Heap(wire.bytes(head).into());
            wire.unpin(head.buffer);
        }
    }

    /// Moves a head that was set aside back into a buffer, to be sent. False if none is left.
    pub(super) fn restore<E: Engine>(&mut self, wire: &mut Wire<E>) -> bool {
        let Place::Heap(aside) = &self.place else { return true };
        let Some(head) = wire.private(aside) else { return false };
        self.place = Place::Buffer(head);
        true
    }

    /// Writes the address of a backend into a request that names no host.
    pub(super) fn name_host<E: Engine>(&mut self, address: SocketAddr, wire: &mut Wire<E>) {
        let Some(room) = self.host_room else { return };
        match &mut self.place {
            Place::Buffer(head) => fill_host_room(address, wire.bytes_mut(*head), room),
            Place::Heap(aside) => fill_host_room(address, aside, room),
            Place::Nowhere => {}
        }
    }
}

/// True if a buffer is a small one.
fn is_small<E: Engine>(buffer: BufferId, wire: &Wire<E>) -> bool {
    wire.engine.bytes(buffer).len() <= SMALL_BUFFER_BYTES
}

impl Exchange {
    /// After a send to a backend: the head's buffer is released once all of the head is sent. As
    /// long as the request may have to be sent again, its head is kept in a small buffer, or on the
    /// heap if it fits none.
    pub(super) fn shrink_head<E: Engine>(&mut self, local: &mut Local<E>) {
        let Place::Buffer(head) = self.retained.place else { return };
        // What a backend with streams says that it has not processed is sent again, whatever its
        // method.
        let may_be_refused = self.port().is_some_and(|port| port.stream > 0);
        let is_needed = self.is_replayable() || (may_be_refused && !self.facts.is_streaming);
        let wire = &mut local.wire;
        if (is_needed && is_small(head.buffer, wire)) || wire.waiting(head.buffer).is_some() {
            return;
        }
        let fits = is_needed && head.len() <= SMALL_BUFFER_BYTES;
        let copy = if fits { wire.copy_of(head) } else { None };
        match copy {
            Some(copy) => self.retained.place = Place::Buffer(copy),
            None if is_needed => self.retained.place = Place::Heap(wire.bytes(head).into()),
            None => self.retained.place = Place::Nowhere,
        }
        wire.unpin(head.buffer);
    }

    /// Sets the head aside until its connection is made, if no more of the request has been
    /// received and it is in no small buffer. True if it is not in a buffer now.
    pub(super) fn set_head_aside<E: Engine>(&mut self, local: &mut Local<E>) -> bool {
        let Some(head) = self.retained.buffer() else { return true };
        let is_aside = !self.facts.is_streaming && !is_small(head.buffer, &local.wire);
        if is_aside {
            self.retained.set_aside(&mut local.wire);
        }
        is_aside
    }
}
