//! Which connections there are, and what becomes of their streams.

use super::client::Http2Client;
use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;

const ONE_SHARD: &str = "[runtime]\nshards = 1\n";

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

fn asking(ringway: &Ringway, path: &str, count: usize) -> Vec<TcpStream> {
    let mut clients: Vec<TcpStream> = (0..count).map(|_| ringway.connect()).collect();
    for client in &mut clients {
        client.write_all(&get(path)).expect("sent");
    }
    clients
}

fn await_held(origin: &Http2Origin, count: usize) {
    await_that("all are there", || origin.tally.held.load(Ordering::Relaxed) == count);
}

fn hear_held(clients: Vec<TcpStream>) {
    for mut client in clients {
        assert_eq!(status(&read_until(&mut client, b"held")), 200);
    }
}

#[test]
fn many_exchanges_share_few_connections() {
    let origin = Http2Origin::start();
    let ringway = Ringway::with_config(&config(&[origin.address], "", ONE_SHARD));
    let clients = asking(&ringway, "/held", 100);
    await_held(&origin, 100);
    assert_eq!(origin.connections(), 4, "32 on each");
    origin.gate.add_permits(100);
    hear_held(clients);
    for _ in 0..10 {
        assert_eq!(ringway.status_of("/bytes/10"), 200);
    }
    assert_eq!((origin.connections(), origin.requests()), (4, 110), "they are used again");
}

#[test]
fn a_backend_that_takes_fewer_streams_gets_more_connections() {
    let origin = Http2Origin::with_streams(5);
    let ringway = Ringway::with_config(&config(&[origin.address], "", ONE_SHARD));
    let clients = asking(&ringway, "/held", 20);
    await_held(&origin, 20);
    assert!(origin.connections() >= 4, "5 on each");
    origin.gate.add_permits(20);
    hear_held(clients);
}

#[test]
fn max_streams_and_max_connections_are_kept() {
    let origin = Http2Origin::start();
    let pool = "max_streams = 3\nmax_connections_per_backend = 2";
    let ringway = Ringway::with_config(&config(&[origin.address], pool, ONE_SHARD));
    let clients = asking(&ringway, "/held", 6);
    await_held(&origin, 6);
    assert_eq!(origin.connections(), 2);
    assert_eq!(ringway.status_of("/held"), 503, "there is no place for a seventh");
    origin.gate.add_permits(6);
    hear_held(clients);
    assert_eq!(ringway.status_of("/bytes/1"), 200);
}

#[test]
fn goaway_ends_a_connection_for_new_streams_only() {
    let origin = Http2Origin::start();
    let ringway = Ringway::with_config(&config(&[origin.address], "", ONE_SHARD));
    let clients = asking(&ringway, "/held", 10);
    await_held(&origin, 10);
    origin.go_away();
    for _ in 0..20 {
        assert_eq!(ringway.status_of("/bytes/10"), 200);
    }
    await_that("another connection", || origin.connections() > 1);
    origin.gate.add_permits(10);
    hear_held(clients);
    for _ in 0..20 {
        origin.go_away();
        assert_eq!(ringway.status_of("/bytes/10"), 200, "nothing is lost when it goes away");
    }
}

#[test]
fn a_backend_that_dies_costs_no_request_that_may_be_repeated() {
    let (stays, dies) = (Http2Origin::start(), Http2Origin::start());
    let text = config(&[stays.address, dies.address], "", ONE_SHARD);
    let ringway = Ringway::with_config(&text);
    let clients = asking(&ringway, "/bytes/100", 40);
    for mut client in clients {
        assert_eq!(status(&read_until(&mut client, b"x")), 200);
    }
    drop(dies);
    let clients = asking(&ringway, "/bytes/100", 40);
    for mut client in clients {
        assert_eq!(status(&read_until(&mut client, b"x")), 200);
    }
    assert!(stays.requests() >= 40);
}

#[test]
fn a_client_that_reads_nothing_holds_up_nobody_else() {
    let origin = Http2Origin::start();
    let ringway = Ringway::with_config(&config(&[origin.address], "", ONE_SHARD));
    let deaf = asking(&ringway, "/stream/50000000", 20);
    await_that("they have begun", || origin.requests() == 20);
    let client = Http2Client::connect(ringway.address);
    for _ in 0..20 {
        assert_eq!(client.gets("/bytes/200000").body.len(), 200_000);
    }
    assert_eq!(origin.connections(), 1, "on the same connection");
    drop(deaf);
    assert_eq!(client.gets("/bytes/10").body.len(), 10);
}

#[test]
fn a_request_that_its_client_gives_up_ends_at_the_backend() {
    let origin = Http2Origin::start();
    let ringway = Ringway::with_config(&config(&[origin.address], "", ONE_SHARD));
    let mut client = ringway.connect();
    let head =
        "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    client.write_all(head.as_bytes()).expect("sent");
    await_that("it has come", || origin.requests() == 1);
    drop(client);
    await_that("it is cut", || origin.tally.cut.load(Ordering::Relaxed) == 1);
    assert_eq!(ringway.status_of("/bytes/10"), 200);
    assert_eq!(origin.connections(), 1, "the connection goes on");
}

#[test]
fn bodies_of_megabytes_go_both_ways_as_they_are() {
    const BYTES: usize = 6_000_000;
    let origin = Http2Origin::start();
    let ringway = Ringway::with_config(&config(&[origin.address], "", ""));
    let counted: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
    let mut client = ringway.connect();
    let head = format!("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: {BYTES}\r\n\r\n");
    client.write_all(head.as_bytes()).expect("sent");
    client.write_all(&counted).expect("sent");
    let heard = read_until(&mut client, b"6000000 0");
    assert_eq!(status(&heard), 200);
    client
        .write_all(b"GET /stream/6000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut reader = std::io::BufReader::new(client);
    let (_, body) = read_request(&mut reader).expect("an answer");
    assert!(body == counted, "{} bytes, or others", body.len());
    let mut rest = Vec::new();
    assert_eq!(reader.read_to_end(&mut rest).ok(), Some(0), "and the end");
    let both = Http2Client::connect(ringway.address);
    let told = both.asks("POST", "/count", &[], &counted, None).expect("an answer");
    assert_eq!(told.body, b"6000000 0");
    assert!(both.gets("/stream/6000000").body == counted);
}
