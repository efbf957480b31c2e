//! What clients send that must not be taken, over real sockets.

use super::harness::*;
use crate::conformance::requests::{self, Malformed, Place};
use crate::drilling::size;
use ringway::base::Prng;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An origin that is only meant to be asked for `/good`, and what else came to it: whole heads
/// and bodies, and the number of bytes.
struct Watched {
    origin: Origin,
    whole: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
}

impl Watched {
    fn start() -> Self {
        let (whole, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (seen_whole, seen_bytes) = (whole.clone(), bytes.clone());
        let origin = Origin::start(move |stream| {
            let mut writer = stream.try_clone().expect("a second handle");
            let mut reader = BufReader::new(Counted(stream, seen_bytes.clone()));
            while let Some((head, _)) = read_request(&mut reader) {
                if head.starts_with("GET /good ") {
                    // All that is there of a connection that asks for nothing else.
                    seen_bytes.fetch_sub(head.len(), Ordering::SeqCst);
                } else {
                    seen_whole.fetch_add(1, Ordering::SeqCst);
                }
                if writer.write_all(&ok(b"good")).is_err() {
                    return;
                }
            }
        });
        Self { origin, whole, bytes }
    }
}

/// A stream that counts what is read from it.
struct Counted(TcpStream, Arc<AtomicUsize>);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.0.read(buffer)?;
        self.1.fetch_add(length, Ordering::SeqCst);
        Ok(length)
    }
}

/// Sends a request in two pieces, whatever the network makes of them; the status of the answer.
fn refused(ringway: &Ringway, request: &Malformed, at: usize) -> u16 {
    let mut stream = ringway.connect();
    stream.set_nodelay(true).expect("allowed");
    let (one, two) = request.bytes.split_at(at);
    stream.write_all(one).expect("nobody cuts it");
    stream.write_all(two).expect("who is refused is heard to the end");
    stream.shutdown(Shutdown::Write).expect("nobody cuts it");
    status(&read_to_end(&mut stream))
}

#[test]
fn a_thousand_malformed_requests_are_refused_and_none_reaches_a_backend() {
    let splits = size("RINGWAY_SPLITS", 4, 50);
    let all = requests::all();
    for place in [Place::Head, Place::Body] {
        let watched = Watched::start();
        let more = format!(
            "[http]\nhead_bytes_max = \"{}B\"\n[runtime]\nshards = 1\n",
            requests::HEAD_BYTES_MAX
        );
        let ringway = Ringway::with_config(&config(&[watched.origin.address], &more));
        let mut prng = Prng::new(7);
        for (number, request) in all.iter().filter(|request| request.place == place).enumerate() {
            for split in 0..=splits {
                let length = request.bytes.len();
                let at = if split == 0 { length } else { prng.below(length as u32) as usize };
                let status = refused(&ringway, request, at);
                let shown = request.bytes.escape_ascii();
                assert_eq!(status, request.status, "{}: {shown} at {at}", request.rule);
            }
            if number % 100 == 0 {
                assert_eq!(ringway.status_of("/good"), 200, "the shard lives");
            }
        }
        assert_eq!(ringway.status_of("/good"), 200);
        assert_eq!(watched.whole.load(Ordering::SeqCst), 0, "one was taken for a whole request");
        if place == Place::Head {
            assert_eq!(
                watched.bytes.load(Ordering::SeqCst),
                0,
                "bytes of them reached the backend"
            );
        }
    }
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
        "[timeouts]\nrequest_head = \"1500ms\"\nidle = \"1500ms\"\nbetween_bytes = \"1500ms\"\n";
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
