//! Clients that make work: each is stopped, or costs little, and a good client beside them notices
//! nothing. RINGWAY_ATTACKERS and RINGWAY_FRAMES change how many connections attack, and how many
//! frames each sends.

use super::draining::Askers;
use super::*;
use crate::drilling::{record, size};
use crate::loopback::https::{Authority, Caller, beside, secure, start};
use crate::loopback::programs::programs;
use crate::loopback::tls_passthrough::Client;
use std::io::BufReader;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Memory that an attacking connection may cost, bytes.
const BYTES_EACH_MAX: usize = 2 << 20;

/// What a burst takes that is no attack's: buffers of the ring, a part of them in huge pages.
const BYTES_AT_ALL: usize = 24 << 20;

/// Answers that the good clients get during each attack at least.
const GOOD_ANSWERS: usize = 50;

/// What an attacker sends in one round; `round` counts from 0.
type Round = fn(u32) -> Vec<u8>;

fn get() -> Vec<u8> {
    request("GET", "/", &[])
}

fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &get())
}

/// The stream of a round.
fn of(round: u32) -> u32 {
    2 * round + 1
}

fn provoked(kind: u8, flags: u8, round: u32, payload: &[u8]) -> Vec<u8> {
    [open(of(round)), frame(kind, flags, of(round), payload)].concat()
}

/// An attack: its name, the first bytes, the rounds, and the reasons for which it is ended; none if
/// it is only borne.
type Attack = (&'static str, fn() -> Vec<u8>, Round, &'static [&'static str]);

fn nothing() -> Vec<u8> {
    Vec::new()
}

const UNREAD: &str = "http2_unread_answers";
const RESET: &[&str] = &["http2_reset_flood", UNREAD];

const ATTACKS: &[Attack] = &[
    (
        "rapid reset",
        nothing,
        |round| provoked(RST_STREAM, NONE, round, &CANCEL.to_be_bytes()),
        RESET,
    ),
    (
        "made-you-reset, no increment",
        nothing,
        |round| provoked(WINDOW_UPDATE, NONE, round, &[0; 4]),
        RESET,
    ),
    (
        "made-you-reset, overflow",
        nothing,
        |round| provoked(WINDOW_UPDATE, NONE, round, &[0x7f, 0xff, 0xff, 0xff]),
        RESET,
    ),
    (
        "made-you-reset, DATA behind the end",
        nothing,
        |round| provoked(DATA, NONE, round, b"a"),
        RESET,
    ),
    (
        "made-you-reset, HEADERS behind the end",
        nothing,
        |round| provoked(HEADERS, WHOLE, round, &get()),
        // A stream that has been answered meanwhile is a fault of the connection.
        &["http2_reset_flood", UNREAD, "http2_fault"],
    ),
    (
        "made-you-reset, PRIORITY of a wrong size",
        nothing,
        |round| provoked(PRIORITY, NONE, round, b"1"),
        &["http2_reset_flood", UNREAD, "http2_fault"],
    ),
    (
        "made-you-reset, content-length",
        nothing,
        |round| {
            let head = request("POST", "/", &[("content-length", "1")]);
            let stream = of(round);
            [frame(HEADERS, END_HEADERS, stream, &head), frame(DATA, NONE, stream, b"four")]
                .concat()
        },
        RESET,
    ),
    (
        "CONTINUATION",
        || frame(HEADERS, END_STREAM, 1, &get()),
        |_| frame(CONTINUATION, NONE, 1, b""),
        &["http2_continuation_flood"],
    ),
    (
        "CONTINUATION, complete blocks",
        nothing,
        |round| {
            let mut bytes = frame(HEADERS, END_STREAM, of(round), &get());
            (0..7).for_each(|_| bytes.extend(frame(CONTINUATION, NONE, of(round), b"")));
            [bytes, frame(CONTINUATION, END_HEADERS, of(round), b"")].concat()
        },
        &["http2_continuation_flood", "http2_fault", UNREAD],
    ),
    (
        "a block without an end",
        || frame(HEADERS, END_STREAM, 1, &get()),
        |_| frame(CONTINUATION, NONE, 1, &[b'\x90'; 16_000]),
        &["http2_oversized_head_flood"],
    ),
    (
        "HPACK bomb, zero window",
        || frame(SETTINGS, NONE, 0, &setting(4, 0)),
        |round| {
            // An entry as large as the table, and then many times the entry.
            let mut block = get();
            if round == 0 {
                block.push(0x40);
                block.extend(b"\x01a");
                length(3_900, &mut block);
                block.extend([b'v'; 3_900]);
            }
            block.extend([0xbe; 10_000]);
            frame(HEADERS, WHOLE, of(round), &block)
        },
        &["http2_oversized_head_flood", UNREAD],
    ),
    (
        "answers without a window",
        || frame(SETTINGS, NONE, 0, &setting(4, 0)),
        |round| open(of(round)),
        &[],
    ),
    (
        "empty DATA",
        || frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[])),
        |_| frame(DATA, NONE, 1, b""),
        &["http2_empty_frame_flood"],
    ),
    ("PING", nothing, |_| frame(PING, NONE, 0, b"12345678"), &["http2_ping_flood", UNREAD]),
    (
        "SETTINGS",
        nothing,
        |round| frame(SETTINGS, NONE, 0, &setting(4, 1 + round)),
        &["http2_settings_flood", UNREAD],
    ),
    (
        "WINDOW_UPDATE",
        nothing,
        |_| frame(WINDOW_UPDATE, NONE, 0, &[0, 0, 0, 1]),
        &["http2_window_update_flood"],
    ),
    (
        "PRIORITY",
        nothing,
        |round| frame(PRIORITY, NONE, of(round) + 2, &[0; 5]),
        &["http2_ignored_frame_flood"],
    ),
    ("unknown frames", nothing, |_| frame(0x42, NONE, 0, b""), &["http2_ignored_frame_flood"]),
];

