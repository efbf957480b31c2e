//! Commands that go on printing, and readers who go away.

use super::{QUICK, config};
use crate::loopback::harness::{Origin, PATIENCE, command};
use crate::loopback::load::{Operated, signed};
use serde_json::Value;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

/// A command that runs until this is dropped, and what it prints, as it comes.
struct Running {
    child: Child,
    printed: Receiver<Vec<u8>>,
    /// Printed, and not asked for yet.
    rest: Vec<u8>,
}

impl Running {
    fn start(operated: &Operated, arguments: &[&str]) -> Self {
        let mut command = command();
        command.args(arguments).arg("--admin").arg(&operated.socket);
        Self::spawn(command).expect("it runs")
    }

    fn spawn(mut command: Command) -> std::io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut stdout = child.stdout.take().expect("piped");
        let (sender, printed) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, printed, rest: Vec::new() })
    }

    /// What is printed until `end` is.
    fn until(&mut self, end: &str) -> String {
        loop {
            let found = self.rest.windows(end.len()).position(|part| part == end.as_bytes());
            if let Some(at) = found {
                let text: Vec<u8> = self.rest.drain(..at + end.len()).collect();
                return String::from_utf8_lossy(&text).into_owned();
            }
            let more = self.printed.recv_timeout(PATIENCE);
            let so_far = String::from_utf8_lossy(&self.rest);
            let more = more.unwrap_or_else(|_| panic!("{end} does not come after {so_far:?}"));
            self.rest.extend(more);
        }
    }

    fn line(&mut self) -> String {
        self.until("\n")
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
        let mut running = Running::start(&operated, &arguments);
        let serving = if is_json { "\"phase\":\"serving\"" } else { "is serving now" };
        while !running.line().contains(serving) {}
        for state in ["drain", "ready"] {
            operated.done(&["backend", state, "app", &address]);
            let line = loop {
                let line = running.line();
                if line.contains("order") && line.contains(state) && line.contains(&address) {
                    break line;
                }
            };
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
    let mut running = Running::start(&operated, &["top", "--json", "--interval", "10ms"]);
    let mut uptime = 0;
    for _ in 0..3 {
        let status: Value = serde_json::from_str(&running.line()).expect("JSON on a line");
        assert_eq!(status["phase"], "serving");
        let now = status["uptime_ms"].as_u64().expect("a number");
        assert!(now > uptime, "each is a new look");
        uptime = now;
    }
}

#[test]
fn top_once_prints_one_status_on_one_line() {
    let (_origin, operated) = operated();
    let printed = operated.done(&["top", "--once", "--json"]);
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let status: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(status["phase"], "serving");
}

#[test]
fn top_lives_on_a_terminal_until_it_is_told_to_end() {
    let (_origin, operated) = operated();
    let live = format!(
        "stty rows 40 cols 150; exec {} top --interval 50ms --admin {}",
        env!("CARGO_BIN_EXE_ringway"),
        operated.socket.display()
    );
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &live, "/dev/null"]).env("TERM", "xterm");
    let Ok(mut running) = Running::spawn(script) else {
        eprintln!("skipped: `script` (util-linux), which makes a terminal, is not installed");
        return;
    };
    for part in ["SHARD", "BACKEND", "serving"] {
        running.until(part);
    }
    running.child.stdin.as_mut().expect("piped").write_all(b"q").expect("it runs");
    let end = loop {
        if let Err(end) = running.printed.recv_timeout(PATIENCE) {
            break end;
        }
    };
    assert_eq!(end, RecvTimeoutError::Disconnected, "it ends, and is not only silent");
    assert_eq!(running.child.wait().expect("our child").code(), Some(0));
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
