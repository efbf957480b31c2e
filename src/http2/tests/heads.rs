//! Requests as views: what of a section becomes what, what is refused with a status, and limits.

use super::*;
use crate::base::Prng;
use crate::limits::{HTTP2_BLOCK_BYTES_MAX, HTTP2_COOKIE_CRUMBS_MAX};

/// The view of a request with these fields, or its refusal.
fn view(fields: &[(&str, &str)]) -> String {
    view_by(fields, &Rules { allow_connect: true, ..Rules::default() })
}

fn view_by(fields: &[(&str, &str)], rules: &Rules) -> String {
    let config = Config { extended_connect: true, ..Config::default() };
    let mut scene = Scene::server_with(&config);
    scene.rules = *rules;
    scene.gets(HEADERS, END_HEADERS, 1, &block(fields));
    let events = scene.events();
    events.strip_prefix("request 1: ").unwrap_or(&events).to_owned()
}

fn of(method: &str, path: &str, authority: &str) -> String {
    let fields =
        [(":method", method), (":scheme", "https"), (":path", path), (":authority", authority)];
    view(&fields)
}

#[test]
fn targets_are_those_of_http_1() {
    for (method, path, authority, expected) in [
        ("GET", "/a?b", "h:1", "GET /a?b h:1 Chunked"),
        ("GET", "//x", "h", "GET //x h Chunked"),
        ("OPTIONS", "*", "h", "OPTIONS * h Chunked"),
        ("GET", "*", "h", "MalformedTarget"),
        ("GET", "a", "h", "MalformedTarget"),
        ("GET", "?a", "h", "MalformedTarget"),
        ("GET", "http://h/", "h", "MalformedTarget"),
        ("GET", "h:80", "h", "MalformedTarget"),
        ("GET", "/a b", "h", "MalformedTarget"),
        ("GET", "/a HTTP/1.1", "h", "MalformedTarget"),
        ("GET", "/a#b", "h", "MalformedTarget"),
        ("GET", "/%zz", "h", "MalformedTarget"),
        ("GET", "/\u{e4}", "h", "MalformedTarget"),
        ("GET", "/a/../b", "h", "DotSegmentInTarget"),
        ("GET", "/a/%2e%2E/b", "h", "DotSegmentInTarget"),
        ("GET", "/.", "h", "DotSegmentInTarget"),
        ("GET", "/", "", "MalformedHost"),
        ("GET", "/", "a/b", "MalformedHost"),
        ("GET", "/", "user@a", "MalformedHost"),
        ("GET", "/", "a:99999", "MalformedHost"),
        ("GET", "/", "a b", "MalformedHost"),
        ("GET", "/", "[::1]:8", "GET / [::1]:8 Chunked"),
        ("TRACE", "/", "h", "TraceNotAllowed"),
        ("get", "/", "h", "get / h Chunked"),
        ("AMETHODTHATISLONGERTHAN32BYTESALL", "/", "h", "MalformedMethod"),
    ] {
        assert_eq!(of(method, path, authority), expected, "{method} {path} {authority}");
    }
    assert_eq!(of("GET", &format!("/{}", "a".repeat(8_192)), "h"), "TargetTooLong");
}

#[test]
fn the_authority_is_that_of_host() {
    let with = |scheme, authority: Option<&str>, hosts: &[&str]| {
        let mut fields = vec![(":method", "GET"), (":scheme", scheme), (":path", "/")];
        fields.extend(authority.map(|authority| (":authority", authority)));
        fields.extend(hosts.iter().map(|host| ("host", *host)));
        view(&fields)
    };
    for (scheme, authority, hosts, expected) in [
        ("https", Some("a"), &[][..], "GET / a Chunked"),
        ("https", Some("a"), &["a"], "GET / a Chunked"),
        ("https", Some("a"), &["A:443"], "GET / A:443 Chunked"),
        ("http", Some("a:80"), &["a"], "GET / a Chunked"),
        ("http", Some("a"), &["a:443"], "HostDisagreesWithTarget"),
        ("https", Some("a"), &["b"], "HostDisagreesWithTarget"),
        ("https", Some("a"), &["a", "a"], "SeveralHosts"),
        ("https", Some("a"), &[""], "MalformedHost"),
        ("https", None, &["a"], "GET / a Chunked"),
        ("https", None, &["a", "b"], "SeveralHosts"),
        ("https", None, &["a@b"], "MalformedHost"),
        ("https", None, &[], "MissingHost"),
        ("ftp", Some("a"), &[], "WrongScheme"),
        ("", Some("a"), &[], "WrongScheme"),
    ] {
        assert_eq!(with(scheme, authority, hosts), expected, "{scheme} {authority:?} {hosts:?}");
    }
}

