//! Load on the front door, and origins that are processes of their own and can be killed.

use super::harness::{TempFolder, await_that, connect, ok, read_request, status};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

/// What clients saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Whole answers of 200.
    pub answered: usize,
    /// Whole answers of another status, and connections that broke in the middle of an exchange.
    pub failed: usize,
    /// The first failures, in words.
    pub failures: Vec<String>,
    /// Answers of 200 by the value of their X-Origin field.
    pub by_origin: HashMap<String, usize>,
    /// How long each answer of 200 took from its request on, microseconds.
    pub latencies_us: Vec<u32>,
}

impl Seen {
    /// Adds what others saw.
    pub fn join(&mut self, other: Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.latencies_us.extend(other.latencies_us);
        for (origin, count) in other.by_origin {
            *self.by_origin.entry(origin).or_default() += count;
        }
    }

    /// The latency that 99 of 100 answers did not exceed, microseconds; 0 without an answer.
    pub fn p99_us(&mut self) -> u32 {
        self.latencies_us.sort_unstable();
        self.latencies_us.get(self.latencies_us.len() * 99 / 100).copied().unwrap_or(0)
    }
}

/// Clients that ask again and again over connections that they keep, and open others where the
/// front door says that it closes them.
pub struct Load {
    clients: Vec<JoinHandle<Seen>>,
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl Load {
    pub fn start(address: SocketAddr, clients: usize, path: &str) -> Self {
        let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let client = |_| {
            let (is_over, answered) = (is_over.clone(), Arc::clone(&answered));
            let path = path.to_owned();
            let body = move || run_client(address, &path, &is_over, &answered);
            std::thread::Builder::new().stack_size(256 * 1024).spawn(body).expect("a thread")
        };
        let clients = (0..clients).map(client).collect();
        Self { clients, is_over, answered }
    }

    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits for so many more answers.
    pub fn await_answers(&self, more: usize) {
        let goal = self.answered() + more;
        await_that("it is served", || self.answered() >= goal);
    }

    pub fn stop(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for client in self.clients {
            all.join(client.join().expect("clients do not panic"));
        }
        all
    }
}

fn run_client(
    address: SocketAddr,
    path: &str,
    is_over: &AtomicBool,
    answered: &AtomicUsize,
) -> Seen {
    let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut seen = Seen::default();
    let mut connection: Option<BufReader<TcpStream>> = None;
    while !is_over.load(Ordering::Relaxed) {
        let mut reader = connection.take().unwrap_or_else(|| BufReader::new(connect(address)));
        let is_fresh = seen.answered + seen.failed == 0;
        let began = Instant::now();
        if let Err(error) = reader.get_mut().write_all(request.as_bytes()) {
            fail(&mut seen, format!("write: {error}, fresh: {is_fresh}"));
            continue;
        }
        match read_answer(&mut reader) {
            Ok((head, 200)) => {
                seen.answered += 1;
                seen.latencies_us.push(began.elapsed().as_micros() as u32);
                answered.fetch_add(1, Ordering::Relaxed);
                if let Some(origin) = field(&head, "X-Origin") {
                    *seen.by_origin.entry(origin.to_owned()).or_default() += 1;
                }
                if field(&head, "Connection") != Some("close") {
                    connection = Some(reader);
                }
            }
            Ok((head, _)) => fail(&mut seen, head),
            Err(error) => fail(&mut seen, error),
        }
    }
    seen
}

fn fail(seen: &mut Seen, why: String) {
    seen.failed += 1;
    if seen.failures.len() < 3 {
        seen.failures.push(why);
    }
}

/// A field of a head.
pub fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
}

/// A whole answer with a Content-Length: its head and status.
pub fn read_answer(reader: &mut BufReader<TcpStream>) -> Result<(String, u16), String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        match reader.read_line(&mut head) {
            Ok(0) => return Err(format!("closed after {head:?}")),
            Ok(_) => {}
            Err(error) => return Err(format!("{error} after {head:?}")),
        }
    }
    let length = field(&head, "Content-Length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).map_err(|error| format!("{error} in the body of {head:?}"))?;
    let status = status(head.as_bytes());
    Ok((head, status))
}

