//! What all connections and exchanges of a shard use: its sockets and buffers, its timers, the
//! snapshot in force, its counts, and the list of work that one part leaves for another.
//!
//! Does not: know a connection, an exchange or a protocol.

mod clock;
mod current;
mod gathering;
mod handshakes;
mod reports;
mod unique;
mod windows;
mod work;

pub use clock::Clock;
pub use current::Current;
pub use gathering::Gathered;
pub use handshakes::Handshakes;
pub use reports::Reports;
pub use unique::UniqueIds;
pub use windows::Windows;
pub use work::{How, Signal, Work};

use crate::base::{Instant, Prng, TimerWheel};
use crate::engine::{Engine, Key};
use crate::http2::Section;
use crate::link::Wire;
use crate::stats::Counter;

/// See the module.
pub struct Local<E> {
    /// Sockets, buffers, time.
    pub wire: Wire<E>,
    /// The timers of connections.
    pub timers: TimerWheel<Key>,
    /// The snapshot in force, and the stage of the process.
    pub current: Current,
    /// Counts and observations.
    pub reports: Reports,
    /// What is still to be done about the present event.
    pub work: Work,
    /// The head that is being read from frames.
    pub section: Section,
    /// TLS handshakes that begin, or wait.
    pub handshakes: Handshakes,
    /// The growth of the windows of HTTP/2.
    pub windows: Windows,
    /// Random choices.
    pub prng: Prng,
    /// Identifiers of connections.
    pub unique_ids: UniqueIds,
    /// Connections that were closed in this turn; their rows are free at the turn's end.
    pub closed: Vec<Key>,
}

impl<E: Engine> Local<E> {
    /// The time at which the turn began.
    #[inline]
    pub fn now(&self) -> Instant {
        self.wire.engine.now()
    }

    /// Counts one.
    #[inline]
    pub fn count(&self, counter: Counter) {
        self.reports.count(counter, 1);
    }
}
