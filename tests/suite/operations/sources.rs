//! Backends by DNS name, and from a watched file.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, await_that};
use crate::loopback::load::{Operated, signed};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// An answer's record: what is asked for, and its data in wire form.
#[derive(Clone)]
struct Answer {
    name: &'static str,
    kind: u16,
    data: Vec<u8>,
}

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;

fn a(name: &'static str, ip: Ipv4Addr) -> Answer {
    Answer { name, kind: A, data: ip.octets().to_vec() }
}

fn srv(name: &'static str, priority: u16, weight: u16, port: u16, target: &str) -> Answer {
    let mut data = Vec::new();
    [priority, weight, port].iter().for_each(|number| data.extend(number.to_be_bytes()));
    for label in target.split('.') {
        data.push(label.len() as u8);
        data.extend(label.as_bytes());
    }
    data.push(0);
    Answer { name, kind: SRV, data }
}

/// Asked for this, the server says that it has failed (SERVFAIL).
fn failing(name: &'static str, kind: u16) -> Answer {
    Answer { name, kind, data: Vec::new() }
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
    let matching: Vec<&Answer> =
        answers.iter().filter(|answer| answer.name == name && answer.kind == kind).collect();
    let has_failed = matching.iter().any(|answer| answer.data.is_empty());
    let matching = if has_failed { Vec::new() } else { matching };
    let mut reply = query[..2].to_vec();
    reply.extend([
        0x81,
        if has_failed { 0x82 } else { 0x80 },
        0,
        1,
        0,
        matching.len() as u8,
        0,
        0,
        0,
        0,
    ]);
    reply.extend(question);
    for answer in matching {
        reply.extend([0xc0, 12]);
        reply.extend(answer.kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 1]);
        reply.extend((answer.data.len() as u16).to_be_bytes());
        reply.extend(&answer.data);
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
    await_that("a failure is told", || operated.done(&["events"]).contains("source_failed"));
    assert_eq!(operated.ringway.status_of("/"), 200, "the last good answer holds");
    server.say(Some(vec![a("app.test", one)]));
    await_that("it is asked again", || operated.backend(second).is_null());
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
    let answers = |origin: usize| operated.backend(origins[origin].address)["answers"]["2xx"].clone();
    assert!(answers(0).as_u64() > Some(0) && answers(1).as_u64() > Some(0));
    assert_eq!(answers(2), 0, "a lower priority waits");
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
    await_that("a failure is told", || operated.done(&["events"]).contains("two.test"));
    // What comes with the next answer shows that there was one after the failure.
    let third = a("one.test", Ipv4Addr::new(127, 0, 0, 3));
    server.say(Some([&records[..], &[one.clone(), third], &failing[..]].concat()));
    let third = SocketAddr::from(([127, 0, 0, 3], address(0).port()));
    await_that("it is asked again", || !operated.backend(third).is_null());
    assert_eq!(operated.backend(address(1))["standing"], "serving");
    let events = operated.done(&["events"]);
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
    assert!(operated.done(&["events"]).contains("source_failed"));
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
    await_that("it is told", || operated.done(&["events"]).contains("no DNS resolver"));
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
        let events = operated.done(&["events"]);
        events.matches("source_failed").count() == 2
    });
    assert_eq!(operated.backend(second)["standing"], "serving", "what it said before holds");
    std::fs::write(&file, "[]").expect("written");
    await_that("it is gone", || operated.backend(second).is_null());
    assert_eq!(operated.backend(first)["standing"], "serving");
}

#[test]
fn a_watched_file_that_is_a_pipe_holds_nobody() {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let pool = "backends_file = \"FOLDER/backends.json\"";
    let operated = Operated::start_with(&config(&[origin.address], pool, QUICK), |folder, _| {
        let made = Command::new("mkfifo").arg(folder.join("backends.json")).status();
        assert!(made.expect("mkfifo is installed").success());
    });
    await_that("it is told", || operated.done(&["events"]).contains("not a regular file"));
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
    await_that("it is told", || operated.done(&["events"]).matches("source_failed").count() == 2);
    put(&good);
    operated.await_standing(origin.address, "serving");
}
