//! What operators and monitors are told, and who may give orders.

use super::{QUICK, config};
use crate::loopback::harness::{
    Origin, PATIENCE, Ringway, TempFolder, await_that, body, command, connect, read_to_end, status,
};
use crate::loopback::load::{Operated, field, signed};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) fn with_questions(pool: &str) -> (Origin, Operated, SocketAddr) {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let more = format!("{QUICK}[admin]\nlisten = \"127.0.0.1:0\"\n");
    let operated = Operated::start(&config(&[origin.address], pool, &more));
    let address = operated.json(&["status"])["admin_address"].as_str().map(str::parse);
    let address = address.expect("it is told").expect("an address");
    (origin, operated, address)
}

pub(super) fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = connect(address);
    let request = format!("{request} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let answer = read_to_end(&mut stream);
    (status(&answer), String::from_utf8_lossy(body(&answer)).into_owned())
}

#[test]
fn readiness_follows_the_pools_that_are_required() {
    let (origin, operated, address) = with_questions("required = true\nno_healthy = \"refuse\"");
    assert_eq!(ask(address, "GET /ready").0, 200);
    assert_eq!(ask(address, "GET /ready/app").0, 200);
    assert_eq!(ask(address, "GET /live").0, 200);
    let (status, text) = ask(address, "GET /ready/nothing");
    assert!(status == 404 && text.contains("it can be app"), "{text}");
    operated.done(&["backend", "maint", "app", &origin.address.to_string()]);
    let (status, text) = ask(address, "GET /ready");
    assert_eq!(status, 503);
    assert!(text.contains("pool app has 0 healthy backends and needs 1"), "{text}");
    operated.done(&["backend", "ready", "app", &origin.address.to_string()]);
    await_that("it is ready again", || ask(address, "GET /ready").0 == 200);
}

/// Every key of a value, at any depth.
fn keys(value: &serde_json::Value, found: &mut Vec<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        found.push(key.clone());
        keys(value, found);
    }
    value.as_array().into_iter().flatten().for_each(|value| keys(value, found));
}

#[test]
fn every_key_of_a_status_is_in_the_documents() {
    const DOCUMENTS: &str = include_str!("../../../docs/operations.md");
    let (_, section) = DOCUMENTS.split_once("### `/status`").expect("it is there");
    let (section, _) = section.split_once("\n### ").expect("it ends");
    let pool = "[[pool.app.backend]]\naddress = \"localhost:1\"\n[pool.app.readiness]\n";
    let (_origin, operated, _) = with_questions(pool);
    let mut found = Vec::new();
    keys(&operated.json(&["status"]), &mut found);
    found.retain(|key| !section.contains(&format!("`{key}`")));
    found.retain(|key| !section.contains(&format!("`{key}[]`")));
    found.retain(|key| !["1xx", "2xx", "3xx", "4xx", "5xx"].contains(&&**key));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn orders_are_taken_on_the_unix_socket_only_and_leave_a_line() {
    let (origin, operated, address) = with_questions("");
    let path = format!("/pools/app/backends/{}", origin.address);
    for request in ["POST /drain", "POST /reload", &format!("DELETE {path}")] {
        let (status, text) = ask(address, request);
        assert_eq!(status, 403, "{request}: {text}");
    }
    assert_eq!(ask(address, "GET /nothing").0, 404);
    operated.done(&["backend", "drain", "app", &origin.address.to_string()]);
    let events = operated.done(&["events"]);
    assert!(events.contains("PUT /pools/app/backends/") && events.contains("by uid"), "{events}");
}

#[test]
fn nobody_waits_on_the_address_of_questions() {
    let (_origin, operated, address) = with_questions("");
    let (status, text) = ask(address, "GET /events?since=100000&wait_ms=60000");
    assert!(status == 403 && text.contains("Unix socket only"), "{text}");
    assert_eq!(ask(address, "GET /events?since=100000").0, 200);
    operated.done(&["events"]);
}

#[test]
fn connections_that_say_nothing_keep_no_monitor_out() {
    let (_origin, _operated, address) = with_questions("");
    let half = |_| {
        let mut stream = connect(address);
        stream.write_all(b"GET /live HTTP/1.1\r\nHost: t\r\n").expect("sent");
        stream
    };
    // Again on a machine so slow that the younger one has waited long enough to be given up.
    await_that("the oldest ones give way, and only they", || {
        let mut silent: Vec<_> = (0..300).map(half).collect();
        assert_eq!(ask(address, "GET /live").0, 200);
        assert!(read_to_end(&mut silent[0]).is_empty(), "the oldest one has given way");
        let rest = silent[200].write_all(b"Connection: close\r\n\r\n");
        rest.is_ok() && status(&read_to_end(&mut silent[200])) == 200
    });
}

/// Each metric is one group: HELP and TYPE once, then its samples (exposition format 0.0.4).
fn assert_in_the_format_of_prometheus(text: &str) {
    let mut families = std::collections::HashSet::new();
    let (mut name, mut kind) = ("", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            (name, kind) = (rest.split(' ').next().expect("a name"), "");
            assert!(families.insert(name), "twice: {line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!((rest.split_once(' ').map(|(name, _)| name), kind), (Some(name), ""));
            kind = &rest[name.len() + 1..];
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
            let series = series.split('{').next().expect("a name");
            let is_of_family = match kind {
                "histogram" => ["_bucket", "_sum", "_count"]
                    .iter()
                    .any(|end| series.strip_suffix(end) == Some(name)),
                _ => series == name && !kind.is_empty(),
            };
            assert!(is_of_family, "below {name}: {line}");
        }
    }
}

#[test]
fn metrics_are_in_the_format_of_prometheus_and_count_right() {
    let (_origin, operated, address) = with_questions("[runtime]\nshards = 3");
    (0..7).for_each(|_| assert_eq!(operated.ringway.status_of("/"), 200));
    let (status, text) = ask(address, "GET /metrics");
    assert_eq!(status, 200);
    assert_in_the_format_of_prometheus(&text);
    assert_eq!(text.matches("ringway_shard_generation{shard=").count(), 3);
    let sum = |series: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with(series));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    };
    for name in ["resident_memory_bytes", "open_fds", "max_fds", "threads", "start_time_seconds"] {
        assert!(sum(&format!("process_{name} ")) > 1.0, "{name}: {text}");
    }
    assert_eq!(sum("ringway_config_version "), 1.0);
    assert_eq!(sum("ringway_listener_requests_total{listener=\"web\"}"), 7.0);
    assert_eq!(sum("ringway_pool_request_duration_seconds_count{pool=\"app\"}"), 7.0);
    assert_eq!(sum("ringway_route_requests_total{"), 7.0);
    assert_eq!(sum("ringway_responses_2xx_total{"), 7.0);
    let backend = text.lines().find(|line| {
        line.starts_with("ringway_backend_responses_total{") && line.contains("class=\"2xx\"")
    });
    assert!(backend.is_some_and(|line| line.ends_with(" 7")), "{backend:?}");
}

