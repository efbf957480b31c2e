//! Floods: what a peer does more often than any use needs.
//!
//! One bucket for each kind. It is drained at a steady rate, and each occurrence adds to it. At
//! three quarters the connection is drained: its streams end, and a peer with a good reason opens
//! another one. A full one ends the connection with ENHANCE_YOUR_CALM (RFC 9113 §10.5).

use crate::base::Instant;

macro_rules! floods {
    ($($variant:ident $burst:literal $rate:literal $text:literal;)*) => {
        /// What may flood.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Flood {
            $(#[doc = $text] $variant,)*
        }

        impl Flood {
            /// How many at once, and how many each second.
            const fn limits(self) -> (u32, u32) {
                match self { $(Self::$variant => ($burst, $rate),)* }
            }

            /// For the log, and for the peer's operator.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        const KINDS: usize = [$(Flood::$variant,)*].len();
    };
}

// A browser cancels what it had open at once when its user goes on, some hundred streams. gRPC
// measures bandwidth by a PING for each round trip with DATA, and some clients announce each DATA
// frame that they read: what follows DATA is forgiven.
floods! {
    Reset 500 100 "streams that end before their response is complete";
    Ping 1_000 200 "PING frames";
    Settings 100 10 "SETTINGS frames";
    WindowUpdate 2_000 500 "WINDOW_UPDATE frames with small increments, or for closed streams";
    Empty 200 20 "DATA frames without data";
    Continuation 200 50 "CONTINUATION frames";
    Ignored 1_000 100 "PRIORITY frames, frames of unknown types, and resets of closed streams";
    Oversized 100 10 "heads beyond the limits";
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
    buckets: [Bucket; KINDS],
}

const ONE: u32 = 1_000;

impl Guard {
    /// Counts an occurrence.
    pub(super) fn charge(&mut self, kind: Flood, now: Instant) -> Verdict {
        let (burst, per_second) = kind.limits();
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

    #[test]
    fn a_burst_is_drained_at_three_quarters_and_closed_beyond_its_limit() {
        for kind in [Flood::Reset, Flood::Ping, Flood::Settings, Flood::Oversized] {
            let (burst, _) = kind.limits();
            let mut guard = Guard::default();
            let now = Instant::from_nanos(u64::MAX / 2);
            let verdicts: Vec<Verdict> = (0..=burst).map(|_| guard.charge(kind, now)).collect();
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
            assert_eq!(guard.charge(Flood::Reset, now), Verdict::Fine);
        }
        let twice: Vec<Verdict> = (0..2_000)
            .map(|at| guard.charge(Flood::Reset, now + Duration::from_millis(5 * at)))
            .collect();
        assert!(twice.contains(&Verdict::Drain) && twice.contains(&Verdict::Close));
    }

    #[test]
    fn what_was_useful_is_forgiven() {
        let mut guard = Guard::default();
        for _ in 0..100_000 {
            assert_eq!(guard.charge(Flood::WindowUpdate, Instant::default()), Verdict::Fine);
            guard.forgive(Flood::WindowUpdate, 2);
        }
    }
}
