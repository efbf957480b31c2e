//! Headers as other proxies send them, in any pieces, and the headers that are written.

mod version1;
mod version2;
mod written;

use super::{Addresses, Fault, Header, LOCAL_V2, Tlv, UNKNOWN_V1, read};

/// What follows a header in these tests: neither a header nor text.
const MORE: &[u8] = b"\x16\x03\x01\r\n\xff";

/// Checks the verdict on these bytes and on all that they begin with: a header is complete with its
/// last byte, a fault stays once it is found. What follows changes nothing.
fn check(bytes: &[u8], expected: &Result<Option<Header<'_>>, Fault>) {
    assert_eq!(&read(bytes), expected, "{:?}", shown(bytes));
    let step = bytes.len() / 2_000 + 1;
    let mut earlier = None;
    for end in (0..bytes.len()).step_by(step) {
        let verdict = read(&bytes[..end]);
        match (expected, verdict) {
            (_, Ok(None)) => assert_eq!(earlier, None, "after {end} bytes of {:?}", shown(bytes)),
            (Err(fault), Err(found)) if found == *fault => earlier = Some(found),
            (_, verdict) => panic!("{verdict:?} after {end} bytes of {:?}", shown(bytes)),
        }
    }
    if !matches!(expected, Ok(None)) {
        assert_eq!(&read(&[bytes, MORE].concat()), expected, "{:?} and more", shown(bytes));
    }
}

/// Checks a header without TLVs.
fn check_header(bytes: &[u8], addresses: Option<Addresses>) {
    check(bytes, &Ok(Some(Header { length: bytes.len(), addresses, tlvs: Default::default() })));
}

fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(200)].escape_ascii().to_string()
}

fn pair(source: &str, destination: &str) -> Addresses {
    let [source, destination] = [source, destination].map(|text| text.parse().unwrap());
    Addresses { source, destination }
}

#[test]
fn nothing_yet_is_incomplete() {
    check(b"", &Ok(None));
}

#[test]
fn what_begins_otherwise_is_no_header() {
    for bytes in [
        &b"G"[..],
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"proxy TCP4",
        b"PROXX",
        b"PROXY\n",
        b"PROXY\t",
        b" PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"\n",
        b"\r\nGET",
        b"\r\n\r\n\0\r\nQUIT\r",
        b"\r\n\r\n\x01",
        b"\0",
    ] {
        check(bytes, &Err(Fault::NoHeader));
    }
}
