//! What shards saw backends do, for the coordinator: failures, and the course of trials. Rare,
//! bounded; what does not fit is counted, and the coordinator still sees the sums in the ledger.

use crate::base::BackendSlot;
use crate::engine::Wake;
use crossbeam::queue::ArrayQueue;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Observations that may wait for the coordinator.
const WAITING_MAX: usize = 4096;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendFault {
    /// A connection did not come about.
    Connect,
    /// A connection was cut before the answer was whole.
    Reset,
    /// No answer in time.
    Timeout,
    /// An answer that breaks the rules of HTTP/1.1.
    Malformed,
    /// An answer of 502, 503 or 504.
    Status(u16),
}

impl fmt::Display for BackendFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("a connection to it could not be made"),
            Self::Reset => f.write_str("it ended the connection before its answer was whole"),
            Self::Timeout => f.write_str("it did not answer in time"),
            Self::Malformed => f.write_str("its answer was malformed"),
            Self::Status(status) => write!(f, "it answered with status {status}"),
        }
    }
}

/// What became of the one request that shows whether a backend has recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialCourse {
    /// A request is under way to it.
    Begun,
    /// It was answered well.
    Passed,
    /// It failed by the backend's fault.
    Failed(BackendFault),
    /// It ended without showing anything, as when its client went away.
    Undecided,
}

/// What a shard saw a backend do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// It failed an exchange.
    Fault(BackendSlot, BackendFault),
    /// How this round of its trial goes.
    Trial(BackendSlot, u32, TrialCourse),
}

/// The way of observations, and of any other news, to the coordinator.
pub struct Observations {
    queue: ArrayQueue<Observation>,
    dropped: AtomicU64,
    wake: Arc<dyn Wake>,
}

impl Observations {
    /// An empty queue, whose reader `wake` wakes.
    pub fn new(wake: Arc<dyn Wake>) -> Self {
        Self { queue: ArrayQueue::new(WAITING_MAX), dropped: AtomicU64::new(0), wake }
    }

    /// Leaves an observation. Never waits.
    pub fn push(&self, observation: Observation) {
        // A reader that has not come yet has been woken already.
        let was_empty = self.queue.is_empty();
        if self.queue.push(observation).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if was_empty {
            self.wake.wake();
        }
    }

    /// The next observation.
    pub fn pop(&self) -> Option<Observation> {
        self.queue.pop()
    }

    /// Observations that found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Lets the coordinator look at what is new elsewhere.
    pub fn wake(&self) {
        self.wake.wake();
    }
}
