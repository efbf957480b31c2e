//! Counters, and the reasons for which connections close. Two tables declare all of them: a counter
//! or a close reason that is not used fails a test. Does not: collect or print.

mod close_reason;
mod counters;
mod latencies;

pub use close_reason::{CloseReason, Fault};
pub use counters::{Counter, Counters};
pub use latencies::{LATENCY_BOUNDS_US, Latencies};
