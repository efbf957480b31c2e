//! One shard's letter box.

use super::{ClientCounts, Handoff, Ledger, Observations};
use crate::base::{Generation, Instant, ShardId};
use crate::engine::{BuffersHeld, Wake};
use crate::snapshot::{Listener, Snapshot};
use crate::stats::Counters;
use crossbeam::queue::ArrayQueue;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections on their way from one shard to another; more stay where they are.
const HANDOFFS_MAX: usize = 1024;

/// What the process is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// Accepting and serving.
    Serving = 0,
    /// As before, but every answer says that its connection closes.
    LameDuck = 1,
    /// No new connections; exchanges finish, then their connections close.
    Draining = 2,
    /// Everything closes now.
    Ending = 3,
}

impl Stage {
    /// True if this stage may follow on `before`: the way goes one way, but a lame duck may
    /// recover.
    pub fn may_follow(self, before: Self) -> bool {
        self > before || (self == Self::Serving && before == Self::LameDuck)
    }
}

/// What the mailboxes of all shards share.
#[derive(Clone)]
pub struct Shared {
    /// What each shard counts.
    pub ledger: Arc<Ledger>,
    /// Connections per shard and client address.
    pub clients: Arc<ClientCounts>,
    /// The way of news to the coordinator.
    pub observations: Arc<Observations>,
}

impl Shared {
    /// For so many shards. `client_limit`: connections of one client address, 0 for no limit.
    /// `wake` wakes the coordinator.
    pub fn new(shards: usize, client_limit: u32, wake: Arc<dyn Wake>) -> Self {
        Self {
            ledger: Arc::new(Ledger::new(shards)),
            clients: Arc::new(ClientCounts::new(shards, client_limit)),
            observations: Arc::new(Observations::new(wake)),
        }
    }
}

/// What lies in a letter box of the coordinator.
#[derive(Default)]
struct Slot {
    newest: Option<Arc<Snapshot>>,
    /// Listeners of snapshots that were replaced before the shard took them, if the newest one does
    /// not have their socket; and listeners of a shard that panicked. Their sockets are open.
    unclaimed: Vec<Arc<Listener>>,
}

/// What a shard takes out of its box.
pub struct Taken {
    /// The newest snapshot, if it is newer than the shard's.
    pub newest: Option<Arc<Snapshot>>,
    /// Listeners whose socket for this shard may be open without anybody who accepts on it.
    pub unclaimed: Vec<Arc<Listener>>,
}

/// What the coordinator and the other shards leave for one shard, and what it shows them.
pub struct Mailbox {
    shard: ShardId,
    wake: Arc<dyn Wake>,
    newest: AtomicU64,
    slot: Mutex<Slot>,
    has_unclaimed: AtomicBool,
    applied: AtomicU64,
    stage: AtomicU8,
    connections: AtomicU32,
    last_turn: AtomicU64,
    receive_buffers: AtomicU32,
    private_buffers: AtomicU32,
    handoffs: ArrayQueue<Handoff>,
    /// Counters that only this shard writes.
    pub counters: Arc<Counters>,
    /// What all shards share.
    pub shared: Shared,
}

impl Mailbox {
    /// An empty box for `shard`, which `wake` wakes.
    pub fn new(shard: ShardId, wake: Arc<dyn Wake>, shared: Shared) -> Self {
        Self {
            shard,
            wake,
            newest: AtomicU64::new(0),
            slot: Mutex::default(),
            has_unclaimed: AtomicBool::new(false),
            applied: AtomicU64::new(0),
            stage: AtomicU8::new(Stage::Serving as u8),
            connections: AtomicU32::new(0),
            last_turn: AtomicU64::new(0),
            receive_buffers: AtomicU32::new(0),
            private_buffers: AtomicU32::new(0),
            handoffs: ArrayQueue::new(HANDOFFS_MAX),
            counters: Arc::default(),
            shared,
        }
    }

