//! The threads of the shards.

use ringway::access_log::Sender;
use ringway::coordinator::{ShardEnd, ShardReport, Spawn};
use ringway::engine::uring::{SetupError, Uring, UringOptions};
use ringway::mailbox::Mailbox;
use ringway::shard::{Shard, ShardParts};
use ringway::snapshot::Snapshot;
use ringway::sys::core::pin_thread;
use ringway::sys::event_fd::EventFd;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier};
use std::thread::ScopedJoinHandle;
use tokio::sync::mpsc::UnboundedSender;

/// The parts of the threads of the shards.
pub(crate) struct Threads {
    /// The core of each shard.
    pub(crate) cores: Vec<Option<usize>>,
    /// The wake-up of each shard.
    pub(crate) wakes: Vec<Arc<EventFd>>,
    /// The mailbox of each shard.
    pub(crate) mailboxes: Arc<[Arc<Mailbox>]>,
    /// The sizes of each engine.
    pub(crate) options: UringOptions,
    /// The access log.
    pub(crate) access_log: Option<Sender>,
}

impl Threads {
    /// The function by which the coordinator starts a shard.
    pub(crate) fn into_spawn(self) -> Spawn {
        let threads = Arc::new(self);
        Box::new(move |shard, snapshot, reports| {
            let threads = threads.clone();
            let on_failure = reports.clone();
            let body = move || {
                // Every panic must be reported, also one while the shard is being built.
                let end = catch_unwind(AssertUnwindSafe(|| threads.run(shard, snapshot)));
                let end = end.unwrap_or(ShardEnd::Panicked);
                // The coordinator may have ended already; then no report is needed.
                let _ = reports.send(ShardReport { shard, end });
            };
            let name = format!("shard-{shard}");
            if let Err(error) = std::thread::Builder::new().name(name).spawn(body) {
                report_no_thread(&on_failure, shard, &error);
            }
        })
    }

    /// The body of a shard's thread.
    fn run(&self, index: usize, snapshot: Arc<Snapshot>) -> ShardEnd {
        if let Some(core) = self.cores[index]
            && let Err(error) = pin_thread(core)
        {
            tracing::warn!(shard = index, core, %error, "cannot pin the shard to its core");
        }
        let engine = match Uring::new(&self.options, self.wakes[index].clone()) {
            Ok(engine) => engine,
            Err(error) => return ShardEnd::NotStarted(error.to_string()),
        };
        let mut shard = Shard::new(ShardParts {
            engine,
            mailboxes: self.mailboxes.clone(),
            index,
            snapshot,
            access_log: self.access_log.clone(),
            seed: RandomState::new().hash_one(index),
        });
        match catch_unwind(AssertUnwindSafe(|| shard.run())) {
            Ok(()) => ShardEnd::Finished,
            Err(_) => {
                let _ = catch_unwind(AssertUnwindSafe(|| shard.abandon()));
                ShardEnd::Panicked
            }
        }
    }
}

/// Builds the engines of this number of shards, all at the same time as in operation, and drops
/// them.
///
/// # Errors
/// The first error.
pub(crate) fn try_engines(options: &UringOptions, shards: usize) -> Result<(), SetupError> {
    let all_built = Barrier::new(shards);
    let build = || {
        let engine = EventFd::new().map(Arc::new).map_err(SetupError::Other);
        let engine = engine.and_then(|wake| Uring::new(options, wake));
        all_built.wait();
        engine.map(drop)
    };
    std::thread::scope(|scope| {
        let builders: Vec<_> = (0..shards).map(|_| scope.spawn(build)).collect();
        let built = |builder: ScopedJoinHandle<'_, _>| builder.join().expect("it does not panic");
        builders.into_iter().try_for_each(built)
    })
}

fn report_no_thread(reports: &UnboundedSender<ShardReport>, shard: usize, error: &std::io::Error) {
    let end = ShardEnd::NotStarted(format!("cannot start the thread of shard {shard}: {error}"));
    let _ = reports.send(ShardReport { shard, end });
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway::base::Generation;
    use ringway::config::Config;
    use ringway::snapshot;

    #[test]
    fn a_panic_before_the_first_turn_is_told_too() {
        let options = UringOptions {
            ring_entries: 64,
            receive_buffers: 16,
            buffer_size: 16 * 1024,
            private_buffers_max: 64,
        };
        // Without a wake-up for the shard nothing can be built.
        let (cores, wakes, mailboxes) = (vec![None], Vec::new(), Arc::from(Vec::new()));
        let threads = Threads { cores, wakes, mailboxes, options, access_log: None };
        let settings = Arc::new(snapshot::build_settings(&Config::default()));
        let empty = snapshot::assemble(Generation(1), Vec::new(), Vec::new(), settings);
        let (sender, mut reports) = tokio::sync::mpsc::unbounded_channel();
        threads.into_spawn()(0, Arc::new(empty), sender);
        let report = reports.blocking_recv().expect("its end is told");
        assert_eq!((report.shard, report.end), (0, ShardEnd::Panicked));
    }
}