/// Sends rounds until there were enough, or nothing more is taken. The connection is given back,
/// still open.
fn attack(address: SocketAddr, attack: &Attack, frames: usize) -> Option<Wire> {
    let (_, first, round, _) = attack;
    let stream = connect(address);
    // One from which nothing is read any more is held back in this way.
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("set");
    let mut wire = Wire::silent(stream);
    let begin = [PREFACE, &frame(SETTINGS, NONE, 0, b""), &frame(SETTINGS, ACK, 0, b"")].concat();
    let mut sends = wire.send(&[begin, first()].concat());
    let mut next = 0;
    while sends && (next as usize) < frames {
        let mut bytes = Vec::new();
        for _ in 0..16 {
            bytes.extend(round(next));
            next += 1;
        }
        sends = wire.send(&bytes);
    }
    Some(wire)
}

/// Bears an attack beside good clients.
fn bear(operated: &Operated, one: &Attack) {
    let (name, _, _, reasons) = one;
    let attackers = size("RINGWAY_ATTACKERS", 3, 50);
    let frames = size("RINGWAY_FRAMES", 3_000, 100_000);
    let address = operated.ringway.address;
    let closed = || reasons.iter().map(|reason| closes(operated, reason)).sum::<u64>();
    let (before, closed_before) = (operated.ringway.resident(), closed());
    let good = Askers::start(address, 1, "/");
    good.await_answers(1);
    let mut most = before;
    let mut held = Vec::new();
    for _ in 0..attackers {
        held.push(attack(address, one, frames));
        most = most.max(operated.ringway.resident());
    }
    good.await_answers(GOOD_ANSWERS);
    most = most.max(operated.ringway.resident());
    let answered = good.stop();
    if !reasons.is_empty() {
        await_that(name, || closed() >= closed_before + attackers as u64);
    }
    drop(held);
    let grown = most.saturating_sub(before);
    let drill = format!("attack: {name}");
    record(&drill, "connections", attackers);
    record(&drill, "bytes of memory more for each", grown / attackers);
    record(&drill, "good answers, of which none failed", answered);
    let allowed = attackers * BYTES_EACH_MAX + BYTES_AT_ALL;
    assert!(grown <= allowed, "{name}: {grown} bytes more for {attackers} connections");
    operated.await_nothing_left();
}

#[test]
fn floods_are_ended_and_a_good_client_notices_nothing() {
    let origin = Origin::saying("hello");
    let operated = started(&origin, "");
    ATTACKS.iter().for_each(|attack| bear(&operated, attack));
}

