//! Sources of backends besides the configuration and the operator: DNS names and a watched file. A
//! task for each; the last report of a source holds while it fails.
//!
//! `name` follows a DNS name, `watched_file` a file, `report` is how they report to the fleet;
//! `resolver` asks name servers and the hosts file, `resolvers` has the one in use, `system_files`
//! are the files that it is made from.

mod name;
mod report;
mod resolver;
mod resolvers;
mod system_files;
mod watched_file;

pub(crate) use name::ask_name;
pub(crate) use resolvers::Resolvers;
pub(crate) use watched_file::ask_file;

use self::report::Shared;
use crate::config::BackendName;
use crate::coordinator::fleet::Fleet;
use crate::coordinator::process::Tasks;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use tokio::sync::Notify;

/// The source that a task asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Name(BackendName),
    File(PathBuf),
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
