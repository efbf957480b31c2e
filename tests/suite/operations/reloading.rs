//! Reloads while clients are served.

use super::{QUICK, config};
use crate::drilling::{self, record, size};
use crate::loopback::harness::{
    Origin, Ringway, TempFolder, await_that, connect, ok, read_to_end, read_until, status,
};
use crate::loopback::load::{Load, Operated, Seen, WebSocket, echoing, signed};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Reloads within a minute under load; one in hundreds of deployments does as many.
const RELOADS: usize = 136;

#[test]
fn many_reloads_lose_neither_a_request_nor_a_tunnel() {
    let plain: Vec<Origin> =
        ["one", "two"].map(|name| Origin::http(move |_, _| signed(name, b"x"))).into();
    let tunnels = Origin::start(echoing);
    let addresses: Vec<SocketAddr> = plain.iter().map(|origin| origin.address).collect();
    let more = format!(
        "[[route]]\npool = \"app\"\n[[route]]\npath = \"/ws\"\npool = \"ws\"\n\
         [[pool.ws.backend]]\naddress = \"{}\"\n",
        tunnels.address
    );
    let text = |turn: usize| {
        let count = 1 + turn % 2;
        let pool = format!("algorithm = \"{}\"", ["p2c", "round-robin"][turn % 2]);
        config(&addresses[..count], &pool, &more)
            + &format!("[timeouts]\nidle = \"{}s\"\n", 60 + turn % 3)
    };
    let operated = Operated::start(&text(1));
    let mut sockets: Vec<WebSocket> =
        (0..100).map(|_| WebSocket::open(operated.ringway.address)).collect();
    let load = Load::start(operated.ringway.address, 64, "/");
    load.await_answers(500);
    let before = operated.ringway.resident();
    for turn in 0..RELOADS {
        operated.rewrite(&text(turn));
        let answer = operated.json(&["reload"]);
        assert_eq!(answer["applied"], true, "{answer}");
        if turn % 16 == 0 {
            load.await_answers(100);
        }
    }
    let seen = load.stop();
    assert_eq!(seen.failed, 0, "{:?}", seen.failures);
    assert_eq!(seen.by_origin.len(), 2);
    let lost = sockets.iter_mut().filter_map(|socket| (!socket.echoes("alive")).then_some(()));
    assert_eq!(lost.count(), 0, "tunnels are lost");
    let grown = operated.ringway.resident().saturating_sub(before);
    assert!(grown < 24 << 20, "memory grew by {grown} bytes in {RELOADS} reloads");
}

#[test]
fn a_route_that_swaps_between_two_pools_fails_no_request_that_is_connecting() {
    let origins: Vec<Origin> =
        ["blue", "green"].map(|name| Origin::http(move |_, _| signed(name, b"x"))).into();
    let text = |turn: usize| {
        let (pool, address) = (["blue", "green"][turn % 2], origins[turn % 2].address);
        // Without idle connections every request connects, so that each swap finds some at it.
        format!(
            "[runtime]\nshards = 2\n[[listener]]\nname = \"web\"\naddress = \"LISTEN\"\n\
             protocol = \"http\"\n[[route]]\npool = \"{pool}\"\n[pool.{pool}]\n\
             idle_connections = 0\n[pool.{pool}.health]\nprotocol = \"none\"\n\
             [[pool.{pool}.backend]]\naddress = \"{address}\"\n"
        )
    };
    let operated = Operated::start(&text(0));
    let load = Load::start(operated.ringway.address, 16, "/");
    load.await_answers(100);
    for turn in 1..size("RINGWAY_SWAPS", 20, 300) {
        operated.rewrite(&text(turn));
        let answer = operated.json(&["reload"]);
        assert_eq!(answer["applied"], true, "{answer}");
        load.await_answers(20);
    }
    let seen = load.stop();
    assert_eq!(seen.failed, 0, "{:?}", seen.failures);
    assert_eq!(seen.by_origin.len(), 2);
}

/// Parts of a drill, each without reloads and then with them.
const PARTS: u32 = 6;

