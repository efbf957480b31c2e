//! Backends by DNS name, and from a watched file.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, TempFolder, await_that};
use crate::loopback::load::{Operated, signed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// What is asked for, and what is answered.
#[derive(Clone)]
struct Answer {
    name: &'static str,
    kind: u16,
    said: Said,
}

#[derive(Clone, PartialEq)]
enum Said {
    /// A record's data in wire form.
    Data(Vec<u8>),
    /// The server has failed (SERVFAIL).
    Failure,
    /// Nothing: the answer is lost.
    Nothing,
}

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;

fn a(name: &'static str, ip: Ipv4Addr) -> Answer {
    Answer { name, kind: A, said: Said::Data(ip.octets().to_vec()) }
}

fn aaaa(name: &'static str, ip: Ipv6Addr) -> Answer {
    Answer { name, kind: AAAA, said: Said::Data(ip.octets().to_vec()) }
}

fn srv(name: &'static str, priority: u16, weight: u16, port: u16, target: &str) -> Answer {
    let mut data = Vec::new();
    [priority, weight, port].iter().for_each(|number| data.extend(number.to_be_bytes()));
    for label in target.split('.') {
        data.push(label.len() as u8);
        data.extend(label.as_bytes());
    }
    data.push(0);
    Answer { name, kind: SRV, said: Said::Data(data) }
}

fn failing(name: &'static str, kind: u16) -> Answer {
    Answer { name, kind, said: Said::Failure }
}

fn lost(name: &'static str, kind: u16) -> Answer {
    Answer { name, kind, said: Said::Nothing }
}

/// A name server that says what it is told to; silent while that is none.
struct NameServer {
    address: SocketAddr,
    answers: Arc<Mutex<Option<Vec<Answer>>>>,
}

impl NameServer {
    fn start(answers: Vec<Answer>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("bound");
        let answers = Arc::new(Mutex::new(Some(answers)));
        let said = answers.clone();
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let answers = said.lock().expect("no panic").clone();
                if let Some(reply) = answers.and_then(|all| reply(&query[..length], &all)) {
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        Self { address, answers }
    }

    fn say(&self, answers: Option<Vec<Answer>>) {
        *self.answers.lock().expect("no panic") = answers;
    }
}

/// The reply to a query, each record with a TTL of one second (RFC 1035, 4.1).
fn reply(query: &[u8], answers: &[Answer]) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut labels = Vec::new();
    while *query.get(at)? != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(query.get(at + 1..=at + length)?).to_lowercase());
        at += length + 1;
    }
    let name = labels.join(".");
    let kind = u16::from_be_bytes([*query.get(at + 1)?, *query.get(at + 2)?]);
    let question = query.get(12..at + 5)?;
    let said = answers.iter().filter(|answer| answer.name == name && answer.kind == kind);
    let said: Vec<&Said> = said.map(|answer| &answer.said).collect();
    if said.contains(&&Said::Nothing) {
        return None;
    }
    let has_failed = said.contains(&&Said::Failure);
    let records = said.into_iter().filter_map(|said| match said {
        Said::Data(data) => Some(data),
        Said::Failure | Said::Nothing => None,
    });
    let records: Vec<&Vec<u8>> = records.collect();
    let mut reply = query[..2].to_vec();
    reply.extend([
        0x81,
        if has_failed { 0x82 } else { 0x80 },
        0,
        1,
        0,
        records.len() as u8,
        0,
        0,
        0,
        0,
    ]);
    reply.extend(question);
    for data in records {
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 1]);
        reply.extend((data.len() as u16).to_be_bytes());
        reply.extend(data);
    }
    Some(reply)
}

/// Origins on one port of several loopback addresses.
fn origins() -> (u16, Vec<Origin>) {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    (origin.address.port(), vec![origin])
}

