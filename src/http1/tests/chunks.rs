//! Chunked bodies, split wherever they can be.

use super::super::{ChunkedDecoder, Refusal};
use crate::base::Prng;
use crate::limits::{CHUNK_LINE_BYTES_MAX, FIELDS_MAX, TRAILER_BYTES_MAX};

/// What a decoder made of a body that came in pieces.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    consumed: usize,
    has_ended: bool,
    data: Vec<u8>,
}

/// Reads a body in pieces that end at these places, by both ways of reading, which must agree.
fn read(body: &[u8], ends: &[usize]) -> Result<Read, Refusal> {
    let (mut walker, mut stripper) = (ChunkedDecoder::new(), ChunkedDecoder::new());
    let mut read = Read { consumed: 0, has_ended: false, data: Vec::new() };
    let mut start = 0;
    for end in ends.iter().copied().chain([body.len()]) {
        let mut piece = body[start..end].to_vec();
        let walked = walker.advance(&piece);
        let stripped = stripper.strip(&mut piece);
        assert_eq!(walked.err(), stripped.err(), "{:?}", String::from_utf8_lossy(body));
        let (walked, stripped) = (walked?, stripped?);
        assert_eq!((walked.consumed, walked.ended), (stripped.consumed, stripped.ended));
        let is_all_taken = walked.consumed == end - start;
        assert!(is_all_taken || walked.ended, "it leaves only what follows the body");
        read.consumed += walked.consumed;
        read.has_ended = walked.ended;
        read.data.extend_from_slice(&piece[..stripped.kept]);
        start = end;
    }
    Ok(read)
}

#[test]
fn every_split_of_a_body_gives_the_same_content_and_end() {
    for (body, data) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!"),
        ("a\r\n0\r\n\r\n12345\r\n000\r\n\r\n", "0\r\n\r\n12345"),
        ("5;a=b\r\nhello\r\n0;last\r\n\r\n", "hello"),
        ("2;q=\"\\\"\t;\"\r\nhe\r\n0003;x\r\nllo\r\n0\r\n\r\n", "hello"),
        ("1\r\nx\r\n0\r\nX-Sum: 1\r\nX-Empty:\r\n\r\n", "x"),
        ("A\r\n0123456789\r\n0\r\nx-y:\tz \r\n\r\n", "0123456789"),
    ] {
        let bytes = [body.as_bytes(), b"GET /next"].concat();
        let whole = Read { consumed: body.len(), has_ended: true, data: data.into() };
        for one in 0..=bytes.len() {
            for two in one..=bytes.len() {
                assert_eq!(read(&bytes, &[one, two]).as_ref(), Ok(&whole), "{body:?} {one} {two}");
            }
        }
        let every: Vec<usize> = (0..bytes.len()).collect();
        assert_eq!(read(&bytes, &every), Ok(whole), "byte by byte: {body:?}");
        for end in 0..body.len() {
            let part = read(&body.as_bytes()[..end], &[]).expect("a part of something good");
            assert!(!part.has_ended && part.consumed == end, "{body:?} at {end}");
        }
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
        let extension = ["", ";a", ";a=b;c=\"d e\"", ";\t\u{e9}"][prng.below(4) as usize];
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
        let whole = Read { consumed: body.len(), has_ended: true, data };
        assert_eq!(read(&bytes, &ends), Ok(whole), "{:?}", String::from_utf8_lossy(&bytes));
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
        ("a blank behind", "5 \r\nhello\r\n", MalformedChunk),
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
        ("an underscore in a trailer", "0\r\nx_y: a\r\n\r\n", MalformedTrailer),
        ("a length in a trailer", "0\r\nContent-Length: 5\r\n\r\n", MalformedTrailer),
        ("a coding in a trailer", "0\r\nA: b\r\nTRANSFER-encoding: x\r\n\r\n", MalformedTrailer),
        ("a host in a trailer", "0\r\nhost: x\r\n\r\n", MalformedTrailer),
        ("who it is for in a trailer", "0\r\nX-Forwarded-For: x\r\n\r\n", MalformedTrailer),
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
    assert_eq!(read(many.as_bytes(), &[]).expect("it is well").data, vec![b'x'; 100]);

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
            assert!(!read.has_ended && read.consumed == body.len() && read.data.len() == 5_000);
        });
        assert_eq!(read, expected, "{size}");
    }
    let four_gigabytes = b"100000000\r\n";
    let mut decoder = ChunkedDecoder::new();
    decoder.advance(four_gigabytes).expect("it is well");
    let data = vec![0; 1 << 20];
    for _ in 0..1 << 12 {
        let progress = decoder.advance(&data).expect("data");
        assert_eq!((progress.consumed, progress.ended), (data.len(), false));
    }
    let progress = decoder.advance(b"\r\n0\r\n\r\n").expect("the end of all of it");
    assert_eq!((progress.consumed, progress.ended), (7, true));
}
