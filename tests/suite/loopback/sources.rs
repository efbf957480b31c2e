//! The address that connections to backends come from: one of this machine, or the client's.

use super::harness::*;
use super::load::Operated;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The address that its peer sees of the other end of a connection.
fn seen(stream: &TcpStream) -> String {
    stream.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default()
}

/// Answers each request, or the first bytes of a connection, with the address that it comes from.
fn naming_origin() -> Origin {
    Origin::start(|mut stream| {
        let (peer, mut buffer) = (seen(&stream), [0; 4096]);
        while matches!(stream.read(&mut buffer), Ok(1..)) {
            let answer = ok(peer.as_bytes());
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    })
}

#[test]
fn connections_and_probes_come_from_the_address_of_the_pool() {
    for protocol in ["http", "tcp"] {
        let origin = naming_origin();
        let pool = "[pool.all]\nsource = \"127.0.0.9\"\n[pool.all.health]";
        let text = config(&[origin.address], "[runtime]\nshards = 1\n");
        let text = text.replace("[pool.all.health]", pool);
        let text = text.replace("\"http\"", &format!("\"{protocol}\""));
        let operated = Operated::start(&text);
        let mut stream = operated.ringway.connect();
        for _ in 0..3 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
            assert!(read_until(&mut stream, b"127.0.0.9").starts_with(b"HTTP/1.1 200"));
        }
        assert_eq!(origin.connections(), 1, "it is kept as others are");
    }
    let (seen_by_probes, probed) = std::sync::mpsc::channel();
    let seen_by_probes = std::sync::Mutex::new(seen_by_probes);
    let origin = Origin::start(move |mut stream| {
        // It waits for its answer.
        if matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
            let _ = seen_by_probes.lock().expect("no panic").send(seen(&stream));
        }
    });
    let text = config(&[origin.address], "[pool.all]\nsource = \"127.0.0.9\"\n");
    let _ringway = Ringway::with_config(&text.replace("\"none\"", "\"http\""));
    assert_eq!(probed.recv_timeout(PATIENCE).expect("a probe"), "127.0.0.9");
}

#[test]
fn a_source_that_the_machine_does_not_have_is_a_warning_and_no_fault_of_the_backend() {
    let origin = Origin::saying("x");
    let text = config(&[origin.address], "[pool.all]\nsource = \"192.0.2.1\"\n");
    let operated = Operated::start(&text);
    let log = operated.log();
    assert!(log.contains("pool.all.source: 192.0.2.1 is no address of this machine now"), "{log}");
    assert_eq!(operated.ringway.status_of("/"), 503);
    assert_eq!(operated.metric("ringway_upstream_no_source_total"), 1);
    assert_eq!(operated.backend(origin.address)["failures"], 0);
    operated.rewrite(&text.replace("192.0.2.1", "127.0.0.1"));
    operated.done(&["reload"]);
    assert_eq!(operated.ringway.status_of("/"), 200);
}

/// Runs a command with this machine's network and without privileges for it; none where a user may
/// not do that.
fn unprivileged(command: &Command) -> Option<Command> {
    let is_allowed = Command::new("unshare").args(["--user", "--map-root-user", "true"]).output();
    if !is_allowed.is_ok_and(|output| output.status.success()) {
        skipped("no user namespace can be made here");
        return None;
    }
    let mut unshared = Command::new("unshare");
    unshared.env_clear().args(["--user", "--map-root-user"]).arg(command.get_program());
    unshared.args(command.get_args());
    Some(unshared)
}

#[test]
fn without_the_privilege_for_the_clients_address_a_start_says_what_it_takes() {
    let folder = TempFolder::new();
    let origin: SocketAddr = ([127, 0, 0, 1], 9).into();
    let text = config(&[origin], "[pool.all]\nsource = \"client\"\n");
    let file = folder.write("ringway.toml", &text.replace("LISTEN", "127.0.0.1:0"));
    for verb in ["check", "run"] {
        let mut plain = command();
        plain.arg(verb).arg(&file);
        let Some(mut command) = unprivileged(&plain) else { return };
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{verb}: {said}");
        assert!(said.contains("pool all: `source = \"client\"` is not allowed here"), "{said}");
        assert!(said.contains("CAP_NET_ADMIN"), "{said}");
    }
}

// --- the client's address, in namespaces ---

/// A network namespace, which is gone with it.
struct Namespace(String);

