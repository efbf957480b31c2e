//! Where a listener listens. Does not: read or print an address.

use super::addresses::overlap;
use super::choices::Protocol;
use super::sections::Listener;
use std::net::SocketAddr;

/// The transport below a protocol. Each has ports of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// The address that a listener listens on, with its transport: DNS listens on one port by both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The transport.
    pub transport: Transport,
    /// The address.
    pub address: SocketAddr,
}

impl Endpoint {
    /// An address that connections are accepted on.
    pub fn tcp(address: SocketAddr) -> Self {
        Self { transport: Transport::Tcp, address }
    }

    /// True if two listeners on them would overlap: they share a transport, a port and an address,
    /// as the one on all addresses and one on a single address of the same port.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.transport == other.transport && overlap(self.address, other.address)
    }
}

impl Protocol {
    /// Requests are read, so that routes may tell by host and path.
    pub fn reads_requests(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// The transport below it.
    pub fn transport(self) -> Transport {
        match self {
            Self::Http | Self::Https | Self::Tcp | Self::TlsPassthrough => Transport::Tcp,
            Self::Udp => Transport::Udp,
        }
    }
}

impl Listener {
    /// Its configured address, with its transport.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { transport: self.protocol.transport(), address: self.address }
    }
}
