//! Connections to backends: which one an exchange may use, when one is kept, and its end.
//!
//! `connection` is one of them and what an exchange or a relay may do with it, `connections` all of
//! a shard's with the idle ones by backend, `upstream` is what an exchange has of one, `http1` reads
//! responses, `http2` carries exchanges on streams, `announcing` writes the PROXY header.
//!
//! Does not: pick a backend; know the exchange that a connection carries but for its id.

mod announcing;
mod connection;
mod connections;
mod http1;
mod http2;
mod securing;
mod upstream;

pub use connection::{Connection, Use};
pub use connections::Connections;
pub use http1::BodyPart;
pub use http2::{Alarm, Came, Lease, NewStreams, Wants};
pub use securing::{Agreed, SessionFault};
pub use upstream::Upstream;
