//! Pools that a reload brings, or whose backends it replaces: their first requests are answered.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, PATIENCE, await_that, connect, read_until, status};
use crate::loopback::load::{Operated, field, signed};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

const REFUSE: &str = "no_healthy = \"refuse\"";

/// An origin whose probes wait: each is told of, and answered when it is let pass.
struct Slow {
    origin: Origin,
    asked: Receiver<()>,
    pass: Sender<()>,
}

impl Slow {
    fn start(name: &'static str) -> Self {
        let ((ask, asked), (pass, passes)) = (channel(), channel::<()>());
        let gate = Mutex::new((ask, passes));
        let origin = Origin::http(move |head, _| {
            if head.contains(" /probe ") {
                let (ask, passes) = &*gate.lock().expect("no panic");
                let _ = ask.send(());
                let _ = passes.recv();
            }
            signed(name, b"x")
        });
        Self { origin, asked, pass }
    }

    fn await_probe(&self) {
        self.asked.recv_timeout(PATIENCE).expect("it is probed");
    }

    /// Lets this and all later probes pass.
    fn open(self) -> Origin {
        drop(self.pass);
        self.origin
    }
}

/// One pool by this name, to which everything goes.
fn pool(name: &str, backends: &[SocketAddr], keys: &str) -> String {
    config(backends, keys, "").replace("pool.app", &format!("pool.{name}"))
}

fn probed(name: &str, path: &str) -> String {
    format!("[pool.{name}.health]\npath = \"{path}\"\ninterval = \"1h\"\ntimeout = \"1m\"\n")
}

/// Who answers.
fn who(operated: &Operated) -> String {
    let mut client = connect(operated.ringway.address);
    client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    let head = read_until(&mut client, b"\r\n\r\n");
    let head = String::from_utf8_lossy(&head).into_owned();
    assert_eq!(status(head.as_bytes()), 200, "{head}");
    field(&head, "X-Origin").unwrap_or_default().to_owned()
}

/// A client that has asked, and has no answer yet.
fn ask_to_reload(operated: &Operated) -> UnixStream {
    let mut client = UnixStream::connect(&operated.socket).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("allowed");
    client.write_all(b"POST /reload HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    client
}

fn told(operated: &Operated, event: &str) -> usize {
    operated.done(&["events", "--json"]).matches(event).count()
}

#[test]
fn a_pool_that_a_reload_brings_or_fills_anew_serves_from_the_first_request_on() {
    for (name, by_signal) in [("next", false), ("app", false), ("next", true)] {
        let old = Origin::http(|_, _| signed("old", b"x"));
        let slow = Slow::start("new");
        let operated = Operated::start(&(pool("app", &[old.address], REFUSE) + QUICK));
        let keys = format!("{REFUSE}\nrequired = true");
        let new = pool(name, &[slow.origin.address], &keys) + &probed(name, "/probe");
        operated.rewrite(&new);
        let reloaded = || told(&operated, "reloaded") == 1;
        std::thread::scope(|scope| {
            let reload = scope.spawn(|| match by_signal {
                true => {
                    operated.ringway.signal("-HUP");
                    await_that("it is reloaded", reloaded);
                }
                false => drop(operated.done(&["reload"])),
            });
            slow.await_probe();
            assert_eq!(who(&operated), "old", "{name}: the new one is not known yet");
            let backend = old.address.to_string();
            operated.done(&["backend", "weight", "app", &backend, "7"]);
            assert!(!reloaded(), "{name}: other orders do not wait");
            let _new = slow.open();
            reload.join().expect("it is reloaded");
            assert_eq!(operated.json(&["status"])["ready"], true, "{name}");
            (0..20).for_each(|_| assert_eq!(who(&operated), "new", "{name}"));
            assert_eq!(told(&operated, "pool_without_healthy"), 0, "{name}");
        });
    }
}

#[test]
fn reloads_come_one_after_the_other() {
    let old = Origin::http(|_, _| signed("old", b"x"));
    let slow = Slow::start("new");
    let text = pool("app", &[old.address], "") + QUICK;
    let operated = Operated::start(&text);
    operated.rewrite(&(pool("next", &[slow.origin.address], "") + &probed("next", "/probe")));
    let mut first = ask_to_reload(&operated);
    slow.await_probe();
    operated.rewrite(&text);
    let mut second = ask_to_reload(&operated);
    // The next client is heard after that one.
    operated.done(&["status"]);
    assert_eq!(told(&operated, "reloaded"), 0);
    let _new = slow.open();
    for client in [&mut first, &mut second] {
        let mut line = [0; 12];
        client.read_exact(&mut line).expect("an answer");
        assert_eq!(&line, b"HTTP/1.1 200");
    }
    assert_eq!(who(&operated), "old", "the second one came later");
}

#[test]
fn an_order_is_followed_and_leaves_its_line_though_nobody_waits_for_it() {
    let old = Origin::http(|_, _| signed("old", b"x"));
    let slow = Slow::start("new");
    let operated = Operated::start(&(pool("app", &[old.address], "") + QUICK));
    operated.rewrite(&(pool("next", &[slow.origin.address], "") + &probed("next", "/probe")));
    let client = ask_to_reload(&operated);
    slow.await_probe();
    drop(client);
    // The next client is heard after that one's end.
    operated.done(&["status"]);
    let _new = slow.open();
    await_that("it leaves its line", || told(&operated, "\"what\":\"POST /reload") == 1);
    assert_eq!(who(&operated), "new");
}

#[test]
fn a_reload_does_not_wait_for_ever_and_a_pool_without_anybody_is_told_of() {
    let old = Origin::http(|_, _| signed("old", b"x"));
    let slow = Slow::start("new");
    let operated = Operated::start(&(pool("app", &[old.address], "") + QUICK));
    let new = pool("next", &[slow.origin.address], REFUSE) + &probed("next", "/probe");
    operated.rewrite(&new);
    operated.done(&["reload"]);
    assert_eq!(operated.ringway.status_of("/"), 503);
    await_that("it is told", || told(&operated, "pool_without_healthy") == 1);
    let new = slow.open();
    operated.await_standing(new.address, "serving");
    assert_eq!(who(&operated), "new");
    assert_eq!(told(&operated, "pool_healthy"), 1);
}

#[test]
fn a_start_with_nobody_healthy_is_told_of() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = dead.local_addr().expect("bound");
    drop(dead);
    let operated = Operated::start(&config(&[address], REFUSE, QUICK));
    await_that("it is told", || told(&operated, "pool_without_healthy") == 1);
}
