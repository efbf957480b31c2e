//! The snapshot in force on a shard, and the stage of the process.

use crate::base::ListenerId;
use crate::mailbox::Stage;
use crate::snapshot::{Listener, Settings, Snapshot, Timeouts};
use std::sync::Arc;

/// See the module.
pub struct Current {
    snapshot: Arc<Snapshot>,
    /// Every listener that a client may have been accepted on, in its newest version.
    listeners: Vec<Option<Arc<Listener>>>,
    /// The stage of the process.
    pub stage: Stage,
}

impl Current {
    /// `snapshot` is in force.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        let mut current = Self { snapshot, listeners: Vec::new(), stage: Stage::Serving };
        current.take_listeners();
        current
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.snapshot.settings
    }

    /// Its timeouts.
    pub fn timeouts(&self) -> &Timeouts {
        &self.snapshot.settings.timeouts
    }

    /// A listener in its newest version, also if it was removed; none if it never was in a snapshot
    /// of this shard.
    pub fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.listeners.get(id.index()).and_then(Option::as_deref)
    }

    /// The protocol and the name of a listener for the access log.
    pub fn listener_words(&self, id: ListenerId) -> (&'static str, Option<Arc<str>>) {
        match self.listener(id) {
            Some(listener) => (listener.protocol_word(), Some(listener.name.clone())),
            None => ("unknown", None),
        }
    }

    /// Puts a newer snapshot in force. True if a listener was removed.
    pub fn replace(&mut self, snapshot: Arc<Snapshot>) -> bool {
        self.snapshot = snapshot;
        self.take_listeners()
    }

    /// Applies the listeners of the snapshot. Removed ones are kept: their clients may be in the
    /// middle of a request. True if one was removed.
    fn take_listeners(&mut self) -> bool {
        let new = &self.snapshot.listeners;
        if self.listeners.len() < new.len() {
            self.listeners.resize_with(new.len(), || None);
        }
        let mut is_one_removed = false;
        for (index, known) in self.listeners.iter_mut().enumerate() {
            match new.get(index).and_then(Option::as_ref) {
                Some(listener) => *known = Some(listener.clone()),
                None => is_one_removed |= known.is_some(),
            }
        }
        is_one_removed
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
}
