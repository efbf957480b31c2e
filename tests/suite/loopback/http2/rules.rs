//! The rules that h2spec 2.6 checks of a server, each as a case of its own: "generic", "http2"
//! (sections of RFC 9113, or of RFC 7540 where that has left the rule out), "hpack" (sections of
//! RFC 7541).

use super::*;

/// What a client sees of a case.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// GOAWAY with this code, and the end.
    End(u32),
    /// RST_STREAM of stream 1 with this code; the connection lives.
    Reset(u32),
    /// This status on stream 1; the connection lives.
    Status(u16),
    /// Only that the connection lives.
    Life,
}

use Seen::{End, Life, Reset, Status};

struct Scene {
    operated: Operated,
}

impl Scene {
    fn new() -> Self {
        let origin = Box::leak(Box::new(Origin::saying("hello")));
        Self { operated: started(origin, "") }
    }

    fn open(&self) -> Wire {
        Wire::open(self.operated.ringway.address)
    }

    /// Sends bytes on a connection of their own.
    fn sees(&self, rule: &str, bytes: &[u8], seen: Seen) {
        let mut wire = self.open();
        wire.send(bytes);
        check(rule, &mut wire, seen);
    }

    /// The same behind a request on stream 1 that is answered.
    fn sees_behind_an_answer(&self, rule: &str, bytes: &[u8], seen: Seen) {
        let mut wire = self.open();
        wire.get(1, "/").response(1);
        wire.send(bytes);
        check(rule, &mut wire, seen);
    }

    fn check(&self, cases: &[(&str, Vec<u8>, Seen)]) {
        for (rule, bytes, seen) in cases {
            self.sees(rule, bytes, *seen);
        }
    }
}

fn check(rule: &str, wire: &mut Wire, seen: Seen) {
    match seen {
        End(code) => {
            let goaway = loop {
                let frame = wire.next().unwrap_or_else(|| panic!("{rule}: no GOAWAY"));
                if frame.kind == GOAWAY {
                    break frame;
                }
            };
            assert_eq!(goaway.code(), Some(code), "{rule}");
            while wire.next().is_some() {}
        }
        Reset(code) => {
            let reset =
                wire.await_frame(rule, |frame| (frame.kind, frame.stream) == (RST_STREAM, 1));
            assert_eq!(reset.code(), Some(code), "{rule}");
            assert!(wire.lives(), "{rule}");
        }
        Status(status) => {
            assert_eq!(wire.response(1).0, status, "{rule}");
            assert!(wire.lives(), "{rule}");
        }
        Life => assert!(wire.lives(), "{rule}"),
    }
}

/// A request of stream 1 without its end.
fn open_post() -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[]))
}

fn get() -> Vec<u8> {
    request("GET", "/", &[])
}

/// A request of stream 1, whole, and what follows it.
fn whole(more: &[u8]) -> Vec<u8> {
    [&frame(HEADERS, WHOLE, 1, &get()), more].concat()
}