#[test]
fn names_are_looked_up_again_and_an_answer_outlives_its_server() {
    let (port, _origins) = origins();
    let one = Ipv4Addr::new(127, 0, 0, 1);
    let other = Ipv4Addr::new(127, 0, 0, 2);
    let server = NameServer::start(vec![a("app.test", one)]);
    let more = format!("[runtime]\ndns_servers = [\"{}\"]\n", server.address);
    let name = format!("[[pool.app.backend]]\naddress = \"app.test:{port}\"\nweight = 4\n");
    let operated = Operated::start(&(config(&[], "", &format!("{QUICK}{more}")) + &name));
    let first = SocketAddr::from((one, port));
    operated.await_standing(first, "serving");
    let backend = operated.backend(first);
    assert_eq!(backend["source"], format!("dns:app.test:{port}"));
    assert_eq!(backend["weight"], 4);
    assert_eq!(operated.ringway.status_of("/"), 200);
    // A second address: nobody listens there, so it gets no traffic.
    server.say(Some(vec![a("app.test", one), a("app.test", other)]));
    let second = SocketAddr::from((other, port));
    await_that("the answer is asked for again", || !operated.backend(second).is_null());
    operated.await_standing(second, "down");
    assert_eq!(operated.ringway.status_of("/"), 200);
    server.say(None);
    await_that("a failure is told", || {
        operated.done(&["events", "--json"]).contains("source_failed")
    });
    assert_eq!(operated.ringway.status_of("/"), 200, "the last good answer holds");
    server.say(Some(vec![a("app.test", one)]));
    await_that("it is asked again", || operated.backend(second).is_null());
}

#[test]
fn addresses_of_one_family_outlive_a_failure_of_their_question() {
    let (port, _origins) = origins();
    let name = "app.test";
    let one = a(name, Ipv4Addr::LOCALHOST);
    let both = vec![one.clone(), aaaa(name, Ipv6Addr::LOCALHOST)];
    let server = NameServer::start(both.clone());
    let more = format!("[runtime]\ndns_servers = [\"{}\"]\n", server.address);
    let backend = format!("[[pool.app.backend]]\naddress = \"{name}:{port}\"\n");
    let text = config(&[], "", &format!("{QUICK}{more}")) + &backend;
    let operated = Operated::start(&text);
    let sixth = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    operated.await_standing(SocketAddr::from(([127, 0, 0, 1], port)), "serving");
    operated.done(&["backend", "drain", "app", &sixth.to_string()]);
    // What comes with the next answer shows that the failure was taken in.
    let asked_with = |ip: [u8; 4], aaaa: Vec<Answer>| {
        server.say(Some([vec![one.clone(), a(name, ip.into())], aaaa].concat()));
        let other = SocketAddr::from((ip, port));
        await_that("it is asked again", || !operated.backend(other).is_null());
    };
    asked_with([127, 0, 0, 2], vec![failing(name, AAAA)]);
    assert_eq!(operated.backend(sixth)["standing"], "draining");
    await_that("it is told", || operated.done(&["events", "--json"]).contains("AAAA of app.test"));
    asked_with([127, 0, 0, 3], vec![failing(name, AAAA)]);
    assert_eq!(operated.backend(sixth)["standing"], "draining");
    let told = || operated.done(&["events", "--json"]).matches("source_failed").count();
    assert_eq!(told(), 1, "told once");
    operated.rewrite(&(text + "weight = 7\n"));
    operated.done(&["reload"]);
    await_that("it is told of anew", || told() == 2);
    asked_with([127, 0, 0, 4], vec![failing(name, AAAA)]);
    assert_eq!(operated.backend(sixth)["standing"], "draining");
    assert_eq!(operated.backend(sixth)["weight"], 7);
    asked_with([127, 0, 0, 5], vec![]);
    await_that("it has no such address any more", || operated.backend(sixth).is_null());
    assert_eq!(told(), 2, "that is no failure");
}

#[test]
fn the_start_does_not_wait_in_vain_for_addresses_of_one_family() {
    let (port, _origins) = origins();
    let name = "app.test";
    let server = NameServer::start(vec![a(name, Ipv4Addr::LOCALHOST), lost(name, AAAA)]);
    let more = format!("[runtime]\ndns_servers = [\"{}\"]\n", server.address);
    let backend = format!("[[pool.app.backend]]\naddress = \"{name}:{port}\"\n");
    let operated = Operated::start(&(config(&[], "", &format!("{QUICK}{more}")) + &backend));
    await_that("the addresses of the other one serve", || operated.ringway.status_of("/") == 200);
}

