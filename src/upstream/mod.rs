//! Connections to backends: which backend is next, which idle connection can be used again.
//!
//! Does: keep each shard's replica of the pools, its connections, and its part of the counts. Does
//! not: know HTTP or the use of a connection.

mod replica;
mod retry_budget;
mod table;
mod view;

pub use replica::{Pick, Replicas, Wish};
pub use table::{Upstream, Upstreams};
