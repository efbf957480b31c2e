//! A UDP socket of a listener: what it receives by, when, and how it leaves its port.
//!
//! A socket that leaves passes new datagrams by, to others that are bound to the same address, as
//! another process, or to nobody; those that wait in it are still served. If its listener was
//! removed, its flows end after [`LISTENER_LEAVES_AFTER`]; in a process that drains they go on
//! getting answers until they have ended, or the process does.

use super::order::Order;
use super::{Flows, ROOM_MAX};
use crate::base::{Instant, ListenerId};
use crate::engine::{Engine, Failure, Key, Op, Socket};
use crate::limits::LISTENER_LEAVES_AFTER;
use crate::local::{Clock, Local};
use crate::pick::Replicas;
use crate::snapshot::{FlowRules, Listener, Target};
use crate::stats::Counter;
use crate::table::{Operating, ReceiverId};
use std::net::SocketAddr;
use std::time::Duration;

/// How long a process that drains still reads what waits in a socket that has left its port.
const DRAIN_READS_FOR: Duration = Duration::from_millis(100);
/// What is due of a receiver is done at most once in this time.
const MOMENT: Duration = Duration::from_millis(1);
/// The time before a receive that failed is made again.
const BACKOFF: Duration = Duration::from_millis(100);

/// The receive of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hearing {
    /// It is in flight.
    Armed,
    /// It failed, and is made again then.
    Paused(Instant),
    /// It was cancelled, and has not ended yet.
    Ending,
    /// There is none, and there will be none.
    Over,
}

/// A socket that leaves its port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// It receives no more from then on.
    pub(super) at: Instant,
    /// Its flows end then too.
    pub(super) ends_flows: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Receiver {
    pub(super) key: Key,
    /// The socket.
    pub socket: Socket,
    pub(super) listener: ListenerId,
    /// The address that the socket is bound to.
    pub(super) address: SocketAddr,
    pub(super) rules: FlowRules,
    /// Where its flows go; none once its listener was removed.
    pub(super) target: Option<Target>,
    /// Another process may have the socket too.
    is_shared: bool,
    pub(super) hearing: Hearing,
    pub(super) leaving: Option<Leaving>,
    pub(super) order: Order,
    pub(super) clock: Clock,
}

impl Operating for Receiver {
    fn key(&self) -> Key {
        self.key
    }
}

impl Receiver {
    /// True while a receive is in flight on the socket.
    pub fn is_hearing(&self) -> bool {
        matches!(self.hearing, Hearing::Armed | Hearing::Ending)
    }

    /// True once all its flows end.
    pub(super) fn ends_flows(&self, now: Instant) -> bool {
        self.leaving.is_some_and(|leaving| leaving.ends_flows && leaving.at <= now)
    }

    /// True if it answers from an address that has to be named.
    pub(super) fn has_many_addresses(&self) -> bool {
        self.address.ip().is_unspecified()
    }
}

impl Flows {
    /// Receives on a listener's socket, or follows a newer version of its listener.
    pub fn follow<E: Engine>(&mut self, listener: &Listener, socket: Socket, local: &mut Local<E>) {
        let of_socket = |(_, receiver): &(_, &Receiver)| receiver.socket == socket;
        let known = self.receivers.iter().find(of_socket).map(|(id, _)| id);
        let id = known.unwrap_or_else(|| self.add_receiver(listener, socket, local));
        self.count_for(id, listener.id, local);
        let receiver = self.receivers.at(id);
        receiver.rules = listener.flows;
        receiver.target = listener.routes.targets().next();
        receiver.is_shared = listener.is_passed;
        self.set_clock(id, local);
    }

    fn add_receiver<E: Engine>(
        &mut self,
        listener: &Listener,
        socket: Socket,
        local: &mut Local<E>,
    ) -> ReceiverId {
        self.table.reserve((listener.flows.max_flows as usize).min(ROOM_MAX));
        let key = self.receivers.next_key();
        local.wire.engine.receive_datagrams(socket, key);
        self.receivers.insert(Receiver {
            key,
            socket,
            listener: listener.id,
            address: listener.address,
            rules: listener.flows,
            target: None,
            is_shared: listener.is_passed,
            hearing: Hearing::Armed,
            leaving: None,
            order: Order::default(),
            clock: Clock::default(),
        })
    }

    /// Counts the flows of a receiver for a listener, which may have another name than before.
    fn count_for<E: Engine>(&mut self, id: ReceiverId, listener: ListenerId, local: &Local<E>) {
        let before = std::mem::replace(&mut self.receivers.at(id).listener, listener);
        if before == listener {
            return;
        }
        let (sessions, clients) =
            (local.reports.sessions(listener), &local.reports.mailbox.shared.flows);
        let mut next = self.receivers[id].order.oldest;
        while let Some(flow) = next.map(|id| self.table.at(id)) {
            next = flow.newer;
            flow.attempts.listener = listener;
            sessions.take_anyway();
            local.reports.session_ended(before);
            if flow.is_counted {
                let ip = flow.ends.client.ip();
                // The sketch only refuses what is over the limit given here.
                clients.admit(listener, ip, u32::MAX);
                clients.leave(before, ip);
            }
        }
    }

