//! Backends that are deployed, die, and come back.

use super::{QUICK, config};
use crate::drilling::record;
use crate::loopback::harness::{Origin, await_that, connect, read_to_end};
use crate::loopback::load::{Load, Operated, OriginProcess, WebSocket, echoing, signed};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What an origin of a test does for the moment.
const FAILS: usize = 0;
const HANGS: usize = 1;
const WORKS: usize = 2;

fn addresses(origins: &[OriginProcess]) -> Vec<SocketAddr> {
    origins.iter().map(|origin| origin.address).collect()
}

#[test]
fn a_rolling_deploy_fails_no_request() {
    let origins: Vec<OriginProcess> = (0..3).map(|_| OriginProcess::start()).collect();
    let pool = "slow_start = \"300ms\"";
    let operated = Operated::start(&config(&addresses(&origins), pool, QUICK));
    let load = Load::start(operated.ringway.address, 64, "/1/200");
    load.await_answers(500);
    for _ in 0..3 {
        for origin in &origins {
            let address = origin.address.to_string();
            operated.done(&["backend", "drain", "app", &address, "--wait", "10s"]);
            origin.kill();
            load.await_answers(200);
            origin.restart();
            operated.done(&["backend", "ready", "app", &address]);
            operated.await_standing(origin.address, "serving");
            load.await_answers(200);
        }
    }
    let seen = load.stop();
    assert_eq!(seen.failed, 0, "{:?}", seen.failures);
    assert_eq!(seen.by_origin.len(), 3, "all of them served: {:?}", seen.by_origin);
}

#[test]
fn no_request_reaches_a_drained_backend_after_the_order_was_answered() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let drained = Origin::http(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        signed("drained", b"x")
    });
    let other = Origin::http(|_, _| signed("other", b"x"));
    let text = config(&[drained.address, other.address], "slow_start = \"0s\"", QUICK);
    let operated = Operated::start(&text);
    let load = Load::start(operated.ringway.address, 16, "/");
    load.await_answers(500);
    for state in ["drain", "maint"] {
        let address = drained.address.to_string();
        operated.done(&["backend", state, "app", &address]);
        let then = count.load(Ordering::SeqCst);
        assert!(then > 0);
        load.await_answers(500);
        assert_eq!(count.load(Ordering::SeqCst), then, "{state}");
        operated.done(&["backend", "ready", "app", &address]);
        await_that("it is back", || count.load(Ordering::SeqCst) > then + 20);
    }
    let seen = load.stop();
    assert_eq!(seen.failed, 0, "{:?}", seen.failures);
}

#[test]
fn a_killed_backend_leaves_and_comes_back_slowly() {
    let origins: Vec<OriginProcess> = (0..3).map(|_| OriginProcess::start()).collect();
    let pool = "slow_start = \"3s\"";
    let operated = Operated::start(&config(&addresses(&origins), pool, QUICK));
    const CLIENTS: usize = 32;
    let load = Load::start(operated.ringway.address, CLIENTS, "/1/200");
    load.await_answers(1_000);
    let dead = origins[1].address;
    origins[1].kill();
    operated.await_standing(dead, "down");
    load.await_answers(500);
    let failures = operated.backend(dead)["failures"].clone();
    load.await_answers(500);
    assert_eq!(operated.backend(dead)["failures"], failures, "nobody asks it any more");
    origins[1].restart();
    operated.await_standing(dead, "serving");
    let ramp = || operated.backend(dead)["ramp_percent"].as_u64().expect("a number");
    let early = ramp();
    assert!(early < 100, "it begins with less: {early} %");
    await_that("the ramp rises", || ramp() > early);
    await_that("the ramp ends", || ramp() == 100);
    let seen = load.stop();
    assert!(seen.failed <= CLIENTS, "{} failed: {:?}", seen.failed, seen.failures);
}

/// Waits until a backend is out, and every shard works with what says so.
fn await_out(operated: &Operated, address: SocketAddr) {
    await_that("it is out", || {
        let standing = operated.backend(address)["standing"].clone();
        standing == "ejected" || standing == "down"
    });
    await_that("every shard knows", || {
        let status = operated.json(&["status"]);
        let newest = status["generation"].as_u64().expect("a number");
        let shards = status["shards"].as_array().expect("a list");
        shards.iter().all(|shard| shard["generation"].as_u64() >= Some(newest))
    });
}

