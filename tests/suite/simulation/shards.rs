//! The shards of a world on its network: their turns, what they tell the coordinator, and what must
//! not be left of anything once they are over.

use super::engine::SimEngine;
use super::lone::NoWake;
use super::network::Network;
use ringway::access_log;
use ringway::base::{BackendSlot, Instant, ListenerId, ShardId};
use ringway::mailbox::{Mailbox, Observation, Shared, Stage, TrialCourse};
use ringway::shard::{Shard, ShardParts};
use ringway::snapshot::Snapshot;
use ringway::stats::{CloseReason, Counter};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// When a timer is due of which there is none.
const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// The mailboxes of so many shards. `client_limit`: connections of one client; 0: no limit.
pub fn mailboxes(shards: usize, client_limit: u32) -> Arc<[Arc<Mailbox>]> {
    let shared = Shared::new(shards, client_limit, Arc::new(NoWake));
    let ids = (0..shards).map(|shard| ShardId(shard as u16));
    ids.map(|id| Arc::new(Mailbox::new(id, Arc::new(NoWake), shared.clone()))).collect()
}

/// What shards begin with.
pub struct Beginning {
    pub network: Network,
    pub mailboxes: Arc<[Arc<Mailbox>]>,
    pub snapshot: Arc<Snapshot>,
    /// Buffers of a shard to receive into, and others.
    pub buffers: [usize; 2],
    pub access_log: Option<access_log::Sender>,
    pub seed: u64,
}

/// See the module.
pub struct Shards {
    pub network: Rc<RefCell<Network>>,
    pub all: Vec<Shard<SimEngine>>,
    pub mailboxes: Arc<[Arc<Mailbox>]>,
    /// Trials begun, less those decided.
    open_trials: i64,
    pub trials: u32,
}

impl Shards {
    pub fn new(beginning: Beginning) -> Self {
        let Beginning { network, mailboxes, snapshot, buffers, access_log, seed } = beginning;
        let network = Rc::new(RefCell::new(network));
        let [receive, private] = buffers;
        let shard = |index| {
            Shard::new(ShardParts {
                engine: SimEngine::new(index, network.clone(), receive, private),
                mailboxes: mailboxes.clone(),
                index,
                snapshot: snapshot.clone(),
                access_log: access_log.clone(),
                seed: seed.wrapping_mul(31).wrapping_add(index as u64),
            })
        };
        let all = (0..mailboxes.len()).map(shard).collect();
        Self { network: network.clone(), all, mailboxes, open_trials: 0, trials: 0 }
    }

    /// Every shard has its turn, beginning with one of them, but for those that miss it. True if
    /// none did.
    pub fn turn(&mut self, first: usize) -> bool {
        let mut all_turned = true;
        for offset in 0..self.all.len() {
            let index = (first + offset) % self.all.len();
            let shard = &mut self.all[index];
            if shard.is_over() {
                self.network.borrow_mut().lanes[index].end();
                continue;
            }
            {
                let network = &mut *self.network.borrow_mut();
                if network.prng.one_in(network.meanness.misses_turn_one_in) {
                    all_turned = false;
                    continue;
                }
                network.lanes[index].turn += 1;
                network.lanes[index].before = shard.traffic().generation();
            }
            shard.turn();
            let after = shard.traffic().generation();
            let lane = &mut self.network.borrow_mut().lanes[index];
            let applied = self.mailboxes[index].applied();
            assert!(applied <= lane.before, "{applied:?} is reported in the turn that took it");
            if after != lane.before {
                lane.taken.insert(lane.turn, after);
            }
        }
        self.look_at_trials();
        all_turned
    }

    fn look_at_trials(&mut self) {
        while let Some(observation) = self.mailboxes[0].shared.observations.pop() {
            match observation {
                Observation::Trial(.., TrialCourse::Begun) => {
                    self.open_trials += 1;
                    self.trials += 1;
                }
                Observation::Trial(..) => self.open_trials -= 1,
                Observation::Fault(..) => {}
            }
        }
    }

    pub fn are_over(&self) -> bool {
        self.all.iter().all(Shard::is_over)
    }

    pub fn order(&self, stage: Stage) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.order(stage));
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.mailboxes.iter().map(|mailbox| mailbox.counters.read(counter)).sum()
    }

    pub fn closes(&self, reason: CloseReason) -> u64 {
        self.mailboxes.iter().map(|mailbox| mailbox.counters.read_closes(reason)).sum()
    }

    /// Sessions and flows that have ended.
    pub fn all_closes(&self) -> u64 {
        CloseReason::ALL.iter().map(|reason| self.closes(*reason)).sum()
    }

    /// The reasons for which sessions of a shard have ended, and how often.
    pub fn closes_of(&self, shard: usize) -> Vec<(CloseReason, u64)> {
        let counters = &self.mailboxes[shard].counters;
        let closes = CloseReason::ALL.iter().map(|one| (*one, counters.read_closes(*one)));
        closes.filter(|(_, count)| *count > 0).collect()
    }

    /// What must hold of shards that are over: nothing is left of any connection or flow, in them
    /// or in what they share.
    pub fn check_end(
        &mut self,
        slots: impl Iterator<Item = BackendSlot>,
        listeners: u16,
        picture: &str,
    ) {
        for shard in &mut self.all {
            let traffic = shard.traffic();
            assert!(traffic.is_empty(), "connections or flows are left: {picture}");
            assert_eq!(traffic.exchange_count(), 0, "exchanges are left: {picture}");
            assert_eq!(traffic.relays().len(), 0, "relays are left: {picture}");
            assert_eq!(traffic.engine().held_count(), 0, "buffers are left: {picture}");
            assert_eq!(traffic.next_deadline(NEVER), NEVER, "timers are left: {picture}");
        }
        let shared = self.mailboxes[0].shared.clone();
        for slot in slots {
            assert_eq!(shared.ledger.in_flight(slot), 0, "in flight is left: {picture}");
            let open = shared.ledger.backends(slot).map(|cell| cell.connections());
            assert_eq!(open.sum::<u32>(), 0, "closed connections are counted: {picture}");
        }
        for listener in (0..listeners).map(ListenerId) {
            let open = shared.ledger.listeners(listener).map(|cell| cell.sessions());
            assert_eq!(open.sum::<u32>(), 0, "closed sessions are counted: {picture}");
        }
        assert_eq!(self.count(Counter::LateCompletions), 0, "the close is a join: {picture}");
        assert_eq!(self.open_trials, 0, "each trial has one end: {picture}");
        let network = self.network.borrow();
        let open = network.streams.values().filter(|stream| stream.proxy_closed.is_none());
        assert_eq!(open.count(), 0, "sockets are left open: {picture}");
        let doors = network.doors.iter().filter(|(_, door)| !door.is_closed);
        let doors: Vec<_> =
            doors.map(|(number, door)| (number, door.address, door.shard)).collect();
        assert!(doors.is_empty(), "listening sockets are left open: {doors:?}, {picture}");
        assert!(network.datagrams.mouths.is_empty(), "UDP sockets are left open: {picture}");
    }
}
