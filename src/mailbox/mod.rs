//! Where the planes meet: the coordinator leaves snapshots and orders, shards leave counts, and
//! an accepted connection changes shards. Everything here is wait-free for the shards.
//!
//! Does not: decide anything. No queue here can grow without a bound.

mod board;
mod client_limit;
mod handoff;
mod post;

pub use board::InFlightBoard;
pub use client_limit::ClientCounts;
pub use handoff::Handoff;
pub use post::{Mailbox, Stage};
