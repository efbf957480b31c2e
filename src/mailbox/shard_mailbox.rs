//! One shard's mailbox.

use super::line::Line;
use super::places::{Pool, Share};
use super::{ClientCounts, FlowCounts, Handoff, Ledger, Observations, Tables};
use crate::base::{BackendSlot, Generation, Instant, ShardId};
use crate::engine::{BuffersHeld, Wake};
use crate::snapshot::{Listener, Snapshot};
use crate::stats::Counters;
use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Idle connections of a shard that others have claimed and it has not been told of; no further one
/// is claimed.
const CLAIMS_MAX: usize = 1024;
/// Connections in transit from one shard to another; further ones stay where they are.
const HANDOFFS_MAX: usize = 1024;

/// The stage of the process, as ordered by the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// Accepting and serving.
    Serving = 0,
    /// As before, but every answer says that its connection closes.
    LameDuck = 1,
    /// No new connections; exchanges finish, then their connections close.
    Draining = 2,
    /// Every connection closes now.
    Ending = 3,
}

impl Stage {
    /// True if this stage may follow `before`: stages only advance, but a lame duck may go back to
    /// serving.
    pub fn may_follow(self, before: Self) -> bool {
        self > before || (self == Self::Serving && before == Self::LameDuck)
    }
}

/// State that the mailboxes of all shards share.
#[derive(Clone)]
pub struct Shared {
    /// The counts of each shard.
    pub ledger: Arc<Ledger>,
    /// Connections per shard and client address.
    pub clients: Arc<ClientCounts>,
    /// Flows per listener and client address.
    pub flows: Arc<FlowCounts>,
    /// Observations for the coordinator.
    pub observations: Arc<Observations>,
    /// Places for client connections.
    pub places: Arc<Pool>,
    /// What each shard can be told by the others.
    peers: Arc<[Peer]>,
}

/// A shard, as the others reach it.
struct Peer {
    wake: OnceLock<Arc<dyn Wake>>,
    /// Backends to which an idle connection of it was claimed.
    claims: ArrayQueue<BackendSlot>,
    /// So that a shard looks into the queue only if there is something in it.
    has_claims: AtomicBool,
}

impl Shared {
    /// For `shards` shards. `client_limit`: connections of one client address, 0 for no limit.
    /// `wake` wakes the coordinator.
    pub fn new(shards: usize, client_limit: u32, wake: Arc<dyn Wake>) -> Self {
        Self {
            ledger: Arc::new(Ledger::new(shards)),
            clients: Arc::new(ClientCounts::new(shards, client_limit)),
            flows: Arc::default(),
            observations: Arc::new(Observations::new(wake)),
            places: Arc::default(),
            peers: (0..shards).map(|_| Peer::default()).collect(),
        }
    }

    /// Wakes a shard.
    pub fn wake(&self, shard: ShardId) {
        self.peers[shard.index()].wake.get().into_iter().for_each(|wake| wake.wake());
    }

    /// Tells a shard that an idle connection of it to a backend is claimed. False if it has too
    /// much to do already: nothing is claimed then.
    pub fn tell_of_claim(&self, holder: ShardId, slot: BackendSlot) -> bool {
        let peer = &self.peers[holder.index()];
        if peer.claims.push(slot).is_err() {
            self.ledger.tables(holder).backend(slot).idle.unclaim();
            return false;
        }
        peer.has_claims.store(true, Ordering::Release);
        self.wake(holder);
        true
    }
}

impl Default for Peer {
    fn default() -> Self {
        let (claims, has_claims) = (ArrayQueue::new(CLAIMS_MAX), AtomicBool::new(false));
        Self { wake: OnceLock::new(), claims, has_claims }
    }
}

/// The cell of a mailbox that the coordinator fills.
#[derive(Default)]
struct Cell {
    newest: Option<Arc<Snapshot>>,
    /// Listeners of snapshots that were replaced before the shard took them, if the newest one does
    /// not have their socket; and listeners of a shard that panicked. Their sockets are open.
    unclaimed: Vec<Arc<Listener>>,
}

/// What a shard takes out of its mailbox.
pub struct Taken {
    /// The newest snapshot, if it is newer than the shard's.
    pub newest: Option<Arc<Snapshot>>,
    /// Listeners whose socket for this shard may be open while no shard accepts on it.
    pub unclaimed: Vec<Arc<Listener>>,
}

/// What the other shards read of a shard when they accept a connection.
#[derive(Default)]
struct Shown {
    share: Share,
    /// Handoffs that are in the queue, or nearly.
    arriving: AtomicU32,
    stage: AtomicU8,
    applied: AtomicU64,
}

