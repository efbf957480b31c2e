//! Version 2.

use super::super::crc32c::crc32c;
use super::*;
use crate::base::Prng;
use crate::limits::PROXY_V2_BYTES_MAX;

const IPV4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb];
const IPV6: &[u8] = &[
    0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 1, 0, 1, 0, 2,
];

fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short enough");
    with_length(command, family, length, rest)
}

/// A header whose length need not be that of the rest.
fn with_length(command: u8, family: u8, length: u16, rest: &[u8]) -> Vec<u8> {
    let signature = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a";
    [&signature[..], &[command, family], &length.to_be_bytes(), rest].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("short enough");
    [&[kind][..], &length.to_be_bytes(), value].concat()
}

fn ipv4() -> Addresses {
    pair("192.0.2.1:56324", "198.51.100.2:443")
}

/// Reads a valid header and gives its TLVs.
fn tlvs_of(bytes: &[u8], addresses: Option<Addresses>) -> Vec<(u8, Vec<u8>)> {
    let verdict = read(bytes);
    check(bytes, &verdict);
    let header = verdict.expect("valid").expect("complete");
    assert_eq!((header.length, header.addresses), (bytes.len(), addresses));
    header.tlvs.map(|tlv| (tlv.kind, tlv.value.to_vec())).collect()
}

#[test]
fn addresses_of_both_families_are_read() {
    let ipv6 = pair("[2001:db8::1]:1", "[::1]:2");
    check_header(&header(0x21, 0x11, IPV4), Some(ipv4()));
    check_header(&header(0x21, 0x12, IPV4), Some(ipv4()));
    check_header(&header(0x21, 0x21, IPV6), Some(ipv6));
    check_header(&header(0x21, 0x22, IPV6), Some(ipv6));
}

#[test]
fn local_keeps_the_addresses_of_the_connection_and_its_block_is_skipped() {
    let with_tlvs = [IPV4, &tlv(0x03, &[0; 4]), &tlv(0xea, b"vpce-1")].concat();
    for (family, rest) in [
        (0x00, &b""[..]),
        (0x11, b""),
        (0x11, IPV4),
        (0x11, &with_tlvs),
        (0x00, &with_tlvs),
        (0x21, IPV6),
        (0x21, IPV4),
        (0x31, &[0; 216]),
        (0xff, b"neither addresses nor TLVs"),
    ] {
        check_header(&header(0x20, family, rest), None);
    }
    check_header(LOCAL_V2, None);
}

#[test]
fn families_without_addresses_of_the_internet_keep_those_of_the_connection() {
    for (family, rest) in [
        (0x00, &b""[..]),
        (0x00, b"skipped"),
        (0x01, b""),
        (0x02, IPV4),
        (0x10, IPV4),
        (0x20, b""),
        (0x30, &[0; 216]),
        (0x31, &[b'/'; 216]),
        (0x32, &[0; 216]),
    ] {
        check_header(&header(0x21, family, rest), None);
    }
    let unix = [&[0; 216][..], &tlv(0x05, b"id")].concat();
    assert_eq!(tlvs_of(&header(0x21, 0x31, &unix), None), [(5, b"id".to_vec())]);
}

#[test]
fn other_versions_commands_and_families_are_refused() {
    for command in [0x00, 0x11, 0x30, 0x31, 0xf1] {
        check(&header(command, 0x11, IPV4), &Err(Fault::Version));
        check(&header(command, 0x11, IPV4)[..13], &Err(Fault::Version));
    }
    for command in [0x22, 0x2f] {
        check(&header(command, 0x11, IPV4), &Err(Fault::Command));
    }
    for family in [0x13, 0x1f, 0x03, 0x40, 0x41, 0xf1, 0x33] {
        check(&header(0x21, family, IPV4), &Err(Fault::Family));
    }
}

#[test]
fn lengths_that_lie_are_refused() {
    for (family, rest) in
        [(0x11, &IPV4[..11]), (0x11, b""), (0x21, IPV4), (0x22, &IPV6[..35]), (0x31, &[0; 215])]
    {
        check(&header(0x21, family, rest), &Err(Fault::AddressesTooShort));
    }
    for wrong in [
        &[4][..],
        &[4, 0],
        &[4, 0, 1],
        &[4, 0, 5, 1, 2, 3, 4],
        &[4, 0xff, 0xff, 0],
        &[4, 0, 0, 4],
        &[4, 0, 1, 0, 5, 0, 1],
    ] {
        check(&header(0x21, 0x11, &[IPV4, wrong].concat()), &Err(Fault::TlvTooLong));
    }
    // More announced than sent: what comes next would be part of the header.
    check(&with_length(0x21, 0x11, 13, IPV4), &Ok(None));
    check(&with_length(0x20, 0x00, 1, b""), &Ok(None));
}