fn one(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

#[test]
// Rule: the cases are a table.
fn generic() {
    let scene = Scene::new();
    let priority = frame(PRIORITY, NONE, 1, b"\0\0\0\0\xff");
    let padded = [&[2][..], &get(), &[0; 2]].concat();
    let prioritised = [&b"\0\0\0\0\x0f"[..], &get()].concat();
    let both = [&[2][..], b"\x80\0\0\x07\x0f", &get(), &[0; 2]].concat();
    let plain = get();
    let (head, rest) = plain.split_at(5);
    let trailers = [
        frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[("trailer", "x-test")])),
        frame(DATA, NONE, 1, b"test"),
        frame(HEADERS, WHOLE, 1, &block(&[("x-test", "ok")])),
    ];
    scene.check(&[
        ("1: the preface", whole(b""), Status(200)),
        ("2: PRIORITY, idle", [&priority[..], &whole(b"")].concat(), Status(200)),
        (
            "2: WINDOW_UPDATE, half-closed (remote)",
            whole(&frame(WINDOW_UPDATE, NONE, 1, &one(1))),
            Status(200),
        ),
        ("2: PRIORITY, half-closed (remote)", whole(&priority), Status(200)),
        ("2: RST_STREAM, half-closed", whole(&frame(RST_STREAM, NONE, 1, &one(8))), Life),
        ("3.1: DATA", [open_post(), frame(DATA, END_STREAM, 1, b"test")].concat(), Status(200)),
        (
            "3.1: DATA in several frames",
            [open_post(), frame(DATA, NONE, 1, b"a"), frame(DATA, END_STREAM, 1, b"b")].concat(),
            Status(200),
        ),
        (
            "3.1: DATA with padding",
            [open_post(), frame(DATA, END_STREAM | PADDED, 1, b"\x02test\0\0")].concat(),
            Status(200),
        ),
        ("3.2: HEADERS", whole(b""), Status(200)),
        ("3.2: with padding", frame(HEADERS, WHOLE | PADDED, 1, &padded), Status(200)),
        ("3.2: with priority", frame(HEADERS, WHOLE | WITH_PRIORITY, 1, &prioritised), Status(200)),
        ("3.2: with both", frame(HEADERS, WHOLE | PADDED | WITH_PRIORITY, 1, &both), Status(200)),
        ("3.3: PRIORITY", [&priority[..], &whole(b"")].concat(), Status(200)),
        (
            "3.3: exclusive, on another",
            [frame(PRIORITY, NONE, 3, b"\x80\0\0\x01\0"), whole(b"")].concat(),
            Status(200),
        ),
        ("3.4: RST_STREAM", [open_post(), frame(RST_STREAM, NONE, 1, &one(8))].concat(), Life),
        (
            "3.5: SETTINGS",
            [frame(SETTINGS, NONE, 0, &setting(3, 7)), whole(b"")].concat(),
            Status(200),
        ),
        ("3.7: PING", frame(PING, NONE, 0, b"h2spec\0\0"), Life),
        ("3.8: GOAWAY", [frame(GOAWAY, NONE, 0, &[0; 8]), whole(b"")].concat(), Status(200)),
        ("3.9: WINDOW_UPDATE, connection", frame(WINDOW_UPDATE, NONE, 0, &one(1)), Life),
        (
            "3.9: WINDOW_UPDATE, stream",
            [open_post(), frame(WINDOW_UPDATE, NONE, 1, &one(1)), frame(DATA, END_STREAM, 1, b"")]
                .concat(),
            Status(200),
        ),
        (
            "3.10: CONTINUATION",
            [frame(HEADERS, END_STREAM, 1, head), frame(CONTINUATION, END_HEADERS, 1, rest)]
                .concat(),
            Status(200),
        ),
        (
            "3.10: several",
            [
                frame(HEADERS, END_STREAM, 1, head),
                frame(CONTINUATION, NONE, 1, &rest[..1]),
                frame(CONTINUATION, NONE, 1, b""),
                frame(CONTINUATION, END_HEADERS, 1, &rest[1..]),
            ]
            .concat(),
            Status(200),
        ),
        ("4: GET", whole(b""), Status(200)),
        ("4: HEAD", frame(HEADERS, WHOLE, 1, &request("HEAD", "/", &[])), Status(200)),
        ("4: POST with trailers", trailers.concat(), Status(200)),
    ]);
    scene.sees_behind_an_answer("2: PRIORITY, closed", &priority, Life);
}

/// A request whose last field is this representation.
fn with_field(field: &[u8]) -> Vec<u8> {
    frame(HEADERS, WHOLE, 1, &[&get(), field].concat())
}

