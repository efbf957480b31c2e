//! The header of the PROXY protocol, versions 1 and 2, read and written: the addresses of a
//! connection, sent ahead of its bytes by the proxy that accepted it. Sections are those of
//! HAProxy's specification, doc/proxy-protocol.txt of 2020-03-05.
//!
//! Does not: decide who may send one, guess whether there is one (section 2 forbids both readings
//! of the same port); own sockets or time; allocate.

mod crc32c;
mod extras;
mod fault;
mod tlv;
mod version1;
mod version2;
mod write;

pub use extras::Extras;
pub use fault::Fault;
pub use tlv::{Tlv, Tlvs};
pub use write::{write_v1, write_v2, write_v2_of_datagram};

use std::net::SocketAddr;

/// A complete version 1 header of a connection whose addresses are not told: the receiver uses the
/// connection's own. Section 2.1: some receivers reject it.
pub const UNKNOWN_V1: &[u8] = b"PROXY UNKNOWN\r\n";

/// A complete version 2 header of a connection that a proxy makes for itself, such as a probe:
/// command LOCAL, address family unspecified, no bytes of addresses.
pub const LOCAL_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

/// A complete and valid header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Bytes of the header: what follows them belongs to the connection. At most
    /// [`crate::limits::PROXY_V2_BYTES_MAX`].
    pub length: usize,
    /// The addresses of the connection that the sender accepted. `None` for LOCAL, UNKNOWN, and
    /// families that are unspecified or UNIX: the connection's own are used.
    pub addresses: Option<Addresses>,
    /// What version 2 adds; nothing for LOCAL and unspecified families, whose bytes have no defined
    /// form and are skipped unread (section 2.2).
    pub tlvs: Tlvs<'a>,
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The client's.
    pub source: SocketAddr,
    /// The one that the client connected to.
    pub destination: SocketAddr,
}

/// Reads the header at the beginning of a connection. `bytes` are all since then. `None`: they are
/// valid so far, and incomplete. Addresses are given as sent, IPv4 within IPv6 too.
///
/// # Errors
/// There is no header, or it is malformed: section 2 has such connections dropped. The verdict is
/// final: further bytes do not change it.
pub fn read(bytes: &[u8]) -> Result<Option<Header<'_>>, Fault> {
    match bytes.first() {
        None => Ok(None),
        Some(first) if *first == version2::SIGNATURE[0] => version2::read(bytes),
        Some(_) => version1::read(bytes),
    }
}

/// True if the first bytes are those that are expected, as far as they have come.
fn begins(bytes: &[u8], expected: &[u8]) -> bool {
    bytes.iter().zip(expected).all(|(byte, expected)| byte == expected)
}

#[cfg(test)]
mod tests;
