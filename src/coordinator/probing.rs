//! The tasks that probe: one for each backend and kind of probe. They are started and ended as
//! the fleet changes, and only ever tell it what they saw.

use super::control::Control;
use super::events::Event;
use super::fleet::{BackendKey, ProbeOf};
use super::probe::Prober;
use super::tasks::Tasks;
use crate::base::{Instant, Prng};
use crate::config::{Probe, ProbeKind};
use crate::health::{OperatorState, spread};
use crate::sys::clock;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// Probes that are under way at the same moment: more would only wait for each other, and for
/// descriptors.
const AT_ONCE_MAX: usize = 512;
/// How long a probe waits that failed for want of descriptors or memory here.
const OWN_FAULT_PAUSE: Duration = Duration::from_secs(1);

/// How long after a prober could not be made that is tried again: its files may have been mended.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

type TaskKey = (BackendKey, ProbeOf);
/// A pool, by its name, and which of its probes.
type Place = (Rc<str>, ProbeOf);
/// Who is to be probed, and how.
type Wanted = HashMap<TaskKey, (Place, Rc<Probe>)>;

/// What all tasks share.
struct Shared {
    control: Rc<RefCell<Control>>,
    permits: Semaphore,
    prng: RefCell<Prng>,
    news: Rc<Notify>,
}

/// The probe of a pool, as far as it could be made.
#[derive(Default)]
struct Made {
    /// The newest that could be; it goes on until there is a newer one.
    current: Option<(Rc<Probe>, Prober)>,
    /// A newer one that could not be, and when that is tried again.
    failed: Option<(Rc<Probe>, Instant)>,
}

/// All tasks.
pub struct Probing {
    shared: Rc<Shared>,
    tasks: Tasks<TaskKey, Rc<Probe>>,
    made: HashMap<Place, Made>,
    /// The fleet's revision that the tasks follow from.
    revision: Option<u64>,
}

impl Probing {
    /// No tasks yet. `news` is notified after each result that changes something.
    pub fn new(control: Rc<RefCell<Control>>, seed: u64, news: Rc<Notify>) -> Self {
        let (permits, prng) = (Semaphore::new(AT_ONCE_MAX), RefCell::new(Prng::new(seed)));
        let shared = Rc::new(Shared { control, permits, prng, news });
        Self { shared, tasks: Tasks::new(), made: HashMap::new(), revision: None }
    }

    /// Starts the tasks that are missing, and ends those that are not wanted any more.
    pub fn sync(&mut self) {
        let now = clock::monotonic();
        let revision = self.shared.control.borrow().fleet.revision();
        let is_same = self.revision.replace(revision) == Some(revision);
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

    /// The probes that are made, for who is to be probed.
    fn possible(&self, wanted: &Wanted) -> HashMap<TaskKey, Rc<Probe>> {
        let possible = |(key, (place, _)): (&TaskKey, &(Place, Rc<Probe>))| {
            let made = self.made.get(place)?;
            made.current.as_ref().map(|(probe, _)| (*key, probe.clone()))
        };
        wanted.iter().filter_map(possible).collect()
    }

    fn wanted(&self) -> Wanted {
        let control = self.shared.control.borrow();
        let mut wanted = HashMap::new();
        for (name, pool) in &control.fleet.pools {
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

    /// Makes the probers that are new or have changed, and tries those again that could not be
    /// made. The first failure of a series is an event.
    fn make_probers(&mut self, wanted: &Wanted, now: Instant) {
        let places: HashMap<&Place, &Rc<Probe>> =
            wanted.values().map(|(place, probe)| (place, probe)).collect();
        self.made.retain(|place, _| places.contains_key(place));
        for (place, probe) in places {
            if let Err(reason) = self.made.entry(place.clone()).or_default().make(probe, now) {
                let (pool, source) = (place.0.to_string(), "probe".to_owned());
                let event = Event::SourceFailed { pool, source, reason };
                self.shared.control.borrow_mut().fleet.events.push(event);
            }
        }
    }
}

impl Made {
    fn is_due(&self, now: Instant) -> bool {
        self.failed.as_ref().is_some_and(|(_, again)| now >= *again)
    }

    /// Makes the prober for `probe`, unless there is one or it is too early to try again.
    ///
    /// # Errors
    /// Why it cannot be, the first time.
    fn make(&mut self, probe: &Rc<Probe>, now: Instant) -> Result<(), String> {
        if self.current.as_ref().is_some_and(|(current, _)| current == probe) {
            self.failed = None;
            return Ok(());
        }
        let has_failed = self.failed.as_ref().is_some_and(|(failed, _)| failed == probe);
        if has_failed && !self.is_due(now) {
            return Ok(());
        }
        match Prober::new(probe) {
            Ok(prober) => {
                *self = Self { current: Some((probe.clone(), prober)), failed: None };
                Ok(())
            }
            Err(reason) => {
                self.failed = Some((probe.clone(), now + AGAIN_AFTER));
                if has_failed { Ok(()) } else { Err(reason) }
            }
        }
    }
}

/// Probes one backend until it is not wanted any more.
async fn run(shared: Rc<Shared>, key: TaskKey, prober: Prober, offset: Duration) {
    let (backend, which) = key;
    let mut is_first = true;
    loop {
        let result = {
            let _permit = shared.permits.acquire().await;
            prober.probe(backend.1).await
        };
        let delay = match result {
            Err(failure) if failure.is_our_own_fault() => OWN_FAULT_PAUSE,
            result => {
                let failure = result.err().map(|failure| failure.to_string());
                let mut control = shared.control.borrow_mut();
                if control.fleet.note_probe(backend, which, failure) {
                    shared.news.notify_one();
                }
                let prng = &mut *shared.prng.borrow_mut();
                let Some(delay) = control.fleet.next_probe_in(backend, which, prng) else { return };
                delay
            }
        };
        // The first result is wanted at once, from all; the second ones come one after the other.
        let delay = if std::mem::take(&mut is_first) { delay / 2 + offset / 2 } else { delay };
        tokio::time::sleep(delay).await;
    }
}
