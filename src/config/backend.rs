//! The entries of a pool: a server, or a name that stands for servers. Does not: read them.

use std::fmt;
use std::net::SocketAddr;

/// `[[pool.NAME.backend]]`: a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backend {
    /// Never port 0.
    pub address: SocketAddr,
    /// Its share relative to the others, `0..=WEIGHT_MAX`; 0: gets nothing.
    pub weight: u32,
}

/// A DNS name in place of a backend's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendName {
    /// The lookup of the name.
    pub lookup: Lookup,
    /// The weight of each address, `0..=WEIGHT_MAX`. For SRV it scales the weights of the records.
    pub weight: u32,
}

/// The lookup of a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// A and AAAA records: `address = "app.example.com:8080"`.
    Address {
        /// The name.
        name: String,
        /// The port of every address.
        port: u16,
    },
    /// SRV records, with their ports, priorities and weights: `srv = "_http._tcp.example.com"`.
    Service {
        /// The name.
        name: String,
    },
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { name, port } => write!(f, "{name}:{port}"),
            Self::Service { name } => f.write_str(name),
        }
    }
}

/// An entry of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendEntry {
    /// A server.
    Address(Backend),
    /// A name that stands for servers.
    Name(BackendName),
}