#[test]
fn half_open_requests_are_borne() {
    let origin = Origin::saying("hello");
    let operated = started(&origin, "");
    let before = operated.ringway.resident();
    let streams = size("RINGWAY_HALF_OPEN", 300, 1_000);
    let good = Askers::start(operated.ringway.address, 1, "/");
    good.await_answers(1);
    // As many on each connection as it may have.
    let mut held: Vec<Wire> = (0..streams.div_ceil(100))
        .map(|_| {
            let mut wire = Wire::open(operated.ringway.address);
            for n in 0..100 {
                let head = request("POST", "/", &[("content-length", "100000")]);
                wire.sends(HEADERS, END_HEADERS, 2 * n + 1, &head);
                wire.sends(DATA, NONE, 2 * n + 1, &[b'x'; 4_000]);
            }
            wire
        })
        .collect();
    assert!(held.iter_mut().all(Wire::lives));
    good.await_answers(GOOD_ANSWERS);
    let grown = operated.ringway.resident().saturating_sub(before);
    let answered = good.stop();
    record("half-open POSTs", "streams", held.len() * 100);
    record("half-open POSTs", "bytes of memory more for each connection", grown / held.len());
    record("half-open POSTs", "good answers, of which none failed", answered);
    // Each stream has a connection to the backend besides.
    let allowed = held.len() * 2 * BYTES_EACH_MAX + BYTES_AT_ALL;
    assert!(grown <= allowed, "{grown} bytes more for {} connections", held.len());
    drop(held);
    operated.await_nothing_left();
}

struct Secure {
    operated: Operated,
    caller: Caller,
    _origin: Origin,
}

fn secured() -> Secure {
    let (authority, origin) = (Authority::new(), Origin::saying("hello"));
    let shop = authority.issue(&["shop.test"]);
    let files =
        [("shop.pem", &*shop.chain), ("shop-key.pem", &shop.key), ("root.pem", &authority.pem)];
    let text = format!("[runtime]\nshards = 1\n{}", secure(&origin, "", &[("shop", "")]));
    let operated = start(&files, &text);
    Secure { operated, caller: Caller::trusting(&authority), _origin: origin }
}

impl Secure {
    fn serves(&self) {
        let seen = self.caller.get(self.operated.ringway.address, "shop.test").expect("served");
        assert!(seen.answer.starts_with("HTTP/1.1 200 "), "{}", seen.answer);
    }
}

#[test]
fn slow_handshakes_are_borne() {
    let secure = secured();
    secure.serves();
    let before = secure.operated.ringway.resident();
    let hello = Client::trusting(&[], &["h2"], true).hello("shop.test");
    let count = size("RINGWAY_SLOW", 300, 3_000);
    // Half of them have sent half a hello, and half of them wait behind a whole one.
    let held: Vec<TcpStream> = (0..count)
        .map(|n| {
            let mut stream = secure.operated.ringway.connect();
            let sent = if n % 2 == 0 { &hello[..hello.len() / 2] } else { &hello };
            stream.write_all(sent).expect("sent");
            stream
        })
        .collect();
    (0..20).for_each(|_| secure.serves());
    let grown = secure.operated.ringway.resident().saturating_sub(before);
    record("slow handshakes", "connections", count);
    record("slow handshakes", "bytes of memory more for each", grown / count);
    assert!(grown <= count * (64 << 10) + BYTES_AT_ALL, "{grown} bytes more for {count}");
    drop(held);
    secure.operated.await_nothing_left();
}

#[test]
fn nobody_renegotiates() {
    let Some([openssl]) = programs(["openssl"]) else { return };
    let secure = secured();
    let root = beside(&secure.operated, "root.pem");
    let handshakes = || secure.operated.metric("ringway_tls_handshakes_total");
    let mut done = 0;
    for _ in 0..5 {
        let address = secure.operated.ringway.address.to_string();
        let mut child = Command::new(&openssl)
            .args(["s_client", "-connect", &address, "-servername", "shop.test", "-tls1_2"])
            .arg("-CAfile")
            .arg(&root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        done += 1;
        await_that("the handshake", || handshakes() == done);
        let mut input = child.stdin.take().expect("piped");
        input.write_all(b"R\n").expect("sent");
        let mut said = String::new();
        let mut errors = BufReader::new(child.stderr.take().expect("piped"));
        let _ = errors.read_to_string(&mut said);
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        said += &String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("RENEGOTIATING"), "{said}");
        secure.serves();
        done += 1;
    }
    secure.operated.await_nothing_left();
    secure.operated.await_standstill("ringway_tls_handshakes_total");
    assert_eq!(handshakes(), done, "none was a second one of its connection");
}
