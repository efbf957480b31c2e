//! What a header of version 2 says beside the addresses: chosen values, then those of a header that
//! came before. Does not: decide which are chosen.

use super::tlv::TLV_HEADER_BYTES;
use super::write::UNIQUE_ID_BYTES_MAX;
use super::{Tlv, Tlvs};
use crate::limits::{BUFFER_BYTES_MIN, PROXY_TLVS_KEPT_BYTES_MAX, PROXY_V1_BYTES_MAX};

/// Bytes of a header without TLVs, in either version.
const ADDRESSES_BYTES_MAX: usize = PROXY_V1_BYTES_MAX;
/// Bytes of a checksum.
const CHECKSUM_BYTES: usize = TLV_HEADER_BYTES + 4;
/// A server name, the name of a protocol and an identifier.
const OWN_BYTES_MAX: usize = 3 * TLV_HEADER_BYTES + 253 + 255 + UNIQUE_ID_BYTES_MAX;

const _: () = assert!(
    ADDRESSES_BYTES_MAX + OWN_BYTES_MAX + PROXY_TLVS_KEPT_BYTES_MAX + CHECKSUM_BYTES
        <= BUFFER_BYTES_MIN,
    "a header fits a buffer"
);

/// The chosen values. All of them are optional.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// The host name that the client asked for.
    pub authority: Option<&'a [u8]>,
    /// An application protocol.
    pub alpn: Option<&'a [u8]>,
    /// The identifier of the connection, at most 128 bytes.
    pub unique_id: Option<&'a [u8]>,
    /// The TLVs of the header that came before, as they came. Those that are written anew are left
    /// out, and so are its checksum and its padding.
    pub received: Option<&'a [u8]>,
    /// A checksum follows.
    pub has_checksum: bool,
}

impl<'a> Extras<'a> {
    /// The TLVs, without a checksum.
    pub fn tlvs(self) -> impl Iterator<Item = Tlv<'a>> {
        let own = [
            (Tlv::AUTHORITY, self.authority),
            (Tlv::ALPN, self.alpn),
            (Tlv::UNIQUE_ID, self.unique_id),
        ];
        let is_own = move |kind: u8| own.iter().any(|(own, value)| *own == kind && value.is_some());
        let is_valid =
            |tlv: &Tlv<'_>| tlv.kind != Tlv::UNIQUE_ID || tlv.value.len() <= UNIQUE_ID_BYTES_MAX;
        let received = self.received.and_then(|bytes| Tlvs::new(bytes).ok()).unwrap_or_default();
        let received = received.filter(move |tlv| {
            let is_of_header = matches!(tlv.kind, Tlv::CRC32C | Tlv::NOOP);
            !is_of_header && !is_own(tlv.kind) && is_valid(tlv)
        });
        let own = own.into_iter();
        own.filter_map(|(kind, value)| Some(Tlv { kind, value: value? })).chain(received)
    }

    /// Bytes of a header with them at most, in either version.
    pub fn header_bytes(&self) -> usize {
        let own = [self.authority, self.alpn, self.unique_id];
        let own = own.into_iter().flatten().map(|value| TLV_HEADER_BYTES + value.len());
        let received = self.received.map_or(0, <[u8]>::len);
        ADDRESSES_BYTES_MAX + own.sum::<usize>() + received + CHECKSUM_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy_protocol::{Addresses, read, write_v2};

    fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind, (value.len() >> 8) as u8, value.len() as u8], value].concat()
    }

    #[test]
    fn what_came_goes_on_but_for_what_is_of_the_header_itself_or_written_anew() {
        let received = [
            tlv(Tlv::AUTHORITY, b"old"),
            tlv(0xe0, b"cloud"),
            tlv(Tlv::CRC32C, &[1, 2, 3, 4]),
            tlv(Tlv::NOOP, b"xxx"),
            tlv(Tlv::UNIQUE_ID, &[7; 129]),
            tlv(Tlv::SSL, &[1, 0, 0, 0, 0]),
        ];
        let received = received.concat();
        let chosen = Extras { received: Some(&received), ..Extras::default() };
        let kinds = |extras: Extras<'_>| extras.tlvs().map(|tlv| tlv.kind).collect::<Vec<u8>>();
        assert_eq!(kinds(chosen), [Tlv::AUTHORITY, 0xe0, Tlv::SSL]);
        let extras = Extras {
            authority: Some(b"new"),
            unique_id: Some(b"id"),
            has_checksum: true,
            ..chosen
        };
        assert_eq!(kinds(extras), [Tlv::AUTHORITY, Tlv::UNIQUE_ID, 0xe0, Tlv::SSL]);
        assert_eq!(extras.tlvs().next().map(|tlv| tlv.value), Some(&b"new"[..]));
        let address = ([192, 0, 2, 1], 1).into();
        let addresses = Addresses { source: address, destination: address };
        let mut room = [0; 4096];
        let length = write_v2(&addresses, extras.tlvs(), true, &mut room).expect("room");
        assert!(length <= extras.header_bytes(), "{length} bytes");
        let header = read(&room[..length]).expect("valid").expect("complete");
        assert!(header.tlvs.first(Tlv::CRC32C).is_some());
    }
}
