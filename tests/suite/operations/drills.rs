//! Backends that are drained, stand still or fail, down to the last one, while clients ask. Small
//! in a test, and of the full size in a drill (see `drilling`); RINGWAY_DRAINS sizes the first.

use super::config;
use crate::drilling::{self, record, size};
use crate::loopback::harness::{Origin, await_that, connect, read_request};
use crate::loopback::load::{Load, Operated, OriginProcess, field, read_answer, signed};
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

/// One line of a client's log.
struct Entry {
    began: Instant,
    ended: Instant,
    /// Status of a whole answer, or how the exchange broke.
    result: Result<u16, String>,
}

/// One drain, as whoever orders it sees it.
struct Drain {
    ordered: Instant,
    applied: Instant,
    recalled: Instant,
    back: Instant,
}

impl Drain {
    /// An answer of 503 may belong to it.
    fn explains(&self, entry: &Entry) -> bool {
        entry.ended >= self.ordered && entry.began <= self.back
    }

    /// The whole exchange lies where nobody was to be served.
    fn excludes(&self, entry: &Entry) -> bool {
        entry.began >= self.applied && entry.ended <= self.recalled
    }
}

/// What is wrong with a line of a log.
fn wrong(entry: &Entry, drains: &[Drain]) -> Option<String> {
    match &entry.result {
        Ok(200) if drains.iter().any(|drain| drain.excludes(entry)) => {
            Some("200 of a request that came after the drain was applied".to_owned())
        }
        Ok(503) if !drains.iter().any(|drain| drain.explains(entry)) => {
            Some("503, and no drain was ordered".to_owned())
        }
        Ok(200 | 503) => None,
        Ok(other) => Some(format!("status {other}")),
        Err(error) => Some(error.clone()),
    }
}

/// The answers that all clients have had so far.
#[derive(Default)]
struct Answers {
    is_over: AtomicBool,
    good: AtomicUsize,
    refused: AtomicUsize,
}

/// GET and POST in turn, over a connection that is kept as long as the front door keeps it.
fn log_answers(address: SocketAddr, answers: &Answers) -> Vec<Entry> {
    let requests = [
        "GET / HTTP/1.1\r\nHost: t\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello",
    ];
    let (mut log, mut kept) = (Vec::new(), None);
    while !answers.is_over.load(Ordering::Relaxed) {
        let mut reader = kept.take().unwrap_or_else(|| BufReader::new(connect(address)));
        let request = requests[log.len() % 2].as_bytes();
        let began = Instant::now();
        let sent = reader.get_mut().write_all(request).map_err(|error| error.to_string());
        let answer = sent.and_then(|()| read_answer(&mut reader));
        let ended = Instant::now();
        let result = answer.map(|(head, status)| {
            if field(&head, "Connection") != Some("close") {
                kept = Some(reader);
            }
            let count = if status == 200 { &answers.good } else { &answers.refused };
            count.fetch_add(1, Ordering::Relaxed);
            status
        });
        log.push(Entry { began, ended, result });
    }
    log
}

