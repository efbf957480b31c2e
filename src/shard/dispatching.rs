//! Dispatches events to their owners. An event for a slot that has a new tenant is late: it is
//! counted, its buffer or socket is released, and nothing else happens.

use super::Shard;
use crate::engine::{Close, Engine, Event, Key, Owner, Slice};
use crate::stats::Counter;
use crate::table::{ClientId, UpstreamId};

/// The owner of an operation.
enum Found {
    Client(ClientId),
    Upstream(UpstreamId),
}

impl<E: Engine> Shard<E> {
    pub(super) fn dispatch(&mut self, event: Event) {
        match event {
            Event::Received { key, .. }
            | Event::ReceiveEnded { key, .. }
            | Event::Sent { key, .. }
            | Event::Connected { key, .. }
            | Event::Readable { key } => match self.find(key) {
                Some(Found::Client(client)) => self.client_event(client, event),
                Some(Found::Upstream(upstream)) => self.upstream_event(upstream, event),
                None => self.late(event),
            },
            Event::Accepted { key, socket, more } => self.accepted(key, socket, more),
            Event::AcceptEnded { key, failure } => self.accept_ended(key, failure),
            Event::Woken => {}
        }
    }

    fn find(&self, key: Key) -> Option<Found> {
        match key.owner() {
            Owner::Client => self.traffic.sessions.find(key).map(Found::Client),
            Owner::Upstream => self.traffic.upstreams.find(key).map(Found::Upstream),
            Owner::Listener => None,
        }
    }

    fn client_event(&mut self, client: ClientId, event: Event) {
        match event {
            Event::Received { buffer, length, flags, .. } => {
                let slice = Slice { buffer, start: 0, end: length };
                self.traffic.client_received(client, slice, flags);
            }
            Event::ReceiveEnded { failure, .. } => self.traffic.client_ended(client, failure),
            Event::Sent { result, .. } => self.traffic.client_sent(client, result),
            Event::Readable { .. } => self.traffic.client_readable(client),
            Event::Connected { .. }
            | Event::Accepted { .. }
            | Event::AcceptEnded { .. }
            | Event::Woken => {}
        }
    }

    fn upstream_event(&mut self, upstream: UpstreamId, event: Event) {
        match event {
            Event::Received { buffer, length, flags, .. } => {
                let slice = Slice { buffer, start: 0, end: length };
                self.traffic.upstream_received(upstream, slice, flags);
            }
            Event::ReceiveEnded { failure, .. } => self.traffic.upstream_ended(upstream, failure),
            Event::Sent { result, .. } => self.traffic.upstream_sent(upstream, result),
            Event::Connected { result, .. } => self.traffic.upstream_connected(upstream, result),
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
