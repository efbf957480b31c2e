//! Backends that misbehave: the client gets a whole, correct answer, an error, or a cut
//! connection, and the next client is not harmed.

use super::harness::*;
use super::load::Operated;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a client may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// 502.
    BadGateway,
    /// 504.
    Timeout,
    /// Less than what the head promised, and the connection cut.
    Cut,
    /// 200 with the body `whole`.
    Whole,
}

/// What the backend does after its bytes.
#[derive(Clone, Copy)]
enum Then {
    Close,
    Reset,
    Stay,
}

use Seen::*;
use Then::*;

const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole";

fn kinds() -> Vec<(&'static str, String, Then, Seen)> {
    let ok = |fields: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}");
    let line = |line: &str| format!("{line}\r\nContent-Length: 5\r\n\r\nwhole");
    let chunked = |body: &str| ok("Transfer-Encoding: chunked", body);
    let sized = |field: &str| ok(&format!("Content-Length: 5\r\n{field}"), "whole");
    vec![
        ("closes at once", String::new(), Close, BadGateway),
        ("resets at once", String::new(), Reset, BadGateway),
        ("says nothing", String::new(), Stay, Timeout),
        ("says half a head and closes", "HTTP/1.1 200 OK\r\nConte".into(), Close, BadGateway),
        ("says half a head and stays", "HTTP/1.1 200 OK\r\nConte".into(), Stay, Timeout),
        ("speaks no HTTP", "hello there\r\n\r\n".into(), Close, BadGateway),
        ("speaks bytes", "\u{16}\u{3}\u{1}\u{0}".into(), Stay, BadGateway),
        ("only an empty line", "\r\n\r\n".into(), Close, BadGateway),
        ("NUL in a value", sized("X: a\0b"), Stay, BadGateway),
        ("CR in a value", sized("X: a\rb"), Stay, BadGateway),
        ("control byte in a value", sized("X: a\u{1}b"), Stay, BadGateway),
        ("bare LF", WHOLE.replace("\r\n", "\n"), Stay, BadGateway),
        ("folded field", sized("X: a\r\n b"), Stay, BadGateway),
        ("blank before a colon", sized("X : a"), Stay, Whole),
        ("empty name", sized(": a"), Stay, BadGateway),
        ("no colon", sized("X"), Stay, BadGateway),
        ("status 99", line("HTTP/1.1 99 Low"), Stay, BadGateway),
        ("status 1000", line("HTTP/1.1 1000 High"), Stay, BadGateway),
        ("status 600", line("HTTP/1.1 600 High"), Stay, Whole),
        ("status 2OO", line("HTTP/1.1 2OO Letters"), Stay, BadGateway),
        ("status -200", line("HTTP/1.1 -200 No"), Stay, BadGateway),
        ("HTTP/3.7", line("HTTP/3.7 200 OK"), Stay, BadGateway),
        ("HTTP/0.9", line("HTTP/0.9 200 OK"), Stay, BadGateway),
        ("http/1.1", line("http/1.1 200 OK"), Stay, BadGateway),
        ("two lengths that differ", sized("Content-Length: 6"), Stay, BadGateway),
        ("two lengths that agree", sized("Content-Length: 5"), Stay, Whole),
        ("negative length", ok("Content-Length: -5", "whole"), Stay, BadGateway),
        (
            "length beyond 64 bits",
            ok("Content-Length: 99999999999999999999", "x"),
            Stay,
            BadGateway,
        ),
        ("length and chunks", sized("Transfer-Encoding: chunked"), Stay, BadGateway),
        ("unknown coding", ok("Transfer-Encoding: gzip", "whole"), Stay, BadGateway),
        ("chunked is not last", ok("Transfer-Encoding: chunked, gzip", "x"), Stay, BadGateway),
        (
            "chunks in HTTP/1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            Stay,
            BadGateway,
        ),
        (
            "101 that nobody asked for",
            "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nwhole".into(),
            Stay,
            BadGateway,
        ),
        ("a head of 64 KiB", ok(&format!("X: {}", "y".repeat(65_536)), ""), Stay, BadGateway),
        (
            "200 fields",
            sized(&"X: y\r\n".repeat(200)).replace("\r\n\r\n\r\n", "\r\n\r\n"),
            Stay,
            BadGateway,
        ),
        (
            "204 with a length",
            "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nwhole".into(),
            Stay,
            Whole,
        ),
        ("short body, then end", ok("Content-Length: 50", "whole"), Close, Cut),
        ("short body, then reset", ok("Content-Length: 50", "whole"), Reset, Cut),
        ("short body, then silence", ok("Content-Length: 50", "whole"), Stay, Cut),
        ("no last chunk", chunked("5\r\nwhole\r\n"), Close, Cut),
        ("a chunk's size is no number", chunked("5\r\nwhole\r\nxyz\r\n"), Stay, BadGateway),
        (
            "a chunk's size overflows",
            chunked("5\r\nwhole\r\nfffffffffffffffff\r\n"),
            Stay,
            BadGateway,
        ),
        ("a chunk's end is missing", chunked("5\r\nwholeXX"), Stay, BadGateway),
        ("a trailer that may not be", chunked("5\r\nwhole\r\n0\r\nHost: a\r\n\r\n"), Stay, Whole),
        ("no reason phrase", line("HTTP/1.1 200"), Stay, Whole),
        ("bytes behind the end", format!("{WHOLE}poison"), Stay, Whole),
        (
            "two answers",
            format!("{WHOLE}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
            Stay,
            Whole,
        ),
        ("bytes behind the last chunk", chunked("5\r\nwhole\r\n0\r\n\r\npoison"), Stay, Whole),
        (
            "many interim answers",
            format!("{}{WHOLE}", "HTTP/1.1 102 P\r\n\r\n".repeat(30)),
            Stay,
            Whole,
        ),
        ("until the end", "HTTP/1.1 200 OK\r\n\r\nwhole".into(), Close, Whole),
        ("until a reset", "HTTP/1.1 200 OK\r\n\r\nwhole".into(), Reset, Cut),
    ]
}

