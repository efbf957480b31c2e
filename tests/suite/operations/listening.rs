//! Listeners on all addresses of a port, and on single ones of it.

use super::{QUICK, config};
use crate::drilling::size;
use crate::loopback::harness::{Origin, await_that, connect, read_until, status};
use crate::loopback::load::{Load, Operated, signed};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A configuration whose listeners are these, by name and address.
fn listening(origin: &Origin, listeners: &[(&str, SocketAddr)]) -> String {
    let whole = config(&[origin.address], "", QUICK);
    let (_, rest) = whole.split_once("[pool.app]").expect("it has a pool");
    let tables = listeners.iter().map(|(name, address)| {
        format!("[[listener]]\nname = \"{name}\"\naddress = \"{address}\"\n")
    });
    format!("{}[pool.app]{rest}", tables.collect::<String>())
}

fn status_at(address: SocketAddr) -> u16 {
    let mut stream = connect(address);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").expect("sent");
    status(&read_until(&mut stream, b"\r\n\r\nx"))
}

/// The address on all interfaces, and the one on loopback, of a port that Ringway has.
fn pair(family: &str, port: u16) -> [SocketAddr; 2] {
    let hosts = if family == "IPv6" { ["[::]", "[::1]"] } else { ["0.0.0.0", "127.0.0.1"] };
    hosts.map(|host| format!("{host}:{port}").parse().expect("an address"))
}

#[test]
fn a_listener_goes_from_all_addresses_to_one_and_back_and_loses_nobody() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    for family in ["IPv4", "IPv6"] {
        let [any_port, _] = pair(family, 0);
        let operated = Operated::start(&listening(&origin, &[("web", any_port)]));
        let [all, one] = pair(family, operated.ringway.address.port());
        let load = Load::start(one, 4, "/");
        load.await_answers(50);
        let both = [("web", all), ("local", one)];
        let turns: [&[(&str, SocketAddr)]; 6] =
            [&[("web", one)], &[("web", all)], &both, &[("web", one)], &[("web", all)], &both];
        for listeners in turns {
            operated.rewrite(&listening(&origin, listeners));
            let answer = operated.json(&["reload"]);
            assert_eq!(answer["applied"], true, "{listeners:?}: {answer}");
            load.await_answers(50);
        }
        let seen = load.stop();
        assert_eq!(seen.failed, 0, "{family}: {:?}", seen.failures);
    }
}

/// Asks over a connection of its own.
fn ask(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = connect(address);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let is_whole = answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"\r\n\r\nx");
    let told = || std::io::Error::other(format!("{:?}", String::from_utf8_lossy(&answer)));
    if is_whole { Ok(()) } else { Err(told()) }
}

#[test]
fn who_connects_while_a_listener_changes_its_address_or_name_is_served() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let [any_port, _] = pair("IPv4", 0);
    let operated = Operated::start(&listening(&origin, &[("web", any_port)]));
    let [all, one] = pair("IPv4", operated.ringway.address.port());
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = || {
        while !is_over.load(Ordering::Relaxed) {
            ask(one)?;
            answered.fetch_add(1, Ordering::Relaxed);
        }
        std::io::Result::Ok(())
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
        let turns = [("web", one), ("web", all), ("other", all), ("web", one), ("other", one)];
        for turn in 0..size("RINGWAY_SWAPS", 30, 300) {
            operated.rewrite(&listening(&origin, &[turns[turn % turns.len()]]));
            let answer = operated.asked("POST /reload", "");
            assert!(answer.contains("\"applied\": true"), "{answer}");
            let goal = answered.load(Ordering::Relaxed) + 20;
            let is_going_on = || {
                answered.load(Ordering::Relaxed) >= goal
                    || clients.iter().any(|client| client.is_finished())
            };
            await_that("they are served", is_going_on);
        }
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("it does not panic").expect("it is served");
        }
    });
}

#[test]
fn somebody_else_on_one_of_the_addresses_is_still_found() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let foreign = TcpListener::bind("127.0.0.2:0").expect("a port");
    let taken = foreign.local_addr().expect("bound");
    let own = SocketAddr::from(([127, 0, 0, 1], taken.port()));
    let operated = Operated::start(&listening(&origin, &[("web", own)]));
    let all = SocketAddr::from(([0, 0, 0, 0], taken.port()));
    for other in [all, taken] {
        operated.rewrite(&listening(&origin, &[("web", own), ("other", other)]));
        let (status, text) = operated.verb(&["reload"]);
        let hint = format!("ss -ltnp 'sport = :{}'", taken.port());
        assert!(status == 1 && text.contains("in use") && text.contains(&hint), "{text}");
        assert_eq!(status_at(own), 200);
    }
}
