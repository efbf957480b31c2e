//! Accepting: a connection is admitted, goes to the less loaded of two shards, and becomes a
//! session. Out of descriptors, or at the limit of connections, the listener rests: its backlog
//! keeps what comes.

use super::Shard;
use crate::base::{Instant, ListenerId};
use crate::engine::{Close, Engine, Event, Failure, Key, Op, Owner, Socket};
use crate::mailbox::{Handoff, Stage, admit, places};
use crate::snapshot::Listener;
use crate::stats::Counter;
use std::time::Duration;

/// How long a listener rests when a connection could not be accepted. HAProxy rests as long. What
/// waits meanwhile is served as soon as there is a place; a descriptor kept in reserve, to close it
/// at once, would make an error of what may be over in a moment.
pub(super) const REST: Duration = Duration::from_millis(100);
/// No more than one warning of it in this time.
const WARNINGS_APART: Duration = Duration::from_secs(10);
/// How many more connections than another shard this one must have before it hands one over:
/// a margin plus this share, so that the counts' staleness does not make connections wander.
const HANDOVER_MARGIN: u32 = 8;
/// See [`HANDOVER_MARGIN`].
const HANDOVER_SHARE: u32 = 8;
/// Fewer places than this, and connections are taken one by one: once a listener accepts many, it
/// takes all that wait before it can be stopped, and those beyond the limit would be held here,
/// each with a descriptor, instead of waiting in the backlog.
const FEW_PLACES: u32 = 1024;
/// Connections that are taken one by one in a turn, at most.
const TAKEN_AT_ONCE_MAX: usize = 64;
/// Turns that a shard that has panicked takes to end its accepts. One is enough, unless the kernel
/// has more completions for it than fit its queue.
const LAST_TURNS_MAX: usize = 64;

