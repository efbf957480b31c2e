//! WebSockets and CONNECT through every pair of versions, of which one at least is HTTP/2.

use super::client::{Http2Client, Tunnel};
use super::*;
use crate::loopback::http2::{HEADERS, NONE, PREFACE, SETTINGS, WHOLE, frame, setting};
use crate::loopback::load::Operated;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

const CONNECT: &str = "[http]\nconnect = \"forward\"\n";
/// The example of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// An origin of HTTP/1.1 that changes protocols, says the head that it got, and then what it hears.
fn echo() -> Origin {
    Origin::start(|mut stream| {
        let head = read_until(&mut stream, b"\r\n\r\n");
        let answer = match head.starts_with(b"CONNECT ") {
            true => "HTTP/1.1 200 OK\r\n\r\n",
            false => {
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
            }
        };
        let _ = stream.write_all(&[answer.as_bytes(), &head].concat());
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    })
}

/// What a tunnel says first: the head that its origin got.
fn head_from(tunnel: &mut Tunnel, end: &str) -> String {
    let mut head = Vec::new();
    while !head.ends_with(end.as_bytes()) {
        head.extend(tunnel.hears(1));
    }
    String::from_utf8(head).expect("text")
}

#[test]
fn a_websocket_over_http2_reaches_an_origin_of_http1_1() {
    let origin = echo();
    let text = super::super::harness::config(&[origin.address], "[runtime]\nshards = 1\n");
    let operated = Operated::start(&text);
    let client = Http2Client::connect(operated.ringway.address);
    let mut tunnel = client.opens(Some("websocket"), "/chat?a=b").expect("opened");
    assert_eq!(tunnel.fields.get("sec-websocket-protocol").expect("forwarded"), "chat");
    for absent in ["sec-websocket-accept", "upgrade", "connection", "content-length"] {
        assert!(!tunnel.fields.contains_key(absent), "{absent}");
    }
    let head = head_from(&mut tunnel, "\r\n\r\n").to_lowercase();
    assert!(head.starts_with("get /chat?a=b http/1.1\r\n"), "{head}");
    for line in ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
    }
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: "));
    assert_eq!(key.map(str::len), Some(24), "{head}");
    tunnel.says(b"hello");
    assert_eq!(tunnel.hears(5), b"hello");
    tunnel.ends();
    assert_eq!(tunnel.hears_the_end(), (vec![], true), "an end on one side is one on the other");
    drop(client);
    operated.await_nothing_left();
}

#[test]
fn a_hundred_websockets_share_a_connection_and_carry_more_than_their_windows() {
    const COUNT: usize = 100;
    const BYTES: usize = 200_000;
    for (of_http1, of_http2) in [(Some(echo()), None), (None, Some(Http2Origin::with_tunnels()))] {
        let address = of_http1.as_ref().map(|origin| origin.address);
        let text = match (address, &of_http2) {
            (Some(address), _) => super::super::harness::config(&[address], ""),
            (None, Some(origin)) => config(&[origin.address], "", ""),
            (None, None) => unreachable!("one of both"),
        };
        let operated = Operated::start(&text);
        let client = Http2Client::connect(operated.ringway.address);
        let end = if of_http1.is_some() { "\r\n\r\n" } else { "websocket\n" };
        let mut tunnels: Vec<Tunnel> = (0..COUNT)
            .map(|_| {
                let mut tunnel = client.opens(Some("websocket"), "/").expect("opened");
                head_from(&mut tunnel, end);
                tunnel
            })
            .collect();
        for (number, tunnel) in tunnels.iter_mut().enumerate() {
            tunnel.says(number.to_string().as_bytes());
        }
        for (number, tunnel) in tunnels.iter_mut().enumerate() {
            let text = number.to_string();
            assert_eq!(tunnel.hears(text.len()), text.as_bytes());
        }
        let content: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
        for part in content.chunks(10_000) {
            tunnels[COUNT / 2].says(part);
            assert_eq!(tunnels[COUNT / 2].hears(part.len()), part);
        }
        for tunnel in &mut tunnels {
            tunnel.ends();
            assert_eq!(tunnel.hears_the_end(), (vec![], true));
        }
        drop(client);
        operated.await_nothing_left();
    }
}

