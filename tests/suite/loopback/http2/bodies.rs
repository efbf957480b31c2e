//! Bodies: large ones past slow peers, answers before the end of a request, and resets.

use super::*;
use crate::drilling::record;
use std::io::BufReader;
use std::sync::mpsc::channel;
use std::time::Duration;

const LARGE: usize = 32 << 20;

/// Content that tells its place.
fn content(range: std::ops::Range<usize>) -> Vec<u8> {
    range.map(|at| ((at / 7) ^ (at >> 11)) as u8).collect()
}

/// Sends content on a stream as the windows allow; `window` is that of the stream, and of the
/// connection.
fn upload(wire: &mut Wire, stream: u32, bytes: &[u8]) {
    let (mut of_stream, mut of_connection) = (64 * 1024, 1024 * 1024);
    let mut rest = bytes;
    while !rest.is_empty() {
        let most = rest.len().min(16_384).min(of_stream).min(of_connection);
        if most == 0 {
            let update = wire.await_frame("a window", |frame| frame.kind == WINDOW_UPDATE);
            match update.stream {
                0 => of_connection += update.number() as usize,
                _ => of_stream += update.number() as usize,
            }
            continue;
        }
        let (part, behind) = rest.split_at(most);
        rest = behind;
        (of_stream, of_connection) = (of_stream - most, of_connection - most);
        let flags = if rest.is_empty() { END_STREAM } else { NONE };
        wire.sends(DATA, flags, stream, part);
    }
}

#[test]
fn a_large_body_goes_up_to_a_slow_backend_and_holds_little_memory() {
    let origin = Origin::start(|mut stream| {
        let mut reader = BufReader::with_capacity(64 * 1024, stream.try_clone().expect("a handle"));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            std::io::BufRead::read_line(&mut reader, &mut head).expect("a head");
        }
        let (mut part, mut at) = (vec![0; 64 * 1024], 0);
        while at < LARGE {
            let length = reader.read(&mut part).expect("it goes on");
            assert!(part[..length] == content(at..at + length), "at {at}");
            at += length;
            if at % (1 << 20) < length {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = stream.write_all(&ok(b"all of it"));
    });
    let operated = started(&origin, "");
    let mut wire = Wire::open(operated.ringway.address);
    let before = operated.ringway.resident();
    let length = LARGE.to_string();
    let head = request("POST", "/", &[("content-length", &length)]);
    wire.sends(HEADERS, END_HEADERS, 1, &head);
    upload(&mut wire, 1, &content(0..LARGE));
    assert_eq!(wire.response(1), (200, b"all of it".to_vec()));
    let grown = operated.ringway.resident().saturating_sub(before);
    record("32 MiB up over HTTP/2", "bytes of memory more", grown);
    assert!(grown < 16 << 20, "{grown} bytes more");
}

/// An origin that sends `LARGE` bytes, or "small".
fn large() -> Origin {
    Origin::start(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        while let Some((head, _)) = read_request(&mut reader) {
            if head.starts_with("GET /small") {
                let _ = stream.write_all(&ok(b"small"));
                continue;
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            let parts = (0..LARGE).step_by(1 << 20);
            let is_sent = |at| stream.write_all(&content(at..at + (1 << 20))).is_ok();
            if !parts.into_iter().all(is_sent) {
                return;
            }
        }
    })
}

#[test]
fn a_large_body_comes_down_beside_a_stream_that_is_not_read() {
    let origin = large();
    let operated = started(&origin, "");
    let before = operated.ringway.resident();
    let mut wire = Wire::open_with(operated.ringway.address, &setting(4, 0));
    // Nothing of the first one is taken.
    wire.get(1, "/large").get(3, "/large");
    wire.sends(WINDOW_UPDATE, NONE, 3, &(1_u32 << 20).to_be_bytes());
    let (mut at, mut most) = (0, 0);
    while at < LARGE {
        let frame = wire.await_frame("content", |frame| frame.kind == DATA);
        assert_eq!(frame.stream, 3, "the other one has no window");
        let length = frame.payload.len();
        assert!(frame.payload == content(at..at + length), "at {at}");
        at += length;
        wire.credit(3, length);
        most = most.max(operated.ringway.resident().saturating_sub(before));
    }
    wire.get(5, "/small");
    wire.sends(WINDOW_UPDATE, NONE, 5, &100_u32.to_be_bytes());
    assert_eq!(wire.response(5), (200, b"small".to_vec()));
    record("32 MiB down over HTTP/2", "bytes of memory more, at most", most);
    assert!(most < 32 << 20, "{most} bytes more");
}

#[test]
fn an_answer_before_the_end_of_a_request_ends_its_stream_and_gives_its_window_back() {
    // Answers as soon as it has a head, and reads no further.
    let origin = Origin::start(|mut stream| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if !matches!(stream.read(&mut byte), Ok(1)) {
                return;
            }
            head.push(byte[0]);
        }
        let answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
        let _ = stream.write_all(answer.as_bytes());
        let _ = read_to_end(&mut stream);
    });
    let operated = started(&origin, "");
    let mut wire = Wire::open(operated.ringway.address);
    // More in all than the window of the connection.
    for round in 0..60 {
        let stream = 2 * round + 1;
        wire.sends(HEADERS, END_HEADERS, stream, &request("POST", "/", &[]));
        wire.send(&frame(DATA, NONE, stream, &[b'x'; 16_000]).repeat(2));
        assert_eq!(wire.response(stream), (413, b"big".to_vec()), "round {round}");
        let reset = wire.await_frame("the rest is not wanted", |frame| {
            frame.kind == RST_STREAM && frame.stream == stream
        });
        assert_eq!(reset.code(), Some(NO_ERROR));
        // What is on its way then is no fault.
        wire.sends(DATA, END_STREAM, stream, b"too late");
    }
    assert!(wire.lives());
    drop(wire);
    operated.await_nothing_left();
}

