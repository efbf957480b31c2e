//! The listening sockets of a shard: which it accepts on, and how it leaves one without losing who
//! has connected there. Does not: open sockets, or serve what it accepts.

use super::Shard;
use super::accepting::REST;
use crate::base::{Instant, ListenerId};
use crate::engine::{Close, Engine, Event, Key, Op, Owner, Socket};
use crate::limits::LISTENER_LEAVES_AFTER;
use crate::mailbox::Stage;
use crate::snapshot::Listener;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Fewer places than this, and connections are taken one by one: once a listener accepts many, it
/// takes all that wait before it can be stopped, and those beyond the limit would be held here,
/// each with a descriptor, instead of waiting in the backlog.
const FEW_PLACES: u32 = 1024;
/// Turns that a shard that has panicked takes to end its accepts. One is enough, unless the kernel
/// has more completions for it than fit its queue.
const LAST_TURNS_MAX: usize = 64;

/// A listening socket of this shard.
pub(super) struct Acceptor {
    pub(super) socket: Socket,
    pub(super) key: Key,
    pub(super) listener: ListenerId,
    pub(super) is_armed: bool,
    /// Its listener is gone or has another socket: it is accepted on until then.
    leaves_at: Option<Instant>,
    /// It takes no more connections; its socket is closed when the accept has ended.
    pub(super) is_retired: bool,
    /// It rests until then; none if it does not.
    pub(super) resume_at: Option<Instant>,
}

impl Acceptor {
    /// When there is something to do for it without an event.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let leaves_at = self.leaves_at.filter(|_| !self.is_retired);
        leaves_at.into_iter().chain(self.resume_at).min()
    }
}

