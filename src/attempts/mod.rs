//! The attempts of one exchange or relay to reach a backend: which backends it has failed on,
//! whether and when another one may follow, and what is reported of each.
//!
//! Does not: know connections, or what is sent over them.

mod fault;

pub use fault::ConnectionFault;

use crate::base::{BackendSlot, Generation, Instant, ListenerId, PoolId, RouteId};
use crate::engine::{Engine, Failure};
use crate::limits::{ATTEMPTS_MAX, RETRY_BACKOFF, RETRY_TIME_MAX};
use crate::local::Local;
use crate::mailbox::{BackendFault, Observation, TrialCourse};
use crate::pick::{Pick, Place, Replicas, Wish};
use crate::snapshot::{KeyHash, Target};
use crate::stats::{CloseReason, Counter};
use crate::tls::FaultKind;
use std::time::Duration;

/// The condition on a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Any backend that has not failed this exchange.
    Any,
    /// Only one without a known fault: a connection to another backend is being made.
    Better,
}

/// What follows when no connection to a backend could be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another backend may be tried: an attempt has failed.
    Retry,
    /// The same, but nothing was tried: the backend has as many connections as it may have.
    Repick,
    /// The end, for this reason.
    End(CloseReason),
}

/// For connections that carry one thing each: see [`Wish::has_place`].
pub fn no_place(_: BackendSlot) -> bool {
    false
}

/// A fault of an attempt that its exchange ends for, if it is the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastFault {
    Tls(FaultKind),
    OutOfBuffers,
}

impl LastFault {
    fn of(fault: ConnectionFault) -> Option<Self> {
        match fault {
            ConnectionFault::Network(_) => None,
            ConnectionFault::Tls(kind) => Some(Self::Tls(kind)),
            ConnectionFault::OutOfBuffers => Some(Self::OutOfBuffers),
        }
    }
}

/// Backends, each once for each failure on it.
#[derive(Clone, Copy, Debug)]
struct Tried {
    slots: [BackendSlot; ATTEMPTS_MAX],
    count: u8,
    /// Why there is no connection to the last one, if that is more than that there is none.
    last: Option<LastFault>,
}

impl Tried {
    const NONE: Self = Self { slots: [BackendSlot(0); ATTEMPTS_MAX], count: 0, last: None };

    fn slots(&self) -> &[BackendSlot] {
        &self.slots[..usize::from(self.count)]
    }

