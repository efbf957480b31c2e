//! Reads version 2, the binary form (section 2.2).

use super::crc32c::crc32c;
use super::{Addresses, Fault, Header, Tlv, Tlvs, begins};
use std::net::{IpAddr, SocketAddr};

/// The first bytes of each header.
pub const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length of the rest.
pub const FIXED_BYTES: usize = 16;

/// The meaning of a header's 13th and 14th byte.
#[derive(Clone, Copy)]
enum Form {
    /// The rest has no defined form, or none that matters.
    Skipped,
    Ipv4,
    Ipv6,
    Unix,
}

/// See [`super::read`].
pub fn read(bytes: &[u8]) -> Result<Option<Header<'_>>, Fault> {
    if !begins(bytes, SIGNATURE) {
        return Err(Fault::NoHeader);
    }
    // Each byte is judged as soon as it is there: then a peer that is no proxy is not waited for.
    if bytes.get(12).is_some_and(|byte| byte >> 4 != 2) {
        return Err(Fault::Version);
    }
    if bytes.get(12).is_some_and(|byte| byte & 0x0f > 1) {
        return Err(Fault::Command);
    }
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else { return Ok(None) };
    let form = form(fixed[12], fixed[13])?;
    let rest_length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if rest_length < form.address_bytes() {
        return Err(Fault::AddressesTooShort);
    }
    let Some(rest) = rest.get(..rest_length) else { return Ok(None) };
    let length = FIXED_BYTES + rest_length;
    if matches!(form, Form::Skipped) {
        return Ok(Some(Header { length, addresses: None, tlvs: Tlvs::default() }));
    }
    let (block, tlvs) = rest.split_at(form.address_bytes());
    let tlvs = Tlvs::new(tlvs)?;
    check_sum(&bytes[..length], &tlvs)?;
    Ok(Some(Header { length, addresses: form.addresses(block), tlvs }))
}

fn form(command: u8, family: u8) -> Result<Form, Fault> {
    const LOCAL: u8 = 0;
    Ok(match (command & 0x0f, family >> 4, family & 0x0f) {
        (LOCAL, ..) => Form::Skipped,
        (_, 4.., _) | (_, _, 3..) => return Err(Fault::Family),
        (_, 0, _) | (_, _, 0) => Form::Skipped,
        // Stream and datagram: a client of QUIC has addresses too.
        (_, 1, _) => Form::Ipv4,
        (_, 2, _) => Form::Ipv6,
        (_, 3, _) => Form::Unix,
    })
}

impl Form {
    fn address_bytes(self) -> usize {
        match self {
            Self::Skipped => 0,
            Self::Ipv4 => 2 * (4 + 2),
            Self::Ipv6 => 2 * (16 + 2),
            Self::Unix => 2 * 108,
        }
    }

    /// The addresses in a block of this form.
    fn addresses(self, block: &[u8]) -> Option<Addresses> {
        match self {
            Self::Skipped | Self::Unix => None,
            Self::Ipv4 => addresses::<4>(block),
            Self::Ipv6 => addresses::<16>(block),
        }
    }
}

/// Both addresses, then both ports.
fn addresses<const N: usize>(block: &[u8]) -> Option<Addresses>
where
    IpAddr: From<[u8; N]>,
{
    let (source, block) = block.split_first_chunk::<N>()?;
    let (destination, ports) = block.split_first_chunk::<N>()?;
    let &[s0, s1, d0, d1] = ports else { return None };
    Some(Addresses {
        source: SocketAddr::new((*source).into(), u16::from_be_bytes([s0, s1])),
        destination: SocketAddr::new((*destination).into(), u16::from_be_bytes([d0, d1])),
    })
}

/// Checks the checksum of a header if it has one (section 2.2.3).
fn check_sum(header: &[u8], tlvs: &Tlvs<'_>) -> Result<(), Fault> {
    let mut sums = tlvs.clone().filter(|tlv| tlv.kind == Tlv::CRC32C);
    let Some(sum) = sums.next() else { return Ok(()) };
    let (Ok(stated), None) = (<[u8; 4]>::try_from(sum.value), sums.next()) else {
        return Err(Fault::ChecksumForm);
    };
    // The value lies within the header: its place is where it begins there.
    let at = sum.value.as_ptr() as usize - header.as_ptr() as usize;
    let calculated = crc32c(&[&header[..at], &[0; 4], &header[at + 4..]]);
    if calculated == u32::from_be_bytes(stated) { Ok(()) } else { Err(Fault::ChecksumWrong) }
}
