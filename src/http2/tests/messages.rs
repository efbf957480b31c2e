//! Malformed requests (RFC 9113 §8.1.1): their stream is reset, and the connection lives.

use super::*;

#[test]
fn malformed_heads_reset_their_stream() {
    for (rule, fields) in [
        ("§8.2.1: a capital letter", &[("X-Test", "a")][..]),
        ("§8.2.1: an empty name", &[("", "a")]),
        ("§8.2.1: a blank in a name", &[("a b", "a")]),
        ("§8.2.1: a colon in a name", &[("a:", "a")]),
        ("§8.2.1: a line end in a name", &[("a\r\n", "a")]),
        ("§8.2.1: not ASCII", &[("ä", "a")]),
        ("§8.2.1: a line feed", &[("a", "b\nc: d")]),
        ("§8.2.1: a carriage return", &[("a", "b\rc")]),
        ("§8.2.1: NUL", &[("a", "b\0c")]),
        ("RFC 9110 §5.5: a control byte", &[("a", "b\x01c")]),
        ("RFC 9110 §5.5: DEL", &[("a", "b\x7fc")]),
        ("§8.2.1: a blank before", &[("a", " b")]),
        ("§8.2.1: a blank behind", &[("a", "b ")]),
        ("§8.2.1: TAB behind", &[("a", "b\t")]),
        ("§8.2.1: a blank alone", &[("a", " ")]),
        ("§8.2.2: connection", &[("connection", "keep-alive")]),
        ("§8.2.2: keep-alive", &[("keep-alive", "1")]),
        ("§8.2.2: proxy-connection", &[("proxy-connection", "keep-alive")]),
        ("§8.2.2: transfer-encoding", &[("transfer-encoding", "chunked")]),
        ("§8.2.2: upgrade", &[("upgrade", "h2c")]),
        ("§8.2.2: te", &[("te", "gzip")]),
        ("§8.2.2: te with more", &[("te", "trailers, deflate;q=0.5")]),
        ("§8.3: an unknown pseudo-field", &[(":test", "ok")]),
        ("§8.3: one of responses", &[(":status", "200")]),
        ("§8.3: repeated", &[(":method", "GET")]),
        ("§8.3: repeated", &[(":scheme", "http")]),
        ("§8.3: repeated", &[(":path", "/")]),
        ("§8.3: repeated", &[(":authority", "a")]),
        ("§8.3: behind a field", &[("a", "b"), (":authority", "a")]),
        ("RFC 8441: not offered", &[(":protocol", "websocket")]),
        ("RFC 9110 §8.6: no number", &[("content-length", "1a")]),
        ("RFC 9110 §8.6: signed", &[("content-length", "+0")]),
        ("RFC 9110 §8.6: empty", &[("content-length", "")]),
        ("RFC 9110 §8.6: twice", &[("content-length", "0"), ("content-length", "0")]),
        ("RFC 9110 §8.6: a list", &[("content-length", "0, 0")]),
        ("RFC 9110 §8.6: beyond 2^63", &[("content-length", "9223372036854775808")]),
        ("§8.1.1: no DATA follows", &[("content-length", "1")]),
    ] {
        let bytes = frame(HEADERS, WHOLE, 1, &get(fields));
        Scene::server().resets_on(rule, &bytes, 1, "PROTOCOL_ERROR");
        let mut scene = Scene::server();
        scene.feed(&bytes);
        assert_eq!(scene.events(), "rejected 1 PROTOCOL_ERROR", "{rule}");
        assert_eq!(scene.connection.streams(), 0, "{rule}: it does not count");
    }
}

#[test]
fn heads_without_what_they_need_reset_their_stream() {
    let all = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
    let (method, scheme, path, authority) = (all[0], all[1], all[2], all[3]);
    let connect = (":method", "CONNECT");
    for (rule, fields) in [
        ("nothing", &[][..]),
        ("§8.3.1: no :method", &[scheme, path, authority]),
        ("§8.3.1: no :scheme", &[method, path, authority]),
        ("§8.3.1: no :path", &[method, scheme, authority]),
        ("§8.3.1: an empty :path", &[method, scheme, (":path", ""), authority]),
        ("an empty :method", &[(":method", ""), scheme, path, authority]),
        ("a :method that is no token", &[(":method", "G ET"), scheme, path, authority]),
        ("a :method with a line end", &[(":method", "GET\r\n"), scheme, path, authority]),
        ("a :path with a line end", &[method, scheme, (":path", "/\r\nx: y"), authority]),
        ("an :authority with a line end", &[method, scheme, path, (":authority", "a\r\nb")]),
        ("§8.5: CONNECT with :scheme", &[connect, scheme, (":authority", "a:1")]),
        ("§8.5: CONNECT with :path", &[connect, path, (":authority", "a:1")]),
        ("§8.5: CONNECT without :authority", &[connect]),
        ("CONNECT with a length", &[connect, (":authority", "a:1"), ("content-length", "0")]),
    ] {
        let bytes = frame(HEADERS, WHOLE, 1, &block(fields));
        Scene::server().resets_on(rule, &bytes, 1, "PROTOCOL_ERROR");
    }
}