#[test]
fn the_commands_say_what_is_wrong_and_how_to_mend_it() {
    let (_origin, operated, _) = with_questions("");
    for (arguments, expected, part) in [
        (&["backend", "drain", "nothing", "127.0.0.1:1"][..], 1, "it can be app"),
        (&["backend", "drain", "app", "127.0.0.1:1"][..], 1, "no such backend"),
        (&["backend", "drain", "app", "somewhere"][..], 2, "write \"somewhere:8080\""),
        (&["backend", "drain", "apq", "127.0.0.1:1"][..], 1, "did you mean `app`"),
        (&["backend", "ready", "app", "b.test:80"][..], 1, "there is no backend `b.test:80`"),
        (&["backend", "maint", "--all", "192.0.2.1"][..], 1, "in any pool"),
        (&["backend", "add", "app", "name.test:80"][..], 2, "belongs into the configuration"),
        (&["backend", "weight", "app", "127.0.0.1:1", "much"][..], 2, "0 to 1000"),
        (&["explain", "GET", "/no host"][..], 1, "is no URL"),
        (&["undrain"][..], 1, "not draining"),
        (&["plan", "/nowhere/at/all"][..], 1, "cannot read"),
    ] {
        let (status, text) = operated.verb(arguments);
        assert_eq!(status, expected, "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    let output = command().args(["status", "--admin", "/nowhere/admin.sock"]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--admin"));
}

