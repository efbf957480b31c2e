//! TLS of one connection: bytes in, bytes out.
mod backend;
mod fault_kind;
mod handshake;
mod names;
mod record;
mod session;
pub use backend::BackendTls;
pub use fault_kind::FaultKind;
pub use handshake::{Facts, Handshake};
pub use names::ServerNames;
pub use record::{CONTENT_BYTES_MAX, ContentType, OVERHEAD_BYTES_MAX, RecordFault, Version};
pub use session::{Fault, Received, Session};
#[cfg(test)]
mod tests;
