//! Many clients, few resources, dying backends, and clients that go away. What would take long
//! has another size by the environment: RINGWAY_ANSWERS, RINGWAY_DROPPED, RINGWAY_SLOW.

use super::harness::*;
use super::load::Operated;
use crate::drilling::{self, record, size};
use ringway::base::Prng;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Bytes after which the tokens of a client repeat.
const PERIOD: usize = 256;

/// A body that says in every byte whose it is.
fn tokens(client: u32, length: usize) -> Vec<u8> {
    // Made by copying: a thousand origins that count would leave the front door no time to run.
    let period: Vec<u8> = (0..PERIOD).map(|at| (client as usize * 31 + at * 7) as u8).collect();
    let mut body = period.repeat(length.div_ceil(PERIOD));
    body.truncate(length);
    body
}

/// An origin that answers `/CLIENT/LENGTH` with so many bytes of that client. It makes them as
/// they are taken: a thousand clients that do not read must not cost it a thousand bodies.
fn token_origin() -> Origin {
    Origin::start(|stream| {
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut writer = stream;
        while let Some((head, _)) = read_request(&mut reader) {
            let mut numbers = head.split(['/', ' ']).filter_map(|word| word.parse::<u32>().ok());
            let client = numbers.next().expect("a client");
            let length = numbers.next().expect("a length") as usize;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let block = tokens(client, length.min(256 * PERIOD));
            let starts = (0..length).step_by(block.len().max(1));
            let blocks = starts.map(|start| &block[..block.len().min(length - start)]);
            let parts = std::iter::once(head.as_bytes()).chain(blocks);
            if !parts.into_iter().all(|part| writer.write_all(part).is_ok()) {
                return;
            }
        }
    })
}