impl Namespace {
    /// None if none can be made here: only root may.
    fn new() -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ringway-test-{}-{number}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        let is_made = made.is_ok_and(|output| output.status.success());
        is_made.then(|| {
            let namespace = Self(name);
            namespace.ip("link set lo up");
            namespace
        })
    }

    /// `ip` with these words, in the namespace.
    fn ip(&self, words: &str) {
        let mut ip = Command::new("ip");
        let output = ip.args(["-n", &self.0]).args(words.split(' ')).output().expect("it runs");
        assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A cable to another namespace, with an address of 10.NET.0.0/24 and of fd00:NET::/64 at each
    /// end.
    fn connect(&self, other: &Self, net: u8) {
        let (here, there) = (format!("to{net}"), format!("from{net}"));
        self.ip(&format!("link add {here} type veth peer name {there} netns {}", other.0));
        for (namespace, device, host) in [(self, here, 1), (other, there, 2)] {
            namespace.ip(&format!("addr add 10.{net}.0.{host}/24 dev {device}"));
            namespace.ip(&format!("addr add fd00:{net}::{host}/64 dev {device} nodad"));
            namespace.ip(&format!("link set {device} up"));
            let gateway = format!("route add default via 10.{net}.0.1");
            let gateway6 = format!("-6 route add default via fd00:{net}::1");
            if host == 2 {
                [gateway, gateway6].iter().for_each(|words| namespace.ip(words));
            }
        }
    }

    /// A command that runs in the namespace.
    fn command(&self, inner: &Command) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(inner.get_program()).args(inner.get_args());
        command
    }

    /// Starts [`namespaced_peer`] there.
    fn start_peer(&self, task: &str) -> Child {
        let mut test = Command::new(std::env::current_exe().expect("this binary"));
        test.args(["--exact", "loopback::sources::namespaced_peer", "--nocapture"]);
        let mut command = self.command(&test);
        command.env("RINGWAY_TEST_PEER", task).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command.spawn().expect("this binary runs")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Not a test of its own: a server, or a client, in a namespace. `serve ADDRESS` answers each
/// request with the address that it comes from, `ask ADDRESS` prints the answer to one.
#[test]
#[allow(clippy::print_stdout)]
fn namespaced_peer() {
    let Some(task) = std::env::var("RINGWAY_TEST_PEER").ok() else { return };
    let (what, address) = task.split_once(' ').expect("a task");
    let address: SocketAddr = address.parse().expect("IP:PORT");
    if what == "ask" {
        let mut stream = connect(address);
        let get = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
        stream.write_all(get).expect("sent");
        println!("heard {}", String::from_utf8_lossy(body(&read_to_end(&mut stream))));
        return;
    }
    let listener = TcpListener::bind(address).expect("an address of the namespace");
    for mut stream in listener.incoming().map_while(Result::ok) {
        std::thread::spawn(move || {
            // A probe says nothing.
            if !matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
                return;
            }
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
            let peer = seen(&stream);
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{peer}", peer.len());
        });
    }
}

/// A process that is ended with it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn with_the_clients_address_a_backend_sees_the_client() {
    let namespaces = [(); 3].map(|()| Namespace::new());
    let [Some(balancer), Some(client), Some(server)] = namespaces else {
        skipped("no network namespace can be made here; that takes root and iproute2");
        return;
    };
    balancer.connect(&client, 1);
    balancer.connect(&server, 2);
    // What the server sends to the client comes to the balancer, and is its own.
    for family in ["-4", "-6"] {
        balancer.ip(&format!("{family} rule add iif to2 lookup 100"));
        balancer.ip(&format!("{family} route add local default dev lo table 100"));
    }
    for (own, backend, seen) in
        [("10.1.0.1", "10.2.0.2", "10.1.0.2"), ("[fd00:1::1]", "[fd00:2::2]", "fd00:1::2")]
    {
        let _server = Ended(server.start_peer(&format!("serve {backend}:9000")));
        for protocol in ["http", "tcp"] {
            let folder = TempFolder::new();
            let pool = "[runtime]\nshards = 2\n[pool.all]\nsource = \"client\"\n";
            let text = config(&[format!("{backend}:9000").parse().expect("an address")], pool);
            let text = text.replace("LISTEN", &format!("{own}:8000"));
            let text = text.replace("[pool.all.health]\nprotocol = \"none\"", "");
            let file =
                folder.write("ringway.toml", &text.replace("\"http\"", &format!("\"{protocol}\"")));
            let mut run = command();
            run.arg("run").arg(&file).arg("--admin").arg(folder.0.join("admin"));
            let _ringway = Ringway::spawn(balancer.command(&run), Some(folder));
            let heard = |_| {
                let asked = client.start_peer(&format!("ask {own}:8000"));
                let output = asked.wait_with_output().expect("it ends");
                let text = String::from_utf8(output.stdout).expect("text");
                text.lines().find_map(|line| Some(line.split_once("heard ")?.1.to_owned()))
            };
            let heard: Vec<_> = (0..3).map(heard).collect();
            assert_eq!(heard, vec![Some(seen.to_owned()); 3], "{protocol} over {own}");
        }
    }
}
