//! Events to whom they concern. An event for a slot that has another tenant by now is late: it is
//! counted, what it carries is given back, and nothing else happens.

use super::Shard;
use crate::engine::{Close, Engine, Event, Key, Owner, Slice};
use crate::stats::Counter;

impl<E: Engine> Shard<E> {
    pub(super) fn dispatch(&mut self, event: Event) {
        match event {
            Event::Received { key, .. }
            | Event::ReceiveEnded { key, .. }
            | Event::Sent { key, .. }
            | Event::Connected { key, .. }
            | Event::Readable { key } => match self.find(key) {
                Some((Owner::Client, index)) => self.client_event(index, event),
                Some((_, index)) => self.upstream_event(index, event),
                None => self.late(event),
            },
            Event::Accepted { key, socket, more } => self.accepted(key, socket, more),
            Event::AcceptEnded { key, failure } => self.accept_ended(key, failure),
            Event::Woken => {}
        }
    }

    fn find(&self, key: Key) -> Option<(Owner, u32)> {
        let index = match key.owner() {
            Owner::Client => self.traffic.sessions.find(key),
            Owner::Upstream => self.traffic.upstreams.find(key),
            Owner::Listener => None,
        }?;
        Some((key.owner(), index))
    }

    fn client_event(&mut self, index: u32, event: Event) {
        match event {
            Event::Received { buffer, length, more, .. } => {
                let slice = Slice { buffer, start: 0, end: length };
                self.traffic.client_received(index, slice, more);
            }
            Event::ReceiveEnded { failure, .. } => self.traffic.client_ended(index, failure),
            Event::Sent { result, .. } => self.traffic.client_sent(index, result),
            Event::Readable { .. } => self.traffic.client_readable(index),
            Event::Connected { .. }
            | Event::Accepted { .. }
            | Event::AcceptEnded { .. }
            | Event::Woken => {}
        }
    }

    fn upstream_event(&mut self, index: u32, event: Event) {
        match event {
            Event::Received { buffer, length, more, .. } => {
                let slice = Slice { buffer, start: 0, end: length };
                self.traffic.upstream_received(index, slice, more);
            }
            Event::ReceiveEnded { failure, .. } => self.traffic.upstream_ended(index, failure),
            Event::Sent { result, .. } => self.traffic.upstream_sent(index, result),
            Event::Connected { result, .. } => self.traffic.upstream_connected(index, result),
            Event::Readable { .. }
            | Event::Accepted { .. }
            | Event::AcceptEnded { .. }
            | Event::Woken => {}
        }
    }

    fn late(&mut self, event: Event) {
        self.mailbox().counters.add(Counter::LateCompletions, 1);
        match event {
            Event::Received { buffer, .. } => self.traffic.wire.engine.release(buffer),
            Event::Accepted { socket, .. } => {
                self.traffic.wire.engine.close(socket, Close::Reset);
            }
            _ => {}
        }
    }
}
