//! The responses that a backend may send, and the length of their bodies.

use super::super::Verdict;
use super::{FieldStorage, with_response};
use crate::head::{Refusal, ResponseBody, ResponseHead, ResponseTo, Rules, Version};
use std::time::Duration;

const GET: ResponseTo = ResponseTo { head: false, connect: false };
const HEAD: ResponseTo = ResponseTo { head: true, connect: false };
const CONNECT: ResponseTo = ResponseTo { head: false, connect: true };

fn verdict(bytes: &[u8], asked: ResponseTo) -> Result<bool, Refusal> {
    let mut storage = FieldStorage::new();
    match ResponseHead::parse(bytes, &mut storage, asked, &Rules::default()) {
        Verdict::Complete(_) => Ok(true),
        Verdict::Incomplete => Ok(false),
        Verdict::Refused(refusal) => Err(refusal),
    }
}

type Case = (&'static str, String, Refusal);

fn line(line: &str) -> String {
    format!("{line}\r\nContent-Length: 0\r\n\r\n")
}

fn with(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n")
}

fn malformed_status_lines() -> Vec<Case> {
    use Refusal::{MalformedStartLine, MalformedStatus, UnsupportedVersion};
    vec![
        ("RFC 9112 §4: status below 100", line("HTTP/1.1 99 Low"), MalformedStatus),
        ("§4: status 099", line("HTTP/1.1 099 Low"), MalformedStatus),
        ("§4: four digits", line("HTTP/1.1 1000 High"), MalformedStatus),
        ("§4: four digits, 2000", line("HTTP/1.1 2000 High"), MalformedStatus),
        ("§4: letters", line("HTTP/1.1 2OO Letters"), MalformedStatus),
        ("§4: a sign", line("HTTP/1.1 +20 Sign"), MalformedStatus),
        ("§4: two blanks", line("HTTP/1.1  200 OK"), MalformedStatus),
        ("§2.3: HTTP/3.7", line("HTTP/3.7 200 OK"), MalformedStartLine),
        ("§2.3: HTTP/0.9", line("HTTP/0.9 200 OK"), MalformedStartLine),
        ("§2.3: HTTP/1.2", line("HTTP/1.2 200 OK"), UnsupportedVersion),
        ("§2.3: lower case", line("http/1.1 200 OK"), MalformedStartLine),
        ("§2.2: an empty line before", line("\r\nHTTP/1.1 200 OK"), MalformedStartLine),
    ]
}

fn malformed_lengths() -> Vec<Case> {
    use Refusal::*;
    vec![
        (
            "§6.3: two lengths",
            with("Content-Length: 5\r\nContent-Length: 6"),
            SeveralContentLengths,
        ),
        (
            "§6.3: the third differs",
            with("Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 0"),
            SeveralContentLengths,
        ),
        ("§6.3: a list", with("Content-Length: 5, 6"), SeveralContentLengths),
        (
            "§6.3: a list and another",
            with("Content-Length: 5, 5\r\nContent-Length: 6"),
            SeveralContentLengths,
        ),
        ("§6.3: an open list", with("Content-Length: 5,"), MalformedContentLength),
        ("§6.3: a list with a gap", with("Content-Length: 5,,5"), MalformedContentLength),
        ("§6.3: a list of others", with("Content-Length: 5, x"), MalformedContentLength),
        ("§6.2: negative", with("Content-Length: -5"), MalformedContentLength),
        ("§6.2: nothing", with("Content-Length:"), MalformedContentLength),
        ("§6.2: 2^63", with("Content-Length: 9223372036854775808"), MalformedContentLength),
        (
            "§6.1: both",
            with("Content-Length: 5\r\nTransfer-Encoding: chunked"),
            LengthWithTransferEncoding,
        ),
        (
            "§6.1: both, the other way",
            with("Transfer-Encoding: chunked\r\nContent-Length: 5"),
            LengthWithTransferEncoding,
        ),
        ("§6.1: unknown", with("Transfer-Encoding: gzip"), UnknownTransferEncoding),
        ("§6.1: two", with("Transfer-Encoding: gzip, chunked"), UnknownTransferEncoding),
        (
            "§6.1: chunked twice",
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            UnknownTransferEncoding,
        ),
        (
            "§6.1: HTTP/1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            TransferEncodingInHttp10,
        ),
    ]
}

fn malformed_fields() -> Vec<Case> {
    use Refusal::{BareLineFeed, MalformedField};
    vec![
        ("RFC 9110 §5.5: NUL", with("X: a\0b"), MalformedField),
        ("§5.5: CR", with("X: a\rb"), MalformedField),
        ("§5.5: a control byte", with("X: a\u{1}b"), MalformedField),
        ("§5.5: DEL", with("X: a\u{7f}b"), MalformedField),
        ("§5.1: NUL in a name", with("X\0: a"), MalformedField),
        ("§5.1: no name", with(": a"), MalformedField),
        ("RFC 9112 §5.1: a blank in a name", with("X Y: a"), MalformedField),
        ("§5.1: a blank before a name", with(" X: a"), MalformedField),
        ("§5.2: folded", with("X: a\r\n b"), MalformedField),
        ("§2.2: bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n".into(), BareLineFeed),
        ("§2.2: one bare LF", with("X: a\nY: b"), BareLineFeed),
    ]
}

#[test]
fn malformed_responses_are_refused_wherever_they_are_split() {
    let all = [malformed_status_lines(), malformed_lengths(), malformed_fields()].concat();
    for (rule, text, refusal) in all {
        let mut first = None;
        for end in 0..=text.len() {
            match (verdict(&text.as_bytes()[..end], GET), first) {
                (Err(refusal), _) => first = Some(refusal),
                (Ok(is_whole), before) => {
                    assert!(!is_whole && before.is_none(), "{rule}: {text:?} at {end}");
                }
            }
        }
        assert_eq!(first, Some(refusal), "{rule}: {text:?}");
    }
}

#[test]
fn a_body_is_as_long_as_status_fields_and_method_say() {
    use ResponseBody::{Chunked, None, Sized, UntilClose};
    let chunked = "Transfer-Encoding: Chunked";
    for (rule, status, field, asked, body) in [
        ("RFC 9112 §6.3, 1: HEAD", 200, "Content-Length: 9", HEAD, None),
        ("1: HEAD in chunks", 200, chunked, HEAD, None),
        ("1: HEAD without", 200, "X: y", HEAD, None),
        ("1: 1xx", 103, "Link: </a>", GET, None),
        ("1: 204", 204, "X: y", GET, None),
        ("1: 204 that says 0", 204, "Content-Length: 0", GET, None),
        ("1: 100 that says 5", 100, "Content-Length: 5", GET, None),
        ("1: 103 in chunks", 103, chunked, GET, None),
        ("1: 101 in chunks", 101, chunked, GET, None),
        ("1: 204 that says 5", 204, "Content-Length: 5", GET, None),
        ("1: 204 in chunks", 204, chunked, GET, None),
        ("1: 204 in an unknown coding", 204, "Transfer-Encoding: gzip", GET, None),
        ("1: 204 with both", 204, "Content-Length: 5\r\nTransfer-Encoding: x", GET, None),
        ("1: 204 with two lengths", 204, "Content-Length: 5\r\nContent-Length: 6", GET, None),
        ("1: 204 with no number", 204, "Content-Length: five", GET, None),
        ("1: 304 that says how long it would be", 304, "Content-Length: 9", GET, None),
        ("1: 304 in chunks", 304, chunked, GET, None),
        ("2: a tunnel", 200, "Content-Length: 9", CONNECT, None),
        ("2: a tunnel in chunks", 200, chunked, CONNECT, None),
        ("2: a tunnel with both", 299, "Content-Length: 9\r\nTransfer-Encoding: x", CONNECT, None),
        ("2: no tunnel", 404, "Content-Length: 9", CONNECT, Sized(9)),
        ("4: chunks", 200, chunked, GET, Chunked),
        ("6: a length", 500, "Content-Length: 9", GET, Sized(9)),
        ("5: a list of one length", 200, "Content-Length: 9, 9,9", GET, Sized(9)),
        ("6: leading zeros", 200, "Content-Length: 0009", GET, Sized(9)),
        ("6: the longest", 200, "Content-Length: 9223372036854775807", GET, Sized(i64::MAX as u64)),
        ("6: the same twice", 200, "Content-Length: 9\r\ncontent-length: 09", GET, Sized(9)),
        ("6: a blank before the colon", 200, "Content-Length \t: 9", GET, Sized(9)),
        (
            "6: two hosts mean nothing",
            200,
            "Host: a\r\nHost: b\r\nContent-Length: 9",
            GET,
            Sized(9),
        ),
        ("6: a status that is none yet", 600, "Content-Length: 9", GET, Sized(9)),
        ("6: the last status", 999, "Content-Length: 9", GET, Sized(9)),
        ("6: nothing", 200, "Content-Length: 0", GET, None),
        ("8: until the end", 200, "X: y", GET, UntilClose),
    ] {
        let text = format!("HTTP/1.1 {status} Reason\r\n{field}\r\n\r\nwhat follows");
        let length = text.len() - "what follows".len();
        with_response(&text, asked, |head| {
            assert_eq!((head.body, head.status, head.length), (body, status, length), "{rule}");
        });
        for end in 0..length {
            assert_eq!(verdict(&text.as_bytes()[..end], asked), Ok(false), "{rule} at {end}");
        }
    }
}

#[test]
fn a_connection_is_kept_by_version_and_word() {
    for (line, fields, is_kept) in [
        ("HTTP/1.1 200 OK", "X: y", true),
        ("HTTP/1.1 200 OK", "Connection: close", false),
        ("HTTP/1.1 200 OK", "Connection: x, CLOSE", false),
        ("HTTP/1.0 200 OK", "X: y", false),
        ("HTTP/1.0 200 OK", "Connection: keep-alive", true),
        ("HTTP/1.0 200 OK", "Connection: keep-alive, close", false),
    ] {
        let text = format!("{line}\r\n{fields}\r\n\r\n");
        let version = if line.starts_with("HTTP/1.0") { Version::Http10 } else { Version::Http11 };
        with_response(&text, GET, |head| {
            assert_eq!((head.keep_alive, head.version), (is_kept, version), "{text:?}");
        });
    }
}

#[test]
fn a_connection_on_which_content_may_come_late_is_not_kept() {
    for (status, fields, is_kept) in [
        (204, "X: y", true),
        (204, "Content-Length: 0", true),
        (204, "Content-Length: 4", false),
        (204, "Content-Length: 0\r\nContent-Length: 4", false),
        (204, "Transfer-Encoding: chunked", false),
        (304, "Content-Length: 4", true),
        (304, "Transfer-Encoding: chunked", true),
    ] {
        let text = format!("HTTP/1.1 {status} x\r\n{fields}\r\n\r\n");
        with_response(&text, GET, |head| assert_eq!(head.keep_alive, is_kept, "{text:?}"));
    }
}

#[test]
fn keep_alive_says_how_long_an_idle_connection_lasts() {
    for (fields, seconds) in [
        ("X: y", None),
        ("Keep-Alive: timeout=5", Some(5)),
        ("keep-alive: max=100 , Timeout = 15", Some(15)),
        ("Keep-Alive: timeout=0", Some(0)),
        ("Keep-Alive: timeout=5\r\nKeep-Alive: max=3", Some(5)),
        ("Keep-Alive: timeout", None),
        ("Keep-Alive: timeout=", None),
        ("Keep-Alive: timeout=-5", None),
        ("Keep-Alive: timeout=5s", None),
        ("Keep-Alive: timeout=99999999999999999999", None),
        ("Keep-Alive: xtimeout=5", None),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        let expected = seconds.map(Duration::from_secs);
        with_response(&text, GET, |head| assert_eq!(head.idle_timeout, expected, "{text:?}"));
    }
}

#[test]
fn a_head_has_its_size_and_no_more_fields_than_there_is_room_for() {
    let rules = Rules { head_bytes_max: 200, fields_max: 5, ..Rules::default() };
    let parse = |text: &str| {
        let mut storage = FieldStorage::new();
        match ResponseHead::parse(text.as_bytes(), &mut storage, GET, &rules) {
            Verdict::Refused(refusal) => Some(refusal),
            _ => None,
        }
    };
    let of_length = |length: usize| {
        let text = "HTTP/1.1 200 OK\r\nX: \r\n\r\n";
        text.replace("X: ", &format!("X: {}", "y".repeat(length - text.len())))
    };
    assert_eq!(parse(&of_length(200)), None);
    assert_eq!(parse(&of_length(201)), Some(Refusal::HeadTooLarge));
    assert_eq!(parse(&of_length(202)[..199]), None, "it may still end");
    assert_eq!(parse(&of_length(202)[..200]), Some(Refusal::HeadTooLarge), "it cannot");
    let of_fields = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: 1\r\n".repeat(count));
    assert_eq!(parse(&of_fields(5)), None);
    assert_eq!(parse(&of_fields(6)), Some(Refusal::TooManyFields));
}