/// Drains the only backend of a pool again and again; the pool has these further keys. Returns the
/// drains and the lines of all logs, and counts what reaches the backend.
fn drain_the_last(
    keys: &str,
    turns: usize,
    asked: &'static AtomicUsize,
) -> (Vec<Drain>, Vec<Entry>) {
    let (arrived, has_arrived) = mpsc::channel::<()>();
    let (release, released) = mpsc::channel::<()>();
    let held = Mutex::new((arrived, released));
    let body = vec![b'x'; 20_000];
    let origin = Origin::http(move |head, _| {
        asked.fetch_add(1, Ordering::SeqCst);
        if head.starts_with("GET /held ") {
            let held = held.lock().expect("one at a time");
            held.0.send(()).expect("the test listens");
            held.1.recv().expect("the test lets it go");
        }
        signed("last", &body)
    });
    let more = "[pool.app.health]\nprotocol = \"none\"\n";
    let keys = format!("slow_start = \"0s\"\n{keys}");
    let operated = Operated::start(&config(&[origin.address], &keys, more));
    let line = format!("PUT /pools/app/backends/{}", origin.address);
    let order = |state: &str| {
        let answer = operated.asked(&line, &format!("{{\"state\": \"{state}\"}}"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    };
    let answers = Answers::default();
    let more_of = |count: &AtomicUsize| {
        let goal = count.load(Ordering::Relaxed) + 20;
        await_that("answers come", || count.load(Ordering::Relaxed) >= goal);
    };
    let turn = |_| {
        more_of(&answers.good);
        let mut client = BufReader::new(operated.ringway.connect());
        let began = Instant::now();
        client.get_mut().write_all(b"GET /held HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
        has_arrived.recv().expect("it is at the backend");
        let ordered = Instant::now();
        order("drain");
        let applied = Instant::now();
        more_of(&answers.refused);
        release.send(()).expect("it waits for that");
        let result = read_answer(&mut client).map(|(_, status)| status);
        assert_eq!(result, Ok(200), "what is at the backend finishes");
        let held = Entry { began, ended: Instant::now(), result };
        let recalled = Instant::now();
        order("ready");
        (Drain { ordered, applied, recalled, back: Instant::now() }, held)
    };
    std::thread::scope(|scope| {
        let client = || log_answers(operated.ringway.address, &answers);
        let clients: Vec<_> = (0..16).map(|_| scope.spawn(client)).collect();
        let (drains, mut log): (Vec<Drain>, Vec<Entry>) = (0..turns).map(turn).unzip();
        more_of(&answers.good);
        answers.is_over.store(true, Ordering::Relaxed);
        for client in clients {
            log.extend(client.join().expect("clients do not panic"));
        }
        operated.await_standstill("ringway_requests_total");
        let begun = ["ringway_upstream_connects_total", "ringway_upstream_reuses_total"];
        let begun = begun.map(|count| operated.metric(count)).iter().sum::<u64>();
        assert_eq!(begun, asked.load(Ordering::SeqCst) as u64, "what connects to it gets there");
        (drains, log)
    })
}

#[test]
fn drains_of_the_last_backend_fail_nothing_that_it_has_and_refuse_the_rest_whole() {
    // Without idle connections every request connects, so that each drain finds some at it.
    for (keys, name) in [("", "kept"), ("idle_connections = 0", "fresh")] {
        let asked: &AtomicUsize = Box::leak(Box::default());
        let turns = size("RINGWAY_DRAINS", 4, 100).div_ceil(2);
        let (drains, log) = drain_the_last(keys, turns, asked);
        let all_wrong: Vec<String> = log.iter().filter_map(|entry| wrong(entry, &drains)).collect();
        let first = &all_wrong[..all_wrong.len().min(3)];
        let count = |status| log.iter().filter(|entry| entry.result == Ok(status)).count();
        let met = log.iter().filter(|entry| {
            let is_met = |drain: &Drain| entry.began < drain.ordered && entry.ended > drain.ordered;
            entry.result == Ok(200) && drains.iter().any(is_met)
        });
        let drill = format!("drains of the last backend, {name} connections");
        record(&drill, "drains", drains.len());
        record(&drill, "200, 503", format!("{}, {}", count(200), count(503)));
        record(&drill, "200 that were under way at an order", met.count());
        // The shard had not read these when it heard of the drain: nothing of them had begun.
        let early = log.iter().filter(|entry| {
            let is_early =
                |drain: &Drain| entry.began < drain.ordered && entry.ended >= drain.ordered;
            entry.result == Ok(503) && drains.iter().any(is_early)
        });
        record(&drill, "503 of requests that were not read yet at an order", early.count());
        record(&drill, "wrong", all_wrong.len());
        assert!(all_wrong.is_empty(), "{} answers are wrong: {first:?}", all_wrong.len());
        assert_eq!(asked.load(Ordering::SeqCst), count(200), "what it gets, it answers, once");
    }
}

#[test]
fn a_backend_that_stands_still_fails_no_get_when_its_probe_finds_that() {
    let is_drill = drilling::duration().is_some();
    // However few requests come beside them, the reserve of the budget is enough for three.
    let (clients, probe, between, least) = match is_drill {
        true => (64, "500ms", "3s", Duration::from_secs(6)),
        false => (3, "1s", "10m", Duration::ZERO),
    };
    let origins: Vec<OriginProcess> = (0..3).map(|_| OriginProcess::start()).collect();
    let addresses: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
    // The kernel accepts connections for it all the same: a probe over TCP alone does not find it.
    let more = format!(
        "[pool.app.health]\npath = \"/1/1\"\ninterval = \"500ms\"\nfast_interval = \"100ms\"\n\
         timeout = \"{probe}\"\n\
         [timeouts]\nbetween_bytes = \"{between}\"\n"
    );
    let operated = Operated::start(&config(&addresses, "", &more));
    let load = Load::start(operated.ringway.address, clients, "/1/200");
    load.await_answers(1_000);
    let began = Instant::now();
    origins[1].signal("-STOP");
    operated.await_standing(addresses[1], "down");
    load.await_answers(500);
    while began.elapsed() < least {
        load.await_answers(100);
    }
    origins[1].signal("-CONT");
    operated.await_standing(addresses[1], "serving");
    load.await_answers(500);
    let seen = load.stop();
    let drill = "one of three stands still";
    record(drill, "answered", seen.answered);
    record(drill, "failed", seen.failed);
    record(drill, "sent again", operated.metric("ringway_retries_total"));
    let denied = operated.metric("ringway_retries_denied_total");
    assert_eq!(seen.failed, 0, "{denied} by the budget: {:?}", seen.failures);
}

/// Reads a request and counts it; answers, or resets the connection.
fn serve_or_reset(mut stream: TcpStream, is_failing: &AtomicBool, asked: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    while read_request(&mut reader).is_some() {
        asked.fetch_add(1, Ordering::SeqCst);
        if is_failing.load(Ordering::SeqCst) {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            return;
        }
        if stream.write_all(&signed("one", b"x")).is_err() {
            return;
        }
    }
}

#[test]
fn backends_that_all_fail_get_a_quarter_more_requests_than_clients_make_at_most() {
    const BACKENDS: usize = 3;
    let (clients, least) = match drilling::duration() {
        Some(lasts) => (64, lasts),
        None => (8, Duration::ZERO),
    };
    let is_failing: &AtomicBool = Box::leak(Box::default());
    let asked: &AtomicUsize = Box::leak(Box::default());
    let origin = |_| Origin::start(|stream| serve_or_reset(stream, is_failing, asked));
    let origins: Vec<Origin> = (0..BACKENDS).map(origin).collect();
    let addresses: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
    let more = "[runtime]\nshards = 1\n";
    let operated = Operated::start(&config(&addresses, "", more));
    let began = Instant::now();
    let load = Load::start(operated.ringway.address, clients, "/");
    load.await_answers(500);
    let (failing_since, before) = (Instant::now(), asked.load(Ordering::SeqCst));
    is_failing.store(true, Ordering::SeqCst);
    let felt = |more| asked.load(Ordering::SeqCst) >= before + more;
    await_that("the outage is felt", || felt(1_500));
    // A drill may last longer than one thing is waited for.
    for more in 1.. {
        if failing_since.elapsed() >= least {
            break;
        }
        await_that("it goes on", || felt(1_500 + more) || failing_since.elapsed() >= least);
    }
    let seen = load.stop();
    let (sent, asked) = (seen.answered + seen.failed, asked.load(Ordering::SeqCst));
    let drill = "all backends fail";
    let ratio = (asked - before) as f64 / seen.failed as f64;
    record(drill, "requests of clients that failed", seen.failed);
    record(drill, "requests at the backends meanwhile", asked - before);
    record(drill, "ratio", format!("{ratio:.3}"));
    // Beside the budget: three in each two spans of 2 s, and one for each connection that was idle.
    let reserve = 3 * (began.elapsed().as_secs() as usize / 4 + 2);
    let most = sent + sent / 4 + reserve + BACKENDS * clients;
    assert!(asked <= most, "{asked} requests at the backends for {sent} of clients");
    assert!(asked > before && seen.failed > 0, "it was an outage");
}