/// A listening socket of this shard.
pub(super) struct Acceptor {
    socket: Socket,
    key: Key,
    listener: ListenerId,
    is_armed: bool,
    /// It takes no more connections; its socket is closed when the accept has ended.
    is_retired: bool,
    /// The listener is back, on this socket, before its old one could be closed: it waits for that.
    successor: Option<Socket>,
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
                (None, Some(listener)) => self.begin_accepting(listener),
                (Some(has), _) if Some(has) != socket => self.replace(index, socket),
                _ => {}
            }
        }
    }

    /// Ends accepting on a socket in favour of another one, or of none.
    fn replace(&mut self, index: usize, successor: Option<Socket>) {
        let Some(acceptor) = &mut self.acceptors[index] else { return };
        let listener = acceptor.listener;
        let before = std::mem::replace(&mut acceptor.successor, successor);
        if let Some(before) = before.filter(|before| Some(*before) != successor) {
            self.end_listening(before, listener);
        }
        self.retire(index);
    }

    fn begin_accepting(&mut self, listener: &Listener) {
        let socket = listener.sockets[self.index];
        // The socket tells two tenants of one number apart.
        let key = Key::new(Owner::Listener, listener.id.index(), socket.0 as u32);
        self.arm(socket, key);
        self.acceptors[listener.id.index()] = Some(Acceptor {
            socket,
            key,
            listener: listener.id,
            is_armed: true,
            is_retired: false,
            successor: None,
            resume_at: None,
        });
    }

    fn arm(&mut self, socket: Socket, key: Key) {
        let takes_many = self.places() >= FEW_PLACES;
        self.traffic.wire.engine.accept(socket, key, takes_many);
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
        let Some(acceptor) = self.acceptors[index].take() else { return };
        self.end_listening(acceptor.socket, acceptor.listener);
        if self.traffic.stage() < Stage::Draining {
            self.follow_listeners();
        } else if let Some(successor) = acceptor.successor {
            self.end_listening(successor, acceptor.listener);
        }
    }

    /// Takes in what waits on a socket and closes it: who is in the backlog then is cut by the
    /// kernel.
    fn end_listening(&mut self, socket: Socket, listener: ListenerId) {
        while let Some(accepted) = self.traffic.wire.engine.accept_now(socket) {
            self.take_in(accepted, listener);
        }
        self.traffic.wire.engine.close(socket, Close::Graceful);
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
        let (listening, listener) = (acceptor.socket, acceptor.listener);
        self.take_in(socket, listener);
        if !more {
            self.rest(key.index(), Duration::ZERO);
            self.take_waiting(listening, listener);
        }
        let is_full = self.is_full();
        if self.acceptor(key).is_some_and(|acceptor| acceptor.is_armed) && is_full {
            self.traffic.wire.engine.cancel(Op::Accept, key);
        }
        self.bury_acceptor(key.index());
    }

    /// Takes some of those that wait, as far as there is place.
    fn take_waiting(&mut self, listening: Socket, listener: ListenerId) {
        for _ in 0..TAKEN_AT_ONCE_MAX {
            if self.is_full() {
                return;
            }
            let Some(accepted) = self.traffic.wire.engine.accept_now(listening) else { return };
            self.take_in(accepted, listener);
        }
    }

    fn take_in(&mut self, socket: Socket, listener: ListenerId) {
        match self.traffic.wire.engine.peer_address(socket) {
            Some(client) => self.place(Handoff { socket, client, listener }),
            None => self.traffic.wire.engine.close(socket, Close::Graceful),
        }
    }

    /// Hands an accepted connection to another shard or serves it here; holds it back while the
    /// process has as many as it may.
    fn place(&mut self, accepted: Handoff) {
        if self.traffic.stage() < Stage::Draining && self.is_full() {
            // One of a batch that the kernel had accepted before it could be stopped.
            return self.held.push_back(accepted);
        }
        if let Some(other) = self.less_loaded()
            && self.mailboxes[other].hand_over(accepted).is_ok()
        {
            self.mailbox().counters.add(Counter::ConnectionsHandedOver, 1);
            while let Some(back) = self.mailboxes[other].take_back() {
                self.serve(back);
            }
            return;
        }
        self.serve(accepted);
    }

    /// Serves a connection here, or holds it back while the process has as many as it may. On the
    /// way out whoever has come is served: there is no later.
    pub(super) fn serve(&mut self, accepted: Handoff) {
        let own = self.traffic.sessions.len() as u32;
        let most = self.traffic.snapshot().settings.connections_max;
        if self.traffic.stage() < Stage::Draining && !admit(&self.mailboxes, self.index, own, most)
        {
            return self.held.push_back(accepted);
        }
        let Handoff { socket, client, listener } = accepted;
        self.traffic.open(socket, client, listener);
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

    /// Connections that the process may still take.
    fn places(&self) -> u32 {
        places(&self.mailboxes, self.traffic.snapshot().settings.connections_max)
    }

    fn is_full(&self) -> bool {
        self.places() == 0
    }

    pub(super) fn accept_ended(&mut self, key: Key, failure: Failure) {
        let Some(acceptor) = self.acceptor(key) else { return };
        acceptor.is_armed = false;
        let mut span = Duration::ZERO;
        if failure != Failure::Cancelled {
            self.mailbox().counters.add(Counter::AcceptFailures, 1);
            self.warn_of(failure);
            span = REST;
        }
        self.rest(key.index(), span);
        self.bury_acceptor(key.index());
    }

    /// Says why connections wait, and not ten times a second.
    fn warn_of(&mut self, failure: Failure) {
        let now = self.traffic.wire.engine.now();
        if now < self.next_warning {
            return;
        }
        self.next_warning = now + WARNINGS_APART;
        if failure == Failure::OutOfDescriptors {
            tracing::warn!(
                "no file descriptor is left, connections wait: raise RLIMIT_NOFILE (systemd: \
                 LimitNOFILE; shell: ulimit -n) or lower --max-connections"
            );
        } else {
            tracing::warn!(?failure, "cannot accept connections for the moment, they wait");
        }
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
        for _ in 0..self.held.len() {
            if self.is_full() {
                return;
            }
            let Some(accepted) = self.held.pop_front() else { return };
            self.place(accepted);
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
            if self.is_full() || !self.held.is_empty() {
                self.rest(index, REST);
                continue;
            }
            if let Some(acceptor) = &mut self.acceptors[index] {
                acceptor.resume_at = None;
                acceptor.is_armed = true;
                let (socket, key) = (acceptor.socket, acceptor.key);
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
        (0..self.acceptors.len()).for_each(|index| self.retire(index));
    }

    /// Ends the accepts of a shard that will not run again, and closes what was accepted and has
    /// no session: nobody else knows of it.
    pub(super) fn abandon_accepted(&mut self) {
        let engine = &mut self.traffic.wire.engine;
        while let Some(held) = self.held.pop_front() {
            engine.close(held.socket, Close::Reset);
        }
        for acceptor in self.acceptors.iter().flatten().filter(|acceptor| acceptor.is_armed) {
            engine.cancel(Op::Accept, acceptor.key);
        }
        for _ in 0..LAST_TURNS_MAX {
            while let Some(event) = self.traffic.wire.engine.next_event() {
                self.abandon_event(event);
            }
            if !self.is_accepting() {
                break;
            }
            let now = self.traffic.wire.engine.now();
            self.traffic.wire.engine.turn(now + REST);
        }
        self.abandon_listeners();
    }

    /// Closes the listening sockets that no shard after this one begins again: clients would wait
    /// there for nobody.
    fn abandon_listeners(&mut self) {
        let newest = self.mailbox().take(self.traffic.generation());
        let newest = newest.unwrap_or_else(|| self.traffic.snapshot().clone());
        let is_last = self.mailbox().stage() >= Stage::Draining;
        let listeners = newest.listeners.iter().flatten();
        let kept: Vec<Socket> = listeners.map(|listener| listener.sockets[self.index]).collect();
        for acceptor in std::mem::take(&mut self.acceptors).into_iter().flatten() {
            let sockets = [Some(acceptor.socket), acceptor.successor].into_iter().flatten();
            for socket in sockets.filter(|socket| is_last || !kept.contains(socket)) {
                while let Some(accepted) = self.traffic.wire.engine.accept_now(socket) {
                    self.traffic.wire.engine.close(accepted, Close::Reset);
                }
                self.traffic.wire.engine.close(socket, Close::Graceful);
            }
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
