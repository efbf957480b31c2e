//! HTTP/2 (RFC 9113) in both roles, towards clients and towards backends: bytes in, events out.
//!
//! [`Connection`] reads frames and gives [`Event`]s; heads and trailers are views of a [`Section`],
//! the same views that HTTP/1 has. What a client can put into a field is checked as strictly as
//! there, so nothing of it can become framing at a backend of HTTP/1. Header limits are charged
//! before a field is stored, windows are promises of the caller's buffers, and what may flood is
//! counted.
//!
//! Does not: own buffers of bodies, know sockets or time.

mod block;
mod closed;
mod connection;
mod error;
mod event;
mod frame;
mod guard;
mod hpack;
mod priority;
mod request;
mod request_writer;
mod response;
mod response_writer;
mod schedule;
mod section;
mod settings;
mod stream;
#[cfg(test)]
mod tests;
mod trailers;
mod window;

pub use connection::{Connection, DataFrame, PREFACE, Received, ShutWindow};
pub use error::{ErrorCode, Fault};
pub use event::Event;
pub use frame::{FRAME_HEADER_BYTES, StreamId};
pub use guard::{FLOOD_LIMIT_MAX, Flood, FloodLimits};
pub use priority::Priority;
pub use request_writer::{RequestForm, RequestTo};
pub use response_writer::{Answer, GrpcAnswer};
pub use section::{FieldRoom, Section};
pub use settings::{Config, ExtendedConnect, Role};
pub use trailers::Trailers;