    /// The shard that empties this box.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// Leaves a snapshot, in place of one that was not taken yet, and wakes the shard.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let generation = snapshot.generation;
        {
            // The lock is held for the length of a look at the listeners; the shard only ever
            // tries it.
            let mut slot = self.lock();
            if let Some(skipped) = slot.newest.replace(snapshot.clone()) {
                slot.unclaimed.extend(self.gone(&skipped, &snapshot));
                self.has_unclaimed.store(!slot.unclaimed.is_empty(), Ordering::Release);
            }
        }
        self.newest.store(generation.0, Ordering::Release);
        self.wake.wake();
    }

    /// Leaves a listener of a shard that has panicked to the one after it. It waits for the lock,
    /// which the coordinator holds for a look at the listeners: the shard serves nobody any more,
    /// and a socket that it did not leave would stay open with nobody who accepts on it.
    pub fn leave(&self, listener: Arc<Listener>) {
        self.lock().unclaimed.push(listener);
        self.has_unclaimed.store(true, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The listeners of a snapshot whose socket for this shard another one has not.
    fn gone(&self, before: &Snapshot, after: &Snapshot) -> Vec<Arc<Listener>> {
        let socket = |listener: &Arc<Listener>| listener.sockets.get(self.shard.index()).copied();
        let goes_on = |listener: &Arc<Listener>| {
            // Nearly all are where they were.
            after.listener(listener.id).map(socket) == Some(socket(listener))
                || after.listeners.iter().flatten().any(|one| socket(one) == socket(listener))
        };
        before.listeners.iter().flatten().filter(|one| !goes_on(one)).cloned().collect()
    }

    /// True if [`Mailbox::take`] would give something to a shard that has this generation.
    pub fn has_newer(&self, have: Generation) -> bool {
        self.newest.load(Ordering::Acquire) > have.0 || self.has_unclaimed.load(Ordering::Acquire)
    }

    /// Takes the newest snapshot if it is newer than `have`, and the listeners that nobody accepts
    /// on. Two loads if there is neither; never waits.
    pub fn take(&self, have: Generation) -> Option<Taken> {
        if !self.has_newer(have) {
            return None;
        }
        let mut slot = self.slot.try_lock().ok()?;
        let newest = slot.newest.take().filter(|snapshot| snapshot.generation > have);
        let unclaimed = std::mem::take(&mut slot.unclaimed);
        self.has_unclaimed.store(false, Ordering::Release);
        Some(Taken { newest, unclaimed })
    }

    /// Reports the generation that the shard works with, and lets the coordinator know.
    pub fn report_applied(&self, generation: Generation) {
        self.applied.store(generation.0, Ordering::Release);
        self.shared.observations.wake();
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
            1 => Stage::LameDuck,
            2 => Stage::Draining,
            _ => Stage::Ending,
        }
    }

    /// Shows how many client connections the shard has.
    pub fn show_connections(&self, count: u32) {
        self.connections.store(count, Ordering::Relaxed);
    }

    /// Client connections that the shard has, as it last showed.
    pub fn served(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Client connections that the shard has, as it last showed, and those on their way to it.
    pub fn connections(&self) -> u32 {
        let arriving = u32::try_from(self.handoffs.len()).unwrap_or(u32::MAX);
        self.served().saturating_add(arriving)
    }

    /// Shows which buffers the shard holds at the end of a turn.
    pub fn show_buffers(&self, held: BuffersHeld) {
        self.receive_buffers.store(held.receive, Ordering::Relaxed);
        self.private_buffers.store(held.private, Ordering::Relaxed);
    }

    /// Buffers that the shard held at the end of its last turn.
    pub fn buffers_held(&self) -> BuffersHeld {
        BuffersHeld {
            receive: self.receive_buffers.load(Ordering::Relaxed),
            private: self.private_buffers.load(Ordering::Relaxed),
        }
    }

    /// Shows that the shard has begun a turn.
    pub fn show_turn(&self, now: Instant) {
        self.last_turn.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// When the shard last began a turn; the clock's start before its first.
    pub fn last_turn(&self) -> Instant {
        Instant::from_nanos(self.last_turn.load(Ordering::Relaxed))
    }

    /// Leaves an accepted connection for this shard; gives it back if the box is full. Whoever
    /// left one asks [`Mailbox::take_back`] next.
    pub fn hand_over(&self, handoff: Handoff) -> Result<(), Handoff> {
        self.handoffs.push(handoff)?;
        self.wake.wake();
        Ok(())
    }

    /// What the shard may never take, because it is on its way out and may have looked into its
    /// box for the last time. For the shard that left something, which then owns it.
    ///
    /// The sender leaves the connection (P), passes the fence here and reads the stage (S). The
    /// shard reads the order to end (D), passes the fence in [`Mailbox::has_handoffs`] and looks
    /// into the box (L). Four things may come of it:
    /// - L sees P, S misses the order: the shard takes it;
    /// - L misses P, S sees the order: the sender takes it back;
    /// - L sees P, S sees the order: both reach for it, and the queue gives it to one of them;
    /// - L misses P, S misses the order: it would be lost, and cannot be. The fences have one
    ///   order. If the sender's is first, L sees P; if the shard's is, S sees the order that D saw.
    ///
    /// Without the sender's fence S could be done before P is seen; without the shard's, L before
    /// D.
    pub fn take_back(&self) -> Option<Handoff> {
        fence(Ordering::SeqCst);
        if self.stage() < Stage::Draining { None } else { self.handoffs.pop() }
    }

    /// True if another shard has left a connection here. Final once the shard has read the order
    /// to end: see [`Mailbox::take_back`].
    pub fn has_handoffs(&self) -> bool {
        fence(Ordering::SeqCst);
        !self.handoffs.is_empty()
    }

    /// The next connection that another shard left here.
    pub fn next_handoff(&self) -> Option<Handoff> {
        self.handoffs.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ListenerId;
    use crate::engine::Socket;
    use std::sync::Barrier;

    struct NoWake;

    impl Wake for NoWake {
        fn wake(&self) {}
    }

    /// Takes what is left until the shard is told to end and nothing is there.
    fn serve_until_the_end(mailbox: &Mailbox) -> usize {
        let mut served = 0;
        loop {
            let stage = mailbox.stage();
            while mailbox.next_handoff().is_some() {
                served += 1;
            }
            if stage >= Stage::Draining && !mailbox.has_handoffs() {
                return served;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_connection_left_for_a_shard_that_ends_is_served_by_exactly_one() {
        const ROUNDS: usize = 300;
        let shared = Shared::new(1, 0, Arc::new(NoWake));
        let (mut by_shard, mut taken_back) = (0, 0);
        for round in 0..ROUNDS {
            let mailbox = Mailbox::new(ShardId(0), Arc::new(NoWake), shared.clone());
            let (start, is_ordered) = (Barrier::new(3), AtomicBool::new(false));
            std::thread::scope(|scope| {
                let shard = scope.spawn(|| {
                    start.wait();
                    serve_until_the_end(&mailbox)
                });
                scope.spawn(|| {
                    start.wait();
                    mailbox.order(Stage::Draining);
                    is_ordered.store(true, Ordering::Relaxed);
                });
                start.wait();
                // Half of the time as near to the order as can be.
                while round % 2 == 0 && !is_ordered.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                let client = ([192, 0, 2, 1], 80).into();
                let handoff = Handoff { socket: Socket(7), client, listener: ListenerId(0) };
                mailbox.hand_over(handoff).expect("there is room");
                let back = std::iter::from_fn(|| mailbox.take_back()).count();
                let served = shard.join().expect("it ends");
                assert_eq!(served + back, 1, "round {round}: {served} by the shard, {back} back");
                by_shard += served;
                taken_back += back;
            });
        }
        assert_eq!(by_shard + taken_back, ROUNDS);
    }
}
