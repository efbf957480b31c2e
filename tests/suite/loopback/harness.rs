//! The real binary, real sockets, and origins in this process. Whatever is started is ended.

use ringway::sys::rlimit::{Resource, raise_to_hard};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Longer than anything here takes, on a machine with much else to do too, so that a test fails
/// instead of hanging. Nothing is judged by it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running `ringway`.
pub struct Ringway {
    child: Child,
    pub address: SocketAddr,
    _files: Option<TempFolder>,
}

impl Ringway {
    /// `ringway run` over these backends, with more arguments.
    pub fn start(backends: &[SocketAddr], arguments: &[&str]) -> Self {
        let mut command = command();
        command.args(["run", "--listen", "127.0.0.1:0"]);
        for backend in backends {
            command.args(["--backend", &backend.to_string()]);
        }
        command.args(arguments);
        Self::spawn(command, None)
    }

    /// `ringway run --config` with this text; `LISTEN` stands for the listener's address.
    pub fn with_config(text: &str) -> Self {
        let folder = TempFolder::new();
        let file = folder.write("ringway.toml", &text.replace("LISTEN", "127.0.0.1:0"));
        let mut command = command();
        command.arg("run").arg("--config").arg(file);
        Self::spawn(command, Some(folder))
    }

    /// Runs a prepared command that prints where it listens. What it logs goes to the file `log` of
    /// its folder, if it has one.
    pub fn spawn(mut command: Command, files: Option<TempFolder>) -> Self {
        // Clients and origins live in this process, which a shell often lets have 1,024 of them.
        raise_to_hard(Resource::OpenFiles).expect("a soft limit may rise to the hard one");
        let log = |folder: &TempFolder| {
            let opened =
                std::fs::File::options().create(true).append(true).open(folder.0.join("log"));
            Stdio::from(opened.expect("a file"))
        };
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(files.as_ref().map_or_else(Stdio::null, log))
            .spawn()
            .expect("the binary is built with the tests");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = lines.next().expect("it says where it listens").expect("text");
        let address = line.split(' ').nth(3).and_then(|word| word.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        // Keep reading, so that it never blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, _files: files }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.pid().to_string()]).status();
        assert!(status.expect("kill is installed").success());
    }

    /// Waits for the end and returns the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "ringway does not end");
            std::thread::yield_now();
        }
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Sends bytes on a new connection and returns everything that comes until it is closed.
    pub fn exchange(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        // Who is refused may find the connection cut before the request is out: what came, if
        // anything, is the answer either way.
        let _ = stream.write_all(request);
        read_to_end(&mut stream)
    }

    /// The status of a plain GET on a connection of its own; 0 if there was no answer.
    pub fn status_of(&self, path: &str) -> u16 {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        status(&self.exchange(request.as_bytes()))
    }

    /// Open descriptors of the process.
    pub fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.pid());
        std::fs::read_dir(folder).expect("it runs").count()
    }

    /// Resident memory, bytes.
    pub fn resident(&self) -> usize {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).expect("it runs");
        text.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok()).expect("pages") * 4096
    }
}

impl Drop for Ringway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test, without anything of the environment that would configure it.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.env_clear();
    command
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Everything until the end of the stream, or until it is cut.
pub fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return all,
            Ok(length) => all.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("nothing came for {PATIENCE:?} after {:?}", String::from_utf8_lossy(&all))
            }
            Err(_) => return all,
        }
    }
}

/// Reads until the bytes end with `end`.
pub fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut byte = [0];
    while !all.ends_with(end) {
        match stream.read(&mut byte) {
            Ok(1) => all.push(byte[0]),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&all)),
        }
    }
    all
}

/// The status of an answer; 0 if it is none.
pub fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    let mut words = text.strip_prefix("HTTP/1.1 ").unwrap_or_default().split(' ');
    words.next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// The body behind the first head.
pub fn body(answer: &[u8]) -> &[u8] {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    &answer[head + 4..]
}

/// Waits until something holds.
pub fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A server in this process: a thread for each connection.
pub struct Origin {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    is_ended: Arc<AtomicBool>,
}

impl Origin {
    /// Gives each connection to `serve`.
    pub fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let is_ended = Arc::new(AtomicBool::new(false));
        let origin = Self { address, connections: connections.clone(), is_ended: is_ended.clone() };
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_ended.load(Ordering::Relaxed) {
                    return;
                }
                connections.fetch_add(1, Ordering::Relaxed);
                let serve = serve.clone();
                let builder = std::thread::Builder::new().stack_size(128 * 1024);
                let _ = builder.spawn(move || serve(stream));
            }
        });
        origin
    }

    /// Answers each request by a function of its head and body.
    pub fn http(answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(move |stream| {
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            let mut writer = stream;
            while let Some((head, body)) = read_request(&mut reader) {
                if writer.write_all(&answer(&head, &body)).is_err() {
                    return;
                }
            }
        })
    }

    /// Answers every request with 200 and this body.
    pub fn saying(text: &'static str) -> Self {
        Self::http(move |_, _| ok(text.as_bytes()))
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.is_ended.store(true, Ordering::Relaxed);
        // The listener's thread looks at the flag when something comes.
        let _ = TcpStream::connect(self.address);
    }
}

/// An address that refuses, and that nobody else gets: bound, and not listened on.
pub fn refusing() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    (socket, address.expect("bound"))
}

/// A 200 answer.
pub fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Reads trailer fields and the empty line after them; none if the connection ends before that.
fn read_trailers(reader: &mut impl BufRead) -> Option<()> {
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    }
    Some(())
}

/// One request; none at the end of the stream, or if it is cut short.
pub fn read_request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if &head[before..] == "\r\n" {
            break;
        }
    }
    let field = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    };
    let mut body = Vec::new();
    if let Some(length) = field("content-length") {
        body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
    } else if field("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
            if size == 0 {
                read_trailers(reader)?;
                break;
            }
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok().filter(|()| chunk.ends_with(b"\r\n"))?;
            body.extend_from_slice(&chunk[..size]);
        }
    }
    Some((head, body))
}

/// Says that a test does not run, and why, even where its output is captured.
pub fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}

/// A folder that is removed when dropped.
pub struct TempFolder(pub PathBuf);

impl TempFolder {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ringway-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A configuration with one pool over these backends, which are not probed, and more of
/// everything.
pub fn config(backends: &[SocketAddr], more: &str) -> String {
    let mut text = format!(
        "{more}\n[[listener]]\nname = \"web\"\naddress = \"LISTEN\"\nprotocol = \"http\"\n\
         [[route]]\npool = \"all\"\n[pool.all.health]\nprotocol = \"none\"\n"
    );
    for backend in backends {
        text += &format!("[[pool.all.backend]]\naddress = \"{backend}\"\n");
    }
    text
}