#[test]
fn tlvs_are_listed_in_their_order_and_unknown_ones_are_among_them() {
    let sent = [
        (0xea, b"\x01vpce-08d2bf15fac5001c9".to_vec()),
        (Tlv::NOOP, Vec::new()),
        (Tlv::AUTHORITY, b"a.example".to_vec()),
        (Tlv::ALPN, b"h2".to_vec()),
        (Tlv::NOOP, vec![0; 9]),
        (0x00, b"x".to_vec()),
        (0xff, vec![1; 300]),
        (Tlv::AUTHORITY, b"b.example".to_vec()),
    ];
    let written: Vec<_> = sent.iter().flat_map(|(kind, value)| tlv(*kind, value)).collect();
    let bytes = header(0x21, 0x11, &[IPV4, &written].concat());
    assert_eq!(tlvs_of(&bytes, Some(ipv4())), sent);
    let tlvs = read(&bytes).unwrap().unwrap().tlvs;
    assert_eq!(tlvs.first(Tlv::AUTHORITY), Some(&b"a.example"[..]));
    assert_eq!(tlvs.first(Tlv::UNIQUE_ID), None);
}

#[test]
fn headers_are_read_up_to_their_longest() {
    let of_60_kib = tlv(0xe0, &[7; 60 * 1024]);
    let bytes = header(0x21, 0x11, &[IPV4, &of_60_kib].concat());
    assert_eq!(tlvs_of(&bytes, Some(ipv4())), [(0xe0, vec![7; 60 * 1024])]);
    let rest = usize::from(u16::MAX) - IPV4.len() - 3;
    let longest = header(0x21, 0x11, &[IPV4, &tlv(0xe0, &vec![7; rest])].concat());
    assert_eq!(longest.len(), PROXY_V2_BYTES_MAX);
    assert_eq!(tlvs_of(&longest, Some(ipv4())).len(), 1);
    check_header(&header(0x20, 0, &[0xff; u16::MAX as usize]), None);
}

#[test]
fn a_checksum_is_verified() {
    let with_sum = |place: &dyn Fn(&[u8]) -> Vec<u8>| {
        let mut bytes = header(0x21, 0x11, &[IPV4, &place(&tlv(Tlv::CRC32C, &[0; 4]))].concat());
        let sum = crc32c(&[&bytes]).to_be_bytes();
        let at = bytes.windows(3).rposition(|window| window == [3, 0, 4]).expect("it is there") + 3;
        bytes[at..at + 4].copy_from_slice(&sum);
        bytes
    };
    let [alone, first, last] = [
        with_sum(&<[u8]>::to_vec),
        with_sum(&|sum| [sum, &tlv(2, b"a.example")].concat()),
        with_sum(&|sum| [&tlv(2, b"a.example")[..], sum].concat()),
    ];
    for bytes in [&alone, &first, &last] {
        let tlvs = tlvs_of(bytes, Some(ipv4()));
        assert!(tlvs.iter().any(|(kind, value)| *kind == Tlv::CRC32C && value.len() == 4));
        // Each byte counts, that of the source's address as well as those of other TLVs.
        for place in [16, 27, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            check(&changed, &Err(Fault::ChecksumWrong));
        }
    }
    for wrong in [tlv(3, &[]), tlv(3, &[0; 3]), tlv(3, &[0; 5]), tlv(3, &[0; 4]).repeat(2)] {
        check(&header(0x21, 0x11, &[IPV4, &wrong].concat()), &Err(Fault::ChecksumForm));
    }
}

#[test]
fn a_hello_in_the_same_segment_is_left_to_its_reader() {
    let bytes = [&header(0x21, 0x11, IPV4)[..], &[22, 3, 1, 2, 0, 1, 0]].concat();
    let header = read(&bytes).unwrap().unwrap();
    assert_eq!(bytes[header.length..], [22, 3, 1, 2, 0, 1, 0]);
    let second = [UNKNOWN_V1, LOCAL_V2].concat();
    assert_eq!(read(&second).unwrap().unwrap().length, UNKNOWN_V1.len(), "only the first");
}

/// Bytes of valid headers changed, removed or added: the same verdict whatever follows.
#[test]
fn damaged_headers_get_one_verdict() {
    let mut prng = Prng::new(5);
    let tlvs = [tlv(2, b"a.example"), tlv(4, b""), tlv(0xea, b"xy")].concat();
    let bases = [header(0x21, 0x11, &[IPV4, &tlvs].concat()), header(0x20, 0, &tlvs)];
    for round in 0..3_000 {
        let mut bytes = bases[round % 2].clone();
        for _ in 0..=prng.below(2) {
            let at = 10 + prng.below(bytes.len() as u32 - 10) as usize;
            let byte = prng.next_u64() as u8;
            match prng.below(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, byte),
                2 => bytes[at] = bytes[at].wrapping_add(1),
                _ => bytes[at] = byte,
            }
        }
        let verdict = read(&bytes);
        match &verdict {
            Ok(Some(header)) => check(&bytes[..header.length], &verdict),
            _ => check(&bytes, &verdict),
        }
    }
}
