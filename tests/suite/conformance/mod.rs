//! The framing rules of RFC 9112 from outside: what is malformed is refused, wherever it is
//! split, and no byte of it reaches a backend.

pub mod requests;

use requests::{Malformed, Place};
use ringway::head::Peer;
use ringway::head::{BodyLength, Refusal, RequestHead, Rules, UnderscoreNames};
use ringway::http1::{ChunkedDecoder, FieldStorage, Partial, Verdict, leading_line_ends};

/// What the framing rules say of some bytes from their start, the body included.
enum Judgement {
    Whole,
    Incomplete,
    Refused(Refusal),
}

fn judge(bytes: &[u8], rules: &Rules) -> Judgement {
    let bytes = &bytes[leading_line_ends(bytes)..];
    let mut storage = FieldStorage::new();
    let head = match RequestHead::parse(bytes, &mut storage, rules) {
        Verdict::Incomplete => return Judgement::Incomplete,
        Verdict::Refused(refusal) => return Judgement::Refused(refusal),
        Verdict::Complete(head) => head,
    };
    let body = &bytes[head.length..];
    match head.body {
        BodyLength::None => Judgement::Whole,
        BodyLength::Sized(length) if body.len() as u64 >= length => Judgement::Whole,
        BodyLength::Sized(_) => Judgement::Incomplete,
        BodyLength::Chunked => match decoder().pass(&mut body.to_vec()) {
            Ok(progress) if progress.ended => Judgement::Whole,
            Ok(_) => Judgement::Incomplete,
            Err(refusal) => Judgement::Refused(refusal),
        },
    }
}

fn decoder() -> ChunkedDecoder {
    ChunkedDecoder::relaying(Peer::Client(UnderscoreNames::Drop), None)
}

/// What is said of every part of a request from its start, which must not change once it is
/// refused. The status that it is refused with.
fn refused_everywhere(request: &Malformed) -> Option<Refusal> {
    let shown = String::from_utf8_lossy(&request.bytes);
    let mut refused = None;
    for end in 0..=request.bytes.len() {
        match judge(&request.bytes[..end], &requests::rules()) {
            Judgement::Whole => panic!("{}: {shown:?} is taken at {end}", request.rule),
            Judgement::Incomplete => {
                assert_eq!(refused, None, "{}: {shown:?} is refused, then not", request.rule);
            }
            Judgement::Refused(refusal) => {
                let status = refusal.status();
                assert_eq!(status, request.status, "{}: {shown:?} up to {end}", request.rule);
                refused = Some(refusal);
            }
        }
    }
    refused
}

#[test]
fn a_thousand_malformed_requests_are_refused_and_no_part_of_them_is_taken_for_a_whole() {
    let all = requests::all();
    assert!(all.len() >= 1_000, "{}", all.len());
    let mut broken = Vec::new();
    for request in &all {
        let shown = String::from_utf8_lossy(&request.bytes);
        let refused = refused_everywhere(request);
        broken.push(refused.unwrap_or_else(|| panic!("{}: {shown:?} is taken", request.rule)));
    }
    for refusal in REFUSALS {
        assert!(broken.contains(&refusal), "no request is refused for {refusal:?}");
    }
}

/// What is said in the end of a head that comes in pieces, and is judged only when something may
/// have changed.
fn judge_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, rules: &Rules) -> Judgement {
    let mut partial: Option<Partial> = None;
    for piece in pieces {
        if partial.as_mut().is_some_and(|partial| partial.take(piece)) {
            continue;
        }
        let before = partial.as_ref().map_or(&b""[..], Partial::bytes);
        let all = [before, piece].concat();
        match judge(&all, rules) {
            Judgement::Incomplete => partial = Some(Partial::of_request(&all, rules)),
            judgement => return judgement,
        }
    }
    Judgement::Incomplete
}

#[test]
fn a_malformed_head_in_pieces_is_refused_for_the_same_reason() {
    let rules = requests::rules();
    for request in requests::all().iter().filter(|request| request.place == Place::Head) {
        let shown = String::from_utf8_lossy(&request.bytes);
        let begin = leading_line_ends(&request.bytes);
        let head = &request.bytes[begin..];
        let Judgement::Refused(whole) = judge(head, &rules) else { panic!("{shown:?}") };
        for at in [1, 2, 5, head.len() / 2, head.len() - 1] {
            let (one, two) = head.split_at(at.min(head.len()));
            let judgement = judge_pieces([one, two], &rules);
            assert!(matches!(judgement, Judgement::Refused(_)), "{shown:?} at {at}");
        }
        // A head that is refused before all of it has come may be refused for what came first.
        match judge_pieces(head.chunks(1), &rules) {
            Judgement::Refused(refusal) => {
                assert_eq!(refusal.status(), request.status, "{shown:?}, {whole:?}");
            }
            _ => panic!("{shown:?} is not refused in single bytes"),
        }
    }
}

/// Every reason to refuse a request, but a matter of configuration, an underscore in a name.
const REFUSALS: [Refusal; 29] = [
    Refusal::MalformedStartLine,
    Refusal::UnsupportedVersion,
    Refusal::MalformedMethod,
    Refusal::MalformedTarget,
    Refusal::DotSegmentInTarget,
    Refusal::TargetTooLong,
    Refusal::WrongScheme,
    Refusal::TraceNotAllowed,
    Refusal::ConnectNotAllowed,
    Refusal::BareLineFeed,
    Refusal::MalformedField,
    Refusal::HeadTooLarge,
    Refusal::TooManyFields,
    Refusal::MissingHost,
    Refusal::SeveralHosts,
    Refusal::MalformedHost,
    Refusal::HostDisagreesWithTarget,
    Refusal::MalformedContentLength,
    Refusal::SeveralContentLengths,
    Refusal::LengthWithTransferEncoding,
    Refusal::TransferEncodingInHttp10,
    Refusal::UnknownTransferEncoding,
    Refusal::EssentialFieldInConnection,
    Refusal::UnknownExpectation,
    Refusal::MalformedChunk,
    Refusal::ChunkTooLarge,
    Refusal::ChunkLineTooLong,
    Refusal::MalformedTrailer,
    Refusal::TrailersTooLarge,
];

