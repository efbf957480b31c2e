//! Floods: what a peer does more often than any use needs.
//!
//! One bucket for each kind. It is drained at a steady rate, and each occurrence adds to it. At
//! three quarters the connection is drained: its streams end, and a peer with a good reason opens
//! another one. A full one ends the connection with ENHANCE_YOUR_CALM (RFC 9113 §10.5).

use crate::base::Instant;

macro_rules! floods {
    ($($variant:ident $field:ident $burst:literal $text:literal;)*) => {
        /// What may flood.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Flood {
            $(#[doc = $text] $variant,)*
        }

        /// How many of each kind a peer may send at once: a bucket's size. It is drained within
        /// five seconds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct FloodLimits {
            $(#[doc = $text] pub $field: u32,)*
        }

        impl Default for FloodLimits {
            fn default() -> Self {
                Self { $($field: $burst,)* }
            }
        }

        impl FloodLimits {
            const fn burst(&self, kind: Flood) -> u32 {
                match kind { $(Flood::$variant => self.$field,)* }
            }
        }

        impl Flood {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// For the log, and for the peer's operator.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

/// A full bucket is empty after so many seconds.
const DRAINED_WITHIN_SECONDS: u32 = 5;

/// The largest size of a bucket, so that its level in thousandths has 32 bits.
pub const FLOOD_LIMIT_MAX: u32 = 1_000_000;

// A browser cancels what it had open at once when its user goes on, some hundred streams. gRPC
// measures bandwidth by a PING for each round trip with DATA, and some clients announce each DATA
// frame that they read: what follows DATA is forgiven.
floods! {
    Reset resets 500 "streams that end before their response is complete";
    Ping pings 1_000 "PING frames";
    Settings settings 100 "SETTINGS frames";
    WindowUpdate window_updates 2_000 "WINDOW_UPDATE frames that are small or for closed streams";
    Empty empty_frames 200 "DATA frames without data";
    Continuation continuations 200 "CONTINUATION frames";
    Ignored ignored_frames 1_000 "PRIORITY, frames of unknown types, resets of closed streams";
    Oversized oversized_heads 100 "heads and trailers beyond the limits";
}

/// What follows from an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    /// Three quarters are reached.
    Drain,
    /// The limit is passed.
    Close,
}

/// How full a bucket is, thousandths of an occurrence, and when that was, milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    level: u32,
    at_ms: u32,
}

/// The buckets of a connection.
#[derive(Debug, Default)]
pub(super) struct Guard {
    buckets: [Bucket; Flood::ALL.len()],
}

const ONE: u32 = 1_000;

impl Guard {
    /// Counts an occurrence.
    pub(super) fn charge(&mut self, kind: Flood, limits: &FloodLimits, now: Instant) -> Verdict {
        let burst = limits.burst(kind);
        let per_second = burst.div_ceil(DRAINED_WITHIN_SECONDS);
        let bucket = &mut self.buckets[kind as usize];
        let now_ms = now.as_millis() as u32;
        // So many each second are as many thousandths each millisecond.
        let drained = now_ms.wrapping_sub(bucket.at_ms).saturating_mul(per_second);
        bucket.level = bucket.level.saturating_sub(drained) + ONE;
        bucket.at_ms = now_ms;
        if bucket.level > burst * ONE {
            Verdict::Close
        } else if bucket.level > burst / 4 * 3 * ONE {
            Verdict::Drain
        } else {
            Verdict::Fine
        }
    }

    /// Takes back so many occurrences: something useful was behind them.
    pub(super) fn forgive(&mut self, kind: Flood, occurrences: u32) {
        let bucket = &mut self.buckets[kind as usize];
        bucket.level = bucket.level.saturating_sub(occurrences * ONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: fn() -> FloodLimits = FloodLimits::default;

    #[test]
    fn a_burst_is_drained_at_three_quarters_and_closed_beyond_its_limit() {
        for kind in Flood::ALL.iter().copied() {
            let burst = LIMITS().burst(kind);
            let mut guard = Guard::default();
            let now = Instant::from_nanos(u64::MAX / 2);
            let verdicts: Vec<Verdict> =
                (0..=burst).map(|_| guard.charge(kind, &LIMITS(), now)).collect();
            let of = |verdict| verdicts.iter().filter(|seen| **seen == verdict).count() as u32;
            let expected = [burst * 3 / 4, burst / 4, 1];
            assert_eq!([Verdict::Fine, Verdict::Drain, Verdict::Close].map(of), expected);
        }
    }

    #[test]
    fn a_steady_rate_is_fine_for_ever() {
        let mut guard = Guard::default();
        let mut now = Instant::default();
        for _ in 0..100_000 {
            now = now + Duration::from_millis(10);
            assert_eq!(guard.charge(Flood::Reset, &LIMITS(), now), Verdict::Fine);
        }
        let twice: Vec<Verdict> = (0..2_000)
            .map(|at| now + Duration::from_millis(5 * at))
            .map(|now| guard.charge(Flood::Reset, &LIMITS(), now))
            .collect();
        assert!(twice.contains(&Verdict::Drain) && twice.contains(&Verdict::Close));
    }

    #[test]
    fn what_was_useful_is_forgiven() {
        let mut guard = Guard::default();
        for _ in 0..100_000 {
            let verdict = guard.charge(Flood::WindowUpdate, &LIMITS(), Instant::default());
            assert_eq!(verdict, Verdict::Fine);
            guard.forgive(Flood::WindowUpdate, 2);
        }
    }

    #[test]
    fn the_largest_and_the_smallest_limit_hold() {
        for burst in [1, FLOOD_LIMIT_MAX] {
            let limits = FloodLimits { resets: burst, ..LIMITS() };
            let mut guard = Guard::default();
            let closes = (0..=burst)
                .map(|_| guard.charge(Flood::Reset, &limits, Instant::default()))
                .position(|verdict| verdict == Verdict::Close);
            assert_eq!(closes, Some(burst as usize));
        }
    }
}
