//! Chunked bodies, split wherever they can be.

use super::super::{ChunkedDecoder, Progress};
use crate::base::Prng;
use crate::head::Peer;
use crate::head::{Refusal, UnderscoreNames};
use crate::limits::{CHUNK_LINE_BYTES_MAX, FIELDS_MAX, TRAILER_BYTES_MAX};

/// The result of decoding a body that arrives in pieces.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    consumed: usize,
    has_ended: bool,
    kept: Vec<u8>,
}

/// A decoder, and what it has not been done with.
struct Reader {
    decoder: ChunkedDecoder,
    partial: Vec<u8>,
    read: Read,
}

impl Reader {
    fn new(decoder: ChunkedDecoder) -> Self {
        let read = Read { consumed: 0, has_ended: false, kept: Vec::new() };
        Self { decoder, partial: Vec::new(), read }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        let mut bytes = [&std::mem::take(&mut self.partial)[..], piece].concat();
        let Progress { kept, consumed, ended, .. } = self.decoder.pass(&mut bytes)?;
        self.read.kept.extend_from_slice(&bytes[..kept]);
        self.read.consumed += consumed;
        self.read.has_ended = ended;
        self.partial = if ended { Vec::new() } else { bytes[consumed..].to_vec() };
        Ok(())
    }
}

const CLIENT: Peer = Peer::Client(UnderscoreNames::Drop);

fn from(from: Peer) -> ChunkedDecoder {
    ChunkedDecoder::relaying(from, None)
}

/// Reads a body in pieces that end at these places.
fn pass(body: &[u8], ends: &[usize], decoder: ChunkedDecoder) -> Result<Read, Refusal> {
    let mut reader = Reader::new(decoder);
    let mut start = 0;
    for end in ends.iter().copied().chain([body.len()]) {
        reader.take(&body[start..end])?;
        start = end;
    }
    Ok(reader.read)
}