/// What 64 clients see for so long, while `reload` is called as often as a minute has
/// [`RELOADS`].
fn part(operated: &Operated, lasts: Duration, mut reload: impl FnMut()) -> Seen {
    let pace = Duration::from_secs(60) / RELOADS as u32;
    let load = Load::start(operated.ringway.address, 64, "/");
    let began = Instant::now();
    while began.elapsed() < lasts {
        let next = Instant::now() + pace;
        reload();
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    load.stop()
}

#[test]
fn reloads_cost_clients_little_time() {
    let Some(duration) = drilling::duration() else { return };
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let tunnels = Origin::start(echoing);
    let more = format!(
        "[[route]]\npool = \"app\"\n[[route]]\npath = \"/ws\"\npool = \"ws\"\n\
         [[pool.ws.backend]]\naddress = \"{}\"\n",
        tunnels.address
    );
    let text = |turn: usize| {
        config(&[origin.address], "", &more)
            + &format!("[timeouts]\nidle = \"{}s\"\n", 60 + turn % 3)
    };
    let operated = Operated::start(&text(0));
    let mut sockets: Vec<WebSocket> =
        (0..100).map(|_| WebSocket::open(operated.ringway.address)).collect();
    let (mut quiet, mut reloading) = (Seen::default(), Seen::default());
    let (mut reloads, before) = (0, operated.ringway.resident());
    for _ in 0..PARTS {
        quiet.join(part(&operated, duration / PARTS, || {}));
        reloading.join(part(&operated, duration / PARTS, || {
            reloads += 1;
            operated.rewrite(&text(reloads));
            let answer = operated.asked("POST /reload", "");
            assert!(answer.contains("\"applied\": true"), "{answer}");
        }));
    }
    assert_eq!(quiet.failed + reloading.failed, 0, "{:?}", reloading.failures);
    assert!(sockets.iter_mut().all(|socket| socket.echoes("alive")), "tunnels are lost");
    let (without, with) = (quiet.p99_us(), reloading.p99_us());
    record("reloads", "number", reloads);
    record(
        "reloads",
        "answers without and with",
        format!("{} {}", quiet.answered, reloading.answered),
    );
    record("reloads", "failed, of both", quiet.failed + reloading.failed);
    record("reloads", "bytes more", operated.ringway.resident().saturating_sub(before));
    record("reloads", "p99 without, us", without);
    record("reloads", "p99 with, us", with);
    record("reloads", "ratio of p99", format!("{:.2}", f64::from(with) / f64::from(without)));
}

#[test]
fn an_invalid_file_changes_nothing_and_the_answer_says_where_and_why() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let good = config(&[origin.address], "", QUICK);
    let operated = Operated::start(&good);
    let generation = operated.json(&["status"])["generation"].clone();
    operated.rewrite(&good.replace("[pool.app.health]", "[pool.app.heatlh]"));
    let (status, text) = operated.verb(&["reload"]);
    assert_eq!(status, 1);
    for part in
        ["ringway.toml:", "unknown key `heatlh`", "did you mean `health`", "nothing has changed"]
    {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    operated.ringway.signal("-HUP");
    await_that("the signal is answered in the events", || {
        operated.done(&["events"]).matches("configuration refused").count() == 2
    });
    let status = operated.json(&["status"]);
    assert_eq!(status["generation"], generation);
    let loaded = &status["configuration"];
    assert_eq!((&loaded["version"], &loaded["refused"]), (&1.into(), &2.into()));
    assert!(operated.done(&["status"]).contains("a newer one was REFUSED"));
    assert_eq!(operated.metric("ringway_config_last_reload_successful"), 0);
    assert_eq!(operated.metric("ringway_config_reloads_total"), 2);
    assert_eq!(operated.ringway.status_of("/"), 200);
}

#[test]
fn a_reload_tells_what_changed_and_what_needs_a_restart() {
    let origins: Vec<Origin> = (0..2).map(|_| Origin::http(|_, _| signed("one", b"x"))).collect();
    let addresses: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
    let operated = Operated::start(&config(&addresses[..1], "", QUICK));
    let new = config(&addresses, "", QUICK) + "[timeouts]\nidle = \"5s\"\n[runtime]\nbacklog = 7\n";
    operated.rewrite(&new);
    let file = operated.file.to_str().expect("text");
    let planned = operated.done(&["plan", file]);
    let added = format!("pool app: backend {}: added", addresses[1]);
    for part in [
        &*added,
        "timeouts: idle \"1m\" -> \"5s\"",
        "NEEDS A RESTART, not applied by a reload: runtime.backlog",
    ] {
        assert!(planned.contains(part), "{part} is not in: {planned}");
    }
    assert!(operated.backend(addresses[1]).is_null(), "a plan changes nothing");
    let done = operated.done(&["reload"]);
    assert!(done.contains(&added) && done.contains("in force"), "{done}");
    assert!(done.starts_with("NEEDS A RESTART"), "{done}");
    let loaded = &operated.json(&["status"])["configuration"];
    assert_eq!((&loaded["version"], &loaded["last_refused"]), (&2.into(), &false.into()));
    let digest = loaded["digest"].as_str().expect("a digest");
    assert!(done.contains(&format!("reloaded: configuration 2 (digest {digest})")), "{done}");
    assert!(planned.contains("in force: configuration 1 (digest "), "{planned}");
    assert!(planned.contains(&format!("the file has digest {digest}")), "{planned}");
    let shown = operated.done(&["status"]);
    assert!(shown.contains(&format!("configuration 2 (digest {digest}), loaded 2")), "{shown}");
    assert!(operated.done(&["plan", file]).contains("NEEDS A RESTART"), "the rest is done");
    operated.await_standing(addresses[1], "serving");
}

#[test]
fn files_beside_a_configuration_of_a_bare_name_are_the_same_ones_in_a_text_that_is_given() {
    let folder = TempFolder::new();
    let probe = format!("{QUICK}protocol = \"https\"\nca_file = \"ca.pem\"\n");
    let text = config(&[], "backends_file = \"pb.json\"", &probe);
    let text = text.replace("LISTEN", "127.0.0.1:0");
    folder.write("ringway.toml", &text);
    folder.write("pb.json", "[]");
    let identity = rcgen::generate_simple_self_signed(["shop.test".to_owned()]);
    folder.write("ca.pem", &identity.expect("a certificate").cert.pem());
    let [socket, file] = ["admin.sock", "ringway.toml"].map(|name| folder.0.join(name));
    let mut command = crate::loopback::harness::command();
    command.current_dir(&folder.0).args(["run", "--config", "ringway.toml"]);
    command.arg("--admin").arg(&socket);
    let ringway = Ringway::spawn(command, Some(folder));
    let operated = Operated { ringway, file, socket };
    let plan = operated.asked("POST /plan", &text);
    assert!(plan.contains("\"changes\": []"), "{plan}");
    let done = operated.asked("PUT /config", &text);
    assert!(done.contains("\"changes\": []"), "{done}");
}

#[test]
fn a_plan_tells_what_hangs_on_each_part_that_changes() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let tunnels = Origin::start(echoing);
    let routes = format!(
        "[[route]]\npool = \"app\"\n[[route]]\npath = \"/ws\"\npool = \"ws\"\n\
         [[route]]\npath = \"/more\"\npool = \"ws\"\n[[pool.ws.backend]]\naddress = \"{}\"\n",
        tunnels.address
    );
    let old = config(&[origin.address], "", &routes);
    let second = "[[listener]]\nname = \"second\"\naddress = \"127.0.0.1:0\"\n";
    let operated = Operated::start(&(old.clone() + second));
    let _sockets: Vec<WebSocket> =
        (0..3).map(|_| WebSocket::open(operated.ringway.address)).collect();
    let mut kept = operated.ringway.connect();
    kept.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
    read_until(&mut kept, b"\r\n\r\nx");
    // The last exchange is over for the shard a little after it is for the client.
    await_that("one is idle", || operated.backend(origin.address)["in_flight"] == 0);

    let file = operated.file.with_file_name("new.toml");
    let planned = |text: &str| {
        std::fs::write(&file, text).expect("written");
        let plan = operated.done(&["plan", file.to_str().expect("text"), "--json"]);
        let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
        let changes = plan["changes"].as_array().cloned().unwrap_or_default();
        let change = |change: serde_json::Value| {
            let count = |key: &str| change[key].as_u64();
            let counts = ["client_connections", "backend_connections", "exchanges"].map(count);
            (change["what"].as_str().unwrap_or_default().to_owned(), counts, change["ends"] == true)
        };
        changes.into_iter().map(change).collect::<Vec<_>>()
    };
    let old = old.replace("LISTEN", "127.0.0.1:0");
    let modified = old.replace("[pool.app]", "[pool.app]\nalgorithm = \"random\"");
    let modified = modified.replace("/more\"\npool = \"ws\"", "/more\"\npool = \"app\"");
    let modified = modified + "[pool.ws]\nalgorithm = \"random\"\n[timeouts]\nidle = \"5s\"\n";
    let (zero, one, three, four) = (Some(0), Some(1), Some(3), Some(4));
    assert_eq!(
        planned(&modified),
        [
            ("listener second 127.0.0.1:0".to_owned(), [zero, None, None], true),
            ("pool app".to_owned(), [None, one, zero], false),
            ("pool ws".to_owned(), [None, three, three], false),
            ("route */more".to_owned(), [None, None, None], false),
            ("timeouts".to_owned(), [four, None, None], false),
        ]
    );
    let text = operated.done(&["plan", file.to_str().expect("text")]);
    for part in ["(3 connections to backends and 3 exchanges go on)", "not counted, go on"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    let without = old.replace("name = \"web\"", "name = \"other\"");
    let gone = planned(&without);
    assert!(gone.contains(&("listener web 127.0.0.1:0".to_owned(), [four, None, None], true)));
    assert!(gone.contains(&("listener other 127.0.0.1:0".to_owned(), [zero, None, None], false)));
}

#[test]
fn listeners_come_and_go_and_what_goes_on_elsewhere_does_not_notice() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let old = config(&[origin.address], "", QUICK);
    let operated = Operated::start(&old);
    let mut kept = operated.ringway.connect();
    let get = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let ask = |stream: &mut TcpStream| {
        stream.write_all(get).expect("sent");
        assert_eq!(status(&read_until(stream, b"\r\n\r\nx")), 200);
    };
    ask(&mut kept);
    operated.rewrite(&(old.clone() + "[[listener]]\nname = \"second\"\naddress = \"LISTEN\"\n"));
    operated.done(&["reload"]);
    let listeners = operated.json(&["status"])["listeners"].clone();
    let second = listeners.as_array().and_then(|all| all.iter().find(|l| l["name"] == "second"));
    let second: SocketAddr =
        second.and_then(|l| l["address"].as_str()?.parse().ok()).expect("an address");
    let mut of_second = connect(second);
    ask(&mut of_second);
    ask(&mut kept);
    operated.rewrite(&old);
    operated.done(&["reload"]);
    assert_eq!(read_to_end(&mut of_second), b"", "idle connections of a listener end with it");
    await_that("nobody listens there", || TcpStream::connect(second).is_err());
    ask(&mut kept);
}

