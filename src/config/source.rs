//! The address that connections to backends come from. Does not: ask the machine for it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The word for the client's address.
const CLIENT: &str = "client";

/// The `source` of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PoolSource {
    /// The kernel chooses it by the route.
    #[default]
    Any,
    /// An address of this machine.
    Address(IpAddr),
    /// That of the client.
    Client,
}

impl PoolSource {
    /// Reads it. The error is a sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => return Ok(Self::Any),
            CLIENT => return Ok(Self::Client),
            _ => {}
        }
        let shown = text.escape_debug();
        if text.parse::<SocketAddr>().is_ok() {
            return Err(format!(
                "`{shown}` has a port, which the kernel chooses: write the IP only"
            ));
        }
        let ip: IpAddr = text.trim_matches(['[', ']']).parse().map_err(|_| {
            format!("`{shown}` is no source: write an IP address of this machine, or \"{CLIENT}\"")
        })?;
        let ip = ip.to_canonical();
        let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        if ip.is_unspecified() || ip.is_multicast() || is_broadcast {
            return Err(format!("`{shown}` is no address that a connection can come from"));
        }
        Ok(Self::Address(ip))
    }

    /// The address, if it is one of this machine.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(ip) => Some(ip),
            Self::Any | Self::Client => None,
        }
    }

    /// True if no connection to this backend can come from it.
    pub fn excludes(self, backend: SocketAddr) -> bool {
        self.address().is_some_and(|ip| ip.is_ipv4() != backend.is_ipv4())
    }
}

impl fmt::Display for PoolSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Address(ip) => ip.fmt(f),
            Self::Client => f.write_str(CLIENT),
        }
    }
}
