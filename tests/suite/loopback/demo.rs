//! `ringway demo`: what it prints works when it is copied.

use super::harness::*;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};

/// A demo that runs, and what it printed.
struct Demo {
    child: Child,
    text: String,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut demo = command();
        demo.args(["demo", "--listen", "127.0.0.1:0"]).args(arguments);
        let mut child = demo.stdout(Stdio::piped()).spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut text = String::new();
        while !text.contains("Ctrl-C") {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {text}"));
            text += &format!("{}\n", line.expect("text"));
        }
        Self { child, text }
    }

    /// What follows `before` in the text, up to the next blank.
    fn word(&self, before: &str) -> &str {
        let found =
            self.text.split_once(before).and_then(|(_, rest)| rest.split_whitespace().next());
        found.unwrap_or_else(|| panic!("{before} is not in {}", self.text))
    }

    fn listener(&self) -> SocketAddr {
        self.word("listens on http://").parse().expect("an address")
    }

    /// Runs a line of the text that has `part`, as a shell does; without its comment.
    fn run(&self, part: &str) -> Output {
        let line = self.text.lines().find(|line| line.contains(part));
        let line = line.unwrap_or_else(|| panic!("{part} is not in {}", self.text));
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).env("RINGWAY_ADMIN", self.socket()).output().expect("a shell")
    }

    fn socket(&self) -> &str {
        self.word("export RINGWAY_ADMIN=")
    }

    fn standing(&self) -> String {
        let backend = self.word("backend drain default ").to_owned();
        let mut list = command();
        list.args(["backend", "list", "--admin", self.socket()]);
        let output = list.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().find(|line| line.contains(&backend)).unwrap_or_default().to_owned()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(self.socket());
    }
}

#[test]
fn with_tls_the_demo_makes_a_certificate_and_removes_it_in_the_end() {
    let mut demo = Demo::start(&["--tls"]);
    let asked = demo.run("curl --cacert");
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert!(asked.status.success() && said.contains("X-Forwarded-Proto: https"), "{asked:?}");
    let explained = demo.run("explain GET https://");
    assert!(explained.status.success(), "{explained:?}");
    await_that("it has traffic of its own", || {
        let output = demo.run(" status ");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("https"), "{text}");
        let mut list = command();
        let output = list.args(["backend", "list", "--json", "--admin", demo.socket()]).output();
        let pools: serde_json::Value =
            serde_json::from_slice(&output.expect("it runs").stdout).unwrap_or_default();
        pools[0]["requests"].as_u64().unwrap_or(0) > 20
    });
    let file = demo.word("--cacert ").to_owned();
    assert!(std::path::Path::new(&file).exists(), "{file}");
    let id = demo.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill").success());
    assert!(demo.child.wait().expect("it is our child").success());
    assert!(!std::path::Path::new(&file).exists(), "{file} remains");
}

#[test]
fn the_commands_that_the_demo_prints_do_what_it_says() {
    let demo = Demo::start(&[]);
    let mut stream = connect(demo.listener());
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").expect("sent");
    assert_eq!(status(&read_to_end(&mut stream)), 200);
    await_that("it has traffic of its own", || {
        let output = demo.run(" status ");
        output.status.success() && {
            let mut list = command();
            let output =
                list.args(["backend", "list", "--json", "--admin", demo.socket()]).output();
            let output = output.expect("it runs").stdout;
            let pools: serde_json::Value = serde_json::from_slice(&output).unwrap_or_default();
            pools[0]["requests"].as_u64().unwrap_or(0) > 20
        }
    });
    let drained = demo.run("backend drain");
    assert!(drained.status.success(), "{drained:?}");
    await_that("one is out", || demo.standing().contains("draining"));
    let explained = demo.run("explain GET");
    assert!(explained.status.success(), "{explained:?}");
    assert!(demo.run("backend ready").status.success());
    await_that("and back", || !demo.standing().contains("draining"));
}

#[test]
fn a_port_that_is_taken_is_an_error_and_no_banner() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = command().args(["demo", "--listen", &address]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{said}");
    assert!(said.contains(&address), "{said}");
}
