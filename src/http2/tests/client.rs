//! The client's role: responses, resets that mean something, GOAWAY.

use super::writing::{fields, request, rewrite};
use super::*;

impl Scene {
    /// Opens a stream with a request.
    pub(super) fn asks(&mut self, method: &'static str, is_last: bool) -> Option<u32> {
        let all = fields(&[("Host", "a")]);
        let rewrite = rewrite();
        let to = RequestTo { scheme: "http", form: RequestForm::Rewritten(&rewrite) };
        let head = request(method, if method == "CONNECT" { "a:1" } else { "/" }, &all);
        let stream = self.connection.send_request(&head, &to, is_last);
        self.hears();
        stream.map(|stream| stream.0)
    }
}

fn head(status: &str, more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&[(":status", status)], more].concat())
}

#[test]
fn responses_are_views() {
    for (method, flags, status, more, expected) in [
        ("GET", WHOLE, "200", &[][..], "response 1 end: 200 None"),
        ("GET", END_HEADERS, "200", &[], "response 1: 200 Chunked"),
        (
            "GET",
            END_HEADERS,
            "200",
            &[("content-length", "5")],
            "response 1: 200 Sized(5) | content-length: 5",
        ),
        (
            "GET",
            END_HEADERS,
            "200",
            &[("content-length", "5, 5")],
            "response 1: 200 Sized(5) | content-length: 5, 5",
        ),
        (
            "HEAD",
            WHOLE,
            "200",
            &[("content-length", "5")],
            "response 1 end: 200 None | content-length: 5",
        ),
        (
            "GET",
            WHOLE,
            "304",
            &[("content-length", "5")],
            "response 1 end: 304 None | content-length: 5",
        ),
        ("GET", END_HEADERS, "103", &[], "response 1: 103 None"),
        ("CONNECT", END_HEADERS, "200", &[], "response 1: 200 None"),
        ("CONNECT", END_HEADERS, "407", &[], "response 1: 407 Chunked"),
        ("GET", WHOLE, "999", &[("x", "y")], "response 1 end: 999 None | x: y"),
    ] {
        let mut scene = Scene::client();
        scene.asks(method, true);
        scene.gets(HEADERS, flags, 1, &head(status, more));
        assert_eq!(scene.events(), expected);
    }
}

#[test]
fn malformed_responses_reset_their_stream() {
    for (rule, flags, payload, code) in [
        ("§8.3.2: no status", WHOLE, block(&[("x", "y")]), "PROTOCOL_ERROR"),
        ("two digits", WHOLE, head("20", &[]), "PROTOCOL_ERROR"),
        ("no digits", WHOLE, head("2 0", &[]), "PROTOCOL_ERROR"),
        ("below 100", WHOLE, head("099", &[]), "PROTOCOL_ERROR"),
        ("§8.6: 101", END_HEADERS, head("101", &[]), "PROTOCOL_ERROR"),
        ("§8.1: an interim end", WHOLE, head("100", &[]), "PROTOCOL_ERROR"),
        ("§8.3: one of requests", WHOLE, head("200", &[(":path", "/")]), "PROTOCOL_ERROR"),
        ("§8.2.2", WHOLE, head("200", &[("connection", "close")]), "PROTOCOL_ERROR"),
        ("§8.2.1", WHOLE, head("200", &[("x", "y\r\nz: 1")]), "PROTOCOL_ERROR"),
        ("lengths", WHOLE, head("200", &[("content-length", "5, 6")]), "PROTOCOL_ERROR"),
        ("§8.1.1", WHOLE, head("200", &[("content-length", "5")]), "PROTOCOL_ERROR"),
        ("too large", END_HEADERS, head("200", &[("x", &"y".repeat(16_350))]), "CANCEL"),
    ] {
        let mut scene = Scene::client();
        scene.asks("GET", true);
        let (event, heard) = scene.verdict(&frame(HEADERS, flags, 1, &payload));
        assert_eq!(event, format!("broken 1 {code}"), "{rule}");
        assert_eq!(heard, format!("RST_STREAM 1 {code}"), "{rule}");
        scene.lives(rule);
    }
}

