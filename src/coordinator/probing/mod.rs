//! The tasks that probe: one for each backend and kind of probe. They are started and ended as the
//! fleet changes, and report their results to it.
//!
//! `protocol` is one probe over TCP, HTTP or gRPC, `probers` are those of pools, `task` probes one
//! backend again and again.

mod probers;
pub mod protocol;
mod task;

use self::probers::Made;
use self::protocol::Trusted;
use self::task::{Shared, TaskKey, keep_time, run};
use crate::base::{Instant, Prng};
use crate::config::{Probe, ProbeKind};
use crate::coordinator::events::Event;
use crate::coordinator::fleet::{Fleet, ProbeOf};
use crate::coordinator::process::Tasks;
use crate::health::{OperatorState, spread};
use crate::sys::clock;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use tokio::sync::{Notify, Semaphore};

/// Probes in flight at the same moment: more would only wait for each other, and for
/// descriptors.
pub(crate) const AT_ONCE_MAX: usize = 512;
/// The name of a pool, and one of its probes.
type Place = (Rc<str>, ProbeOf);
/// The backends to be probed, with their probes.
type Wanted = HashMap<TaskKey, (Place, Rc<Probe>)>;

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