/// What a shard writes in every turn, for the coordinator.
#[derive(Default)]
struct Pulse {
    last_turn: AtomicU64,
    receive_buffers: AtomicU32,
    private_buffers: AtomicU32,
}

/// Input of one shard from the coordinator and the other shards, and the state that it publishes.
pub struct Mailbox {
    shard: ShardId,
    wake: Arc<dyn Wake>,
    newest: AtomicU64,
    cell: Mutex<Cell>,
    has_unclaimed: AtomicBool,
    shown: Line<Shown>,
    pulse: CachePadded<Pulse>,
    handoffs: ArrayQueue<Handoff>,
    /// Counters that only this shard writes.
    pub counters: Arc<Counters>,
    /// Counts per backend, pool, route and listener that only this shard writes.
    pub tables: Arc<Tables>,
    /// State that all shards share.
    pub shared: Shared,
}

impl Mailbox {
    /// An empty mailbox for `shard`, which `wake` wakes.
    pub fn new(shard: ShardId, wake: Arc<dyn Wake>, shared: Shared) -> Self {
        // A test may have several mailboxes of one shard, with the same wake.
        let _ = shared.peers[shard.index()].wake.set(wake.clone());
        Self {
            shard,
            wake,
            newest: AtomicU64::new(0),
            cell: Mutex::default(),
            has_unclaimed: AtomicBool::new(false),
            shown: Line::default(),
            pulse: CachePadded::default(),
            handoffs: ArrayQueue::new(HANDOFFS_MAX),
            counters: Arc::default(),
            tables: shared.ledger.tables(shard).clone(),
            shared,
        }
    }

