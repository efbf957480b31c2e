//! How connections are spread over the shards, and how many there may be over all of them.

use super::harness::*;
use super::load::{Operated, read_answer};
use ringway::sys::core;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// The values of a metric, one for each shard.
fn of_shards(operated: &Operated, name: &str) -> Vec<u64> {
    let text = operated.asked("GET /metrics", "");
    let series = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    let values = series.map(|line| line.rsplit_once(' ').expect("a value").1.parse());
    values.map(|value| value.expect("a number")).collect()
}

/// Clients that are served one after the other, and whose packets one core takes.
fn clients_on(core: usize, address: SocketAddr, clients: usize) -> Vec<TcpStream> {
    // On a thread of their own, which stays on that core until its end.
    let served = std::thread::spawn(move || {
        core::pin_thread(core).expect("a core of the process");
        let serve = |_| {
            let mut stream = connect(address);
            stream.write_all(GET).expect("sent");
            read_until(&mut stream, b"hello");
            stream
        };
        (0..clients).map(serve).collect()
    });
    served.join().expect("all are served")
}

#[test]
fn connections_come_to_the_shard_on_their_core_and_are_shared_with_the_other() {
    let origin = Origin::saying("hello");
    let text = config(&[origin.address], "[runtime]\nshards = 2\n");
    let text = text.replace("[[route]]", "steering = \"cpu\"\n[[route]]");
    let cores = core::allowed().expect("the kernel tells them");
    for (shard, core) in cores.into_iter().take(2).enumerate() {
        let operated = Operated::start(&text);
        let streams = clients_on(core, operated.ringway.address, 60);
        let held = of_shards(&operated, "ringway_shard_connections");
        assert_eq!(held.iter().sum::<u64>(), 60);
        assert!(held.iter().all(|count| *count >= 20), "{held:?}");
        let handed_over = of_shards(&operated, "ringway_connections_handed_over_total");
        assert_eq!(handed_over[1 - shard], 0, "not from the shard on the other core");
        assert_eq!(handed_over[shard], held[1 - shard], "{handed_over:?}, {held:?}");
        drop(streams);
    }
}

/// A client that has asked once and keeps its connection.
struct Client {
    stream: TcpStream,
    is_served: bool,
}

/// So many clients that connect and ask at the same moment.
fn all_at_once(address: SocketAddr, clients: usize) -> Vec<Client> {
    const THREADS: usize = 8;
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        let connecting = || {
            start.wait();
            let connect = |_| {
                let mut stream = connect(address);
                stream.write_all(GET).expect("the backlog takes it");
                stream.set_nonblocking(true).expect("set");
                Client { stream, is_served: false }
            };
            (0..clients / THREADS).map(connect).collect::<Vec<Client>>()
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(connecting)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it connects")).collect()
    })
}

/// Clients that have their answer by now.
fn served(clients: &mut [Client]) -> usize {
    for client in clients.iter_mut().filter(|client| !client.is_served) {
        match client.stream.read(&mut [0; 1024]) {
            Ok(0) => panic!("a client that should wait was sent away"),
            Ok(_) => client.is_served = true,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}"),
        }
    }
    clients.iter().filter(|client| client.is_served).count()
}

const MOST: usize = 50;

/// Clients of whom [`MOST`] are served at the same moment, and no more: the others wait, and have
/// their turn when some go.
fn are_served_in_turn(address: SocketAddr) {
    let mut clients = all_at_once(address, 120);
    let mut gone = 0;
    loop {
        let expected = MOST.min(120 - gone);
        await_that("all places are taken", || {
            let served = served(&mut clients);
            assert!(served <= MOST, "{served} are served, {MOST} may be");
            served == expected
        });
        if clients.is_empty() {
            return;
        }
        // Some go, and as many of those who wait have their turn.
        let before = clients.len();
        let mut leaving = 10;
        clients.retain(|client| {
            let stays = !client.is_served || leaving == 0;
            leaving -= usize::from(!stays);
            stays
        });
        gone += before - clients.len();
    }
}

#[test]
fn shards_together_serve_no_more_connections_than_there_may_be() {
    let origin = Origin::saying("hello");
    let arguments = ["--shards", "2", "--max-connections", "50"];
    let ringway = Ringway::start(&[origin.address], &arguments);
    are_served_in_turn(ringway.address);
}

/// A listener whose connections are limited, and one beside it, without more.
fn limited(protocol: &str, most: usize, origin: SocketAddr) -> String {
    let text = config(&[origin], "[runtime]\nshards = 2\n");
    let text = text.replace("\"http\"", &format!("\"{protocol}\"\nmax_connections = {most}"));
    text + "[[listener]]\nname = \"beside\"\naddress = \"LISTEN\"\n"
}

