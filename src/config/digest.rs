//! A short digest of a configuration, by which users compare two of them. Does not: resist an
//! attacker who searches for a collision.

use super::Config;
use std::fmt;

/// See the module. It stays the same as long as the configuration prints the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u32);

impl Config {
    /// The digest of every value in effect, of any origin.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_toml().as_bytes())
    }
}

impl Digest {
    /// FNV-1a of 64 bits (RFC 9923), folded to 32.
    fn of(bytes: &[u8]) -> Self {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, step);
        Self((hash >> 32) as u32 ^ hash as u32)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_follows_the_values_and_nothing_else() {
        // The hash of "a" in RFC 9923 is af63dc4c8601ec8c.
        assert_eq!(Digest::of(b"a").to_string(), format!("{:08x}", 0xaf63_dc4c_u32 ^ 0x8601_ec8c));
        let config = Config::default();
        assert_eq!(config.digest(), Config::default().digest());
        let mut other = config.clone();
        other.runtime.backlog += 1;
        assert_ne!(config.digest(), other.digest());
    }
}
