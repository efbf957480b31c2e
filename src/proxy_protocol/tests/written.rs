//! What is written, byte by byte and read again.

use super::super::{write_v1, write_v2, write_v2_of_datagram};
use super::*;
use crate::base::Prng;
use crate::limits::PROXY_V2_BYTES_MAX;
use std::net::SocketAddr;

/// The output of `write` with room enough; checks that it writes nothing beyond it and that it does
/// not write with less.
fn written(write: impl Fn(&mut [u8]) -> Option<usize>) -> Vec<u8> {
    let mut room = vec![0xee; PROXY_V2_BYTES_MAX + 1];
    let length = write(&mut room).expect("room enough");
    assert!(room[length..].iter().all(|byte| *byte == 0xee), "more than it states");
    let step = length / 300 + 1;
    for less in (0..length).step_by(step).chain([length - 1]) {
        assert_eq!(write(&mut vec![0; less]), None, "{less} bytes for {length}");
    }
    room.truncate(length);
    assert_eq!(write(&mut room), Some(length));
    room
}

fn v1(addresses: &Addresses) -> Vec<u8> {
    written(|room| write_v1(addresses, room))
}

fn v2(addresses: &Addresses, tlvs: &[Tlv<'_>], has_checksum: bool) -> Vec<u8> {
    written(|room| write_v2(addresses, tlvs.iter().copied(), has_checksum, room))
}

#[test]
fn version_1_is_a_line() {
    for (source, destination, line) in [
        ("192.0.2.1:56324", "198.51.100.2:443", "TCP4 192.0.2.1 198.51.100.2 56324 443"),
        ("[2001:db8::1]:1", "[::1]:0", "TCP6 2001:db8::1 ::1 1 0"),
        // A socket of both families, and a mixed pair.
        ("[::ffff:192.0.2.1]:1", "[::ffff:198.51.100.2]:2", "TCP4 192.0.2.1 198.51.100.2 1 2"),
        ("192.0.2.1:1", "[::ffff:198.51.100.2]:2", "TCP4 192.0.2.1 198.51.100.2 1 2"),
        ("192.0.2.1:1", "[2001:db8::1]:2", "TCP6 ::ffff:c000:201 2001:db8::1 1 2"),
        ("[2001:db8::1]:2", "0.0.0.1:3", "TCP6 2001:db8::1 ::ffff:0:1 2 3"),
    ] {
        let bytes = v1(&pair(source, destination));
        assert_eq!(String::from_utf8(bytes).unwrap(), format!("PROXY {line}\r\n"));
    }
    let widest = "[abcd:abcd:abcd:abcd:abcd:abcd:abcd:abcd]:65535";
    assert_eq!(v1(&pair(widest, widest)).len(), 104);
}

#[test]
fn version_2_has_the_bytes_of_the_specification() {
    let bytes = v2(&pair("192.0.2.1:56324", "198.51.100.2:443"), &[], false);
    let signature = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
    assert_eq!(bytes[..12], signature);
    assert_eq!(bytes[12..16], [0x21, 0x11, 0, 12]);
    assert_eq!(bytes[16..], [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb]);

    let bytes = v2(&pair("[2001:db8::1]:1", "192.0.2.1:2"), &[Tlv::alpn(b"h2")], false);
    assert_eq!(bytes[12..16], [0x21, 0x21, 0, 36 + 5]);
    assert_eq!(bytes[16..20], [0x20, 0x01, 0x0d, 0xb8]);
    assert_eq!(bytes[42..48], [0xff, 0xff, 192, 0, 2, 1]);
    assert_eq!(bytes[48..], [0, 1, 0, 2, 1, 0, 2, b'h', b'2']);

    let within_ipv6 = pair("[::ffff:192.0.2.1]:1", "[::ffff:198.51.100.2]:2");
    assert_eq!(v2(&within_ipv6, &[], false)[13], 0x11);
}

#[test]
fn a_datagram_has_the_same_header_with_its_own_transport() {
    for (source, destination, family) in [
        ("192.0.2.1:56324", "198.51.100.2:443", 0x12),
        ("[2001:db8::1]:1", "[::1]:0", 0x22),
        ("[::ffff:192.0.2.1]:1", "[::ffff:198.51.100.2]:2", 0x12),
    ] {
        let addresses = pair(source, destination);
        let mut expected = v2(&addresses, &[], false);
        expected[13] = family;
        assert_eq!(written(|room| write_v2_of_datagram(&addresses, room)), expected);
        let header = read(&expected).unwrap().unwrap();
        assert_eq!(header.length, expected.len());
    }
}

#[test]
fn chosen_tlvs_are_written_and_a_checksum_behind_them() {
    let addresses = pair("192.0.2.1:1", "198.51.100.2:2");
    let id = [9; 128];
    let tlvs = [Tlv::authority("a.example"), Tlv::alpn(b"h2"), Tlv::unique_id(&id)];
    let bytes = v2(&addresses, &tlvs, true);
    let header = read(&bytes).unwrap().unwrap();
    assert_eq!((header.length, header.addresses), (bytes.len(), Some(addresses)));
    let read_again: Vec<_> = header.tlvs.collect();
    assert_eq!(read_again[..3], tlvs);
    assert_eq!((read_again.len(), read_again[3].kind), (4, Tlv::CRC32C));
    let mut changed = bytes.clone();
    changed[20] ^= 0x10;
    assert_eq!(read(&changed), Err(Fault::ChecksumWrong));
}

#[test]
fn the_checksum_of_another_header_is_not_passed_on() {
    let addresses = pair("192.0.2.1:1", "198.51.100.2:2");
    let received = v2(&addresses, &[Tlv { kind: 0xea, value: b"x" }], true);
    let tlvs = read(&received).unwrap().unwrap().tlvs;
    let other = pair("192.0.2.9:1", "198.51.100.2:2");
    for has_checksum in [false, true] {
        let bytes = written(|room| write_v2(&other, tlvs.clone(), has_checksum, room));
        let header = read(&bytes).unwrap().unwrap();
        assert_eq!(header.addresses, Some(other));
        assert_eq!(header.tlvs.first(0xea), Some(&b"x"[..]));
        assert_eq!(header.tlvs.first(Tlv::CRC32C).is_some(), has_checksum);
    }
}

#[test]
fn what_has_no_room_in_a_header_is_not_written() {
    let addresses = pair("192.0.2.1:1", "198.51.100.2:2");
    let mut room = vec![0; PROXY_V2_BYTES_MAX + 100];
    let longest = vec![7; usize::from(u16::MAX) - 12 - 3];
    let fits = [Tlv { kind: 0xe0, value: &longest }];
    assert_eq!(write_v2(&addresses, fits, false, &mut room), Some(PROXY_V2_BYTES_MAX));
    assert_eq!(write_v2(&addresses, fits, true, &mut room), None);
    let too_many = [fits[0], Tlv { kind: Tlv::NOOP, value: b"" }];
    assert_eq!(write_v2(&addresses, too_many, false, &mut room), None);
    let too_long = vec![7; 65_536];
    let value = [Tlv { kind: 0xe0, value: &too_long }];
    assert_eq!(write_v2(&addresses, value, false, &mut room), None);
    assert_eq!(write_v2(&addresses, [Tlv::unique_id(&[1; 129])], false, &mut room), None);
}

#[test]
fn a_connection_without_a_client_has_headers_of_its_own() {
    check_header(UNKNOWN_V1, None);
    check_header(LOCAL_V2, None);
}

/// Any addresses and TLVs are read as written.
#[test]
fn what_is_written_is_read() {
    let mut prng = Prng::new(6);
    for _ in 0..2_000 {
        let mut address = || -> SocketAddr {
            let bits = u128::from(prng.next_u64()) << 64 | u128::from(prng.next_u64());
            let port = prng.next_u64() as u16;
            match prng.below(3) {
                0 => ((bits as u32).to_be_bytes(), port).into(),
                1 => (bits.to_be_bytes(), port).into(),
                _ => ((bits & prng.next_u64() as u128).to_be_bytes(), port).into(),
            }
        };
        let addresses = Addresses { source: address(), destination: address() };
        let plain = |address: SocketAddr| (address.ip().to_canonical(), address.port());
        let check = |bytes: &[u8], tlvs: &[Tlv<'_>]| {
            let header = read(bytes).unwrap().unwrap();
            let found = header.addresses.unwrap();
            assert_eq!(plain(found.source), plain(addresses.source));
            assert_eq!(plain(found.destination), plain(addresses.destination));
            assert_eq!(header.length, bytes.len());
            let found = header.tlvs.filter(|tlv| tlv.kind != Tlv::CRC32C);
            assert_eq!(found.collect::<Vec<_>>(), tlvs);
        };
        let mut room = [0; 4_096];
        let length = write_v1(&addresses, &mut room).unwrap();
        check(&room[..length], &[]);
        let value = [0x42; 120];
        let tlvs: Vec<_> = (0..prng.below(5))
            .map(|_| Tlv { kind: prng.next_u64() as u8, value: &value[..prng.below(120) as usize] })
            .filter(|tlv| tlv.kind != Tlv::CRC32C)
            .collect();
        let has_checksum = prng.one_in(2);
        let length = write_v2(&addresses, tlvs.iter().copied(), has_checksum, &mut room).unwrap();
        check(&room[..length], &tlvs);
    }
}