#[test]
fn a_request_that_its_client_cancels_is_cut_at_its_backend_and_others_go_on() {
    let (told, tells) = channel();
    let origin = Origin::start(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        while let Some((head, _)) = read_request(&mut reader) {
            if head.starts_with("GET /small") {
                let _ = stream.write_all(&ok(b"small"));
                continue;
            }
            if head.starts_with("GET /begun") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome");
            }
            let _ = told.send("asked");
            let mut rest = Vec::new();
            let _ = reader.read_to_end(&mut rest);
            let _ = told.send("cut");
            return;
        }
    });
    let operated = started(&origin, "");
    let mut wire = Wire::open(operated.ringway.address);
    for (stream, path) in [(1, "/begun"), (3, "/silent")] {
        wire.get(stream, path);
        assert_eq!(tells.recv(), Ok("asked"), "{path}");
        if path == "/begun" {
            wire.await_frame("some of it", |frame| frame.kind == DATA);
        }
        wire.sends(RST_STREAM, NONE, stream, &CANCEL.to_be_bytes());
        assert_eq!(tells.recv(), Ok("cut"), "{path}");
        assert_eq!(wire.get(stream + 100, "/small").response(stream + 100).0, 200);
        // Numbers only rise.
        if stream == 1 {
            drop(std::mem::replace(&mut wire, Wire::open(operated.ringway.address)));
        }
    }
    assert_eq!(operated.metric("ringway_http2_stream_resets_total"), 2);
}

#[test]
fn a_response_that_its_backend_cuts_is_a_reset_and_never_an_end() {
    let origin = Origin::start(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        let _ = read_request(&mut reader);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome");
    });
    let operated = started(&origin, "");
    let mut wire = Wire::open(operated.ringway.address);
    wire.get(1, "/");
    let reset = loop {
        let frame = wire.next().expect("the connection lives");
        assert!(!frame.is_last(), "{frame:?}");
        if frame.kind == RST_STREAM {
            break frame;
        }
    };
    assert_eq!(reset.stream, 1);
    assert_ne!(reset.code(), Some(NO_ERROR));
    assert!(wire.lives());
}