#[test]
fn a_backend_that_is_killed_costs_what_was_in_flight_on_it_and_is_then_left_alone() {
    const CLIENTS: usize = 64;
    let origins: Vec<OriginProcess> = (0..3).map(|_| OriginProcess::start()).collect();
    // Checks and ejection as they come.
    let operated = Operated::start(&config(&addresses(&origins), "", ""));
    let load = Load::start(operated.ringway.address, CLIENTS, "/1/500");
    load.await_answers(2_000);
    let dead = origins[1].address;
    origins[1].kill();
    await_out(&operated, dead);
    await_that("nothing is left there", || operated.backend(dead)["in_flight"] == 0);
    let then = operated.backend(dead);
    load.await_answers(4_000);
    let now = operated.backend(dead);
    for count in ["failures", "answers", "connections"] {
        assert_eq!(now[count], then[count], "{count} of a backend that nobody asks");
    }
    let seen = load.stop();
    assert!(seen.failed <= CLIENTS, "{} failed: {:?}", seen.failed, seen.failures);
    record("kill -9 under load", "clients", CLIENTS);
    record("kill -9 under load", "failed", seen.failed);
}

#[test]
fn an_ejected_backend_gets_nothing_after_the_shards_have_heard() {
    let is_broken = Arc::new(AtomicUsize::new(0));
    let asked = Arc::new(AtomicUsize::new(0));
    let (seen_broken, counted) = (is_broken.clone(), asked.clone());
    // It goes on to accept connections, so that only the answers show it, and hears all requests.
    let broken = Origin::http(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        match seen_broken.load(Ordering::SeqCst) {
            0 => signed("broken", b"x"),
            _ => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec(),
        }
    });
    let good: Vec<Origin> =
        ["one", "two"].map(|name| Origin::http(move |_, _| signed(name, b"x"))).into();
    let all = [broken.address, good[0].address, good[1].address];
    let operated = Operated::start(&config(&all, "", ""));
    let load = Load::start(operated.ringway.address, 64, "/");
    await_that("it is asked", || asked.load(Ordering::SeqCst) > 100);
    is_broken.store(1, Ordering::SeqCst);
    await_out(&operated, broken.address);
    await_that("what was under way is over", || operated.backend(broken.address)["in_flight"] == 0);
    let then = asked.load(Ordering::SeqCst);
    load.await_answers(4_000);
    assert_eq!(operated.backend(broken.address)["standing"], "ejected", "it is not half-open yet");
    assert_eq!(asked.load(Ordering::SeqCst), then, "requests after the ejection");
    load.stop();
}

#[test]
fn with_every_backend_dead_clients_hear_so_at_once_and_are_served_again_soon() {
    let origins: Vec<OriginProcess> = (0..2).map(|_| OriginProcess::start()).collect();
    let operated = Operated::start(&config(&addresses(&origins), "", QUICK));
    origins.iter().for_each(OriginProcess::kill);
    origins.iter().for_each(|origin| operated.await_standing(origin.address, "down"));
    for _ in 0..20 {
        assert_eq!(operated.ringway.status_of("/1/1"), 503);
    }
    let events = operated.done(&["events", "--json"]);
    assert!(events.contains("pool_without_healthy"), "it is said loudly: {events}");
    origins.iter().for_each(OriginProcess::restart);
    await_that("it serves again", || operated.ringway.status_of("/1/1") == 200);
    await_that("it says so", || operated.done(&["events", "--json"]).contains("pool_healthy"));
}

/// A listener whose queue is full: a further connect hears nothing, neither yes nor no.
fn silent() -> (SocketAddr, Vec<socket2::Socket>) {
    let new = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        socket.expect("a socket")
    };
    let listener = new();
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    listener.bind(&any.into()).expect("a port");
    listener.listen(0).expect("it listens");
    let address = listener.local_addr().ok().and_then(|address| address.as_socket());
    let address = address.expect("bound");
    let mut sockets = vec![listener];
    // The kernel takes one more than it was told; those that find no room wait.
    for _ in 0..4 {
        let waiting = new();
        waiting.set_nonblocking(true).expect("allowed");
        let _ = waiting.connect(&address.into());
        sockets.push(waiting);
    }
    (address, sockets)
}

