//! What is known of a backend's health, and what follows from it. Pure: results, observations and
//! the time come in, states and intervals go out.
//!
//! `probe` counts passes and failures, `ejection` judges what exchanges with clients show,
//! `slow_start` is the way back to full weight, `standing` says which of operator, probe and
//! ejection prevails. Does not: open connections, read a clock, know pools or addresses.

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
