//! Listeners of UDP, with clients and servers in this process.

use super::datagrams::{Client, DATAGRAM_BYTES_MAX, Server};
use super::harness::*;
use super::load::Operated;
use super::namespaces::Namespace;
use super::programs::programs;
use ringway::proxy_protocol;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

/// A configuration with one listener of UDP, more keys of it, more keys of the pool, and backends.
fn udp(listen: &str, keys: &str, pool: &str, backends: &[SocketAddr]) -> String {
    let mut text = format!(
        "[runtime]\nshards = 2\n[[listener]]\nname = \"dns\"\naddress = \"{listen}\"\n\
         protocol = \"udp\"\n{keys}\n[pool.all]\nalgorithm = \"round-robin\"\n{pool}\n\
         [pool.all.health]\nprotocol = \"none\"\n"
    );
    for address in backends {
        text += &format!("[[pool.all.backend]]\naddress = \"{address}\"\n");
    }
    text
}

/// The address of a listener for all addresses, asked at one of them.
fn at(ringway: &Ringway, ip: &str) -> SocketAddr {
    let ip: IpAddr = ip.parse().expect(ip);
    (ip, ringway.address.port()).into()
}

#[test]
fn datagrams_of_any_size_are_echoed_whole() {
    let server = Server::echo();
    let ringway = Ringway::with_config(&udp("LISTEN", "", "", &[server.address]));
    let client = Client::of(ringway.address);
    for length in [5, 0, 1_472, 0, 0, 9_000, DATAGRAM_BYTES_MAX, 1] {
        let bytes: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
        assert!(client.ask(&bytes) == bytes, "{length} bytes");
    }
    assert_eq!(server.asked(), 8);
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    for (listen, server, asked) in [
        ("0.0.0.0:0", "127.0.0.1", &["127.0.0.1", "127.0.0.2", "127.3.2.1"][..]),
        ("[::]:0", "::1", &["::1"]),
        ("[::1]:0", "127.0.0.1", &["::1"]),
        ("127.0.0.9:0", "::1", &["127.0.0.9"]),
    ] {
        let server = Server::start(server, |_, from| vec![from.to_string().into_bytes()]);
        let ringway = Ringway::with_config(&udp(listen, "", "", &[server.address]));
        let flows: BTreeSet<Vec<u8>> =
            asked.iter().map(|ip| Client::of(at(&ringway, ip)).ask(b"who")).collect();
        assert_eq!(flows.len(), asked.len());
    }
}

