//! Heads as a backend of HTTP/1.1 gets them, and limits of heads.

use super::*;

/// A backend that says which head it got.
fn telling() -> Origin {
    Origin::http(|head, _| ok(head.as_bytes()))
}

/// The head that a backend gets of a request.
fn forwarded(wire: &mut Wire, stream: u32, fields: &[(&str, &str)]) -> (u16, String) {
    wire.sends(HEADERS, WHOLE, stream, &block(fields));
    let (status, content) = wire.response(stream);
    (status, String::from_utf8_lossy(&content).into_owned())
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/a?b"), (":authority", "t:8080")];

#[test]
fn a_request_is_one_of_http_1_for_its_backend() {
    let origin = telling();
    let operated = started(&origin, "");
    let mut wire = Wire::open(operated.ringway.address);
    let more = [
        ("cookie", "a=1"),
        ("x-own", "1"),
        ("cookie", "b=2"),
        ("te", "trailers"),
        ("cookie", "c=3"),
    ];
    let (status, head) = forwarded(&mut wire, 1, &[&GET[..], &more].concat());
    assert_eq!(status, 200);
    assert!(head.starts_with("GET /a?b HTTP/1.1\r\nHost: t:8080\r\n"), "{head}");
    assert!(head.to_lowercase().contains("\r\ncookie: a=1; b=2; c=3\r\n"), "{head}");
    assert!(head.contains("\r\nx-own: 1\r\n") && !head.contains("te: "), "{head}");
    assert!(head.contains("\r\nX-Forwarded-For: 127.0.0.1\r\n"), "{head}");
    assert!(!head.contains("Transfer-Encoding") && !head.contains("Content-Length"), "{head}");
    // The host that an authority agrees with, or stands alone, is the same.
    for (stream, fields) in [
        (3, [&GET[..], &[("host", "t:8080")]].concat()),
        (5, [&GET[..3], &[("host", "t:8080")]].concat()),
    ] {
        let (status, head) = forwarded(&mut wire, stream, &fields);
        assert_eq!(status, 200);
        assert!(
            head.contains("\r\nHost: t:8080\r\n") && head.matches("\r\nHost: ").count() == 1,
            "{head}"
        );
    }
    let (status, _) = forwarded(&mut wire, 7, &[&GET[..], &[("host", "other")]].concat());
    assert_eq!(status, 400);
    let (status, _) = forwarded(&mut wire, 9, &GET[..3]);
    assert_eq!(status, 400, "neither is there");
    let other = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "t")];
    // A balancer in front of this one may have ended TLS; the backend is told of this listener.
    let (status, head) = forwarded(&mut wire, 11, &other);
    assert!(status == 200 && head.contains("\r\nX-Forwarded-Proto: http\r\n"), "{head}");
    let connect = [(":method", "CONNECT"), (":authority", "t:443")];
    assert_eq!(forwarded(&mut wire, 13, &connect).0, 501);
}

#[test]
fn each_host_leads_to_its_pool() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let pool = |name: &str, origin: &Origin| {
        format!(
            "[[route]]\nhost = \"{name}.test\"\npool = \"{name}\"\n[pool.{name}]\n\
             health = {{ protocol = \"none\" }}\n[[pool.{name}.backend]]\naddress = \"{}\"\n",
            origin.address
        )
    };
    let text = "[[listener]]\nname = \"web\"\naddress = \"LISTEN\"\n".to_owned();
    let ringway = Ringway::with_config(&(text + &pool("one", &one) + &pool("two", &two)));
    let mut wire = Wire::open(ringway.address);
    for (stream, name, status, said) in [
        (1, "one.test", 200, "one"),
        (3, "TWO.test:80", 200, "two"),
        (5, "three.test", 404, ""),
        (7, "one.test", 200, "one"),
    ] {
        let fields = [&GET[..3], &[(":authority", name)]].concat();
        let (seen, content) = forwarded(&mut wire, stream, &fields);
        assert!(seen == status && content.starts_with(said), "{name}: {seen} {content}");
    }
}

#[test]
fn a_head_beyond_the_limits_gets_431_and_the_next_one_its_answer() {
    let origin = telling();
    let operated = started(&origin, "[http]\nhead_bytes_max = \"4KiB\"\n");
    let mut wire = Wire::open(operated.ringway.address);
    let large = "v".repeat(5_000);
    let (status, _) = forwarded(&mut wire, 1, &[&GET[..], &[("x-large", &large)]].concat());
    assert_eq!(status, 431);
    let many: Vec<String> = (0..101).map(|n| format!("x{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(forwarded(&mut wire, 3, &[&GET[..], &many].concat()).0, 431);
    assert_eq!(forwarded(&mut wire, 5, &GET).0, 200);
}

#[test]
fn an_answer_to_head_has_no_content_and_ends_with_its_head() {
    let origin = Origin::start(|mut stream| {
        let mut reader = std::io::BufReader::new(stream.try_clone().expect("a second handle"));
        while read_request(&mut reader).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        }
    });
    let operated = started(&origin, "");
    let mut wire = Wire::open(operated.ringway.address);
    for stream in [1, 3] {
        wire.sends(HEADERS, WHOLE, stream, &request("HEAD", "/", &[]));
        let head = wire.await_frame("a head", |frame| frame.kind == HEADERS);
        assert!(head.is_last() && head.status() == 200);
    }
    assert_eq!(origin.connections(), 1, "it is kept");
}
