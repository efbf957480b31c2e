//! Sockets that systemd has opened: several for one listener, and those that are none.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, TempFolder, await_that, command, connect};
use crate::loopback::load::{Operated, signed};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::process::Command;

/// Lets a command be run as systemd does, with these sockets under these names, and what it says in
/// a file.
pub(super) fn pass(command: &mut Command, sockets: &[(BorrowedFd<'_>, &str)], log: &Path) {
    // Only the numbers that systemd would use may be open.
    let (mut aside, mut in_place) = (String::new(), String::new());
    for (place, (socket, _)) in sockets.iter().enumerate() {
        let number = socket.as_raw_fd();
        aside += &format!("exec {}<&{number} {number}<&-; ", 500 + place);
        in_place += &format!("exec {}<&{1} {1}<&-; ", 3 + place, 500 + place);
        SockRef::from(socket).set_cloexec(false).expect("allowed");
    }
    let names: Vec<&str> = sockets.iter().map(|(_, name)| *name).collect();
    let script = format!(
        "{aside}{in_place}exec env LISTEN_PID=$$ LISTEN_FDS={} LISTEN_FDNAMES={} \
         \"$0\" \"$@\" 2>{}",
        sockets.len(),
        names.join(":"),
        log.display(),
    );
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).arg(command.get_program()).args(command.get_args());
    *command = shell;
}

/// A socket on this address, which others may be on too.
pub(super) fn shared(address: SocketAddr, kind: Type) -> Socket {
    let socket = Socket::new(Domain::for_address(address), kind, None).expect("a socket");
    socket.set_reuse_port(true).expect("allowed");
    if address.is_ipv6() {
        socket.set_only_v6(true).expect("allowed");
    }
    socket.bind(&address.into()).expect("it is free");
    socket
}

pub(super) fn address_of(socket: &Socket) -> SocketAddr {
    socket.local_addr().ok().and_then(|address| address.as_socket()).expect("bound")
}

fn listening(address: SocketAddr) -> Socket {
    let socket = shared(address, Type::STREAM);
    socket.listen(64).expect("allowed");
    socket
}

pub(super) const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Never asked: nothing begins to serve.
const BACKEND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// Runs with these sockets and so many shards until it ends by itself: the status and what it said.
fn ended(address: SocketAddr, sockets: &[(BorrowedFd<'_>, &str)], shards: usize) -> (i32, String) {
    let text = config(&[BACKEND], "", &format!("[runtime]\nshards = {shards}\n"));
    let folder = TempFolder::new();
    let file = folder.write("ringway.toml", &text.replace("LISTEN", &address.to_string()));
    let log = folder.0.join("log");
    let mut run = command();
    run.arg("run").arg("--config").arg(file).args(["--admin", ""]);
    pass(&mut run, sockets, &log);
    let output = run.output().expect("it runs");
    let said = std::fs::read_to_string(log).expect("text");
    (output.status.code().unwrap_or(-1), said)
}

#[test]
fn of_two_sockets_on_one_address_each_has_its_clients_served() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let first = listening(ANY_PORT);
    let address = address_of(&first);
    let second = listening(address);
    let text = config(&[origin.address], "", &format!("{QUICK}[runtime]\nshards = 2\n"));
    let operated =
        Operated::start_with(&text.replace("LISTEN", &address.to_string()), |folder, command| {
            let sockets = [(first.as_fd(), "web"), (second.as_fd(), "web")];
            pass(command, &sockets, &folder.join("log"));
        });
    drop((first, second));
    let clients: Vec<TcpStream> = (0..50).map(|_| connect(address)).collect();
    for mut client in clients {
        client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it is answered");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let log = std::fs::read_to_string(operated.file.with_file_name("log")).expect("text");
    assert!(!log.contains("is not used"), "{log}");
}

#[test]
fn more_sockets_on_one_address_than_shards_are_refused() {
    let first = listening(ANY_PORT);
    let address = address_of(&first);
    let second = listening(address);
    let (status, said) = ended(address, &[(first.as_fd(), "web"), (second.as_fd(), "web")], 1);
    assert!(status == 1 && said.contains("2 sockets on it were passed"), "{said}");
}

#[test]
fn of_one_name_and_two_addresses_the_one_without_a_listener_is_told_of_truly() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let four = listening(SocketAddr::from(([0, 0, 0, 0], 0)));
    let port = address_of(&four).port();
    let six = listening(format!("[::]:{port}").parse().expect("an address"));
    let text = config(&[origin.address], "", QUICK).replace("LISTEN", &format!("0.0.0.0:{port}"));
    let text = text.replace("[pool.app]\n", "steering = \"cpu\"\n[pool.app]\n");
    let operated = Operated::start_with(&text, |folder, command| {
        let sockets = [(six.as_fd(), "web"), (four.as_fd(), "web")];
        pass(command, &sockets, &folder.join("log"));
    });
    let log = || std::fs::read_to_string(operated.file.with_file_name("log")).expect("text");
    let why = format!(
        "the socket \"web\" on [::]:{port} that was passed is not used: listener \"web\" has the \
         one on 0.0.0.0:{port}, and none has the address"
    );
    await_that("it is warned of", || log().contains(&why));
    let no_effect = "listener \"web\": steering = \"cpu\" has no effect";
    await_that("that too", || log().contains(no_effect));
    assert_eq!(operated.ringway.status_of("/"), 200);
}

#[test]
fn a_listener_with_another_name_has_the_socket_of_that_name() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let (first, second) = (listening(ANY_PORT), listening(ANY_PORT));
    let (at_first, at_second) = (address_of(&first), address_of(&second));
    // Of neither address: sockets are found by their names.
    let text = config(&[origin.address], "", QUICK).replace("LISTEN", "127.0.83.2:1");
    let operated = Operated::start_with(&text, |folder, command| {
        let sockets = [(first.as_fd(), "web"), (second.as_fd(), "other")];
        pass(command, &sockets, &folder.join("log"));
    });
    assert_eq!(operated.ringway.address, at_first);
    operated.rewrite(&text.replace("\"web\"", "\"other\""));
    assert_eq!(operated.json(&["reload"])["applied"], true);
    let listeners = operated.json(&["status"])["listeners"].clone();
    assert_eq!(listeners[0]["address"], at_second.to_string(), "{listeners}");
    let mut client = connect(at_second);
    client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it is answered");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let log = || std::fs::read_to_string(operated.file.with_file_name("log")).expect("text");
    let unused = format!("the socket \"web\" on {at_first} that was passed is not used");
    await_that("it is warned of", || log().contains(&unused));
}

#[test]
fn what_is_no_listening_socket_is_refused_at_the_start() {
    let datagrams = shared(ANY_PORT, Type::DGRAM);
    datagrams.connect(&BACKEND.into()).expect("allowed");
    let silent = shared(ANY_PORT, Type::STREAM);
    let listener = TcpListener::bind(ANY_PORT).expect("a port");
    let address = listener.local_addr().expect("bound");
    let client = connect(address);
    let (connection, _) = listener.accept().expect("it has connected");
    let (unix, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
    for (socket, why) in [
        (datagrams.as_fd(), "is a connection"),
        (silent.as_fd(), "does not listen"),
        (connection.as_fd(), "is a connection"),
        (unix.as_fd(), "is not an internet socket"),
    ] {
        let (status, said) = ended(address, &[(socket, "web")], 1);
        let told = format!("the socket \"web\" that was passed (descriptor 3) {why}");
        assert!(status == 1 && said.contains(&told) && said.contains("Accept=no"), "{why}: {said}");
    }
    drop(client);
}
