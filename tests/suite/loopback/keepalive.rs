//! Peers that vanish without a word, and clients that use several paths at once.

use super::harness::*;
use super::load::Operated;
use super::namespaces::{Ended, Namespace};
use std::io::{Read, Write};
use std::net::SocketAddr;

/// Connections are probed after a second of silence.
fn probing(address: &str, backend: &str, more: &str) -> String {
    let backend = backend.parse().expect("an address");
    let text = config(&[backend], "[runtime]\nshards = 1\n[pool.all]\nkeepalive = \"1s\"\n");
    let listener = format!("protocol = \"tcp\"\nkeepalive = \"1s\"\n{more}");
    text.replace("protocol = \"http\"", &listener).replace("LISTEN", address)
}

#[test]
fn a_peer_that_vanishes_ends_a_connection_that_rests() {
    let namespaces = [(); 3].map(|()| Namespace::new());
    let [Some(balancer), Some(client), Some(server)] = namespaces else {
        skipped("no network namespace can be made here; that takes root and iproute2");
        return;
    };
    balancer.connect(&client, 1);
    balancer.connect(&server, 2);
    let text = probing("10.1.0.1:8000", "10.2.0.2:9000", "");
    let operated = Operated::start_with(&text, |_, run| *run = balancer.command(run));
    let reasons = [("from1", "client_reset"), ("from2", "backend_reset")];
    for ((device, reason), gone) in reasons.into_iter().zip([&client, &server]) {
        let _server = server.serve("10.2.0.2:9000");
        let _client = Ended(client.start_peer("hold 10.1.0.1:8000"));
        await_that("it is forwarded", || operated.metric("ringway_backend_in_flight") == 1);
        gone.ip(&format!("link set {device} down"));
        let closed = format!("ringway_sessions_closed_total{{reason=\"{reason}\"");
        await_that(reason, || operated.metric(&closed) == 1);
        assert_eq!(operated.metric("ringway_backend_in_flight"), 0);
        gone.ip(&format!("link set {device} up"));
    }
}

/// A client that asks for several paths; none if the kernel has no MPTCP.
fn multipath_client(address: SocketAddr) -> Option<socket2::Socket> {
    const IPPROTO_MPTCP: i32 = 262;
    let protocol = Some(socket2::Protocol::from(IPPROTO_MPTCP));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, protocol);
    let socket = socket.ok()?;
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    socket.connect(&address.into()).expect("it listens");
    Some(socket)
}

/// Connections of MPTCP that this machine has accepted.
fn accepted_with_paths() -> u64 {
    let text = std::fs::read_to_string("/proc/net/netstat").expect("proc is mounted");
    let mut lines = text.lines().filter(|line| line.starts_with("MPTcpExt:"));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let mut found = names.split(' ').zip(values.split(' '));
    let accepted = found.find(|(name, _)| *name == "MPCapableACKRX");
    accepted.map_or(0, |(_, value)| value.parse().expect("a number"))
}

#[test]
fn a_client_of_mptcp_is_served_as_one_and_one_of_tcp_beside_it() {
    let origin = Origin::start(|mut stream| {
        let asked = read_to_end(&mut stream);
        let _ = stream.write_all(&asked);
    });
    let text = probing("LISTEN", &origin.address.to_string(), "mptcp = true");
    let operated = Operated::start(&text);
    let address = operated.ringway.address;
    let before = accepted_with_paths();
    let Some(mut by_paths) = multipath_client(address) else {
        skipped("this kernel has no MPTCP");
        return;
    };
    let sent = vec![7; 300_000];
    by_paths.write_all(&sent).expect("sent");
    by_paths.shutdown(std::net::Shutdown::Write).expect("ended");
    let mut back = Vec::new();
    by_paths.read_to_end(&mut back).expect("a clean end");
    assert!(back == sent);
    assert!(accepted_with_paths() > before, "it was accepted as TCP");
    let mut plain = operated.ringway.connect();
    plain.write_all(b"plain").expect("sent");
    plain.shutdown(std::net::Shutdown::Write).expect("ended");
    assert_eq!(read_to_end(&mut plain), b"plain");
    // A reset is one for its backend, and the listener closes without a warning.
    let reset = multipath_client(address).expect("as before");
    reset.set_linger(Some(std::time::Duration::ZERO)).expect("set");
    drop(reset);
    operated.await_nothing_left();
    operated.rewrite(&text.replace("\"web\"", "\"moved\""));
    assert!(operated.done(&["reload"]).contains("listener moved"));
    assert!(!operated.log().contains("WARN"), "{}", operated.log());
}

#[test]
fn without_mptcp_a_listener_says_so_and_takes_tcp() {
    let Some(namespace) = Namespace::new() else {
        skipped("no network namespace can be made here; that takes root and iproute2");
        return;
    };
    let mut set = std::process::Command::new("sh");
    set.args(["-c", "echo 0 > /proc/sys/net/mptcp/enabled"]);
    let is_set = namespace.command(&set).status().is_ok_and(|status| status.success());
    let _server = namespace.serve("127.0.0.1:9000");
    let text = probing("127.0.0.1:8000", "127.0.0.1:9000", "mptcp = true");
    let operated = Operated::start_with(&text, |_, run| *run = namespace.command(run));
    let asked = namespace.start_peer("ask 127.0.0.1:8000").wait_with_output().expect("it ends");
    let heard = String::from_utf8(asked.stdout).expect("text");
    assert!(heard.contains("heard 127.0.0.1"), "{heard}");
    // A kernel that was built without it has no such switch.
    let log = operated.log();
    let warning = "listener \"web\": the kernel has no MPTCP";
    assert!(log.contains(warning), "set: {is_set}; {log}");
    assert!(log.contains("net.mptcp.enabled = 1"), "{log}");
}
