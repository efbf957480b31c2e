//! The proxies that are compared, and how each is started under the same conditions.
//!
//! A contender is what can be started; a [`Proxy`] is one that runs. Configurations are generated,
//! so that nobody's installed configuration takes part.

mod certificate;
mod haproxy;
mod nginx;
mod relay;
mod ringway;
mod search;

pub use certificate::Certificate;
pub use search::{find_all, find_ringway_program};

use crate::child::{Output, Running, TemporaryFolder};
use crate::load::{self, Pattern, Plan, Transport};
use crate::procfs::ProcessTree;
use crate::sys::{process, signal};
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Idle connections last longer than any measurement, at every proxy.
const IDLE_TIMEOUT_SECONDS: u32 = 300;
/// Clients a proxy must be able to hold; its descriptors follow from it.
pub const MAX_CLIENTS: usize = 9_000;
const START_LIMIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Below the ports that the kernel gives to clients, so that no connection sits on a chosen one.
const FIRST_PORT: u16 = 21_000;
const LAST_PORT: u16 = 29_999;

/// What kind of proxy a contender is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The product.
    Ringway,
    /// The product where it does not read the ClientHello that the others route by: what reading
    /// costs shows against it.
    RingwayTcp,
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// The byte relay of `benches/engines`, on the named engine.
    Relay(String),
}

/// A proxy that can be started.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Its name in the results.
    pub label: String,
    /// What it is.
    pub kind: Kind,
    /// Its program.
    pub program: PathBuf,
    /// What it says about its version.
    pub version: String,
}

/// Where proxies run, and what stands behind them.
#[derive(Debug)]
pub struct Surroundings {
    /// For configurations and logs.
    pub folder: TemporaryFolder,
    /// The core of the proxies.
    pub proxy_core: usize,
    /// The ports of the origin.
    pub backends: Vec<SocketAddrV4>,
    /// What proxies show to clients with TLS.
    pub certificate: Certificate,
}

/// The pages of memory that a proxy may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// What it asks for and the machine gives.
    AsAsked,
    /// Only those of 4 KiB.
    Small,
}

/// What a proxy treats the traffic as. Clients and the origin speak HTTP over TCP in either case;
/// datagrams come back as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Requests and answers, each picked a backend for.
    Http,
    /// The same with TLS towards clients.
    Https {
        /// Clients take up their sessions again.
        resumes: bool,
    },
    /// Clients speak HTTP/2, by prior knowledge; the backends HTTP/1.1.
    Http2,
    /// Bytes, forwarded unread over one connection to a backend for each client's.
    Tcp,
    /// The same, to where the server name in the ClientHello leads with which they begin.
    TlsPassthrough,
    /// Datagrams, forwarded unread from one socket for each client's.
    Udp {
        /// A flow ends with its first answer.
        is_answered_once: bool,
    },
}

/// A proxy that runs and answers.
#[derive(Debug)]
pub struct Proxy {
    running: Running,
    /// Where it listens.
    pub address: SocketAddrV4,
}

impl Proxy {
    /// Its processes.
    pub fn tree(&self) -> Result<ProcessTree> {
        ProcessTree::of(self.running.pid())
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.running.has_ended()
    }

    /// Its last log lines.
    pub fn last_words(&self) -> String {
        self.running.last_words()
    }
}

impl Contender {
    /// The product as one that forwards bytes without reading what routes them.
    pub fn unread(&self) -> Option<Contender> {
        let label = format!("{}-tcp", self.label);
        let is_ringway = self.kind == Kind::Ringway;
        is_ringway.then(|| Contender { label, kind: Kind::RingwayTcp, ..self.clone() })
    }

    /// Why it cannot take part where `protocol` is spoken, if it cannot.
    pub fn obstacle(&self, protocol: Protocol) -> Result<Option<String>> {
        if let Kind::Relay(engine) = &self.kind {
            return Ok(relay::obstacle(engine, protocol).map(str::to_owned));
        }
        if matches!(protocol, Protocol::Udp { .. }) && self.kind == Kind::Haproxy {
            return Ok(Some("it forwards no datagrams".to_owned()));
        }
        let is_web = matches!(protocol, Protocol::Https { .. } | Protocol::Http2);
        let needs_stream = self.kind == Kind::Nginx && !is_web && protocol != Protocol::Http;
        if needs_stream && nginx::find_stream(&self.program)?.is_none() {
            return Ok(Some("it has no module `stream` (Debian: libnginx-mod-stream)".to_owned()));
        }
        let needs_name = self.kind == Kind::Nginx && protocol == Protocol::TlsPassthrough;
        if needs_name && !nginx::reads_hello(&self.program)? {
            return Ok(Some("it is built without `stream_ssl_preread_module`".to_owned()));
        }
        Ok(None)
    }

