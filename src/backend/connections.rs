//! All connections of a shard to backends, and per backend the idle ones, last used first: the
//! most recently used one is the least likely to have been closed by the backend.

use super::{Connection, Upstream, Use};
use crate::base::BackendSlot;
use crate::engine::{Close, Engine, Failure, Key, Socket, Source};
use crate::link::{Delivery, Life};
use crate::local::Local;
use crate::mailbox::Stage;
use crate::table::{ConnectionId, ExchangeId, Port, Table};
use crate::tls::BackendTls;
use std::net::SocketAddr;
use std::sync::Arc;

#[derive(Clone, Copy, Default)]
struct IdleList {
    newest: Option<ConnectionId>,
    count: u32,
}

/// See the module.
#[derive(Default)]
pub struct Connections {
    rows: Table<ConnectionId, Connection>,
    idle: Vec<IdleList>,
    /// By backend, the connections that carry exchanges on streams, the oldest first. Those that
    /// take no more may be missing.
    pub(super) streaming: Vec<Vec<ConnectionId>>,
    /// By backend: it was found to speak HTTP/1.1 where HTTP/2 was offered too.
    pub(super) fallen_back: Vec<bool>,
}

impl Connections {
    /// Without connections, with room for this many, which costs no memory before it is used.
    pub fn with_capacity(connections: usize) -> Self {
        Self { rows: Table::with_capacity(connections), ..Self::default() }
    }

    /// The connection of an operation; none if the operation is older than the row's tenant.
    pub fn find(&self, key: Key) -> Option<ConnectionId> {
        self.rows.find(key)
    }

    /// A connection that exists.
    #[inline]
    pub fn at(&mut self, id: ConnectionId) -> &mut Connection {
        self.rows.at(id)
    }

