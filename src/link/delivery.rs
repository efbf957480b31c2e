//! The wait for a peer's acknowledgement of all that was sent to it, before a reset: with a reset
//! the kernel drops what it has not delivered yet.
//!
//! No event tells of an acknowledgement, so the owner of the link looks again and again: soon at
//! first, as the peer of a short path acknowledges in a moment, then once a second.

use crate::base::Instant;
use std::time::Duration;

/// The shortest time between two looks.
const PACE_MIN: Duration = Duration::from_millis(5);
/// The longest time between two looks.
const PACE_MAX: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    began: Instant,
    /// Until when the peer has to acknowledge some of the bytes that are left.
    until: Instant,
    /// Bytes that were left at the last look.
    left: u32,
}

impl Delivery {
    /// A wait that begins, for a peer that may take `patience` for any part of the bytes.
    pub fn new(left: u32, now: Instant, patience: Duration) -> Self {
        Self { began: now, until: now + patience, left }
    }

    /// Looks at what is left now, in bytes. When to look again; none if the wait is over: nothing
    /// is left, or as much as before and the time is up.
    pub fn look(&mut self, left: u32, now: Instant, patience: Duration) -> Option<Instant> {
        if left < self.left {
            self.left = left;
            self.until = now + patience;
        }
        let pace = now.since(self.began).clamp(PACE_MIN, PACE_MAX);
        (left > 0 && now < self.until).then(|| self.until.min(now + pace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn looks_become_rare_and_end_with_the_bytes_or_the_time() {
        let patience = Duration::from_secs(10);
        let mut delivery = Delivery::new(7, at(0), patience);
        let mut looks = Vec::new();
        let mut now = at(0);
        while let Some(next) = delivery.look(7, now, patience) {
            looks.push(next.since(now).as_millis());
            now = next;
        }
        assert_eq!(looks[..5], [5, 5, 10, 20, 40]);
        assert!(looks.iter().all(|pace| *pace <= 1_000) && now == at(10_000), "{looks:?} {now:?}");
        assert_eq!(delivery.look(6, at(10_000), patience), Some(at(11_000)), "it takes some");
        assert_eq!(delivery.look(6, at(20_000), patience), None);
        assert_eq!(delivery.look(0, at(10_001), patience), None, "nothing is left");
    }
}