#[test]
fn with_every_backend_silent_one_attempt_is_enough() {
    let silent: Vec<_> = (0..4).map(|_| silent()).collect();
    let addresses: Vec<SocketAddr> = silent.iter().map(|(address, _)| *address).collect();
    let probes = QUICK.replace("timeout = \"1m\"", "timeout = \"100ms\"");
    let more = format!("{probes}[timeouts]\nconnect = \"300ms\"\n");
    let operated = Operated::start(&config(&addresses, "", &more));
    addresses.iter().for_each(|address| operated.await_standing(*address, "down"));
    let failures = || -> u64 {
        let failures =
            addresses.iter().map(|address| operated.backend(*address)["failures"].as_u64());
        failures.map(|count| count.expect("a number")).sum()
    };
    for asked in 0..3 {
        assert_eq!(failures(), asked, "each one has cost one attempt");
        assert_eq!(operated.ringway.status_of("/"), 503);
    }
}

#[test]
fn failures_eject_and_a_single_request_brings_back() {
    let is_bad = Arc::new(AtomicUsize::new(0));
    let seen_bad = is_bad.clone();
    let bad = Origin::http(move |_, _| match seen_bad.load(Ordering::SeqCst) {
        0 => signed("bad", b"x"),
        _ => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec(),
    });
    let good = Origin::http(|_, _| signed("good", b"x"));
    let ejection = "[pool.app.ejection]\nbase = \"300ms\"\nlongest = \"600ms\"\n";
    let text = config(&[bad.address, good.address], "slow_start = \"0s\"", ejection);
    let operated = Operated::start(&text);
    let load = Load::start(operated.ringway.address, 4, "/");
    load.await_answers(100);
    is_bad.store(1, Ordering::SeqCst);
    operated.await_standing(bad.address, "ejected");
    await_that("its half-open probes fail", || {
        let events = operated.done(&["events", "--json"]);
        events.contains("\"passed\":false")
    });
    is_bad.store(0, Ordering::SeqCst);
    operated.await_standing(bad.address, "serving");
    assert!(operated.done(&["events", "--json"]).contains("\"passed\":true"));
    let seen = load.stop();
    assert!(seen.failed >= 5, "the failures were seen: {}", seen.failed);
}

#[test]
fn too_low_a_share_of_good_answers_ejects() {
    let asked = AtomicUsize::new(0);
    let flaky = Origin::http(move |_, _| match asked.fetch_add(1, Ordering::SeqCst) % 2 {
        0 => signed("flaky", b"x"),
        _ => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec(),
    });
    let good = Origin::http(|_, _| signed("good", b"x"));
    // Failures in a row, which it may have on one shard or another, do not count.
    let more = "[pool.app.ejection]\nconsecutive_failures = 0\nsuccess_rate_min_percent = 70\n\
        window = \"1s\"\nexchanges_min = 20\nbase = \"1h\"\nlongest = \"1h\"\n";
    let operated = Operated::start(&config(&[flaky.address, good.address], "", more));
    let load = Load::start(operated.ringway.address, 4, "/");
    operated.await_standing(flaky.address, "ejected");
    load.await_answers(200);
    let seen = load.stop();
    assert_eq!(operated.backend(good.address)["standing"], "serving");
    assert!(seen.failed >= 5, "a share of 20 at least is bad: {seen:?}");
}