    /// Starts it and waits until it answers.
    pub fn start(
        &self,
        surroundings: &Surroundings,
        protocol: Protocol,
        pages: Pages,
    ) -> Result<Proxy> {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, find_free_port()?);
        let folder =
            surroundings.folder.create_inside(&format!("{}-{}", self.label, address.port()))?;
        let mut command = self.command(&folder, address, surroundings, protocol)?;
        if pages == Pages::Small {
            process::refuse_huge_pages(&mut command);
        }
        let log = folder.join("log");
        let running = Running::start(command, surroundings.proxy_core, &log, Output::Logged)?;
        let mut proxy = Proxy { running, address };
        self.wait_until_it_answers(&mut proxy, protocol)?;
        Ok(proxy)
    }

    fn command(
        &self,
        folder: &Path,
        listen: SocketAddrV4,
        surroundings: &Surroundings,
        protocol: Protocol,
    ) -> Result<Command> {
        let Surroundings { proxy_core, backends, certificate, .. } = surroundings;
        let mut command = Command::new(&self.program);
        match &self.kind {
            Kind::Ringway | Kind::RingwayTcp => {
                let protocol = match self.kind {
                    Kind::RingwayTcp => Protocol::Tcp,
                    _ => protocol,
                };
                match ringway::configuration(listen, backends, *proxy_core, protocol) {
                    Some(text) => {
                        let file = write_file(folder, "ringway.toml", &text)?;
                        command.arg("run").arg("--config").arg(file)
                    }
                    None => {
                        command.args(ringway::arguments(listen, backends, *proxy_core, protocol));
                        if matches!(protocol, Protocol::Https { .. }) {
                            command.arg("--tls-cert").arg(&certificate.both);
                        }
                        &mut command
                    }
                };
            }
            Kind::Relay(engine) => {
                command.args(relay::arguments(engine, listen, backends, *proxy_core, protocol));
            }
            Kind::Nginx => {
                let text = match protocol {
                    Protocol::Http | Protocol::Https { .. } | Protocol::Http2 => {
                        nginx::configuration(folder, listen, backends, protocol, certificate)
                    }
                    bytes => {
                        let stream = nginx::find_stream(&self.program)?;
                        let stream = stream.context("nginx has no module `stream`")?;
                        nginx::stream_configuration(&stream, folder, listen, backends, bytes)
                    }
                };
                let file = write_file(folder, "nginx.conf", &text)?;
                command.arg("-p").arg(folder).arg("-c").arg(file);
                command.arg("-e").arg(folder.join("error.log"));
            }
            Kind::Haproxy => {
                let text = match protocol {
                    Protocol::Tcp | Protocol::TlsPassthrough | Protocol::Udp { .. } => {
                        haproxy::tcp_configuration(listen, backends, *proxy_core, protocol)
                    }
                    web => haproxy::configuration(listen, backends, *proxy_core, web, certificate),
                };
                let file = write_file(folder, "haproxy.cfg", &text)?;
                command.arg("-db").arg("-f").arg(file);
            }
        }
        Ok(command)
    }

    fn wait_until_it_answers(&self, proxy: &mut Proxy, protocol: Protocol) -> Result<()> {
        let end = Instant::now() + START_LIMIT;
        let label = &self.label;
        loop {
            signal::sleep(LOOK_EVERY)?;
            if proxy.running.has_ended() {
                bail!("{label} ended right after its start; it wrote:\n{}", proxy.last_words());
            }
            let tried = match protocol {
                Protocol::Http | Protocol::Tcp => try_request(proxy.address),
                Protocol::TlsPassthrough => try_load(proxy.address, Transport::BehindHello),
                Protocol::Https { .. } => {
                    try_load(proxy.address, Transport::Tls { resumes: false })
                }
                Protocol::Http2 => try_load(proxy.address, Transport::Streams),
                Protocol::Udp { .. } => try_datagram(proxy.address),
            };
            let Err(error) = tried else { return Ok(()) };
            if Instant::now() > end {
                bail!(
                    "{label} gave no answer within {} s ({error:#}); it wrote:\n{}",
                    START_LIMIT.as_secs(),
                    proxy.last_words()
                );
            }
        }
    }
}

fn write_file(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn try_request(address: SocketAddrV4) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&address.into(), LOOK_EVERY)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let request =
        format!("GET /bytes/128 HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    if &start != b"HTTP/1.1 200" {
        bail!("it answered `{}`", String::from_utf8_lossy(&start));
    }
    Ok(())
}

/// One connection of the load, and an answer on it.
fn try_load(target: SocketAddrV4, transport: Transport) -> Result<()> {
    let pattern = Pattern::KeepAlive;
    let plan = Plan { target, connections: 1, body_len: 128, pattern, transport };
    let mut load = load::start(plan)?;
    load.run_until_served(Duration::from_secs(1))?;
    let tally = load.run_for(Duration::ZERO)?;
    match tally.first_error {
        Some(error) => bail!("{error}"),
        None if tally.answers == 0 => bail!("no answer"),
        None => Ok(()),
    }
}

fn try_datagram(address: SocketAddrV4) -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    socket.connect(address)?;
    socket.send(b"ready?")?;
    let mut answer = [0; 16];
    let length = socket.recv(&mut answer)?;
    if &answer[..length] != b"ready?" {
        bail!("it answered `{}`", String::from_utf8_lossy(&answer[..length]));
    }
    Ok(())
}

/// A port of 127.0.0.1 that nobody listens on, for connections or datagrams.
pub fn find_free_port() -> Result<u16> {
    let is_free = |port: &u16| {
        let address = (Ipv4Addr::LOCALHOST, *port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    };
    (FIRST_PORT..=LAST_PORT)
        .find(is_free)
        .with_context(|| format!("no port from {FIRST_PORT} to {LAST_PORT} is free on 127.0.0.1"))
}
