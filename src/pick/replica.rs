//! A shard's replica of the pools: a picker for each, and the half-open probes of this shard.

use super::retry_budget::RetryBudget;
use super::room::{Place, Rooms};
use super::view::View;
use crate::balance::{Candidate, Picker};
use crate::base::{BackendSlot, Instant, PoolId, Prng, ShardId};
use crate::mailbox::{Ledger, NO_LIMIT};
use crate::snapshot::{Backend, KeyHash, Leaving, Pool, Snapshot, Trial};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a backend that refused a connection is avoided, as long as there is another one.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

struct Replica {
    pool: Arc<Pool>,
    picker: Picker,
    /// Half-open probes of this shard that no request was sent for yet.
    trials: Vec<Trial>,
    budget: RetryBudget,
}

/// A backend that was picked for an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The backend.
    pub slot: BackendSlot,
    /// Its address.
    pub address: SocketAddr,
    /// The round of its half-open probe, if the exchange is one.
    pub trial: Option<u32>,
}

/// The requirements of an exchange on its backend.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// The pool of the backend.
    pub pool: PoolId,
    /// The hash of its key, if the pool picks by that and it has one.
    pub key: Option<KeyHash>,
    /// Backends that the exchange has failed on.
    pub tried: &'a [BackendSlot],
    /// The exchange does no harm if it fails, so it may be a half-open probe.
    pub may_try: bool,
    /// If all that are left have refused a connection a moment ago, one of them is picked all the
    /// same: it may be available again.
    pub takes_any: bool,
    /// True if a connection to a backend has room for it: the number of connections does not
    /// matter then.
    pub has_place: &'a dyn Fn(BackendSlot) -> bool,
}

/// See the module.
pub struct Replicas {
    pools: Vec<Option<Replica>>,
    view: View,
    rooms: Rooms,
    /// Backends that got a limit of connections.
    limited: Vec<BackendSlot>,
    /// Backends to which new connections are secured in another way than those that there are.
    resecured: Vec<BackendSlot>,
    /// By slot: until when a backend that refused a connection is avoided.
    refused_until: Vec<Instant>,
}

impl Replicas {
    /// Without pools, until the first snapshot.
    pub fn new(shard: ShardId, ledger: Arc<Ledger>) -> Self {
        let (view, rooms) = (View::new(shard, ledger.clone()), Rooms::new(shard, ledger));
        let (limited, resecured, refused_until) = (Vec::new(), Vec::new(), Vec::new());
        Self { pools: Vec::new(), view, rooms, limited, resecured, refused_until }
    }

    /// Applies the pools of a snapshot. The state of backends that stay is kept, and so is the
    /// phase of pickers. Returns the backends that have been removed since the snapshot before, or
    /// are to be cut now and were not.
    pub fn take(&mut self, snapshot: &Snapshot, prng: &mut Prng) -> Vec<Leaving> {
        let mut old = std::mem::take(&mut self.pools);
        let pools = snapshot.pools.len().max(old.len());
        old.resize_with(pools, || None);
        let mut left = Vec::new();
        for (index, was) in old.into_iter().enumerate() {
            let pool = snapshot.pools.get(index).and_then(Option::as_ref);
            let replica = match (pool, was) {
                (Some(pool), Some(was)) if Arc::ptr_eq(&was.pool, pool) => Some(was),
                (Some(pool), was) => {
                    if let Some(was) = &was {
                        note_left(&mut left, &was.pool, pool);
                        if was.pool.tls != pool.tls || was.pool.http != pool.http {
                            self.resecured.extend(slots(pool));
                        }
                    }
                    Some(self.replica(pool, was, prng))
                }
                (None, Some(was)) => {
                    left.extend(slots(&was.pool).map(|slot| Leaving { slot, cut: None }));
                    None
                }
                (None, None) => None,
            };
            self.pools.push(replica);
        }
        left.iter().for_each(|leaving| self.view.leave(leaving.slot));
        left
    }