/// An answer that says which origin gave it.
pub fn signed(origin: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nX-Origin: {origin}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// An origin that is a process, and can be killed and started again on its address. It answers
/// `/CLIENT/LENGTH` with so many bytes.
pub struct OriginProcess {
    pub address: SocketAddr,
    child: Mutex<Option<Child>>,
}

impl OriginProcess {
    pub fn start() -> Self {
        // Loopback addresses of their own, so that nobody else gets the port while it is down.
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let ip = Ipv4Addr::new(127, 0, 7, NEXT.fetch_add(1, Ordering::Relaxed));
        let address = TcpListener::bind((ip, 0)).and_then(|l| l.local_addr());
        let origin = Self { address: address.expect("a port"), child: Mutex::new(None) };
        origin.restart();
        origin
    }

    pub fn restart(&self) {
        let child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "loopback::load::origin_process", "--nocapture"])
            .env("RINGWAY_TEST_ORIGIN", self.address.to_string())
            .stdout(Stdio::null())
            .spawn()
            .expect("this binary runs");
        *self.child.lock().expect("no panic") = Some(child);
        await_that("the origin listens", || TcpStream::connect(self.address).is_ok());
    }

    /// Sends it a signal, as `-STOP`.
    pub fn signal(&self, name: &str) {
        let child = self.child.lock().expect("no panic");
        let pid = child.as_ref().expect("it runs").id().to_string();
        let status = Command::new("kill").args([name, &pid]).status();
        assert!(status.expect("kill is installed").success());
    }

    /// As kill -9 does.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().expect("no panic").take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for OriginProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Not a test of its own: with an address in the environment it is an origin in a process of its
/// own.
#[test]
fn origin_process() {
    let Some(address) = std::env::var("RINGWAY_TEST_ORIGIN").ok() else { return };
    let address: SocketAddr = address.parse().expect("IP:PORT");
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    // Started again at once on the address of the one that was killed.
    socket.set_reuse_address(true).expect("allowed");
    socket.bind(&address.into()).expect("free");
    socket.listen(1024).expect("it listens");
    let listener: TcpListener = socket.into();
    let name = address.to_string();
    for stream in listener.incoming().map_while(Result::ok) {
        let name = name.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            let mut writer = stream;
            while let Some((head, _)) = read_request(&mut reader) {
                let mut numbers = head.split(['/', ' ']).filter_map(|word| word.parse().ok());
                let length = numbers.nth(1).unwrap_or(0_usize);
                if writer.write_all(&signed(&name, &vec![b'x'; length])).is_err() {
                    return;
                }
            }
        });
    }
}

/// An origin that echoes what comes after an upgrade, and answers other requests with 200.
pub fn echoing(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    while let Some((head, _)) = read_request(&mut reader) {
        if !head.to_ascii_lowercase().contains("upgrade: websocket") {
            if stream.write_all(&ok(b"plain")).is_err() {
                return;
            }
            continue;
        }
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\n\r\n";
        let _ = stream.write_all(switch);
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            if stream.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
        return;
    }
}

/// A tunnel through the front door to an echoing origin.
pub struct WebSocket(TcpStream);

impl WebSocket {
    pub fn open(address: SocketAddr) -> Self {
        let mut stream = connect(address);
        let request = b"GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\n\r\n";
        stream.write_all(request).expect("sent");
        let head = super::harness::read_until(&mut stream, b"\r\n\r\n");
        assert_eq!(status(&head), 101, "{}", String::from_utf8_lossy(&head));
        Self(stream)
    }

    /// True if what is sent comes back.
    pub fn echoes(&mut self, text: &str) -> bool {
        let mut back = vec![0; text.len()];
        self.0.write_all(text.as_bytes()).is_ok()
            && self.0.read_exact(&mut back).is_ok()
            && back == text.as_bytes()
    }
}

/// The sum of a metric in a text of `/metrics`.
fn sum_of(text: &str, name: &str) -> u64 {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    let samples = samples.filter(|(rest, _)| rest.is_empty() || rest.starts_with(['{', ',']));
    samples.map(|(_, value)| value.parse::<u64>().expect("a number")).sum()
}

/// A `ringway` with an admin socket of its own, and what can be asked over it.
pub struct Operated {
    pub ringway: super::harness::Ringway,
    pub file: std::path::PathBuf,
    pub socket: std::path::PathBuf,
}

impl Operated {
    /// Started with this configuration; `LISTEN` and `FOLDER` stand for what they say.
    pub fn start(text: &str) -> Self {
        Self::start_with(text, |_, _| {})
    }

    /// The same after `prepare` has had the folder and the command.
    pub fn start_with(text: &str, prepare: impl FnOnce(&std::path::Path, &mut Command)) -> Self {
        let operated = Self::begin(text, prepare);
        await_that("it serves", || operated.json(&["status"])["phase"] == "serving");
        operated
    }

