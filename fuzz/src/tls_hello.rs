//! Any first bytes of a connection, read as a ClientHello.

use super::places;
use ringway::limits::TLS_HELLO_BYTES_MAX;
use ringway::tls_hello::{Reader, Verdict};

/// Panics if a verdict breaks its promises.
pub fn run(bytes: &[u8]) {
    let mut reader = Reader::default();
    let whole = reader.read(bytes);
    for cut in places(bytes.len()) {
        let mut reader = Reader::default();
        let early = reader.read(&bytes[..cut]);
        assert!(early == Verdict::Incomplete || early == whole, "{early:?} after {cut}: {whole:?}");
        assert_eq!(reader.read(bytes), whole, "in two pieces, cut at {cut}");
    }
    match &whole {
        Verdict::Incomplete => assert!(bytes.len() < TLS_HELLO_BYTES_MAX),
        Verdict::NotTls => assert!(bytes[0] != 22 || bytes[1] != 3),
        Verdict::Malformed(malformed) => assert!(!malformed.text().is_empty()),
        Verdict::Hello(hello) => {
            hello.server_name.into_iter().for_each(check_name);
            assert!(hello.alpn.clone().all(|name| (1..=255).contains(&name.len())));
        }
    }
    if whole != Verdict::Incomplete {
        let followed = [bytes, &[22, 3, 1, 0, 1, 0]].concat();
        assert_eq!(Reader::default().read(&followed), whole, "what follows changed it");
    }
    if matches!(whole, Verdict::Hello(_)) {
        check_in_other_records(bytes, &whole);
    }
}

fn check_name(name: &str) {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    assert!((1..=253).contains(&name.len()) && name.bytes().all(is_allowed), "{name:?}");
    assert!(name.split('.').all(|label| (1..=63).contains(&label.len())), "{name:?}");
    assert!(name.parse::<std::net::IpAddr>().is_err(), "{name:?}");
}

/// A hello in two records is the same hello, wherever the first one ends.
fn check_in_other_records(bytes: &[u8], whole: &Verdict<'_>) {
    let record = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
    let length = 4 + u32::from_be_bytes([0, bytes[6], bytes[7], bytes[8]]) as usize;
    let has_room = length + 2 * 5 <= TLS_HELLO_BYTES_MAX;
    if record < length || !has_room {
        return;
    }
    let message = &bytes[5..5 + length];
    for cut in places(length).filter(|cut| *cut > 0) {
        let mut records = Vec::new();
        for part in [&message[..cut], &message[cut..]] {
            let part_length = u16::try_from(part.len()).expect("at most a record");
            records.extend([22, 3, 3]);
            records.extend(part_length.to_be_bytes());
            records.extend_from_slice(part);
        }
        assert_eq!(Reader::default().read(&records), *whole, "a record ends at {cut}");
    }
}
