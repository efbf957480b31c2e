//! The health of backends. Pure: results, observations and the time in, states and intervals out.
//!
//! `probe` counts passes and failures, `ejection` judges the outcomes of exchanges with clients,
//! `slow_start` ramps a weight up, `standing` has the precedence of operator, probe and ejection.
//! Does not: open connections, read a clock, use pools or addresses.

mod ejection;
mod probe;
mod rules;
mod slow_start;
mod standing;
#[cfg(test)]
mod tests;

pub use ejection::{EjectionCause, Ejections, Outlier};
pub use probe::{Change, ProbeState, spread};
pub use rules::{EjectionRules, ProbeRules, SlowStart};
pub use slow_start::{WEIGHT_SCALE, scaled_weight};
pub use standing::{Findings, OperatorState, Standing};
