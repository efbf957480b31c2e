//! Connections to backends: which one an exchange may use, when one is kept, and its end.
//!
//! `connection` is one of them and what an exchange or a relay may do with it, `connections` all of
//! a shard's with the idle ones by backend, `http1` reads responses,
//! `announcing` writes the PROXY header.
//!
//! Does not: pick a backend; know the exchange that a connection carries but for its id.

mod announcing;
mod connection;
mod connections;
mod http1;
mod securing;

pub use connection::{Connection, Use};
pub use connections::Connections;
pub use http1::BodyPart;
