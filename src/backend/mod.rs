//! Connections to backends: which one an exchange may use, when one is kept, and its end.
//!
//! Does: keep a shard's connections, the idle ones by backend. Does not: pick a backend, or know
//! the meaning of the bytes.

mod connection;
mod connections;

pub use connection::{Connection, Use};
pub use connections::Connections;
