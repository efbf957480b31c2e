//! The address that connections to backends come from: one of this machine, or the client's.

use super::harness::*;
use super::load::Operated;
use super::namespaces::Namespace;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

/// The address that its peer sees of the other end of a connection.
fn seen(stream: &TcpStream) -> String {
    stream.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default()
}

/// Answers each request, or the first bytes of a connection, with the address that it comes from.
fn naming_origin() -> Origin {
    Origin::start(|mut stream| {
        let (peer, mut buffer) = (seen(&stream), [0; 4096]);
        while matches!(stream.read(&mut buffer), Ok(1..)) {
            let answer = ok(peer.as_bytes());
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    })
}

#[test]
fn connections_and_probes_come_from_the_address_of_the_pool() {
    for protocol in ["http", "tcp"] {
        let origin = naming_origin();
        let pool = "[pool.all]\nsource = \"127.0.0.9\"\n[pool.all.health]";
        let text = config(&[origin.address], "[runtime]\nshards = 1\n");
        let text = text.replace("[pool.all.health]", pool);
        let text = text.replace("\"http\"", &format!("\"{protocol}\""));
        let operated = Operated::start(&text);
        let mut stream = operated.ringway.connect();
        for _ in 0..3 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
            assert!(read_until(&mut stream, b"127.0.0.9").starts_with(b"HTTP/1.1 200"));
        }
        assert_eq!(origin.connections(), 1, "it is kept as others are");
    }
    let (seen_by_probes, probed) = std::sync::mpsc::channel();
    let seen_by_probes = std::sync::Mutex::new(seen_by_probes);
    let origin = Origin::start(move |mut stream| {
        // It waits for its answer.
        if matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
            let _ = seen_by_probes.lock().expect("no panic").send(seen(&stream));
        }
    });
    let text = config(&[origin.address], "[pool.all]\nsource = \"127.0.0.9\"\n");
    let _ringway = Ringway::with_config(&text.replace("\"none\"", "\"http\""));
    assert_eq!(probed.recv_timeout(PATIENCE).expect("a probe"), "127.0.0.9");
}

#[test]
fn a_source_that_the_machine_does_not_have_is_a_warning_and_no_fault_of_the_backend() {
    let origin = Origin::saying("x");
    let text = config(&[origin.address], "[pool.all]\nsource = \"192.0.2.1\"\n");
    let operated = Operated::start(&text);
    let log = operated.log();
    assert!(log.contains("pool.all.source: 192.0.2.1 is no address of this machine now"), "{log}");
    assert_eq!(operated.ringway.status_of("/"), 503);
    assert_eq!(operated.metric("ringway_upstream_no_source_total"), 1);
    assert_eq!(operated.backend(origin.address)["failures"], 0);
    operated.rewrite(&text.replace("192.0.2.1", "127.0.0.1"));
    operated.done(&["reload"]);
    assert_eq!(operated.ringway.status_of("/"), 200);
}

/// Runs a command with this machine's network and without privileges for it; none where a user may
/// not do that.
fn unprivileged(command: &Command) -> Option<Command> {
    let is_allowed = Command::new("unshare").args(["--user", "--map-root-user", "true"]).output();
    if !is_allowed.is_ok_and(|output| output.status.success()) {
        skipped("no user namespace can be made here");
        return None;
    }
    let mut unshared = Command::new("unshare");
    unshared.env_clear().args(["--user", "--map-root-user"]).arg(command.get_program());
    unshared.args(command.get_args());
    Some(unshared)
}

#[test]
fn without_the_privilege_for_the_clients_address_a_start_says_what_it_takes() {
    let folder = TempFolder::new();
    let origin: SocketAddr = ([127, 0, 0, 1], 9).into();
    let text = config(&[origin], "[pool.all]\nsource = \"client\"\n");
    let file = folder.write("ringway.toml", &text.replace("LISTEN", "127.0.0.1:0"));
    for verb in ["check", "run"] {
        let mut plain = command();
        plain.arg(verb).arg(&file);
        let Some(mut command) = unprivileged(&plain) else { return };
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{verb}: {said}");
        assert!(said.contains("pool all: `source = \"client\"` is not allowed here"), "{said}");
        assert!(said.contains("CAP_NET_ADMIN"), "{said}");
    }
}

#[test]
fn with_the_clients_address_a_backend_sees_the_client() {
    let namespaces = [(); 3].map(|()| Namespace::new());
    let [Some(balancer), Some(client), Some(server)] = namespaces else {
        skipped("no network namespace can be made here; that takes root and iproute2");
        return;
    };
    balancer.connect(&client, 1);
    balancer.connect(&server, 2);
    // What the server sends to the client comes to the balancer, and is its own.
    for family in ["-4", "-6"] {
        balancer.ip(&format!("{family} rule add iif to2 lookup 100"));
        balancer.ip(&format!("{family} route add local default dev lo table 100"));
    }
    for (own, backend, seen) in
        [("10.1.0.1", "10.2.0.2", "10.1.0.2"), ("[fd00:1::1]", "[fd00:2::2]", "fd00:1::2")]
    {
        let _server = server.serve(&format!("{backend}:9000"));
        for protocol in ["http", "tcp"] {
            let folder = TempFolder::new();
            let pool = "[runtime]\nshards = 2\n[pool.all]\nsource = \"client\"\n";
            let text = config(&[format!("{backend}:9000").parse().expect("an address")], pool);
            let text = text.replace("LISTEN", &format!("{own}:8000"));
            let text = text.replace("[pool.all.health]\nprotocol = \"none\"", "");
            let file =
                folder.write("ringway.toml", &text.replace("\"http\"", &format!("\"{protocol}\"")));
            let mut run = command();
            run.arg("run").arg(&file).arg("--admin").arg(folder.0.join("admin"));
            let _ringway = Ringway::spawn(balancer.command(&run), Some(folder));
            let heard = |_| {
                let asked = client.start_peer(&format!("ask {own}:8000"));
                let output = asked.wait_with_output().expect("it ends");
                let text = String::from_utf8(output.stdout).expect("text");
                text.lines().find_map(|line| Some(line.split_once("heard ")?.1.to_owned()))
            };
            let heard: Vec<_> = (0..3).map(heard).collect();
            assert_eq!(heard, vec![Some(seen.to_owned()); 3], "{protocol} over {own}");
        }
    }
}