fn misbehave(stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut writer = stream;
    let kinds = kinds();
    while let Some((head, _)) = read_request(&mut reader) {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let Some((_, bytes, then, _)) =
            path.strip_prefix("/kind/").and_then(|n| n.parse::<usize>().ok()).map(|n| &kinds[n])
        else {
            let _ = writer.write_all(&ok(b"good"));
            continue;
        };
        let _ = writer.write_all(bytes.as_bytes());
        match then {
            Stay => {}
            Close => return,
            Reset => {
                // Let the bytes be read before the reset overtakes them.
                std::thread::sleep(Duration::from_millis(30));
                let socket = socket2::SockRef::from(&writer);
                let _ = socket.set_linger(Some(Duration::ZERO));
                return;
            }
        }
    }
}

fn seen(answer: &[u8]) -> Seen {
    // Interim answers come before the one that counts.
    let text = String::from_utf8_lossy(answer).into_owned();
    let last = text.rfind("HTTP/1.1 ").map_or("", |at| &text[at..]);
    match status(last.as_bytes()) {
        // A reset may overtake what was sent before it.
        0 => Cut,
        502 => BadGateway,
        504 => Timeout,
        // It has no body, whatever it says.
        204 if last.ends_with("\r\n\r\n") => Whole,
        200 | 600
            if last.ends_with("\r\n\r\nwhole")
                && !last.contains("Length: 50")
                && !last.contains("chunked") =>
        {
            Whole
        }
        200 if last.ends_with("5\r\nwhole\r\n0\r\n\r\n") => Whole,
        200 => Cut,
        other => panic!("{other}: {text:?}"),
    }
}

#[test]
fn fifty_kinds_of_misbehaviour_harm_nobody_else() {
    let origin = Origin::start(misbehave);
    let more = "[timeouts]\nbetween_bytes = \"1500ms\"\n[runtime]\nshards = 1\n";
    let operated = Operated::start(&config(&[origin.address], more));
    let ringway = &operated.ringway;
    assert_eq!(ringway.status_of("/good"), 200);
    operated.await_nothing_left();
    let before = operated.own_descriptors();
    let mut others = Vec::new();
    for (number, (name, _, _, expected)) in kinds().iter().enumerate() {
        let mut next = ringway.connect();
        let request =
            format!("GET /kind/{number} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        let answer = ringway.exchange(request.as_bytes());
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains("poison"), "{name}: {text:?}");
        let is_reset_close = *name == "until a reset";
        if seen(&answer) != *expected && !is_reset_close {
            others.push(format!("{name}: {text:?}"));
        }
        for _ in 0..2 {
            next.write_all(b"GET /good HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
            let good = read_until(&mut next, b"good");
            assert_eq!(good, ok(b"good"), "after {name}");
        }
    }
    assert!(others.is_empty(), "seen otherwise: {others:#?}");
    // Buffers, slots and descriptors return.
    operated.await_nothing_left();
    await_that("descriptors return", || operated.own_descriptors() <= before);
    assert!(operated.metric("ringway_backend_connections") <= 2, "one for each good client");
}

#[test]
fn a_backend_that_answers_byte_by_byte_is_waited_for() {
    let origin = Origin::start(|mut stream| {
        read_until(&mut stream, b"\r\n\r\n");
        for byte in WHOLE.as_bytes() {
            stream.write_all(&[*byte]).expect("sent");
            std::thread::sleep(Duration::from_millis(60));
        }
    });
    let more = "[timeouts]\nbetween_bytes = \"2s\"\n";
    let ringway = Ringway::with_config(&config(&[origin.address], more));
    let answer = ringway.exchange(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    assert_eq!(body(&answer), b"whole");
}
