//! Listeners of UDP, as operators start, change, pass and watch them.

use super::passed_sockets::{ANY_PORT, address_of, pass, shared};
use crate::loopback::datagrams::{Client, Server};
use crate::loopback::harness::{Ringway, await_that};
use crate::loopback::load::Operated;
use serde_json::Value;
use socket2::Type;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::fd::AsFd;

/// Listeners of UDP by name and address, one pool over these backends, and more tables.
fn udp(listeners: &[(&str, &str)], backends: &[SocketAddr], more: &str) -> String {
    let mut text = format!("{more}\n[runtime]\nshards = 2\n");
    for (name, address) in listeners {
        text += &format!(
            "[[listener]]\nname = \"{name}\"\naddress = \"{address}\"\nprotocol = \"udp\"\n"
        );
    }
    for address in backends {
        text += &format!("[[pool.all.backend]]\naddress = \"{address}\"\n");
    }
    text
}

/// What was logged, with warnings.
fn log_of(operated: &Operated) -> String {
    std::fs::read_to_string(operated.file.with_file_name("log")).expect("text")
}

#[test]
fn from_flags_alone_flows_go_to_their_backends() {
    let servers = ["one", "two"].map(Server::naming);
    let backends = servers.each_ref().map(|server| server.address);
    let ringway = Ringway::start(&backends, &["--protocol", "udp", "--algorithm", "round-robin"]);
    let client = Client::of(ringway.address);
    let first = client.names();
    assert!((0..10).all(|_| client.names() == first), "one flow, one backend");
    let names: BTreeSet<String> = (0..8).map(|_| Client::of(ringway.address).names().0).collect();
    assert_eq!(names.len(), 2, "other flows go to both");
}

#[test]
fn each_passed_socket_is_one_shards_and_too_few_of_them_are_warned_of() {
    let server = Server::naming("one");
    for count in [1, 2] {
        let first = shared(ANY_PORT, Type::DGRAM);
        let address = address_of(&first);
        let sockets: Vec<_> = std::iter::once(first)
            .chain((1..count).map(|_| shared(address, Type::DGRAM)))
            .collect();
        // The socket is found by the name of the listener.
        let text = udp(&[("dns", "127.0.83.2:1")], &[server.address], "");
        let operated = Operated::start_with(&text, |folder, command| {
            let passed: Vec<_> = sockets.iter().map(|socket| (socket.as_fd(), "dns")).collect();
            pass(command, &passed, &folder.join("log"));
        });
        drop(sockets);
        assert_eq!(operated.ringway.address, address);
        for _ in 0..20 {
            let client = Client::of(address);
            let first = client.names();
            assert!((0..5).all(|_| client.names() == first), "one flow, one socket");
        }
        let warned = log_of(&operated).contains("listener \"dns\": 1 of 2 shards serve it");
        assert_eq!(warned, count == 1, "{}", log_of(&operated));
    }
}

#[test]
fn a_passed_socket_of_another_transport_is_not_the_listeners() {
    let server = Server::naming("one");
    let stream = shared(ANY_PORT, Type::STREAM);
    stream.listen(16).expect("allowed");
    let address = address_of(&stream);
    let text = udp(&[("dns", "127.0.0.1:0")], &[server.address], "");
    let operated = Operated::start_with(&text, |folder, command| {
        pass(command, &[(stream.as_fd(), "dns")], &folder.join("log"));
    });
    assert_eq!(Client::of(operated.ringway.address).names().0, "one");
    let unused = format!("the socket \"dns\" on {address} that was passed is not used");
    await_that("it is warned of", || log_of(&operated).contains(&unused));
}

/// The change of a part in a plan: what happens, its flows, and whether they end.
fn change(plan: &Value, what: &str) -> (String, Option<u64>, bool) {
    let mut changes = plan["changes"].as_array().into_iter().flatten();
    let found = changes.find(|change| change["what"] == what);
    let found = found.unwrap_or_else(|| panic!("no {what} in {plan}"));
    let how = found["how"].as_str().expect("text").to_owned();
    (how, found["flows"].as_u64(), found["ends"] == true)
}

