//! The phases of the process, with a shutdown in the order that was measured to lose no request:
//! report not ready, go on serving while clients move by themselves, let announcers withdraw,
//! linger for late connections, and only then close. Pure.

use crate::base::Instant;
use crate::config::Timeouts;
use crate::mailbox::Stage;
use std::time::Duration;

/// How long shards may take to follow the order to end.
const ENDING_TIME: Duration = Duration::from_secs(2);

/// The phase of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Listeners are bound, backends are probed for the first time.
    Starting,
    /// In full service.
    Serving,
    /// Not ready, but serving; every answer says that its connection closes.
    LameDuck,
    /// Announcers have withdrawn; late connections are still served.
    Lingering,
    /// Listeners are closed; exchanges and tunnels finish.
    Finishing,
    /// Connections that are left are cut.
    Ending,
}

impl Phase {
    /// Its name for operators.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::LameDuck => "lame-duck",
            Self::Lingering => "lingering",
            Self::Finishing => "finishing",
            Self::Ending => "ending",
        }
    }

    /// The stage of the shards in this phase.
    pub fn stage(self) -> Stage {
        match self {
            Self::Starting | Self::Serving => Stage::Serving,
            Self::LameDuck | Self::Lingering => Stage::LameDuck,
            Self::Finishing => Stage::Draining,
            Self::Ending => Stage::Ending,
        }
    }

    /// True from the order to drain on.
    pub fn is_draining(self) -> bool {
        self >= Self::LameDuck
    }
}

/// The phase and when the next one comes by itself.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    phase: Phase,
    until: Option<Instant>,
}

impl Default for Course {
    fn default() -> Self {
        Self { phase: Phase::Starting, until: None }
    }
}

impl Course {
    /// The present phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// True once listeners are closed: no new connections are served.
    pub fn is_closed(&self) -> bool {
        self.phase >= Phase::Finishing
    }

    /// Refuses orders that only affect new connections.
    ///
    /// # Errors
    /// If listeners are closed.
    pub fn check_open(&self) -> Result<(), String> {
        if self.is_closed() {
            return Err("it is too late: listeners are closed already".to_owned());
        }
        Ok(())
    }

    /// When the next phase comes by itself; none if it does not.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Time until the next phase comes by itself; none if it does not.
    pub fn ends_in(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.since(now))
    }

    /// The first round of probes is over.
    pub fn start(&mut self) {
        if self.phase == Phase::Starting {
            self.phase = Phase::Serving;
        }
    }

    /// The signal to drain, or to drain faster: the first one begins the drain, a second one ends
    /// lame duck and linger, a third one cuts.
    pub fn drain(&mut self, timeouts: &Timeouts, now: Instant) {
        let next = match self.phase {
            Phase::Starting | Phase::Serving => Phase::LameDuck,
            Phase::LameDuck | Phase::Lingering => Phase::Finishing,
            Phase::Finishing | Phase::Ending => Phase::Ending,
        };
        self.enter(next, timeouts, now);
    }

    /// The order to shut down to this phase, or a later one: given again, it changes nothing.
    pub fn leave(&mut self, to: Phase, timeouts: &Timeouts, now: Instant) {
        if self.phase < to {
            self.enter(to, timeouts, now);
        }
    }

    /// The order to finish at once, without lame duck and linger; a second one cuts.
    pub fn finish(&mut self, timeouts: &Timeouts, now: Instant) {
        let next = if self.phase < Phase::Finishing { Phase::Finishing } else { Phase::Ending };
        self.enter(next, timeouts, now);
    }

    /// Cancels the drain; false if it is too late.
    pub fn undrain(&mut self) -> bool {
        let can = matches!(self.phase, Phase::LameDuck | Phase::Lingering);
        if can {
            *self = Self { phase: Phase::Serving, until: None };
        }
        can
    }

    /// Advances to the next phase if it is due. True if it was.
    pub fn tick(&mut self, timeouts: &Timeouts, now: Instant) -> bool {
        if self.until.is_none_or(|until| until > now) {
            return false;
        }
        let next = match self.phase {
            Phase::LameDuck => Phase::Lingering,
            Phase::Lingering => Phase::Finishing,
            _ => Phase::Ending,
        };
        self.enter(next, timeouts, now);
        true
    }

    fn enter(&mut self, phase: Phase, timeouts: &Timeouts, now: Instant) {
        if phase == self.phase {
            return;
        }
        self.phase = phase;
        self.until = match phase {
            Phase::Starting | Phase::Serving => None,
            Phase::LameDuck => Some(now + timeouts.lame_duck),
            Phase::Lingering => Some(now + timeouts.linger),
            Phase::Finishing => Some(now + timeouts.drain),
            Phase::Ending => Some(now + ENDING_TIME),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_drain_goes_through_all_phases_by_time() {
        let timeouts = Timeouts::default();
        let mut course = Course::default();
        course.start();
        course.drain(&timeouts, at(100));
        let mut seen = Vec::new();
        for second in 100..160 {
            course.tick(&timeouts, at(second));
            if seen.last() != Some(&course.phase()) {
                seen.push(course.phase());
            }
        }
        let all = [Phase::LameDuck, Phase::Lingering, Phase::Finishing, Phase::Ending];
        assert_eq!(seen, all);
        assert_eq!(course.until(), Some(at(100 + 10 + 3 + 30 + 2)));
    }

    #[test]
    fn a_second_order_skips_the_waiting_and_a_third_one_cuts() {
        let timeouts = Timeouts::default();
        let mut course = Course::default();
        for phase in [Phase::LameDuck, Phase::Finishing, Phase::Ending, Phase::Ending] {
            course.drain(&timeouts, at(1));
            assert_eq!(course.phase(), phase);
        }
        let mut course = Course::default();
        for phase in [Phase::Finishing, Phase::Ending] {
            course.finish(&timeouts, at(1));
            assert_eq!(course.phase(), phase);
        }
    }

    #[test]
    fn an_order_that_is_repeated_hastens_nothing() {
        let timeouts = Timeouts::default();
        let mut course = Course::default();
        course.start();
        for (to, expected) in [
            (Phase::LameDuck, Phase::LameDuck),
            (Phase::LameDuck, Phase::LameDuck),
            (Phase::Finishing, Phase::Finishing),
            (Phase::Finishing, Phase::Finishing),
            (Phase::LameDuck, Phase::Finishing),
            (Phase::Ending, Phase::Ending),
        ] {
            course.leave(to, &timeouts, at(1));
            assert_eq!(course.phase(), expected);
        }
    }

    #[test]
    fn a_drain_can_be_taken_back_until_listeners_close() {
        let timeouts = Timeouts::default();
        let mut course = Course::default();
        assert!(!course.undrain());
        course.drain(&timeouts, at(1));
        assert!(course.undrain());
        assert_eq!((course.phase(), course.until()), (Phase::Serving, None));
        course.finish(&timeouts, at(1));
        assert!(!course.undrain());
    }
}
