//! The process takes its leave.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, await_that, read_to_end, read_until, status};
use crate::loopback::load::{Load, Operated, field, signed};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};

fn operated(times: &str) -> (Origin, Operated) {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let more = format!("{QUICK}[timeouts]\n{times}");
    let operated = Operated::start(&config(&[origin.address], "", &more));
    (origin, operated)
}

fn phase(operated: &Operated) -> String {
    operated.json(&["status"])["phase"].as_str().unwrap_or("gone").to_owned()
}

#[test]
fn in_lame_duck_everybody_is_served_and_told_to_go() {
    let (_origin, mut operated) = operated("lame_duck = \"1h\"\nlinger = \"1h\"\ndrain = \"1h\"\n");
    let get = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let mut kept = operated.ringway.connect();
    kept.write_all(get).expect("sent");
    read_until(&mut kept, b"\r\n\r\nx");
    operated.ringway.signal("-TERM");
    await_that("it is a lame duck", || phase(&operated) == "lame-duck");
    for stream in [&mut kept, &mut operated.ringway.connect()] {
        stream.write_all(get).expect("sent");
        let head = String::from_utf8(read_until(stream, b"\r\n\r\n")).expect("text");
        assert_eq!(status(head.as_bytes()), 200);
        assert_eq!(field(&head, "Connection"), Some("close"));
    }
    let status = operated.json(&["status"]);
    assert_eq!(status["ready"], false);
    operated.done(&["undrain"]);
    assert_eq!(operated.json(&["status"])["ready"], true);
    let mut fresh = operated.ringway.connect();
    fresh.write_all(get).expect("sent");
    let head = String::from_utf8(read_until(&mut fresh, b"\r\n\r\n")).expect("text");
    assert_eq!(field(&head, "Connection"), None, "connections are kept again");
    operated.done(&["drain"]);
    operated.done(&["drain"]);
    assert_eq!(phase(&operated), "lame-duck", "a script that tries again hastens nothing");
    operated.done(&["drain", "--now"]);
    assert_eq!(operated.ringway.wait(), Some(0), "nothing is left, so it ends");
}

#[test]
fn while_it_lingers_who_comes_is_served_and_it_can_be_called_back() {
    let (_origin, mut operated) = operated("lame_duck = \"0s\"\nlinger = \"1h\"\ndrain = \"1h\"\n");
    let asked = || {
        let mut stream = operated.ringway.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
        String::from_utf8(read_until(&mut stream, b"\r\n\r\nx")).expect("text")
    };
    operated.done(&["drain"]);
    await_that("it lingers", || phase(&operated) == "lingering");
    let answer = asked();
    assert_eq!(status(answer.as_bytes()), 200, "a new connection is accepted: {answer}");
    assert_eq!(field(&answer, "Connection"), Some("close"), "and told to go");
    assert_eq!(operated.json(&["status"])["ready"], false);
    operated.done(&["undrain"]);
    assert_eq!(phase(&operated), "serving");
    assert_eq!(operated.json(&["status"])["ready"], true);
    let answer = asked();
    assert_eq!(status(answer.as_bytes()), 200);
    assert_eq!(field(&answer, "Connection"), None, "connections are kept again");
    operated.ringway.signal("-INT");
    assert_eq!(operated.ringway.wait(), Some(0));
}