#[test]
fn connections_beyond_the_limit_of_their_listener_wait_and_those_of_others_do_not() {
    for protocol in ["http", "tcp"] {
        let origin = Origin::saying("hello");
        let operated = Operated::start(&limited(protocol, MOST, origin.address));
        let listeners = operated.json(&["status"])["listeners"].clone();
        let listeners = listeners.as_array().expect("listeners");
        let beside = listeners.iter().find(|one| one["name"] == "beside").expect("it listens");
        let beside = beside["address"].as_str().expect("text").parse().expect("an address");
        are_served_in_turn(operated.ringway.address);
        let held = all_at_once(operated.ringway.address, 64);
        let mut others = all_at_once(beside, 64);
        await_that("those of the other listener are served", || served(&mut others) == 64);
        drop((held, others));
        operated.await_nothing_left();
    }
}

#[test]
fn a_reload_changes_the_limit_of_a_listener() {
    let origin = Origin::saying("hello");
    let operated = Operated::start(&limited("tcp", 8, origin.address));
    let mut clients = all_at_once(operated.ringway.address, 64);
    for (most, expected) in [(24, 24), (16, 24), (0, 64)] {
        operated.rewrite(&limited("tcp", most, origin.address));
        let done = operated.done(&["reload"]);
        assert!(done.contains("max_connections"), "{done}");
        await_that("as many as may be are served", || {
            let served = served(&mut clients);
            assert!(served <= expected, "{served} are served, {expected} may be");
            served == expected
        });
    }
}

/// Requests that a backend works on at the same moment.
#[derive(Default)]
struct Busy {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Busy {
    fn begin(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn end(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A pool whose backend gets no more connections than `most`.
fn bounded(origin: SocketAddr, most: usize, more: &str) -> String {
    let pool = format!("[pool.all]\nmax_connections_per_backend = {most}\n[pool.all.health]");
    config(&[origin], &format!("[runtime]\nshards = 2\n{more}")).replace("[pool.all.health]", &pool)
}

#[test]
fn a_backend_works_on_no_more_requests_than_it_may_have_connections_and_the_others_get_503() {
    const MOST: usize = 3;
    let busy = Arc::new(Busy::default());
    let counted = busy.clone();
    let origin = Origin::http(move |_, _| {
        counted.begin();
        std::thread::yield_now();
        counted.end();
        ok(b"hello")
    });
    let operated = Operated::start(&bounded(origin.address, MOST, ""));
    let address = operated.ringway.address;
    let ask = |_| {
        let mut stream = BufReader::new(connect(address));
        let statuses = (0..200).map(|_| {
            stream.get_mut().write_all(GET).expect("sent");
            read_answer(&mut stream).expect("an answer").1
        });
        statuses.collect::<Vec<u16>>()
    };
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..16).map(|at| scope.spawn(move || ask(at))).collect();
        clients.into_iter().flat_map(|client| client.join().expect("it asks")).collect()
    });
    let answered = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert_eq!(answered + refused, statuses.len());
    assert!(answered > 0 && refused > 0, "{answered} of {} are answered", statuses.len());
    let most = busy.most.load(Ordering::SeqCst);
    assert!(most <= MOST, "{most} at the same moment, {MOST} may be");
    operated.await_nothing_left();
    await_that("no more than that are left idle", || {
        operated.metric("ringway_backend_connections") <= MOST as u64
    });
}

#[test]
fn an_idle_connection_of_one_shard_keeps_no_request_on_another_one_from_its_backend() {
    let origin = Origin::saying("hello");
    let text = bounded(origin.address, 1, "");
    let operated = Operated::start(&text.replace("[[route]]", "steering = \"cpu\"\n[[route]]"));
    let cores = core::allowed().expect("the kernel tells them");
    for round in 0..6 {
        let core = cores[round % cores.len().min(2)];
        clients_on(core, operated.ringway.address, 1);
        await_that("the other one is closed", || {
            operated.metric("ringway_backend_connections") == 1
        });
    }
}

#[test]
fn a_connection_for_a_backend_that_is_full_is_refused_and_logged_as_that() {
    let (held, holds) = std::sync::mpsc::channel();
    let held = std::sync::Mutex::new(held);
    let origin = Origin::start(move |stream| drop(held.lock().expect("no panic").send(stream)));
    let log = "[access_log]\npath = \"FOLDER/access\"\n";
    let text = bounded(origin.address, 2, log).replace("\"http\"", "\"tcp\"");
    let operated = Operated::start(&text);
    let address = operated.ringway.address;
    let first = [(); 2].map(|()| (connect(address), holds.recv().expect("it comes")));
    let mut third = connect(address);
    let error = third.read(&mut [0]).expect_err("no clean end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let access = operated.file.with_file_name("access");
    await_that("it is logged", || {
        let text = std::fs::read_to_string(&access).expect("text");
        text.contains("\"failure\":\"backends_full\"")
    });
    drop(first);
    await_that("both places are free", || operated.metric("ringway_backend_connections") == 0);
    let _next = (connect(address), holds.recv().expect("it comes"));
}
