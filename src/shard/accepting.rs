//! Accepting: a connection is admitted, assigned to the less loaded of two shards, and
//! served. Out of descriptors, or at the limit of connections of the process or its own, the
//! listener backs off: connections wait in its backlog. Does not: begin or end listening, see
//! `listening`.

use super::Shard;
use super::listening::Backoff;
use crate::base::{Generation, ListenerId, Prng};
use crate::engine::{Close, Engine, Failure, Key, Op, Socket};
use crate::mailbox::{Handoff, Mailbox, NO_LIMIT, Quota, Stage, admit, places};
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
            return self.traffic.engine().close(socket, Close::Reset);
        };
        acceptor.is_armed = more;
        let (listening, listener) = (acceptor.socket, acceptor.listener);
        self.admit_socket(socket, listener);
        if !more {
            self.back_off(listening, Duration::ZERO);
            self.admit_waiting(listening, listener);
        }
        let is_full = self.is_full(listener);
        if self.acceptor(key).is_some_and(|acceptor| acceptor.is_armed) && is_full {
            self.traffic.engine().cancel(Op::Accept, key);
        }
        self.reap_acceptor(listening);
    }

    /// Admits some of the connections in the backlog, as far as there is room.
    fn admit_waiting(&mut self, listening: Socket, listener: ListenerId) {
        for _ in 0..TAKEN_AT_ONCE_MAX {
            if self.is_full(listener) {
                return;
            }
            let Some(accepted) = self.traffic.engine().accept_now(listening) else { return };
            self.admit_socket(accepted, listener);
        }
    }

    pub(super) fn admit_socket(&mut self, socket: Socket, listener: ListenerId) {
        match self.traffic.engine().peer_address(socket) {
            Some(client) => self.assign(Handoff { socket, client, listener }),
            None => self.traffic.engine().close(socket, Close::Graceful),
        }
    }

    /// Assigns an accepted connection to another shard or serves it here; defers it while the
    /// process or the listener has as many connections as it may have.
    fn assign(&mut self, accepted: Handoff) {
        if self.traffic.stage() < Stage::Draining && self.is_full(accepted.listener) {
            // It is one of a batch that the kernel had accepted before the accept was cancelled.
            return self.defer(accepted);
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

    /// Serves a connection here, or defers it while the process or its listener has as many
    /// connections as it may have. During a drain all accepted ones are served: there is no later
    /// turn for them.
    pub(super) fn serve(&mut self, accepted: Handoff) {
        let Handoff { socket, client, listener } = accepted;
        if self.traffic.stage() >= Stage::Draining {
            self.sessions(listener).take_anyway();
        } else if !self.admit(listener) {
            return self.defer(accepted);
        }
        self.traffic.open(socket, client, listener);
    }

    /// Counts one more connection for the process and its listener, unless one of them has as many
    /// as it may have.
    fn admit(&mut self, listener: ListenerId) -> bool {
        let own = self.traffic.clients().len() as u32;
        let most = self.traffic.snapshot().settings.connections_max;
        if self.is_full(listener) || !admit(&self.mailboxes, self.index, own, most) {
            return false;
        }
        let is_admitted = self.sessions(listener).take(self.sessions_max(listener));
        if !is_admitted {
            self.mailbox().show_connections(own);
        }
        is_admitted
    }

    fn defer(&mut self, accepted: Handoff) {
        let sessions = self.sessions(accepted.listener);
        if !sessions.is_waiting() {
            sessions.begin_waiting();
        }
        self.deferred.push_back(accepted);
    }

    /// Another shard, drawn at random, if it is less loaded than this one.
    fn less_loaded(&mut self) -> Option<usize> {
        if self.mailbox().stage() >= Stage::Draining {
            return None;
        }
        let own = self.traffic.clients().len() as u32;
        let other = draw(self.index, self.mailboxes.len(), &mut self.prng)?;
        let generation = self.traffic.generation();
        is_less_loaded(&self.mailboxes[other], own, generation).then_some(other)
    }

    /// Connections that the process may still admit on a listener.
    pub(super) fn places(&self, listener: ListenerId) -> u32 {
        self.places_of_process().min(self.sessions(listener).free(self.sessions_max(listener)))
    }

    fn places_of_process(&self) -> u32 {
        places(&self.mailboxes, self.traffic.snapshot().settings.connections_max)
    }

    pub(super) fn is_full(&self, listener: ListenerId) -> bool {
        self.places(listener) == 0
    }

    pub(super) fn sessions(&self, listener: ListenerId) -> Quota<'_> {
        self.mailbox().shared.ledger.sessions(self.mailbox().shard(), listener)
    }

    /// Sessions that a listener may have; a removed one has no limit.
    fn sessions_max(&self, listener: ListenerId) -> u32 {
        self.traffic.snapshot().listener(listener).map_or(NO_LIMIT, |one| one.connections_max)
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
        let now = self.traffic.now();
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
        let now = self.traffic.now();
        let acceptor = self.acceptors.get_mut(&listening);
        if let Some(acceptor) = acceptor.filter(|acceptor| !acceptor.is_retired) {
            acceptor.backoff = Some(Backoff::At(now + span));
        }
    }

    /// Backs a listener off until a session of it has ended.
    pub(super) fn await_place(&mut self, listening: Socket, listener: ListenerId) {
        self.sessions(listener).begin_waiting();
        // Looked at again: a session that ended before this was for nobody who waits.
        let is_full = self.is_full(listener) || self.has_deferred(listener);
        let latest = self.traffic.now() + if is_full { BACKOFF } else { Duration::ZERO };
        if let Some(acceptor) = self.acceptors.get_mut(&listening) {
            acceptor.backoff = Some(Backoff::WithPlace(latest));
        }
    }

    pub(super) fn has_deferred(&self, listener: ListenerId) -> bool {
        self.deferred.iter().any(|accepted| accepted.listener == listener)
    }

    /// Assigns deferred connections, as far as there is room.
    pub(super) fn assign_deferred(&mut self) {
        for _ in 0..self.deferred.len() {
            if self.places_of_process() == 0 {
                return;
            }
            let Some(accepted) = self.deferred.pop_front() else { return };
            self.assign(accepted);
        }
    }
}

