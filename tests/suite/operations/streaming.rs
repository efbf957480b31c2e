//! Commands that go on printing, and readers who go away.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, PATIENCE, command};
use crate::loopback::load::{Operated, signed};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// A command that runs until this is dropped, and what it prints.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(operated: &Operated, arguments: &[&str]) -> Self {
        let mut command = command();
        command.args(arguments).arg("--admin").arg(&operated.socket);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let printed = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in printed.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("it prints more")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn operated() -> (Origin, Operated) {
    let origin = Origin::http(|_, _| signed("one", b"x"));
    let operated = Operated::start(&config(&[origin.address], "", QUICK));
    (origin, operated)
}

#[test]
fn events_are_followed_as_they_happen() {
    let (origin, operated) = operated();
    let address = origin.address.to_string();
    for is_json in [false, true] {
        let json = is_json.then_some("--json");
        let arguments: Vec<&str> = ["events", "--follow"].into_iter().chain(json).collect();
        let running = Running::start(&operated, &arguments);
        let serving = if is_json { "\"phase\":\"serving\"" } else { "phase=serving" };
        while !running.next().contains(serving) {}
        for state in ["drain", "ready"] {
            operated.done(&["backend", state, "app", &address]);
            let line = loop {
                let line = running.next();
                if line.contains("ordered") && line.contains(state) {
                    break line;
                }
            };
            assert!(line.contains(&address), "{line}");
            if is_json {
                let event: Value = serde_json::from_str(&line).expect("an event is a line");
                assert_eq!(event["order"], state);
            }
        }
    }
}

#[test]
fn top_prints_a_status_on_a_line_again_and_again() {
    let (_origin, operated) = operated();
    let running = Running::start(&operated, &["top", "--json", "--interval", "10ms"]);
    let mut uptime = 0;
    for _ in 0..3 {
        let status: Value = serde_json::from_str(&running.next()).expect("JSON on a line");
        assert_eq!(status["phase"], "serving");
        let now = status["uptime_ms"].as_u64().expect("a number");
        assert!(now > uptime, "each is a new look");
        uptime = now;
    }
}

#[test]
fn top_lives_on_a_terminal_until_it_is_told_to_end() {
    let (_origin, operated) = operated();
    let live = format!(
        "stty rows 40 cols 150; exec {} top --interval 50ms --admin {}",
        env!("CARGO_BIN_EXE_ringway"),
        operated.socket.display()
    );
    let script = Command::new("script")
        .args(["--quiet", "--return", "--command", &live, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut script) = script else {
        eprintln!("skipped: `script` (util-linux), which makes a terminal, is not installed");
        return;
    };
    let mut shown = script.stdout.take().expect("piped");
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    let has = |text: &[u8], part: &str| String::from_utf8_lossy(text).contains(part);
    while !(has(&text, "BACKEND") && has(&text, "serving")) {
        match shown.read(&mut buffer) {
            Ok(length @ 1..) => text.extend_from_slice(&buffer[..length]),
            _ => panic!("it ended after {:?}", String::from_utf8_lossy(&text)),
        }
    }
    script.stdin.take().expect("piped").write_all(b"q").expect("it runs");
    let _ = std::io::copy(&mut shown, &mut std::io::sink());
    assert_eq!(script.wait().expect("our child").code(), Some(0));
}

#[test]
fn who_reads_no_further_is_no_error() {
    let (_origin, operated) = operated();
    let socket = operated.socket.to_str().expect("text");
    for arguments in [
        &["config", "dump", "--listen", "127.0.0.1:80", "--backend", "127.0.0.1:81"][..],
        &["status", "--admin", socket],
        &["events", "--follow", "--admin", socket],
        &["top", "--json", "--admin", socket],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = command().args(arguments).stdout(writer).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{arguments:?}");
    }
}
