//! Sources of backends besides the configuration and the operator: DNS names and a watched file. A
//! task for each; the last report of a source holds while it fails.

mod name;
mod resolver;
mod resolvers;
mod system_files;
mod watched_file;

pub(crate) use name::ask_name;
use resolver::Resolver;
pub(crate) use resolvers::Resolvers;
pub(crate) use watched_file::ask_file;

use crate::config::BackendName;
use crate::coordinator::fleet::{Fleet, Found, Source};
use crate::coordinator::process::Tasks;
use crate::sys::clock;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use tokio::sync::{Notify, watch};

/// The source that a task asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Name(BackendName),
    File(PathBuf),
}

/// State that the tasks share.
#[derive(Clone)]
struct Shared {
    fleet: Rc<RefCell<Fleet>>,
    resolvers: Rc<Resolvers>,
    /// Notified after each answer, the first failure of a series included.
    news: Rc<Notify>,
}

/// All tasks.
pub(crate) struct Sources {
    shared: Shared,
    tasks: Tasks<(String, Asked), ()>,
    revision: Option<u64>,
}

impl Sources {
    /// No tasks yet.
    pub fn new(fleet: Rc<RefCell<Fleet>>, resolvers: Rc<Resolvers>, news: Rc<Notify>) -> Self {
        let shared = Shared { fleet, resolvers, news };
        Self { shared, tasks: Tasks::new(), revision: None }
    }

    /// Starts the tasks that are missing, and ends those that are not wanted any more.
    pub fn sync(&mut self) {
        let revision = self.shared.fleet.borrow().revision();
        if self.revision.replace(revision) == Some(revision) {
            return;
        }
        for key in self.tasks.end_unwanted(&self.wanted()) {
            let (shared, (pool, asked)) = (self.shared.clone(), key.clone());
            match asked {
                Asked::Name(name) => self.tasks.start(key, (), name::follow(shared, pool, name)),
                Asked::File(path) => {
                    self.tasks.start(key, (), watched_file::watch(shared, pool, path));
                }
            }
        }
    }

    fn wanted(&self) -> HashMap<(String, Asked), ()> {
        let fleet = self.shared.fleet.borrow();
        let pools = fleet.pools().values().filter(|pool| !pool.is_removed);
        let asked = pools.flat_map(|pool| {
            let config = &pool.config;
            let names = config.names.iter().map(|name| Asked::Name(name.clone()));
            let file = config.backends_file.iter().map(|file| Asked::File(file.clone()));
            names.chain(file).map(|asked| ((config.name.clone(), asked), ()))
        });
        asked.collect()
    }
}

impl Shared {
    fn resolver(&self) -> Result<Rc<Resolver>, String> {
        self.resolvers.current()
    }

    /// Notified at each reload.
    fn renewals(&self) -> watch::Receiver<()> {
        self.resolvers.renewals()
    }

    /// The addresses that a source reported before this task began, as with another weight.
    fn told_before(&self, pool: &str, source: &Source) -> Vec<IpAddr> {
        let fleet = self.fleet.borrow();
        let found = fleet.pools().get(pool).and_then(|pool| pool.reported.get(source));
        found.into_iter().flatten().map(|found| found.address.ip()).collect()
    }

    /// Reports an answer, complete or partial.
    fn reported(&self, pool: &str, source: &Source, found: Vec<Found>, is_whole: bool) {
        let now = clock::monotonic();
        let mut fleet = self.fleet.borrow_mut();
        match is_whole {
            true => fleet.report(pool, source.clone(), unique(found), now),
            false => fleet.report_part(pool, source.clone(), unique(found), now),
        }
        self.news.notify_one();
    }

    /// Reports a failure; the last report still holds.
    fn failed(&self, pool: &str, source: &Source, reason: String) {
        let now = clock::monotonic();
        self.fleet.borrow_mut().source_failed(pool, source, reason, now);
        self.news.notify_one();
    }
}

/// The first of each address.
fn unique(found: Vec<Found>) -> Vec<Found> {
    let mut seen = std::collections::BTreeSet::<SocketAddr>::new();
    let mut unique: Vec<Found> = found.into_iter().filter(|f| seen.insert(f.address)).collect();
    // An answer in another order is the same answer.
    unique.sort_by_key(|found| found.address);
    unique
}