    fn add(&mut self, slot: BackendSlot) {
        if let Some(place) = self.slots.get_mut(usize::from(self.count)) {
            *place = slot;
            self.count += 1;
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Attempts {
    /// The listener and the route that led here.
    pub listener: ListenerId,
    /// See `listener`.
    pub route: RouteId,
    /// The pool of the backends.
    pub pool: PoolId,
    /// The hash of its key, if the pool picks by that and it has one.
    pub key: Option<KeyHash>,
    /// The present backend, or the last one.
    pub backend: Option<BackendSlot>,
    /// Attempts that were given up for another one.
    pub retries: u8,
    /// When the first one began.
    pub began: Instant,
    /// The snapshot that it was routed by.
    routed_by: Generation,
    tried: Tried,
    /// The round of the backend's half-open probes, if this is one and has no outcome yet.
    half_open: Option<u32>,
}

impl Attempts {
    /// None yet, for what was routed to `target` now.
    pub fn new<E: Engine>(listener: ListenerId, target: Target, local: &Local<E>) -> Self {
        Self {
            listener,
            route: target.route,
            pool: target.pool,
            key: None,
            backend: None,
            retries: 0,
            began: local.now(),
            routed_by: local.current.snapshot().generation,
            tried: Tried::NONE,
            half_open: None,
        }
    }

    // --- the next one ---

    /// A backend of the pool; if the pool has none, or no longer exists, a backend of the pool
    /// that the route leads to now. `may_probe`: it does no harm if the attempt fails, so it may
    /// be a half-open probe. `has_place`: see [`Wish::has_place`].
    pub fn pick<E: Engine>(
        &mut self,
        need: Need,
        may_probe: bool,
        has_place: &dyn Fn(BackendSlot) -> bool,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) -> Option<Pick> {
        if let Some(pick) = self.pick_of(self.pool, need, may_probe, has_place, picks, local) {
            return Some(pick);
        }
        let newer = self.newer_pool(local)?;
        let pick = self.pick_of(newer, need, may_probe, has_place, picks, local)?;
        self.pool = newer;
        Some(pick)
    }

    /// True if [`Attempts::pick`] would find a backend. It picks none, so no backend loses its
    /// turn.
    pub fn has_pick<E: Engine>(&self, picks: &Replicas, local: &Local<E>) -> bool {
        let mut pools = [Some(self.pool), self.newer_pool(local)].into_iter().flatten();
        pools.any(|pool| picks.has_untried(pool, self.tried.slots()))
    }

    /// The pool that the route leads to now, if it is not the present one.
    fn newer_pool<E: Engine>(&self, local: &Local<E>) -> Option<PoolId> {
        let snapshot = local.current.snapshot();
        // Finding a route takes a pass over all routes: too much for each request to a pool that
        // is down.
        if self.routed_by == snapshot.generation {
            return None;
        }
        let listener = snapshot.listener(self.listener)?;
        listener.pool_of(self.route).filter(|newer| *newer != self.pool)
    }

    fn pick_of<E: Engine>(
        &self,
        pool: PoolId,
        need: Need,
        may_probe: bool,
        has_place: &dyn Fn(BackendSlot) -> bool,
        picks: &mut Replicas,
        local: &mut Local<E>,
    ) -> Option<Pick> {
        let now = local.now();
        // What has lost an attempt is not used as a half-open probe: a second loss would cost it
        // its answer. Neither is one that could stay with a live backend.
        let is_first = self.retries == 0 && self.tried.slots().is_empty();
        let may_try = need == Need::Any && is_first && may_probe;
        let takes_any = need == Need::Any;
        let (key, tried) = (self.key, self.tried.slots());
        let wish = Wish { pool, key, tried, may_try, takes_any, has_place };
        picks.pick(&wish, now, &mut local.prng)
    }

    /// Goes to a backend. A half-open probe is reported as begun.
    pub fn go_to<E: Engine>(&mut self, pick: &Pick, local: &Local<E>) {
        self.tried.last = None;
        self.half_open = pick.trial;
        if let Some(round) = pick.trial {
            local.reports.report_half_open(pick.slot, round, TrialCourse::Begun);
        }
    }

    /// Takes a place for a connection to a backend, that of an idle one of another shard if need
    /// be. False if there is none; that is no fault of the backend, and another one may be tried.
    pub fn take_place<E: Engine>(
        &mut self,
        slot: BackendSlot,
        picks: &Replicas,
        local: &Local<E>,
    ) -> bool {
        let is_taken = match picks.take_place(slot) {
            Some(Place::Free) => true,
            Some(Place::Claimed(holder)) => local.reports.claim_idle(holder, slot),
            None => false,
        };
        if !is_taken {
            self.end_half_open(slot, TrialCourse::Undecided, local);
        }
        is_taken
    }

    /// Why no backend is left: those that could be used have all the connections that they may
    /// have, TLS with the last one failed, or there is none.
    pub fn none_left(&self, picks: &Replicas) -> CloseReason {
        match picks.is_one_full(self.pool, self.tried.slots()) {
            true => CloseReason::BackendsFull,
            false => self.unconnected(),
        }
    }

    /// Why there is no connection after a failed attempt.
    pub fn unconnected(&self) -> CloseReason {
        match self.tried.last {
            None => CloseReason::NoBackend,
            Some(LastFault::Tls(kind)) => fault::reason_of(kind),
            Some(LastFault::OutOfBuffers) => CloseReason::OutOfBuffers,
        }
    }

    /// TLS on a connection that was made has failed, before a byte of the backend has come.
    pub fn note_tls_fault(&mut self, fault: Option<ConnectionFault>) {
        if let Some(ConnectionFault::Tls(kind)) = fault {
            self.tried.last = Some(LastFault::Tls(kind));
        }
    }

    /// The fault of a backend whose connection has broken.
    pub fn broken(&self) -> BackendFault {
        match self.tried.last {
            Some(LastFault::Tls(kind)) => BackendFault::Tls(kind),
            Some(LastFault::OutOfBuffers) | None => BackendFault::Reset,
        }
    }

    /// True if a further attempt may follow, whatever ended the present one: see [`ATTEMPTS_MAX`]
    /// and [`RETRY_TIME_MAX`].
    pub fn may_go_on(&self, now: Instant) -> bool {
        usize::from(self.retries) < ATTEMPTS_MAX - 1 && now.since(self.began) < RETRY_TIME_MAX
    }

    /// Counts an attempt that was given up for another one.
    pub fn count_retry<E: Engine>(&mut self, local: &Local<E>) {
        local.count(Counter::Retries);
        self.retries += 1;
    }

    /// The delay before the next attempt; none at first, a random one later on, up to twice as
    /// much each time.
    pub fn backoff<E: Engine>(&self, local: &mut Local<E>) -> Option<Duration> {
        let doublings = self.retries.checked_sub(2)?;
        let most = RETRY_BACKOFF * (1 << doublings);
        let micros = local.prng.below(most.as_micros() as u32);
        Some(Duration::from_micros(u64::from(micros)))
    }

    // --- the outcome ---

    /// The backend has failed, and gets no further attempt of this.
    pub fn give_up(&mut self, slot: BackendSlot) {
        self.tried.add(slot);
    }

    /// A connection to a backend could not be made. True if another backend may be tried.
    pub fn connect_failed<E: Engine>(
        &mut self,
        slot: BackendSlot,
        fault: ConnectionFault,
        picks: &mut Replicas,
        local: &Local<E>,
    ) -> bool {
        let now = local.now();
        let failure = match fault {
            ConnectionFault::Network(failure) => Some(failure),
            ConnectionFault::Tls(_) | ConnectionFault::OutOfBuffers => None,
        };
        self.tried.last = LastFault::of(fault);
        local.count(Counter::UpstreamConnectFailures);
        match failure {
            Some(Failure::NoLocalPort) => local.count(Counter::UpstreamNoLocalPort),
            Some(Failure::NoSource) => local.count(Counter::UpstreamNoSource),
            _ => {}
        }
        // A shortage here is no backend's fault, and no other backend helps. The exceptions are a
        // half-open probe, since backends that are in service may have idle connections, and a
        // shortage of buffers, which is over in a moment.
        let of_backend = fault.of_backend(BackendFault::Connect);
        let Some(of_backend) = of_backend else {
            let may_help = self.half_open.is_some() || fault == ConnectionFault::OutOfBuffers;
            self.end_half_open(slot, TrialCourse::Undecided, local);
            return may_help && self.may_go_on(now);
        };
        if matches!(failure, Some(Failure::NoLocalPort | Failure::NoSource)) {
            // No fault of the backend: the proxy has too many connections to it, or cannot use the
            // configured source.
            self.end_half_open(slot, TrialCourse::Undecided, local);
        } else {
            picks.refused(slot, now);
            self.report_fault(slot, of_backend, picks, local);
        }
        self.tried.add(slot);
        // If no backend is known to be healthy, another one would make the client wait for the
        // same time again. A refused connection costs no time.
        let is_silent = fault.is_silent();
        let fails_open = picks.pool(self.pool).is_some_and(|pool| pool.is_last_resort);
        self.may_go_on(now) && !(is_silent && fails_open)
    }

    /// True if this is a half-open probe without an outcome.
    pub fn is_half_open(&self) -> bool {
        self.half_open.is_some()
    }

    /// Reports the outcome of the half-open probe, if this is one without an outcome.
    pub fn end_half_open<E: Engine>(
        &mut self,
        slot: BackendSlot,
        outcome: TrialCourse,
        local: &Local<E>,
    ) {
        if let Some(round) = self.half_open.take() {
            local.reports.report_half_open(slot, round, outcome);
        }
    }

    /// Reports a fault of a backend, as the outcome of the half-open probe if this is one.
    pub fn report_fault<E: Engine>(
        &mut self,
        slot: BackendSlot,
        fault: BackendFault,
        picks: &mut Replicas,
        local: &Local<E>,
    ) {
        local.reports.backend_cell(slot).failures.add(1);
        picks.failed(slot, local.now());
        match self.half_open.take() {
            Some(round) => {
                local.reports.report_half_open(slot, round, TrialCourse::Failed(fault));
            }
            None => local.reports.observe(Observation::Fault(slot, fault)),
        }
    }
}