#[test]
fn a_malformed_body_is_refused_alike_however_it_is_split() {
    let all = requests::all();
    for request in all.iter().filter(|request| request.place == Place::Body) {
        let shown = String::from_utf8_lossy(&request.bytes);
        let head = shown.find("\r\n\r\n").expect("the head is well") + 4;
        let body = &request.bytes[head..];
        let refused = |pieces: &[&[u8]]| -> Refusal {
            let (mut decoder, mut partial) = (decoder(), Vec::new());
            let result = pieces.iter().try_for_each(|piece| {
                partial.extend_from_slice(piece);
                let progress = decoder.pass(&mut partial)?;
                partial.drain(..progress.consumed);
                Ok(())
            });
            result.expect_err("it is malformed")
        };
        let whole = refused(&[body]);
        assert_eq!(whole.status(), request.status, "{shown:?}");
        for end in 0..=body.len() {
            let (one, two) = body.split_at(end);
            assert_eq!(refused(&[one, two]), whole, "{shown:?} at {end}");
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(refused(&bytes), whole, "{shown:?} byte by byte");
    }
}

#[test]
fn a_body_goes_on_in_one_form_however_its_sizes_are_written_and_split() {
    let data = "0123456789abcdef0123456789ABCDEF\r\n0\r\n\r\n0A;\r\n";
    assert_eq!(data.len(), 0x2b + 1);
    let relayed = format!("2c\r\n{data}\r\na\r\n;0a\r\n0\r\n\r\n\r\n0\r\n\r\n");
    for [one, two, last] in [
        ["2c", "a", "0"],
        ["2C", "A", "00"],
        ["00000000000000000000000000000002c", "0a", "0000000000000000000000000000"],
        ["2c;a=1", "a \t", "0;end"],
        ["02C \t;0=\"0\\\"A;\"", "00A;;;", "00 ;\u{e9}"],
    ] {
        let body = format!("{one}\r\n{data}\r\n{two}\r\n;0a\r\n0\r\n\r\n\r\n{last}\r\n\r\n");
        for end in 0..=body.len() {
            let (mut decoder, mut partial, mut kept) = (decoder(), Vec::new(), Vec::new());
            for piece in [&body.as_bytes()[..end], &body.as_bytes()[end..]] {
                partial.extend_from_slice(piece);
                let progress = decoder.pass(&mut partial).expect("it is well-formed");
                kept.extend_from_slice(&partial[..progress.kept]);
                partial.drain(..progress.consumed);
            }
            assert_eq!(String::from_utf8_lossy(&kept), relayed, "{body:?} at {end}");
        }
    }
}

#[test]
fn well_formed_requests_are_taken_and_every_part_of_them_is_incomplete() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(2_000));
    for text in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\n\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
        "GET http://A.example/x?y={|}^` HTTP/1.1\r\nhost:a.EXAMPLE\r\n\r\n",
        "GET http://a.example?x HTTP/1.1\r\nhost: a.example:80\r\n\r\n",
        "GET /?%&%zz&\"<>\\\u{e9} HTTP/1.1\r\nhost: a\r\n\r\n",
        "OPTIONS http://a.example:80 HTTP/1.1\r\nhost: a.example:\r\n\r\n",
        "GET /a|b/[c]/..d/e.. HTTP/1.1\r\nHost: a_b.test:1\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \t Chunked \r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Tab: a\tb\r\nX-High: \u{e9}\r\nX_Under: 1\r\n\r\n",
        "PROPFIND / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\r\n",
        long.as_str(),
    ] {
        let bytes = text.as_bytes();
        for end in 0..bytes.len() {
            let judgement = judge(&bytes[..end], &Rules::default());
            assert!(matches!(judgement, Judgement::Incomplete), "{text:?} at {end}");
        }
        match judge(bytes, &Rules::default()) {
            Judgement::Whole => {}
            Judgement::Incomplete => panic!("{text:?} is incomplete"),
            Judgement::Refused(refusal) => panic!("{text:?}: {refusal:?}"),
        }
    }
}

#[test]
fn every_refusal_has_its_status() {
    let rules = Rules { head_bytes_max: 4_096, target_bytes_max: 100, ..Rules::default() };
    let reject = Rules { underscore_names: UnderscoreNames::Reject, ..rules };
    let many: String = (0..101).map(|n| format!("x{n}: 1\r\n")).collect();
    for (text, rules, status) in [
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n".to_owned(), rules, 505),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), rules, 505),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n".to_owned(), rules, 501),
        ("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), rules, 421),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n".to_owned(), rules, 417),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100)), rules, 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "x".repeat(5_000)), rules, 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), rules, 431),
        ("GET / HTTP/1.1\r\nHost: a\r\na_b: 1\r\n\r\n".to_owned(), reject, 400),
    ] {
        match judge(text.as_bytes(), &rules) {
            Judgement::Refused(refusal) => assert_eq!(refusal.status(), status, "{text:?}"),
            _ => panic!("{text:?} is not refused"),
        }
    }
}
