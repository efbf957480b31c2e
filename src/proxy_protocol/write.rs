//! Writes headers with addresses. A connection without is [`super::UNKNOWN_V1`] or
//! [`super::LOCAL_V2`].

use super::crc32c::crc32c;
use super::tlv::TLV_HEADER_BYTES;
use super::version2::{FIXED_BYTES, SIGNATURE};
use super::{Addresses, Tlv};
use std::io::{Cursor, Write};
use std::net::{IpAddr, Ipv6Addr};

/// Version 2 and command PROXY.
const VERSION_2_PROXY: u8 = 0x21;
/// The families of section 2.2, in the upper half of their byte.
const IPV4: u8 = 0x10;
const IPV6: u8 = 0x20;
/// The transports there, in the lower half.
const STREAM: u8 = 0x01;
const DATAGRAM: u8 = 0x02;
/// Section 2.2.5.
pub(super) const UNIQUE_ID_BYTES_MAX: usize = 128;

/// Both addresses in one family. IPv4 within IPv6 is IPv4, as on a socket that accepts both; next
/// to an IPv6 address, an IPv4 one is written within IPv6: the protocol has no mixed pairs.
enum Pair {
    Ipv4([[u8; 4]; 2]),
    Ipv6([Ipv6Addr; 2]),
}

impl Pair {
    fn new(addresses: &Addresses) -> Self {
        let [source, destination] =
            [addresses.source, addresses.destination].map(|address| address.ip().to_canonical());
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Self::Ipv4([source.octets(), destination.octets()])
            }
            mixed => Self::Ipv6([within_ipv6(mixed.0), within_ipv6(mixed.1)]),
        }
    }
}

fn within_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Writes a version 1 header of a TCP connection at the beginning of `room`. The result is its
/// length, at most 104 bytes (section 2.1); `None`, and any bytes in `room`, if `room` is too
/// small.
pub fn write_v1(addresses: &Addresses, room: &mut [u8]) -> Option<usize> {
    let mut out = Cursor::new(room);
    match Pair::new(addresses) {
        Pair::Ipv4([source, destination]) => {
            let [source, destination] = [source, destination].map(std::net::Ipv4Addr::from);
            write!(out, "PROXY TCP4 {source} {destination}")
        }
        Pair::Ipv6([source, destination]) => {
            out.write_all(b"PROXY TCP6 ").ok()?;
            write_ipv6(&mut out, source)?;
            out.write_all(b" ").ok()?;
            write_ipv6(&mut out, destination)?;
            Ok(())
        }
    }
    .ok()?;
    let (source, destination) = (addresses.source.port(), addresses.destination.port());
    write!(out, " {source} {destination}\r\n").ok()?;
    usize::try_from(out.position()).ok()
}

/// Section 2.1 has hexadecimal digits only; the usual text of IPv4 within IPv6 has dots.
fn write_ipv6(out: &mut impl Write, address: Ipv6Addr) -> Option<()> {
    match (address.to_ipv4_mapped(), address.segments()) {
        (Some(_), [.., high, low]) => write!(out, "::ffff:{high:x}:{low:x}").ok(),
        (None, _) => write!(out, "{address}").ok(),
    }
}

/// Writes a version 2 header of a TCP connection at the beginning of `room`, with these TLVs in
/// this order and then, if `has_checksum`, their checksum. A checksum among `tlvs` is left out: it
/// was that of another header. The result is its length.
///
/// `None`, and any bytes in `room`: it is too small, all but the first 16 bytes are more than
/// 65,535, or a unique id has more than 128.
pub fn write_v2<'a>(
    addresses: &Addresses,
    tlvs: impl IntoIterator<Item = Tlv<'a>>,
    has_checksum: bool,
    room: &mut [u8],
) -> Option<usize> {
    let mut out = Cursor::new(room);
    out.write_all(SIGNATURE).ok()?;
    write_addresses(addresses, STREAM, &mut out)?;
    for tlv in tlvs.into_iter().filter(|tlv| tlv.kind != Tlv::CRC32C) {
        if tlv.kind == Tlv::UNIQUE_ID && tlv.value.len() > UNIQUE_ID_BYTES_MAX {
            return None;
        }
        write_tlv(tlv, &mut out)?;
    }
    if has_checksum {
        write_tlv(Tlv { kind: Tlv::CRC32C, value: &[0; 4] }, &mut out)?;
    }
    let length = usize::try_from(out.position()).ok()?;
    let rest = u16::try_from(length - FIXED_BYTES).ok()?;
    let header = out.into_inner().get_mut(..length)?;
    header[14..16].copy_from_slice(&rest.to_be_bytes());
    if has_checksum {
        let sum = crc32c(&[header]);
        header[length - 4..].copy_from_slice(&sum.to_be_bytes());
    }
    Some(length)
}

/// Writes a version 2 header of a datagram at the beginning of `room`, without TLVs. The result is
/// its length, at most 52; `None`, and any bytes in `room`, if that is too small.
pub fn write_v2_of_datagram(addresses: &Addresses, room: &mut [u8]) -> Option<usize> {
    let mut out = Cursor::new(room);
    out.write_all(SIGNATURE).ok()?;
    write_addresses(addresses, DATAGRAM, &mut out)?;
    let length = usize::try_from(out.position()).ok()?;
    let rest = u16::try_from(length - FIXED_BYTES).ok()?;
    out.into_inner()[14..FIXED_BYTES].copy_from_slice(&rest.to_be_bytes());
    Some(length)
}

/// Command, family and transport, room for the length, and the addresses.
fn write_addresses(addresses: &Addresses, transport: u8, out: &mut impl Write) -> Option<()> {
    match Pair::new(addresses) {
        Pair::Ipv4(pair) => {
            out.write_all(&[VERSION_2_PROXY, IPV4 | transport, 0, 0]).ok()?;
            pair.iter().try_for_each(|address| out.write_all(address)).ok()?;
        }
        Pair::Ipv6(pair) => {
            out.write_all(&[VERSION_2_PROXY, IPV6 | transport, 0, 0]).ok()?;
            pair.iter().try_for_each(|address| out.write_all(&address.octets())).ok()?;
        }
    }
    [addresses.source, addresses.destination]
        .iter()
        .try_for_each(|address| out.write_all(&address.port().to_be_bytes()))
        .ok()
}

fn write_tlv(tlv: Tlv<'_>, out: &mut impl Write) -> Option<()> {
    let [high, low] = u16::try_from(tlv.value.len()).ok()?.to_be_bytes();
    let header: [u8; TLV_HEADER_BYTES] = [tlv.kind, high, low];
    out.write_all(&header).ok()?;
    out.write_all(tlv.value).ok()
}
