//! The key of a request or connection, by which its backend is found: which part of it that is, and
//! the hash of it.

use super::siphash::SipHash;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;

/// The second word of the key under which keys are hashed.
const KEY: u64 = 0x006b_6579;

/// The second prefix of `client/24`, bits: a subscriber has such a network.
const V6_PREFIX_DEFAULT: u8 = 64;

/// The places of a table by default.
pub const TABLE_SIZE_DEFAULT: u32 = 65_537;

/// The hash of a key; 1 in place of 0, so that an optional one takes no more room.
pub type KeyHash = NonZeroU64;

/// The part of a request or connection that is its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The client's network: its address with so many bits.
    Client {
        /// Bits of an IPv4 address, `0..=32`.
        v4: u8,
        /// Bits of an IPv6 address, `0..=128`.
        v6: u8,
    },
    /// The client's address and port.
    ClientPort,
    /// The server name of TLS (RFC 6066, 3).
    Sni,
    /// The host of a request, without port.
    Host,
    /// The path of a request, without query.
    Path,
    /// A parameter of the query.
    Query(String),
    /// A field of a request.
    Header(String),
    /// A cookie.
    Cookie(String),
}

/// The rules of hashing.
#[derive(Clone, Debug, PartialEq)]
pub struct HashRules {
    /// The key.
    pub key: HashKey,
    /// What hashes are made with: another one moves every key.
    pub seed: u64,
    /// The places of the table, a prime number.
    pub table_size: u32,
    /// Most exchanges in flight of a backend as a multiple of its share by weight, from 1; 0: no
    /// bound.
    pub balance: f64,
}

impl Default for HashRules {
    fn default() -> Self {
        let key = HashKey::CLIENT;
        Self { key, seed: 0, table_size: TABLE_SIZE_DEFAULT, balance: 1.25 }
    }
}

impl HashKey {
    /// The client's whole address.
    pub const CLIENT: Self = Self::Client { v4: 32, v6: 128 };

    /// Reads what [`HashKey`] prints.
    ///
    /// # Errors
    /// What it can be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let parsed = match text.split_once(':') {
            Some(("query", name)) => named(name).map(Self::Query),
            Some(("header", name)) => named(name).map(|name| Self::Header(name.to_lowercase())),
            Some(("cookie", name)) => named(name).map(Self::Cookie),
            Some(_) => None,
            None => match text {
                "client" => Some(Self::CLIENT),
                "client-port" => Some(Self::ClientPort),
                "sni" => Some(Self::Sni),
                "host" => Some(Self::Host),
                "path" => Some(Self::Path),
                _ => text.strip_prefix("client/").and_then(Self::network),
            },
        };
        parsed.ok_or_else(|| {
            format!(
                "`{}` is no key to hash: it can be client, client/24 (a prefix of IPv4), \
                 client/24/56 (of IPv4 and IPv6), client-port, sni, host, path, query:NAME, \
                 header:NAME or cookie:NAME",
                text.escape_debug()
            )
        })
    }

    fn network(prefixes: &str) -> Option<Self> {
        let (v4, v6) = match prefixes.split_once('/') {
            Some((v4, v6)) => (v4.parse().ok()?, v6.parse().ok()?),
            None => (prefixes.parse().ok()?, V6_PREFIX_DEFAULT),
        };
        (v4 <= 32 && v6 <= 128).then_some(Self::Client { v4, v6 })
    }

    /// The hash of the key of a connection from this address; none if it is no part of an address.
    pub fn of_address(&self, seed: u64, client: SocketAddr) -> Option<KeyHash> {
        let mut hash = SipHash::new([seed, KEY]);
        match (self, client.ip().to_canonical()) {
            (Self::Client { v4, .. }, IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*v4)).unwrap_or(0);
                hash.write(&(u32::from(ip) & mask).to_be_bytes());
            }
            (Self::Client { v6, .. }, IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*v6)).unwrap_or(0);
                hash.write(&(u128::from(ip) & mask).to_be_bytes());
            }
            (Self::ClientPort, IpAddr::V4(ip)) => hash.write(&ip.octets()),
            (Self::ClientPort, IpAddr::V6(ip)) => hash.write(&ip.octets()),
            _ => return None,
        }
        if *self == Self::ClientPort {
            hash.write(&client.port().to_be_bytes());
        }
        Some(finished(hash))
    }

    /// The hash of the bytes of a key that is no address. Names of hosts are the same in upper and
    /// in lower case.
    pub fn of_bytes(&self, seed: u64, key: &[u8]) -> KeyHash {
        let mut hash = SipHash::new([seed, KEY]);
        match self {
            Self::Host | Self::Sni => {
                key.iter().for_each(|byte| hash.push(byte.to_ascii_lowercase()));
            }
            _ => hash.write(key),
        }
        finished(hash)
    }

    /// The hash of a key as a user writes it.
    ///
    /// # Errors
    /// A sentence: it is no address, and has to be one; or it is empty.
    pub fn of_text(&self, seed: u64, text: &str) -> Result<KeyHash, String> {
        if text.is_empty() {
            return Err("an empty key is none: the backend is picked as by p2c".to_owned());
        }
        let address = match self {
            Self::Client { .. } => text.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, 0)),
            Self::ClientPort => text.parse().ok(),
            _ => return Ok(self.of_bytes(seed, text.as_bytes())),
        };
        let hash = address.and_then(|address| self.of_address(seed, address));
        hash.ok_or_else(|| {
            let example = match self {
                Self::ClientPort => "address and port of a client, as 192.0.2.1:4711",
                _ => "address of a client, as 192.0.2.1",
            };
            format!("`{}` is no key of this pool: give the {example}", text.escape_debug())
        })
    }
}

fn finished(hash: SipHash) -> KeyHash {
    KeyHash::new(hash.finish()).unwrap_or(KeyHash::MIN)
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client { v4: 32, v6: 128 } => f.write_str("client"),
            Self::Client { v4, v6 } => write!(f, "client/{v4}/{v6}"),
            Self::ClientPort => f.write_str("client-port"),
            Self::Sni => f.write_str("sni"),
            Self::Host => f.write_str("host"),
            Self::Path => f.write_str("path"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}

/// True if a number has no divisor but 1 and itself.
pub fn is_prime(number: u32) -> bool {
    let divisors = (2u32..).take_while(|divisor| u64::from(*divisor).pow(2) <= number.into());
    number > 1 && divisors.into_iter().all(|divisor| !number.is_multiple_of(divisor))
}