/// The content of a body: what is left without framing. Both ways of reading must agree on it, and
/// what is relayed must mean the same again, and is relayed again as it is.
fn read(body: &[u8], ends: &[usize]) -> Result<Read, Refusal> {
    let content = pass(body, ends, ChunkedDecoder::stripping());
    let relayed = pass(body, ends, from(Peer::Backend));
    assert_eq!(content.as_ref().err(), relayed.as_ref().err(), "{:?}", text(body));
    let (content, relayed) = (content?, relayed?);
    assert_eq!((content.consumed, content.has_ended), (relayed.consumed, relayed.has_ended));
    let again = pass(&relayed.kept, &[], ChunkedDecoder::stripping()).expect("it was well");
    assert_eq!((again.kept, again.has_ended), (content.kept.clone(), content.has_ended));
    let again = pass(&relayed.kept, &[], from(Peer::Backend)).expect("it was well");
    assert_eq!(text(&again.kept), text(&relayed.kept), "its sizes are not canonical");
    Ok(content)
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Checks what is made of a body, followed by the next message, in any three pieces and byte by
/// byte.
fn check_splits(body: &str, decoder: &ChunkedDecoder, kept: &str) {
    let bytes = [body.as_bytes(), b"GET /next"].concat();
    let whole = Read { consumed: body.len(), has_ended: true, kept: kept.into() };
    for one in 0..=bytes.len() {
        for two in one..=bytes.len() {
            let read = pass(&bytes, &[one, two], decoder.clone());
            assert_eq!(read.as_ref(), Ok(&whole), "{body:?} {one} {two}");
        }
    }
    let every: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(pass(&bytes, &every, decoder.clone()), Ok(whole), "byte by byte: {body:?}");
    for end in 0..body.len() {
        let part = pass(&body.as_bytes()[..end], &[], decoder.clone()).expect("a part of it");
        assert!(!part.has_ended, "{body:?} at {end}");
        assert!(kept.as_bytes().starts_with(&part.kept), "{body:?} at {end}");
    }
}

#[test]
fn every_split_of_a_body_gives_the_same_content_and_the_same_chunks() {
    for (body, content, relayed) in [
        ("0\r\n\r\n", "", "0\r\n\r\n"),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", "5\r\nhello\r\n0\r\n\r\n"),
        ("5\r\nhello\r\n1\r\n!\r\n00\r\n\r\n", "hello!", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"),
        (
            "a\r\n0\r\n\r\n12345\r\n000\r\n\r\n",
            "0\r\n\r\n12345",
            "a\r\n0\r\n\r\n12345\r\n0\r\n\r\n",
        ),
        (
            "A\r\n0A;\r\n 000B\r\n0C\r\n0123456789aB\r\n0\r\n\r\n",
            "0A;\r\n 000B0123456789aB",
            "a\r\n0A;\r\n 000B\r\nc\r\n0123456789aB\r\n0\r\n\r\n",
        ),
        ("5;a=b\r\nhello\r\n0;last\r\n\r\n", "hello", "5\r\nhello\r\n0\r\n\r\n"),
        ("5 \t\r\nhello\r\n0 \r\n\r\n", "hello", "5\r\nhello\r\n0\r\n\r\n"),
        ("5 ;x=y\r\nhello\r\n0\t;\r\n\r\n", "hello", "5\r\nhello\r\n0\r\n\r\n"),
        (
            "2;q=\"\\\"\t;\"\r\nhe\r\n0003;;=\u{e9}{\"x\r\nllo\r\n0\r\n\r\n",
            "hello",
            "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        ),
        (
            "1\r\nx\r\n0\r\nX-Sum: 1\r\nX-Empty:\r\n\r\n",
            "x",
            "1\r\nx\r\n0\r\nX-Sum: 1\r\nX-Empty:\r\n\r\n",
        ),
        ("1 \r\nx\r\n0;e\r\nx-y:\tz \r\n\r\n", "x", "1\r\nx\r\n0\r\nx-y:\tz \r\n\r\n"),
    ] {
        check_splits(body, &ChunkedDecoder::stripping(), content);
        check_splits(body, &from(Peer::Backend), relayed);
        check_splits(body, &from(CLIENT), relayed);
    }
}

#[test]
fn a_size_is_written_as_lower_case_digits_without_leading_zeros_wherever_it_is_split() {
    for (line, canonical) in [
        ("7fffffffffffffff", "7fffffffffffffff"),
        ("7FFFFFFFFFFFFFFF", "7fffffffffffffff"),
        ("0007aBcD;A=0", "7abcd"),
        ("10", "10"),
        ("0010", "10"),
        ("1a", "1a"),
        ("1A", "1a"),
        ("aBcDeF0", "abcdef0"),
        ("00E ;", "e"),
    ] {
        let body = format!("{line}\r\ndata 0AF");
        for split in 0..=body.len() {
            for peer in [CLIENT, Peer::Backend] {
                let read = pass(body.as_bytes(), &[split], from(peer)).expect("it is well");
                let expected = format!("{canonical}\r\ndata 0AF");
                assert_eq!((text(&read.kept), read.consumed), (expected.into(), body.len()));
            }
        }
    }
}

#[test]
fn every_split_of_a_trailer_section_leaves_out_the_same_fields() {
    let named = |from| {
        let named_by_connection = Some(b"close,x-a,X-Hop"[..].into());
        ChunkedDecoder::relaying(from, named_by_connection)
    };
    let backend = "Cache-Control: no-store\r\nX-B: 1\r\nx_sum: 2\r\nX-A: 3\r\nSet-Cookie: a=b\r\n\
        X-C: 4\r\nTrailer: X-B\r\n";
    for (decoder, section, kept) in [
        (named(Peer::Backend), backend, "X-B: 1\r\nX-C: 4\r\n"),
        (from(Peer::Backend), "Content-Length: 5\r\nHOST: a\r\nTe:\r\n", ""),
        (from(Peer::Backend), "X-Real-IP: 1\r\n", "X-Real-IP: 1\r\n"),
        (
            from(CLIENT),
            "X-Real-IP: 1\r\nRemote-User: a\r\ncookie: a=b\r\nX-B: 1\r\nX-Forwarded-For: 1\r\n\
             Proxy-Authorization: x\r\nx-forwarded-anything:\r\nX_C: 1\r\nContent_Length: 9\r\n",
            "X-B: 1\r\n",
        ),
        (named(CLIENT), "X-B: 1\r\nx-HOP: 2\r\nX-A:\r\nX-Hops: 3\r\n", "X-B: 1\r\nX-Hops: 3\r\n"),
    ] {
        let body = format!("1\r\nx\r\n0\r\n{section}\r\n");
        check_splits(&body, &decoder, &format!("1\r\nx\r\n0\r\n{kept}\r\n"));
        check_splits(&body, &ChunkedDecoder::stripping(), "x");
    }
}

#[test]
fn a_client_is_refused_what_would_change_its_message() {
    for name in
        ["Content-Length", "TRANSFER-encoding", "host", "Connection", "Authorization", "Forwarded"]
    {
        let body = format!("0\r\nA: b\r\n{name}: 1\r\n\r\n");
        let bytes = body.as_bytes();
        for split in 0..=body.len() {
            let refused = pass(bytes, &[split], from(CLIENT));
            assert_eq!(refused, Err(Refusal::MalformedTrailer), "{name} split at {split}");
        }
    }
}

#[test]
fn underscores_in_trailer_names_are_left_out_refused_or_kept_as_in_a_head() {
    let section = "x_sum: 1\r\nX-B: 2\r\nContent_length: 9\r\nHost_: 3\r\nX_Real-IP: 4\r\n\
        x-forwarded_for: 5\r\nRemote_User: 6\r\n";
    let body = format!("1\r\nx\r\n0\r\n{section}\r\n");
    let of = |underscore_names| from(Peer::Client(underscore_names));
    let relayed = |kept: &str| format!("1\r\nx\r\n0\r\n{kept}\r\n");
    check_splits(&body, &of(UnderscoreNames::Drop), &relayed("X-B: 2\r\n"));
    // Not what a backend could take for a field that a trailer section cannot have.
    let allowed = relayed("x_sum: 1\r\nX-B: 2\r\nHost_: 3\r\n");
    check_splits(&body, &of(UnderscoreNames::Allow), &allowed);
    for split in 0..=body.len() {
        let refused = pass(body.as_bytes(), &[split], of(UnderscoreNames::Reject));
        assert_eq!(refused, Err(Refusal::UnderscoreInName), "split at {split}");
    }
}

/// A body of random chunks with random extensions and trailers, and its content.
fn random_body(prng: &mut Prng) -> (Vec<u8>, Vec<u8>) {
    let (mut body, mut data) = (Vec::new(), Vec::new());
    for _ in 0..prng.below(6) {
        let bound = if prng.one_in(4) { 3_000 } else { 20 };
        let size = 1 + prng.below(bound) as usize;
        let chunk: Vec<u8> =
            (0..size).map(|_| b"\r\n0aF;:\0\xff "[prng.below(10) as usize]).collect();
        let zeros = "0".repeat(prng.below(3) as usize);
        let extension = ["", ";a", ";a=b;c=\"d e\"", " \t;\t\u{e9}"][prng.below(4) as usize];
        let line = match prng.one_in(2) {
            true => format!("{zeros}{size:x}{extension}\r\n"),
            false => format!("{zeros}{size:X}{extension}\r\n"),
        };
        body.extend_from_slice(line.as_bytes());
        body.extend_from_slice(&chunk);
        body.extend_from_slice(b"\r\n");
        data.extend_from_slice(&chunk);
    }
    body.extend_from_slice(["0\r\n", "00;end\r\n"][prng.below(2) as usize].as_bytes());
    for _ in 0..prng.below(3) {
        let field = ["X-A: b\r\n", "Digest:c=\t\u{e9}\r\n", "t:\r\n"][prng.below(3) as usize];
        body.extend_from_slice(field.as_bytes());
    }
    body.extend_from_slice(b"\r\n");
    (body, data)
}

#[test]
fn random_bodies_in_random_pieces_are_what_they_were() {
    let mut prng = Prng::new(23);
    for _ in 0..500 {
        let (body, data) = random_body(&mut prng);
        let bytes = [&body[..], b"0\r\n\r\n"].concat();
        let count = prng.below(9);
        let mut ends: Vec<usize> =
            (0..count).map(|_| prng.below(bytes.len() as u32 + 1) as usize).collect();
        ends.sort_unstable();
        let whole = Read { consumed: body.len(), has_ended: true, kept: data };
        assert_eq!(read(&bytes, &ends), Ok(whole), "{:?}", text(&bytes));
    }
}

#[test]
fn what_two_readers_could_understand_differently_is_refused_wherever_it_is_split() {
    use Refusal::{MalformedChunk, MalformedTrailer};
    for (rule, body, refusal) in [
        ("no size", "\r\nhello", MalformedChunk),
        ("no size, but an extension", ";a\r\nhello", MalformedChunk),
        ("a sign", "+5\r\nhello\r\n", MalformedChunk),
        ("0x", "0x5\r\nhello\r\n", MalformedChunk),
        ("a blank before", " 5\r\nhello\r\n", MalformedChunk),
        ("a digit behind a blank", "5 0\r\nhello\r\n", MalformedChunk),
        ("bare LF behind a blank", "5 \nhello\r\n", MalformedChunk),
        ("NUL behind a blank", "5 \0\r\nhello\r\n", MalformedChunk),
        ("bare LF behind a size", "5\nhello\r\n", MalformedChunk),
        ("CR alone behind a size", "5\rhello\r\n", MalformedChunk),
        ("bare LF in an extension", "5;a\nhello\r\n", MalformedChunk),
        ("NUL in an extension", "5;a\0\r\nhello\r\n", MalformedChunk),
        ("DEL in an extension", "5;a\u{7f}\r\nhello\r\n", MalformedChunk),
        ("no end of a chunk", "5\r\nhelloX", MalformedChunk),
        ("bare LF behind a chunk", "5\r\nhello\n0\r\n\r\n", MalformedChunk),
        ("longer than it says", "4\r\nhello\r\n0\r\n\r\n", MalformedChunk),
        ("a trailer without a name", "0\r\n: a\r\n\r\n", MalformedTrailer),
        ("a trailer without a colon", "0\r\nx\r\n\r\n", MalformedTrailer),
        ("a folded trailer", "0\r\nx: a\r\n b\r\n\r\n", MalformedTrailer),
        ("a blank before the colon", "0\r\nx : a\r\n\r\n", MalformedTrailer),
        ("NUL in a trailer", "0\r\nx: \0\r\n\r\n", MalformedTrailer),
        ("bare LF in a trailer", "0\r\nx: a\n\r\n", MalformedTrailer),
        ("bare LF at the end", "0\r\n\n", MalformedTrailer),
    ] {
        for split in 0..=body.len() {
            assert_eq!(read(body.as_bytes(), &[split]), Err(refusal), "{rule} split at {split}");
        }
    }
}

#[test]
fn a_size_line_is_short_and_so_are_all_trailers_together() {
    let line = |length: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(length - 2));
    assert!(read(line(CHUNK_LINE_BYTES_MAX - 1).as_bytes(), &[100]).is_ok());
    let too_long = line(CHUNK_LINE_BYTES_MAX + 1);
    assert_eq!(read(too_long.as_bytes(), &[100]), Err(Refusal::ChunkLineTooLong));
    let zeros = format!("{}1\r\nx\r\n0\r\n\r\n", "0".repeat(CHUNK_LINE_BYTES_MAX));
    assert_eq!(read(zeros.as_bytes(), &[3]), Err(Refusal::ChunkLineTooLong));
    // The next line has its own length.
    let many = format!("{}0\r\n\r\n", "1;aaaaaaaaaaaa\r\nx\r\n".repeat(100));
    assert_eq!(read(many.as_bytes(), &[]).expect("it is well").kept, vec![b'x'; 100]);

    let section = |bytes: usize| {
        let fields = "x: 1234567\r\n".repeat(70);
        let last = bytes - fields.len() - "y: \r\n\r\n".len();
        format!("0\r\n{fields}y: {}\r\n\r\n", "z".repeat(last))
    };
    assert!(read(section(TRAILER_BYTES_MAX).as_bytes(), &[700]).expect("it is well").has_ended);
    let too_large = section(TRAILER_BYTES_MAX + 1);
    assert_eq!(read(too_large.as_bytes(), &[700]), Err(Refusal::TrailersTooLarge));
}

#[test]
fn trailer_fields_are_as_few_as_those_of_a_head() {
    let body = |fields: usize| format!("0\r\n{}\r\n", "x:\r\n".repeat(fields));
    assert!(read(body(FIELDS_MAX).as_bytes(), &[200]).expect("it is well").has_ended);
    assert_eq!(read(body(FIELDS_MAX + 1).as_bytes(), &[200]), Err(Refusal::TooManyFields));
}

#[test]
fn sizes_have_63_bits() {
    for (size, expected) in [
        ("7fffffffffffffff", Ok(())),
        ("0007FFFFFFFFFFFFFFF", Ok(())),
        ("8000000000000000", Err(Refusal::ChunkTooLarge)),
        ("ffffffffffffffff", Err(Refusal::ChunkTooLarge)),
        ("10000000000000000", Err(Refusal::ChunkTooLarge)),
        ("10000000000000005", Err(Refusal::ChunkTooLarge)),
    ] {
        let body = [format!("{size}\r\n").as_bytes(), &[b'x'; 5_000]].concat();
        let read = read(&body, &[3]).map(|read| {
            assert!(!read.has_ended && read.consumed == body.len() && read.kept.len() == 5_000);
        });
        assert_eq!(read, expected, "{size}");
    }
    let mut decoder = from(CLIENT);
    decoder.pass(&mut b"100000000\r\n".to_owned()).expect("four gigabytes");
    let mut data = vec![0; 1 << 20];
    for _ in 0..1 << 12 {
        let progress = decoder.pass(&mut data).expect("data");
        assert_eq!((progress.consumed, progress.ended), (data.len(), false));
    }
    let progress = decoder.pass(&mut b"\r\n0\r\n\r\n".to_owned()).expect("the end of it all");
    assert_eq!((progress.consumed, progress.kept, progress.ended), (7, 7, true));
}