#[test]
fn representations_of_hpack() {
    let scene = Scene::new();
    // `custom-key: custom-value` in Huffman's code (RFC 7541 §C.4).
    let name = b"\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f";
    let value = b"\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";
    let literal = |first: u8| [&[first][..], b"\x04name\x05value"].concat();
    let coded = |first: u8| [&[first][..], name, value].concat();
    let mut cases = vec![
        // `accept-encoding: gzip, deflate` of the static table.
        ("hpack 2.3: indexed", with_field(b"\x90"), Status(200)),
        (
            "hpack 4.2: a smaller table",
            frame(HEADERS, WHOLE, 1, &[&b"\x20"[..], &get()].concat()),
            Status(200),
        ),
        (
            "hpack 4.2: twice",
            frame(HEADERS, WHOLE, 1, &[&b"\x20\x3f\xe1\x1f"[..], &get()].concat()),
            Status(200),
        ),
    ];
    for first in [0x40, 0x00, 0x10] {
        cases.push(("hpack 6.2: a new name", with_field(&literal(first)), Status(200)));
        cases.push(("hpack 5.2: Huffman's code", with_field(&coded(first)), Status(200)));
        let known = [&[first | 0x0f][..], b"\x04\x05value"].concat();
        let accept = match first {
            0x40 => [&[0x53][..], b"\x05value"].concat(),
            _ => known,
        };
        cases.push(("hpack 6.2: a known name", with_field(&accept), Status(200)));
    }
    cases.push((
        "hpack 6.1: of the dynamic table",
        with_field(&[&literal(0x40)[..], b"\xbe"].concat()),
        Status(200),
    ));
    cases.extend([
        ("hpack 2.3.3: an index beyond the tables", with_field(b"\xc6"), End(COMPRESSION_ERROR)),
        (
            "hpack 2.3.3: a name beyond the tables",
            with_field(b"\x7f\x07\x05value"),
            End(COMPRESSION_ERROR),
        ),
        ("hpack 4.2: a table size at the end", with_field(b"\x21"), End(COMPRESSION_ERROR)),
        (
            "hpack 5.2: padding of more than 7 bits",
            with_field(b"\x00\x04test\x84\x49\x50\x9f\xff"),
            End(COMPRESSION_ERROR),
        ),
        (
            "hpack 5.2: padding that is not of EOS",
            with_field(b"\x00\x04test\x83\x49\x50\x90"),
            End(COMPRESSION_ERROR),
        ),
        (
            "hpack 5.2: EOS in a text",
            with_field(b"\x00\x04test\x88\x49\x50\x9f\xff\xff\xff\xfa\x84"),
            End(COMPRESSION_ERROR),
        ),
        ("hpack 6.1: index 0", with_field(b"\x80"), End(COMPRESSION_ERROR)),
        (
            "hpack 6.3: a larger table than the settings have",
            frame(HEADERS, WHOLE, 1, &[&b"\x3f\xe2\x1f"[..], &get()].concat()),
            End(COMPRESSION_ERROR),
        ),
    ]);
    scene.check(&cases);
}

