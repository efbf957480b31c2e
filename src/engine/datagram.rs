//! A datagram as an engine receives and sends it.

use super::Slice;
use std::net::{IpAddr, SocketAddr};

/// Bytes in front of a received datagram that may be written: a header can be put there. The header
/// of the PROXY protocol with IPv6 addresses has 52.
pub const DATAGRAM_HEADROOM: usize = 64;

/// A datagram that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its bytes; none if it is empty. At least [`DATAGRAM_HEADROOM`] bytes of the buffer are in
    /// front of them.
    pub payload: Slice,
    /// Its sender; none if the socket does not report it.
    pub from: Option<SocketAddr>,
    /// The address of this host that it was sent to; none if the socket does not report it.
    pub to: Option<IpAddr>,
    /// All its bytes are there; false if it was longer than a buffer.
    pub is_whole: bool,
}

/// Where a datagram is sent that does not go to the peer of a connected socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its receiver.
    pub address: SocketAddr,
    /// The address of this host that it leaves from; none for that of the socket, or for whichever
    /// the routes have.
    pub source: Option<IpAddr>,
}
