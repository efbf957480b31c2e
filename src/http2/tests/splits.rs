//! However the bytes of a conversation are split, it means the same.

use super::*;

/// A conversation with most of what there is.
pub(super) fn conversation() -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, NONE, 0, &[setting(4, 70_000), setting(1, 100)].concat()));
    bytes.extend(frame(SETTINGS, ACK, 0, b""));
    bytes.extend(frame(WINDOW_UPDATE, NONE, 0, &[0, 1, 0, 0]));
    bytes.extend(frame(PRIORITY, NONE, 3, b"\0\0\0\0\x10"));
    let mut indexed = get(&[]);
    indexed.extend(b"\x40\x01x\x01y");
    bytes.extend(frame(HEADERS, WHOLE, 1, &indexed));
    let mut padded = b"\x03\0\0\0\0\x10".to_vec();
    padded.extend(post(&[("content-length", "10"), ("priority", "u=1, i")]));
    padded.extend(b"\xbe\0\0\0");
    bytes.extend(frame(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 3, &padded));
    bytes.extend(frame(DATA, NONE, 3, b"01234"));
    bytes.extend(frame(PING, NONE, 0, b"abcdefgh"));
    bytes.extend(frame(DATA, NONE, 3, b""));
    bytes.extend(frame(DATA, END_STREAM | PADDED, 3, b"\x0456789\0\0\0\0"));
    bytes.extend(frame(0x42, 0xff, 3, b"unknown"));
    let long = get(&[("cookie", "a=b"), ("cookie", "c=d")]);
    bytes.extend(frame(HEADERS, NONE, 5, &long[..7]));
    bytes.extend(frame(CONTINUATION, NONE, 5, &long[7..20]));
    bytes.extend(frame(CONTINUATION, END_HEADERS, 5, &long[20..]));
    bytes.extend(frame(DATA, NONE, 5, b"body"));
    bytes.extend(frame(HEADERS, WHOLE, 5, &block(&[("t", "1")])));
    bytes.extend(frame(HEADERS, WHOLE, 7, b"\x82"));
    bytes.extend(frame(HEADERS, END_HEADERS, 9, &post(&[("content-length", "3")])));
    bytes.extend(frame(DATA, NONE, 9, b"four"));
    bytes.extend(frame(DATA, NONE, 9, b"late"));
    bytes.extend(frame(HEADERS, WHOLE, 11, &[0xbe; 200]));
    bytes.extend(frame(HEADERS, END_HEADERS, 13, &post(&[])));
    bytes.extend(frame(DATA, PADDED, 13, b"\x02\0\0"));
    bytes.extend(frame(RST_STREAM, NONE, 13, b"\0\0\0\x08"));
    bytes.extend(frame(DATA, NONE, 13, b"behind"));
    bytes.extend(frame(GOAWAY, NONE, 0, b"\0\0\0\0\0\0\0\0bye"));
    bytes.extend(frame(DATA, PADDED, 1, b"\xffa"));
    bytes.extend(frame(SETTINGS, NONE, 0, b"12345"));
    bytes.extend(frame(PING, NONE, 0, b"abcdefgh"));
    bytes
}

/// Joins pieces of data that follow each other.
fn joined(events: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in events.lines() {
        let begins = |text: &str| text.split(": ").next().unwrap_or_default().replace(" end", "");
        match lines.last_mut() {
            Some(last)
                if last.starts_with("data")
                    && begins(last) == begins(line)
                    && !last.contains("end") =>
            {
                let (start, data) = line.split_once(": ").expect("data");
                *last = format!("{start}: {}{data}", last.split_once(": ").expect("data").1);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

pub(super) fn outcome(pieces: &[&[u8]]) -> (String, Vec<u8>) {
    let mut scene = Scene::new(Role::Server, &Config::default());
    scene.releases = false;
    pieces.iter().for_each(|piece| scene.feed(piece));
    (joined(&scene.events()), scene.connection.output().to_vec())
}

#[test]
fn a_conversation_means_the_same_however_it_is_split() {
    let bytes = conversation();
    let expected = outcome(&[&bytes]);
    assert_eq!(
        expected.0,
        "request 1 end: GET / a None | x: y\n\
         request 3: POST / a Sized(10) | priority: u=1, i | x: y\n\
         data 3 end: 0123456789\n\
         request 5: GET / a Chunked | cookie: a=b; c=d\n\
         data 5: body\n\
         trailers 5: t: 1\n\
         rejected 7 PROTOCOL_ERROR\n\
         request 9: POST / a Sized(3)\n\
         broken 9 PROTOCOL_ERROR\n\
         refused 11 end: TooManyFields\n\
         request 13: POST / a Chunked\n\
         reset 13 CANCEL\n\
         goaway NO_ERROR\n\
         broken 1 STREAM_CLOSED\n\
         closed FRAME_SIZE_ERROR"
    );
    for split in 0..=bytes.len() {
        let (first, second) = bytes.split_at(split);
        assert_eq!(outcome(&[first, second]), expected, "{split}");
    }
    for size in [1, 2, 3, 5, 9, 10, 64] {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        assert_eq!(outcome(&pieces), expected, "pieces of {size}");
    }
}

#[test]
fn two_splits_of_a_frame_in_a_block() {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, NONE, 0, b""));
    let head = get(&[("x", "y")]);
    bytes.extend(frame(HEADERS, END_STREAM, 1, &head[..5]));
    bytes.extend(frame(CONTINUATION, END_HEADERS, 1, &head[5..]));
    let expected = outcome(&[&bytes]);
    for first in PREFACE.len()..bytes.len() {
        for second in first..bytes.len() {
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(outcome(&pieces), expected);
        }
    }
}