#[test]
fn a_half_open_probe_whose_client_goes_away_is_not_the_last() {
    let (state, held) = (Arc::new(AtomicUsize::new(FAILS)), Arc::new(AtomicUsize::new(0)));
    let (seen_state, seen_held) = (state.clone(), held.clone());
    let tried = Origin::http(move |_, _| {
        while seen_state.load(Ordering::SeqCst) == HANGS {
            seen_held.store(1, Ordering::SeqCst);
            std::thread::yield_now();
        }
        match seen_state.load(Ordering::SeqCst) {
            FAILS => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec(),
            _ => signed("tried", b"x"),
        }
    });
    let good = Origin::http(|_, _| signed("good", b"x"));
    let more = "[pool.app.ejection]\nbase = \"300ms\"\n[runtime]\nshards = 1\n";
    let text = config(&[tried.address, good.address], "slow_start = \"0s\"", more);
    let operated = Operated::start(&text);
    await_that("it fails", || {
        operated.ringway.status_of("/");
        operated.backend(tried.address)["standing"] == "ejected"
    });
    state.store(HANGS, Ordering::SeqCst);
    let mut clients = Vec::new();
    await_that("its half-open probe is under way", || {
        let mut client = operated.ringway.connect();
        client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
        clients.push(client);
        held.load(Ordering::SeqCst) == 1
    });
    for client in clients.drain(..) {
        // A reset, not an end after which the answer could still be wanted.
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("set");
    }
    state.store(WORKS, Ordering::SeqCst);
    await_that("it is tried again", || {
        operated.ringway.status_of("/");
        operated.backend(tried.address)["standing"] == "serving"
    });
}

#[test]
fn a_backend_that_is_not_ready_keeps_what_it_has_and_one_that_is_dead_does_not() {
    let state = Arc::new(AtomicUsize::new(0));
    let shown = state.clone();
    let origin = Origin::start(move |stream| {
        let shown = shown.clone();
        let mut peeked = [0; 16];
        let length = stream.peek(&mut peeked).unwrap_or(0);
        if !peeked[..length].starts_with(b"GET /ready")
            && !peeked[..length].starts_with(b"GET /live")
        {
            return echoing(stream);
        }
        let is_ready_asked = peeked.starts_with(b"GET /ready");
        let limit = if is_ready_asked { 1 } else { 2 };
        let status = if shown.load(Ordering::SeqCst) < limit { "200 OK" } else { "503 No" };
        let mut stream = stream;
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes());
    });
    let times = "interval = \"50ms\"\nfast_interval = \"50ms\"\ntimeout = \"1m\"\n";
    let probes = format!(
        "[pool.app.health]\npath = \"/live\"\n{times}\
         [pool.app.readiness]\npath = \"/ready\"\n{times}"
    );
    let text = config(&[origin.address], "no_healthy = \"refuse\"", &probes);
    let operated = Operated::start(&text);
    let mut socket = WebSocket::open(operated.ringway.address);
    assert!(socket.echoes("one"));
    state.store(1, Ordering::SeqCst);
    operated.await_standing(origin.address, "not-ready");
    assert!(socket.echoes("two"), "what it has goes on");
    assert_eq!(operated.ringway.status_of("/"), 503, "and nothing new comes");
    state.store(2, Ordering::SeqCst);
    operated.await_standing(origin.address, "down");
    await_that("it is cut", || !socket.echoes("three"));
}

#[test]
fn backends_are_added_and_removed_while_clients_are_served() {
    let origins: Vec<Origin> =
        ["one", "two", "three"].map(|name| Origin::http(move |_, _| signed(name, b"x"))).into();
    let text = config(&[origins[0].address], "slow_start = \"0s\"", QUICK);
    let operated = Operated::start(&text);
    let load = Load::start(operated.ringway.address, 8, "/");
    load.await_answers(100);
    for origin in &origins[1..] {
        let address = origin.address.to_string();
        operated.done(&["backend", "add", "app", &address, "--weight", "5"]);
        operated.await_standing(origin.address, "serving");
    }
    load.await_answers(200);
    let first = origins[0].address.to_string();
    operated.done(&["backend", "remove", "app", &first]);
    await_that("it is forgotten", || operated.backend(origins[0].address).is_null());
    operated.done(&["backend", "weight", "app", &origins[1].address.to_string(), "0"]);
    load.await_answers(200);
    // A reload does not undo what was done by hand.
    operated.done(&["reload"]);
    assert!(operated.backend(origins[0].address).is_null());
    assert_eq!(operated.backend(origins[2].address)["weight"], 5);
    let seen = load.stop();
    assert_eq!(seen.failed, 0, "{:?}", seen.failures);
    assert_eq!(seen.by_origin.len(), 3, "{:?}", seen.by_origin);
}

