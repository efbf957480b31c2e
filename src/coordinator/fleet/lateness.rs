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

impl Fleet {
    /// Whether a probe that had this timeout, and ran into it, says nothing of its backend, because
    /// the coordinator was so `late` meanwhile. If so, it is counted, and told of now and then.
    pub fn holds_timeout(&mut self, timeout: Duration, late: Duration, now: Instant) -> bool {
        if late * EXCUSED_PART < timeout {
            return false;
        }
        let lateness = &mut self.lateness;
        lateness.held += 1;
        if lateness.told_at.is_none_or(|at| now.since(at) >= TOLD_EVERY) {
            let held = lateness.held - lateness.told;
            (lateness.told, lateness.told_at) = (lateness.held, Some(now));
            let late_ms = late.as_millis() as u64;
            self.events.push(Event::CoordinatorLate { late_ms, held });
        }
        true
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
}
