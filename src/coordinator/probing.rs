//! The tasks that probe: one for each backend and kind of probe. They are started and ended as
//! the fleet changes, and only ever tell it what they saw.

use super::control::Control;
use super::events::Event;
use super::fleet::{BackendKey, ProbeOf};
use super::probe::Prober;
use crate::base::{Instant, Prng};
use crate::config::{Probe, ProbeKind};
use crate::health::{OperatorState, spread};
use crate::sys::clock;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

/// Probes that are under way at the same moment: more would only wait for each other, and for
/// descriptors.
const AT_ONCE_MAX: usize = 512;
/// How long a probe waits that failed for want of descriptors or memory here.
const OWN_FAULT_PAUSE: Duration = Duration::from_secs(1);

/// How long after a prober could not be made that is tried again: its files may have been mended.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

type TaskKey = (BackendKey, ProbeOf);

struct Task {
    probe: Probe,
    handle: JoinHandle<()>,
}

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
    current: Option<(Probe, Prober)>,
    /// A newer one that could not be, and when that is tried again.
    failed: Option<(Probe, Instant)>,
}

/// All tasks.
pub struct Probing {
    shared: Rc<Shared>,
    tasks: HashMap<TaskKey, Task>,
    made: HashMap<(String, ProbeOf), Made>,
    /// The fleet's revision that the tasks follow from.
    revision: Option<u64>,
}

impl Probing {
    /// No tasks yet. `news` is notified after each result that changes something.
    pub fn new(control: Rc<RefCell<Control>>, seed: u64, news: Rc<Notify>) -> Self {
        let (permits, prng) = (Semaphore::new(AT_ONCE_MAX), RefCell::new(Prng::new(seed)));
        let shared = Rc::new(Shared { control, permits, prng, news });
        Self { shared, tasks: HashMap::new(), made: HashMap::new(), revision: None }
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
        let made = &self.made;
        let prober = |key: &TaskKey| {
            let (pool, _) = wanted.get(key)?;
            made.get(&(pool.clone(), key.1))?.current.as_ref()
        };
        self.tasks.retain(|key, task| {
            let is_wanted = prober(key).is_some_and(|(probe, _)| *probe == task.probe);
            if !is_wanted {
                task.handle.abort();
            }
            is_wanted
        });
        let missing = wanted.keys().filter(|key| !self.tasks.contains_key(*key));
        let missing: Vec<TaskKey> = missing.copied().collect();
        for (position, key) in missing.into_iter().enumerate() {
            let Some((probe, prober)) = prober(&key).cloned() else { continue };
            // What is new is probed at once; after that, probes are spread over the interval.
            let offset = spread(position, wanted.len(), probe.rules.interval);
            let handle = tokio::task::spawn_local(run(self.shared.clone(), key, prober, offset));
            self.tasks.insert(key, Task { probe, handle });
        }
    }

    fn wanted(&self) -> HashMap<TaskKey, (String, Probe)> {
        let control = self.shared.control.borrow();
        let mut wanted = HashMap::new();
        for (name, pool) in &control.fleet.pools {
            for which in [ProbeOf::Health, ProbeOf::Readiness] {
                let Some(probe) = pool.probe(which).filter(|p| p.kind != ProbeKind::None) else {
                    continue;
                };
                let is_probed = pool.backends.iter().filter(|(_, record)| {
                    !record.is_removed && record.operator != OperatorState::Maint
                });
                for (address, _) in is_probed {
                    wanted.insert(((pool.id, *address), which), (name.clone(), probe.clone()));
                }
            }
        }
        wanted
    }

    /// Makes the probers that are new or have changed, and tries those again that could not be
    /// made. The first failure of a series is an event.
    fn make_probers(&mut self, wanted: &HashMap<TaskKey, (String, Probe)>, now: Instant) {
        let place = |(key, (pool, probe)): (&TaskKey, &(String, Probe))| {
            ((pool.clone(), key.1), probe.clone())
        };
        let places: HashMap<(String, ProbeOf), Probe> = wanted.iter().map(place).collect();
        self.made.retain(|place, _| places.contains_key(place));
        for (place, probe) in places {
            let pool = place.0.clone();
            if let Err(reason) = self.made.entry(place).or_default().make(&probe, now) {
                let event = Event::SourceFailed { pool, source: "probe".to_owned(), reason };
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
    fn make(&mut self, probe: &Probe, now: Instant) -> Result<(), String> {
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
