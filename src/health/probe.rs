//! Rise and fall: how many results in a row change a backend's state, and when the next probe is.

use super::ProbeRules;
use crate::base::Prng;
use std::time::Duration;

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was down and is up.
    Up,
    /// It was up and is down.
    Down,
}

/// The state of one backend by one kind of probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeState {
    is_up: bool,
    was_probed: bool,
    /// It is up by the results so far.
    was_up: bool,
    /// Results in a row that contradict the state.
    against: u32,
}

impl Default for ProbeState {
    fn default() -> Self {
        Self::new()
    }
}

impl ProbeState {
    /// Never probed: down until its first pass.
    pub fn new() -> Self {
        Self { is_up: false, was_probed: false, was_up: false, against: 0 }
    }

    /// Restored from an earlier state.
    pub fn restored(is_up: bool) -> Self {
        Self { is_up, was_probed: true, was_up: true, against: 0 }
    }

    /// Counts a result.
    pub fn note(&mut self, passed: bool, rules: &ProbeRules) -> Option<Change> {
        self.was_probed = true;
        if passed == self.is_up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = match (passed, self.was_up) {
            // It is new and not failed: a single pass is enough.
            (true, false) => 1,
            (true, true) => rules.rise,
            (false, _) => rules.fall,
        };
        if self.against < needed {
            return None;
        }
        self.is_up = passed;
        self.was_up |= passed;
        self.against = 0;
        Some(if passed { Change::Up } else { Change::Down })
    }

    /// True if the backend may get traffic.
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// True if there was a result.
    pub fn was_probed(&self) -> bool {
        self.was_probed
    }

    /// True while some, but not all, of the results that change the state have come.
    pub fn is_changing(&self) -> bool {
        self.against > 0
    }

    /// Time until the next probe: the interval of the state, changed by the jitter.
    pub fn next_in(&self, rules: &ProbeRules, prng: &mut Prng) -> Duration {
        let interval = if self.is_changing() {
            rules.fast_interval.min(rules.interval)
        } else if self.is_up {
            rules.interval
        } else {
            rules.down_interval
        };
        let jitter = rules.jitter_percent.min(50);
        let percent = 100 - jitter + prng.below(2 * jitter + 1);
        interval * percent / 100
    }
}

/// The start of the `position`-th of `count` probes that share an interval: spread evenly, so
/// that they do not all come at the same moment.
pub fn spread(position: usize, count: usize, interval: Duration) -> Duration {
    let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
    let position = u32::try_from(position).unwrap_or(u32::MAX);
    interval / count * position.min(count)
}
