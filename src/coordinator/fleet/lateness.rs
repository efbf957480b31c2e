//! Whether the coordinator itself was late: a thread that got no processor time, or was held up,
//! must not take for dead whoever answered in time while it could not listen.

use super::Fleet;
use crate::base::Instant;
use crate::coordinator::events::Event;
use std::time::Duration;

/// How often the coordinator shows that it is on time.
pub const PUNCTUAL_EVERY: Duration = Duration::from_millis(100);
/// A probe's timeout does not count if the coordinator was late for this part of it.
const EXCUSED_PART: u32 = 4;
/// Timeouts of one backend's probe in a row that do not count; those that follow do, so that a
/// backend that is dead is found out even by a coordinator that is always late.
const HELD_MAX: u32 = 10;
/// Events of timeouts that do not count, at most.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub struct Lateness {
    /// All of it, as of the last sign of life.
    total: Duration,
    /// When the next one is due; none before the first one.
    due: Option<Instant>,
    held: u64,
    /// Of those, how many were told of, and when.
    told: u64,
    told_at: Option<Instant>,
}

impl Lateness {
    /// Takes a sign of life, which comes every [`PUNCTUAL_EVERY`] while nothing is late.
    pub fn tick(&mut self, now: Instant) {
        self.total = self.until(now);
        self.due = Some(now + PUNCTUAL_EVERY);
    }

    /// How late the coordinator has been until now, all in all.
    pub fn until(&self, now: Instant) -> Duration {
        self.total + self.due.map_or(Duration::ZERO, |due| now.since(due))
    }

    /// Timeouts of probes that do not count.
    pub fn held(&self) -> u64 {
        self.held
    }
}

/// How many timeouts of a backend's probe in a row the coordinator's lateness has excused.
#[derive(Debug, Default)]
pub struct Excused(u32);

impl Excused {
    /// Whether a probe that had this timeout, and ran into it, says nothing of its backend, because
    /// the coordinator was so `late` meanwhile.
    pub fn takes(&mut self, timeout: Duration, late: Duration) -> bool {
        if late * EXCUSED_PART < timeout {
            self.end();
            return false;
        }
        self.0 = (self.0 + 1).min(HELD_MAX + 1);
        self.0 <= HELD_MAX
    }

    /// A probe was not late, or did not run into its timeout.
    pub fn end(&mut self) {
        self.0 = 0;
    }
}

impl Fleet {
    /// A probe's timeout does not count, because the coordinator was so `late`: that is counted,
    /// and told of now and then.
    pub fn hold_timeout(&mut self, late: Duration, now: Instant) {
        let lateness = &mut self.lateness;
        lateness.held += 1;
        if lateness.told_at.is_none_or(|at| now.since(at) >= TOLD_EVERY) {
            let held = lateness.held - lateness.told;
            (lateness.told, lateness.told_at) = (lateness.held, Some(now));
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