/// Another index than `own` of `shards`, each as likely; none if there is no other.
fn draw(own: usize, shards: usize, prng: &mut Prng) -> Option<usize> {
    let others = u32::try_from(shards - 1).unwrap_or(u32::MAX);
    if others == 0 {
        return None;
    }
    let drawn = prng.below(others) as usize;
    Some(if drawn >= own { drawn + 1 } else { drawn })
}

/// True if a shard has clearly fewer connections than one with `own`, and knows all listeners of
/// `generation`.
fn is_less_loaded(other: &Mailbox, own: u32, generation: Generation) -> bool {
    let theirs = other.connections();
    let is_busier = own > theirs + theirs / HANDOVER_SHARE + HANDOVER_MARGIN;
    is_busier && other.applied() >= generation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ShardId;
    use crate::engine::Wake;
    use crate::mailbox::{Shared, lines_touched};
    use std::sync::Arc;

    const SHARDS: usize = 64;
    /// What a handoff touches inside of the queue: its two ends and the entry.
    const QUEUE_LINES: usize = 3;
    /// What one accepted connection may touch of what other shards write.
    const LINES_MAX: usize = 8;

    struct NoWake;

    impl Wake for NoWake {
        fn wake(&self) {}
    }

    /// The shards' mailboxes, and what the shards do with them for each connection.
    struct Fleet {
        mailboxes: Vec<Arc<Mailbox>>,
        /// Connections by shard.
        open: Vec<u32>,
        most: u32,
        /// Of the listener.
        sessions_max: u32,
        prng: Prng,
        handed_over: usize,
    }

    impl Fleet {
        fn new(most: u32, client_limit: u32) -> Self {
            let shared = Shared::new(SHARDS, client_limit, Arc::new(NoWake));
            let mailbox = |n| Mailbox::new(ShardId(n as u16), Arc::new(NoWake), shared.clone());
            let mailboxes = (0..SHARDS).map(|n| Arc::new(mailbox(n))).collect();
            let (open, prng) = (vec![0; SHARDS], Prng::new(1));
            Self { mailboxes, open, most, sessions_max: NO_LIMIT, prng, handed_over: 0 }
        }

        fn limit_listener(&mut self, most: u32) {
            self.sessions_max = most;
            (0..SHARDS).for_each(|shard| self.sessions(shard).follow(most));
        }

        fn sessions(&self, shard: usize) -> Quota<'_> {
            let ledger = &self.mailboxes[shard].shared.ledger;
            ledger.sessions(ShardId(shard as u16), ListenerId(0))
        }

        /// A connection that `shard` accepts: the shard that serves it, if any may.
        fn accept(&mut self, shard: usize, client: u32) -> Option<usize> {
            let is_full = self.sessions(shard).free(self.sessions_max) == 0;
            if is_full || places(&self.mailboxes, self.most) == 0 {
                return None;
            }
            let drawn = draw(shard, SHARDS, &mut self.prng).expect("there are others");
            let mut server = shard;
            if is_less_loaded(&self.mailboxes[drawn], self.open[shard], Generation(0)) {
                let client = (client.to_be_bytes(), 1).into();
                let handoff = Handoff { socket: Socket(1), client, listener: ListenerId(0) };
                let other = &self.mailboxes[drawn];
                assert!(other.hand_over(handoff).is_ok() && other.take_back().is_none());
                assert!(other.next_handoff().is_some());
                (server, self.handed_over) = (drawn, self.handed_over + 1);
            }
            let mailbox = &self.mailboxes[server];
            let own = self.open[server];
            let clients = &mailbox.shared.clients;
            if !admit(&self.mailboxes, server, own, self.most) {
                return None;
            }
            assert!(self.sessions(server).take(self.sessions_max));
            assert!(clients.admit(mailbox.shard(), client.to_be_bytes().into()));
            self.open[server] += 1;
            mailbox.show_connections(own + 1);
            // The shard looks again whether to go on accepting.
            places(&self.mailboxes, self.most);
            Some(server)
        }

        fn close(&mut self, shard: usize, client: u32) {
            let mailbox = &self.mailboxes[shard];
            self.open[shard] -= 1;
            mailbox.show_connections(self.open[shard]);
            mailbox.shared.clients.leave(mailbox.shard(), client.to_be_bytes().into());
            self.sessions(shard).put_back();
        }

        fn open(&self) -> u32 {
            self.open.iter().sum()
        }

        /// Most lines that one of so many connections touches, which come to four shards only. Some
        /// close in between.
        fn lines_of(&mut self, connections: u32) -> usize {
            let mut lines_most = 0;
            for client in 0..connections {
                let handed_over = self.handed_over;
                let (server, lines) = lines_touched(|| self.accept(client as usize % 4, client));
                let in_queue = (self.handed_over - handed_over) * QUEUE_LINES;
                lines_most = lines_most.max(lines + in_queue);
                if client % 3 == 0 {
                    self.close(server.expect("there is room"), client);
                }
            }
            lines_most
        }
    }

    #[test]
    fn an_accept_touches_few_lines_of_other_shards_however_many_there_are() {
        for (most, connections, is_limited) in [
            (100_000, 30_000, false),
            (1_000, 1_200, false),
            (100, 120, false),
            (100_000, 30_000, true),
        ] {
            let mut fleet = Fleet::new(most, 1000);
            if is_limited {
                fleet.limit_listener(20_000);
            }
            let lines = fleet.lines_of(connections);
            let of_limit = usize::from(is_limited);
            assert!(lines <= LINES_MAX + of_limit, "{lines} lines, {most} at most");
            assert_eq!(fleet.open(), connections - connections.div_ceil(3));
            assert!(most < 1000 || fleet.handed_over > 0);
        }
    }

    #[test]
    fn the_limit_is_reached_and_kept_exactly_wherever_connections_come_and_go() {
        for most in [1, 63, 1000, 5000] {
            let mut fleet = Fleet::new(most, 0);
            for round in 0..20 {
                let shard = round * 7 % SHARDS;
                while fleet.accept(shard, 1).is_some() {
                    assert!(fleet.open() <= most);
                }
                assert_eq!(fleet.open(), most, "places that nobody can use");
                for shard in (round % 3..SHARDS).step_by(3) {
                    (0..fleet.open[shard].div_ceil(2)).for_each(|_| fleet.close(shard, 1));
                }
            }
            // A lower limit: nobody is admitted before enough have closed.
            let open = fleet.open();
            fleet.most = open / 2;
            assert_eq!(fleet.accept(5, 1), None);
            let busy = |fleet: &Fleet| (0..SHARDS).find(|shard| fleet.open[*shard] > 0);
            while fleet.open() > open / 2 {
                let shard = busy(&fleet).expect("some are open");
                fleet.close(shard, 1);
                assert_eq!(fleet.accept(9, 1), None);
                assert!(fleet.open() >= open / 2);
            }
            if let Some(shard) = busy(&fleet) {
                fleet.close(shard, 1);
                assert!(fleet.accept(9, 1).is_some() && fleet.accept(9, 1).is_none());
            }
        }
    }

    #[test]
    fn connections_that_come_to_few_shards_are_spread_over_all() {
        for busy in [1, 4, 32] {
            let mut fleet = Fleet::new(1_000_000, 0);
            for client in 0..200 * SHARDS as u32 {
                fleet.accept(client as usize % busy, client).expect("there is room");
            }
            let (least, most) = (fleet.open.iter().min(), fleet.open.iter().max());
            let (least, most) = (*least.expect("shards"), *most.expect("shards"));
            assert!(least >= 150 && most <= 250, "{busy} accept: {least} to {most}");
        }
    }
}
