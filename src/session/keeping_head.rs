//! The place of a request's head while it may have to be sent, or sent again: a small buffer if it
//! fits one, else the heap, so that no request that waits for its backend holds a whole buffer. It
//! is in a whole one only while it is sent, or while more of the request, its body, arrives.

use super::Traffic;
use crate::engine::{Engine, SMALL_BUFFER_BYTES, Slice};
use crate::http1::fill_host_room;
use crate::table::{ClientId, ExchangeId, UpstreamId};
use std::net::SocketAddr;

impl<E: Engine> Traffic<E> {
    /// After a send to a backend: the head's buffer is released once all of the head is sent. As
    /// long as the request may have to be sent again, its head is kept in a small buffer, or on the
    /// heap if it fits none.
    pub(super) fn shrink_head(&mut self, index: ClientId) {
        let Some(id) = self.sessions.at(index).exchange() else { return };
        let exchange = &self.exchanges[id];
        let Some(head) = exchange.request_head else { return };
        let is_needed = exchange.is_replayable();
        if (is_needed && self.is_small(head)) || self.wire.waiting(head.buffer).is_some() {
            return;
        }
        let fits = is_needed && head.len() <= SMALL_BUFFER_BYTES;
        let copy = if fits { self.wire.copy_of(head) } else { None };
        let exchange = &mut self.exchanges[id];
        if is_needed && copy.is_none() {
            exchange.head_aside = Some(self.wire.bytes(head).into());
        }
        exchange.request_head = copy;
        self.wire.unpin(head.buffer);
    }

    /// True if the buffer of a head is a small one.
    fn is_small(&self, head: Slice) -> bool {
        self.wire.engine.bytes(head.buffer).len() <= SMALL_BUFFER_BYTES
    }

    /// Sets a head aside until its connection is made, if no more of the request has been received
    /// and it is in no small buffer. True if it was set aside.
    pub(super) fn set_head_aside(&mut self, id: ExchangeId) -> bool {
        let exchange = &self.exchanges[id];
        let Some(head) = exchange.request_head else { return true };
        let is_aside = !exchange.is_streaming && !self.is_small(head);
        if is_aside {
            let exchange = &mut self.exchanges[id];
            exchange.head_aside = Some(self.wire.bytes(head).into());
            exchange.request_head = None;
            self.wire.unpin(head.buffer);
        }
        is_aside
    }

    /// Moves a head that was set aside back into a buffer, to be sent. False if none is left.
    pub(super) fn restore_head(&mut self, id: ExchangeId) -> bool {
        let exchange = &mut self.exchanges[id];
        let Some(aside) = &exchange.head_aside else { return true };
        exchange.request_head = self.wire.private(aside);
        let is_restored = exchange.request_head.is_some();
        if is_restored {
            exchange.head_aside = None;
        }
        is_restored
    }

    /// Queues a head that was set aside for its connection. False if no buffer is left.
    pub(super) fn send_head_aside(&mut self, index: ClientId, upstream: UpstreamId) -> bool {
        let Some(id) = self.sessions.at(index).exchange() else { return true };
        if self.exchanges[id].head_aside.is_none() {
            return true;
        }
        let is_restored = self.restore_head(id);
        if is_restored {
            self.queue_head(id, upstream);
        }
        is_restored
    }

    /// Queues a head that is in a buffer.
    pub(super) fn queue_head(&mut self, id: ExchangeId, upstream: UpstreamId) {
        let head = self.exchanges[id].request_head.expect("kept until a response begins");
        self.wire.send_pinned(&mut self.upstreams.at(upstream).link, head);
    }

    /// Writes the address of a backend into a request that names no host.
    pub(super) fn name_host(&mut self, id: ExchangeId, address: SocketAddr) {
        let exchange = &mut self.exchanges[id];
        let Some(room) = exchange.host_room.clone() else { return };
        match (exchange.request_head, &mut exchange.head_aside) {
            (Some(head), _) => fill_host_room(address, &mut self.wire.bytes_mut(head)[room]),
            (None, Some(aside)) => fill_host_room(address, &mut aside[room]),
            (None, None) => {}
        }
    }
}