#[test]
fn tunnels_are_connect_and_extended_connect() {
    let connect = [(":method", "CONNECT"), (":authority", "a:443")];
    assert_eq!(view(&connect), "CONNECT a:443 a:443 None");
    let no_port = [(":method", "CONNECT"), (":authority", "a")];
    assert_eq!(view(&no_port), "MalformedTarget");
    assert_eq!(view_by(&connect, &Rules::default()), "ConnectNotAllowed");
    let extended = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "a"),
        ("sec-websocket-version", "13"),
    ];
    let expected = "GET /chat a None upgrade=websocket | sec-websocket-version: 13";
    assert_eq!(view_by(&extended, &Rules::default()), expected, "it is an Upgrade");
    let mut other = extended;
    other[0] = (":method", "GET");
    assert_eq!(view(&other), "rejected 1 PROTOCOL_ERROR");
    other[0] = (":method", "CONNECT");
    other[1] = (":protocol", "web socket");
    assert_eq!(view(&other), "rejected 1 PROTOCOL_ERROR");
    assert_eq!(view(&extended[..4]), "MissingHost");
}

#[test]
fn fields_are_those_of_http_1() {
    for (fields, expected) in [
        (&[("te", "trailers")][..], "POST / a Chunked"),
        (&[("content-length", "5"), ("x", "y")], "POST / a Sized(5) | x: y"),
        (&[("content-length", "0")], "POST / a None"),
        (&[("x-forwarded-for", "6.6.6.6"), ("x_forwarded_for", "1")], "POST / a Chunked"),
        (&[("expect", "100-Continue")], "POST / a Chunked"),
        (&[("expect", "else")], "UnknownExpectation"),
        (&[("a", "b\tc d"), ("a", "")], "POST / a Chunked | a: b\\tc d | a: "),
        (&[("a", "\u{e4}")], "POST / a Chunked | a: \\xc3\\xa4"),
    ] {
        assert_eq!(view(&[&POST[..], fields].concat()), expected);
    }
    let strict = Rules { underscore_names: UnderscoreNames::Reject, ..Rules::default() };
    assert_eq!(view_by(&[&POST[..], &[("a_b", "c")]].concat(), &strict), "UnderscoreInName");
}

#[test]
fn crumbs_of_a_cookie_are_one_field_wherever_they_are() {
    let crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3; d=4")];
    let expected = "GET / a Chunked | cookie: a=1; b=2; c=3; d=4 | x: y";
    assert_eq!(view(&[&GET[..], &crumbs].concat()), expected);
    let empty = [("cookie", ""), ("cookie", "a=1"), ("cookie", ""), ("cookie", "b=2")];
    assert_eq!(view(&[&GET[..], &empty].concat()), "GET / a Chunked | cookie: a=1; b=2");
    let most = vec![("cookie", "a=1"); HTTP2_COOKIE_CRUMBS_MAX as usize];
    assert!(view(&[&GET[..], &most, &[("x", "y")]].concat()).ends_with("a=1; a=1 | x: y"));
    let more = vec![("cookie", "a=1"); HTTP2_COOKIE_CRUMBS_MAX as usize + 1];
    assert_eq!(view(&[&GET[..], &more].concat()), "refused 1: TooManyFields");
}

#[test]
fn a_head_beyond_the_limits_is_refused_and_the_connection_lives() {
    let long = "v".repeat(4_000);
    let fields = vec![("x", "y"); 101];
    let large = [("a", &*long), ("b", &long), ("c", &long), ("d", &long), ("e", &long)];
    let huge = "v".repeat(20_000);
    for (refusal, more) in [
        ("TooManyFields", &fields[..]),
        ("HeadTooLarge", &large),
        ("HeadTooLarge", &[("a", &*huge)]),
    ] {
        let mut scene = Scene::server();
        // What is behind the limit enters the table all the same.
        let mut payload = get(more);
        payload.extend(b"\x40\x01x\x01y");
        let mut at = 0;
        for piece in payload.chunks(16_384) {
            let is_last = at + piece.len() == payload.len();
            let flags = if is_last { END_HEADERS } else { NONE };
            match at {
                0 => scene.gets(HEADERS, flags | END_STREAM, 1, piece),
                _ => scene.gets(CONTINUATION, flags, 1, piece),
            };
            at += piece.len();
        }
        assert_eq!(scene.events(), format!("refused 1 end: {refusal}"));
        scene.answers(1, 431, true);
        scene.connection.finished(StreamId(1));
        let heard = scene.hears();
        assert!(heard.len() == 1 && heard[0].starts_with("HEADERS 1 end: :status: 431"));
        let mut payload = get(&[]);
        payload.push(0xbe);
        scene.gets(HEADERS, WHOLE, 3, &payload);
        assert_eq!(scene.events(), "request 3 end: GET / a None | x: y");
    }
}