#[test]
// Rule: the cases are a table.
fn frames_and_their_order() {
    let scene = Scene::new();
    let reserved = {
        let mut bytes = frame(PING, NONE, 0, b"12345678");
        bytes[5] |= 0x80;
        bytes
    };
    let open = frame(HEADERS, END_STREAM, 1, &get());
    scene.check(&[
        ("4.1: an unknown type", frame(0xff, NONE, 0, &[0; 8]), Life),
        ("4.1: undefined flags", frame(PING, 0xfe, 0, b"12345678"), Life),
        ("4.1: the reserved bit", reserved, Life),
        (
            "4.2: DATA of 2^14 bytes",
            [open_post(), frame(DATA, END_STREAM, 1, &[b'x'; 16_384])].concat(),
            Status(200),
        ),
        (
            "4.2: a larger DATA",
            [open_post(), frame(DATA, END_STREAM, 1, &[b'x'; 16_385])].concat(),
            End(FRAME_SIZE_ERROR),
        ),
        ("4.2: a larger HEADERS", frame(HEADERS, WHOLE, 1, &[0; 16_385]), End(FRAME_SIZE_ERROR)),
        ("4.3: a bad fragment", frame(HEADERS, WHOLE, 1, b"\x40"), End(COMPRESSION_ERROR)),
        (
            "4.3: PRIORITY in a block",
            [&open[..], &frame(PRIORITY, NONE, 1, &[0; 5])].concat(),
            End(PROTOCOL_ERROR),
        ),
        (
            "4.3: HEADERS of another stream in a block",
            [&open[..], &frame(HEADERS, WHOLE, 3, &get())].concat(),
            End(PROTOCOL_ERROR),
        ),
        (
            "5.5: an unknown type in a block",
            [&open[..], &frame(0xff, NONE, 0, &[0; 8])].concat(),
            End(PROTOCOL_ERROR),
        ),
        ("6.1: DATA of stream 0", frame(DATA, NONE, 0, b"test"), End(PROTOCOL_ERROR)),
        (
            "6.1: padding longer than the frame",
            [open_post(), frame(DATA, PADDED, 1, b"\x09test")].concat(),
            End(PROTOCOL_ERROR),
        ),
        ("6.2: HEADERS of stream 0", frame(HEADERS, WHOLE, 0, &get()), End(PROTOCOL_ERROR)),
        (
            "6.2: padding longer than the frame",
            frame(HEADERS, WHOLE | PADDED, 1, &[&[0xff][..], &get()].concat()),
            End(PROTOCOL_ERROR),
        ),
        ("6.3: PRIORITY of stream 0", frame(PRIORITY, NONE, 0, &[0; 5]), End(PROTOCOL_ERROR)),
        (
            "6.3: PRIORITY of another size",
            [open_post(), frame(PRIORITY, NONE, 1, &[0; 4])].concat(),
            Reset(FRAME_SIZE_ERROR),
        ),
        ("6.4: RST_STREAM of stream 0", frame(RST_STREAM, NONE, 0, &one(8)), End(PROTOCOL_ERROR)),
        ("6.4: of an idle stream", frame(RST_STREAM, NONE, 1, &one(8)), End(PROTOCOL_ERROR)),
        (
            "6.4: of another size",
            [open_post(), frame(RST_STREAM, NONE, 1, &[0; 3])].concat(),
            End(FRAME_SIZE_ERROR),
        ),
        ("6.7: PING", frame(PING, NONE, 0, b"h2spec\0\0"), Life),
        ("6.7: an acknowledgement", frame(PING, ACK, 0, b"invalid\0"), Life),
        ("6.7: of a stream", frame(PING, NONE, 1, &[0; 8]), End(PROTOCOL_ERROR)),
        ("6.7: of another size", frame(PING, NONE, 0, &[0; 6]), End(FRAME_SIZE_ERROR)),
        ("6.8: GOAWAY of a stream", frame(GOAWAY, NONE, 1, &[0; 8]), End(PROTOCOL_ERROR)),
        (
            "6.10: CONTINUATION of stream 0",
            [&open[..], &frame(CONTINUATION, END_HEADERS, 0, b"")].concat(),
            End(PROTOCOL_ERROR),
        ),
        (
            "6.10: behind a complete block",
            whole(&frame(CONTINUATION, END_HEADERS, 1, b"")),
            End(PROTOCOL_ERROR),
        ),
        (
            "6.10: behind a complete CONTINUATION",
            [
                &open[..],
                &frame(CONTINUATION, END_HEADERS, 1, b""),
                &frame(CONTINUATION, END_HEADERS, 1, b""),
            ]
            .concat(),
            End(PROTOCOL_ERROR),
        ),
        (
            "6.10: behind DATA",
            [open_post(), frame(DATA, NONE, 1, b"test"), frame(CONTINUATION, END_HEADERS, 1, b"")]
                .concat(),
            End(PROTOCOL_ERROR),
        ),
        (
            "8.4: PUSH_PROMISE",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[&one(2)[..], &get()].concat()),
            End(PROTOCOL_ERROR),
        ),
    ]);
    // 3.4: another preface. HTTP/1 is spoken on this listener too, which refuses it.
    let answer = scene.operated.ringway.exchange(b"INVALID CONNECTION PREFACE\r\n\r\n");
    assert_eq!(status(&answer), 400);
}