#[test]
fn data_agrees_with_content_length() {
    let five = |flags| frame(HEADERS, flags, 1, &post(&[("content-length", "5")]));
    let data = |flags, bytes: &[u8]| frame(DATA, flags, 1, bytes);
    let trailers = frame(HEADERS, WHOLE, 1, &block(&[("x", "y")]));
    let open = five(END_HEADERS);
    for (rule, frames) in [
        ("§8.1.1: longer", vec![data(END_STREAM, b"123456")]),
        ("§8.1.1: longer, of two", vec![data(NONE, b"123"), data(NONE, b"456")]),
        ("§8.1.1: shorter", vec![data(END_STREAM, b"1234")]),
        ("§8.1.1: shorter, of two", vec![data(NONE, b"1"), data(END_STREAM, b"2")]),
        ("§8.1.1: none", vec![data(END_STREAM, b"")]),
        ("§8.1.1: shorter, with trailers", vec![data(NONE, b"1234"), trailers.clone()]),
        ("§8.1.1: longer, padded", vec![data(END_STREAM | PADDED, b"\x02123456\0\0")]),
    ] {
        let bytes = [&open[..], &frames.concat()].concat();
        Scene::server().resets_on(rule, &bytes, 1, "PROTOCOL_ERROR");
        let mut scene = Scene::server();
        scene.feed(&bytes);
        assert!(scene.events().ends_with("broken 1 PROTOCOL_ERROR"), "{rule}");
    }
    for frames in [
        vec![data(END_STREAM, b"12345")],
        vec![data(NONE, b"123"), data(END_STREAM, b"45")],
        vec![data(NONE, b"12345"), data(END_STREAM, b"")],
        vec![data(NONE, b"12345"), trailers],
        vec![data(END_STREAM | PADDED, b"\x0212345\0\0")],
    ] {
        let mut scene = Scene::server();
        scene.feed(&[&open[..], &frames.concat()].concat());
        let events = scene.events();
        assert!(!events.contains("broken"), "{events}");
        assert!(events.contains(" end: ") || events.contains("trailers 1"), "{events}");
    }
}

#[test]
fn trailers_end_their_stream_and_have_no_pseudo_fields() {
    let head = frame(HEADERS, END_HEADERS, 1, &post(&[]));
    let trailers = |flags, fields: &[(&str, &str)]| frame(HEADERS, flags, 1, &block(fields));
    for (rule, second) in [
        ("§8.1: no end", trailers(END_HEADERS, &[("x", "y")])),
        ("§8.1: a pseudo-field", trailers(WHOLE, &[(":method", "GET")])),
        ("§8.1: a pseudo-field behind", trailers(WHOLE, &[("x", "y"), (":path", "/")])),
        ("§8.2.2: a field of HTTP/1", trailers(WHOLE, &[("transfer-encoding", "chunked")])),
        ("§8.2.1: a capital letter", trailers(WHOLE, &[("X", "y")])),
        ("§8.2.1: a line end", trailers(WHOLE, &[("x", "y\r\n\r\nGET / HTTP/1.1")])),
    ] {
        let bytes = [&head[..], &second].concat();
        Scene::server().resets_on(rule, &bytes, 1, "PROTOCOL_ERROR");
    }
    for (fields, expected) in [
        (&[][..], "trailers 1: "),
        (&[("x", "y"), ("grpc-status", "0")], "trailers 1: x: y | grpc-status: 0"),
        (&[("cookie", "a"), ("x_y", "b"), ("z", "c")], "trailers 1: z: c"),
        (&[("content-length", "5")], "trailers 1: MalformedTrailer"),
        (&[("host", "a")], "trailers 1: MalformedTrailer"),
    ] {
        let mut scene = Scene::server();
        scene.feed(&[&head[..], &trailers(WHOLE, fields)].concat());
        assert_eq!(scene.events().lines().last(), Some(expected));
    }
}

#[test]
fn tunnels_have_no_trailers() {
    let connect = block(&[(":method", "CONNECT"), (":authority", "a:1")]);
    let mut scene = Scene::server();
    scene.gets(HEADERS, END_HEADERS, 1, &connect).gets(DATA, NONE, 1, b"hello");
    assert_eq!(scene.events(), "request 1: CONNECT a:1 a:1 None\ndata 1: hello");
    let trailers = frame(HEADERS, WHOLE, 1, &block(&[("x", "y")]));
    scene.resets_on("§8.5", &trailers, 1, "PROTOCOL_ERROR");
}

#[test]
fn a_malformed_head_leaves_the_tables_in_step() {
    let mut scene = Scene::server();
    // Malformed from its first field on; the second one enters the table.
    let mut payload = block(&[("X", "y")]);
    payload.extend(b"\x40\x01x\x01y");
    scene.gets(HEADERS, WHOLE, 1, &payload);
    let mut payload = get(&[]);
    payload.push(0xbe);
    scene.gets(HEADERS, WHOLE, 3, &payload);
    let expected = "rejected 1 PROTOCOL_ERROR\nrequest 3 end: GET / a None | x: y";
    assert_eq!(scene.events(), expected);
}
