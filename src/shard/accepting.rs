//! Accepting: a connection is admitted, goes to the less loaded of two shards, and becomes a
//! session. Out of descriptors, or at the limit of connections, the listener rests: its backlog
//! keeps what comes.

use super::Shard;
use crate::base::Instant;
use crate::engine::{Close, Engine, Failure, Key, Op, Owner, Socket};
use crate::mailbox::{Handoff, Stage};
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
    listener: u16,
    is_armed: bool,
    /// It rests until then; none if it does not.
    pub(super) resume_at: Option<Instant>,
}

impl<E: Engine> Shard<E> {
    /// Arms every listener of the snapshot.
    pub(super) fn begin_accepting(&mut self) {
        let snapshot = self.traffic.snapshot().clone();
        for (number, listener) in snapshot.listeners.iter().enumerate() {
            let socket = listener.sockets[self.index];
            let key = Key::new(Owner::Listener, number, 0);
            self.traffic.wire.engine.accept(socket, key);
            let listener = number as u16;
            let acceptor = Acceptor { socket, key, listener, is_armed: true, resume_at: None };
            self.acceptors.push(acceptor);
        }
    }

    pub(super) fn is_accepting(&self) -> bool {
        self.acceptors.iter().any(|acceptor| acceptor.is_armed)
    }

    pub(super) fn accepted(&mut self, key: Key, socket: Socket, more: bool) {
        let acceptor = &mut self.acceptors[key.index()];
        acceptor.is_armed = more;
        let listener = acceptor.listener;
        if !more && self.traffic.stage() == Stage::Serving {
            self.rest(key.index(), Duration::ZERO);
        }
        self.take_in(socket, listener);
        if self.is_full() && self.acceptors[key.index()].is_armed {
            self.traffic.wire.engine.cancel(Op::Accept, key);
        }
    }

    /// Serves an accepted connection here or hands it to another shard.
    fn take_in(&mut self, socket: Socket, listener: u16) {
        let Some(client) = self.traffic.wire.engine.peer_address(socket) else {
            return self.traffic.wire.engine.close(socket, Close::Graceful);
        };
        if let Some(other) = self.less_loaded() {
            let handoff = Handoff { socket, client, listener };
            if self.mailboxes[other].hand_over(handoff).is_ok() {
                return self.mailbox().counters.add(Counter::ConnectionsHandedOver, 1);
            }
        }
        self.traffic.open(socket, client, listener);
    }

    /// Another shard, drawn at random, if it has clearly fewer connections than this one.
    fn less_loaded(&mut self) -> Option<usize> {
        let others = self.mailboxes.len() as u32 - 1;
        if others == 0 || self.traffic.stage() != Stage::Serving {
            return None;
        }
        let own = self.traffic.sessions.len() as u32;
        let drawn = self.prng.below(others) as usize;
        let other = if drawn >= self.index { drawn + 1 } else { drawn };
        let theirs = self.mailboxes[other].connections();
        (own > theirs + theirs / HANDOVER_SHARE + HANDOVER_MARGIN).then_some(other)
    }

    /// The process has as many connections as it may.
    fn is_full(&self) -> bool {
        let total: u32 = self.mailboxes.iter().map(|mailbox| mailbox.connections()).sum();
        total >= self.traffic.snapshot().settings.connections_max
    }

    pub(super) fn accept_ended(&mut self, key: Key, failure: Failure) {
        self.acceptors[key.index()].is_armed = false;
        if failure != Failure::Cancelled {
            self.mailbox().counters.add(Counter::AcceptFailures, 1);
            tracing::warn!(?failure, "cannot accept connections for the moment");
        }
        if self.traffic.stage() == Stage::Serving {
            self.rest(key.index(), REST);
        }
    }

    fn rest(&mut self, index: usize, span: Duration) {
        let now = self.traffic.wire.engine.now();
        self.acceptors[index].resume_at = Some(now + span);
    }

    /// Arms the listeners whose rest is over, unless there is still no place.
    pub(super) fn resume_accepting(&mut self) {
        let now = self.traffic.wire.engine.now();
        for index in 0..self.acceptors.len() {
            if self.acceptors[index].resume_at.is_none_or(|at| at > now) {
                continue;
            }
            if self.is_full() {
                self.rest(index, REST);
                continue;
            }
            let acceptor = &mut self.acceptors[index];
            acceptor.resume_at = None;
            acceptor.is_armed = true;
            self.traffic.wire.engine.accept(acceptor.socket, acceptor.key);
        }
    }

    /// Stops accepting, after taking in what waits already.
    pub(super) fn stop_accepting(&mut self) {
        for index in 0..self.acceptors.len() {
            let acceptor = &mut self.acceptors[index];
            acceptor.resume_at = None;
            let (socket, key, listener) = (acceptor.socket, acceptor.key, acceptor.listener);
            if acceptor.is_armed {
                self.traffic.wire.engine.cancel(Op::Accept, key);
            }
            while let Some(accepted) = self.traffic.wire.engine.accept_now(socket) {
                self.take_in(accepted, listener);
            }
        }
    }
}
