//! All connections of a shard to backends, and per backend the idle ones, last used first: the
//! most recently used is the least likely to have been closed by the other side.

use crate::base::{BackendSlot, Instant, TimerId};
use crate::engine::{Close, Key, Owner, Socket};
use crate::link::Link;
use slab::Slab;
use std::time::Duration;

const NONE: u32 = u32::MAX;

/// A connection to a backend.
pub struct Upstream {
    /// Its socket and operations.
    pub link: Link,
    /// The backend.
    pub slot: BackendSlot,
    /// The session whose exchange it carries; none while it is idle or closing.
    pub session: Option<u32>,
    /// It has carried an exchange before the present one.
    pub is_reused: bool,
    /// It waits for its operations to end and is closed then.
    pub is_closing: bool,
    /// When it was last read, more was there to be read.
    pub has_unread: bool,
    /// How its socket is closed in the end.
    pub close: Close,
    /// How long it may be idle, by the backend's own word.
    pub idle_max: Duration,
    /// When an idle one is closed; only looked at when the timer fires.
    pub idle_until: Instant,
    /// The timer of an idle one; it stays armed while the connection is used.
    pub timer: Option<TimerId>,
    /// When the timer fires.
    pub alarm: Instant,
    newer: u32,
    older: u32,
}

#[derive(Clone, Copy)]
struct IdleList {
    newest: u32,
    count: u32,
}

const NO_IDLE: IdleList = IdleList { newest: NONE, count: 0 };

/// See the module.
#[derive(Default)]
pub struct Upstreams {
    slots: Slab<Upstream>,
    idle: Vec<IdleList>,
    generation: u32,
}

impl Upstreams {
    /// Without a connection, and with room for so many, which costs no memory before it is used.
    pub fn with_capacity(connections: usize) -> Self {
        Self { slots: Slab::with_capacity(connections), ..Self::default() }
    }

    /// The key that the next inserted connection will have.
    pub fn next_key(&mut self) -> Key {
        self.generation = self.generation.wrapping_add(1);
        Key::new(Owner::Upstream, self.slots.vacant_key(), self.generation)
    }

    /// Adds a connection under the key from [`Upstreams::next_key`]; returns its index.
    pub fn insert(&mut self, socket: Socket, key: Key, slot: BackendSlot, session: u32) -> u32 {
        let index = self.slots.insert(Upstream {
            link: Link::new(socket, key),
            slot,
            session: Some(session),
            is_reused: false,
            is_closing: false,
            has_unread: false,
            close: Close::Graceful,
            idle_max: Duration::MAX,
            idle_until: Instant::default(),
            timer: None,
            alarm: Instant::default(),
            newer: NONE,
            older: NONE,
        });
        debug_assert_eq!(index, key.index());
        index as u32
    }

    /// The connection of an operation; none if the operation is older than the slot's tenant.
    pub fn find(&self, key: Key) -> Option<u32> {
        let upstream = self.slots.get(key.index())?;
        (upstream.link.key == key).then_some(key.index() as u32)
    }

    /// A connection that exists.
    pub fn at(&mut self, index: u32) -> &mut Upstream {
        &mut self.slots[index as usize]
    }

    /// Takes a connection out; its socket has been closed.
    pub fn remove(&mut self, index: u32) -> Upstream {
        self.slots.remove(index as usize)
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True without a connection.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Indexes of all idle connections, for the end of the shard or of a backend.
    pub fn idle_indexes(&self) -> Vec<u32> {
        let is_idle = |upstream: &Upstream| upstream.session.is_none() && !upstream.is_closing;
        let idle = self.slots.iter().filter(|(_, upstream)| is_idle(upstream));
        idle.map(|(index, _)| index as u32).collect()
    }

    /// The keys of all connections to some backends.
    pub fn keys_of(&self, is_wanted: impl Fn(BackendSlot) -> bool) -> Vec<Key> {
        let wanted = self.slots.iter().filter(|(_, upstream)| is_wanted(upstream.slot));
        wanted.map(|(_, upstream)| upstream.link.key).collect()
    }

    /// The sockets of all connections that have not been closed.
    pub fn open_sockets(&self) -> Vec<Socket> {
        let links = self.slots.iter().map(|(_, upstream)| &upstream.link);
        links.filter(|link| !link.is_closed).map(|link| link.socket).collect()
    }

    /// Idle connections to a backend.
    pub fn idle_count(&self, slot: BackendSlot) -> u32 {
        self.idle.get(slot.index()).map_or(0, |list| list.count)
    }

    /// Puts a connection that nobody uses before the other idle ones.
    pub fn park(&mut self, index: u32) {
        let slot = self.slots[index as usize].slot;
        if self.idle.len() <= slot.index() {
            self.idle.resize(slot.index() + 1, NO_IDLE);
        }
        let list = &mut self.idle[slot.index()];
        let older = std::mem::replace(&mut list.newest, index);
        list.count += 1;
        let upstream = &mut self.slots[index as usize];
        upstream.session = None;
        upstream.is_reused = true;
        upstream.older = older;
        upstream.newer = NONE;
        if older != NONE {
            self.slots[older as usize].newer = index;
        }
    }

    /// The most recently used idle connection to a backend, for `session`.
    pub fn reuse(&mut self, slot: BackendSlot, session: u32) -> Option<u32> {
        let newest = self.idle.get(slot.index())?.newest;
        if newest == NONE {
            return None;
        }
        self.unpark(newest);
        self.slots[newest as usize].session = Some(session);
        Some(newest)
    }

    /// Takes an idle connection out of its list.
    pub fn unpark(&mut self, index: u32) {
        let Upstream { slot, newer, older, .. } = self.slots[index as usize];
        let list = &mut self.idle[slot.index()];
        list.count -= 1;
        match newer {
            NONE => list.newest = older,
            newer => self.slots[newer as usize].older = older,
        }
        if older != NONE {
            self.slots[older as usize].newer = newer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_used_is_used_first_and_any_can_leave() {
        let mut table = Upstreams::default();
        let (slot, other) = (BackendSlot(3), BackendSlot(0));
        for (socket, slot) in [(10, slot), (11, slot), (12, other), (13, slot)] {
            let key = table.next_key();
            let index = table.insert(Socket(socket), key, slot, 0);
            table.park(index);
        }
        assert_eq!((table.idle_count(slot), table.idle_count(other)), (3, 1));
        table.unpark(1);
        assert_eq!(table.reuse(slot, 7), Some(3));
        assert_eq!(table.reuse(slot, 7), Some(0));
        assert_eq!(table.reuse(slot, 7), None);
        assert_eq!(table.reuse(BackendSlot(9), 7), None);
        assert_eq!(table.idle_count(other), 1);
    }

    #[test]
    fn a_late_operation_does_not_find_the_next_tenant() {
        let mut table = Upstreams::default();
        let first = table.next_key();
        let index = table.insert(Socket(1), first, BackendSlot(0), 0);
        table.remove(index);
        let second = table.next_key();
        table.insert(Socket(2), second, BackendSlot(0), 0);
        assert_eq!((table.find(first), table.find(second)), (None, Some(index)));
    }
}
