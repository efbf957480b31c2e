//! Targets and hosts: the accepted ones, and their forwarded form.

use super::super::{Verdict, fill_host_room, host_room, write_request};
use super::requests::{plain, rewritten};
use super::{FieldStorage, lines, with_request};
use crate::head::{Refusal, RequestHead, Rules, Scheme};

#[test]
fn the_target_is_forwarded_in_origin_form_and_the_host_with_it() {
    for (rule, request, start, host) in [
        ("origin-form", "GET /a?b HTTP/1.1\r\nHost: h:1", "GET /a?b HTTP/1.1", "h:1"),
        ("absolute-form", "GET http://h/a?b HTTP/1.1\r\nHost: H", "GET /a?b HTTP/1.1", "H"),
        ("without a path", "GET http://h:80 HTTP/1.1\r\nHost: h:80", "GET / HTTP/1.1", "h:80"),
        ("no port is port 80", "GET http://h/a HTTP/1.1\r\nHost: h:80", "GET /a HTTP/1.1", "h:80"),
        ("port 80 is no port", "GET http://h:80/ HTTP/1.1\r\nHost: H", "GET / HTTP/1.1", "H"),
        ("a colon alone", "GET http://h:/x HTTP/1.1\r\nHost: h", "GET /x HTTP/1.1", "h"),
        ("IPv6", "GET http://[::1]/ HTTP/1.1\r\nHost: [::1]:80", "GET / HTTP/1.1", "[::1]:80"),
        ("a query alone", "GET http://h?x=/1 HTTP/1.1\r\nHost: h", "GET /?x=/1 HTTP/1.1", "h"),
        ("§3.2.4: *", "OPTIONS http://h HTTP/1.1\r\nHost: h", "OPTIONS * HTTP/1.1", "h"),
        ("§3.2.4: /", "OPTIONS http://h/ HTTP/1.1\r\nHost: h", "OPTIONS / HTTP/1.1", "h"),
        ("§3.2.4: ?", "OPTIONS http://h?a HTTP/1.1\r\nHost: h", "OPTIONS /?a HTTP/1.1", "h"),
        ("asterisk-form", "OPTIONS * HTTP/1.1\r\nHost: h", "OPTIONS * HTTP/1.1", "h"),
        ("HTTP/1.0, absolute", "GET http://h/a HTTP/1.0", "GET /a HTTP/1.1", "h"),
        ("Host is not first", "GET / HTTP/1.1\r\nA: b\r\nhOST: h", "GET / HTTP/1.1", "h"),
    ] {
        let text = rewritten(&format!("{request}\r\n\r\n"), &plain(), &Rules::default());
        let expected = [start.to_owned(), format!("Host: {host}")];
        assert_eq!(lines(&text)[..2], expected, "{rule}");
    }
}

#[test]
fn a_request_of_http_1_0_without_a_host_has_room_for_one() {
    for (address, expected) in [
        ("10.0.0.11:8080", "10.0.0.11:8080"),
        ("[2001:db8::1]:80", "[2001:db8::1]:80"),
        (
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
        ),
        ("[fe80::1%4294967295]:65535", "[fe80::1]:65535"),
    ] {
        {
            let text = "GET /a?b HTTP/1.0\r\nA: b\r\n\r\n";
            with_request(text, &Rules::default(), |head| {
                let mut room = vec![0; 1_024];
                let length = write_request(head, &plain(), &mut room).expect("room enough");
                let host = host_room(head).expect("it has none");
                fill_host_room(address.parse().expect("an address"), &mut room, host);
                let text = String::from_utf8(room[..length].to_vec()).expect("text");
                let lines = lines(&text);
                assert_eq!(lines[0], "GET /a?b HTTP/1.1");
                let value = lines[1].strip_prefix("Host:").expect("it is the first field");
                assert_eq!(value.trim_start_matches(' '), expected);
                assert!(!text.contains("X-Forwarded-Host"), "there is none: {text}");
            });
        }
    }
    let text = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
    with_request(text, &Rules::default(), |head| assert_eq!(host_room(head), None));
}