#[test]
fn orders_are_kept_for_addresses_that_could_not_be_asked_for_since_the_start() {
    let (port, _origins) = origins();
    let name = "app.test";
    let one = a(name, Ipv4Addr::LOCALHOST);
    let both = vec![one.clone(), aaaa(name, Ipv6Addr::LOCALHOST)];
    let server = NameServer::start(both.clone());
    let folder = TempFolder::new();
    let more = format!(
        "[runtime]\ndns_servers = [\"{}\"]\nstate_file = \"{}\"\n",
        server.address,
        folder.0.join("state.json").display()
    );
    let backend = format!("[[pool.app.backend]]\naddress = \"{name}:{port}\"\n");
    let text = config(&[], "", &format!("{QUICK}{more}")) + &backend;
    let fourth = SocketAddr::from(([127, 0, 0, 1], port));
    let sixth = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let mut first = Operated::start(&text);
    first.await_standing(fourth, "serving");
    first.done(&["backend", "drain", "app", &sixth.to_string()]);
    first.ringway.signal("-INT");
    assert_eq!(first.ringway.wait(), Some(0));
    server.say(Some(vec![one, failing(name, AAAA)]));
    let second = Operated::start(&text);
    second.await_standing(fourth, "serving");
    assert!(second.backend(sixth).is_null());
    server.say(Some(both));
    await_that("it is asked again", || !second.backend(sixth).is_null());
    assert_eq!(second.backend(sixth)["standing"], "draining");
}

#[test]
fn service_records_bring_ports_priorities_and_weights() {
    let origins: Vec<Origin> = (0..3).map(|_| Origin::http(|_, _| signed("one", b"x"))).collect();
    let port = |origin: usize| origins[origin].address.port();
    let service = "_http._tcp.test";
    let server = NameServer::start(vec![
        srv(service, 10, 30, port(0), "host.test"),
        srv(service, 10, 60, port(1), "host.test"),
        srv(service, 20, 100, port(2), "host.test"),
        a("host.test", Ipv4Addr::LOCALHOST),
    ]);
    let more = format!("[runtime]\ndns_servers = [\"{}\"]\n", server.address);
    let name = format!("[[pool.app.backend]]\nsrv = \"{service}\"\n");
    let operated = Operated::start(&(config(&[], "", &format!("{QUICK}{more}")) + &name));
    for (origin, weight) in [(0, 30), (1, 60), (2, 100)] {
        operated.await_standing(origins[origin].address, "serving");
        assert_eq!(operated.backend(origins[origin].address)["weight"], weight);
    }
    (0..60).for_each(|_| assert_eq!(operated.ringway.status_of("/"), 200));
    let answers =
        |origin: usize| operated.backend(origins[origin].address)["answers"]["2xx"].clone();
    assert!(answers(0).as_u64() > Some(0) && answers(1).as_u64() > Some(0));
    assert_eq!(answers(2), 0, "a lower priority waits");
}

#[test]
fn names_of_services_and_their_targets_may_have_underscores() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let service = "_h._tcp.my_app.test";
    let server = NameServer::start(vec![
        srv(service, 10, 1, origin.address.port(), "node_1.test"),
        srv(service, 10, 1, 0, "node_1.test"),
        a("node_1.test", Ipv4Addr::LOCALHOST),
    ]);
    let more = format!("[runtime]\ndns_servers = [\"{}\"]\n", server.address);
    let name = format!("[[pool.app.backend]]\nsrv = \"{service}\"\n");
    let operated = Operated::start(&(config(&[], "", &format!("{QUICK}{more}")) + &name));
    operated.await_standing(origin.address, "serving");
    assert_eq!(operated.ringway.status_of("/"), 200);
    let status = operated.done(&["status"]);
    assert!(status.contains("FAILS") && status.contains("port 0"), "{status}");
}

#[test]
fn a_target_that_cannot_be_looked_up_stays_until_its_record_goes() {
    let origins: Vec<Origin> = (0..2).map(|_| Origin::http(|_, _| signed("one", b"x"))).collect();
    let address = |origin: usize| origins[origin].address;
    let service = "_http._tcp.test";
    let records = [
        srv(service, 10, 1, address(0).port(), "one.test"),
        srv(service, 10, 1, address(1).port(), "two.test"),
    ];
    let one = a("one.test", Ipv4Addr::LOCALHOST);
    let good = [&records[..], &[one.clone(), a("two.test", Ipv4Addr::LOCALHOST)]].concat();
    let server = NameServer::start(good);
    let more = format!("[runtime]\ndns_servers = [\"{}\"]\n", server.address);
    let name = format!("[[pool.app.backend]]\nsrv = \"{service}\"\n");
    let operated = Operated::start(&(config(&[], "", &format!("{QUICK}{more}")) + &name));
    operated.await_standing(address(0), "serving");
    operated.await_standing(address(1), "serving");
    let failing = [failing("two.test", A), failing("two.test", AAAA)];
    server.say(Some([&records[..], std::slice::from_ref(&one), &failing[..]].concat()));
    await_that("a failure is told", || operated.done(&["events", "--json"]).contains("two.test"));
    // What comes with the next answer shows that there was one after the failure.
    let third = a("one.test", Ipv4Addr::new(127, 0, 0, 3));
    server.say(Some([&records[..], &[one.clone(), third], &failing[..]].concat()));
    let third = SocketAddr::from(([127, 0, 0, 3], address(0).port()));
    await_that("it is asked again", || !operated.backend(third).is_null());
    assert_eq!(operated.backend(address(1))["standing"], "serving");
    let events = operated.done(&["events", "--json"]);
    assert_eq!(events.matches("source_failed").count(), 1, "told once: {events}");
    server.say(Some([&records[..1], &[one]].concat()));
    await_that("its record has gone", || operated.backend(address(1)).is_null());
    assert_eq!(operated.backend(address(0))["standing"], "serving");
}

