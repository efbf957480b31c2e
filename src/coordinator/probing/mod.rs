//! The tasks that probe: one for each backend and kind of probe. They are started and ended as
//! the fleet changes, and report their results to it.

pub mod protocol;

use self::protocol::{ProbeFailure, Prober, Trusted};
use crate::base::{Instant, Prng};
use crate::config::{Probe, ProbeKind};
use crate::coordinator::events::Event;
use crate::coordinator::fleet::{BackendKey, Excused, Fleet, PUNCTUAL_EVERY, ProbeOf};
use crate::coordinator::process::Tasks;
use crate::health::{OperatorState, spread};
use crate::sys::clock;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// Probes in flight at the same moment: more would only wait for each other, and for
/// descriptors.
pub(crate) const AT_ONCE_MAX: usize = 512;
/// The pause after a probe that failed within Ringway, as for want of descriptors.
const OWN_FAULT_PAUSE: Duration = Duration::from_secs(1);

/// The pause before a prober that could not be made is tried again: its files may have been mended.
/// The pause is doubled each time, because the coordinator's thread reads these files.
const AGAIN_AFTER_MIN: Duration = Duration::from_secs(1);
/// See [`AGAIN_AFTER_MIN`].
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(60);

/// A prober that its tasks read anew for each probe, so that it can be replaced.
type Replaceable = Rc<RefCell<Prober>>;
type TaskKey = (BackendKey, ProbeOf);
/// The name of a pool, and one of its probes.
type Place = (Rc<str>, ProbeOf);
/// The backends to be probed, with their probes.
type Wanted = HashMap<TaskKey, (Place, Rc<Probe>)>;

/// State that all tasks share.
struct Shared {
    fleet: Rc<RefCell<Fleet>>,
    permits: Semaphore,
    prng: RefCell<Prng>,
    news: Rc<Notify>,
}

/// The prober of a pool, as far as it could be made.
#[derive(Default)]
struct Made {
    /// The newest that could be made; it stays in use until there is a newer one.
    current: Option<(Rc<Probe>, Replaceable)>,
    /// Its files may have changed since.
    is_stale: bool,
    /// A newer one that could not be made.
    failed: Option<Failed>,
}

/// A probe that could not be made.
struct Failed {
    probe: Rc<Probe>,
    /// When it is tried again.
    again: Instant,
    /// The pause before that.
    pause: Duration,
}

/// All tasks.
pub(crate) struct Probing {
    shared: Rc<Shared>,
    tasks: Tasks<TaskKey, Rc<Probe>>,
    made: HashMap<Place, Made>,
    keeps_time: bool,
    /// The fleet's revision that the tasks follow from.
    revision: Option<u64>,
    /// The configuration, by its count, that they follow from.
    configuration: u64,
}

impl Probing {
    /// No tasks yet. `news` is notified after each result that changes something.
    pub fn new(fleet: Rc<RefCell<Fleet>>, seed: u64, news: Rc<Notify>) -> Self {
        let (permits, prng) = (Semaphore::new(AT_ONCE_MAX), RefCell::new(Prng::new(seed)));
        let shared = Rc::new(Shared { fleet, permits, prng, news });
        let (tasks, made) = (Tasks::new(), HashMap::new());
        Self { shared, tasks, made, keeps_time: false, revision: None, configuration: 0 }
    }

    /// Starts the tasks that are missing, and ends those that are not wanted any more.
    pub fn sync(&mut self) {
        if !std::mem::replace(&mut self.keeps_time, true) {
            tokio::task::spawn_local(keep_time(self.shared.fleet.clone()));
        }
        let now = clock::monotonic();
        let (revision, configuration) = {
            let fleet = self.shared.fleet.borrow();
            (fleet.revision(), fleet.configurations())
        };
        let is_reload = std::mem::replace(&mut self.configuration, configuration) != configuration;
        if is_reload {
            // A reload may follow a repair of these files: try again now, and report a failure.
            self.made.values_mut().for_each(Made::doubt);
        }
        let is_same = self.revision.replace(revision) == Some(revision) && !is_reload;
        if is_same && !self.made.values().any(|made| made.is_due(now)) {
            return;
        }
        let wanted = self.wanted();
        self.make_probers(&wanted, now);
        let possible = self.possible(&wanted);
        let count = wanted.len();
        for (position, key) in self.tasks.end_unwanted(&possible).into_iter().enumerate() {
            let Some((probe, prober)) = self.made[&wanted[&key].0].current.clone() else {
                continue;
            };
            // What is new is probed at once; after that, probes are spread over the interval.
            let offset = spread(position, count, probe.rules.interval);
            self.tasks.start(key, probe, run(self.shared.clone(), key, prober, offset));
        }
    }

    /// The backends to be probed, with the probers that could be made.
    fn possible(&self, wanted: &Wanted) -> HashMap<TaskKey, Rc<Probe>> {
        let possible = |(key, (place, _)): (&TaskKey, &(Place, Rc<Probe>))| {
            let made = self.made.get(place)?;
            made.current.as_ref().map(|(probe, _)| (*key, probe.clone()))
        };
        wanted.iter().filter_map(possible).collect()
    }

