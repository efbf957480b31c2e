//! Network namespaces, and peers in them: for what takes a network of its own. Only root can make
//! them.

use super::harness::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A network namespace, which is gone with it.
pub struct Namespace(String);

impl Namespace {
    /// None if none can be made here: only root may.
    pub fn new() -> Option<Self> {
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
    pub fn ip(&self, words: &str) {
        let mut ip = Command::new("ip");
        let output = ip.args(["-n", &self.0]).args(words.split(' ')).output().expect("it runs");
        assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A cable to another namespace, with an address of 10.NET.0.0/24 and of fd00:NET::/64 at each
    /// end.
    pub fn connect(&self, other: &Self, net: u8) {
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
    pub fn command(&self, inner: &Command) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(inner.get_program()).args(inner.get_args());
        command
    }

    /// Starts [`namespaced_peer`] there.
    pub fn start_peer(&self, task: &str) -> Child {
        let mut test = Command::new(std::env::current_exe().expect("this binary"));
        test.args(["--exact", "loopback::namespaces::namespaced_peer", "--nocapture"]);
        let mut command = self.command(&test);
        command.env("RINGWAY_TEST_PEER", task).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command.spawn().expect("this binary runs")
    }
}

impl Namespace {
    /// A server in the namespace, which is listening.
    pub fn serve(&self, address: &str) -> Ended {
        let mut server = Ended(self.start_peer(&format!("serve {address}")));
        let output = server.0.stdout.take().expect("piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.ends_with("listens")), "it does not listen");
        std::thread::spawn(move || lines.for_each(drop));
        server
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Not a test of its own: a server, or a client, in a namespace. `serve ADDRESS` answers each
/// request with the address that it comes from, `ask ADDRESS` prints the answer to one, `hold
/// ADDRESS` connects and waits for the end.
#[test]
#[allow(clippy::print_stdout)]
fn namespaced_peer() {
    let Some(task) = std::env::var("RINGWAY_TEST_PEER").ok() else { return };
    let (what, address) = task.split_once(' ').expect("a task");
    let address: SocketAddr = address.parse().expect("IP:PORT");
    if what == "hold" {
        let _ = read_to_end(&mut connect(address));
        return;
    }
    if what == "ask" {
        let mut stream = connect(address);
        let get = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
        stream.write_all(get).expect("sent");
        println!("heard {}", String::from_utf8_lossy(body(&read_to_end(&mut stream))));
        return;
    }
    let socket =
        socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    // Another one may have served there a moment ago.
    socket.set_reuse_address(true).expect("set");
    socket.bind(&address.into()).expect("an address of the namespace");
    socket.listen(128).expect("it listens");
    let listener = TcpListener::from(socket);
    println!("it listens");
    for mut stream in listener.incoming().map_while(Result::ok) {
        std::thread::spawn(move || {
            // A probe says nothing.
            if !matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
                return;
            }
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
            let peer = stream.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{peer}", peer.len());
        });
    }
}

/// A process that is ended with it.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
