//! The boundary between the planes: the coordinator publishes snapshots and stages, shards publish
//! counts and observations, and an accepted connection moves to another shard. Everything here is
//! lock-free for the shards.
//!
//! Does not: decide anything. No queue here can grow without a bound.

mod admission;
mod client_limit;
mod handoff;
mod idle;
mod ledger;
mod line;
mod observations;
mod places;
mod quota;
mod shard_mailbox;
mod tables;

pub use admission::{admit, places};
pub use client_limit::{ClientCounts, FlowCounts};
pub use handoff::Handoff;
pub use idle::Idle;
pub use ledger::{Ledger, Tables};
#[cfg(test)]
pub use line::lines_touched;
pub use observations::{BackendFault, Observation, Observations, TrialCourse};
pub use places::Pool;
pub use quota::{NO_LIMIT, Quota};
pub use shard_mailbox::{Mailbox, Shared, Stage, Taken};
pub use tables::{Answers, BackendCell, Bytes, Count, Level, ListenerCell, PoolCell, RouteCell};
