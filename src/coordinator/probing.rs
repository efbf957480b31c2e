//! The tasks that probe: one for each backend and kind of probe. They are started and ended as
//! the fleet changes, and only ever tell it what they saw.

use super::control::Control;
use super::fleet::{BackendKey, ProbeOf};
use super::probe::Prober;
use crate::base::Prng;
use crate::config::{Probe, ProbeKind};
use crate::health::{OperatorState, spread};
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

/// All tasks.
pub struct Probing {
    shared: Rc<Shared>,
    tasks: HashMap<TaskKey, Task>,
    probers: HashMap<(String, ProbeOf), (Probe, Option<Prober>)>,
    /// The fleet's revision that the tasks follow from.
    revision: Option<u64>,
}

impl Probing {
    /// No tasks yet. `news` is notified after each result that changes something.
    pub fn new(control: Rc<RefCell<Control>>, seed: u64, news: Rc<Notify>) -> Self {
        let (permits, prng) = (Semaphore::new(AT_ONCE_MAX), RefCell::new(Prng::new(seed)));
        let shared = Rc::new(Shared { control, permits, prng, news });
        Self { shared, tasks: HashMap::new(), probers: HashMap::new(), revision: None }
    }

    /// Starts the tasks that are missing, and ends those that are not wanted any more.
    pub fn sync(&mut self) {
        let revision = self.shared.control.borrow().fleet.revision();
        if self.revision.replace(revision) == Some(revision) {
            return;
        }
        let wanted = self.wanted();
        self.tasks.retain(|key, task| {
            let is_wanted = wanted.get(key).is_some_and(|(_, probe)| *probe == task.probe);
            if !is_wanted {
                task.handle.abort();
            }
            is_wanted
        });
        let count = wanted.len();
        let missing = wanted.into_iter().filter(|(key, _)| !self.tasks.contains_key(key));
        let missing: Vec<_> = missing.collect();
        for (position, (key, (pool, probe))) in missing.into_iter().enumerate() {
            let Some(prober) = self.prober(&pool, key, &probe) else { continue };
            // What is new is probed at once; after that, probes are spread over the interval.
            let offset = spread(position, count, probe.rules.interval);
            let shared = self.shared.clone();
            let handle = tokio::task::spawn_local(run(shared, key, prober, offset));
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

    /// The prober of a pool, made anew if its configuration has changed. None, and an event, if it
    /// cannot be made: the backends stay as they are.
    fn prober(&mut self, pool: &str, key: TaskKey, probe: &Probe) -> Option<Prober> {
        let place = (pool.to_owned(), key.1);
        let is_known = self.probers.get(&place).is_some_and(|(known, _)| known == probe);
        if !is_known {
            let made = Prober::new(probe).map_err(|reason| {
                let (pool, source) = (pool.to_owned(), "probe".to_owned());
                let event = super::events::Event::SourceFailed { pool, source, reason };
                self.shared.control.borrow_mut().fleet.events.push(event);
            });
            self.probers.insert(place.clone(), (probe.clone(), made.ok()));
        }
        self.probers.get(&place).and_then(|(_, prober)| prober.clone())
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