/// One request over a connection that is kept. None if the connection failed.
fn ask(stream: &mut TcpStream, client: u32, length: usize) -> Option<()> {
    let request = format!("GET /{client}/{length} HTTP/1.1\r\nHost: t\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    assert_eq!(status(&head), 200, "{}", String::from_utf8_lossy(&head));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    assert!(body == tokens(client, length), "client {client} got foreign bytes");
    Some(())
}

/// Sends a request and goes away somewhere in the middle of it all.
fn abort(mut stream: TcpStream, client: u32, prng: &mut Prng) {
    let request = match prng.one_in(2) {
        true => format!("GET /{client}/200000 HTTP/1.1\r\nHost: t\r\n\r\n"),
        false => {
            let head = format!("POST /{client}/200000 HTTP/1.1\r\nHost: t\r\n");
            format!("{head}Content-Length: 300\r\n\r\n{}", "x".repeat(300))
        }
    };
    let end = prng.below(request.len() as u32 * 2) as usize;
    let is_whole = end >= request.len();
    let _ = stream.write_all(&request.as_bytes()[..end.min(request.len())]);
    let mut some = vec![0; prng.below(100_000) as usize];
    if is_whole && !some.is_empty() {
        let _ = stream.read(&mut some);
    }
    if prng.one_in(2) {
        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }
}

/// A `ringway` over an origin, with these keys in its `[runtime]`.
fn operated(origin: &Origin, runtime: &str) -> Operated {
    Operated::start(&config(&[origin.address], &format!("[runtime]\n{runtime}\n")))
}

/// Clients with a token in every byte, a fifth of which go away in the middle of an exchange.
fn exchange_tokens(name: &str, runtime: &str) {
    let origin = token_origin();
    let operated = operated(&origin, runtime);
    let before = operated.own_descriptors();
    let wanted = size("RINGWAY_ANSWERS", 4_000, 50_000);
    let (began, least) = (Instant::now(), drilling::duration().unwrap_or_default());
    let answers = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..24u32)
        .map(|client| {
            let (address, answers) = (operated.ringway.address, answers.clone());
            std::thread::spawn(move || {
                let mut prng = Prng::new(u64::from(client));
                while answers.load(Ordering::Relaxed) < wanted || began.elapsed() < least {
                    let mut stream = connect(address);
                    for _ in 0..8 {
                        let length = [10, 3_000, 70_000][prng.below(3) as usize];
                        ask(&mut stream, client, length).expect("nobody harms this client");
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                    if prng.one_in(5) {
                        abort(stream, client, &mut prng);
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no foreign byte"));
    let total = answers.load(Ordering::Relaxed);
    record(name, "answers without a foreign byte", total);
    record(name, "seconds", began.elapsed().as_secs());
    operated.await_nothing_left();
    await_that("descriptors return", || operated.own_descriptors() <= before);
}

#[test]
fn no_client_gets_a_byte_of_another_while_a_fifth_of_them_goes_away() {
    exchange_tokens("cross-talk", "shards = 2");
}

#[test]
fn no_client_gets_a_byte_of_another_when_receive_buffers_run_out_all_the_time() {
    exchange_tokens("cross-talk, 16 receive buffers", "shards = 2\nbuffers_per_shard = 16");
}

#[test]
fn thousands_of_connections_dropped_at_random_moments_leave_nothing_behind() {
    let origin = token_origin();
    let operated = operated(&origin, "shards = 1");
    let before = operated.own_descriptors();
    let mut stream = operated.ringway.connect();
    ask(&mut stream, 1, 10).expect("it serves");
    let mut prng = Prng::new(5);
    let dropped = size("RINGWAY_DROPPED", 3_000, 10_000);
    for client in 0..dropped as u32 {
        abort(operated.ringway.connect(), client, &mut prng);
    }
    ask(&mut stream, 1, 100_000).expect("this client was there all the time");
    drop(stream);
    operated.await_nothing_left();
    await_that("descriptors return", || operated.own_descriptors() <= before);
    // Who has gone before it could be accepted is no session.
    let sessions = operated.metric("ringway_connections_accepted_total");
    assert_eq!(operated.metric("ringway_sessions_closed_total"), sessions);
    record("connections dropped", "of which nothing is left", dropped);
}

/// Bytes of a buffer, the default of `buffer_size`.
const BUFFER_BYTES: usize = 32 * 1024;

/// Buffers of the receive ring where many clients are slow.
const RING_BUFFERS: usize = 64;

/// Buffers that so many connections may hold on one shard, as `max_connections` in
/// config/ringway.toml tells: the receive ring and as many again, and four for each connection.
fn buffers_max(connections: usize) -> usize {
    2 * RING_BUFFERS + 4 * connections
}

/// Memory that so many connections may take, bytes: the buffers, and heads that come in pieces.
fn bytes_max(connections: usize) -> usize {
    buffers_max(connections) * BUFFER_BYTES + connections * ringway::limits::HEAD_BYTES_MAX
}

/// What a slow client does.
#[derive(Clone, Copy)]
enum Slow {
    /// Sends a head that does not end.
    Head,
    /// Sends half of a body.
    Body,
    /// Does not read its answer.
    Reading,
}

impl Slow {
    fn start(self, ringway: &Ringway, client: u32, length: usize) -> TcpStream {
        let mut stream = ringway.connect();
        let text = match self {
            Self::Head => "GET /1/1 HTTP/1.1\r\nHost: t\r\nX-".to_owned(),
            Self::Body => {
                "POST /1/1 HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nhalf".to_owned()
            }
            Self::Reading => format!("GET /{client}/{length} HTTP/1.1\r\nHost: t\r\n\r\n"),
        };
        stream.write_all(text.as_bytes()).expect("sent");
        stream
    }
}

/// So many slow clients, the last of which does not read its answer, beside a good one.
fn bear_slow_clients(drill: &str, count: usize, kinds: &[Slow]) {
    let origin = token_origin();
    // More than the kernel keeps for one of them, as long as they are few.
    let length = ((4 << 30) / count).clamp(3_000_000, 20_000_000);
    let connections = count + 16;
    let operated = operated(
        &origin,
        &format!("shards = 1\nbuffers_per_shard = {RING_BUFFERS}\nmax_connections = {connections}"),
    );
    let mut good = operated.ringway.connect();
    ask(&mut good, 7, 20_000).expect("a good client");
    let before = operated.ringway.resident();
    let mut slow: Vec<TcpStream> = (0..count)
        .map(|n| kinds[n % kinds.len()].start(&operated.ringway, n as u32, length))
        .collect();
    for _ in 0..200 {
        ask(&mut good, 7, 20_000).expect("a good client");
    }
    operated.await_standstill("ringway_upstream_received_bytes_total");
    let held = operated.metric("ringway_shard_buffers_held") as usize;
    let grown = operated.ringway.resident().saturating_sub(before);
    let most = bytes_max(connections);
    assert!(held <= buffers_max(connections), "{held} buffers held");
    assert!(grown <= most, "{grown} bytes more, of {most} that are configured");
    record(drill, "number", count);
    record(drill, "bytes more for each", grown / count);
    record(drill, "bytes configured for each", most / connections);
    record(drill, "buffers held for each", format!("{:.2}", held as f64 / count as f64));
    // Whoever begins to read again gets all of it.
    let mut last = slow.pop().expect("there are some");
    let head = read_until(&mut last, b"\r\n\r\n");
    assert_eq!(status(&head), 200);
    let cut = operated.metric("ringway_sessions_closed_total{reason=\"out_of_buffers\"");
    assert_eq!(cut, 0, "nobody is cut");
    let mut body = vec![0; length];
    last.read_exact(&mut body).expect("the whole answer");
    assert!(body == tokens(slow.len() as u32, body.len()));
    drop((good, last, slow));
    operated.await_nothing_left();
}

#[test]
fn slow_clients_are_no_trouble_to_others() {
    let count = size("RINGWAY_SLOW", 90, 3_000);
    bear_slow_clients("slow connections", count, &[Slow::Head, Slow::Body, Slow::Reading]);
}

#[test]
fn clients_that_do_not_read_are_no_trouble_to_others_if_nobody_else_is_there() {
    let count = size("RINGWAY_SLOW", 90, 3_000) / 3;
    bear_slow_clients("slow connections, all reading", count, &[Slow::Reading]);
}

/// A `ringway` with 120 descriptors, all of them in use, and the clients that use them.
pub(super) fn starved_of_descriptors(origin: &Origin) -> (Ringway, Vec<TcpStream>) {
    let mut command = Command::new("sh");
    let run = format!(
        "ulimit -n 120; exec {} run --listen 127.0.0.1:0 --backend {} --shards 1 \
         --max-connections 1000",
        env!("CARGO_BIN_EXE_ringway"),
        origin.address
    );
    command.args(["-c", &run]);
    let ringway = Ringway::spawn(command, None);
    let half = |_| {
        let mut stream = ringway.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n").expect("the backlog takes it");
        stream
    };
    let starving: Vec<TcpStream> = (0..400).map(half).collect();
    await_that("all descriptors are used", || ringway.descriptors() >= 119);
    (ringway, starving)
}

#[test]
fn out_of_descriptors_it_waits_and_then_serves_again() {
    let origin = token_origin();
    let (ringway, starving) = starved_of_descriptors(&origin);
    drop(starving);
    let mut stream = ringway.connect();
    ask(&mut stream, 3, 1_000).expect("it serves again");
}