#[test]
fn data_is_behind_the_head_and_agrees_with_it() {
    let cases: [(&str, &str, Vec<u8>); 5] = [
        ("before", "GET", frame(DATA, NONE, 1, b"a")),
        (
            "for HEAD",
            "HEAD",
            [frame(HEADERS, END_HEADERS, 1, &head("200", &[])), frame(DATA, NONE, 1, b"a")]
                .concat(),
        ),
        (
            "for 204",
            "GET",
            [frame(HEADERS, END_HEADERS, 1, &head("204", &[])), frame(DATA, NONE, 1, b"a")]
                .concat(),
        ),
        (
            "behind an interim",
            "GET",
            [frame(HEADERS, END_HEADERS, 1, &head("100", &[])), frame(DATA, NONE, 1, b"a")]
                .concat(),
        ),
        (
            "too long",
            "GET",
            [
                frame(HEADERS, END_HEADERS, 1, &head("200", &[("content-length", "1")])),
                frame(DATA, NONE, 1, b"ab"),
            ]
            .concat(),
        ),
    ];
    for (rule, method, bytes) in cases {
        let mut scene = Scene::client();
        scene.asks(method, true);
        scene.resets_on(rule, &bytes, 1, "PROTOCOL_ERROR");
    }
    let mut scene = Scene::client();
    scene.asks("HEAD", true);
    scene.gets(HEADERS, END_HEADERS, 1, &head("200", &[("content-length", "5")]));
    scene.gets(DATA, END_STREAM, 1, b"");
    assert!(scene.events().ends_with("data 1 end: "));
}

#[test]
fn trailers_and_trailers_only() {
    let mut scene = Scene::client();
    scene.asks("POST", true);
    scene.gets(HEADERS, END_HEADERS, 1, &head("200", &[("content-type", "application/grpc")]));
    scene.gets(DATA, NONE, 1, b"a").gets(HEADERS, WHOLE, 1, &block(&[("grpc-status", "0")]));
    let expected = "response 1: 200 Chunked | content-type: application/grpc\ndata 1: a\n\
                    trailers 1: grpc-status: 0";
    assert_eq!(scene.events(), expected);
    scene.asks("POST", true);
    scene.gets(HEADERS, WHOLE, 3, &head("200", &[("grpc-status", "5")]));
    assert_eq!(scene.events(), "response 3 end: 200 None | grpc-status: 5");
    let mut room = FieldRoom::new();
    let view = ResponseHead::of_section(&scene.section, &mut room).expect("good");
    assert_eq!(view.content_length, Some(0), "a client of HTTP/1 needs to learn of the end");
    let mut server = Scene::server();
    server.gets(HEADERS, WHOLE, 1, &get(&[]));
    assert!(server.connection.send_response(StreamId(1), &view, None, true));
    assert_eq!(server.hears(), ["HEADERS 1 end: :status: 200 | grpc-status: 5"]);
}

#[test]
fn interim_responses_are_bounded() {
    let mut scene = Scene::client();
    scene.asks("GET", true);
    for _ in 0..32 {
        scene.gets(HEADERS, END_HEADERS, 1, &head("103", &[]));
    }
    assert!(!scene.events().contains("broken"));
    scene.gets(HEADERS, END_HEADERS, 1, &head("103", &[]));
    assert_eq!(scene.events(), "broken 1 CANCEL");
}

#[test]
fn a_reset_behind_a_complete_response_is_told() {
    let mut scene = Scene::client();
    scene.asks("POST", false);
    scene.gets(HEADERS, WHOLE, 1, &head("413", &[])).gets(RST_STREAM, NONE, 1, &[0; 4]);
    assert_eq!(scene.events(), "response 1 end: 413 None\nreset 1 NO_ERROR end");
    scene.connection.finished(StreamId(1));
    assert_eq!(scene.hears(), [""; 0]);
    scene.asks("POST", false);
    scene.gets(HEADERS, END_HEADERS, 3, &head("200", &[])).gets(RST_STREAM, NONE, 3, &[0; 4]);
    assert!(scene.events().ends_with("reset 3 NO_ERROR"), "it is cut short");
}

#[test]
fn finishing_tells_the_server() {
    for (reads, expected) in
        [(WHOLE, "RST_STREAM 1 NO_ERROR"), (END_HEADERS, "RST_STREAM 1 CANCEL")]
    {
        let mut scene = Scene::client();
        scene.asks("POST", false);
        scene.gets(HEADERS, reads, 1, &head("200", &[]));
        scene.connection.finished(StreamId(1));
        assert_eq!(scene.hears(), [expected]);
    }
    let mut scene = Scene::client();
    scene.asks("GET", true);
    scene.connection.finished(StreamId(1));
    assert_eq!(scene.hears(), ["RST_STREAM 1 CANCEL"]);
    // The response was on its way.
    scene.events();
    scene.gets(HEADERS, END_HEADERS, 1, &head("200", &[])).gets(DATA, END_STREAM, 1, b"x");
    assert_eq!((scene.events(), scene.hears()), (String::new(), vec![]));
}