#[test]
fn the_work_for_a_head_is_bounded() {
    // One entry of 4,000 bytes, named by a byte each time; or its name alone, copied each time.
    let entry = [&b"\x40\x7f\xd1\x1e"[..], &[b'n'; 4_048], &b"\x00"[..]].concat();
    for repeated in [&b"\xbe"[..], b"\x0f\x2f\x00", b"\x7e\x00"] {
        let mut scene = Scene::server();
        let bytes = [&entry[..], &repeated.repeat(12_000 / repeated.len())].concat();
        scene.feed(&frame(HEADERS, WHOLE, 1, &bytes));
        assert_eq!(scene.events(), "closed ENHANCE_YOUR_CALM");
    }
    // A block that is never complete.
    let mut scene = Scene::server();
    scene.gets(HEADERS, NONE, 1, &[0; 16_384]);
    for _ in 0..HTTP2_BLOCK_BYTES_MAX / 16_384 {
        scene.gets(CONTINUATION, NONE, 1, &[0; 16_384]);
    }
    assert_eq!(scene.events(), "closed ENHANCE_YOUR_CALM");
}

#[test]
fn the_never_indexed_are_told() {
    let mut scene = Scene::server();
    let mut payload = get(&[("a", "b")]);
    payload.extend(b"\x10\x01s\x01t");
    payload.extend(block(&[("cookie", "x")]));
    payload.extend(b"\x1f\x11\x01y");
    scene.gets(HEADERS, WHOLE, 1, &payload);
    let mut room = FieldRoom::new();
    let head = RequestHead::of_section(&scene.section, &mut room, &scene.rules).expect("good");
    assert_eq!(head.fields.len(), 3);
    let marked = [0, 1, 2].map(|at| head.never_indexed.has(at));
    assert_eq!(marked, [false, true, true], "the cookie for one of its crumbs");
}

/// No bytes of a client make a view from which a writer of HTTP/1 could write another head than its
/// parts say.
#[test]
fn views_have_nothing_that_frames_http_1() {
    let mut random = Prng::new(9);
    let names = [
        ":method",
        ":scheme",
        ":path",
        ":authority",
        ":protocol",
        "host",
        "a",
        "te",
        "cookie",
        "content-length",
        "transfer-encoding",
        "x\r\ny",
        "",
        "A",
        "a b",
        "a:",
        "connection",
        "x\0",
    ];
    let values = [
        "GET",
        "POST",
        "CONNECT",
        "http",
        "https",
        "/",
        "/a?b",
        "*",
        "a",
        "a:1",
        "websocket",
        "/ HTTP/1.1\r\nx: y\r\n\r\n",
        "a\nb",
        "a\rb",
        "a\0b",
        " ",
        "a ",
        "\t",
        "",
        "trailers",
        "5",
        "0",
        "chunked",
        "/\x7f",
        "a b",
        "\u{e4}",
        "G(T",
    ];
    let mut seen = 0;
    for _ in 0..60_000 {
        let mut scene_fields = Vec::new();
        for usual in [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
        {
            if !random.one_in(8) {
                let any = values[random.below(values.len() as u32) as usize];
                scene_fields.push((usual.0, if random.one_in(4) { any } else { usual.1 }));
            }
        }
        for _ in 0..random.below(3) {
            let name = names[random.below(names.len() as u32) as usize];
            scene_fields.push((name, values[random.below(values.len() as u32) as usize]));
        }
        seen += u32::from(is_safe(&block(&scene_fields)));
    }
    assert!(seen > 5_000, "{seen} of them are requests");
}

/// True if the block is a request; panics if its view is not safe.
fn is_safe(payload: &[u8]) -> bool {
    let mut connection =
        Connection::new(Role::Server, &Config { extended_connect: true, ..Config::default() });
    let mut section = Section::new();
    let now = Instant::default();
    connection.receive(PREFACE, &mut section, now);
    connection.receive(&frame(SETTINGS, NONE, 0, b""), &mut section, now);
    let bytes = frame(HEADERS, END_HEADERS, 1, payload);
    let received = connection.receive(&bytes, &mut section, now);
    let Some(Event::Request { .. }) = received.event else { return false };
    let rules = Rules { allow_connect: true, ..Rules::default() };
    let mut room = FieldRoom::new();
    let Ok(head) = RequestHead::of_section(&section, &mut room, &rules) else { return false };
    let is_word =
        |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
    assert!(is_word(head.method.0) && is_word(head.target) && is_word(head.host));
    assert!(head.upgrade.is_none_or(is_word));
    for field in head.fields {
        assert!(is_word(field.name.as_bytes()) && !field.name.contains(':'));
        assert!(!field.value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        assert_eq!(field.value, field.value.trim_ascii());
        assert_ne!(field.name, "transfer-encoding");
    }
    true
}
