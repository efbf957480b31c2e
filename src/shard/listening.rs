//! The listening sockets of a shard: those it accepts on, and how it leaves one without losing the
//! clients that have connected to it. Does not: open sockets, or serve accepted connections.

use super::Shard;
use super::accepting::BACKOFF;
use crate::base::{Instant, ListenerId};
use crate::engine::{Close, Engine, Event, Key, Op, Owner, Socket};
use crate::limits::LISTENER_LEAVES_AFTER;
use crate::mailbox::Stage;
use crate::snapshot::{Listener, Transport};
use std::collections::BTreeMap;
use std::sync::Arc;

/// With less room than this, connections are accepted one by one: a multishot accept takes the
/// entire backlog before it can be stopped, and those beyond the limit would be deferred here, each
/// with a descriptor, instead of waiting in the backlog.
const FEW_PLACES: u32 = 1024;
/// Turns in which a shard that has panicked ends its accepts. One is enough, unless the kernel has
/// more completions for it than fit its queue.
const LAST_TURNS_MAX: usize = 64;

/// A listening socket of this shard.
pub(super) struct Acceptor {
    pub(super) socket: Socket,
    pub(super) key: Key,
    pub(super) listener: ListenerId,
    pub(super) is_armed: bool,
    /// Set if its listener was removed or has another socket: it is accepted on until then.
    leaves_at: Option<Instant>,
    /// It accepts no more connections; its socket is closed when the accept has ended.
    pub(super) is_retired: bool,
    /// It does not accept for a while.
    pub(super) backoff: Option<Backoff>,
}

/// The end of a backoff.
#[derive(Clone, Copy)]
pub(super) enum Backoff {
    /// At this time.
    At(Instant),
    /// When a session of the listener has ended, and at this time in any case: the process may be
    /// full, and no event reports that another shard's session of another listener has ended.
    WithPlace(Instant),
}

impl Backoff {
    fn latest(self) -> Instant {
        match self {
            Self::At(time) | Self::WithPlace(time) => time,
        }
    }
}

/// Connections are accepted on its sockets.
pub(super) fn accepts(listener: &Listener) -> bool {
    listener.endpoint().transport == Transport::Tcp
}

impl Acceptor {
    /// When its time is over.
    fn deadline(&self) -> Option<Instant> {
        let leaves_at = self.leaves_at.filter(|_| !self.is_retired);
        leaves_at.into_iter().chain(self.backoff.map(Backoff::latest)).min()
    }
}

impl<E: Engine> Shard<E> {
    /// Begins to accept on new sockets of the snapshot, and leaves removed ones. A socket may have
    /// become another listener's.
    pub(super) fn follow_listeners(&mut self) {
        let snapshot = self.traffic.snapshot().clone();
        let present = snapshot.listeners.iter().flatten();
        let mut wanted: BTreeMap<Socket, &Listener> = present
            .filter(|one| accepts(one))
            .map(|listener| (listener.sockets[self.index], &**listener))
            .collect();
        let leaves_at = self.traffic.now() + LISTENER_LEAVES_AFTER;
        for acceptor in self.acceptors.values_mut() {
            match wanted.remove(&acceptor.socket) {
                Some(listener) => {
                    acceptor.listener = listener.id;
                    acceptor.leaves_at = None;
                }
                None => {
                    acceptor.leaves_at.get_or_insert(leaves_at);
                }
            }
        }
        for (socket, listener) in wanted {
            self.begin_accepting(socket, listener.id, None);
        }
    }

    /// Takes over sockets that no shard accepts on: of snapshots that were replaced before they
    /// were applied, or of a shard that has panicked. Those that no listener of the next snapshot
    /// has are left after a while: clients may have connected to them.
    pub(super) fn adopt(&mut self, unclaimed: Vec<Arc<Listener>>) {
        let present = self.traffic.snapshot().clone();
        for listener in unclaimed {
            let socket = listener.sockets[self.index];
            let is_its = |one: &Arc<Listener>| one.sockets[self.index] == socket;
            let is_known = present.listeners.iter().flatten().any(is_its);
            if is_known || self.acceptors.contains_key(&socket) {
                continue;
            }
            let leaves_at = self.traffic.now() + LISTENER_LEAVES_AFTER;
            let id = listener.id;
            self.traffic.remember_listener(listener);
            self.begin_accepting(socket, id, Some(leaves_at));
            if self.traffic.stage() >= Stage::Draining {
                self.retire(socket);
            }
        }
    }

    fn begin_accepting(&mut self, socket: Socket, id: ListenerId, leaves_at: Option<Instant>) {
        let key = Key::new(Owner::Listener, id.index(), socket.0 as u32);
        self.arm(socket, key, id);
        let acceptor = Acceptor {
            socket,
            key,
            listener: id,
            is_armed: true,
            leaves_at,
            is_retired: false,
            backoff: None,
        };
        self.acceptors.insert(socket, acceptor);
    }

    fn arm(&mut self, socket: Socket, key: Key, listener: ListenerId) {
        let takes_many = self.places(listener) >= FEW_PLACES;
        self.traffic.engine().accept(socket, key, takes_many);
    }

    /// Ends accepting on a socket; it is closed once that has ended.
    fn retire(&mut self, socket: Socket) {
        let Some(acceptor) = self.acceptors.get_mut(&socket) else { return };
        if acceptor.is_retired {
            return;
        }
        acceptor.is_retired = true;
        acceptor.backoff = None;
        if acceptor.is_armed {
            let key = acceptor.key;
            self.traffic.engine().cancel(Op::Accept, key);
        }
        self.reap_acceptor(socket);
    }

