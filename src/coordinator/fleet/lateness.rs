//! Whether the coordinator itself was late: a thread that had no processor time, or was blocked,
//! must not mark a backend down that answered in time while the thread could not read.

use super::Fleet;
use crate::base::Instant;
use crate::coordinator::events::Event;
use std::time::Duration;

/// The interval of the ticks by which the coordinator measures its lateness.
pub const PUNCTUAL_EVERY: Duration = Duration::from_millis(100);
/// A probe's timeout does not count if the coordinator was late for this part of it.
const EXCUSED_PART: u32 = 4;
/// Timeouts of one backend's probe in a row that do not count; later ones do, so that a coordinator
/// that is always late still marks a dead backend down.
const HELD_MAX: u32 = 10;
/// Least time between two events of timeouts that do not count.
const REPORTED_EVERY: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub struct Lateness {
    /// The total, as of the last tick.
    total: Duration,
    /// When the next tick is due; none before the first one.
    due: Option<Instant>,
    held: u64,
    /// Of those, how many the last event had, and when.
    reported: u64,
    reported_at: Option<Instant>,
}

impl Lateness {
    /// Records a tick, which comes every [`PUNCTUAL_EVERY`] unless the coordinator is late.
    pub fn tick(&mut self, now: Instant) {
        self.total = self.until(now);
        self.due = Some(now + PUNCTUAL_EVERY);
    }

    /// The total lateness of the coordinator until now.
    pub fn until(&self, now: Instant) -> Duration {
        self.total + self.due.map_or(Duration::ZERO, |due| now.since(due))
    }

    /// Timeouts of probes that do not count.
    pub fn held(&self) -> u64 {
        self.held
    }
}

/// The number of a backend's probe timeouts in a row that the coordinator's lateness has excused.
#[derive(Debug, Default)]
pub struct Excused(u32);

impl Excused {
    /// Whether a probe that ran into this timeout does not count, because the coordinator was
    /// `late` by this much meanwhile.
    pub fn takes(&mut self, timeout: Duration, late: Duration) -> bool {
        if late * EXCUSED_PART < timeout {
            self.end();
            return false;
        }
        self.0 = (self.0 + 1).min(HELD_MAX + 1);
        self.0 <= HELD_MAX
    }

    /// Ends the row: a probe did not run into its timeout, or the coordinator was on time.
    pub fn end(&mut self) {
        self.0 = 0;
    }
}

impl Fleet {
    /// Whether the coordinator itself is late.
    pub fn lateness(&self) -> &Lateness {
        &self.lateness
    }

    /// Records a tick of the coordinator, see [`Lateness::tick`].
    pub fn keep_time(&mut self, now: Instant) {
        self.lateness.tick(now);
    }

    /// A probe's timeout does not count, because the coordinator was `late` by this much: this is
    /// counted, and reported by an event now and then.
    pub fn hold_timeout(&mut self, late: Duration, now: Instant) {
        let lateness = &mut self.lateness;
        lateness.held += 1;
        if lateness.reported_at.is_none_or(|at| now.since(at) >= REPORTED_EVERY) {
            let held = lateness.held - lateness.reported;
            (lateness.reported, lateness.reported_at) = (lateness.held, Some(now));
            let late_ms = late.as_millis() as u64;
            self.events.push(Event::CoordinatorLate { late_ms, held });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn lateness_is_what_is_missing_between_signs_of_life() {
        let mut lateness = Lateness::default();
        let late = |lateness: &Lateness, ms| lateness.until(at(ms)).as_millis();
        assert_eq!(late(&lateness, 5_000), 0, "nothing is known yet");
        lateness.tick(at(5_000));
        assert_eq!([5_050, 5_100, 5_160].map(|ms| late(&lateness, ms)), [0, 0, 60]);
        lateness.tick(at(5_160));
        assert_eq!(late(&lateness, 5_260), 60, "by the sign of life nothing is lost or doubled");
        // Held for a second: the same whether the sign of life or the question comes first.
        assert_eq!(late(&lateness, 6_260), 1_060);
        lateness.tick(at(6_260));
        assert_eq!(late(&lateness, 6_260), 1_060);
    }
    #[test]
    fn a_dead_backend_is_found_out_by_a_coordinator_that_is_always_late() {
        let (timeout, mut excused) = (Duration::from_secs(1), Excused::default());
        let mut takes = |late_ms| excused.takes(timeout, Duration::from_millis(late_ms));
        assert_eq!([249, 250, 249].map(&mut takes), [false, true, false]);
        let taken: Vec<bool> = (0..20).map(|_| takes(900)).collect();
        assert_eq!(taken.iter().take_while(|is_taken| **is_taken).count(), 10);
        assert!(taken[10..].iter().all(|is_taken| !is_taken), "each that follows counts");
        assert_eq!([0, 900].map(takes), [false, true], "once it was on time, it is excused again");
    }
}
