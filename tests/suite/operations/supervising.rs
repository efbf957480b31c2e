//! What monitors and systemd are told when a shard hangs.

use super::held_thread::HeldThread;
use super::interface::{ask, with_questions};
use super::{QUICK, config};
use crate::loopback::harness::{Origin, PATIENCE, await_that, command, ok};
use crate::loopback::load::Operated;
use serde_json::Value;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

/// The number of a thread of the process, by its name.
fn thread(operated: &Operated, name: &str) -> u32 {
    let folder = format!("/proc/{}/task", operated.ringway.pid());
    let threads = std::fs::read_dir(folder).expect("it runs").map_while(Result::ok);
    let is_it = |entry: &std::fs::DirEntry| {
        let comm = std::fs::read_to_string(entry.path().join("comm"));
        comm.is_ok_and(|comm| comm.trim_end() == name)
    };
    let found = threads.filter(is_it).filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    found.last().expect("there is one of this name")
}

#[test]
fn live_names_the_shard_that_hangs() {
    let (_origin, operated, address) = with_questions("");
    let live = || {
        let (status, text) = ask(address, "GET /live");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        let shards = answer["shards"].as_array().expect("of each shard").clone();
        let alive: Vec<bool> = shards.iter().map(|shard| shard["alive"] == true).collect();
        (status, alive)
    };
    let shards = live().1.len();
    await_that("all are alive", || live() == (200, vec![true; shards]));
    let held = HeldThread::of(thread(&operated, "shard-0"));
    let mut expected = vec![true; shards];
    expected[0] = false;
    await_that("it is missed, and no other", || live() == (503, expected.clone()));
    drop(held);
    await_that("it is back", || live() == (200, vec![true; shards]));
}

/// What the process tells systemd, as it comes. Read all the time: a full socket would hold the
/// process.
fn told(socket: &Path) -> Receiver<String> {
    let hears = UnixDatagram::bind(socket).expect("a socket");
    hears.set_read_timeout(Some(PATIENCE)).expect("allowed");
    let (sender, told) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(length) = hears.recv(&mut buffer) {
            if sender.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_err() {
                return;
            }
        }
    });
    told
}

#[test]
fn the_watchdog_is_fed_while_every_shard_turns_and_not_while_one_hangs() {
    let is_well = Arc::new(AtomicBool::new(true));
    let shown = is_well.clone();
    let origin = Origin::http(move |_, _| match shown.load(Ordering::SeqCst) {
        true => ok(b"x"),
        false => b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
    });
    let mut hears = None;
    let text = config(&[origin.address], "", &format!("{QUICK}path = \"/\"\n"));
    // So often that there is a sign of life whenever the coordinator looks around.
    let operated = Operated::start_with(&text, |folder, command| {
        let socket = folder.join("notify");
        hears = Some(told(&socket));
        command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "2");
    });
    let hears = hears.expect("it was prepared");
    let said_until = |what: &str| {
        let mut said = Vec::new();
        while !said.last().is_some_and(|last: &String| last.contains(what)) {
            said.push(hears.recv_timeout(PATIENCE).expect("it says more"));
        }
        said
    };
    let healthy = |count: usize| format!("STATUS=serving: 0 connections, {count} of 1 backends");
    let feeds = |said: &[String]| said.iter().filter(|said| said.contains("WATCHDOG=1")).count();
    said_until(&healthy(1));
    said_until("WATCHDOG=1");

    let held = HeldThread::of(thread(&operated, "shard-0"));
    await_that("it is missed", || operated.asked("GET /live", "").starts_with("HTTP/1.1 503"));
    is_well.store(false, Ordering::SeqCst);
    said_until(&healthy(0));
    is_well.store(true, Ordering::SeqCst);
    let said = said_until(&healthy(1));
    assert_eq!(feeds(&said), 0, "the coordinator is awake, but a shard hangs: {said:?}");
    drop(held);
    said_until("WATCHDOG=1");
    is_well.store(false, Ordering::SeqCst);
    let said = said_until(&healthy(0));
    assert!(feeds(&said) > 0, "it is fed again: {said:?}");
}

/// Prepares the process to tell what `told` hears, through a shell that sets a limit first.
fn limited(folder: &Path, command: &mut Command, limit: &str) -> Receiver<String> {
    let socket = folder.join("notify");
    let hears = told(&socket);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")]).arg(command.get_program());
    shell.args(command.get_args()).env("NOTIFY_SOCKET", socket);
    *command = shell;
    hears
}

#[test]
fn nobody_is_told_that_it_is_ready_before_every_shard_is() {
    let origin = Origin::saying("hello");
    let sizes = |entries: u32| {
        format!(
            "[runtime]\nring_entries = {entries}\nbuffers_per_shard = 32768\n\
             buffer_size = \"64KiB\"\nshards = 1\n"
        )
    };
    let start = |entries: u32| {
        let mut hears = None;
        let operated =
            Operated::begin(&config(&[origin.address], "", &sizes(entries)), |folder, command| {
                // Less than the buffers of one shard: 2 GiB.
                hears = Some(limited(folder, command, "ulimit -v 1500000"));
            });
        (operated, hears.expect("it was prepared"))
    };
    // The smallest ring is not made smaller, so there is nothing to try.
    let (mut operated, hears) = start(64);
    assert_eq!(operated.ringway.wait(), Some(1));
    let said: Vec<String> = hears.try_iter().collect();
    assert!(!said.iter().any(|said| said.contains("READY=1")), "{said:?}");
    // A larger one is, and then there is room.
    let (operated, hears) = start(4096);
    while !hears.recv_timeout(PATIENCE).expect("it is ready").contains("READY=1") {}
    assert_eq!(operated.ringway.status_of("/"), 200);
}

#[test]
fn too_little_address_space_is_told_and_does_not_abort() {
    for kibibytes in [100_000, 120_000, 140_000] {
        let ringway = command();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -v {kibibytes}; exec \"$0\" \"$@\"")]);
        shell.arg(ringway.get_program()).args(["run", "--shards", "2", "--backend", "127.0.0.1:9"]);
        let ended = shell.args(["--listen", "127.0.0.1:0"]).output().expect("a shell");
        assert_eq!(ended.status.code(), Some(1), "{kibibytes} KiB: {ended:?}");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains("(RLIMIT_AS)") && said.contains("ulimit -v unlimited"), "{said}");
    }
}

#[test]
fn a_start_that_waits_for_a_probe_ends_at_the_first_signal() {
    let origin = Origin::start(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let probe = "[pool.app.health]\nprotocol = \"http\"\ninterval = \"1m\"\ntimeout = \"1m\"\n";
    for signal in ["-TERM", "-INT"] {
        let text = config(&[origin.address], "", probe);
        let mut operated = Operated::begin(&text, |_, _| {});
        await_that("it answers", || operated.json(&["status"])["phase"] == "starting");
        operated.ringway.signal(signal);
        assert_eq!(operated.ringway.wait(), Some(0));
    }
}