#[test]
// Rule: the cases are a table.
fn states_of_streams() {
    let scene = Scene::new();
    let reset = frame(RST_STREAM, NONE, 1, &one(8));
    let continuation = frame(CONTINUATION, END_HEADERS, 1, b"");
    scene.check(&[
        ("5.1: DATA, idle", frame(DATA, END_STREAM, 1, b"test"), End(PROTOCOL_ERROR)),
        ("5.1: WINDOW_UPDATE, idle", frame(WINDOW_UPDATE, NONE, 1, &one(100)), End(PROTOCOL_ERROR)),
        ("5.1: CONTINUATION, idle", continuation.clone(), End(PROTOCOL_ERROR)),
        (
            "5.1: CONTINUATION behind a reset",
            [open_post(), reset.clone(), continuation.clone()].concat(),
            End(PROTOCOL_ERROR),
        ),
        (
            "5.1.1: a stream of a server's number",
            frame(HEADERS, WHOLE, 2, &get()),
            End(PROTOCOL_ERROR),
        ),
        (
            "5.1.1: a lower number",
            [frame(HEADERS, WHOLE, 5, &get()), frame(HEADERS, WHOLE, 3, &get())].concat(),
            End(PROTOCOL_ERROR),
        ),
        (
            "RFC 7540 5.3.1: HEADERS that depends on its own stream",
            frame(HEADERS, WHOLE | WITH_PRIORITY, 1, &[&b"\0\0\0\x01\xff"[..], &get()].concat()),
            End(PROTOCOL_ERROR),
        ),
        (
            "RFC 7540 5.3.1: PRIORITY that depends on its own stream",
            frame(PRIORITY, NONE, 1, b"\0\0\0\x01\xff"),
            End(PROTOCOL_ERROR),
        ),
    ]);
    // Behind both ends the stream may still be known or not: what h2spec accepts is either.
    for (rule, first, second) in [
        ("5.1: DATA, half-closed (remote)", whole(b""), frame(DATA, END_STREAM, 1, b"test")),
        ("5.1: HEADERS, half-closed (remote)", whole(b""), frame(HEADERS, WHOLE, 1, &get())),
        (
            "5.1: DATA behind a reset",
            [open_post(), reset.clone()].concat(),
            frame(DATA, NONE, 1, b"a"),
        ),
        (
            "5.1: HEADERS behind a reset",
            [open_post(), reset.clone()].concat(),
            frame(HEADERS, WHOLE, 1, &get()),
        ),
    ] {
        let mut wire = scene.open();
        wire.send(&[first, second].concat());
        let seen = loop {
            let frame = wire.next().unwrap_or_else(|| panic!("{rule}: no error"));
            if let (RST_STREAM | GOAWAY, Some(code)) = (frame.kind, frame.code()) {
                break code;
            }
        };
        assert_eq!(seen, STREAM_CLOSED, "{rule}");
    }
    scene.sees_behind_an_answer(
        "5.1: HEADERS, closed",
        &frame(HEADERS, WHOLE, 1, &get()),
        End(STREAM_CLOSED),
    );
    scene.sees_behind_an_answer("5.1: CONTINUATION, closed", &continuation, End(PROTOCOL_ERROR));
    scene.sees_behind_an_answer(
        "6.1: DATA, closed",
        &frame(DATA, END_STREAM, 1, b"test"),
        Reset(STREAM_CLOSED),
    );
    // 5.1.2: one stream more than are allowed. None of them ends.
    let mut wire = scene.open();
    let posts =
        (0..=100).map(|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &request("POST", "/", &[])));
    wire.send(&posts.collect::<Vec<_>>().concat());
    let refused = wire.await_frame("one is refused", |frame| frame.kind == RST_STREAM);
    assert_eq!((refused.stream, refused.code()), (201, Some(REFUSED_STREAM)));
    assert!(wire.lives());
}

#[test]
fn settings_and_windows() {
    let scene = Scene::new();
    let settings = |payload: &[u8]| frame(SETTINGS, NONE, 0, payload);
    scene.check(&[
        (
            "6.5: an acknowledgement of some size",
            frame(SETTINGS, ACK, 0, &setting(1, 0)),
            End(FRAME_SIZE_ERROR),
        ),
        ("6.5: of a stream", frame(SETTINGS, NONE, 1, &setting(3, 100)), End(PROTOCOL_ERROR)),
        ("6.5: not of six bytes each", settings(b"\0\x03\0"), End(FRAME_SIZE_ERROR)),
        ("6.5.2: ENABLE_PUSH", settings(&setting(2, 2)), End(PROTOCOL_ERROR)),
        ("6.5.2: INITIAL_WINDOW_SIZE", settings(&setting(4, 1 << 31)), End(FLOW_CONTROL_ERROR)),
        ("6.5.2: MAX_FRAME_SIZE, small", settings(&setting(5, 16_383)), End(PROTOCOL_ERROR)),
        ("6.5.2: MAX_FRAME_SIZE, large", settings(&setting(5, 1 << 24)), End(PROTOCOL_ERROR)),
        ("6.5.2: an unknown one", settings(&setting(0xff, 1)), Life),
        (
            "6.9: no increment, connection",
            frame(WINDOW_UPDATE, NONE, 0, &one(0)),
            End(PROTOCOL_ERROR),
        ),
        (
            "6.9: no increment, stream",
            [open_post(), frame(WINDOW_UPDATE, NONE, 1, &one(0))].concat(),
            Reset(PROTOCOL_ERROR),
        ),
        ("6.9: another size", frame(WINDOW_UPDATE, NONE, 0, &[0; 3]), End(FRAME_SIZE_ERROR)),
        (
            "6.9.1: above 2^31-1, connection",
            frame(WINDOW_UPDATE, NONE, 0, &one(i32::MAX as u32)).repeat(2),
            End(FLOW_CONTROL_ERROR),
        ),
        (
            "6.9.1: above 2^31-1, stream",
            [open_post(), frame(WINDOW_UPDATE, NONE, 1, &one(i32::MAX as u32)).repeat(2)].concat(),
            Reset(FLOW_CONTROL_ERROR),
        ),
    ]);
    let address = scene.operated.ringway.address;
    // 6.5.3: of several values the last one counts; each frame is acknowledged.
    let mut wire = Wire::open(address);
    wire.sends(SETTINGS, NONE, 0, &[setting(4, 100), setting(4, 1)].concat());
    wire.await_frame("it is acknowledged", |frame| (frame.kind, frame.flags) == (SETTINGS, ACK));
    let first = wire.get(1, "/").await_frame("some of it", |frame| frame.kind == DATA);
    assert_eq!(first.payload, b"h");
    // 6.9.2: another initial window changes those of open streams, below zero too.
    wire.sends(SETTINGS, NONE, 0, &setting(4, 3));
    let second = wire.await_frame("two more", |frame| frame.kind == DATA);
    assert_eq!(second.payload, b"el");
    wire.sends(SETTINGS, NONE, 0, &setting(4, 0)).sends(WINDOW_UPDATE, NONE, 1, &one(3));
    assert!(wire.lives(), "its window is 0, and was -3");
    wire.sends(WINDOW_UPDATE, NONE, 1, &one(1));
    let third = wire.await_frame("one more", |frame| frame.kind == DATA);
    assert_eq!((third.payload, third.flags), (b"l".to_vec(), NONE));
}

