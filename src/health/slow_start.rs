//! Slow start: the ramp to full weight, the same for every algorithm.

use super::SlowStart;
use std::time::Duration;

/// The ratio of scaled weights to configured ones.
pub const WEIGHT_SCALE: u32 = 100;
/// The part of its weight at which a backend starts.
const FLOOR: f64 = 0.10;

impl SlowStart {
    /// The part of its weight that a backend has this time after its return, 0.1 to 1.
    pub fn factor(&self, since_return: Duration) -> f64 {
        if since_return >= self.window {
            return 1.0;
        }
        let part = since_return.as_secs_f64() / self.window.as_secs_f64();
        part.powf(1.0 / self.aggression).clamp(FLOOR, 1.0)
    }
}

/// A weight times [`WEIGHT_SCALE`] times a factor; at least 1 for a weight that is not 0.
pub fn scaled_weight(weight: u32, factor: f64) -> u32 {
    let scaled = (f64::from(weight) * f64::from(WEIGHT_SCALE) * factor).round() as u32;
    scaled.max(u32::from(weight > 0))
}
