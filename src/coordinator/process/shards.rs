//! The shards as the coordinator sees them: which of them run, what their mailboxes say, and the
//! generation that all of them work with. Does not: start their threads.

use crate::base::Generation;
use crate::engine::BuffersHeld;
use crate::mailbox::{Mailbox, Observation, Stage};
use crate::snapshot::Snapshot;
use crate::stats::Counter;
use std::sync::Arc;
use tokio::sync::watch;

/// See the module.
pub struct Shards {
    mailboxes: Arc<[Arc<Mailbox>]>,
    running: Vec<bool>,
    /// The generation that every running shard works with.
    applied: watch::Sender<Generation>,
}

impl Shards {
    /// None of them runs.
    pub(crate) fn new(mailboxes: Arc<[Arc<Mailbox>]>) -> Self {
        let running = vec![false; mailboxes.len()];
        Self { mailboxes, running, applied: watch::Sender::new(Generation::default()) }
    }

    /// The mailbox of each shard.
    pub fn mailboxes(&self) -> &[Arc<Mailbox>] {
        &self.mailboxes
    }

    /// Which shards run.
    pub fn running(&self) -> &[bool] {
        &self.running
    }

    /// Client connections that are open.
    pub fn connections(&self) -> u64 {
        self.mailboxes.iter().map(|mailbox| u64::from(mailbox.connections())).sum()
    }

    /// Observations that were dropped because their queue was full.
    pub fn observations_dropped(&self) -> u64 {
        self.mailboxes[0].shared.observations.dropped()
    }

    /// The generation that every running shard works with, as of the last look.
    pub fn applied(&self) -> Generation {
        *self.applied.borrow()
    }

    /// Follows the generation that every running shard works with.
    pub fn follow_applied(&self) -> watch::Receiver<Generation> {
        self.applied.subscribe()
    }

    /// Looks which generation every running shard works with: if none runs, the `current` one.
    pub(crate) fn note_applied(&self, current: Generation) {
        let running = self.mailboxes.iter().zip(&self.running).filter(|(_, running)| **running);
        let least = running.map(|(mailbox, _)| mailbox.applied()).min();
        let least = least.unwrap_or(current);
        self.applied.send_if_modified(|applied| std::mem::replace(applied, least) != least);
    }

    /// The next observation of a shard.
    pub(crate) fn observation(&self) -> Option<Observation> {
        self.mailboxes[0].shared.observations.pop()
    }

    /// Gives a snapshot to all of them.
    pub(crate) fn publish(&self, snapshot: &Arc<Snapshot>) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.publish(snapshot.clone()));
    }

    /// Orders a stage from all of them.
    pub(crate) fn order(&self, stage: Stage) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.order(stage));
    }

    /// Records that a shard runs, or does not any more.
    pub(crate) fn set_running(&mut self, shard: usize, runs: bool) {
        self.running[shard] = runs;
    }

    /// A shard has panicked and lost its sessions: counts that, and resets its counts.
    pub(crate) fn note_panic(&self, shard: usize) {
        let mailbox = &self.mailboxes[shard];
        mailbox.counters.add(Counter::ShardPanics, 1);
        mailbox.shared.ledger.reset(mailbox.shard());
        mailbox.shared.clients.reset(mailbox.shard());
        mailbox.show_connections(0);
        mailbox.show_buffers(BuffersHeld::default());
    }
}