    fn replica(&mut self, pool: &Arc<Pool>, was: Option<Replica>, prng: &mut Prng) -> Replica {
        let candidate =
            |backend: &Backend| Candidate { slot: backend.slot, weight: backend.weight };
        let candidates: Vec<Candidate> = pool.backends.iter().map(candidate).collect();
        let picker = match (&pool.hashing, &was) {
            (Some(hashing), _) => {
                Picker::by_key(hashing.table.clone(), hashing.balance_percent, &candidates)
            }
            (None, Some(was)) if was.pool.algorithm == pool.algorithm => {
                was.picker.succeed(&candidates, prng)
            }
            (None, _) => Picker::new(pool.algorithm, &candidates, prng),
        };
        let budget = was.as_ref().map(|was| was.budget).unwrap_or_default();
        let own = |trial: &&Trial| trial.shard == self.view.shard();
        let is_known =
            |trial: &Trial| was.as_ref().is_some_and(|was| was.pool.trials.contains(trial));
        // A half-open probe that was in the pool before has had its request, or still waits for it.
        let is_new = |trial: &&Trial| !is_known(trial);
        let mut trials: Vec<Trial> =
            pool.trials.iter().filter(own).filter(is_new).copied().collect();
        let waiting = was.as_ref().map_or(&[][..], |was| &was.trials);
        trials.extend(waiting.iter().filter(|trial| pool.trials.contains(trial)));
        let lightest = pool.backends.iter().map(|backend| backend.weight).min().unwrap_or(1);
        let trial_backends = pool.trials.iter().map(|trial| &trial.backend);
        for backend in pool.backends.iter().chain(trial_backends) {
            let is_new = self.view.learn(backend, pool, lightest);
            if self.rooms.learn(backend.slot, pool.connections_max) {
                self.limited.push(backend.slot);
            }
            self.refused_until.resize(self.view.rows(), Instant::default());
            if is_new {
                self.refused_until[backend.slot.index()] = Instant::default();
            }
        }
        Replica { pool: pool.clone(), picker, trials, budget }
    }

    /// Picks the backend for the next exchange of a pool; none if none can be used.
    pub fn pick(&mut self, wish: &Wish<'_>, now: Instant, prng: &mut Prng) -> Option<Pick> {
        let replica = self.pools.get_mut(wish.pool.index())?.as_mut()?;
        if wish.may_try
            && let Some(Trial { backend, round, .. }) = replica.trials.pop()
        {
            return Some(Pick { slot: backend.slot, address: backend.address, trial: Some(round) });
        }
        let (refused_until, rooms) = (&self.refused_until, &mut self.rooms);
        rooms.set_now(now);
        let is_limited = replica.pool.connections_max != NO_LIMIT;
        let is_full =
            |slot: BackendSlot| is_limited && rooms.is_full(slot) && !(wish.has_place)(slot);
        let has_room = |slot: BackendSlot| !wish.tried.contains(&slot) && !is_full(slot);
        let is_well = |slot: BackendSlot| refused_until[slot.index()] <= now && has_room(slot);
        self.view.set_now(now);
        let slot = match picked(&mut replica.picker, wish.key, &mut self.view, is_well, prng) {
            None if wish.takes_any => {
                picked(&mut replica.picker, wish.key, &mut self.view, has_room, prng)
            }
            picked => picked,
        }?;
        Some(Pick { slot, address: self.view.address(slot)?, trial: None })
    }

    /// True if a pool has a backend that an exchange has not failed on.
    pub fn has_untried(&self, pool: PoolId, tried: &[BackendSlot]) -> bool {
        let backends = self.pool(pool).map_or(&[][..], |pool| &pool.backends);
        backends.iter().any(|backend| !tried.contains(&backend.slot))
    }

    /// True if a backend of a pool that an exchange has not failed on has as many connections as it
    /// may have.
    pub fn is_one_full(&self, pool: PoolId, tried: &[BackendSlot]) -> bool {
        let backends = self.pool(pool).map_or(&[][..], |pool| &pool.backends);
        let mut untried = backends.iter().filter(|backend| !tried.contains(&backend.slot));
        untried.any(|backend| self.rooms.is_full(backend.slot))
    }