#[test]
fn listeners_come_go_and_are_renamed_and_a_plan_says_what_that_ends() {
    let server = Server::naming("one");
    let operated = Operated::start(&udp(&[("game", "127.0.84.3:0")], &[server.address], ""));
    let at = operated.ringway.address.to_string();
    // The port that the kernel chose, so that the next configuration has the same address.
    let backends = [server.address];
    let reload = |listeners: &[(&str, &str)]| {
        operated.rewrite(&udp(listeners, &backends, ""));
        let answer = operated.json(&["reload"]);
        assert_eq!(answer["applied"], true, "{answer}");
        answer
    };
    reload(&[("game", &at)]);
    let clients: Vec<Client> = (0..3).map(|_| Client::of(operated.ringway.address)).collect();
    let before: Vec<_> = clients.iter().map(Client::names).collect();
    let same = || clients.iter().map(Client::names).eq(before.iter().cloned());

    // Another one beside it, and other keys: flows stay.
    let answer = reload(&[("game", &at), ("more", "127.0.0.1:0")]);
    let added = change(&answer, "listener more 127.0.0.1:0/udp");
    assert_eq!(added, ("added".to_owned(), Some(0), false));
    assert!(same());

    // Under another name it keeps its socket, and its flows.
    let answer = reload(&[("play", &at)]);
    let renamed = change(&answer, &format!("listener game {at}/udp"));
    assert_eq!(renamed, ("removed".to_owned(), Some(3), false));
    assert!(same(), "the socket is the same");

    // Removed: its port is free, and who still sends there is told by ICMP.
    let answer = reload(&[("other", "127.0.0.1:0")]);
    let removed = change(&answer, &format!("listener play {at}/udp"));
    assert_eq!(removed, ("removed".to_owned(), Some(3), true), "also those of another name");
    clients[0].send(b"who");
    let refused = || {
        let error = clients[0].0.recv(&mut [0; 64]).err();
        error.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    };
    assert!(refused(), "nobody is there");
    await_that("its flows end", || {
        operated.metric("ringway_sessions_closed_total{reason=\"listener_removed\"") == 3
    });
    // And there again.
    reload(&[("game", &at)]);
    assert_eq!(clients[1].names().0, "one");
}

#[test]
fn a_server_that_ends_is_down_at_its_next_probe_whatever_that_expects() {
    // Without an expectation a probe passes only when its time is over.
    for keys in ["timeout = \"100ms\"", "timeout = \"10s\"\nexpect = \"one\""] {
        // On an address of its own: nobody else gets a port there that has become free.
        let of_its_own = || Server::start("127.0.85.1", |_, _| vec![b"one 1".to_vec()]);
        let [ended, stays] = [of_its_own(), of_its_own()];
        let health = format!(
            "[pool.all.health]\nprotocol = \"udp\"\nsend = \"ping\"\n{keys}\ninterval = \"50ms\"\n\
             fast_interval = \"50ms\"\nfall = 1\n"
        );
        let text = udp(&[("game", "LISTEN")], &[ended.address, stays.address], &health);
        let operated = Operated::start(&text);
        let standing = |server: SocketAddr| operated.backend(server)["standing"].clone();
        await_that("both serve", || {
            [&ended, &stays].iter().all(|server| standing(server.address) == "serving")
        });
        let address = ended.address;
        drop(ended);
        await_that("it is down", || standing(address) == "down");
        // A probe that came to the server at its very end has no answer, and the next one ICMP.
        let last_failure = || operated.backend(address)["health"]["last_failure"].clone();
        await_that("by ICMP", || {
            last_failure() == "no socket has its port (ICMP: port unreachable)"
        });
        assert_eq!(standing(stays.address), "serving", "{keys}");
        assert_eq!(Client::of(operated.ringway.address).names().0, "one");
    }
}