#[test]
fn a_websocket_over_http2_reaches_an_origin_of_http2() {
    let origin = Http2Origin::with_tunnels();
    let operated = Operated::start(&config(&[origin.address], "", ""));
    let client = Http2Client::connect(operated.ringway.address);
    let mut tunnel = client.opens(Some("websocket"), "/chat").expect("opened");
    let head = head_from(&mut tunnel, "websocket\n");
    assert!(head.starts_with("CONNECT ") && head.contains("/chat "), "{head}");
    assert!(head.contains("sec-websocket-version: 13\n"), "{head}");
    assert!(!head.contains("sec-websocket-key"), "{head}");
    tunnel.says(b"hello");
    assert_eq!(tunnel.hears(5), b"hello");
    tunnel.ends();
    assert_eq!(tunnel.hears_the_end(), (vec![], true));
    // Other requests have used the same connection of the backend.
    assert_eq!(client.gets("/").status, 200);
    assert_eq!(origin.connections(), 1);
    drop(client);
    operated.await_nothing_left();
}

/// Asks for a WebSocket as HTTP/1.1 does.
fn upgrade(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let head = format!(
        "GET /chat HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\nearly"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream
}

#[test]
fn a_websocket_over_http1_1_reaches_an_origin_of_http2() {
    let origin = Http2Origin::with_tunnels();
    let operated = Operated::start(&config(&[origin.address], "", "[runtime]\nshards = 1\n"));
    let mut stream = upgrade(operated.ringway.address);
    let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n")).expect("text");
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    for line in ["Connection: Upgrade", "Upgrade: websocket", accept] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
    }
    let of_origin = String::from_utf8(read_until(&mut stream, b"websocket\nearly")).expect("text");
    assert!(of_origin.starts_with("CONNECT "), "{of_origin}");
    stream.write_all(b"later").expect("sent");
    assert_eq!(read_until(&mut stream, b"later"), b"later");
    stream.shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(read_to_end(&mut stream), b"", "an end on one side is one on the other");
    operated.await_nothing_left();
}

#[test]
fn connect_passes_between_versions() {
    let (of_http1, of_http2) = (echo(), Http2Origin::with_tunnels());
    let to_http1 = super::super::harness::config(&[of_http1.address], CONNECT);
    let to_http2 = config(&[of_http2.address], "", CONNECT);
    for (text, end) in [(&to_http1, "\r\n\r\n"), (&to_http2, "\n\n")] {
        let operated = Operated::start(text);
        let client = Http2Client::connect(operated.ringway.address);
        let mut tunnel = client.opens(None, "t.test:443").expect("opened");
        let head = head_from(&mut tunnel, end);
        assert!(head.starts_with("CONNECT t.test:443 "), "{head}");
        tunnel.says(b"hello");
        assert_eq!(tunnel.hears(5), b"hello");
        tunnel.ends();
        assert_eq!(tunnel.hears_the_end(), (vec![], true));
    }
    let operated = Operated::start(&to_http2);
    let mut stream = operated.ringway.connect();
    let request = b"CONNECT t.test:443 HTTP/1.1\r\nHost: t.test:443\r\n\r\nearly";
    stream.write_all(request).expect("sent");
    let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n")).expect("text");
    assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("ength"), "{head}");
    read_until(&mut stream, b"early");
    stream.shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(read_to_end(&mut stream), b"");
}

#[test]
fn a_tunnel_that_nobody_opens_is_an_answer() {
    // One that does not accept them, and says so in its SETTINGS.
    let origin = Http2Origin::start();
    let operated = Operated::start(&config(&[origin.address], "", ""));
    let client = Http2Client::connect(operated.ringway.address);
    let status = |protocol| client.opens(Some(protocol), "/").err().map(|status| status.as_u16());
    assert_eq!(status("websocket"), Some(501));
    assert_eq!(status("gopher"), Some(501), "it is not among `upgrade_protocols`");
    // A client of HTTP/1.1 takes another answer too.
    let mut stream = upgrade(operated.ringway.address);
    assert_eq!(status_line(&mut stream), 200);

    // An origin of HTTP/1.1 that answers as if nothing had been asked for: a client of HTTP/2 would
    // take its 200 for a tunnel.
    for (answer, expected) in [("200 OK", 502), ("403 Forbidden", 403), ("426 No", 426)] {
        let text = format!("HTTP/1.1 {answer}\r\nContent-Length: 2\r\n\r\nno");
        let origin = Origin::http(move |_, _| text.clone().into_bytes());
        let text = super::super::harness::config(&[origin.address], "");
        let operated = Operated::start(&text);
        let client = Http2Client::connect(operated.ringway.address);
        let status = client.opens(Some("websocket"), "/").err().map(|status| status.as_u16());
        assert_eq!(status, Some(expected), "{answer}");
        drop(client);
        operated.await_nothing_left();
    }
}

