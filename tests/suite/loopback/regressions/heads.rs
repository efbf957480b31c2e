//! Heads that were refused, or changed, where a client could have had its answer.

use super::super::harness::*;
use super::first_head;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc;

const HOST: &str = "Host: t\r\n";

/// What the backend answers to a path, and what the client must read of it: an empty answer that
/// says that it is not.
const EMPTY_ANSWERS: [(&str, &str, &str); 6] = [
    ("/length", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 204 No Content"),
    (
        "/chunked",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content",
    ),
    (
        "/both",
        "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nbody",
        "HTTP/1.1 204 No",
    ),
    (
        "/continue",
        "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No",
    ),
    (
        "/hints",
        "HTTP/1.1 103 Hints\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 204 No",
    ),
    (
        "/own",
        "HTTP/1.1 799 Own\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 799 Own\r\nContent-Length: 0",
    ),
];

#[test]
fn an_answer_without_a_body_ends_at_its_empty_line_and_is_no_failure() {
    let origin = Origin::http(|head, _| {
        let is_asked = |path: &str| head.starts_with(&format!("GET {path} "));
        let answer = EMPTY_ANSWERS.iter().find(|(path, ..)| is_asked(path));
        answer.map_or_else(|| ok(b"good"), |(_, answer, _)| answer.as_bytes().to_vec())
    });
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    // More often than failures in a row eject the backend, and with what follows on the same
    // connection of the client.
    for _ in 0..3 {
        for (path, _, expected) in EMPTY_ANSWERS {
            let request = format!(
                "GET {path} HTTP/1.1\r\n{HOST}\r\n\
                 GET /good HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"
            );
            let answers = ringway.exchange(request.as_bytes());
            let text = String::from_utf8_lossy(&answers);
            let rest = text.strip_prefix(&format!("{expected}\r\n\r\n"));
            let rest = rest.unwrap_or_else(|| panic!("{path}: {text}"));
            assert!(rest.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {text}");
            assert!(rest.ends_with("\r\n\r\ngood"), "{path}: {text}");
        }
    }
}

#[test]
fn a_backend_that_switches_with_a_length_opens_a_tunnel() {
    for field in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let origin = Origin::start(move |mut stream| {
            if first_head(&stream).is_none() {
                return;
            }
            let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                Connection: Upgrade\r\n";
            let _ = stream.write_all(format!("{head}{field}\r\n\r\n\u{1}hello").as_bytes());
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
            let _ = stream.write_all(&said);
        });
        let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
        let mut stream = ringway.connect();
        let request = "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
        stream.write_all(format!("{request}\r\nclient's").as_bytes()).expect("sent");
        stream.shutdown(Shutdown::Write).expect("ended");
        let answer = read_to_end(&mut stream);
        let text = String::from_utf8_lossy(&answer);
        assert_eq!((status(&answer), body(&answer)), (101, &b"\x01helloclient's"[..]), "{text}");
        assert!(!text.contains(field), "{text}");
    }
}

#[test]
fn an_idle_connection_is_given_up_before_the_backend_closes_it() {
    let (ended, is_ended) = mpsc::channel();
    let origin = Origin::start(move |stream| {
        let mut writer = stream.try_clone().expect("a second handle");
        let mut answered = 0;
        // The first answer lets the connection be idle for the minute that is the default.
        while first_head(&stream).is_some() {
            let word = if answered == 0 { "X: y" } else { "Keep-Alive: max=9, timeout=2" };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{word}\r\n\r\n");
            let _ = writer.write_all(answer.as_bytes());
            answered += 1;
        }
        let _ = ended.send(answered);
    });
    let ringway = Ringway::with_config(&config(&[origin.address], "[runtime]\nshards = 1"));
    assert_eq!([ringway.status_of("/"), ringway.status_of("/")], [200, 200]);
    assert_eq!(is_ended.recv_timeout(PATIENCE), Ok(2), "closed long before the minute is over");
}

#[test]
fn a_connection_that_the_backend_keeps_for_a_second_is_not_kept() {
    let origin = Origin::http(|_, _| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=1\r\n\r\n".to_vec()
    });
    let ringway = Ringway::with_config(&config(&[origin.address], "[runtime]\nshards = 1"));
    for _ in 0..5 {
        assert_eq!(ringway.status_of("/"), 200);
    }
    assert_eq!(origin.connections(), 5, "one for each request");
}

#[test]
fn a_client_of_http_1_0_that_names_no_host_is_served_by_the_address_of_its_backend() {
    let origin = Origin::http(|head, _| ok(head.as_bytes()));
    let (_socket, refuser) = refusing();
    let ringway = Ringway::start(&[refuser, origin.address], &["--shards", "1"]);
    // Whichever backend is tried first.
    for _ in 0..4 {
        for request in ["GET / HTTP/1.0\r\n\r\n", "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi"]
        {
            let answer = ringway.exchange(request.as_bytes());
            let seen = String::from_utf8_lossy(body(&answer));
            let hosts = seen.lines().filter_map(|line| line.strip_prefix("Host:"));
            let hosts: Vec<&str> = hosts.map(str::trim_start).collect();
            assert_eq!(hosts, [origin.address.to_string()], "{seen}");
            assert!(!seen.contains("X-Forwarded-Host"), "{seen}");
        }
    }
}

#[test]
fn what_is_the_same_by_rfc_9110_is_taken_and_trace_is_not() {
    let origin = Origin::http(|head, _| ok(head.lines().next().unwrap_or_default().as_bytes()));
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    let close = "Connection: close\r\n\r\n";
    for (request, seen) in [
        ("GET http://a.test:80/x HTTP/1.1\r\nHost: a.test", "GET /x HTTP/1.1"),
        ("GET http://a.test?x=1 HTTP/1.1\r\nHost: a.test:80", "GET /?x=1 HTTP/1.1"),
        ("OPTIONS http://a.test HTTP/1.1\r\nHost: a.test", "OPTIONS * HTTP/1.1"),
        ("GET /?q=100%&\"<{|}> HTTP/1.1\r\nHost: a.test", "GET /?q=100%&\"<{|}> HTTP/1.1"),
    ] {
        let answer = ringway.exchange(format!("{request}\r\n{close}").as_bytes());
        assert_eq!(String::from_utf8_lossy(body(&answer)), seen);
    }
    let request = format!("TRACE / HTTP/1.1\r\nHost: a.test\r\nCookie: secret\r\n{close}");
    let answer = ringway.exchange(request.as_bytes());
    let text = String::from_utf8_lossy(&answer);
    assert_eq!(status(&answer), 405, "{text}");
    assert!(text.contains("\r\nAllow: GET, HEAD, ") && !text.contains("secret"), "{text}");
}
