//! Accepting: a connection is admitted, goes to the less loaded of two shards, and becomes a
//! session. Out of descriptors, or at the limit of connections, the listener rests: its backlog
//! keeps what comes.

use super::Shard;
use crate::base::{Instant, ListenerId};
use crate::engine::{Close, Engine, Failure, Key, Op, Owner, Socket};
use crate::mailbox::{Handoff, Stage};
use crate::snapshot::Listener;
use crate::stats::Counter;
use std::time::Duration;

/// How long a listener rests when a connection could not be accepted.
const REST: Duration = Duration::from_millis(100);
/// How many more connections than another shard this one must have before it hands one over:
/// a margin plus this share, so that the counts' staleness does not make connections wander.
const HANDOVER_MARGIN: u32 = 8;
/// See [`HANDOVER_MARGIN`].
const HANDOVER_SHARE: u32 = 8;

/// A listening socket of this shard.
pub(super) struct Acceptor {
    socket: Socket,
    key: Key,
    listener: ListenerId,
    is_armed: bool,
    /// It takes no more connections; its socket is closed when the accept has ended.
    is_retired: bool,
    /// It rests until then; none if it does not.
    pub(super) resume_at: Option<Instant>,
}

impl<E: Engine> Shard<E> {
    /// Begins to accept on listeners of the snapshot that are new, and ends it on those that are
    /// gone.
    pub(super) fn follow_listeners(&mut self) {
        let snapshot = self.traffic.snapshot().clone();
        if self.acceptors.len() < snapshot.listeners.len() {
            self.acceptors.resize_with(snapshot.listeners.len(), || None);
        }
        for index in 0..self.acceptors.len() {
            let listener = snapshot.listeners.get(index).and_then(Option::as_ref);
            let socket = listener.map(|listener| listener.sockets[self.index]);
            let has = self.acceptors[index].as_ref().map(|acceptor| acceptor.socket);
            match (has, listener) {
                (Some(_), None) => self.retire(index),
                (None, Some(listener)) => self.begin_accepting(listener),
                // One that was gone and is back before its old socket could be closed waits for
                // that: see `bury_acceptor`.
                (Some(has), Some(_)) if Some(has) != socket => self.retire(index),
                _ => {}
            }
        }
    }

    fn begin_accepting(&mut self, listener: &Listener) {
        let socket = listener.sockets[self.index];
        // The socket tells two tenants of one number apart.
        let key = Key::new(Owner::Listener, listener.id.index(), socket.0 as u32);
        self.traffic.wire.engine.accept(socket, key);
        self.acceptors[listener.id.index()] = Some(Acceptor {
            socket,
            key,
            listener: listener.id,
            is_armed: true,
            is_retired: false,
            resume_at: None,
        });
    }

    /// Ends accepting on a listener that is gone; its socket is closed once that has ended.
    fn retire(&mut self, index: usize) {
        let Some(acceptor) = &mut self.acceptors[index] else { return };
        acceptor.is_retired = true;
        acceptor.resume_at = None;
        if acceptor.is_armed {
            let key = acceptor.key;
            self.traffic.wire.engine.cancel(Op::Accept, key);
        }
        self.bury_acceptor(index);
    }

    /// Takes in what waits on a retired listener and closes its socket, once nothing is in flight
    /// on it; one that has its number now begins.
    fn bury_acceptor(&mut self, index: usize) {
        let is_done = |acceptor: &Acceptor| acceptor.is_retired && !acceptor.is_armed;
        if !self.acceptors[index].as_ref().is_some_and(is_done) {
            return;
        }
        if let Some(acceptor) = self.acceptors[index].take() {
            // Who is in the backlog when the socket is closed is cut by the kernel.
            while let Some(accepted) = self.traffic.wire.engine.accept_now(acceptor.socket) {
                self.take_in(accepted, acceptor.listener);
            }
            self.traffic.wire.engine.close(acceptor.socket, Close::Graceful);
        }
        if self.traffic.stage() < Stage::Draining {
            self.follow_listeners();
        }
    }

    pub(super) fn is_accepting(&self) -> bool {
        self.acceptors.iter().flatten().any(|acceptor| acceptor.is_armed)
    }

    fn acceptor(&mut self, key: Key) -> Option<&mut Acceptor> {
        let acceptor = self.acceptors.get_mut(key.index())?.as_mut()?;
        (acceptor.key == key).then_some(acceptor)
    }