impl<E: Engine> Shard<E> {
    /// Begins to accept on sockets of the snapshot that are new, and leaves those that are gone. A
    /// socket may have become another listener's.
    pub(super) fn follow_listeners(&mut self) {
        let snapshot = self.traffic.snapshot().clone();
        let present = snapshot.listeners.iter().flatten();
        let mut wanted: BTreeMap<Socket, &Listener> =
            present.map(|listener| (listener.sockets[self.index], &**listener)).collect();
        let leaves_at = self.traffic.wire.engine.now() + LISTENER_LEAVES_AFTER;
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

    /// Takes over sockets that nobody accepts on: of snapshots that were replaced before they were
    /// taken, or of a shard that has panicked. Those that no listener of the next snapshot has are
    /// left after a while: somebody may have connected there.
    pub(super) fn adopt(&mut self, unclaimed: Vec<Arc<Listener>>) {
        let present = self.traffic.snapshot().clone();
        for listener in unclaimed {
            let socket = listener.sockets[self.index];
            let is_its = |one: &Arc<Listener>| one.sockets[self.index] == socket;
            let is_known = present.listeners.iter().flatten().any(is_its);
            if is_known || self.acceptors.contains_key(&socket) {
                continue;
            }
            let leaves_at = self.traffic.wire.engine.now() + LISTENER_LEAVES_AFTER;
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
        self.arm(socket, key);
        let acceptor = Acceptor {
            socket,
            key,
            listener: id,
            is_armed: true,
            leaves_at,
            is_retired: false,
            resume_at: None,
        };
        self.acceptors.insert(socket, acceptor);
    }

    fn arm(&mut self, socket: Socket, key: Key) {
        let takes_many = self.places() >= FEW_PLACES;
        self.traffic.wire.engine.accept(socket, key, takes_many);
    }

    /// Ends accepting on a socket; it is closed once that has ended.
    fn retire(&mut self, socket: Socket) {
        let Some(acceptor) = self.acceptors.get_mut(&socket) else { return };
        if acceptor.is_retired {
            return;
        }
        acceptor.is_retired = true;
        acceptor.resume_at = None;
        if acceptor.is_armed {
            let key = acceptor.key;
            self.traffic.wire.engine.cancel(Op::Accept, key);
        }
        self.bury_acceptor(socket);
    }

    /// Takes in what waits on a retired socket and closes it, once nothing is in flight on it: who
    /// is in the backlog then is cut by the kernel.
    pub(super) fn bury_acceptor(&mut self, socket: Socket) {
        let is_done = |acceptor: &Acceptor| acceptor.is_retired && !acceptor.is_armed;
        if !self.acceptors.get(&socket).is_some_and(is_done) {
            return;
        }
        let Some(acceptor) = self.acceptors.remove(&socket) else { return };
        while let Some(accepted) = self.traffic.wire.engine.accept_now(socket) {
            self.take_in(accepted, acceptor.listener);
        }
        self.traffic.wire.engine.close(socket, Close::Graceful);
    }

    /// The acceptor of an operation. Its key has the number of its socket.
    pub(super) fn acceptor(&mut self, key: Key) -> Option<&mut Acceptor> {
        self.acceptors.get_mut(&Socket(key.generation() as i32)).filter(|one| one.key == key)
    }

    /// Arms the listeners whose rest is over, unless there is still no place, and retires those
    /// whose time is.
    pub(super) fn resume_accepting(&mut self) {
        self.release_held();
        let now = self.traffic.wire.engine.now();
        let is_due = |acceptor: &&Acceptor| acceptor.deadline().is_some_and(|at| at <= now);
        let due: Vec<Socket> =
            self.acceptors.values().filter(is_due).map(|acceptor| acceptor.socket).collect();
        for socket in due {
            if self.acceptors[&socket].leaves_at.is_some_and(|at| at <= now) {
                self.retire(socket);
            } else if self.is_full() || !self.held.is_empty() {
                self.rest(socket, REST);
            } else if let Some(acceptor) = self.acceptors.get_mut(&socket) {
                acceptor.resume_at = None;
                acceptor.is_armed = true;
                let key = acceptor.key;
                self.arm(socket, key);
            }
        }
    }

    /// Takes in what waits on every listener, and closes them: who comes then is refused by the
    /// kernel, or served by another process, but not left to wait.
    pub(super) fn retire_all(&mut self) {
        while let Some(accepted) = self.held.pop_front() {
            self.serve(accepted);
        }
        let sockets: Vec<Socket> = self.acceptors.keys().copied().collect();
        sockets.into_iter().for_each(|socket| self.retire(socket));
    }

    /// Ends the accepts of a shard that will not run again, and closes what was accepted and has
    /// no session: nobody else knows of it.
    pub(super) fn abandon_accepted(&mut self) {
        let engine = &mut self.traffic.wire.engine;
        while let Some(held) = self.held.pop_front() {
            engine.close(held.socket, Close::Reset);
        }
        for acceptor in self.acceptors.values().filter(|acceptor| acceptor.is_armed) {
            engine.cancel(Op::Accept, acceptor.key);
        }
        for _ in 0..LAST_TURNS_MAX {
            while let Some(event) = self.traffic.wire.engine.next_event() {
                self.abandon_event(event);
            }
            if !self.acceptors.values().any(|acceptor| acceptor.is_armed) {
                break;
            }
            let now = self.traffic.wire.engine.now();
            self.traffic.wire.engine.turn(now + REST);
        }
        self.abandon_listeners();
    }

    /// Leaves the listening sockets to the shard after this one, and closes those that it would not
    /// want: clients would wait there for nobody. The snapshot may be newer than what the acceptors
    /// say of their listeners, so the sockets are compared.
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
            while let Some(accepted) = self.traffic.wire.engine.accept_now(acceptor.socket) {
                self.traffic.wire.engine.close(accepted, Close::Reset);
            }
            self.traffic.wire.engine.close(acceptor.socket, Close::Graceful);
        }
    }

    fn abandon_event(&mut self, event: Event) {
        let (key, is_armed) = match event {
            Event::Accepted { key, socket, more } => {
                self.traffic.wire.engine.close(socket, Close::Reset);
                (key, more)
            }
            Event::AcceptEnded { key, .. } => (key, false),
            _ => return,
        };
        if let Some(acceptor) = self.acceptor(key) {
            acceptor.is_armed = is_armed;
        }
    }
}
