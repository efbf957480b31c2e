//! What is not TLS, and what contradicts itself.

use super::*;
use crate::base::Prng;

#[test]
fn the_first_bytes_decide_that_it_is_not_tls() {
    for bytes in [
        &b"G"[..],
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x00",
        b"\x15\x03\x03",
        b"\x17\x03\x03",
        b"\x80\x2e\x01\x03\x01",
        b"\r\n\r\n\0\r\nQUIT\n",
        b"PROXY ",
        b"\x16\x02",
        b"\x16\xfe\xff",
    ] {
        assert_eq!(verdict(bytes), Outcome::NotTls, "{bytes:?}");
    }
    for bytes in [&b""[..], b"\x16", b"\x16\x03", b"\x16\x03\x01\x00"] {
        assert_eq!(verdict(bytes), Outcome::Incomplete, "{bytes:?}");
    }
}

#[test]
fn records_follow_their_rules() {
    let message = message(&[server_name(b"a.example")]);
    let two = records(&message, &[30]);
    let at = 5 + 30;
    let changed = |place: usize, byte: u8| {
        let mut bytes = two.clone();
        bytes[place] = byte;
        verdict(&bytes)
    };
    assert_eq!(changed(at, 22), named("a.example"));
    for kind in [0, 20, 21, 23, 24, 255] {
        assert_eq!(changed(at, kind), Outcome::Malformed(Malformed::RecordBetween), "{kind}");
    }
    assert_eq!(changed(at + 1, 2), Outcome::Malformed(Malformed::RecordBetween));
    assert_eq!(changed(at + 2, 99), named("a.example"), "the minor version means nothing");
    for header in [[0, 0], [0x40, 1], [0xff, 0xff]] {
        let bytes = [&[22, 3, 1][..], &header].concat();
        assert_eq!(verdict(&bytes), Outcome::Malformed(Malformed::RecordLength), "{header:?}");
        let later = [&two[..at], &bytes].concat();
        assert_eq!(verdict(&later), Outcome::Malformed(Malformed::RecordLength), "{header:?}");
    }
}

#[test]
fn another_message_is_no_hello() {
    for kind in [0, 2, 4, 11, 20, 255] {
        let bytes = records(&message_of(kind, &beginning()), &[]);
        assert_eq!(verdict(&bytes), Outcome::Malformed(Malformed::NotClientHello), "{kind}");
        assert_eq!(verdict(&bytes[..6]), Outcome::Malformed(Malformed::NotClientHello));
    }
}

#[test]
fn a_body_may_not_end_within_a_part() {
    let complete = [beginning(), vector16(&[0, 10, 0, 2, 0, 0])].concat();
    for length in 0..complete.len() {
        let bytes = records(&message_of(1, &complete[..length]), &[]);
        let expected = match length {
            _ if length == beginning().len() => hello(None, &[]),
            _ => Outcome::Malformed(Malformed::Lengths),
        };
        assert_eq!(verdict(&bytes), expected, "{length} bytes");
    }
    let longer = [&complete[..], &[0]].concat();
    let bytes = records(&message_of(1, &longer), &[]);
    assert_eq!(verdict(&bytes), Outcome::Malformed(Malformed::Lengths), "one byte more");
}

#[test]
fn parts_have_their_bounds() {
    let random = [0; 34];
    for (session, ciphers, compressions, is_valid) in [
        (32, 2, 1, true),
        (0, 2, 1, true),
        (0, 1_000, 255, true),
        (33, 2, 1, false),
        (0, 0, 1, false),
        (0, 3, 1, false),
        (0, 2, 0, false),
    ] {
        let body = [
            &random[..],
            &[session as u8],
            &vec![0; session],
            &vector16(&vec![0; ciphers]),
            &[compressions as u8],
            &vec![0; compressions],
        ]
        .concat();
        let malformed = Outcome::Malformed(Malformed::Lengths);
        let expected = if is_valid { hello(None, &[]) } else { malformed };
        assert_eq!(verdict(&records(&message_of(1, &body), &[])), expected, "{session} {ciphers}");
    }
}

#[test]
fn lengths_within_extensions_agree() {
    for content in [
        &[0][..],
        &[0, 5],
        &[0, 3, 0, 0, 5],
        &[0, 4, 0, 0, 1, b'a', 0],
        &[0, 2, 0, 0],
        &[0, 4, 0, 0, 0xff, b'a'],
        &[0xff, 0xff, 0, 0, 1, b'a'],
        &[0, 5, 0, 0, 1, b'a', 0],
    ] {
        let bytes = in_one_record(&[(0, content.to_vec())]);
        assert_eq!(verdict(&bytes), Outcome::Malformed(Malformed::Lengths), "{content:?}");
    }
    for content in [&[][..], &[0], &[0, 3, 3, b'h', b'2'], &[0, 2, 1, b'x', 0], &[0, 9, 1, b'x']] {
        let bytes = in_one_record(&[(16, content.to_vec())]);
        assert_eq!(verdict(&bytes), Outcome::Malformed(Malformed::Lengths), "{content:?}");
    }
}

/// One to four bytes of valid hellos changed, removed or added: any verdict, but the same one in
/// any segments, and a name that keeps its promise.
#[test]
fn damaged_hellos_get_one_verdict() {
    let mut prng = Prng::new(2);
    let message = message(&[server_name(b"A.Example"), alpn(&[b"h2", b"x"]), padding(9)]);
    let bases = [records(&message, &[]), records(&message, &[3, 90])];
    for round in 0..4_000 {
        let mut bytes = bases[round % 2].clone();
        for _ in 0..=prng.below(3) {
            let at = prng.below(bytes.len() as u32) as usize;
            let byte = prng.next_u64() as u8;
            match prng.below(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, byte),
                2 => bytes[at] = bytes[at].wrapping_add(1),
                _ => bytes[at] = byte,
            }
        }
        let expected = whole(&bytes);
        let cut = prng.below(bytes.len() as u32) as usize;
        check_pieces(&bytes, &[cut], &expected);
        if let Outcome::Hello { server_name: Some(name), .. } = expected {
            assert!(name.len() <= 253 && !name.ends_with('.') && name.is_ascii(), "{name}");
            assert_eq!(name, name.to_ascii_lowercase());
        }
    }
}