    pub(super) fn accepted(&mut self, key: Key, socket: Socket, more: bool) {
        let Some(acceptor) = self.acceptor(key) else {
            return self.traffic.wire.engine.close(socket, Close::Reset);
        };
        acceptor.is_armed = more;
        let listener = acceptor.listener;
        if !more {
            self.rest(key.index(), Duration::ZERO);
        }
        if self.is_full() {
            // A batch that the kernel had accepted before it could be stopped.
            self.held.push_back((socket, listener));
        } else {
            self.take_in(socket, listener);
        }
        let is_full = self.is_full();
        if self.acceptor(key).is_some_and(|acceptor| acceptor.is_armed) && is_full {
            self.traffic.wire.engine.cancel(Op::Accept, key);
        }
        self.bury_acceptor(key.index());
    }

    /// Serves an accepted connection here or hands it to another shard.
    fn take_in(&mut self, socket: Socket, listener: ListenerId) {
        let Some(client) = self.traffic.wire.engine.peer_address(socket) else {
            return self.traffic.wire.engine.close(socket, Close::Graceful);
        };
        if let Some(other) = self.less_loaded() {
            let handoff = Handoff { socket, client, listener };
            if self.mailboxes[other].hand_over(handoff).is_ok() {
                self.mailbox().counters.add(Counter::ConnectionsHandedOver, 1);
                return self.take_back_from(other);
            }
        }
        self.traffic.open(socket, client, listener);
    }

    /// A shard on its way out may have looked into its box for the last time before the
    /// connection was in it.
    fn take_back_from(&mut self, other: usize) {
        if self.mailboxes[other].stage() < Stage::Draining {
            return;
        }
        while let Some(handoff) = self.mailboxes[other].next_handoff() {
            self.traffic.open(handoff.socket, handoff.client, handoff.listener);
        }
    }

    /// Another shard, drawn at random, if it has clearly fewer connections than this one, and
    /// knows all listeners that this one knows.
    fn less_loaded(&mut self) -> Option<usize> {
        let others = self.mailboxes.len() as u32 - 1;
        if others == 0 || self.mailbox().stage() >= Stage::Draining {
            return None;
        }
        let own = self.traffic.sessions.len() as u32;
        let drawn = self.prng.below(others) as usize;
        let other = if drawn >= self.index { drawn + 1 } else { drawn };
        let mailbox = &self.mailboxes[other];
        let theirs = mailbox.connections();
        let is_busier = own > theirs + theirs / HANDOVER_SHARE + HANDOVER_MARGIN;
        (is_busier && mailbox.applied() >= self.traffic.generation()).then_some(other)
    }

    /// The process has as many connections as it may.
    fn is_full(&self) -> bool {
        let total: u32 = self.mailboxes.iter().map(|mailbox| mailbox.connections()).sum();
        total >= self.traffic.snapshot().settings.connections_max
    }

    pub(super) fn accept_ended(&mut self, key: Key, failure: Failure) {
        let Some(acceptor) = self.acceptor(key) else { return };
        acceptor.is_armed = false;
        if failure != Failure::Cancelled {
            self.mailbox().counters.add(Counter::AcceptFailures, 1);
            tracing::warn!(?failure, "cannot accept connections for the moment");
        }
        self.rest(key.index(), REST);
        self.bury_acceptor(key.index());
    }

    fn rest(&mut self, index: usize, span: Duration) {
        if self.traffic.stage() >= Stage::Draining {
            return;
        }
        let now = self.traffic.wire.engine.now();
        if let Some(acceptor) = self.acceptors[index].as_mut().filter(|a| !a.is_retired) {
            acceptor.resume_at = Some(now + span);
        }
    }

    /// Serves connections that were held back, as far as there is place.
    fn release_held(&mut self) {
        while !self.held.is_empty() && !self.is_full() {
            let Some((socket, listener)) = self.held.pop_front() else { return };
            self.take_in(socket, listener);
        }
    }

    /// Arms the listeners whose rest is over, unless there is still no place.
    pub(super) fn resume_accepting(&mut self) {
        self.release_held();
        let now = self.traffic.wire.engine.now();
        for index in 0..self.acceptors.len() {
            let resume_at = self.acceptors[index].as_ref().and_then(|acceptor| acceptor.resume_at);
            if resume_at.is_none_or(|at| at > now) {
                continue;
            }
            if self.is_full() {
                self.rest(index, REST);
                continue;
            }
            if let Some(acceptor) = &mut self.acceptors[index] {
                acceptor.resume_at = None;
                acceptor.is_armed = true;
                self.traffic.wire.engine.accept(acceptor.socket, acceptor.key);
            }
        }
    }

    /// Takes in what waits on every listener, and closes them: who comes then is refused by the
    /// kernel, or served by another process, but not left to wait.
    pub(super) fn retire_all(&mut self) {
        while let Some((socket, listener)) = self.held.pop_front() {
            self.take_in(socket, listener);
        }
        (0..self.acceptors.len()).for_each(|index| self.retire(index));
    }
}