    /// The same, without waiting until it serves.
    pub fn begin(text: &str, prepare: impl FnOnce(&std::path::Path, &mut Command)) -> Self {
        let folder = TempFolder::new();
        let socket = folder.0.join("admin.sock");
        let file = folder.write("ringway.toml", &Self::placed(text, &folder.0));
        let mut command = super::harness::command();
        command.arg("run").arg("--config").arg(&file).arg("--admin").arg(&socket);
        prepare(&folder.0, &mut command);
        let ringway = super::harness::Ringway::spawn(command, Some(folder));
        Self { ringway, file, socket }
    }

    fn placed(text: &str, folder: &std::path::Path) -> String {
        let folder = folder.display().to_string();
        text.replace("LISTEN", "127.0.0.1:0").replace("FOLDER", &folder)
    }

    /// Another text for the same file. Nobody reads it before it is told to, so it need not be
    /// moved into place, which makes some file systems wait for the disk.
    pub fn rewrite(&self, text: &str) {
        let folder = self.file.parent().expect("a folder");
        std::fs::remove_file(&self.file).expect("it was there");
        std::fs::write(&self.file, Self::placed(text, folder)).expect("written");
    }

    /// Runs a command; its exit status and what it printed on both streams.
    pub fn verb(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = super::harness::command();
        let output = command.args(arguments).arg("--admin").arg(&self.socket).output();
        let output = output.expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    /// The answer to a request over the admin socket, as it came.
    pub fn asked(&self, line: &str, body: &str) -> String {
        self.asked_with(line, &[], body)
    }

    /// The same with more fields in the request's head.
    pub fn asked_with(&self, line: &str, fields: &[&str], body: &str) -> String {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let mut stream = std::os::unix::net::UnixStream::connect(&self.socket).expect("it listens");
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n");
        let whole = format!("{head}{fields}Connection: close\r\n\r\n{body}");
        stream.write_all(whole.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer
    }

    /// Runs a command that must succeed.
    pub fn done(&self, arguments: &[&str]) -> String {
        let (status, text) = self.verb(arguments);
        assert_eq!(status, 0, "{arguments:?}: {text}");
        text
    }

    /// The answer of a command in JSON; null if there is none.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let (_, text) = self.verb(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The sum of a metric over all its labels, or over those that `name` does not give, as of at
    /// most a second ago.
    pub fn metric(&self, name: &str) -> u64 {
        sum_of(&self.asked("GET /metrics", ""), name)
    }

    /// Waits until a counter stays the same from one second to the next.
    pub fn await_standstill(&self, counter: &str) {
        let mut before = (0, 0);
        await_that("it comes to a halt", || {
            let text = self.asked("GET /metrics", "");
            let now = (sum_of(&text, "ringway_uptime_seconds"), sum_of(&text, counter));
            let is_later = now.0 > before.0;
            let was = before;
            if is_later {
                before = now;
            }
            is_later && now.1 == was.1
        });
    }

    /// Waits until nothing is left of any client and any exchange.
    pub fn await_nothing_left(&self) {
        for gauge in [
            "ringway_backend_in_flight",
            "ringway_shard_connections",
            "ringway_listener_connections",
            "ringway_shard_buffers_held",
        ] {
            await_that(gauge, || self.metric(gauge) == 0);
        }
    }

    /// Descriptors of the process besides those of connections to backends.
    pub fn own_descriptors(&self) -> usize {
        let to_backends = self.metric("ringway_backend_connections") as usize;
        self.ringway.descriptors().saturating_sub(to_backends)
    }

    /// The address of a listener.
    pub fn address_of(&self, name: &str) -> SocketAddr {
        let status = self.json(&["status"]);
        let listeners = status["listeners"].as_array().cloned().unwrap_or_default();
        let found = listeners.iter().find(|listener| listener["name"] == name);
        let found = found.unwrap_or_else(|| panic!("there is no {name} in {status}"));
        found["address"].as_str().expect("a text").parse().expect("an address")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file.with_file_name("log")).expect("text")
    }

    /// A backend of the first pool, by its address.
    pub fn backend(&self, address: SocketAddr) -> serde_json::Value {
        let pools = self.json(&["backend", "list"]);
        let pools = pools.as_array().cloned().unwrap_or_default();
        let mut backends =
            pools.iter().flat_map(|pool| pool["backends"].as_array().cloned().unwrap_or_default());
        let address = address.to_string();
        backends.find(|backend| backend["address"] == *address).unwrap_or_default()
    }

    pub fn await_standing(&self, address: SocketAddr, standing: &str) {
        await_that(standing, || self.backend(address)["standing"] == *standing);
    }
}