    /// The backend's side of the exchange at a place.
    #[inline]
    pub fn upstream(&mut self, port: Port<ConnectionId>) -> Upstream<'_> {
        self.rows.at(port.connection).upstream(port.stream)
    }

    /// A connection that exists.
    pub(super) fn at_ref(&self, id: ConnectionId) -> &Connection {
        &self.rows[id]
    }

    /// Removes a connection; its socket has been closed.
    pub fn remove(&mut self, id: ConnectionId) -> Connection {
        self.rows.remove(id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.rows.iter()
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
    pub fn idle_ids(&self) -> Vec<ConnectionId> {
        let idle = self.iter().filter(|(_, connection)| connection.is_idle());
        idle.map(|(id, _)| id).collect()
    }

    /// Closes at once what only waits for its backend to take what was queued.
    pub fn abort_finishing<E: Engine>(&mut self, local: &mut Local<E>) {
        let is_finishing = |connection: &Connection| {
            matches!(connection.used_for, Use::Finishing | Use::Delivering(_))
        };
        let finishing = self.iter().filter(|(_, connection)| is_finishing(connection));
        let ids: Vec<ConnectionId> = finishing.map(|(id, _)| id).collect();
        ids.into_iter().for_each(|id| self.close(id, Close::Reset, local));
    }

    /// The keys of all connections to some backends.
    pub fn keys_of(&self, is_wanted: impl Fn(BackendSlot) -> bool) -> Vec<Key> {
        let wanted = self.iter().filter(|(_, connection)| is_wanted(connection.slot));
        wanted.map(|(_, connection)| connection.link.key).collect()
    }

    /// The sockets of all connections that have not been closed.
    pub fn open_sockets(&self) -> Vec<Socket> {
        let links = self.iter().map(|(_, connection)| &connection.link);
        links.filter(|link| link.life != Life::Closed).map(|link| link.socket).collect()
    }

    // --- which connection an exchange may use ---

    /// Begins a connection to a backend, for which a place was taken.
    pub fn connect<E: Engine>(
        &mut self,
        slot: BackendSlot,
        (address, source): (SocketAddr, Source),
        secure_with: Option<Arc<BackendTls>>,
        used_for: Use,
        local: &mut Local<E>,
    ) -> Result<ConnectionId, Failure> {
        let key = self.rows.next_key();
        let socket = local.wire.engine.connect(address, source, key);
        let socket = socket.inspect_err(|_| local.reports.connection_ended(slot))?;
        Ok(self.rows.insert(Connection::new(socket, key, (slot, address), secure_with, used_for)))
    }

    /// The most recently used idle connection to a backend, for an exchange; none if all of them
    /// are claimed by other shards.
    #[inline(always)]
    pub fn reuse<E: Engine>(
        &mut self,
        slot: BackendSlot,
        exchange: ExchangeId,
        local: &Local<E>,
    ) -> Option<ConnectionId> {
        let newest = self.idle.get(slot.index())?.newest?;
        if self.rows[newest].is_claimable && !local.reports.backend_cell(slot).idle.reuse() {
            return None;
        }
        Some(self.take(newest, exchange))
    }

    fn take(&mut self, newest: ConnectionId, exchange: ExchangeId) -> ConnectionId {
        self.unpark(newest);
        let connection = self.rows.at(newest);
        connection.used_for = Use::Exchange(exchange);
        connection.is_reusable = false;
        newest
    }

    /// Ends an attempt in the middle: nothing more of it goes to the backend or comes from it.
    pub fn leave<E: Engine>(&mut self, port: Port<ConnectionId>, local: &mut Local<E>) {
        match port.stream {
            0 => self.close(port.connection, Close::Reset, local),
            _ => self.end_stream(port, false, local),
        }
    }

    /// An exchange is over: its connection is kept or closed, or its stream ends.
    pub fn end_exchange<E: Engine>(
        &mut self,
        port: Port<ConnectionId>,
        is_complete: bool,
        idle: (u32, bool),
        local: &mut Local<E>,
    ) {
        match port.stream {
            0 => self.keep_or_close(port.connection, is_complete, idle, local),
            _ => self.end_stream(port, is_complete, local),
        }
    }

    /// Keeps a connection that its exchange has left for the next one, or closes it.
    /// `is_complete`: both messages have ended. `idle_max`: idle connections to its backend that
    /// this shard may keep; `is_claimable`: another shard may claim them.
    #[inline(always)]
    fn keep_or_close<E: Engine>(
        &mut self,
        id: ConnectionId,
        is_complete: bool,
        (idle_max, is_claimable): (u32, bool),
        local: &mut Local<E>,
    ) {
        let connection = self.rows.at(id);
        let is_clean = is_complete && connection.is_reusable && connection.is_clean();
        let slot = connection.slot;
        let idle_max_of_backend = connection.idle_max;
        let has_place = self.idle_count(slot) < idle_max;
        if !is_clean || !has_place || local.current.stage >= Stage::Draining {
            let how = if is_clean { Close::Graceful } else { Close::Reset };
            return self.close(id, how, local);
        }
        let idle_until = local.now() + local.current.timeouts().idle.min(idle_max_of_backend);
        let connection = self.rows.at(id);
        local.wire.receive(&mut connection.link);
        connection.clock.set(idle_until, connection.link.key, &mut local.timers);
        connection.is_claimable = is_claimable;
        if is_claimable {
            local.reports.backend_cell(slot).idle.add();
        }
        self.park(id);
    }

    // --- idle connections ---

    fn idle_count(&self, slot: BackendSlot) -> u32 {
        self.idle.get(slot.index()).map_or(0, |list| list.count)
    }

    /// Puts an unused connection before the other idle ones.
    #[inline(always)]
    fn park(&mut self, id: ConnectionId) {
        let slot = self.rows[id].slot;
        if self.idle.len() <= slot.index() {
            self.idle.resize(slot.index() + 1, IdleList::default());
        }
        let list = &mut self.idle[slot.index()];
        let older = list.newest.replace(id);
        list.count += 1;
        let connection = self.rows.at(id);
        connection.used_for = Use::Idle;
        connection.is_reused = true;
        connection.older = older;
        connection.newer = None;
        if let Some(older) = older {
            self.rows.at(older).newer = Some(id);
        }
    }

    /// Removes an idle connection from its list.
    fn unpark(&mut self, id: ConnectionId) {
        let Connection { slot, newer, older, .. } = self.rows[id];
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

    /// Closes an idle connection: its time is over, its backend is removed, or it received bytes
    /// without a request, or its end.
    pub fn discard_idle<E: Engine>(&mut self, id: ConnectionId, local: &mut Local<E>) {
        if self.rows[id].used_for == Use::Streams {
            return self.close_streams(id, local);
        }
        self.unpark(id);
        let Connection { slot, is_claimable, .. } = self.rows[id];
        if is_claimable {
            local.reports.backend_cell(slot).idle.close();
        }
        self.close(id, Close::Graceful, local);
    }

    /// Closes idle connections to a backend that other shards have claimed, the oldest first.
    pub fn yield_claimed<E: Engine>(&mut self, slot: BackendSlot, local: &mut Local<E>) {
        while local.reports.backend_cell(slot).idle.is_claimed() {
            let oldest = self.oldest_idle(slot).or_else(|| self.oldest_without_streams(slot));
            let Some(oldest) = oldest else { return };
            self.discard_idle(oldest, local);
        }
    }

    fn oldest_idle(&self, slot: BackendSlot) -> Option<ConnectionId> {
        let newest = self.idle.get(slot.index())?.newest;
        std::iter::successors(newest, |id| self.rows[*id].older).last()
    }

    /// The timer of a connection has fired.
    pub fn expired<E: Engine>(&mut self, key: Key, local: &mut Local<E>) {
        let Some(id) = self.rows.find(key) else { return };
        let now = local.now();
        let connection = self.rows.at(id);
        match connection.used_for {
            Use::Idle if connection.clock.fire(now, key, &mut local.timers) => {
                self.discard_idle(id, local);
            }
            Use::Finishing if connection.clock.fire(now, key, &mut local.timers) => {
                self.close(id, Close::Reset, local);
            }
            Use::Delivering(delivery) if connection.clock.fire(now, key, &mut local.timers) => {
                self.await_delivery(id, delivery, local);
            }
            Use::Idle | Use::Finishing | Use::Delivering(_) => {}
            // Armed again when the connection is parked.
            Use::Exchange(_) | Use::Streams | Use::Relay(_) | Use::Closing => {
                connection.clock.rest();
            }
        }
    }

    // --- the end ---

    /// Closes a connection once the backend has taken all that was queued for it, or does not take
    /// it in time. What would lose that waits until it was delivered: a reset, and a close before
    /// the backend has ended its direction.
    pub fn finish<E: Engine>(&mut self, id: ConnectionId, how: Close, local: &mut Local<E>) {
        let connection = self.rows.at(id);
        let link = &mut connection.link;
        if link.is_connecting() {
            return self.close(id, how, local);
        }
        connection.used_for = Use::Finishing;
        connection.close = how;
        local.wire.pause(link);
        let deadline = local.now() + local.current.timeouts().between_bytes;
        connection.clock.set(deadline, link.key, &mut local.timers);
        self.finish_if_sent(id, local);
    }

    /// After a send on a connection that finishes, or the end of its receive.
    pub fn finish_if_sent<E: Engine>(&mut self, id: ConnectionId, local: &mut Local<E>) {
        let connection = self.rows.at(id);
        let (link, how) = (&connection.link, connection.close);
        if !link.is_broken() && !link.is_flushed() {
            return;
        }
        // A socket that is closed before all was read from it is reset too.
        if how == Close::Graceful && link.has_ended() {
            return self.close(id, how, local);
        }
        let (left, patience) =
            (local.wire.undelivered(link), local.current.timeouts().between_bytes);
        self.await_delivery(id, Delivery::new(left, local.now(), patience), local);
    }

    /// Closes a connection once the backend has acknowledged all that was sent, or acknowledges
    /// nothing for so long that it is not waited for any more.
    fn await_delivery<E: Engine>(
        &mut self,
        id: ConnectionId,
        mut delivery: Delivery,
        local: &mut Local<E>,
    ) {
        let connection = self.rows.at(id);
        let how = connection.close;
        let (left, now) = (local.wire.undelivered(&connection.link), local.now());
        match delivery.look(left, now, local.current.timeouts().between_bytes) {
            Some(next) => {
                connection.used_for = Use::Delivering(delivery);
                connection.clock.set(next, connection.link.key, &mut local.timers);
            }
            None => self.close(id, how, local),
        }
    }

    /// Closes a connection as soon as nothing is in flight on it.
    pub fn close<E: Engine>(&mut self, id: ConnectionId, how: Close, local: &mut Local<E>) {
        let connection = self.rows.at(id);
        connection.used_for = Use::Closing;
        connection.close = how;
        connection.partial = None;
        let had_streams = connection.drop_streams(&mut local.wire);
        local.wire.drop_chain(&mut connection.inbox);
        local.wire.quiesce(&mut connection.link);
        if had_streams {
            self.retire(id);
        }
        self.settle(id, local);
    }

    /// Closes a connection that is marked for closing, if nothing is in flight on it.
    pub fn settle<E: Engine>(&mut self, id: ConnectionId, local: &mut Local<E>) {
        let connection = self.rows.at(id);
        let link = &mut connection.link;
        if connection.used_for != Use::Closing || link.life == Life::Closed || !link.is_quiet() {
            return;
        }
        local.wire.close(link, connection.close);
        connection.clock.stop(&mut local.timers);
        local.closed.push(link.key);
        local.reports.connection_ended(connection.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::RowId;

    #[test]
    fn the_last_used_is_used_first_and_any_can_leave() {
        let mut table = Connections::default();
        let (slot, other) = (BackendSlot(3), BackendSlot(0));
        let exchange = ExchangeId::from_row(7);
        let ids = [(10, slot), (11, slot), (12, other), (13, slot)].map(|(socket, slot)| {
            let key = table.rows.next_key();
            let id = table.rows.insert(Connection::new(
                Socket(socket),
                key,
                (slot, ([127, 0, 0, 1], 1).into()),
                None,
                Use::Exchange(exchange),
            ));
            table.park(id);
            id
        });
        assert_eq!((table.idle_count(slot), table.idle_count(other)), (3, 1));
        table.unpark(ids[1]);
        assert_eq!(table.oldest_idle(slot), Some(ids[0]));
        for expected in [ids[3], ids[0]] {
            let newest = table.idle[slot.index()].newest.expect("one is left");
            assert_eq!(table.take(newest, exchange), expected);
        }
        assert_eq!((table.oldest_idle(slot), table.oldest_idle(BackendSlot(9))), (None, None));
        assert_eq!(table.idle_count(other), 1);
    }
}