    /// The shard that empties this mailbox.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// Publishes a snapshot, in place of one that was not taken yet, and wakes the shard.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let generation = snapshot.generation;
        {
            // The lock is held while the listeners are compared; the shard only ever tries it.
            let mut cell = self.lock();
            if let Some(skipped) = cell.newest.replace(snapshot.clone()) {
                cell.unclaimed.extend(self.gone(&skipped, &snapshot));
                self.has_unclaimed.store(!cell.unclaimed.is_empty(), Ordering::Release);
            }
        }
        self.newest.store(generation.0, Ordering::Release);
        self.wake.wake();
    }

    /// Leaves a listener of a panicked shard to its successor. It waits for the lock, which the
    /// coordinator holds while it compares listeners: the shard has no sessions any more, and a
    /// socket that it did not leave would stay open while no shard accepts on it.
    pub fn leave(&self, listener: Arc<Listener>) {
        self.lock().unclaimed.push(listener);
        self.has_unclaimed.store(true, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Cell> {
        self.cell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The listeners of `before` whose socket for this shard `after` does not have.
    fn gone(&self, before: &Snapshot, after: &Snapshot) -> Vec<Arc<Listener>> {
        let socket = |listener: &Arc<Listener>| listener.sockets.get(self.shard.index()).copied();
        let goes_on = |listener: &Arc<Listener>| {
            // Nearly all have the same place in both.
            after.listener(listener.id).map(socket) == Some(socket(listener))
                || after.listeners.iter().flatten().any(|one| socket(one) == socket(listener))
        };
        before.listeners.iter().flatten().filter(|one| !goes_on(one)).cloned().collect()
    }

    /// True if [`Mailbox::take`] has something for a shard that works with this generation.
    pub fn has_newer(&self, have: Generation) -> bool {
        self.newest.load(Ordering::Acquire) > have.0 || self.has_unclaimed.load(Ordering::Acquire)
    }

    /// Takes the newest snapshot if it is newer than `have`, and the listeners on which no shard
    /// accepts. Two loads if there is neither; never waits.
    pub fn take(&self, have: Generation) -> Option<Taken> {
        if !self.has_newer(have) {
            return None;
        }
        let mut cell = self.cell.try_lock().ok()?;
        let newest = cell.newest.take().filter(|snapshot| snapshot.generation > have);
        let unclaimed = std::mem::take(&mut cell.unclaimed);
        self.has_unclaimed.store(false, Ordering::Release);
        Some(Taken { newest, unclaimed })
    }

    /// Reports the generation that the shard works with, and wakes the coordinator.
    pub fn report_applied(&self, generation: Generation) {
        self.shown.applied.store(generation.0, Ordering::Release);
        self.shared.observations.wake();
    }

    /// The generation that the shard works with.
    pub fn applied(&self) -> Generation {
        Generation(self.shown.applied.load(Ordering::Acquire))
    }

    /// Orders a stage and wakes the shard.
    pub fn order(&self, stage: Stage) {
        self.shown.stage.store(stage as u8, Ordering::Release);
        self.wake.wake();
    }

    /// The stage that is ordered.
    pub fn stage(&self) -> Stage {
        match self.shown.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::LameDuck,
            2 => Stage::Draining,
            _ => Stage::Ending,
        }
    }

    /// Publishes the number of the shard's client connections.
    pub fn show_connections(&self, count: u32) {
        self.shown.share.set(count, &self.shared.places);
    }

    /// Client connections of the shard, as last published.
    pub fn served(&self) -> u32 {
        self.shown.share.used()
    }

    /// Client connections of the shard, as last published, and those in transit to it.
    pub fn connections(&self) -> u32 {
        let Shown { share, arriving, .. } = &*self.shown;
        share.used().saturating_add(arriving.load(Ordering::Relaxed))
    }

    /// The places of the shard.
    pub(super) fn share(&self) -> &Share {
        &self.shown.share
    }

    /// Publishes which buffers the shard holds at the end of a turn.
    pub fn show_buffers(&self, held: BuffersHeld) {
        self.pulse.receive_buffers.store(held.receive, Ordering::Relaxed);
        self.pulse.private_buffers.store(held.private, Ordering::Relaxed);
    }

    /// Buffers that the shard held at the end of its last turn.
    pub fn buffers_held(&self) -> BuffersHeld {
        BuffersHeld {
            receive: self.pulse.receive_buffers.load(Ordering::Relaxed),
            private: self.pulse.private_buffers.load(Ordering::Relaxed),
        }
    }

    /// Publishes that the shard has begun a turn.
    pub fn show_turn(&self, now: Instant) {
        self.pulse.last_turn.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// When the shard last began a turn; the clock's start before its first.
    pub fn last_turn(&self) -> Instant {
        Instant::from_nanos(self.pulse.last_turn.load(Ordering::Relaxed))
    }

    /// Leaves an accepted connection for this shard; returns it if the mailbox is full. After
    /// success the caller calls [`Mailbox::take_back`].
    pub fn hand_over(&self, handoff: Handoff) -> Result<(), Handoff> {
        self.shown.arriving.fetch_add(1, Ordering::Relaxed);
        self.shared.places.note_departure();
        let pushed = self.handoffs.push(handoff);
        match pushed {
            Ok(()) => self.wake.wake(),
            Err(_) => self.note_arrival(),
        }
        pushed
    }

    /// A connection is no longer on its way to this shard.
    fn note_arrival(&self) {
        self.shown.arriving.fetch_sub(1, Ordering::Relaxed);
        self.shared.places.note_arrival();
    }

    /// Takes a handoff back that the shard may never take, because it drains and may have read its
    /// mailbox for the last time. For the shard that left a handoff, which then owns the result.
    ///
    /// The sender pushes the connection (P), passes the fence here and reads the stage (S). The
    /// shard reads the order to end (D), passes the fence in [`Mailbox::has_handoffs`] and reads
    /// the queue (L). There are four cases:
    /// - L sees P, S misses the order: the shard takes it;
    /// - L misses P, S sees the order: the sender takes it back;
    /// - L sees P, S sees the order: both pop, and the queue gives it to one of them;
    /// - L misses P, S misses the order: it would be lost, and cannot be. The fences have one
    ///   order. If the sender's is first, L sees P; if the shard's is, S sees the order that D saw.
    ///
    /// Without the sender's fence S could be done before P is seen; without the shard's, L before
    /// D.
    pub fn take_back(&self) -> Option<Handoff> {
        fence(Ordering::SeqCst);
        if self.stage() < Stage::Draining { None } else { self.next_handoff() }
    }

    /// True if another shard has left a connection here. Final once the shard has read the order
    /// to end: see [`Mailbox::take_back`].
    pub fn has_handoffs(&self) -> bool {
        fence(Ordering::SeqCst);
        !self.handoffs.is_empty()
    }

    /// True if another shard has claimed an idle connection of this one since this was last asked.
    pub fn take_has_claims(&self) -> bool {
        let has_claims = &self.shared.peers[self.shard.index()].has_claims;
        // A claim that comes in between is told of anew, or is in the queue by now.
        has_claims.load(Ordering::Relaxed) && has_claims.swap(false, Ordering::AcqRel)
    }

    /// The next backend to which another shard has claimed an idle connection of this one.
    pub fn next_claim(&self) -> Option<BackendSlot> {
        self.shared.peers[self.shard.index()].claims.pop()
    }

    /// The next connection that another shard left here.
    pub fn next_handoff(&self) -> Option<Handoff> {
        self.handoffs.pop().inspect(|_| self.note_arrival())
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

    /// Takes handoffs until the shard is ordered to end and the queue is empty.
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