#[test]
fn explain_and_top_show_what_runs() {
    let (origin, operated, _) = with_questions("");
    let text = operated.done(&["explain", "GET", "http://shop.test/a"]);
    for part in ["listener web", "pool   app", &origin.address.to_string(), "100%"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let text = operated.done(&["top", "--once"]);
    assert!(text.contains("SHARD") && text.contains("serving"), "{text}");
    assert!(operated.json(&["status"])["pools"][0]["backends"].is_array());
}

#[test]
fn what_gets_no_traffic_is_not_shown_as_ready() {
    let (origin, operated, address) = with_questions("");
    assert_eq!(ask(address, "GET /ready/app").0, 200);
    operated.done(&["backend", "weight", "app", &origin.address.to_string(), "0"]);
    assert_eq!(operated.ringway.status_of("/"), 503);
    await_that("it is not ready", || ask(address, "GET /ready/app").0 == 503);
    let text = operated.done(&["explain", "GET", "http://shop.test/a"]);
    assert!(!text.contains("100%") && text.contains("503"), "{text}");
}

#[test]
fn orders_are_followed_together_or_not_at_all() {
    let (origin, operated, _) = with_questions("");
    let line = format!("PUT /pools/app/backends/{}", origin.address);
    for weight in ["99999", "5000000000"] {
        let order = format!("{{\"state\": \"drain\", \"weight\": {weight}}}");
        let answer = operated.asked(&line, &order);
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert_eq!(operated.backend(origin.address)["standing"], "serving");
    }
    let answer = operated.asked(&line, r#"{"state": "drain", "weight": 9}"#);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(operated.backend(origin.address)["standing"], "draining");
    assert_eq!(operated.backend(origin.address)["weight"], 9);
}

#[test]
fn a_backend_that_nobody_could_connect_to_is_not_added() {
    let (_origin, operated, _) = with_questions("");
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let order = format!("{{\"address\": \"{address}\"}}");
        let answer = operated.asked("POST /pools/app/backends", &order);
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains(&format!("`{address}` has port 0: give the port")), "{answer}");
        assert!(operated.backend(address.parse().expect("an address")).is_null());
    }
}

#[test]
fn a_backend_from_which_requests_would_come_back_is_not_added() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    // Nobody else in the tests has this address, so the port stays free.
    let own = std::net::TcpListener::bind("127.0.83.1:0").and_then(|free| free.local_addr());
    let own = own.expect("a port").to_string();
    let text = config(&[origin.address], "", QUICK).replace("LISTEN", &own);
    let operated = Operated::start(&text);
    let (status, said) = operated.verb(&["backend", "add", "app", &own]);
    assert!(status == 1 && said.contains("is listener `web`, from which"), "{said}");
    operated.rewrite(&format!("{text}[[pool.app.backend]]\naddress = \"{own}\"\n"));
    let (status, said) = operated.verb(&["reload"]);
    assert!(status == 1 && said.contains("write the address of the server itself"), "{said}");
    assert_eq!(operated.ringway.status_of("/"), 200);

    // With weight 0 nothing comes back, whoever says it; a weight would change that.
    operated.rewrite(&format!("{text}[[pool.app.backend]]\naddress = \"{own}\"\nweight = 0\n"));
    operated.done(&["reload"]);
    let (status, said) = operated.verb(&["backend", "weight", "app", &own, "1"]);
    assert!(status == 1 && said.contains("is listener `web`, from which"), "{said}");
    operated.rewrite(&text);
    operated.done(&["reload"]);
    let own_address = own.parse().expect("an address");
    await_that("it is gone", || operated.backend(own_address).is_null());
    operated.done(&["backend", "add", "app", &own, "--weight", "0"]);
    let (status, said) = operated.verb(&["backend", "weight", "app", &own, "2"]);
    assert!(status == 1 && said.contains("is listener `web`, from which"), "{said}");
    for weight in ["\"5\"", "-1", "1.5", "[]"] {
        let order = format!("{{\"weight\": {weight}}}");
        let answer = operated.asked(&format!("PUT /pools/app/backends/{own}"), &order);
        let is_refused = answer.starts_with("HTTP/1.1 400") && answer.contains("from 0 to 1000");
        assert!(is_refused, "{answer}");
    }
    for order in ["[\"drain\", 1]", "[]"] {
        let answer = operated.asked(&format!("PUT /pools/app/backends/{own}"), order);
        let is_refused =
            answer.starts_with("HTTP/1.1 400") && answer.contains("expected an object");
        assert!(is_refused, "{answer}");
    }
}

#[test]
fn a_backend_of_the_operator_that_becomes_a_listener_is_warned_of() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let operated = Operated::start(&config(&[origin.address], "", QUICK));
    let own = std::net::TcpListener::bind("127.0.83.3:0").and_then(|free| free.local_addr());
    let own = own.expect("a port").to_string();
    operated.done(&["backend", "add", "app", &own]);
    let listener = format!("[[listener]]\nname = \"new\"\naddress = \"{own}\"\n[pool.app]\n");
    let text = config(&[origin.address], "", QUICK).replacen("[pool.app]\n", &listener, 1);
    operated.rewrite(&text);
    let told = format!("pool.app.backend: {own} is listener `new`, from which a route leads");
    let file = operated.file.to_str().expect("text");
    for line in [&["plan", file][..], &["reload"]] {
        let said = operated.done(line);
        assert!(said.contains(&told), "{said}");
        assert!(said.contains(&format!("or `ringway backend remove app {own}`")), "{said}");
    }
}