#[test]
fn a_machine_is_drained_in_all_its_pools_by_its_address_or_its_name() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let port = origin.address.port();
    let more = format!(
        "{QUICK}[[route]]\npool = \"app\"\n[[route]]\npath = \"/b\"\npool = \"b\"\n\
         [[route]]\npath = \"/c\"\npool = \"c\"\n[[pool.b.backend]]\naddress = \"{0}\"\n\
         [[pool.c.backend]]\naddress = \"localhost:{port}\"\n",
        origin.address
    );
    let operated = Operated::start(&config(&[origin.address], "", &more));
    let name = format!("localhost:{port}");
    let states = |pool: &str| -> Vec<String> {
        let pools = operated.json(&["backend", "list", pool]);
        let backends = pools[0]["backends"].as_array().cloned().unwrap_or_default();
        backends.iter().map(|one| one["operator"].as_str().unwrap_or_default().to_owned()).collect()
    };
    await_that("the name is found", || !states("c").is_empty());
    let address = origin.address.to_string();
    let done = operated.done(&["backend", "drain", "--all", &address, "--wait", "10s"]);
    assert!(done.contains("in pool app: drain") && done.contains("in pool b: drain"), "{done}");
    operated.done(&["backend", "ready", "--all", "127.0.0.1"]);
    assert_eq!((states("app"), states("b")), (vec!["ready".to_owned()], vec!["ready".to_owned()]));
    let ordered = operated.json(&["backend", "maint", "c", &name]);
    assert_eq!(ordered.as_array().map(Vec::len), Some(states("c").len()), "{ordered}");
    assert!(states("c").iter().all(|state| state == "maint"));
    operated.done(&["backend", "ready", "--all", "localhost"]);
    assert!(states("c").iter().all(|state| state == "ready"));
    operated.done(&["backend", "remove", "b", &address]);
    let (status, said) = operated.verb(&["backend", "ready", "b", &address]);
    assert!(status == 1 && said.contains(&format!("backend add b {address}")), "{said}");
    operated.done(&["backend", "add", "b", &address]);
    operated.done(&["backend", "ready", "b", &address]);
}

#[test]
fn who_waits_for_a_drain_hears_how_much_is_left() {
    let origin = Origin::start(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let operated = Operated::start(&config(&[origin.address], "", QUICK));
    let mut busy = operated.ringway.connect();
    busy.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    await_that("it is in flight", || operated.backend(origin.address)["in_flight"] == 1);
    let address = origin.address.to_string();
    let (status, said) = operated.verb(&["backend", "drain", "app", &address, "--wait", "100ms"]);
    assert_eq!(status, 4);
    assert!(said.contains("waiting: 1 exchange in flight, for 1 s at most\n"), "{said}");
    assert!(said.contains("1 exchange is still in flight after "), "{said}");
    let wait = ["backend", "drain", "app", &address, "--wait", "10ms", "--json"];
    let (status, said) = operated.verb(&wait);
    assert!(status == 4 && !said.contains("waiting"), "{said}");
}

#[test]
fn a_drained_backends_tunnels_go_on_until_the_deadline() {
    let origin = Origin::start(echoing);
    let other = Origin::start(echoing);
    let text = config(&[origin.address, other.address], "drain_timeout = \"8s\"", "");
    let operated = Operated::start(&text);
    let mut sockets: Vec<WebSocket> =
        (0..8).map(|_| WebSocket::open(operated.ringway.address)).collect();
    for origin in [&origin, &other] {
        operated.done(&["backend", "drain", "app", &origin.address.to_string()]);
    }
    assert!(sockets.iter_mut().all(|socket| socket.echoes("still here")));
    await_that("they are cut", || !sockets.iter_mut().any(|socket| socket.echoes("?")));
    let mut late = connect(operated.ringway.address);
    late.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").expect("sent");
    let answer = String::from_utf8_lossy(&read_to_end(&mut late)).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503 "), "nobody is left: {answer}");
}
