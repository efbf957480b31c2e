//! Backends that answer what they should not, refuse, or end before the client does.

use super::super::harness::*;
use super::first_head;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock};

const BUFFER: usize = 16_384;
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

/// The head that the evil backend sends for a path, without its end, and what follows it. The
/// first two fill what one head may have to the byte, and poison lies behind that.
fn evil(path: &str) -> Option<(String, String)> {
    let start = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: ".to_owned();
    let end = "\r\n\r\nwhole";
    let filler = |length: usize| "x".repeat(length);
    let first = format!("{start}{}", filler(10_000 - start.len()));
    let rest = BUFFER - first.len();
    let second = match path {
        "/endless" => filler(rest) + POISON,
        "/complete" => filler(rest - end.len()) + end + POISON,
        "/short" => filler(1_000) + end + POISON + &filler(2 * BUFFER),
        "/surplus" => filler(rest - end.len() - 9) + end + "HTTP/1.1 " + &POISON[9..],
        _ => return None,
    };
    Some((first, second))
}

fn serve_evil(stream: TcpStream, ringway: &OnceLock<SocketAddr>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut writer = stream;
    while let Some((head, _)) = read_request(&mut reader) {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let Some((first, second)) = evil(path) else {
            let _ = writer.write_all(&ok(b"good"));
            continue;
        };
        let _ = writer.write_all(first.as_bytes());
        // Once the shard has served somebody else, it has read what came before that.
        let mut other = connect(*ringway.get().expect("it runs"));
        let request = b"GET /other HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
        other.write_all(request).expect("sent");
        assert_eq!(body(&read_to_end(&mut other)), b"good");
        let _ = writer.write_all(second.as_bytes());
    }
}

#[test]
fn what_a_backend_sends_behind_its_answer_is_no_answer_to_the_next_request() {
    // A head that fills its buffer, and one that only has all that a head may have.
    ["16KiB", "32KiB"].into_iter().for_each(serve_poison);
}

fn serve_poison(buffer_size: &str) {
    let place = Arc::new(OnceLock::new());
    let known = place.clone();
    let origin = Origin::start(move |stream| serve_evil(stream, &known));
    let arguments = ["--shards", "1", "--buffer-size", buffer_size];
    let ringway = Ringway::start(&[origin.address], &arguments);
    place.set(ringway.address).expect("once");
    for (path, expected) in
        [("/endless", 502), ("/complete", 200), ("/short", 200), ("/surplus", 200)]
    {
        for next in ["/good", "/other"] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: t\r\n\r\n\
                 GET {next} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
            );
            let answers = ringway.exchange(request.as_bytes());
            let text = String::from_utf8_lossy(&answers);
            assert!(!text.contains("poison"), "{path}: {text}");
            assert_eq!(status(&answers), expected, "{path}: {text}");
            assert!(expected == 502 || text.contains("\r\n\r\nwhole"), "{path}: {text}");
            let seconds = text.matches("HTTP/1.1 ").count() - 1;
            let is_good = text.ends_with("\r\n\r\ngood");
            assert_eq!(seconds, usize::from(is_good), "{path}, then good or nothing: {text}");
        }
        assert_eq!(ringway.status_of("/good"), 200, "the next client after {path}");
    }
}

#[test]
fn without_descriptors_for_many_backends_it_answers_and_recovers() {
    for refusers in [0, 6] {
        let refusers: Vec<_> = (0..refusers).map(|_| refusing()).collect();
        let origins: Vec<Origin> =
            (0..8 - refusers.len()).map(|_| Origin::saying("good")).collect();
        let mut backends: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
        backends.extend(refusers.iter().map(|(_, address)| *address));
        let mut script = String::from(
            "ulimit -n 60; exec \"$0\" run --listen 127.0.0.1:0 --shards 1 --max-connections 1000",
        );
        backends.iter().for_each(|backend| script += &format!(" --backend {backend}"));
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_ringway")]);
        let ringway = Ringway::spawn(command, None);

        let half = |_| {
            let mut stream = ringway.connect();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n").expect("the backlog takes it");
            stream
        };
        let mut starving: Vec<TcpStream> = (0..120).map(half).collect();
        await_that("all descriptors are used", || ringway.descriptors() >= 59);
        for stream in &mut starving[..5] {
            stream.write_all(b"Connection: close\r\n\r\n").expect("sent");
            let status = status(&read_to_end(stream));
            assert!(status == 503 || status == 200, "{status}: an answer, and not never");
        }
        drop(starving);
        await_that("it serves again", || ringway.status_of("/") == 200);
    }
}

#[test]
fn endless_interim_answers_are_not_passed_on_without_end() {
    const HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    let origin = Origin::http(|head, _| match head.starts_with("GET /endless ") {
        true => HINT.repeat(100_000).into_bytes(),
        false => ok(b"good"),
    });
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    assert_eq!(ringway.status_of("/good"), 200);
    let before = ringway.resident();
    for _ in 0..10 {
        let request = b"GET /endless HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
        let answer = ringway.exchange(request);
        let text = String::from_utf8_lossy(&answer);
        let interims = text.matches("HTTP/1.1 103 ").count();
        assert!(interims <= 32, "{interims} interim answers");
        let last = text.rfind("HTTP/1.1 ").map_or("", |at| &text[at..]);
        assert!(matches!(status(last.as_bytes()), 502 | 103 | 0), "502, or cut: {last}");
    }
    let more = ringway.resident().saturating_sub(before);
    assert!(more < 16 << 20, "{more} bytes of memory for answers that were not passed on");
    assert_eq!(ringway.status_of("/good"), 200);
}

#[test]
fn a_tunnel_delivers_all_that_the_client_sends_after_the_backend_has_ended() {
    const BYTES: usize = 2_000_000;
    let (report, reported) = mpsc::channel::<(usize, bool)>();
    let report = Mutex::new(report);
    let origin = Origin::start(move |mut stream| {
        let Some(_) = first_head(&stream) else { return };
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\n\r\nlast words";
        stream.write_all(switch).expect("sent");
        stream.shutdown(Shutdown::Write).expect("ended");
        let mut received = 0;
        let mut buffer = vec![0; 16 * 1024];
        let is_orderly = loop {
            match stream.read(&mut buffer) {
                Ok(0) => break true,
                Ok(length) => received += length,
                Err(_) => break false,
            }
        };
        let _ = report.lock().expect("no panic").send((received, is_orderly));
    });
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    for _ in 0..5 {
        let mut stream = ringway.connect();
        let request = b"GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\n\r\n";
        stream.write_all(request).expect("sent");
        let answer = read_to_end(&mut stream);
        assert_eq!((status(&answer), body(&answer)), (101, &b"last words"[..]));
        stream.write_all(&vec![b'x'; BYTES]).expect("this direction goes on");
        stream.shutdown(Shutdown::Write).expect("ended");
        let received = reported.recv_timeout(PATIENCE).expect("the backend sees the end");
        assert_eq!(received, (BYTES, true), "all of it, and an orderly end");
    }
}
