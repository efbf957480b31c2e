//! Many clients, few resources, dying backends, and clients that go away. What would take long
//! has another size by the environment: RINGWAY_ANSWERS, RINGWAY_DROPPED, RINGWAY_SLOW.

use super::harness::*;
use super::load::{Load, OriginProcess};
use ringway::base::Prng;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A body that says in every byte whose it is.
fn tokens(client: u32, length: usize) -> Vec<u8> {
    // Made by copying: a thousand origins that count would leave the front door no time to run.
    let period: Vec<u8> = (0..256).map(|at| (client as usize * 31 + at * 7) as u8).collect();
    let mut body = period.repeat(length.div_ceil(256));
    body.truncate(length);
    body
}

fn token_origin() -> Origin {
    Origin::http(|head, _| {
        let mut numbers = head.split(['/', ' ']).filter_map(|word| word.parse::<u32>().ok());
        let client = numbers.next().expect("a client");
        let length = numbers.next().expect("a length") as usize;
        ok(&tokens(client, length))
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
    let request = format!("GET /{client}/200000 HTTP/1.1\r\nHost: t\r\n\r\n");
    let end = prng.below(request.len() as u32 + 1) as usize;
    let _ = stream.write_all(&request.as_bytes()[..end]);
    let mut some = vec![0; prng.below(100_000) as usize];
    if end == request.len() && !some.is_empty() {
        let _ = stream.read(&mut some);
    }
    if prng.one_in(2) {
        let _ = socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
    }
}

#[test]
fn no_client_gets_a_byte_of_another_while_a_fifth_of_them_goes_away() {
    let origin = token_origin();
    // So few buffers that they run out all the time.
    let ringway =
        Ringway::start(&[origin.address], &["--shards", "2", "--buffers-per-shard", "16"]);
    (0..8).for_each(|_| ask(&mut ringway.connect(), 1, 10).expect("both shards serve"));
    let before = ringway.descriptors();
    let wanted = size("RINGWAY_ANSWERS", 6_000);
    let answers = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..24u32)
        .map(|client| {
            let (address, answers) = (ringway.address, answers.clone());
            std::thread::spawn(move || {
                let mut prng = Prng::new(u64::from(client));
                while answers.load(Ordering::Relaxed) < wanted {
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
    // What is idle to the backend may stay open.
    let idle = origin.connections();
    ringway.await_descriptors(before + idle);
}

#[test]
fn thousands_of_connections_dropped_at_random_moments_leave_nothing_behind() {
    let origin = token_origin();
    let ringway = Ringway::start(&[origin.address], &["--shards", "1"]);
    let mut stream = ringway.connect();
    ask(&mut stream, 1, 10).expect("it serves");
    let before = ringway.descriptors();
    let mut prng = Prng::new(5);
    for client in 0..size("RINGWAY_DROPPED", 3_000) as u32 {
        abort(ringway.connect(), client, &mut prng);
    }
    ask(&mut stream, 1, 10).expect("this client was there all the time");
    ringway.await_descriptors(before + 64);
    ask(&mut stream, 1, 100_000).expect("it still serves");
}

#[test]
fn slow_clients_by_the_hundred_are_no_trouble_to_others() {
    let origin = token_origin();
    let ringway =
        Ringway::start(&[origin.address], &["--shards", "1", "--buffers-per-shard", "64"]);
    let mut slow = Vec::new();
    for client in 0..size("RINGWAY_SLOW", 300) as u32 {
        let mut stream = ringway.connect();
        let text = match client % 3 {
            // A head that does not end, a body that does not come, an answer that is not read.
            0 => "GET /1/1 HTTP/1.1\r\nHost: t\r\nX-".to_owned(),
            1 => "POST /1/1 HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nhalf".to_owned(),
            _ => format!("GET /{client}/3000000 HTTP/1.1\r\nHost: t\r\n\r\n"),
        };
        stream.write_all(text.as_bytes()).expect("sent");
        slow.push(stream);
    }
    let mut good = ringway.connect();
    for _ in 0..200 {
        ask(&mut good, 7, 20_000).expect("a good client");
    }
    let per_connection = ringway.resident() / slow.len();
    assert!(per_connection < 600 * 1024, "{per_connection} bytes for each slow connection");
    // Whoever begins to read again gets all of it.
    let mut last = slow.pop().expect("there are some");
    let head = read_until(&mut last, b"\r\n\r\n");
    assert_eq!(status(&head), 200);
    let mut body = vec![0; 3_000_000];
    last.read_exact(&mut body).expect("the whole answer");
    assert!(body == tokens(slow.len() as u32, body.len()));
}

/// A `ringway` with 120 descriptors, all of them in use, and the clients that use them.
pub(super) fn starved_of_descriptors(origin: &Origin) -> (Ringway, Vec<TcpStream>) {
    let mut command = Command::new("sh");
    let run = format!(
        "ulimit -n 120; exec {} run --listen 127.0.0.1:0 --backend {} --shards 1",
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

#[test]
fn a_killed_backend_costs_no_more_than_what_was_in_flight_on_it() {
    const CLIENTS: usize = 64;
    let origins: Vec<OriginProcess> = (0..3).map(|_| OriginProcess::start()).collect();
    let addresses: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
    let ringway = Ringway::start(&addresses, &["--shards", "1"]);
    let load = Load::start(ringway.address, CLIENTS, "/1/500");
    load.await_answers(2_000);
    origins[1].kill();
    load.await_answers(3_000);
    let failed = load.stop().failed;
    assert!(failed <= CLIENTS, "{failed} failed of {CLIENTS} that can have been in flight");
}
