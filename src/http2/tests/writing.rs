//! Heads, trailers and local answers as they are written.

use super::*;
use crate::head::{
    BodyLength, Connection as Options, Field, FieldSet, Kind, Method, RequestRewrite, ResponseBody,
    Version, read_fields,
};
use std::net::IpAddr;

/// A request of HTTP/1.1 with these fields.
pub(super) fn request<'b, 's>(
    method: &'b str,
    target: &'b str,
    fields: &'s [Field<'b>],
) -> RequestHead<'b, 's> {
    let found = read_fields(fields, Version::Http11, Kind::Request).expect("good fields");
    RequestHead {
        length: 0,
        method: Method(method.as_bytes()),
        target: target.as_bytes(),
        path: target.as_bytes(),
        host: found.host.unwrap_or_default(),
        version: Version::Http11,
        body: found.request_body(),
        keep_alive: true,
        expects_continue: found.expect.is_some(),
        upgrade: found.upgrade,
        fields,
        dropped: found.dropped,
        never_indexed: FieldSet::default(),
        connection: found.connection,
        has_forwarded: found.has_forwarded,
        has_via: found.has_via,
        accepts_trailers: found.accepts_trailers,
    }
}

/// A response of HTTP/1.1 with these fields.
pub(super) fn response<'b, 's>(status: u16, fields: &'s [Field<'b>]) -> ResponseHead<'b, 's> {
    let found = read_fields(fields, Version::Http11, Kind::Response).expect("good fields");
    ResponseHead {
        length: 0,
        status,
        version: Version::Http11,
        body: ResponseBody::None,
        keep_alive: true,
        idle_timeout: None,
        upgrade: found.upgrade,
        has_upgrade: found.upgrade.is_some(),
        reason: b"OK",
        fields,
        dropped: found.dropped,
        never_indexed: FieldSet::default(),
        connection: Options::default(),
        content_length: found.content_length,
        is_chunked: found.is_chunked,
    }
}

pub(super) fn fields(all: &[(&'static str, &'static str)]) -> Vec<Field<'static>> {
    all.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect()
}

pub(super) fn rewrite() -> RequestRewrite<'static> {
    RequestRewrite {
        client: IpAddr::from([192, 0, 2, 1]),
        client_is_trusted_proxy: false,
        proto: "https",
        via: None,
        client_certificate: &[],
        forward_upgrade: false,
        websocket_key: None,
    }
}

/// The frame that a request becomes.
fn sent(head: &RequestHead<'_, '_>, form: RequestForm<'_>) -> String {
    let mut scene = Scene::client();
    scene.gets(SETTINGS, NONE, 0, &setting(8, 1));
    scene.hears();
    let to = RequestTo { scheme: "http", form };
    let stream = scene.connection.send_request(head, &to, head.body == BodyLength::None);
    assert_eq!(stream, Some(StreamId(1)));
    scene.hears().concat()
}

#[test]
fn a_request_loses_what_is_of_http_1_and_tells_of_its_client() {
    let told = "x-real-ip: 192.0.2.1 | x-forwarded-for: 192.0.2.1 | x-forwarded-proto: https | \
                x-forwarded-host: a";
    for (method, target, all, expected) in [
        (
            "GET",
            "/",
            &[("Host", "a"), ("X", "1"), ("Cookie", "a=b; c=d")][..],
            "HEADERS 1 end: :method: GET | :scheme: http | :authority: a | :path: / | x: 1 | \
             cookie: a=b; c=d | {}",
        ),
        (
            "GET",
            "?q",
            &[("Host", "a")],
            "HEADERS 1 end: :method: GET | :scheme: http | :authority: a | :path: /?q | {}",
        ),
        (
            "OPTIONS",
            "*",
            &[("Host", "a")],
            "HEADERS 1 end: :method: OPTIONS | :scheme: http | :authority: a | :path: * | {}",
        ),
        (
            "POST",
            "/",
            &[("Host", "a")],
            "HEADERS 1 end: :method: POST | :scheme: http | :authority: a | :path: / | \
             content-length: 0 | {}",
        ),
        (
            "POST",
            "/",
            &[("Host", "a"), ("Content-Length", "007"), ("Expect", "100-continue")],
            "HEADERS 1: :method: POST | :scheme: http | :authority: a | :path: / | \
             content-length: 7 | expect: 100-continue | {}",
        ),
        (
            "POST",
            "/",
            &[("Host", "a"), ("Transfer-Encoding", "chunked"), ("Connection", "X"), ("X", "y")],
            "HEADERS 1: :method: POST | :scheme: http | :authority: a | :path: / | {}",
        ),
        (
            "GET",
            "/",
            &[("Host", "a"), ("TE", "gzip, trailers"), ("Keep-Alive", "1"), ("Via", "1.1 b")],
            "HEADERS 1 end: :method: GET | :scheme: http | :authority: a | :path: / | \
             te: trailers | {} | via: 1.1 b",
        ),
        (
            "GET",
            "/",
            &[("Host", "a"), ("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=b")],
            "HEADERS 1 end: :method: GET | :scheme: http | :authority: a | :path: / | {}",
        ),
        (
            "GET",
            "/",
            &[("Host", "a"), ("Upgrade", "websocket"), ("Connection", "upgrade")],
            "HEADERS 1 end: :method: GET | :scheme: http | :authority: a | :path: / | {}",
        ),
    ] {
        let fields = fields(all);
        let text = sent(&request(method, target, &fields), RequestForm::Rewritten(&rewrite()));
        assert_eq!(text, expected.replace("{}", told));
    }
}

