//! TLS of one connection: bytes in, bytes out.
mod handshake;
mod names;
mod record;
mod session;
pub use handshake::{Facts, Handshake};
pub use names::ServerNames;
pub use record::{CONTENT_BYTES_MAX, ContentType, OVERHEAD_BYTES_MAX, RecordFault, Version};
pub use session::{Fault, Received, Session};
#[cfg(test)]
mod tests;
