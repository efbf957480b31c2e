//! Limits of the process, its start beside another one, and its end.

use super::super::harness::*;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Mutex, mpsc};

#[test]
fn a_process_that_ends_refuses_new_connections_while_exchanges_finish() {
    let (answer, may_answer) = mpsc::channel::<()>();
    let (asked, was_asked) = mpsc::channel::<()>();
    let channels = Mutex::new((asked, may_answer));
    let origin = Origin::http(move |_, _| {
        let channels = channels.lock().expect("one at a time");
        let _ = channels.0.send(());
        let _ = channels.1.recv();
        ok(b"at last")
    });
    let mut ringway = Ringway::start(&[origin.address], &["--shards", "2"]);
    let mut busy = ringway.connect();
    busy.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    was_asked.recv_timeout(PATIENCE).expect("asked");
    ringway.signal("-INT");
    let is_refused = || match TcpStream::connect(ringway.address) {
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
    };
    await_that("new connections are refused", is_refused);
    (0..20).for_each(|_| assert!(is_refused(), "by every shard"));
    answer.send(()).expect("it listens");
    let text = String::from_utf8(read_to_end(&mut busy)).expect("text");
    assert!(text.contains("Connection: close\r\n") && text.ends_with("at last"), "{text}");
    assert_eq!(ringway.wait(), Some(0));
}

/// A client that has asked and may have been answered.
struct Asking {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Asking {
    fn start(ringway: &Ringway) -> Self {
        let mut stream = ringway.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
        stream.set_nonblocking(true).expect("set");
        Self { stream, answer: Vec::new() }
    }

    fn is_answered(&mut self) -> bool {
        let mut buffer = [0; 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => panic!("closed after {:?}", String::from_utf8_lossy(&self.answer)),
            Ok(length) => self.answer.extend_from_slice(&buffer[..length]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        self.answer.ends_with(b"hello")
    }
}

#[test]
fn no_more_connections_are_served_at_once_than_may_be() {
    const MOST: usize = 50;
    let origin = Origin::saying("hello");
    let arguments = ["--shards", "1", "--max-connections", "50"];
    let ringway = Ringway::start(&[origin.address], &arguments);
    let mut all: Vec<Asking> = (0..120).map(|_| Asking::start(&ringway)).collect();
    let count = |all: &mut Vec<Asking>| {
        all.iter_mut().map(Asking::is_answered).filter(|is_answered| *is_answered).count()
    };
    while !all.is_empty() {
        let expected = all.len().min(MOST);
        await_that("as many as may be are served", || count(&mut all) >= expected);
        // Those who are served are served again, and nobody else is meanwhile.
        for asking in all.iter_mut().filter(|asking| asking.answer.ends_with(b"hello")) {
            asking.answer.clear();
            let request = b"GET /again HTTP/1.1\r\nHost: t\r\n\r\n";
            asking.stream.write_all(request).expect("sent");
        }
        await_that("they are served again", || count(&mut all) >= expected);
        assert_eq!(count(&mut all), expected);
        all.retain(|asking| !asking.answer.ends_with(b"hello"));
    }
}

#[test]
fn a_second_process_on_the_same_address_says_so_and_ends() {
    let origin = Origin::saying("first");
    let ringway = Ringway::start(&[origin.address], &["--shards", "2"]);
    let address = ringway.address.to_string();
    let backend = origin.address.to_string();
    let mut second = Command::new("timeout");
    second.args(["20", env!("CARGO_BIN_EXE_ringway"), "run"]);
    second.args(["--listen", &address, "--backend", &backend]);
    let out = second.output().expect("it runs");
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code().is_some_and(|code| code != 0 && code != 124), "{text}");
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
    assert_eq!(ringway.status_of("/"), 200, "the first one serves on");
}