#[test]
fn streams_are_as_many_as_both_sides_allow() {
    let config = Config { streams_max: 3, ..Config::default() };
    let mut scene = Scene::new(Role::Client, &config);
    scene.connection.advance_output(24);
    assert_eq!(scene.connection.room(), 3, "before the settings");
    assert_eq!(scene.asks("GET", true), Some(1));
    scene.gets(SETTINGS, NONE, 0, &setting(3, 2));
    assert_eq!(scene.connection.room(), 1);
    assert_eq!(scene.asks("GET", true), Some(3));
    assert_eq!(scene.asks("GET", true), None);
    scene.gets(HEADERS, WHOLE, 1, &head("200", &[]));
    assert_eq!(scene.asks("GET", true), None, "it counts until it is finished");
    scene.connection.finished(StreamId(1));
    assert_eq!(scene.asks("GET", true), Some(5));
    scene.gets(SETTINGS, NONE, 0, &setting(3, 0));
    assert_eq!(scene.connection.room(), 0);
    scene.gets(SETTINGS, NONE, 0, &setting(3, 100));
    assert_eq!(scene.connection.room(), 1);
}

#[test]
fn streams_above_the_last_one_of_goaway_are_refused() {
    let mut scene = Scene::client();
    for _ in 0..4 {
        scene.asks("GET", true);
    }
    scene.gets(GOAWAY, NONE, 0, b"\x7f\xff\xff\xff\0\0\0\0");
    assert_eq!(scene.events(), "goaway NO_ERROR");
    assert_eq!(scene.connection.room(), 96, "not yet: nothing is refused");
    scene.gets(GOAWAY, NONE, 0, b"\0\0\0\x03\0\0\0\0");
    assert_eq!(scene.events(), "goaway NO_ERROR\nreset 5 REFUSED_STREAM\nreset 7 REFUSED_STREAM");
    assert_eq!((scene.asks("GET", true), scene.connection.room()), (None, 0));
    scene.gets(GOAWAY, NONE, 0, b"\0\0\0\x07\0\0\0\0");
    assert_eq!(scene.events(), "goaway NO_ERROR", "it does not grow");
    scene.gets(HEADERS, WHOLE, 3, &head("200", &[]));
    assert_eq!(scene.events(), "response 3 end: 200 None");
    for stream in [1, 3, 5, 7] {
        scene.connection.finished(StreamId(stream));
    }
    assert_eq!(scene.hears(), ["RST_STREAM 1 CANCEL"]);
}

#[test]
fn what_a_server_must_not_send() {
    let cases: [(&str, Vec<u8>); 6] = [
        ("§8.4: push", frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02")),
        ("§6.5.2: ENABLE_PUSH", frame(SETTINGS, NONE, 0, &setting(2, 1))),
        ("§5.1.1: HEADERS for an idle stream", frame(HEADERS, WHOLE, 3, &head("200", &[]))),
        ("§5.1.1: HEADERS of its own", frame(HEADERS, WHOLE, 2, &head("200", &[]))),
        ("§5.1: DATA for an idle stream", frame(DATA, NONE, 3, b"a")),
        ("§5.1: RST_STREAM for an idle stream", frame(RST_STREAM, NONE, 3, &[0; 4])),
    ];
    for (rule, bytes) in cases {
        let mut scene = Scene::client();
        scene.asks("GET", true);
        scene.closes_on(rule, &bytes, "PROTOCOL_ERROR");
    }
}

#[test]
fn resets_of_a_server_are_no_flood_and_its_faults_are() {
    let mut scene = Scene::client();
    for _ in 0..2_000 {
        let stream = scene.asks("GET", true).expect("room");
        scene.gets(RST_STREAM, NONE, stream, b"\0\0\0\x07");
        scene.connection.finished(StreamId(stream));
    }
    assert!(!scene.events().contains("draining"));
    for _ in 0..400 {
        let Some(stream) = scene.asks("GET", true) else { break };
        scene.gets(DATA, NONE, stream, b"a");
        scene.connection.finished(StreamId(stream));
    }
    assert!(scene.events().contains("draining Reset"));
}