#[test]
fn what_is_known_of_backends_outlives_a_reload() {
    let origins: Vec<Origin> = (0..2).map(|_| Origin::http(|_, _| signed("one", b"x"))).collect();
    let addresses: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
    let text = config(&addresses, "", QUICK);
    let operated = Operated::start(&text);
    operated.done(&["backend", "drain", "app", &addresses[0].to_string()]);
    let address = addresses[1].to_string();
    operated.done(&["backend", "weight", "app", &address, "7"]);
    operated.rewrite(&(text + "[timeouts]\nidle = \"5s\"\n"));
    operated.done(&["reload"]);
    assert_eq!(operated.backend(addresses[0])["standing"], "draining");
    assert_eq!(operated.backend(addresses[1])["standing"], "serving", "without a new probe");
    assert_eq!(operated.backend(addresses[1])["weight"], 7);
    operated.done(&["backend", "weight", "app", &address, "default"]);
    assert_eq!(operated.backend(addresses[1])["weight"], 1);
}

#[test]
fn open_connections_are_trusted_as_the_new_configuration_says() {
    let origin = Origin::http(|head, _| ok(head.as_bytes()));
    let text = |trusted: &str| {
        config(&[origin.address], "", &format!("[http]\ntrusted_proxies = [{trusted}]\n"))
    };
    let operated = Operated::start(&text("\"127.0.0.0/8\""));
    let mut client = operated.ringway.connect();
    let mut seen = || {
        let request = "GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 6.6.6.6\r\n\
                       X-Forwarded-Proto: https\r\n\r\n";
        client.write_all(request.as_bytes()).expect("sent");
        read_until(&mut client, b"\r\n\r\n"); // the head; the body is that of the request
        String::from_utf8(read_until(&mut client, b"\r\n\r\n")).expect("text")
    };
    let told = |head: &str, value: &str| head.contains(&format!("\r\nX-Forwarded-{value}\r\n"));
    let head = seen();
    assert!(told(&head, "For: 6.6.6.6, 127.0.0.1") && told(&head, "Proto: https"), "{head}");
    operated.rewrite(&text(""));
    operated.done(&["reload"]);
    let head = seen();
    assert!(told(&head, "For: 127.0.0.1") && told(&head, "Proto: http"), "{head}");
}

#[test]
fn who_waited_while_its_listener_was_removed_is_served_once_and_told_to_go() {
    let origin = Origin::http(|_, _| ok(b"x"));
    let old = config(&[origin.address], "", "[runtime]\nshards = 1\nmax_connections = 1\n");
    let second = "[[listener]]\nname = \"second\"\naddress = \"LISTEN\"\n";
    let operated = Operated::start(&(old.clone() + second));
    let listeners = operated.json(&["status"])["listeners"].clone();
    let second = listeners.as_array().and_then(|all| all.iter().find(|l| l["name"] == "second"));
    let second: SocketAddr =
        second.and_then(|l| l["address"].as_str()?.parse().ok()).expect("an address");
    let get = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let mut first = operated.ringway.connect();
    first.write_all(get).expect("sent");
    read_until(&mut first, b"\r\n\r\nx");
    let mut waiting = connect(second);
    waiting.write_all(get).expect("sent");
    operated.rewrite(&old);
    operated.done(&["reload"]);
    await_that("nobody listens there", || TcpStream::connect(second).is_err());
    drop(first);
    let answer = String::from_utf8(read_to_end(&mut waiting)).expect("text");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nx"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
}