#[test]
fn a_name_that_nobody_knows_does_not_stop_the_start() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let server = NameServer::start(Vec::new());
    let more = format!("[runtime]\ndns_servers = [\"{}\"]\n", server.address);
    let name = "[[pool.app.backend]]\naddress = \"missing.test:80\"\n";
    let text = config(&[origin.address], "", &format!("{QUICK}{more}")) + name;
    let operated = Operated::start(&text);
    assert_eq!(operated.ringway.status_of("/"), 200);
    assert!(operated.done(&["events", "--json"]).contains("source_failed"));
}

#[test]
fn a_pool_of_a_name_or_a_file_serves_as_soon_as_a_reload_has_brought_it() {
    let (port, origins) = origins();
    let server = NameServer::start(vec![a("app.test", Ipv4Addr::LOCALHOST)]);
    let more = format!("[runtime]\ndns_servers = [\"{}\"]\n", server.address);
    let of_name = format!("[[pool.app.backend]]\naddress = \"app.test:{port}\"\n");
    let of_file = "backends_file = \"FOLDER/backends.json\"";
    let old = config(&[origins[0].address], "", &more).replace("pool.app", "pool.old");
    let refuse = "no_healthy = \"refuse\"";
    for new in [
        config(&[], refuse, &format!("{QUICK}{more}")) + &of_name,
        config(&[], &format!("{refuse}\n{of_file}"), &format!("{QUICK}{more}")),
    ] {
        let operated = Operated::start(&old);
        let file = operated.file.with_file_name("backends.json");
        std::fs::write(file, format!("[\"{}\"]", origins[0].address)).expect("written");
        operated.rewrite(&new);
        operated.done(&["reload"]);
        assert_eq!(operated.ringway.status_of("/"), 200);
    }
}

#[test]
fn a_name_is_looked_up_when_the_name_servers_are_known_at_last() {
    // In a namespace of its own, so that the machine's file can be another; some machines forbid.
    let mut probe = Command::new("unshare");
    if !probe.args(["-rm", "true"]).status().is_ok_and(|status| status.success()) {
        return;
    }
    let (port, _origins) = origins();
    let name = format!("[[pool.app.backend]]\naddress = \"localhost:{port}\"\n");
    let mut servers = None;
    let text = config(&[], "", QUICK) + &name;
    let operated = Operated::start_with(&text, |folder, command| {
        let file = servers.insert(folder.join("resolv.conf"));
        std::fs::write(&*file, "").expect("written");
        let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        let mut within = Command::new("unshare");
        within.args(["-rm", "sh", "-c", script]).arg(file);
        within.arg(command.get_program()).args(command.get_args());
        *command = within;
    });
    await_that("it is told", || operated.done(&["events", "--json"]).contains("no DNS resolver"));
    std::fs::write(servers.expect("it was prepared"), "nameserver 127.0.0.1\n").expect("written");
    operated.await_standing(SocketAddr::from(([127, 0, 0, 1], port)), "serving");
    assert_eq!(operated.ringway.status_of("/"), 200);
}

