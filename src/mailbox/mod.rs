//! Where the planes meet: the coordinator leaves snapshots and orders, shards leave counts, and
//! an accepted connection changes shards. Everything here is wait-free for the shards.
//!
//! Does not: decide anything. No queue here can grow without a bound.

mod admission;
mod client_limit;
mod handoff;
mod ledger;
mod observations;
mod post;
mod tables;

pub use admission::{admit, places};
pub use client_limit::ClientCounts;
pub use handoff::Handoff;
pub use ledger::Ledger;
pub use observations::{BackendFault, Observation, Observations, TrialCourse};
pub use post::{Mailbox, Shared, Stage, Taken};
pub use tables::{Answers, BackendCell, Count, Level, ListenerCell, PoolCell, RouteCell};