#[test]
fn one_socket_of_a_client_that_asks_two_addresses_has_two_flows() {
    let server = Server::naming("a");
    let ringway = Ringway::with_config(&udp("0.0.0.0:0", "", "", &[server.address]));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut seen = BTreeSet::new();
    for ip in ["127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.2"] {
        socket.send_to(b"who", at(&ringway, ip)).expect("sent");
        let mut buffer = [0; 64];
        let (length, from) = socket.recv_from(&mut buffer).expect("an answer");
        assert_eq!(from, at(&ringway, ip));
        seen.insert((from, buffer[..length].to_vec()));
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn an_unreachable_backend_ends_its_flows_alone_and_the_next_datagrams_go_elsewhere() {
    let dead = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let alive = Server::naming("alive");
    let backends = [dead.local_addr().expect("bound"), alive.address];
    // One shard, as each takes turns by itself.
    let text = udp("LISTEN", "", "", &backends).replace("shards = 2", "shards = 1");
    let operated = Operated::start(&text);
    let clients: Vec<Client> = (0..4).map(|_| Client::of(operated.ringway.address)).collect();
    clients.iter().for_each(|client| client.send(b"who"));
    // Two of them have the one that is alive, and keep it.
    await_that("both were asked", || alive.asked() == 2);
    drop(dead);
    let mut kept = 0;
    for client in &clients {
        client.0.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        let mut before = [0; 64];
        let before = client.0.recv(&mut before).ok().map(|length| before[..length].to_vec());
        let mut after = Vec::new();
        await_that("an answer", || {
            // A flow to the dead one costs a datagram: its client asks again.
            client.send(b"who");
            let mut buffer = [0; 64];
            let heard = client.0.recv(&mut buffer);
            heard.is_ok_and(|length| {
                after = buffer[..length].to_vec();
                true
            })
        });
        assert!(after.starts_with(b"alive"));
        kept += usize::from(before.is_some_and(|before| before == after));
    }
    assert_eq!(kept, 2, "of the others' failures they have not noticed");
    await_that("the kernel's reports", || {
        operated.metric("ringway_sessions_closed_total{reason=\"backend_unreachable\"") >= 2
    });
}

/// Runs itself again in a namespace with a network on which nobody else is.
#[test]
fn a_host_that_is_not_there_ends_its_flows_too() {
    const INNER: &str = "RINGWAY_TEST_ALONE";
    if std::env::var_os(INNER).is_none() {
        let Some(namespace) = Namespace::new() else {
            return skipped("no network namespace can be made here; that takes root and iproute2");
        };
        namespace.ip("link add here type veth peer name there");
        namespace.ip("addr add 10.1.0.1/24 dev here");
        namespace.ip("addr add fd00:1::1/64 dev here nodad");
        ["here", "there"].iter().for_each(|one| namespace.ip(&format!("link set {one} up")));
        let mut test = Command::new(std::env::current_exe().expect("this binary"));
        let name = "loopback::udp::a_host_that_is_not_there_ends_its_flows_too";
        test.args(["--exact", name, "--nocapture"]);
        let status = namespace.command(&test).env(INNER, "1").status();
        return assert!(status.is_ok_and(|status| status.success()));
    }
    for backend in ["10.1.0.9:53", "[fd00:1::9]:53"] {
        let text = udp("LISTEN", "", "", &[backend.parse().expect(backend)]);
        let operated = Operated::start(&text);
        Client::of(operated.ringway.address).send(b"who");
        await_that("the kernel's report", || {
            operated.metric("ringway_sessions_closed_total{reason=\"backend_unreachable\"") == 1
        });
    }
}

#[test]
fn a_flow_ends_when_it_is_idle() {
    let server = Server::naming("a");
    let operated = Operated::start(&udp("LISTEN", "flow_idle = \"1s\"", "", &[server.address]));
    let client = Client::of(operated.ringway.address);
    let (_, before) = client.names();
    let idle = "ringway_sessions_closed_total{reason=\"flow_idle\"";
    await_that("it is idle", || operated.metric(idle) == 1);
    assert_ne!(client.names().1, before, "another flow");
    operated.ringway.signal("-TERM");
    await_that("no descriptor is left", || operated.metric(idle) == 2);
}

#[test]
fn the_oldest_flow_makes_place_and_a_client_has_no_more_than_it_may() {
    let server = Server::naming("a");
    let keys = "max_flows = 2\nmax_flows_per_client = 2";
    let text = udp("LISTEN", keys, "", &[server.address]).replace("shards = 2", "shards = 1");
    let operated = Operated::start(&text);
    let [one, two, three] = [(); 3].map(|()| Client::of(operated.ringway.address));
    let before = [one.names(), two.names()];
    three.send(b"who");
    let refused = "ringway_flow_limit_rejections_total";
    await_that("its address has two", || operated.metric(refused) == 1);
    assert_eq!([one.names(), two.names()], before);
    // From another address.
    let other = UdpSocket::bind("127.0.0.77:0").expect("a port");
    other.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    other.connect(operated.ringway.address).expect("connected");
    let other = Client(other);
    other.names();
    await_that("the oldest is gone", || {
        operated.metric("ringway_sessions_closed_total{reason=\"flow_evicted\"") == 1
    });
    assert_eq!(two.names(), before[1], "it was used later");
}

#[test]
fn a_flow_lasts_as_many_requests_and_responses_as_are_configured() {
    let server = Server::start("127.0.0.1", |bytes, from| {
        let count = bytes.first().map_or(1, |count| usize::from(*count));
        vec![from.port().to_string().into_bytes(); count]
    });
    for (keys, asked, flows) in [
        ("responses = 1", &[1, 1, 1][..], 3),
        ("requests = 2\nresponses = 1", &[1, 1, 1, 1], 2),
        ("responses = 2", &[2, 2], 2),
        ("requests = 1", &[3, 3], 2),
        ("", &[1, 1, 1], 1),
    ] {
        let ringway = Ringway::with_config(&udp("LISTEN", keys, "", &[server.address]));
        let client = Client::of(ringway.address);
        let mut ports = BTreeSet::new();
        for count in asked {
            client.send(&[*count]);
            ports.extend((0..*count).map(|_| client.hear()));
        }
        assert_eq!(ports.len(), flows, "{keys:?}");
    }
}

#[test]
fn flows_move_from_a_backend_that_drains_and_stay_over_reloads() {
    const CLIENTS: usize = 40;
    let servers = [Server::naming("a"), Server::naming("b")];
    let backends = servers.each_ref().map(|server| server.address);
    let text = |more: &str| udp("LISTEN", "", more, &backends).replace("shards = 2", "shards = 4");
    let operated = Operated::start(&text(""));
    let clients: Vec<Client> = (0..CLIENTS).map(|_| Client::of(operated.ringway.address)).collect();
    let names = || clients.iter().map(Client::names).collect::<Vec<_>>();
    let before = names();
    let by_shard = operated.asked("GET /metrics", "");
    let busy = by_shard
        .lines()
        .filter(|line| line.starts_with("ringway_flows_opened_total") && !line.ends_with(" 0"));
    assert!(busy.count() > 1, "the kernel spreads them: {by_shard}");
    for more in ["slow_start = \"1s\"", "algorithm = \"random\""] {
        let text = text(more).replace("algorithm = \"round-robin\"\nalgo", "algo");
        operated.rewrite(&text);
        let answer = operated.json(&["reload"]);
        assert_eq!(answer["applied"], true, "{answer}");
        assert_eq!(names(), before, "every flow goes on, on its shard");
    }
    operated.done(&["backend", "drain", "all", &backends[0].to_string()]);
    let after = names();
    assert!(after.iter().all(|(name, _)| name == "b"), "{after:?}");
    let kept = before.iter().zip(&after).filter(|(before, after)| before == after).count();
    let theirs = before.iter().filter(|(name, _)| name == "b").count();
    assert_eq!(kept, theirs, "the others have not moved");
}

#[test]
fn backends_read_who_the_client_is() {
    let server = Server::start("127.0.0.1", |bytes, _| {
        let header = proxy_protocol::read(bytes).ok().flatten().expect("a header");
        let addresses = header.addresses.expect("addresses");
        vec![format!("{} {}", addresses.source, addresses.destination).into_bytes()]
    });
    let text = udp("0.0.0.0:0", "", "proxy_protocol = \"v2\"", &[server.address]);
    let ringway = Ringway::with_config(&text);
    let client = Client::of(at(&ringway, "127.0.0.2"));
    let own = client.0.local_addr().expect("bound");
    let expected = format!("{own} {}", at(&ringway, "127.0.0.2"));
    assert_eq!(client.ask(b"who"), expected.as_bytes());
    assert_eq!(client.ask(b""), expected.as_bytes());
}

#[test]
fn a_process_that_drains_leaves_its_port_to_its_successor_and_goes_on_answering() {
    let backend = UdpSocket::bind("127.0.0.1:0").expect("a port");
    backend.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let address = backend.local_addr().expect("bound");
    let hear = || {
        let mut buffer = [0; 64];
        loop {
            let (length, from) = backend.recv_from(&mut buffer).expect("a datagram");
            if &buffer[..length] != b"gone?" {
                return (buffer[..length].to_vec(), from);
            }
        }
    };
    let text = |listen: &str| {
        udp(listen, "responses = 1", "", &[address])
            + "[timeouts]\nlame_duck = \"0s\"\nlinger = \"0s\"\n"
    };
    let mut old = Ringway::with_config(&text("LISTEN"));
    let late: Vec<Client> = (0..20).map(|_| Client::of(old.address)).collect();
    late.iter().for_each(|client| client.send(b"late"));
    let asked: Vec<SocketAddr> = late.iter().map(|_| hear().1).collect();
    old.signal("-TERM");
    await_that("it has left its port", || {
        // Until then the backend gets it; afterwards the kernel reports that nobody is there.
        let client = Client::of(old.address);
        client.send(b"gone?");
        client.0.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        client.0.recv(&mut [0; 64]).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    let new = Ringway::with_config(&text(&old.address.to_string()));
    let soon: Vec<Client> = (0..20).map(|_| Client::of(new.address)).collect();
    for client in &soon {
        client.send(b"soon");
        let (bytes, from) = hear();
        assert_eq!(bytes, b"soon");
        backend.send_to(b"answer", from).expect("sent");
        assert_eq!(client.hear(), b"answer");
    }
    for from in &asked {
        backend.send_to(from.to_string().as_bytes(), from).expect("sent");
    }
    let answers: BTreeSet<Vec<u8>> = late.iter().map(Client::hear).collect();
    assert_eq!(answers, asked.iter().map(|from| from.to_string().into_bytes()).collect());
    assert_eq!(old.wait(), Some(0), "it has nothing left to do");
}

#[test]
fn nothing_is_left_of_many_flows() {
    let server = Server::echo();
    let operated = Operated::start(&udp("LISTEN", "flow_idle = \"1s\"", "", &[server.address]));
    Client::of(operated.ringway.address).ask(b"warm");
    let idle = "ringway_sessions_closed_total{reason=\"flow_idle\"";
    await_that("it is idle", || operated.metric(idle) == 1);
    let before = operated.ringway.descriptors();
    for round in 0..3u64 {
        let clients: Vec<Client> = (0..200).map(|_| Client::of(operated.ringway.address)).collect();
        clients.iter().for_each(|client| assert_eq!(client.ask(b"ask"), b"ask"));
        await_that("all are idle", || operated.metric(idle) == 201 + round * 200);
        await_that("all are closed", || operated.ringway.descriptors() <= before);
    }
    await_that("all are counted", || operated.metric("ringway_flows_opened_total") == 601);
}

#[test]
fn a_dns_client_is_answered() {
    let Some([dig]) = programs(["dig"]) else { return };
    // An answer to any question of type A: 192.0.2.53.
    let server = Server::start("127.0.0.1", |query, _| {
        let question = query[12..].iter().position(|byte| *byte == 0).expect("a name") + 12 + 5;
        let mut answer = query[..question].to_vec();
        answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        answer.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53]);
        vec![answer]
    });
    let ringway = Ringway::with_config(&udp("0.0.0.0:0", "responses = 1", "", &[server.address]));
    let port = ringway.address.port().to_string();
    let arguments = ["@127.0.0.2", "-p", &port, "+short", "+tries=1", "a.example", "A"];
    let output = Command::new(dig).args(arguments).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "192.0.2.53\n");
}
