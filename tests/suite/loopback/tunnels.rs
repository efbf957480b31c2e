//! Tunnels: what opens one, and what ends it.

use super::harness::*;
use super::load::Operated;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

const UPGRADE: &str =
    "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Opens a tunnel with `answer`, and sends back what comes through it.
fn echo(answer: &'static str) -> Origin {
    Origin::start(move |mut stream| {
        let head = read_until(&mut stream, b"\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes());
        if head.starts_with(b"CONNECT ") {
            let _ = stream.write_all(head.split(|byte| *byte == b'\r').next().expect("a line"));
        }
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    })
}

const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n";

fn open(ringway: &Ringway) -> TcpStream {
    let mut stream = ringway.connect();
    stream.write_all(UPGRADE.as_bytes()).expect("sent");
    assert_eq!(status(&read_until(&mut stream, b"\r\n\r\n")), 101);
    stream
}

#[test]
fn a_tunnel_that_is_idle_is_cut() {
    let origin = echo(SWITCHING);
    let more = "[timeouts]\ntunnel = \"2s\"\n[runtime]\nshards = 1\n";
    let operated = Operated::start(&config(&[origin.address], more));
    let closed = |reason: &str| {
        let text = operated.asked("GET /metrics", "");
        let series = format!("reason=\"{reason}\"");
        text.lines().any(|line| line.contains(&series) && line.ends_with(" 1"))
    };
    let mut stream = open(&operated.ringway);
    assert_eq!(read_to_end(&mut stream), b"", "nobody says anything any more");
    await_that("it is counted as what it was", || closed("tunnel_idle"));
}

#[test]
fn connect_goes_to_a_backend_where_it_is_allowed_and_its_2xx_opens_a_tunnel() {
    let more = "[http]\nconnect = \"forward\"\n";
    let request = "CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n";
    let origin = echo("HTTP/1.1 200 Connection Established\r\n\r\n");
    let ringway = Ringway::with_config(&config(&[origin.address], more));
    let mut stream = ringway.connect();
    stream.write_all(format!("{request}early").as_bytes()).expect("sent");
    let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n")).expect("text");
    assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("Content-Length"), "{head}");
    read_until(&mut stream, b"CONNECT t:443 HTTP/1.1");
    assert_eq!(read_until(&mut stream, b"early"), b"early");
    stream.write_all(b"later").expect("sent");
    assert_eq!(read_until(&mut stream, b"later"), b"later");
    stream.shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(read_to_end(&mut stream), b"", "an end on one side is one on the other");

    // Whatever else the backend says is an answer.
    let origin = Origin::http(|_, _| b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno".to_vec());
    let ringway = Ringway::with_config(&config(&[origin.address], more));
    let mut stream = ringway.connect();
    for _ in 0..2 {
        stream.write_all(request.as_bytes()).expect("sent");
        let answer = read_until(&mut stream, b"\r\n\r\nno");
        assert_eq!(status(&answer), 403, "and the connection goes on");
    }
}

#[test]
fn a_backend_that_changes_to_a_protocol_nobody_asked_for_is_502() {
    for upgrade in ["h2c", "websocket, h2c", "websocke", "", "h2c\r\nUpgrade: websocket"] {
        let text = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
        );
        let origin = echo(text.leak());
        let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
        let mut stream = ringway.connect();
        stream.write_all(UPGRADE.as_bytes()).expect("sent");
        let head = read_until(&mut stream, b"\r\n\r\n");
        assert_eq!(status(&head), 502, "{upgrade:?}");
    }
}

#[test]
fn tunnels_that_their_backends_end_leave_nothing_behind() {
    const COUNT: usize = 100;
    let origin = Origin::start(|mut stream| {
        let head = read_until(&mut stream, b"\r\n\r\n");
        let answer = match head.starts_with(b"CONNECT ") {
            true => "HTTP/1.1 200 OK\r\n\r\n",
            false => SWITCHING,
        };
        let _ = stream.write_all(format!("{answer}bye").as_bytes());
    });
    let more = "[http]\nconnect = \"forward\"\n[runtime]\nshards = 1\n";
    let ringway = Ringway::with_config(&config(&[origin.address], more));
    let before = ringway.descriptors();
    for request in [UPGRADE, "CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n"] {
        for _ in 0..COUNT {
            let mut stream = ringway.connect();
            stream.write_all(request.as_bytes()).expect("sent");
            assert!(read_to_end(&mut stream).ends_with(b"bye"), "{request:?}");
        }
        // Before any timeout could have closed them.
        await_that("descriptors are back", || ringway.descriptors() < before + COUNT / 10);
    }
}
