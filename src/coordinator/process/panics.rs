//! The limit of panics.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Panics within [`WINDOW`] after which the process gives up: a shard that panics as soon as it
/// runs must not be started for ever.
const PANICS_MAX: usize = 5;
/// See [`PANICS_MAX`].
const WINDOW: Duration = Duration::from_secs(60);

/// The recent panics.
#[derive(Default)]
pub struct Panics(VecDeque<Instant>);

/// The error of too many panics.
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyPanics;

impl Panics {
    /// Notes one that happened at `now`.
    pub fn note(&mut self, now: Instant) -> Result<(), TooManyPanics> {
        self.0.push_back(now);
        while self.0.front().is_some_and(|first| now.duration_since(*first) > WINDOW) {
            self.0.pop_front();
        }
        if self.0.len() > PANICS_MAX { Err(TooManyPanics) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bears_a_few_at_once_and_many_over_time() {
        let start = Instant::now();
        let mut panics = Panics::default();
        for minute in 0..100 {
            assert_eq!(panics.note(start + WINDOW * 2 * minute), Ok(()));
        }
        let later = start + WINDOW * 1_000;
        for _ in 0..PANICS_MAX {
            assert_eq!(panics.note(later), Ok(()));
        }
        assert_eq!(panics.note(later), Err(TooManyPanics));
    }
}