    /// Admits the backlog of a retired socket and closes it, once nothing is in flight on it: the
    /// kernel resets the connections that are in the backlog then.
    pub(super) fn reap_acceptor(&mut self, socket: Socket) {
        let is_done = |acceptor: &Acceptor| acceptor.is_retired && !acceptor.is_armed;
        if !self.acceptors.get(&socket).is_some_and(is_done) {
            return;
        }
        let Some(acceptor) = self.acceptors.remove(&socket) else { return };
        while let Some(accepted) = self.traffic.engine().accept_now(socket) {
            self.admit_socket(accepted, acceptor.listener);
        }
        self.traffic.engine().close(socket, Close::Graceful);
    }

    /// The acceptor of an operation. Its key has the number of its socket.
    pub(super) fn acceptor(&mut self, key: Key) -> Option<&mut Acceptor> {
        self.acceptors.get_mut(&Socket(key.generation() as i32)).filter(|one| one.key == key)
    }

    /// Arms the listeners whose backoff is over, unless there is still no room, and retires those
    /// whose time has come.
    pub(super) fn resume_accepting(&mut self) {
        self.assign_deferred();
        let now = self.traffic.now();
        let is_due = |acceptor: &&Acceptor| self.due_at(acceptor).is_some_and(|at| at <= now);
        let due: Vec<Socket> =
            self.acceptors.values().filter(is_due).map(|acceptor| acceptor.socket).collect();
        for socket in due {
            let (key, listener) = (self.acceptors[&socket].key, self.acceptors[&socket].listener);
            if self.acceptors[&socket].leaves_at.is_some_and(|at| at <= now) {
                self.retire(socket);
            } else if self.is_full(listener) || self.has_deferred(listener) {
                self.await_place(socket, listener);
            } else if let Some(acceptor) = self.acceptors.get_mut(&socket) {
                acceptor.backoff = None;
                acceptor.is_armed = true;
                self.arm(socket, key, listener);
            }
        }
    }

    /// When a listening socket needs attention without an event of its own.
    pub(super) fn due_at(&self, acceptor: &Acceptor) -> Option<Instant> {
        let may_have_place = matches!(acceptor.backoff, Some(Backoff::WithPlace(_)))
            && !self.sessions(acceptor.listener).is_waiting();
        if may_have_place { Some(self.traffic.now()) } else { acceptor.deadline() }
    }

    /// Admits the backlog of every listener, and closes them: new connections are refused by the
    /// kernel, or served by another process, and do not hang in the backlog.
    pub(super) fn retire_all(&mut self) {
        while let Some(accepted) = self.deferred.pop_front() {
            self.serve(accepted);
        }
        let sockets: Vec<Socket> = self.acceptors.keys().copied().collect();
        sockets.into_iter().for_each(|socket| self.retire(socket));
    }

    /// Ends the accepts of a shard that does not run again, and closes the accepted connections
    /// that are not served yet: only this shard has their sockets.
    pub(super) fn abandon_accepted(&mut self) {
        let engine = self.traffic.engine();
        while let Some(accepted) = self.deferred.pop_front() {
            engine.close(accepted.socket, Close::Reset);
        }
        for acceptor in self.acceptors.values().filter(|acceptor| acceptor.is_armed) {
            engine.cancel(Op::Accept, acceptor.key);
        }
        self.traffic.cancel_receivers();
        for _ in 0..LAST_TURNS_MAX {
            while let Some(event) = self.traffic.engine().next_event() {
                self.abandon_event(event);
            }
            let accepts = self.acceptors.values().any(|acceptor| acceptor.is_armed);
            if !accepts && !self.traffic.is_receiving() {
                break;
            }
            let now = self.traffic.now();
            self.traffic.engine().turn(now + BACKOFF);
        }
        self.abandon_listeners();
    }

    /// Leaves the listening sockets to the shard's successor, and closes those that it would not
    /// use: clients would hang in their backlog. The acceptors' listeners may be older than the
    /// snapshot, so the sockets are compared.
    fn abandon_listeners(&mut self) {
        let is_last = self.mailbox().stage() >= Stage::Draining;
        let snapshot = self.traffic.snapshot().clone();
        let present = snapshot.listeners.iter().flatten().filter(|_| !is_last);
        let wanted: BTreeMap<Socket, &Arc<Listener>> =
            present.map(|listener| (listener.sockets[self.index], listener)).collect();
        for acceptor in std::mem::take(&mut self.acceptors).into_values() {
            if let Some(listener) = wanted.get(&acceptor.socket) {
                self.mailbox().leave(Arc::clone(listener));
                continue;
            }
            while let Some(accepted) = self.traffic.engine().accept_now(acceptor.socket) {
                self.traffic.engine().close(accepted, Close::Reset);
            }
            self.traffic.engine().close(acceptor.socket, Close::Graceful);
        }
        for socket in self.traffic.take_receivers() {
            match wanted.get(&socket) {
                Some(listener) => self.mailbox().leave(Arc::clone(listener)),
                None => self.traffic.engine().close(socket, Close::Graceful),
            }
        }
    }

    fn abandon_event(&mut self, event: Event) {
        let (key, is_armed) = match event {
            Event::Accepted { key, socket, more } => {
                self.traffic.engine().close(socket, Close::Reset);
                (key, more)
            }
            Event::AcceptEnded { key, .. } => (key, false),
            Event::Datagram { key, more: false, .. } | Event::ReceiveEnded { key, .. } => {
                return self.traffic.note_silent(key);
            }
            _ => return,
        };
        if let Some(acceptor) = self.acceptor(key) {
            acceptor.is_armed = is_armed;
        }
    }
}