    /// Takes a place for a connection to a backend; none if it has as many as it may have.
    pub fn take_place(&self, slot: BackendSlot) -> Option<Place> {
        self.rooms.take(slot)
    }

    /// Counts a request to a pool.
    pub fn note_request(&mut self, pool: PoolId, now: Instant) {
        if let Some(Some(replica)) = self.pools.get_mut(pool.index()) {
            replica.budget.note_request(now);
        }
    }

    /// True if one more request of a pool that a backend may have seen may be sent again; it is
    /// counted against the pool's retry budget.
    pub fn may_resend(&mut self, pool: PoolId, now: Instant) -> bool {
        let Some(Some(replica)) = self.pools.get_mut(pool.index()) else { return false };
        replica.budget.take(now, replica.pool.retry_budget_percent)
    }

    /// The pool of this number, if it exists.
    pub fn pool(&self, pool: PoolId) -> Option<&Arc<Pool>> {
        Some(&self.pools.get(pool.index())?.as_ref()?.pool)
    }

    /// The address of a backend.
    pub fn address(&self, slot: BackendSlot) -> Option<SocketAddr> {
        self.view.address(slot)
    }

    /// True if a backend gets new traffic.
    #[inline]
    pub fn is_serving(&self, slot: BackendSlot) -> bool {
        self.view.is_serving(slot)
    }

    /// Records that a backend refused a connection.
    pub fn refused(&mut self, slot: BackendSlot, now: Instant) {
        self.refused_until[slot.index()] = now + REFUSAL_PAUSE;
    }

    /// Records that an exchange failed by the fault of a backend: for a while it counts as busier
    /// than it is, so that failing fast does not attract traffic.
    pub fn failed(&mut self, slot: BackendSlot, now: Instant) {
        self.view.penalise(slot, now);
    }

    /// Counts an exchange in.
    pub fn begin(&mut self, slot: BackendSlot) {
        self.view.cell(slot).in_flight.rise();
    }

    /// Counts an exchange out.
    pub fn end(&mut self, slot: BackendSlot) {
        self.view.cell(slot).in_flight.fall();
    }

    /// Idle connections to a backend that this shard may keep, and whether another shard may claim
    /// them, as the number of connections is limited.
    pub fn idle(&self, slot: BackendSlot) -> (u32, bool) {
        self.view.idle(slot)
    }

    /// Takes the backends to which connections made before this was last asked were secured in
    /// another way than new ones.
    pub fn take_resecured(&mut self) -> Vec<BackendSlot> {
        std::mem::take(&mut self.resecured)
    }

    /// Takes the backends that got a limit of connections since this was last asked.
    pub fn take_limited(&mut self) -> Vec<BackendSlot> {
        std::mem::take(&mut self.limited)
    }
}

fn picked(
    picker: &mut Picker,
    key: Option<KeyHash>,
    view: &mut View,
    usable: impl Fn(BackendSlot) -> bool,
    prng: &mut Prng,
) -> Option<BackendSlot> {
    match key {
        Some(key) => picker.pick_by_key(key, view, usable, prng),
        None => picker.pick(view, usable, prng),
    }
}

fn slots(pool: &Pool) -> impl Iterator<Item = BackendSlot> {
    let serving = pool.backends.iter().map(|backend| backend.slot);
    serving.chain(pool.trials.iter().map(|trial| trial.backend.slot))
}

/// Adds backends that the pool no longer has, and those that are cut now and were not.
fn note_left(left: &mut Vec<Leaving>, was: &Pool, pool: &Pool) {
    let served: HashSet<BackendSlot> = slots(pool).collect();
    let cut_of = |slot| pool.leaving.iter().find(|now| now.slot == slot).and_then(|now| now.cut);
    let gone = slots(was).filter(|slot| !served.contains(slot));
    left.extend(gone.map(|slot| Leaving { slot, cut: cut_of(slot) }));
    let newly_cut = was.leaving.iter().filter(|was| was.cut.is_none());
    let newly_cut = newly_cut.map(|was| Leaving { cut: cut_of(was.slot), ..*was });
    left.extend(newly_cut.filter(|now| now.cut.is_some()));
}