#[test]
fn a_watched_file_is_followed_and_a_broken_one_is_not() {
    let origins: Vec<Origin> = (0..2).map(|_| Origin::http(|_, _| signed("one", b"x"))).collect();
    let pool = "backends_file = \"FOLDER/backends.json\"";
    let first = origins[0].address;
    let operated = Operated::start(&config(&[first], pool, QUICK));
    let file = operated.file.with_file_name("backends.json");
    let second = origins[1].address;
    std::fs::write(&file, format!("[{{\"address\": \"{second}\", \"weight\": 5}}]"))
        .expect("written");
    operated.await_standing(second, "serving");
    assert_eq!(operated.backend(second)["source"], "file");
    assert_eq!(operated.backend(second)["weight"], 5);
    std::fs::write(&file, "[{\"address\": ").expect("written");
    await_that("the fault is told", || {
        let events = operated.done(&["events", "--json"]);
        events.matches("source_failed").count() == 2
    });
    assert_eq!(operated.backend(second)["standing"], "serving", "what it said before holds");
    std::fs::write(&file, "[[backend]]\nadress = \"10.0.0.1:80\"\n".repeat(500)).expect("written");
    await_that("the first faults are told", || {
        operated.done(&["events", "--json"]).contains("unknown key `adress`")
    });
    assert!(operated.asked("GET /events", "").len() < 16_384, "and not all that are the same");
    std::fs::write(&file, "[]").expect("written");
    await_that("it is gone", || operated.backend(second).is_null());
    assert_eq!(operated.backend(first)["standing"], "serving");
}

#[test]
fn a_plan_ends_what_no_other_source_tells_of() {
    let origins: Vec<Origin> = (0..2).map(|_| Origin::http(|_, _| signed("one", b"x"))).collect();
    let [first, second] = [origins[0].address, origins[1].address];
    let file = "backends_file = \"FOLDER/backends.json\"";
    let pool = format!("{file}\nalgorithm = \"round-robin\"");
    let operated = Operated::start_with(&config(&[first], &pool, QUICK), |folder, _| {
        let list = format!("[\"{first}\", \"{second}\"]");
        std::fs::write(folder.join("backends.json"), list).expect("written");
    });
    operated.await_standing(second, "serving");
    let connections = |address| operated.backend(address)["connections"].as_u64();
    await_that("each has a connection", || {
        operated.ringway.status_of("/");
        [first, second].map(connections).iter().all(|count| *count > Some(0))
    });
    let [of_first, of_second] = [first, second].map(connections);
    let planned = |text: &str| {
        operated.rewrite(text);
        let answer = operated.asked("POST /plan", "");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let plan: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let [change] = &plan["changes"].as_array().expect("a list")[..] else { panic!("{plan}") };
        let what = change["what"].as_str().expect("text").to_owned();
        (what, change["ends"] == true, change["backend_connections"].as_u64())
    };
    let path = operated.file.with_file_name("backends.json");
    let without_file = config(&[first], "algorithm = \"round-robin\"", QUICK);
    let file = format!("pool app: backends_file {}", path.display());
    assert_eq!(planned(&without_file), (file, true, of_second), "without the first");
    let backend = format!("pool app: backend {first}");
    assert_eq!(planned(&config(&[], &pool, QUICK)), (backend, false, of_first), "it stays");

    operated.done(&["reload"]);
    assert_eq!(operated.backend(first)["source"], "file");
    operated.rewrite(&without_file);
    operated.done(&["reload"]);
    await_that("it is gone", || operated.backend(second).is_null());
    assert_eq!(operated.backend(first)["source"], "config");
}

#[test]
fn a_watched_file_that_is_a_pipe_holds_nobody() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let pool = "backends_file = \"FOLDER/backends.json\"";
    let operated = Operated::start_with(&config(&[origin.address], pool, QUICK), |folder, _| {
        let made = Command::new("mkfifo").arg(folder.join("backends.json")).status();
        assert!(made.expect("mkfifo is installed").success());
    });
    await_that("it is told", || {
        operated.done(&["events", "--json"]).contains("not a regular file")
    });
    assert_eq!(operated.json(&["status"])["phase"], "serving");
}

#[test]
fn a_watched_file_that_could_not_be_read_is_read_again_though_it_has_not_changed() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let pool = "backends_file = \"FOLDER/backends.json\"";
    let operated = Operated::start(&config(&[], pool, QUICK));
    let file = operated.file.with_file_name("backends.json");
    let good = format!("[\"{}\"]", origin.address);
    let put = |text: &str| {
        let new = file.with_extension("new");
        std::fs::write(&new, text).expect("written");
        let opened = std::fs::File::options().write(true).open(&new).expect("it is there");
        opened.set_modified(std::time::UNIX_EPOCH).expect("allowed");
        std::fs::rename(new, &file).expect("moved");
    };
    put(&"x".repeat(good.len()));
    await_that("it is told", || {
        operated.done(&["events", "--json"]).matches("source_failed").count() == 2
    });
    put(&good);
    operated.await_standing(origin.address, "serving");
}
