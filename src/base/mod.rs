//! Nouns and containers that everything may use: ids, time as a value, a seeded generator of
//! random numbers, the timer wheel. Does not: read a clock, open anything, know what a load
//! balancer is.

pub mod calendar;
pub mod id;
pub mod prng;
pub mod time;
pub mod timer_wheel;

pub use id::{BackendSlot, Generation, ListenerId, PoolId, RouteId, ShardId};
pub use prng::Prng;
pub use time::Instant;
pub use timer_wheel::{TimerId, TimerWheel};
