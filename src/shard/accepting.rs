//! Accepting: a connection is admitted, assigned to the less loaded of two shards, and becomes a
//! session. Out of descriptors, or at the limit of connections, the listener backs off: connections
//! wait in its backlog. Does not: begin or end listening, see `listening`.

use super::Shard;
use crate::base::ListenerId;
use crate::engine::{Close, Engine, Failure, Key, Op, Socket};
use crate::mailbox::{Handoff, Stage, admit, places};
use crate::stats::Counter;
use std::time::Duration;

/// How long a listener backs off when a connection could not be accepted, as in HAProxy. The
/// connections in the backlog are served as soon as there is room; a descriptor kept in reserve, to
/// close them at once, would turn a shortage that may be over in a moment into an error.
pub(super) const BACKOFF: Duration = Duration::from_millis(100);
/// At most one warning of it in this time.
const WARNINGS_APART: Duration = Duration::from_secs(10);
/// How many more connections than another shard this one must have before it hands one over: a
/// margin plus this share, so that stale counts do not make connections wander.
const HANDOVER_MARGIN: u32 = 8;
/// See [`HANDOVER_MARGIN`].
const HANDOVER_SHARE: u32 = 8;
/// Most connections that are accepted one by one in a turn.
const TAKEN_AT_ONCE_MAX: usize = 64;

impl<E: Engine> Shard<E> {
    pub(super) fn accepted(&mut self, key: Key, socket: Socket, more: bool) {
        let Some(acceptor) = self.acceptor(key) else {
            return self.traffic.wire.engine.close(socket, Close::Reset);
        };
        acceptor.is_armed = more;
        let (listening, listener) = (acceptor.socket, acceptor.listener);
        self.admit_socket(socket, listener);
        if !more {
            self.back_off(listening, Duration::ZERO);
            self.admit_waiting(listening, listener);
        }
        let is_full = self.is_full();
        if self.acceptor(key).is_some_and(|acceptor| acceptor.is_armed) && is_full {
            self.traffic.wire.engine.cancel(Op::Accept, key);
        }
        self.reap_acceptor(listening);
    }

    /// Admits some of the connections in the backlog, as far as there is room.
    fn admit_waiting(&mut self, listening: Socket, listener: ListenerId) {
        for _ in 0..TAKEN_AT_ONCE_MAX {
            if self.is_full() {
                return;
            }
            let Some(accepted) = self.traffic.wire.engine.accept_now(listening) else { return };
            self.admit_socket(accepted, listener);
        }
    }

    pub(super) fn admit_socket(&mut self, socket: Socket, listener: ListenerId) {
        match self.traffic.wire.engine.peer_address(socket) {
            Some(client) => self.assign(Handoff { socket, client, listener }),
            None => self.traffic.wire.engine.close(socket, Close::Graceful),
        }
    }

    /// Assigns an accepted connection to another shard or serves it here; defers it while the
    /// process has as many connections as it may have.
    fn assign(&mut self, accepted: Handoff) {
        if self.traffic.stage() < Stage::Draining && self.is_full() {
            // It is one of a batch that the kernel had accepted before the accept was cancelled.
            return self.deferred.push_back(accepted);
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

    /// Serves a connection here, or defers it while the process has as many connections as it may
    /// have. During a drain all accepted ones are served: there is no later turn for them.
    pub(super) fn serve(&mut self, accepted: Handoff) {
        let own = self.traffic.sessions.len() as u32;
        let most = self.traffic.snapshot().settings.connections_max;
        if self.traffic.stage() < Stage::Draining && !admit(&self.mailboxes, self.index, own, most)
        {
            return self.deferred.push_back(accepted);
        }
        let Handoff { socket, client, listener } = accepted;
        self.traffic.open(socket, client, listener);
    }

    /// Another shard, drawn at random, if it has clearly fewer connections than this one, and knows
    /// all listeners that this one knows.
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

    /// Connections that the process may still admit.
    pub(super) fn places(&self) -> u32 {
        places(&self.mailboxes, self.traffic.snapshot().settings.connections_max)
    }

    pub(super) fn is_full(&self) -> bool {
        self.places() == 0
    }

    pub(super) fn accept_ended(&mut self, key: Key, failure: Failure) {
        let Some(acceptor) = self.acceptor(key) else { return };
        acceptor.is_armed = false;
        let listening = acceptor.socket;
        let mut span = Duration::ZERO;
        if failure != Failure::Cancelled {
            self.mailbox().counters.add(Counter::AcceptFailures, 1);
            self.warn_of(failure);
            span = BACKOFF;
        }
        self.back_off(listening, span);
        self.reap_acceptor(listening);
    }

    /// Warns that connections wait, at most once in [`WARNINGS_APART`].
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
            tracing::warn!(?failure, "connections cannot be accepted at the moment and wait");
        }
    }

    pub(super) fn back_off(&mut self, listening: Socket, span: Duration) {
        if self.traffic.stage() >= Stage::Draining {
            return;
        }
        let now = self.traffic.wire.engine.now();
        let acceptor = self.acceptors.get_mut(&listening);
        if let Some(acceptor) = acceptor.filter(|acceptor| !acceptor.is_retired) {
            acceptor.resume_at = Some(now + span);
        }
    }

    /// Assigns deferred connections, as far as there is room.
    pub(super) fn assign_deferred(&mut self) {
        for _ in 0..self.deferred.len() {
            if self.is_full() {
                return;
            }
            let Some(accepted) = self.deferred.pop_front() else { return };
            self.assign(accepted);
        }
    }
}
