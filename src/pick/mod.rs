//! Which backend an exchange goes to: a shard's replica of the pools, the load of their backends as
//! this shard sees it, and how many requests may be sent again.
//!
//! Does not: know connections or HTTP.

mod replica;
mod retry_budget;
mod room;
mod view;

pub use replica::{Pick, Replicas, Wish};
pub use room::Place;
