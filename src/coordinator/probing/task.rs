//! The task that probes one backend, and the ticks that measure the coordinator's lateness.

use super::probers::Replaceable;
use super::protocol::{Asked, ProbeFailure};
use crate::base::{Instant, Prng};
use crate::coordinator::fleet::{BackendKey, Excused, Fleet, PUNCTUAL_EVERY, ProbeOf};
use crate::sys::clock;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// The pause after a probe that failed within Ringway, as for want of descriptors.
const OWN_FAULT_PAUSE: Duration = Duration::from_secs(1);

/// A backend, and one of its probes.
pub(super) type TaskKey = (BackendKey, ProbeOf);

/// State that all tasks share.
pub(super) struct Shared {
    pub(super) fleet: Rc<RefCell<Fleet>>,
    pub(super) permits: Semaphore,
    pub(super) prng: RefCell<Prng>,
    pub(super) news: Rc<Notify>,
}

impl Shared {
    /// Probes a backend, and returns the result: none if the probe could not be sent, or the
    /// coordinator was too late to read the answer, which is `excused` some times in a row.
    async fn ask(
        &self,
        (backend, which): TaskKey,
        prober: &Replaceable,
        excused: &mut Excused,
    ) -> Option<Result<(), ProbeFailure>> {
        let _permit = self.permits.acquire().await;
        let prober = prober.borrow().clone();
        let (began, late_before) = self.now_and_lateness();
        let name = self.fleet.borrow().name_of(backend);
        let result = prober.probe(Asked { address: backend.1, name }).await;
        let (now, late) = self.now_and_lateness();
        let mut fleet = self.fleet.borrow_mut();
        fleet.time_probe(backend, which, now.since(began));
        let is_timeout = matches!(result, Err(ProbeFailure::TimedOut { .. }));
        let late = late.saturating_sub(late_before);
        match is_timeout {
            true if excused.takes(prober.timeout(), late) => {
                fleet.hold_timeout(late, now);
                return None;
            }
            true => {}
            false => excused.end(),
        }
        (!result.as_ref().is_err_and(ProbeFailure::is_our_own_fault)).then_some(result)
    }

    fn now_and_lateness(&self) -> (Instant, Duration) {
        let now = clock::monotonic();
        (now, self.fleet.borrow().lateness().until(now))
    }
}

/// Ticks by which the coordinator measures its lateness, for as long as it runs.
pub(super) async fn keep_time(fleet: Rc<RefCell<Fleet>>) {
    loop {
        fleet.borrow_mut().keep_time(clock::monotonic());
        tokio::time::sleep(PUNCTUAL_EVERY).await;
    }
}

/// Probes one backend until it is not wanted any more.
pub(super) async fn run(shared: Rc<Shared>, key: TaskKey, prober: Replaceable, offset: Duration) {
    let (backend, which) = key;
    let (mut is_first, mut excused) = (true, Excused::default());
    loop {
        let delay = match shared.ask(key, &prober, &mut excused).await {
            None => OWN_FAULT_PAUSE,
            Some(result) => {
                let failure = result.err().map(|failure| failure.to_string());
                let mut fleet = shared.fleet.borrow_mut();
                if fleet.note_probe(backend, which, failure) {
                    shared.news.notify_one();
                }
                let prng = &mut *shared.prng.borrow_mut();
                let Some(delay) = fleet.next_probe_in(backend, which, prng) else { return };
                delay
            }
        };
        // The first result is wanted at once, from all; the second ones come one after the other.
        let delay = if std::mem::take(&mut is_first) { delay / 2 + offset / 2 } else { delay };
        tokio::time::sleep(delay).await;
    }
}
