//! Configured thresholds and intervals, with their defaults.

use std::time::Duration;

/// When a backend is probed, and how many results change its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeRules {
    /// The interval between probes while a backend is up and no change has begun.
    pub interval: Duration,
    /// The timeout of one probe.
    pub timeout: Duration,
    /// Passes in a row that bring a backend up. One that was never probed needs a single pass.
    pub rise: u32,
    /// Failures in a row that take a backend down.
    pub fall: u32,
    /// Random change of each interval, longer or shorter, percent, 0 to 50.
    pub jitter_percent: u32,
    /// The interval while the state is changing: some, but not all, of `rise` or `fall` have come.
    pub fast_interval: Duration,
    /// The interval while a backend is down.
    pub down_interval: Duration,
}

impl Default for ProbeRules {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
            jitter_percent: 10,
            fast_interval: Duration::from_secs(1),
            down_interval: Duration::from_secs(3),
        }
    }
}

/// When exchanges with clients take a backend out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EjectionRules {
    /// Failures in a row that eject; 0: none do.
    pub consecutive_failures: u32,
    /// A success rate within the window below this ejects, percent; 0: none does.
    pub success_rate_min_percent: u32,
    /// The window of the success rate.
    pub window: Duration,
    /// Exchanges within the window below which the success rate is not judged.
    pub exchanges_min: u32,
    /// The first ejection lasts this long, the n-th n times as long.
    pub base: Duration,
    /// No ejection lasts longer.
    pub longest: Duration,
    /// Most backends of a pool that are ejected at the same moment, percent; one always may be,
    /// and the last usable one never is.
    pub share_max_percent: u32,
}

impl Default for EjectionRules {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            success_rate_min_percent: 0,
            window: Duration::from_secs(10),
            exchanges_min: 50,
            base: Duration::from_secs(30),
            longest: Duration::from_secs(300),
            share_max_percent: 10,
        }
    }
}

/// How a backend comes back to its full weight: weight × max(10 %, (t / window)^(1 / aggression)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowStart {
    /// Its length; zero: full weight at once.
    pub window: Duration,
    /// 1 is a straight line; more is faster at first. 0.1 to 10.
    pub aggression: f64,
}

impl Default for SlowStart {
    fn default() -> Self {
        Self { window: Duration::from_secs(10), aggression: 1.0 }
    }
}