#[test]
fn orders_by_signal_leave_a_line_like_those_of_the_interface() {
    let (_origin, mut operated) = operated("lame_duck = \"1h\"\ndrain = \"1h\"\n");
    let audits = || {
        let line = "GET /events";
        let answer = operated.asked(line, "");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let events = body["events"].as_array().expect("a list");
        let audits = events.iter().filter(|event| event["event"] == "audit");
        let line = |event: &serde_json::Value| {
            format!("{}: {}: {}", event["who"], event["what"], event["status"])
        };
        audits.map(line).collect::<Vec<_>>()
    };
    // It is not done before the rest of its body has come.
    let mut unfinished = operated.ringway.connect();
    unfinished
        .write_all(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\na")
        .expect("sent");
    let requests = || operated.json(&["status"])["listeners"][0]["requests"].clone();
    await_that("it is under way", || requests() == 1);
    operated.ringway.signal("-HUP");
    await_that("it reloads", || audits().len() == 1);
    operated.rewrite("nonsense");
    operated.ringway.signal("-HUP");
    await_that("it refuses", || audits().len() == 2);
    operated.ringway.signal("-TERM");
    await_that("it drains", || audits().len() == 3);
    operated.ringway.signal("-INT");
    await_that("it finishes", || audits().len() == 4);
    let expected = [
        "\"signal HUP\": \"reload\": 200",
        "\"signal HUP\": \"reload\": 422",
        "\"signal TERM\": \"drain\": 200",
        "\"signal INT\": \"finish\": 200",
    ];
    assert_eq!(audits(), expected);
    unfinished.write_all(b"b").expect("sent");
    assert_eq!(operated.ringway.wait(), Some(0));
}

#[test]
fn what_is_left_is_cut_only_by_that_word() {
    let origin = Origin::start(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let more = format!("{QUICK}[timeouts]\nlame_duck = \"1h\"\ndrain = \"1h\"\n");
    let mut operated = Operated::start(&config(&[origin.address], "", &more));
    let mut busy = operated.ringway.connect();
    busy.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    await_that("it is in flight", || operated.backend(origin.address)["in_flight"] == 1);
    for _ in 0..3 {
        operated.done(&["drain", "--now"]);
        assert_eq!(phase(&operated), "finishing");
    }
    operated.done(&["drain"]);
    assert_eq!(phase(&operated), "finishing");
    assert_eq!(operated.verb(&["drain", "--now", "--cut"]).0, 2);
    assert!(operated.asked("POST /drain?mode=soon", "").starts_with("HTTP/1.1 400"));
    operated.done(&["drain", "--cut"]);
    assert_eq!(operated.ringway.wait(), Some(0));
}

#[test]
fn a_reload_is_refused_once_listeners_are_closed() {
    let (origin, mut operated) = operated("drain = \"1h\"\n");
    let mut unfinished = operated.ringway.connect();
    unfinished
        .write_all(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\na")
        .expect("sent");
    await_that("it is in flight", || operated.backend(origin.address)["in_flight"] == 1);
    operated.ringway.signal("-INT");
    await_that("it finishes", || phase(&operated) == "finishing");
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let free = free.expect("an address where nobody listens");
    let more = format!("{QUICK}[[listener]]\nname = \"more\"\naddress = \"{free}\"\n");
    operated.rewrite(&config(&[origin.address], "", &more));
    let answer = operated.asked("POST /reload", "");
    assert!(answer.starts_with("HTTP/1.1 409") && answer.contains("too late"), "{answer}");
    operated.ringway.signal("-HUP");
    await_that("the signal is refused", || {
        operated.done(&["events"]).matches("configuration refused").count() == 2
    });
    TcpStream::connect(free).expect_err("nobody listens there");
    unfinished.write_all(b"b").expect("sent");
    assert_eq!(operated.ringway.wait(), Some(0));
}

#[test]
fn a_drain_under_load_fails_nobody_who_moves_in_time() {
    let (_one, first) = operated("lame_duck = \"5s\"\nlinger = \"1s\"\n");
    let (_two, second) = operated("");
    // Clients ask the first one as long as it is announced, and the second one then.
    let announced = std::sync::Arc::new(std::sync::Mutex::new(first.ringway.address));
    let door = {
        let announced = announced.clone();
        Origin::start(move |stream| relay(stream, *announced.lock().expect("no panic")))
    };
    let load = Load::start(door.address, 16, "/");
    load.await_answers(200);
    first.ringway.signal("-TERM");
    await_that("it says that it is not ready", || first.json(&["status"])["ready"] == false);
    *announced.lock().expect("no panic") = second.ringway.address;
    let mut first = first;
    assert_eq!(first.ringway.wait(), Some(0));
    load.await_answers(200);
    let seen = load.stop();
    assert_eq!(seen.failed, 0, "{:?}", seen.failures);
}

/// What a router does with one connection.
fn relay(client: TcpStream, to: SocketAddr) {
    let Ok(server) = TcpStream::connect(to) else { return };
    let copy = |from: &TcpStream, to: &TcpStream| {
        let (mut from, mut to) =
            (from.try_clone().expect("a handle"), to.try_clone().expect("one"));
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        })
    };
    let there = copy(&client, &server);
    let back = copy(&server, &client);
    let _ = (there.join(), back.join());
}

#[test]
fn signals_hasten_the_end() {
    // The origin never answers, so that only being cut ends the exchange.
    let origin = Origin::start(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let more = format!("{QUICK}[timeouts]\nlame_duck = \"1h\"\n");
    let mut operated = Operated::start(&config(&[origin.address], "", &more));
    let mut busy = operated.ringway.connect();
    busy.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    await_that("it is in flight", || operated.backend(origin.address)["in_flight"] == 1);
    for phase_then in ["lame-duck", "finishing"] {
        operated.ringway.signal("-TERM");
        await_that(phase_then, || phase(&operated) == phase_then);
    }
    await_that("nobody listens", || TcpStream::connect(operated.ringway.address).is_err());
    operated.ringway.signal("-TERM");
    assert_eq!(operated.ringway.wait(), Some(0));
}

#[test]
fn whose_next_request_has_come_is_not_idle_when_all_idle_clients_are_let_go() {
    const BYTES: usize = 400_000;
    let origin = Origin::http(|_, _| signed("one", &[b'x'; BYTES]));
    let operated = Operated::start(&config(&[origin.address], "", "[runtime]\nshards = 1\n"));
    let mut client = operated.ringway.connect();
    for _ in 0..40 {
        client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    }
    operated.await_standstill("ringway_client_bytes_sent_total");
    operated.ringway.signal("-INT");
    await_that("it finishes", || phase(&operated) == "finishing");
    let answers = String::from_utf8(read_to_end(&mut client)).expect("text");
    let last = answers.rfind("HTTP/1.1 200 ").expect("an answer");
    let (head, body) = answers[last..].split_once("\r\n\r\n").expect("a whole head");
    assert_eq!(body.len(), BYTES);
    assert_eq!(field(head, "Connection"), Some("close"), "{head}");
}
