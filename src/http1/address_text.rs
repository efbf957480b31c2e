//! The text of an IP address, without formatting for the one that almost every client has.

use super::output::Output;
use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};

/// Bytes of the longest address, `ffff:…:255.255.255.255`.
const ADDRESS_BYTES_MAX: usize = 45;

/// An octet in decimal digits, with a dot behind it.
#[derive(Clone, Copy)]
struct Octet {
    text: [u8; 4],
    length: u8,
}

const OCTETS: [Octet; 256] = {
    let mut octets = [Octet { text: [b'.'; 4], length: 0 }; 256];
    let mut octet = 0;
    while octet < 256 {
        let digits = 1 + (octet > 9) as usize + (octet > 99) as usize;
        let (mut at, mut rest) = (digits, octet);
        while at > 0 {
            at -= 1;
            octets[octet].text[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        octets[octet].length = digits as u8 + 1;
        octet += 1;
    }
    octets
};

/// See the module.
pub(super) struct AddressText {
    bytes: [u8; ADDRESS_BYTES_MAX],
    length: usize,
}

impl AddressText {
    /// Of an address; a mapped one is written as the IPv4 address that it is.
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::of_octets(address.octets()),
            IpAddr::V6(address) => Self::formatted(address),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn of_octets(octets: [u8; 4]) -> Self {
        let (mut bytes, mut at) = ([0; ADDRESS_BYTES_MAX], 0);
        for octet in octets {
            let Octet { text, length } = OCTETS[usize::from(octet)];
            bytes[at..at + 4].copy_from_slice(&text);
            at += usize::from(length);
        }
        // No dot is behind the last one.
        Self { bytes, length: at - 1 }
    }

    fn formatted(address: Ipv6Addr) -> Self {
        let mut bytes = [0; ADDRESS_BYTES_MAX];
        let mut out = Output::new(&mut bytes);
        write!(out, "{address}").expect("a failure shows in `Output::finish`");
        let length = out.finish().expect("no address is longer");
        Self { bytes, length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_usually_are() {
        let check = |address: IpAddr, expected: String| {
            assert_eq!(AddressText::of(address).bytes(), expected.as_bytes(), "{address}");
        };
        for octet in 0..=u8::MAX {
            let address = std::net::Ipv4Addr::new(octet, 0, 255 - octet, octet);
            check(address.into(), address.to_string());
            check(address.to_ipv6_mapped().into(), address.to_string());
        }
        for text in ["::", "::1", "2001:db8::7", "1111:2222:3333:4444:5555:6666:7777:8888"] {
            check(text.parse().expect("an address"), text.to_owned());
        }
    }
}