fn status_line(stream: &mut TcpStream) -> u16 {
    status(&read_until(stream, b"\r\n\r\n"))
}

/// A backend of HTTP/2 that answers the first request with this block, and this end.
fn answering(block: &'static [u8], flags: u8) -> Origin {
    Origin::start(move |mut stream| {
        read_until(&mut stream, PREFACE);
        let _ = stream.write_all(&frame(SETTINGS, NONE, 0, &setting(8, 1)));
        loop {
            let mut header = [0; 9];
            if stream.read_exact(&mut header).is_err() {
                return;
            }
            let length = usize::from(header[1]) << 8 | usize::from(header[2]);
            let _ = stream.read_exact(&mut vec![0; length]);
            if header[3] == HEADERS {
                let _ = stream.write_all(&frame(HEADERS, flags, 1, block));
            }
        }
    })
}

#[test]
fn a_tunnel_that_its_backend_ends_with_its_head_has_ended() {
    // `:status: 200`
    let origin = answering(&[0x88], WHOLE);
    let operated = Operated::start(&config(&[origin.address], "", ""));
    let client = Http2Client::connect(operated.ringway.address);
    let mut tunnel = client.opens(Some("websocket"), "/").expect("opened");
    assert_eq!(tunnel.hears_the_end(), (vec![], true));
    let mut stream = upgrade(operated.ringway.address);
    let answer = read_to_end(&mut stream);
    assert_eq!(status(&answer), 101, "{}", String::from_utf8_lossy(&answer));
    drop(client);
    operated.await_nothing_left();
}

#[test]
fn an_upgrade_that_its_method_does_not_allow_is_a_request_without_one() {
    let origin = Http2Origin::with_tunnels();
    let operated = Operated::start(&config(&[origin.address], "", CONNECT));
    let asked = |method: &str, target: &str, protocol: &str| {
        let mut stream = operated.ringway.connect();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: t.test:443\r\nConnection: Upgrade\r\n\
             Upgrade: {protocol}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        (status_line(&mut stream), stream)
    };
    assert_eq!(asked("POST", "/head", "websocket").0, 200);
    assert_eq!(asked("CONNECT", "t.test:443", "websocket").0, 200, "it is a plain CONNECT");
    let (switched, mut stream) = asked("GET", "/", "WebSocket/13");
    assert_eq!(switched, 101);
    read_until(&mut stream, b"\nwebsocket\n");
}

#[test]
fn a_tunnel_on_a_stream_that_is_idle_or_whose_backend_dies_is_cut() {
    let origin = echo();
    let more = "[timeouts]\ntunnel = \"2s\"\n[runtime]\nshards = 1\n";
    let operated = Operated::start(&super::super::harness::config(&[origin.address], more));
    let client = Http2Client::connect(operated.ringway.address);
    let mut tunnel = client.opens(Some("websocket"), "/").expect("opened");
    head_from(&mut tunnel, "\r\n\r\n");
    assert_eq!(tunnel.hears_the_end(), (vec![], false), "it is cut");
    assert_eq!(client.opens(Some("websocket"), "/").map(|_| ()), Ok(()), "and the others go on");

    let origin = Origin::start(|mut stream| {
        read_until(&mut stream, b"\r\n\r\n");
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.read(&mut [0; 1]);
        // More waits to be read: the close is a reset.
    });
    let operated = Operated::start(&super::super::harness::config(&[origin.address], ""));
    let client = Http2Client::connect(operated.ringway.address);
    let mut tunnel = client.opens(Some("websocket"), "/").expect("opened");
    tunnel.says(b"several bytes");
    assert_eq!(tunnel.hears_the_end(), (vec![], false));
    drop(client);
    operated.await_nothing_left();
}
