//! One shard's letter box.

use super::{ClientCounts, Handoff, InFlightBoard};
use crate::base::{Generation, ShardId};
use crate::engine::Wake;
use crate::snapshot::Snapshot;
use crate::stats::Counters;
use crossbeam::queue::ArrayQueue;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections on their way from one shard to another; more stay where they are.
const HANDOFFS_MAX: usize = 1024;

/// What the process is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// Accepting and serving.
    Serving = 0,
    /// No new connections; exchanges finish, then their connections close.
    Draining = 1,
    /// Everything closes now.
    Ending = 2,
}

/// What the coordinator and the other shards leave for one shard, and what it shows them.
pub struct Mailbox {
    shard: ShardId,
    wake: Arc<dyn Wake>,
    newest: AtomicU64,
    slot: Mutex<Option<Arc<Snapshot>>>,
    applied: AtomicU64,
    stage: AtomicU8,
    connections: AtomicU32,
    handoffs: ArrayQueue<Handoff>,
    /// Counters that only this shard writes.
    pub counters: Arc<Counters>,
    /// Exchanges in flight per shard and backend.
    pub board: Arc<InFlightBoard>,
    /// Connections per shard and client address.
    pub clients: Arc<ClientCounts>,
}

impl Mailbox {
    /// An empty box for `shard`, which `wake` wakes.
    pub fn new(
        shard: ShardId,
        wake: Arc<dyn Wake>,
        board: Arc<InFlightBoard>,
        clients: Arc<ClientCounts>,
    ) -> Self {
        Self {
            shard,
            wake,
            newest: AtomicU64::new(0),
            slot: Mutex::new(None),
            applied: AtomicU64::new(0),
            stage: AtomicU8::new(Stage::Serving as u8),
            connections: AtomicU32::new(0),
            handoffs: ArrayQueue::new(HANDOFFS_MAX),
            counters: Arc::default(),
            board,
            clients,
        }
    }

    /// The shard that empties this box.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// Leaves a snapshot, in place of one that was not taken yet, and wakes the shard.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let generation = snapshot.generation;
        // The lock is held for the length of a move; the shard only ever tries it.
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
        self.newest.store(generation.0, Ordering::Release);
        self.wake.wake();
    }

    /// Takes the newest snapshot if it is newer than `have`. One load if it is not; never waits.
    pub fn take(&self, have: Generation) -> Option<Arc<Snapshot>> {
        if self.newest.load(Ordering::Acquire) <= have.0 {
            return None;
        }
        self.slot.try_lock().ok()?.take()
    }

    /// Reports the generation that the shard works with.
    pub fn report_applied(&self, generation: Generation) {
        self.applied.store(generation.0, Ordering::Release);
    }

    /// The generation that the shard works with.
    pub fn applied(&self) -> Generation {
        Generation(self.applied.load(Ordering::Acquire))
    }

    /// Orders a stage and wakes the shard.
    pub fn order(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
        self.wake.wake();
    }

    /// The stage that is ordered.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Draining,
            _ => Stage::Ending,
        }
    }

    /// Shows how many client connections the shard has.
    pub fn show_connections(&self, count: u32) {
        self.connections.store(count, Ordering::Relaxed);
    }

    /// Client connections that the shard has, as it last showed.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Leaves an accepted connection for this shard; gives it back if the box is full.
    pub fn hand_over(&self, handoff: Handoff) -> Result<(), Handoff> {
        self.handoffs.push(handoff)?;
        self.wake.wake();
        Ok(())
    }

    /// The next connection that another shard left here.
    pub fn next_handoff(&self) -> Option<Handoff> {
        self.handoffs.pop()
    }
}