#[test]
fn trusted_proxies_are_kept_and_via_grows() {
    let all = fields(&[
        ("Host", "a"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-For", "7.7.7.7,, 8.8.8.8"),
        ("X-Forwarded-Proto", "http"),
        ("Via", "1.0 b"),
    ]);
    let rewrite =
        RequestRewrite { client_is_trusted_proxy: true, via: Some(b"ringway"), ..rewrite() };
    let text = sent(&request("GET", "/", &all), RequestForm::Rewritten(&rewrite));
    let expected = "x-real-ip: 192.0.2.1 | x-forwarded-for: 6.6.6.6, 7.7.7.7, 8.8.8.8, 192.0.2.1 | \
                    x-forwarded-proto: http | x-forwarded-host: a | via: 1.0 b | via: 1.1 ringway";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn a_request_that_was_rewritten_is_kept() {
    let all = fields(&[
        ("Host", "a"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("Connection", "close"),
        ("Via", "1.1 ringway"),
        ("Content-Length", "5"),
    ]);
    let text = sent(
        &request("PUT", "/", &all),
        RequestForm::Kept { forward_upgrade: false, accepts_trailers: false },
    );
    let expected = "HEADERS 1: :method: PUT | :scheme: http | :authority: a | :path: / | \
                    x-forwarded-for: 6.6.6.6 | via: 1.1 ringway | content-length: 5";
    assert_eq!(text, expected);
}

#[test]
fn upgrades_are_extended_connects() {
    let all = fields(&[
        ("Host", "a"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ]);
    let text = sent(
        &request("GET", "/chat", &all),
        RequestForm::Kept { forward_upgrade: true, accepts_trailers: false },
    );
    let expected = "HEADERS 1 end: :method: CONNECT | :protocol: websocket | :scheme: http | \
                    :authority: a | :path: /chat | sec-websocket-version: 13";
    assert_eq!(text, expected);
    let mut scene = Scene::client();
    let to = RequestTo {
        scheme: "http",
        form: RequestForm::Kept { forward_upgrade: true, accepts_trailers: false },
    };
    let head = request("GET", "/chat", &all);
    assert_eq!(scene.connection.send_request(&head, &to, false), None, "it is not accepted");
    let connect = request("CONNECT", "b:443", &all[..1]);
    let text =
        sent(&connect, RequestForm::Kept { forward_upgrade: false, accepts_trailers: false });
    assert_eq!(text, "HEADERS 1 end: :method: CONNECT | :authority: b:443");
}

#[test]
fn a_response_loses_what_is_of_http_1() {
    for (status, all, is_last, expected) in [
        (
            200,
            &[("Server", "s"), ("Content-Length", "5"), ("Connection", "close")][..],
            false,
            "HEADERS 1: :status: 200 | server: s | content-length: 5 | via: 1.1 ringway",
        ),
        (
            404,
            &[("Transfer-Encoding", "chunked"), ("Keep-Alive", "timeout=5"), ("X", "")],
            false,
            "HEADERS 1: :status: 404 | x:  | via: 1.1 ringway",
        ),
        (
            999,
            &[("Set-Cookie", "a=b"), ("set-cookie", "c=d"), ("Via", "1.1 b")],
            true,
            "HEADERS 1 end: :status: 999 | set-cookie: a=b | set-cookie: c=d | via: 1.1 b | \
             via: 1.1 ringway",
        ),
        (
            101,
            &[("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", "x")],
            false,
            "HEADERS 1: :status: 200 | via: 1.1 ringway",
        ),
        (
            200,
            &[("Content-Length", "0")],
            true,
            "HEADERS 1 end: :status: 200 | content-length: 0 | via: 1.1 ringway",
        ),
    ] {
        let mut scene = Scene::server();
        scene.gets(HEADERS, WHOLE, 1, &get(&[]));
        let fields = fields(all);
        let head = response(status, &fields);
        let via = Some(&b"ringway"[..]);
        assert!(scene.connection.send_response(StreamId(1), &head, via, is_last));
        assert_eq!(scene.hears(), [expected]);
        assert!(!scene.connection.send_response(StreamId(1), &head, via, is_last), "one is enough");
    }
}

#[test]
fn interim_responses_are_before_the_final_one() {
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 1, &get(&[]));
    let link = fields(&[("Link", "</a>; rel=preload")]);
    for _ in 0..2 {
        assert!(scene.connection.send_response(StreamId(1), &response(103, &link), None, true));
        assert_eq!(scene.hears(), ["HEADERS 1: :status: 103 | link: </a>; rel=preload"]);
    }
    assert!(scene.connection.send_response(StreamId(1), &response(200, &[]), None, true));
    assert_eq!(scene.hears(), ["HEADERS 1 end: :status: 200"]);
}

#[test]
fn trailers_are_behind_all_data() {
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 1, &get(&[]));
    assert!(scene.connection.send_response(StreamId(1), &response(200, &[]), None, false));
    let all = fields(&[("Grpc-Status", "0"), ("Content-Length", "5"), ("X", "y")]);
    let rules = TrailerRules { from: Peer::Backend, named_by_connection: Some(b"x") };
    let trailers = Trailers::of_fields(&all, &rules).expect("good");
    assert!(scene.connection.queue(StreamId(1), 5));
    assert!(!scene.connection.send_trailers(StreamId(1), &trailers), "DATA is before them");
    let data = scene.connection.next_data(100).expect("five bytes");
    assert_eq!((data.bytes, data.is_last), (5, false));
    scene.hears();
    assert!(scene.connection.send_trailers(StreamId(1), &trailers));
    let output = scene.connection.output();
    assert_eq!(output[3..9], [HEADERS, WHOLE, 0, 0, 0, 1]);
    let (mut decoder, mut section) = (Decoder::new(), Section::new());
    section
        .begin(crate::http2::section::Kind::Trailers, SectionLimits { bytes: 1_000, fields: 10 });
    decoder.decode(&output[9..], &mut section).expect("good");
    let mut room = FieldRoom::new();
    let names: Vec<&str> = section.fields(&mut room).iter().map(|field| field.name).collect();
    assert_eq!(names, ["grpc-status"]);
    assert!(!scene.connection.send_trailers(StreamId(1), &trailers), "it has ended");
}

#[test]
fn local_answers() {
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 1, &get(&[])).gets(HEADERS, WHOLE, 3, &get(&[]));
    let answer = Answer { status: 503, seconds: 0, content_type: "text/plain", content_length: 7 };
    assert!(scene.connection.send_answer(StreamId(1), &answer, false));
    let grpc = GrpcAnswer { code: 14, message: "no backend can be reached", seconds: 0 };
    assert!(scene.connection.send_grpc_answer(StreamId(3), &grpc));
    assert_eq!(
        scene.hears(),
        [
            "HEADERS 1: :status: 503 | date: Thu, 01 Jan 1970 00:00:00 GMT | \
             content-type: text/plain | content-length: 7",
            "HEADERS 3 end: :status: 200 | date: Thu, 01 Jan 1970 00:00:00 GMT | \
             content-type: application/grpc | grpc-status: 14 | \
             grpc-message: no backend can be reached",
        ]
    );
    assert!(!scene.connection.send_answer(StreamId(3), &answer, false));
    assert!(!scene.connection.send_answer(StreamId(99), &answer, false));
}

#[test]
fn the_table_is_as_large_as_the_peer_allows() {
    let mut scene = Scene::server();
    let sizes = [setting(1, 0), setting(1, 100), setting(1, 1 << 20)].concat();
    scene.gets(SETTINGS, NONE, 0, &sizes).gets(HEADERS, WHOLE, 1, &get(&[]));
    scene.hears();
    scene.answers(1, 200, true);
    assert_eq!(scene.connection.output()[9..13], [0x20, 0x3f, 0xe1, 0x1f], "0, then 4,096");
}

#[test]
fn a_head_larger_than_a_frame_is_continued() {
    let mut scene = Scene::server();
    scene.gets(HEADERS, WHOLE, 1, &get(&[]));
    let long = vec![b'\\'; 9_000];
    let all = [Field { name: "A", value: &long }, Field { name: "B", value: &long }];
    assert!(scene.connection.send_response(StreamId(1), &response(200, &all), None, true));
    let output = scene.connection.output();
    assert_eq!(output[..9], [0, 0x40, 0, HEADERS, END_STREAM, 0, 0, 0, 1]);
    assert_eq!(output[9 + 16_384 + 3..][..6], [CONTINUATION, END_HEADERS, 0, 0, 0, 1]);
}
