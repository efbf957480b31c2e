//! Typed values behind the addresses of version 2 (section 2.2). Does not: interpret them.

use super::Fault;

/// Type and length of a TLV.
pub const TLV_HEADER_BYTES: usize = 3;

/// One typed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Its type, see the constants.
    pub kind: u8,
    /// At most 65,532 bytes: all that a header has room for.
    pub value: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// The name of an application protocol as in TLS (section 2.2.1).
    pub const ALPN: u8 = 0x01;
    /// The host name that the client asked for, UTF-8 (section 2.2.2).
    pub const AUTHORITY: u8 = 0x02;
    /// The checksum of the header (section 2.2.3).
    pub const CRC32C: u8 = 0x03;
    /// Padding (section 2.2.4).
    pub const NOOP: u8 = 0x04;
    /// An identifier of the connection, at most 128 bytes (section 2.2.5).
    pub const UNIQUE_ID: u8 = 0x05;
    /// TLS between client and sender (section 2.2.6).
    pub const SSL: u8 = 0x20;
    /// The name of a network namespace (section 2.2.7).
    pub const NETNS: u8 = 0x30;

    /// The protocol that the client and the sender, or whoever is behind it, speak.
    pub fn alpn(name: &'a [u8]) -> Self {
        Self { kind: Self::ALPN, value: name }
    }

    /// The name that the client asked for, without a port.
    pub fn authority(name: &'a str) -> Self {
        Self { kind: Self::AUTHORITY, value: name.as_bytes() }
    }

    /// An identifier of the connection, any bytes, at most 128.
    pub fn unique_id(id: &'a [u8]) -> Self {
        Self { kind: Self::UNIQUE_ID, value: id }
    }
}

/// Iterates over the TLVs of a header in its order, those of unknown types and the checksum
/// included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tlvs<'a> {
    /// Valid: whole TLVs.
    rest: &'a [u8],
}

impl<'a> Tlvs<'a> {
    /// The TLVs in all these bytes.
    ///
    /// # Errors
    /// The last one is incomplete.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = split(rest).ok_or(Fault::TlvTooLong)?.1;
        }
        Ok(Self { rest: bytes })
    }

    /// All of them, as they came.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.rest
    }

    /// The first value of a type.
    pub fn first(&self, kind: u8) -> Option<&'a [u8]> {
        self.clone().find(|tlv| tlv.kind == kind).map(|tlv| tlv.value)
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let (tlv, rest) = split(self.rest)?;
        self.rest = rest;
        Some(tlv)
    }
}

fn split(bytes: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let (&[kind, high, low], rest) = bytes.split_first_chunk::<TLV_HEADER_BYTES>()?;
    let (value, rest) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
    Some((Tlv { kind, value }, rest))
}
