//! What is waited for and for how long, where no other test has it.

use super::harness::*;
use super::load::Operated;
use crate::drilling::{record, size};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

/// A listener that takes no more connections: its backlog is full, so that a further SYN is not
/// answered. Returns what keeps it so.
fn overfull() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
    let socket = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        socket.expect("a socket")
    };
    let listener = socket();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    listener.listen(0).expect("it listens");
    let address = listener.local_addr().ok().and_then(|address| address.as_socket());
    let address = address.expect("bound");
    let filler = |_| {
        let socket = socket();
        socket.set_nonblocking(true).expect("set");
        let _ = socket.connect(&address.into());
        socket
    };
    let fillers = (0..4).map(filler).collect();
    (listener, fillers, address)
}

#[test]
fn a_backend_that_does_not_accept_in_time_costs_no_client_its_answer() {
    let origin = Origin::saying("good");
    let (_listener, _fillers, address) = overfull();
    let more = "[timeouts]\nconnect = \"200ms\"\n[runtime]\nshards = 1\n";
    let text = config(&[address, origin.address], more);
    let in_turn = "[pool.all]\nalgorithm = \"round-robin\"\n[pool.all.health]";
    let operated = Operated::start(&text.replace("[pool.all.health]", in_turn));
    for _ in 0..4 {
        assert_eq!(operated.ringway.status_of("/"), 200);
    }
    await_that("that it was tried is counted", || {
        let metrics = operated.asked("GET /metrics", "");
        let failures = metrics.lines().find(|line| {
            line.starts_with("ringway_backend_failures_total{")
                && line.contains(&address.to_string())
        });
        failures.is_some_and(|line| !line.ends_with(" 0"))
    });
}

#[test]
fn a_client_that_ends_its_stream_reads_its_answer_or_is_cut_as_configured() {
    for (half_close, expected) in [("allow", "at last"), ("abort", "")] {
        let (asked, was_asked) = mpsc::channel::<()>();
        let (answer, may_answer) = mpsc::channel::<()>();
        let (ended, has_ended) = mpsc::channel::<()>();
        let channels = Mutex::new((asked, may_answer, ended));
        let origin = Origin::start(move |mut stream: TcpStream| {
            read_until(&mut stream, b"\r\n\r\n");
            let channels = channels.lock().expect("one at a time");
            let _ = channels.0.send(());
            let _ = channels.1.recv();
            let _ = stream.write_all(&ok(b"at last"));
            let _ = stream.read(&mut [0]);
            let _ = channels.2.send(());
        });
        let more = format!("[http]\nhalf_close = \"{half_close}\"\n[runtime]\nshards = 1\n");
        let ringway = Ringway::with_config(&config(&[origin.address], &more));
        let mut stream = ringway.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
        was_asked.recv_timeout(PATIENCE).expect("the backend has it");
        stream.shutdown(Shutdown::Write).expect("half closed");
        if half_close == "allow" {
            answer.send(()).expect("it listens");
        }
        let text = String::from_utf8(read_to_end(&mut stream)).expect("text");
        assert!(text.ends_with(expected) && text.is_empty() == expected.is_empty(), "{text}");
        drop(answer);
        if half_close == "abort" {
            has_ended.recv_timeout(PATIENCE).expect("nothing is left at the backend either");
        }
    }
}

/// Bytes of memory that each of so many requests holds while their backend has not answered, and
/// the buffers that all of them hold.
fn memory_of_waiting(request: &str, count: usize) -> (usize, u64) {
    let (asked, was_asked) = mpsc::channel::<TcpStream>();
    let asked = Mutex::new(asked);
    let origin = Origin::start(move |mut stream: TcpStream| {
        read_until(&mut stream, b"\r\n\r\n");
        let _ = asked.lock().expect("no panic").send(stream);
    });
    let more = "[timeouts]\nbetween_bytes = \"10m\"\n[runtime]\nshards = 1\n";
    let operated = Operated::start(&config(&[origin.address], more));
    let ringway = &operated.ringway;
    let mut open = Vec::new();
    let mut wait = |count: usize| {
        for _ in 0..count {
            let mut client = ringway.connect();
            client.write_all(request.as_bytes()).expect("sent");
            open.push((client, was_asked.recv_timeout(PATIENCE).expect("the backend has it")));
        }
    };
    // What is there from the start, and is touched sooner or later, is no request's.
    wait(100);
    let before = ringway.resident();
    wait(count);
    let each = ringway.resident().saturating_sub(before) / count;
    let metrics = operated.asked("GET /metrics", "");
    let held = metrics.lines().find_map(|line| {
        line.strip_prefix("ringway_shard_buffers_held{shard=\"0\",kind=\"private\"} ")
    });
    (each, held.expect("the gauge").parse().expect("a number"))
}

#[test]
fn a_request_that_waits_for_its_backend_holds_little_memory() {
    let count = size("RINGWAY_WAITING", 500, 3_000);
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
    let long = format!("GET / HTTP/1.1\r\nHost: t\r\nCookie: {}\r\n\r\n", "x".repeat(7_000));
    // A long head is kept as well, but in no buffer.
    for (method, request, is_in_buffer) in
        [("GET", get, true), ("POST", post, false), ("long GET", &long, false)]
    {
        let (each, held) = memory_of_waiting(request, count);
        record("waiting requests", &format!("bytes of memory of a {method}"), each);
        assert!(each <= 6_000 + request.len(), "{each} bytes for each {method}");
        assert_eq!(held > 0, is_in_buffer, "{held} buffers are held by {method}");
    }
}

/// Sends one byte after the other, slowly, until all are sent or an answer has come.
fn drip(stream: &mut TcpStream, text: &str) {
    for byte in text.as_bytes() {
        // An answer of Ringway's own ends the stream, and after a while sending fails.
        let mut peeked = [0];
        stream.set_nonblocking(true).expect("set");
        let is_answered = stream.peek(&mut peeked).is_ok();
        stream.set_nonblocking(false).expect("set");
        if is_answered || stream.write_all(&[*byte]).is_err() {
            return;
        }
        // The pause is the case: each byte comes in time, and all of them together do not.
        std::thread::sleep(Duration::from_millis(250));
    }
}

#[test]
fn a_head_has_its_time_as_a_whole_and_a_body_from_byte_to_byte() {
    let origin = Origin::http(|_, body| ok(body));
    let more = "[timeouts]\nrequest_head = \"3s\"\nbetween_bytes = \"3s\"\n";
    let ringway = Ringway::with_config(&config(&[origin.address], more));
    let head = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let mut stream = ringway.connect();
    drip(&mut stream, head);
    assert_eq!(status(&read_to_end(&mut stream)), 408, "the first request");
    let mut stream = ringway.connect();
    stream.write_all(head.as_bytes()).expect("sent");
    assert_eq!(status(&read_until(&mut stream, b"\r\n\r\n")), 200);
    drip(&mut stream, head);
    assert_eq!(status(&read_to_end(&mut stream)), 408, "a later one");
    let mut stream = ringway.connect();
    stream.write_all(b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 15\r\n\r\n").expect("sent");
    drip(&mut stream, "slow and steady");
    assert!(read_until(&mut stream, b"steady").starts_with(b"HTTP/1.1 200 "));
}