#[test]
fn two_processes_do_not_share_an_admin_socket() {
    let (_origin, operated, _) = with_questions("");
    let folder = TempFolder::new();
    let socket = operated.file.with_file_name("admin.sock");
    let output = command()
        .args(["run", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:9", "--admin"])
        .arg(&socket)
        .output()
        .expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("another process answers"), "{text}");
    drop(folder);
    assert_eq!(operated.ringway.status_of("/"), 200);
}

#[test]
fn only_a_socket_that_nobody_answers_on_is_removed() {
    let folder = TempFolder::new();
    let run = |path: &std::path::Path| {
        let mut command = command();
        let flags = ["run", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:9", "--admin"];
        command.args(flags).arg(path);
        command
    };
    let data = folder.write("data", "of value");
    let said = folder.0.join("said");
    let file = std::fs::File::create(&said).expect("a file");
    let mut refused = run(&data).stderr(file).spawn().expect("it runs");
    let begun = std::time::Instant::now();
    while refused.try_wait().expect("it is our child").is_none() && begun.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    let _ = refused.kill();
    let code = refused.wait().expect("it has ended").code();
    let text = std::fs::read_to_string(&said).expect("text");
    assert!(code == Some(1) && text.contains("is no socket"), "{text}");
    assert_eq!(std::fs::read_to_string(&data).expect("it is still there"), "of value");
    let left = folder.0.join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).expect("a socket"));
    let ringway = Ringway::spawn(run(&left), None);
    await_that("it answers", || std::os::unix::net::UnixStream::connect(&left).is_ok());
    drop(ringway);
}

#[test]
fn nobody_is_sent_here_while_it_starts_or_drains() {
    let may_answer = Arc::new(AtomicBool::new(false));
    let answers = may_answer.clone();
    // Its first probe hangs until the test lets it pass.
    let origin = Origin::http(move |_, _| {
        while !answers.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        signed("one", b"x")
    });
    let text = config(&[origin.address], "", "[pool.app.health]\npath = \"/\"\ntimeout = \"1m\"\n");
    let operated = Operated::begin(&text, |_, _| {});
    let assert_not_ready = |phase: &str| {
        for path in ["/ready", "/ready/app"] {
            let answer = operated.asked(&format!("GET {path}"), "");
            assert_eq!(status(answer.as_bytes()), 503, "{answer}");
            assert_eq!(field(&answer, "x-ringway-state"), Some(phase));
            assert!(answer.contains(&format!("the process is {phase}")), "{answer}");
        }
    };
    assert_not_ready("starting");
    may_answer.store(true, Ordering::SeqCst);
    await_that("it is ready", || operated.asked("GET /ready", "").starts_with("HTTP/1.1 200"));
    operated.done(&["drain"]);
    assert_not_ready("lame-duck");
}

/// The body of an answer to another user of this machine; none if it is not answered.
fn asked_as(user: u32, operated: &Operated) -> Option<String> {
    let output = std::process::Command::new("curl")
        .args(["-sS", "http://ringway/status", "--unix-socket"])
        .arg(&operated.socket)
        .uid(user)
        .gid(user)
        .output()
        .expect("curl is installed");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_admin_socket_is_of_its_group_and_other_users_are_turned_away() {
    const STRANGER: u32 = 65_534;
    let origin = Origin::http(|_, _| signed("one", b"x"));
    for allowed in [&[][..], &[STRANGER]] {
        let more = format!("{QUICK}[admin]\nallow_uids = {allowed:?}\n");
        let operated = Operated::start(&config(&[origin.address], "", &more));
        let mode = |mode| std::fs::Permissions::from_mode(mode);
        let socket = std::fs::metadata(&operated.socket).expect("it is there");
        assert_eq!(socket.permissions().mode() & 0o777, 0o660);
        if socket.uid() != 0 {
            eprintln!("skipped in part: only root can ask as somebody else");
            return;
        }
        let folder = operated.socket.parent().expect("a folder");
        std::fs::set_permissions(folder, mode(0o755)).expect("ours");
        assert_eq!(asked_as(STRANGER, &operated), None, "the file itself is closed");
        std::fs::set_permissions(&operated.socket, mode(0o666)).expect("ours");
        let answer = asked_as(STRANGER, &operated);
        match allowed {
            [] => assert_eq!(answer, None, "the file is open, but the user is not on the list"),
            _ => assert!(answer.is_some_and(|text| text.contains("serving")), "it is on the list"),
        }
    }
}