#[test]
fn a_query_may_have_what_decides_nothing() {
    let mut query = b"/a?100%&%zz&%00&\"<>{}|^`\\[]?/../&caf".to_vec();
    query.extend(0x80..=0xff);
    let head = [b"GET ", &query[..], b" HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n"].concat();
    for end in 0..head.len() {
        let mut storage = FieldStorage::new();
        let part = RequestHead::parse(&head[..end], &mut storage, &Rules::default());
        assert!(matches!(part, Verdict::Incomplete), "{end}: {part:?}");
    }
    let mut storage = FieldStorage::new();
    let verdict = RequestHead::parse(&head, &mut storage, &Rules::default());
    let Verdict::Complete(whole) = verdict else { panic!("{verdict:?}") };
    assert_eq!((whole.target, whole.path, whole.length), (&query[..], &b"/a"[..], head.len()));
    assert_eq!(whole.field("a"), Some(&b"b"[..]));
    let mut room = vec![0; 1_024];
    let length = write_request(&whole, &plain(), &mut room).expect("room enough");
    assert!(room[..length].starts_with(&[b"GET ", &query[..], b" HTTP/1.1\r\n"].concat()));
}

#[test]
fn a_head_with_any_target_is_held_to_the_same_rules() {
    use Refusal::*;
    for (rest, refusal) in [
        (&b" HTTP/1.2\r\nHost: a\r\n\r\n"[..], UnsupportedVersion),
        (b" HTTP/1.1 \r\nHost: a\r\n\r\n", MalformedStartLine),
        (b" HTTP/1.1\nHost: a\r\n\r\n", MalformedStartLine),
        (b"  HTTP/1.1\r\nHost: a\r\n\r\n", MalformedStartLine),
        (b"\x01 HTTP/1.1\r\nHost: a\r\n\r\n", MalformedStartLine),
        (b" HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", BareLineFeed),
        (b" HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", MalformedField),
        (b" HTTP/1.1\r\n\r\n", MissingHost),
    ] {
        let head = [b"GET /?\xe9", rest].concat();
        let mut refused = None;
        for end in 0..=head.len() {
            let mut storage = FieldStorage::new();
            match RequestHead::parse(&head[..end], &mut storage, &Rules::default()) {
                Verdict::Refused(refusal) => refused = Some(refusal),
                Verdict::Incomplete => assert_eq!(refused, None, "{head:?} at {end}"),
                Verdict::Complete(_) => panic!("{head:?} at {end}"),
            }
        }
        assert_eq!(refused, Some(refusal), "{:?}", String::from_utf8_lossy(&head));
    }
}

#[test]
fn connect_says_where_to_connect_to() {
    let rules = Rules { allow_connect: true, ..Rules::default() };
    for (target, is_taken) in [
        ("h:443", true),
        ("[::1]:443", true),
        ("h:65535", true),
        ("h:65536", false),
        ("h:", false),
        ("h", false),
        ("[::1]", false),
        ("/", false),
        ("http://h:443/", false),
    ] {
        let text = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        let mut storage = FieldStorage::new();
        match RequestHead::parse(text.as_bytes(), &mut storage, &rules) {
            Verdict::Complete(head) => {
                assert_eq!((head.target, is_taken), (target.as_bytes(), true))
            }
            verdict => {
                let is_refused = matches!(verdict, Verdict::Refused(Refusal::MalformedTarget));
                assert!(is_refused && !is_taken, "{target}");
            }
        }
    }
}

#[test]
fn the_scheme_is_that_of_the_listener() {
    for (scheme, target, host, refusal) in [
        (Scheme::Https, "https://a.test/x", "a.test", None),
        (Scheme::Https, "HTTPS://a.test/x", "A.test:443", None),
        (Scheme::Https, "https://a.test:80/x", "a.test", Some(Refusal::HostDisagreesWithTarget)),
        (Scheme::Https, "http://a.test/x", "a.test", Some(Refusal::WrongScheme)),
        (Scheme::Http, "https://a.test/x", "a.test", Some(Refusal::WrongScheme)),
        (Scheme::Http, "http://a.test:80/x", "a.test", None),
    ] {
        let rules = Rules { scheme, ..Rules::default() };
        let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut storage = FieldStorage::new();
        match RequestHead::parse(text.as_bytes(), &mut storage, &rules) {
            Verdict::Complete(head) => assert_eq!((head.target, refusal), (&b"/x"[..], None)),
            Verdict::Refused(found) => assert_eq!(Some(found), refusal, "{target}"),
            Verdict::Incomplete => panic!("{target}"),
        }
    }
}
