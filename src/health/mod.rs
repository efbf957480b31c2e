//! What is known of a backend's health, and what follows from it. Pure: results, observations and
//! the time come in, states and intervals go out.
//!
//! `probe` counts passes and failures, `ejection` judges what exchanges with clients show,
//! `slow_start` is the way back to full weight, `standing` says which of operator, probe and
//! ejection prevails. Does not: open connections, read a clock, know pools or addresses.

mod rules;

pub use rules::{EjectionRules, ProbeRules, SlowStart};
