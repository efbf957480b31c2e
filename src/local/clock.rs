//! The deadline of a connection. It moves with every byte, which costs nothing: the timer moves
//! only when it would fire after the deadline, and is armed again when it fires before it.

use crate::base::{Instant, TimerId, TimerWheel};
use crate::engine::Key;

/// A deadline and the timer that watches it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    deadline: Instant,
    /// When the timer fires, never after `deadline`; meaningless without one.
    alarm: Instant,
    timer: Option<TimerId>,
}

impl Clock {
    /// Moves the deadline.
    #[inline(always)]
    pub fn set(&mut self, deadline: Instant, key: Key, timers: &mut TimerWheel<Key>) {
        self.deadline = deadline;
        if self.timer.is_none() || self.alarm > deadline {
            self.set_alarm(key, timers);
        }
    }

    /// Has the timer fire at the deadline.
    #[inline(never)]
    fn set_alarm(&mut self, key: Key, timers: &mut TimerWheel<Key>) {
        self.alarm = self.deadline;
        match self.timer {
            Some(timer) => timers.rearm(timer, self.alarm),
            None => self.timer = Some(timers.arm(self.alarm, key)),
        }
    }

    /// The timer has fired. True if the deadline has come; if it has moved, the timer is armed
    /// again.
    pub fn fire(&mut self, now: Instant, key: Key, timers: &mut TimerWheel<Key>) -> bool {
        self.timer = None;
        if self.deadline > now {
            self.set(self.deadline, key, timers);
            return false;
        }
        true
    }

    /// The timer has fired for a connection that has no deadline at the moment.
    pub fn rest(&mut self) {
        self.timer = None;
    }

    /// Disarms the timer.
    pub fn stop(&mut self, timers: &mut TimerWheel<Key>) {
        if let Some(timer) = self.timer.take() {
            timers.disarm(timer);
        }
    }
}
