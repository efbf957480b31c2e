//! All connections of a shard to backends, and per backend the idle ones, last used first: the most
//! recently used one is the least likely to have been closed by the backend.

use crate::base::{BackendSlot, Instant, TimerId};
use crate::engine::{Close, Key, Socket};
use crate::link::Link;
use crate::table::{ClientId, Operating, Table, UpstreamId};
use std::time::Duration;

/// A connection to a backend.
pub struct Upstream {
    /// Its socket and operations.
    pub link: Link,
    /// The backend.
    pub slot: BackendSlot,
    /// The session whose exchange it carries; none while it is idle or closing.
    pub session: Option<ClientId>,
    /// It has carried an exchange before the present one.
    pub is_reused: bool,
    /// It waits for its operations to end and is closed then.
    pub is_closing: bool,
    /// At its last read, more bytes were there to be read.
    pub has_unread: bool,
    /// How its socket is closed in the end.
    pub close: Close,
    /// How long it may be idle, as the backend states.
    pub idle_max: Duration,
    /// When an idle one is closed; only looked at when the timer fires.
    pub idle_until: Instant,
    /// The timer of an idle one; it stays armed while the connection is used.
    pub timer: Option<TimerId>,
    /// When the timer fires.
    pub alarm: Instant,
    newer: Option<UpstreamId>,
    older: Option<UpstreamId>,
}

impl Operating for Upstream {
    fn key(&self) -> Key {
        self.link.key
    }
}

#[derive(Clone, Copy, Default)]
struct IdleList {
    newest: Option<UpstreamId>,
    count: u32,
}

/// See the module.
#[derive(Default)]
pub struct Upstreams {
    rows: Table<UpstreamId, Upstream>,
    idle: Vec<IdleList>,
}

impl Upstreams {
    /// Without connections, with room for this many, which costs no memory before it is used.
    pub fn with_capacity(connections: usize) -> Self {
        Self { rows: Table::with_capacity(connections), idle: Vec::new() }
    }

    /// The key that the next inserted connection will have.
    pub fn next_key(&mut self) -> Key {
        self.rows.next_key()
    }

    /// Adds a connection under the key from [`Upstreams::next_key`].
    pub fn insert(
        &mut self,
        socket: Socket,
        key: Key,
        slot: BackendSlot,
        session: ClientId,
    ) -> UpstreamId {
        self.rows.insert(Upstream {
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
            newer: None,
            older: None,
        })
    }

    /// The connection of an operation; none if the operation is older than the row's tenant.
    pub fn find(&self, key: Key) -> Option<UpstreamId> {
        self.rows.find(key)
    }

    /// A connection that exists.
    pub fn at(&mut self, id: UpstreamId) -> &mut Upstream {
        self.rows.at(id)
    }

    /// Removes a connection; its socket has been closed.
    pub fn remove(&mut self, id: UpstreamId) -> Upstream {
        self.rows.remove(id)
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True without a connection.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All idle connections, for the end of the shard or of a backend.
    pub fn idle_ids(&self) -> Vec<UpstreamId> {
        let is_idle = |upstream: &Upstream| upstream.session.is_none() && !upstream.is_closing;
        let idle = self.rows.iter().filter(|(_, upstream)| is_idle(upstream));
        idle.map(|(id, _)| id).collect()
    }

    /// The keys of all connections to some backends.
    pub fn keys_of(&self, is_wanted: impl Fn(BackendSlot) -> bool) -> Vec<Key> {
        let wanted = self.rows.iter().filter(|(_, upstream)| is_wanted(upstream.slot));
        wanted.map(|(_, upstream)| upstream.link.key).collect()
    }

    /// The sockets of all connections that have not been closed.
    pub fn open_sockets(&self) -> Vec<Socket> {
        let links = self.rows.iter().map(|(_, upstream)| &upstream.link);
        links.filter(|link| !link.is_closed).map(|link| link.socket).collect()
    }

    /// Idle connections to a backend.
    pub fn idle_count(&self, slot: BackendSlot) -> u32 {
        self.idle.get(slot.index()).map_or(0, |list| list.count)
    }

    /// Puts an unused connection before the other idle ones.
    pub fn park(&mut self, id: UpstreamId) {
        let slot = self.rows[id].slot;
        if self.idle.len() <= slot.index() {
            self.idle.resize(slot.index() + 1, IdleList::default());
        }
        let list = &mut self.idle[slot.index()];
        let older = list.newest.replace(id);
        list.count += 1;
        let upstream = self.rows.at(id);
        upstream.session = None;
        upstream.is_reused = true;
        upstream.older = older;
        upstream.newer = None;
        if let Some(older) = older {
            self.rows.at(older).newer = Some(id);
        }
    }

    /// The most recently used idle connection to a backend, for `session`.
    pub fn reuse(&mut self, slot: BackendSlot, session: ClientId) -> Option<UpstreamId> {
        let newest = self.idle.get(slot.index())?.newest?;
        self.unpark(newest);
        self.rows.at(newest).session = Some(session);
        Some(newest)
    }

    /// Removes an idle connection from its list.
    pub fn unpark(&mut self, id: UpstreamId) {
        let Upstream { slot, newer, older, .. } = self.rows[id];
        let list = &mut self.idle[slot.index()];
        list.count -= 1;
        match newer {
            None => list.newest = older,
            Some(newer) => self.rows.at(newer).older = older,
        }
        if let Some(older) = older {
            self.rows.at(older).newer = newer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::RowId;

    #[test]
    fn the_last_used_is_used_first_and_any_can_leave() {
        let mut table = Upstreams::default();
        let (slot, other) = (BackendSlot(3), BackendSlot(0));
        let client = ClientId::from_row(7);
        let ids = [(10, slot), (11, slot), (12, other), (13, slot)].map(|(socket, slot)| {
            let key = table.next_key();
            let id = table.insert(Socket(socket), key, slot, client);
            table.park(id);
            id
        });
        assert_eq!((table.idle_count(slot), table.idle_count(other)), (3, 1));
        table.unpark(ids[1]);
        assert_eq!(table.reuse(slot, client), Some(ids[3]));
        assert_eq!(table.reuse(slot, client), Some(ids[0]));
        assert_eq!(table.reuse(slot, client), None);
        assert_eq!(table.reuse(BackendSlot(9), client), None);
        assert_eq!(table.idle_count(other), 1);
    }
}