    fn wanted(&self) -> Wanted {
        let fleet = self.shared.fleet.borrow();
        let mut wanted = HashMap::new();
        for (name, pool) in fleet.pools() {
            let name: Rc<str> = name.as_str().into();
            for which in [ProbeOf::Health, ProbeOf::Readiness] {
                let Some(probe) = pool.probe(which).filter(|p| p.kind != ProbeKind::None) else {
                    continue;
                };
                let probe = Rc::new(probe.clone());
                let is_probed = pool.backends.iter().filter(|(_, record)| {
                    !record.is_removed && record.operator != OperatorState::Maint
                });
                for (address, _) in is_probed {
                    let place = (name.clone(), which);
                    wanted.insert(((pool.id, *address), which), (place, probe.clone()));
                }
            }
        }
        wanted
    }

    /// Makes the probers that are new or have changed, and tries failed ones again. The first
    /// failure of a series is an event.
    fn make_probers(&mut self, wanted: &Wanted, now: Instant) {
        let places: HashMap<&Place, &Rc<Probe>> =
            wanted.values().map(|(place, probe)| (place, probe)).collect();
        self.made.retain(|place, _| places.contains_key(place));
        let mut trusted = Trusted::default();
        for (place, probe) in places {
            let made = self.made.entry(place.clone()).or_default();
            if let Err(reason) = made.make(probe, &mut trusted, now) {
                let (pool, source) = (place.0.to_string(), "probe".to_owned());
                let event = Event::SourceFailed { pool, source, reason };
                self.shared.fleet.borrow_mut().note_event(event);
            }
        }
    }
}

impl Made {
    fn is_due(&self, now: Instant) -> bool {
        self.failed.as_ref().is_some_and(|failed| now >= failed.again)
    }

    /// Marks all probers to be made anew.
    fn doubt(&mut self) {
        (self.failed, self.is_stale) = (None, true);
    }

    /// Makes the prober for `probe`, unless there is one or it is too early to try again.
    ///
    /// # Errors
    /// The reason, for the first failure of a series.
    fn make(
        &mut self,
        probe: &Rc<Probe>,
        trusted: &mut Trusted,
        now: Instant,
    ) -> Result<(), String> {
        let current = self.current.as_ref().filter(|(current, _)| current == probe);
        if current.is_some() && !self.is_stale {
            self.failed = None;
            return Ok(());
        }
        let failed = self.failed.as_ref().filter(|failed| failed.probe == *probe);
        let last_pause = failed.map(|failed| failed.pause);
        if last_pause.is_some() && !self.is_due(now) {
            return Ok(());
        }
        match Prober::new(probe, trusted) {
            Ok(prober) => {
                match current {
                    Some((_, replaceable)) => *replaceable.borrow_mut() = prober,
                    None => {
                        self.current = Some((probe.clone(), Rc::new(RefCell::new(prober))));
                    }
                }
                (self.failed, self.is_stale) = (None, false);
                Ok(())
            }
            Err(reason) => {
                let pause = last_pause.unwrap_or_default() * 2;
                let pause = pause.clamp(AGAIN_AFTER_MIN, AGAIN_AFTER_MAX);
                self.failed = Some(Failed { probe: probe.clone(), again: now + pause, pause });
                if last_pause.is_some() { Ok(()) } else { Err(reason) }
            }
        }
    }
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
        let result = prober.probe(backend.1).await;
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
async fn keep_time(fleet: Rc<RefCell<Fleet>>) {
    loop {
        fleet.borrow_mut().keep_time(clock::monotonic());
        tokio::time::sleep(PUNCTUAL_EVERY).await;
    }
}

/// Probes one backend until it is not wanted any more.
async fn run(shared: Rc<Shared>, key: TaskKey, prober: Replaceable, offset: Duration) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HttpProbe, TlsProbe};

    fn over_tls(file: std::path::PathBuf) -> Rc<Probe> {
        let tls = Some(TlsProbe { ca_file: Some(file), ..TlsProbe::default() });
        let kind = ProbeKind::Http(HttpProbe { tls, ..HttpProbe::default() });
        Rc::new(Probe { kind, ..Probe::default() })
    }

    #[test]
    fn what_cannot_be_made_is_tried_ever_more_rarely() {
        let name = format!("ringway-missing-{}.pem", std::process::id());
        let probe = over_tls(std::env::temp_dir().join(name));
        let mut made = Made::default();
        let mut now = Instant::from_nanos(1);
        let make = |made: &mut Made, now| made.make(&probe, &mut Trusted::default(), now);
        let reason = make(&mut made, now).expect_err("there is no such file");
        assert!(reason.contains("ringway-missing"), "{reason}");
        let mut pauses = |made: &mut Made, count: usize| -> Vec<u64> {
            let mut pauses = Vec::new();
            for _ in 0..count {
                let begun = now;
                while !made.is_due(now) {
                    now = now + Duration::from_secs(1);
                }
                pauses.push(now.since(begun).as_secs());
                assert_eq!(make(made, now), Ok(()), "it is reported once");
            }
            pauses
        };
        assert_eq!(pauses(&mut made, 8), [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
