//! Any first bytes of a connection, read as a header of the PROXY protocol; and what is read,
//! written and read again.

use super::places;
use ringway::limits::{PROXY_V1_BYTES_MAX, PROXY_V2_BYTES_MAX};
use ringway::proxy_protocol::{Addresses, Header, Tlv, read, write_v1, write_v2};
use std::net::SocketAddr;

/// Panics if a verdict breaks its promises.
pub fn run(bytes: &[u8]) {
    let whole = read(bytes);
    for cut in places(bytes.len()) {
        let early = read(&bytes[..cut]);
        assert!(early == Ok(None) || early == whole, "{early:?} after {cut}: {whole:?}");
    }
    if whole != Ok(None) {
        assert_eq!(read(&[bytes, b"\r\n\0"].concat()), whole, "what follows changed it");
    }
    match &whole {
        Ok(None) => assert!(bytes.len() < PROXY_V2_BYTES_MAX),
        Err(fault) => assert!(!fault.text().is_empty()),
        Ok(Some(header)) => check(bytes, header),
    }
}

fn check(bytes: &[u8], header: &Header<'_>) {
    let longest = if bytes[0] == b'P' { PROXY_V1_BYTES_MAX } else { PROXY_V2_BYTES_MAX };
    assert!(header.length <= longest && header.length <= bytes.len());
    let before_its_end = read(&bytes[..header.length - 1]);
    assert_eq!(before_its_end, Ok(None), "it is complete with its last byte");
    let of_tlvs: usize = header.tlvs.clone().map(|tlv| 3 + tlv.value.len()).sum();
    assert!(of_tlvs < header.length);
    if let Some(addresses) = &header.addresses {
        check_written(addresses, header);
    }
}

fn check_written(addresses: &Addresses, header: &Header<'_>) {
    let mut room = vec![0; PROXY_V2_BYTES_MAX];
    let length = write_v1(addresses, &mut room).expect("a line always has room");
    assert!(length <= PROXY_V1_BYTES_MAX);
    check_read(&room[..length], addresses);

    let is_valid = |tlv: &Tlv<'_>| tlv.kind != Tlv::UNIQUE_ID || tlv.value.len() <= 128;
    let tlvs = header.tlvs.clone().filter(is_valid);
    let Some(length) = write_v2(addresses, tlvs.clone(), true, &mut room) else {
        // A checksum, or IPv6 for an IPv4 address, takes more than was there.
        assert!(header.length + 7 + 24 > PROXY_V2_BYTES_MAX);
        return;
    };
    let again = check_read(&room[..length], addresses);
    let is_passed_on = |tlv: &Tlv<'_>| tlv.kind != Tlv::CRC32C;
    assert!(again.tlvs.clone().filter(is_passed_on).eq(tlvs.filter(is_passed_on)));
    assert!(again.tlvs.first(Tlv::CRC32C).is_some_and(|sum| sum.len() == 4));
}

fn check_read<'a>(bytes: &'a [u8], addresses: &Addresses) -> Header<'a> {
    let header = read(bytes).expect("valid").expect("complete");
    let found = header.addresses.expect("as written");
    let plain = |address: SocketAddr| (address.ip().to_canonical(), address.port());
    assert_eq!(plain(found.source), plain(addresses.source));
    assert_eq!(plain(found.destination), plain(addresses.destination));
    assert_eq!(header.length, bytes.len());
    header
}