    /// Leaves the ports of all sockets but those in `kept`: their listeners were removed.
    pub fn leave_others<E: Engine>(&mut self, kept: &[Socket], local: &mut Local<E>) {
        for id in self.receivers.ids() {
            let receiver = self.receivers.at(id);
            if kept.contains(&receiver.socket) {
                continue;
            }
            receiver.target = None;
            let at = local.now() + LISTENER_LEAVES_AFTER;
            self.leave(id, Leaving { at, ends_flows: true }, local);
        }
    }

    /// Leaves the ports of all sockets: the process drains.
    pub fn leave_all<E: Engine>(&mut self, local: &mut Local<E>) {
        for id in self.receivers.ids() {
            let at = local.now() + DRAIN_READS_FOR;
            self.leave(id, Leaving { at, ends_flows: false }, local);
        }
    }

    fn leave<E: Engine>(&mut self, id: ReceiverId, leaving: Leaving, local: &mut Local<E>) {
        let receiver = self.receivers.at(id);
        if receiver.leaving.is_some() {
            return;
        }
        receiver.leaving = Some(leaving);
        // What is done to a shared socket is done to it in the other process too.
        if !receiver.is_shared {
            local.wire.engine.turn_datagrams_away(receiver.socket);
        }
        self.set_clock(id, local);
    }

    /// Receives no more on a socket; it is closed once it has no flow.
    pub(super) fn fall_silent<E: Engine>(&mut self, id: ReceiverId, local: &mut Local<E>) {
        let receiver = self.receivers.at(id);
        match receiver.hearing {
            Hearing::Armed => {
                receiver.hearing = Hearing::Ending;
                local.wire.engine.cancel(Op::ReceiveDatagrams, receiver.key);
            }
            Hearing::Paused(_) => receiver.hearing = Hearing::Over,
            Hearing::Ending | Hearing::Over => {}
        }
    }

    /// Closes the socket of a receiver that is over.
    pub(super) fn settle<E: Engine>(&mut self, id: ReceiverId, local: &mut Local<E>) {
        let receiver = &self.receivers[id];
        if receiver.hearing == Hearing::Over && receiver.order.count == 0 {
            let mut receiver = self.receivers.remove(id);
            receiver.clock.stop(&mut local.timers);
            local.wire.engine.close_datagrams(receiver.socket);
        }
    }

    /// A receive has ended with a datagram, and goes on.
    pub(super) fn hear_on<E: Engine>(&mut self, id: ReceiverId, local: &mut Local<E>) {
        let receiver = self.receivers.at(id);
        match receiver.hearing {
            Hearing::Armed => local.wire.engine.receive_datagrams(receiver.socket, receiver.key),
            Hearing::Ending => {
                receiver.hearing = Hearing::Over;
                self.settle(id, local);
            }
            Hearing::Paused(_) | Hearing::Over => {}
        }
    }

    /// The receive of a listener's socket has ended.
    pub fn hearing_ended<E: Engine>(
        &mut self,
        key: Key,
        failure: Option<Failure>,
        local: &mut Local<E>,
    ) {
        let Some(id) = self.receivers.find(key) else {
            return local.count(Counter::LateCompletions);
        };
        local.reports.count_if_starved(failure);
        let receiver = self.receivers.at(id);
        match failure {
            None | Some(Failure::NoBuffers) => self.hear_on(id, local),
            _ if receiver.hearing == Hearing::Ending => {
                receiver.hearing = Hearing::Over;
                self.settle(id, local);
            }
            Some(failure) => {
                tracing::debug!(?failure, address = %receiver.address, "no datagrams received");
                local.count(Counter::AcceptFailures);
                receiver.hearing = Hearing::Paused(local.now() + BACKOFF);
                self.set_clock(id, local);
            }
        }
    }

    /// Sets the timer of a receiver to the next time that something of it is due.
    pub(super) fn set_clock<E: Engine>(&mut self, id: ReceiverId, local: &mut Local<E>) {
        let (receiver, now) = (&self.receivers[id], local.now());
        let pause = match receiver.hearing {
            Hearing::Paused(until) => Some(until),
            _ => None,
        };
        let leaves = receiver.leaving.map(|leaving| leaving.at).filter(|at| *at > now);
        let oldest = receiver.order.oldest.map(|oldest| self.table[oldest].used_at);
        let expires = oldest.map(|used_at| match receiver.ends_flows(now) {
            true => now,
            false => used_at + receiver.rules.idle,
        });
        if let Some(next) = [pause, leaves, expires].into_iter().flatten().min() {
            let receiver = self.receivers.at(id);
            receiver.clock.set(next.max(now + MOMENT), receiver.key, &mut local.timers);
        }
    }

    /// The timer of a receiver has fired.
    pub fn receiver_timer<E: Engine>(
        &mut self,
        key: Key,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) {
        let Some(id) = self.receivers.find(key) else { return };
        let (receiver, now) = (self.receivers.at(id), local.now());
        if !receiver.clock.fire(now, key, &mut local.timers) {
            return;
        }
        if let Hearing::Paused(until) = receiver.hearing
            && until <= now
        {
            receiver.hearing = Hearing::Armed;
            local.wire.engine.receive_datagrams(receiver.socket, key);
        }
        if receiver.leaving.is_some_and(|leaving| leaving.at <= now) {
            self.fall_silent(id, local);
        }
        self.expire(id, picks, local);
    }
}
