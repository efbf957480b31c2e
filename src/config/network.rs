//! A network of IP addresses in CIDR notation (RFC 4632, RFC 4291).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// All addresses with the same first bits. No bit is set past those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpNetwork {
    first: IpAddr,
    prefix_bits: u8,
}

impl IpNetwork {
    /// True if `address` is in the network. An IPv4 address in its IPv6 form (`::ffff:a.b.c.d`)
    /// counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.prefix_bits) == Some(self.first)
            && address.to_canonical().is_ipv4() == self.first.is_ipv4()
    }

    /// The lowest address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// How many leading bits its addresses share, `0..=32` or `0..=128`.
    pub fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }
}

/// The address with all bits past the first `bits` cleared; none if it has fewer.
fn masked(address: IpAddr, bits: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => {
            let shift = 32u32.checked_sub(bits.into())?;
            let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
            Some(Ipv4Addr::from_bits(v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let shift = 128u32.checked_sub(bits.into())?;
            let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
            Some(Ipv6Addr::from_bits(v6.to_bits() & mask).into())
        }
    }
}

impl FromStr for IpNetwork {
    type Err = String;

    /// `address/bits`, or a single address. The error is a sentence for the user.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| {
            format!("`{text}` is not a network: write it like \"10.0.0.0/8\" or \"::1\"")
        })?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            None => all,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= all).ok_or_else(|| {
                format!("`{bits}` is not a prefix length for {address}: it goes from 0 to {all}")
            })?,
        };
        if address.to_canonical() != address {
            return Err(format!("write `{address}` as an IPv4 address or network"));
        }
        let first = masked(address, prefix_bits).expect("the length was checked above");
        if first != address {
            let network = Self { first, prefix_bits };
            return Err(format!("`{text}` has bits past its prefix: did you mean `{network}`?"));
        }
        Ok(Self { first, prefix_bits })
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = if self.first.is_ipv4() { 32 } else { 128 };
        if self.prefix_bits == all {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}/{}", self.first, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_exactly_the_addresses_with_its_prefix() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.0/31", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("2001:db8::/32", "2001:db8:ffff::", "2001:db9::"),
        ] {
            let parsed: IpNetwork = network.parse().unwrap();
            assert_eq!(parsed.to_string(), network);
            assert!(parsed.contains(inside.parse().unwrap()), "{network} has {inside}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{network} lacks {outside}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_network_and_says_why() {
        for (text, part) in [
            ("10.0.0.1/8", "did you mean `10.0.0.0/8`?"),
            ("10.0.0.0/33", "from 0 to 32"),
            ("::/129", "from 0 to 128"),
            ("10.0.0.0/", "prefix length"),
            ("10.0.0/8", "not a network"),
            ("localhost", "not a network"),
            ("::ffff:10.0.0.0/104", "IPv4"),
            ("", "not a network"),
        ] {
            let error = text.parse::<IpNetwork>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
