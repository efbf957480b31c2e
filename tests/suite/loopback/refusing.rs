//! What clients send that must not be taken, over real sockets.

use super::harness::*;
use crate::conformance::requests;
use ringway::base::Prng;
use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_thousand_malformed_requests_are_refused_and_none_reaches_a_backend_whole() {
    let whole = Arc::new(AtomicUsize::new(0));
    let seen = whole.clone();
    let origin = Origin::http(move |head, _| {
        if !head.starts_with("GET /good ") {
            seen.fetch_add(1, Ordering::Relaxed);
        }
        ok(b"good")
    });
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    let mut prng = Prng::new(7);
    for (at, request) in requests::all().iter().enumerate() {
        let shown = String::from_utf8_lossy(&request.bytes);
        let mut stream = ringway.connect();
        // Whole, or in two pieces, whatever the network makes of them.
        let split = if at % 2 == 0 { 0 } else { prng.below(request.bytes.len() as u32) as usize };
        let (one, two) = request.bytes.split_at(split);
        let is_sent = stream.write_all(one).is_ok() && stream.write_all(two).is_ok();
        let _ = stream.shutdown(Shutdown::Write);
        let status = status(&read_to_end(&mut stream));
        assert!(status == 0 || status >= 400, "{}: {shown:?} got {status}", request.rule);
        assert!(is_sent || status != 0, "{}: {shown:?} was cut", request.rule);
        if at % 100 == 0 {
            assert_eq!(ringway.status_of("/good"), 200, "the shard lives");
        }
    }
    assert_eq!(whole.load(Ordering::Relaxed), 0, "malformed requests reached the backend");
}

#[test]
fn what_follows_a_refused_request_is_not_taken_for_another_one() {
    let origin = Origin::saying("smuggled");
    let ringway = Ringway::with_config(&config(&[origin.address], ""));
    let good = "GET /good HTTP/1.1\r\nHost: t\r\n\r\n";
    for bad in [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\
         \r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +3\r\n\r\nabc",
    ] {
        let answer = ringway.exchange(format!("{bad}{good}").as_bytes());
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
        assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("Connection: close\r\n"));
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn connect_is_refused_and_a_client_that_says_nothing_is_let_go() {
    let origin = Origin::saying("x");
    let more =
        "[timeouts]\nrequest_head = \"300ms\"\nidle = \"300ms\"\nbetween_bytes = \"300ms\"\n";
    let ringway = Ringway::with_config(&config(&[origin.address], more));
    let connect = b"CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\nearly";
    assert_eq!(status(&ringway.exchange(connect)), 501);
    assert_eq!(ringway.exchange(b""), b"", "not a byte: closed without an answer");
    assert_eq!(status(&ringway.exchange(b"GET / HTTP/1.1\r\nHos")), 408);
    let stalled = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhalf";
    assert_eq!(status(&ringway.exchange(stalled)), 408);
    let idle = ringway.exchange(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((status(&idle), body(&idle)), (200, &b"x"[..]), "closed after a while");
}
