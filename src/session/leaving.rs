//! Removal by a newer snapshot: a backend gets no new exchanges, or loses those that it has, and a
//! listener's sessions end with their present exchange.

use super::Traffic;
use super::choosing::Need;
use super::exchange::Phase;
use crate::base::BackendSlot;
use crate::engine::{Engine, Key};
use crate::link::Chain;
use crate::snapshot::{Leaving, Listener, Snapshot};
use crate::stats::CloseReason;
use crate::table::{ClientId, UpstreamId};
use std::collections::HashMap;
use std::sync::Arc;

impl<E: Engine> Traffic<E> {
    /// Applies a newer snapshot. Exchanges keep their present backend.
    pub fn take_snapshot(&mut self, snapshot: Arc<Snapshot>) {
        let left = self.replicas.take(&snapshot, &mut self.prng);
        self.snapshot = snapshot;
        if !left.is_empty() {
            self.release_backends(&left);
        }
        if self.take_listeners() {
            self.release_sessions();
        }
    }

    /// Adds a listener of a snapshot that was never in force here: clients may have connected to
    /// it.
    pub fn remember_listener(&mut self, listener: Arc<Listener>) {
        let index = listener.id.index();
        if self.snapshot.listener(listener.id).is_some() {
            return;
        }
        if self.listeners.len() <= index {
            self.listeners.resize_with(index + 1, || None);
        }
        self.listeners[index] = Some(listener);
    }

    /// Applies the listeners of the snapshot. Removed ones are kept: their sessions may be in the
    /// middle of a request. True if one was removed.
    fn take_listeners(&mut self) -> bool {
        let new = &self.snapshot.listeners;
        if self.listeners.len() < new.len() {
            self.listeners.resize_with(new.len(), || None);
        }
        let mut is_one_gone = false;
        for (index, known) in self.listeners.iter_mut().enumerate() {
            match new.get(index).and_then(Option::as_ref) {
                Some(listener) => *known = Some(listener.clone()),
                None => is_one_gone |= known.is_some(),
            }
        }
        is_one_gone
    }

    /// Ends the idle sessions of removed listeners, and lets the others finish.
    fn release_sessions(&mut self) {
        for index in self.sessions.ids() {
            let session = self.sessions.at(index);
            if session.is_leaving || self.snapshot.listener(session.listener).is_some() {
                continue;
            }
            session.is_leaving = true;
            if session.is_idle() {
                self.end_idle(index, CloseReason::ListenerRemoved);
            }
        }
    }

    /// Removes backends: idle connections close, exchanges that have not begun move to another
    /// backend; if ordered, those that may be repeated move too, and all others are aborted.
    fn release_backends(&mut self, left: &[Leaving]) {
        let left: HashMap<BackendSlot, bool> =
            left.iter().map(|leaving| (leaving.slot, leaving.is_cut)).collect();
        for key in self.upstreams.keys_of(|slot| left.contains_key(&slot)) {
            self.release_connection(key, &left);
        }
    }

    fn release_connection(&mut self, key: Key, left: &HashMap<BackendSlot, bool>) {
        let Some(upstream) = self.upstreams.find(key) else { return };
        let connection = self.upstreams.at(upstream);
        let is_cut = left.get(&connection.slot).is_some_and(|is_cut| *is_cut);
        match connection.session {
            _ if connection.is_closing => {}
            None => self.discard_idle_upstream(upstream),
            Some(index) if connection.link.is_connecting => {
                self.move_on(index, upstream, if is_cut { Need::Any } else { Need::Better });
            }
            Some(index) if is_cut => self.cut_upstream(index, upstream),
            Some(_) => {}
        }
    }

    /// Moves an exchange of which nothing has been sent to another backend. If there is none, or no
    /// attempt is left, and its own backend is only draining, it stays with that, which is alive.
    fn move_on(&mut self, index: ClientId, upstream: UpstreamId, need: Need) {
        let pick = if self.may_try_again(index) { self.pick(index, need) } else { None };
        match pick {
            Some(_) => self.count_retry(index),
            None if need == Need::Better => return,
            None => {}
        }
        let waiting: Chain = std::mem::take(&mut self.upstreams.at(upstream).link.outbox);
        self.leave_attempt(index, upstream);
        self.go_to(index, pick, waiting);
    }

    /// Aborts an exchange or a tunnel whose backend must not be used any more.
    fn cut_upstream(&mut self, index: ClientId, upstream: UpstreamId) {
        let session = self.sessions.at(index);
        let Some(id) = session.exchange() else { return };
        let phase = self.exchanges[id].phase;
        let is_tunnel = session.is_tunnel();
        match phase {
            _ if is_tunnel => self.cut_session(index, CloseReason::BackendGone),
            Phase::AwaitingHead => self.move_away(index, upstream, None, CloseReason::BackendGone),
            Phase::RelayingBody => self.cut_session(index, CloseReason::BackendGone),
            Phase::Done => {}
        }
    }
}
