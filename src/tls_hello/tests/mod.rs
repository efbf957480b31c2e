//! Hellos as clients send them, built part by part, and their verdicts in any pieces.

mod clients;
mod malformed;
mod names;
mod records;

use super::{Malformed, Reader, Verdict};

/// An extension: its type and content.
type Extension = (u16, Vec<u8>);

/// A verdict that outlives the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Incomplete,
    NotTls,
    Malformed(Malformed),
    Hello { server_name: Option<String>, alpn: Vec<Vec<u8>> },
}

impl From<Verdict<'_>> for Outcome {
    fn from(verdict: Verdict<'_>) -> Self {
        match verdict {
            Verdict::Incomplete => Self::Incomplete,
            Verdict::NotTls => Self::NotTls,
            Verdict::Malformed(malformed) => Self::Malformed(malformed),
            Verdict::Hello(hello) => Self::Hello {
                server_name: hello.server_name.map(str::to_owned),
                alpn: hello.alpn.map(<[u8]>::to_vec).collect(),
            },
        }
    }
}

/// The verdict that these bytes get in one piece.
fn whole(bytes: &[u8]) -> Outcome {
    Reader::default().read(bytes).into()
}

/// The verdict that these bytes get in one piece, in any two, in any three of a few, and one by
/// one; and with more behind them, unless they are incomplete.
fn verdict(bytes: &[u8]) -> Outcome {
    let expected = whole(bytes);
    let step = bytes.len() / 2_000 + 1;
    for cut in (0..bytes.len()).step_by(step) {
        check_pieces(bytes, &[cut], &expected);
        check_pieces(bytes, &[cut / 2, cut], &expected);
    }
    let each: Vec<usize> = (0..bytes.len()).step_by(step).collect();
    check_pieces(bytes, &each, &expected);
    if expected != Outcome::Incomplete {
        for more in [&b"\x16"[..], &[0; 70], &[22, 3, 1, 0, 4, 1, 0, 0, 0]] {
            assert_eq!(whole(&[bytes, more].concat()), expected, "followed by {more:?}");
        }
    }
    expected
}

/// Reads what has arrived at each of these places, then all. A verdict stays once it is given, so
/// the first that is not "incomplete" must be the expected one.
fn check_pieces(bytes: &[u8], ends: &[usize], expected: &Outcome) {
    let mut reader = Reader::default();
    for end in ends.iter().copied().chain([bytes.len()]) {
        let outcome = Outcome::from(reader.read(&bytes[..end]));
        let is_early = outcome == Outcome::Incomplete && end < bytes.len();
        assert!(is_early || outcome == *expected, "{outcome:?}, not {expected:?}, at {end}");
    }
}

fn hello(server_name: Option<&str>, alpn: &[&[u8]]) -> Outcome {
    let alpn = alpn.iter().map(|name| name.to_vec()).collect();
    Outcome::Hello { server_name: server_name.map(str::to_owned), alpn }
}

fn named(server_name: &str) -> Outcome {
    hello(Some(server_name), &[])
}

/// A vector with a length of two bytes.
fn vector16(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("short enough");
    [&length.to_be_bytes()[..], content].concat()
}

fn server_name(name: &[u8]) -> Extension {
    server_names(&[(0, name)])
}

fn server_names(names: &[(u8, &[u8])]) -> Extension {
    let entries = names.iter().map(|(kind, name)| [&[*kind][..], &vector16(name)].concat());
    (0, vector16(&entries.collect::<Vec<_>>().concat()))
}

fn alpn(names: &[&[u8]]) -> Extension {
    let length = |name: &[u8]| u8::try_from(name.len()).expect("short enough");
    let entries = names.iter().map(|name| [&[length(name)][..], name].concat());
    (16, vector16(&entries.collect::<Vec<_>>().concat()))
}

/// The key shares of a client: X25519 with ML-KEM-768 (1,216 bytes), and X25519.
fn key_shares() -> Extension {
    let hybrid = [&[0x11, 0xec][..], &vector16(&[0x5a; 1_216])].concat();
    let plain = [&[0, 29][..], &vector16(&[0xa5; 32])].concat();
    (51, vector16(&[hybrid, plain].concat()))
}

fn padding(bytes: usize) -> Extension {
    (21, vec![0; bytes])
}

/// The body of a ClientHello up to its extensions.
fn beginning() -> Vec<u8> {
    let random = [0x17; 32];
    let session = [&[32][..], &[0x71; 32]].concat();
    let ciphers = vector16(&[0x3a, 0x3a, 0x13, 0x01, 0x13, 0x02, 0xc0, 0x2b]);
    [&[3, 3][..], &random, &session, &ciphers, &[1, 0]].concat()
}

/// A handshake message of this type.
fn message_of(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("short enough").to_be_bytes();
    [&[kind][..], &length[1..], body].concat()
}

/// A ClientHello as a handshake message.
fn message(extensions: &[Extension]) -> Vec<u8> {
    let written = extensions
        .iter()
        .map(|(kind, content)| [&kind.to_be_bytes()[..], &vector16(content)].concat());
    let extensions = vector16(&written.collect::<Vec<_>>().concat());
    message_of(1, &[beginning(), extensions].concat())
}

/// A message in records that end at these of its bytes.
fn records(message: &[u8], ends: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut start = 0;
    for end in ends.iter().copied().chain([message.len()]) {
        bytes.extend([22, 3, 1]);
        bytes.extend(vector16(&message[start..end]));
        start = end;
    }
    bytes
}

/// A ClientHello in one record.
fn in_one_record(extensions: &[Extension]) -> Vec<u8> {
    records(&message(extensions), &[])
}

#[test]
fn the_alert_is_a_complete_record() {
    let alert = super::alert_unrecognized_name();
    assert_eq!(alert[0], 21, "alert");
    assert_eq!(alert[1..3], [3, 3]);
    assert_eq!(usize::from(u16::from_be_bytes([alert[3], alert[4]])), alert[5..].len());
    assert_eq!(alert[5..], [2, 112], "fatal, unrecognized_name");
}
