//! Observations of backends, from shards to the coordinator: failures, and outcomes of half-open
//! probes. Rare, bounded; what does not fit is counted, and the ledger still has the sums.

use crate::base::BackendSlot;
use crate::engine::Wake;
use crate::tls::FaultKind;
use crossbeam::queue::ArrayQueue;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Observations that may wait for the coordinator.
const WAITING_MAX: usize = 4096;

/// How an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendFault {
    /// A connection attempt failed.
    Connect,
    /// The TLS handshake with it failed.
    Tls(FaultKind),
    /// A connection ended before the answer was complete.
    Reset,
    /// The network reported that it cannot be reached, or that nobody receives there.
    Unreachable,
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
            Self::Tls(kind) => kind.fmt(f),
            Self::Reset => f.write_str("it ended the connection before its answer was complete"),
            Self::Unreachable => f.write_str("the network reported it as unreachable"),
            Self::Timeout => f.write_str("it did not answer in time"),
            Self::Malformed => f.write_str("its answer was malformed"),
            Self::Status(status) => write!(f, "it answered with status {status}"),
        }
    }
}

/// The progress and outcome of a half-open probe: the one request that decides whether a backend
/// returns to traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialCourse {
    /// A request was sent to it.
    Begun,
    /// It succeeded.
    Passed,
    /// It failed by the backend's fault.
    Failed(BackendFault),
    /// It ended without an outcome, as when its client disconnected.
    Undecided,
}

/// A shard's observation of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// It failed an exchange.
    Fault(BackendSlot, BackendFault),
    /// The half-open probe of this round made progress.
    Trial(BackendSlot, u32, TrialCourse),
}

/// The queue of observations, which also wakes the coordinator for other changes.
pub struct Observations {
    queue: ArrayQueue<Observation>,
    dropped: AtomicU64,
    /// The reader has been woken, and has not found the queue empty since.
    is_awaited: AtomicBool,
    wake: Arc<dyn Wake>,
}

impl Observations {
    /// An empty queue, whose reader `wake` wakes.
    pub fn new(wake: Arc<dyn Wake>) -> Self {
        let (queue, dropped) = (ArrayQueue::new(WAITING_MAX), AtomicU64::new(0));
        Self { queue, dropped, is_awaited: AtomicBool::new(false), wake }
    }

    /// Leaves an observation. Never waits.
    pub fn push(&self, observation: Observation) {
        if self.queue.push(observation).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // Only after the push: a reader woken before it would find the queue empty.
        if !self.is_awaited.swap(true, Ordering::SeqCst) {
            self.wake.wake();
        }
    }

    /// The next observation. Once this has returned none, the next push wakes the reader.
    pub fn pop(&self) -> Option<Observation> {
        self.queue.pop().or_else(|| {
            self.is_awaited.store(false, Ordering::SeqCst);
            // A push meanwhile may have seen the flag still set, and not have woken the reader.
            self.queue.pop()
        })
    }

    /// Observations dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Wakes the coordinator for a change outside the queue.
    pub fn wake(&self) {
        self.wake.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BACKENDS_MAX;
    use std::sync::mpsc::{Receiver, Sender, channel};

    struct Bell(Sender<()>);

    impl Wake for Bell {
        fn wake(&self) {
            let _ = self.0.send(());
        }
    }

    fn belled() -> (Observations, Receiver<()>) {
        let (bell, rings) = channel();
        (Observations::new(Arc::new(Bell(bell))), rings)
    }

    fn fault(slot: usize) -> Observation {
        Observation::Fault(BackendSlot(slot as u32), BackendFault::Connect)
    }

    #[test]
    fn a_reader_is_woken_once_for_what_it_has_not_looked_at() {
        let (observations, rings) = belled();
        for _ in 0..3 {
            (0..4).for_each(|slot| observations.push(fault(slot)));
            assert_eq!(rings.try_iter().count(), 1);
            assert_eq!(std::iter::from_fn(|| observations.pop()).count(), 4);
        }
    }

    #[test]
    fn nothing_waits_for_a_reader_that_waits_for_the_bell() {
        let (observations, rings) = belled();
        let count = BACKENDS_MAX;
        std::thread::scope(|scope| {
            for half in 0..2 {
                let observations = &observations;
                scope.spawn(move || {
                    (half..count).step_by(2).for_each(|slot| {
                        observations.push(fault(slot));
                        std::thread::yield_now();
                    });
                });
            }
            let mut seen = 0;
            while seen + observations.dropped() < count as u64 {
                rings.recv().expect("a ring for what is left");
                seen += std::iter::from_fn(|| observations.pop()).count() as u64;
            }
        });
    }
}
