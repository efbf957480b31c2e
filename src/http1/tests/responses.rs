//! The response that a client gets for a response of a backend.

use super::super::{ConnectionField, ResponseRewrite, write_response};
use super::{lines, with_response, written};
use crate::head::ResponseTo;

const GET: ResponseTo = ResponseTo { head: false, connect: false };
const HEAD: ResponseTo = ResponseTo { head: true, connect: false };
const CONNECT: ResponseTo = ResponseTo { head: false, connect: true };

fn plain() -> ResponseRewrite<'static> {
    ResponseRewrite {
        connection: ConnectionField::None,
        via: None,
        hsts: None,
        body_unframed: false,
    }
}

fn rewritten(text: &str, asked: ResponseTo, rewrite: &ResponseRewrite<'_>) -> String {
    with_response(text, asked, |head| written(|out| write_response(head, rewrite, out)))
}

/// A rule, the status, what was asked, the fields of a backend, and those that a client gets.
type Case<'a> = (&'a str, u16, ResponseTo, &'a [&'a str], &'a [&'a str]);

fn check(cases: &[Case<'_>]) {
    for (rule, status, asked, fields, expected) in cases {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let text = format!("HTTP/1.1 {status} Some reason\r\n{fields}\r\n");
        let text = rewritten(&text, *asked, &plain());
        let lines = lines(&text);
        assert_eq!(lines[0], format!("HTTP/1.1 {status} Some reason"), "{rule}");
        assert_eq!(lines[1..], **expected, "{rule}");
    }
}

#[test]
fn fields_are_passed_on_by_the_rule_of_their_kind() {
    check(&[
        (
            "as they are",
            200,
            GET,
            &["A: b", "a: c", "Set-Cookie: d"][..],
            &["A: b", "a: c", "Set-Cookie: d"][..],
        ),
        ("RFC 9110 §7.6.1: hop by hop", 200, GET, &["Keep-Alive: 5", "Proxy-Connection: x"], &[]),
        (
            "§7.6.1: Connection and what it names",
            200,
            GET,
            &["Connection: close, A", "A: 1", "B: 2"],
            &["B: 2"],
        ),
        (
            "§7.8: what it could change to",
            426,
            GET,
            &["Connection: upgrade", "Upgrade: h2c", "upgrade: ws", "A: 1"],
            &["Upgrade: h2c", "upgrade: ws", "A: 1", "Connection: Upgrade"],
        ),
        (
            "§7.8: with another status, and not in Connection",
            200,
            GET,
            &["Upgrade: ws"],
            &["Upgrade: ws", "Connection: Upgrade"],
        ),
        (
            "§7.6.1: Connection may name any field",
            200,
            GET,
            &["Connection: via, x-forwarded-for", "Via: 1.1 a", "X-Forwarded-For: b", "A: 1"],
            &["A: 1"],
        ),
        (
            "what is of requests means nothing here",
            200,
            GET,
            &["X-Real-IP: a", "X-Forwarded-Host: b", "Forwarded: c"],
            &["X-Real-IP: a", "X-Forwarded-Host: b", "Forwarded: c"],
        ),
        ("§7.6.3: Via", 200, GET, &["Via: 1.1 a", "A: 1"], &["Via: 1.1 a", "A: 1"]),
        ("underscores are a matter of requests", 200, GET, &["A_b: 1"], &["A_b: 1"]),
    ]);
}

#[test]
fn what_is_said_of_the_length_is_passed_on_where_there_can_be_one() {
    let chunked = "Transfer-Encoding: chunked";
    check(&[
        ("a length is written anew", 200, GET, &["content-length: 007"], &["Content-Length: 7"]),
        ("no body", 200, GET, &["Content-Length: 0"], &["Content-Length: 0"]),
        ("chunks", 200, GET, &["transfer-encoding: CHUNKED"], &[chunked]),
        ("§8.6: 204 has no length", 204, GET, &["Content-Length: 4", "A: 1"], &["A: 1"]),
        ("RFC 9112 §6.1: nor a coding", 204, GET, &[chunked, "A: 1"], &["A: 1"]),
        ("§6.1: nor has 1xx", 100, GET, &[chunked, "Content-Length: 5", "A: 1"], &["A: 1"]),
        ("RFC 9110 §9.3.6: nor has a tunnel", 200, CONNECT, &["Content-Length: 4"], &[]),
        ("§9.3.6: nor in chunks", 200, CONNECT, &[chunked, "A: 1"], &["A: 1"]),
        (
            "a length that is there twice",
            200,
            GET,
            &["Content-Length: 4"; 2],
            &["Content-Length: 4"],
        ),
        (
            "RFC 9112 §6.3, 5: in one line",
            200,
            GET,
            &["Content-Length: 4 ,\t04", "content-length: 4"],
            &["Content-Length: 4"],
        ),
        ("RFC 9112 §5.1: a blank before a colon", 200, GET, &["A\t : 1"], &["A: 1"]),
        ("RFC 9110 §8.6: 204 that says 0", 204, GET, &["Content-Length: 0", "A: 1"], &["A: 1"]),
        ("§8.6: nor has 1xx", 103, GET, &["Content-Length: 0", "Link: </a>"], &["Link: </a>"]),
        (
            "§8.6: 304 says how long it would be",
            304,
            GET,
            &["Content-Length: 9"],
            &["Content-Length: 9"],
        ),
        ("RFC 9112 §6.1: or that it would be in chunks", 304, GET, &[chunked], &[chunked]),
        (
            "RFC 9110 §9.3.2: so does HEAD",
            200,
            HEAD,
            &["Content-Length: 9"],
            &["Content-Length: 9"],
        ),
        ("§9.3.2: in chunks as well", 200, HEAD, &[chunked], &[chunked]),
    ]);
}

#[test]
fn the_status_line_is_ours_and_the_reason_theirs() {
    for (line, expected) in [
        ("HTTP/1.0 200 OK", "HTTP/1.1 200 OK"),
        ("HTTP/1.1 404 Nicht da\u{e4}", "HTTP/1.1 404 Nicht da\u{e4}"),
        ("HTTP/1.1 200 ", "HTTP/1.1 200 "),
        ("HTTP/1.1 200", "HTTP/1.1 200 "),
    ] {
        let text = format!("{line}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(lines(&rewritten(&text, GET, &plain()))[0], expected);
    }
}

#[test]
fn chunks_reach_a_client_of_http_1_0_without_their_framing() {
    let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n";
    let connection = ConnectionField::Close;
    let unframed = ResponseRewrite { body_unframed: true, connection, ..plain() };
    let text = rewritten(text, GET, &unframed);
    assert_eq!(lines(&text), ["HTTP/1.1 200 OK", "A: 1", "Connection: close"]);
}

#[test]
fn the_client_is_told_of_its_connection_and_of_us() {
    let said = "HTTP/1.0 200 S\r\nContent-Length: 0\r\nVia: 1.1 a\r\n";
    let offer = "Upgrade: ws\r\n";
    for (connection, plain_expected, with_offer) in [
        (ConnectionField::None, &[][..], "Connection: Upgrade"),
        (ConnectionField::Close, &["Connection: close"][..], "Connection: close, Upgrade"),
        (
            ConnectionField::KeepAlive,
            &["Connection: keep-alive"][..],
            "Connection: keep-alive, Upgrade",
        ),
        (ConnectionField::Upgrade, &["Connection: Upgrade"][..], "Connection: Upgrade"),
    ] {
        let rewrite = ResponseRewrite { connection, via: Some(b"ringway"), ..plain() };
        let start = ["HTTP/1.1 200 S", "Via: 1.1 a"];
        let (length, via) = ("Content-Length: 0", "Via: 1.0 ringway");
        let text = rewritten(&format!("{said}\r\n"), GET, &rewrite);
        let expected = [&start, &[length][..], plain_expected, &[via]].concat();
        assert_eq!(lines(&text), expected);
        let text = rewritten(&format!("{said}{offer}\r\n"), GET, &rewrite);
        assert_eq!(lines(&text), [start[0], start[1], "Upgrade: ws", length, with_offer, via]);
    }
}