#[test]
fn messages() {
    let scene = Scene::new();
    let with = |fields: &[(&str, &str)]| frame(HEADERS, WHOLE, 1, &block(fields));
    let (method, scheme) = ((":method", "GET"), (":scheme", "http"));
    let (path, authority) = ((":path", "/"), (":authority", "t"));
    let more = |fields: &[(&str, &str)]| frame(HEADERS, WHOLE, 1, &request("GET", "/", fields));
    let trailers = |fields: &[(&str, &str)]| {
        [open_post(), frame(DATA, NONE, 1, b"a"), frame(HEADERS, WHOLE, 1, &block(fields))].concat()
    };
    let sized = |size: &str| {
        frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[("content-length", size)]))
    };
    let cases = [
        (
            "8.1: trailers that do not end their stream",
            [open_post(), frame(HEADERS, END_HEADERS, 1, &block(&[("x-test", "a")]))].concat(),
        ),
        ("8.2.1: an upper-case name", more(&[("X-TEST", "ok")])),
        ("8.3: an unknown pseudo-field", more(&[(":test", "ok")])),
        ("8.3: one of responses", with(&[method, scheme, path, authority, (":status", "200")])),
        ("8.1: a pseudo-field in trailers", trailers(&[(":method", "200")])),
        ("8.3: behind a field", with(&[scheme, path, authority, ("x-test", "ok"), method])),
        ("8.2.2: connection", more(&[("connection", "keep-alive")])),
        ("8.2.2: keep-alive", more(&[("keep-alive", "5")])),
        ("8.2.2: proxy-connection", more(&[("proxy-connection", "keep-alive")])),
        ("8.2.2: transfer-encoding", more(&[("transfer-encoding", "chunked")])),
        ("8.2.2: upgrade", more(&[("upgrade", "websocket")])),
        ("8.2.2: te", more(&[("te", "trailers, deflate;q=0.5")])),
        ("8.3.1: an empty :path", with(&[method, scheme, authority, (":path", "")])),
        ("8.3.1: no :method", with(&[scheme, path, authority])),
        ("8.3.1: no :scheme", with(&[method, path, authority])),
        ("8.3.1: no :path", with(&[method, scheme, authority])),
        ("8.3.1: :method twice", with(&[method, method, scheme, path, authority])),
        ("8.3.1: :scheme twice", with(&[method, scheme, scheme, path, authority])),
        ("8.3.1: :path twice", with(&[method, scheme, path, path, authority])),
        (
            "8.1.1: content-length, one DATA",
            [sized("1"), frame(DATA, END_STREAM, 1, b"test")].concat(),
        ),
        (
            "8.1.1: content-length, several DATA",
            [sized("1"), frame(DATA, NONE, 1, b"test"), frame(DATA, END_STREAM, 1, b"test")]
                .concat(),
        ),
        (
            "8.1.1: less than content-length",
            [sized("9"), frame(DATA, END_STREAM, 1, b"test")].concat(),
        ),
    ];
    for (rule, bytes) in cases {
        scene.sees(rule, &bytes, Reset(PROTOCOL_ERROR));
    }
}
