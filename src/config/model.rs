//! The checked configuration: typed values within their limits, names resolved to indexes, which
//! need no further check. Does not: parse, print, read files.

use super::backend::{Backend, BackendName};
use super::choices::{
    Connect, HalfClose, LogFormat, NoHealthy, ProcessLogFormat, Protocol, Steering,
};
use super::network::IpNetwork;
use super::probing::Probe;
use crate::balance::Algorithm;
use crate::health::{EjectionRules, SlowStart};
use crate::http1::UnderscoreNames;
use crate::route::HostPattern;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The configuration. [`Config::default`] has every value at its default, and no listener,
/// route or pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Threads, memory and bounds of the process.
    pub runtime: Runtime,
    /// The timeouts of each step.
    pub timeouts: Timeouts,
    /// Settings of HTTP.
    pub http: Http,
    /// Bodies of Ringway's own answers, at most one for each status.
    pub error_answers: Vec<ErrorAnswer>,
    /// The access log, if there is one.
    pub access_log: Option<AccessLog>,
    /// The admin interface.
    pub admin: Admin,
    /// Listeners, in the order written. Names and addresses are unique.
    pub listeners: Vec<Listener>,
    /// Routes, in the order written, then those that follow from a listener
    /// without a route beside exactly one pool. See [`Config::routes_of`].
    pub routes: Vec<Route>,
    /// Pools, sorted by name. Each has a backend and a route that leads to it.
    pub pools: Vec<Pool>,
}

/// The place of a listener in [`Config::listeners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerIndex(pub usize);

/// The place of a pool in [`Config::pools`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolIndex(pub usize);

impl Config {
    /// The routes that count on a listener, those made for it alone first: of two with the same
    /// host and path the first one counts.
    pub fn routes_of(&self, listener: ListenerIndex) -> impl Iterator<Item = &Route> {
        let own = self.routes.iter().filter(move |route| route.listener == Some(listener));
        own.chain(self.routes.iter().filter(|route| route.listener.is_none()))
    }

    /// The pool at `index`, which must come from this configuration.
    pub fn pool(&self, index: PoolIndex) -> &Pool {
        &self.pools[index.0]
    }

    /// Backends over all pools; one in two pools counts twice.
    pub fn backend_count(&self) -> usize {
        self.pools.iter().map(|pool| pool.backends.len()).sum()
    }
}

/// `[runtime]`: threads, memory and bounds of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct Runtime {
    /// The number of shards and their cores.
    pub shards: ShardsChoice,
    /// Bytes of one buffer.
    pub buffer_size: usize,
    /// Buffers in the receive ring of a shard, a power of two.
    pub buffers_per_shard: usize,
    /// Entries of the submission queue of a shard, a power of two.
    pub ring_entries: u32,
    /// Client connections of the process; further ones wait in the kernel's backlog. At least 1.
    pub max_connections: usize,
    /// Connections of one client address; 0: no limit.
    pub max_connections_per_client: usize,
    /// The backlog of each listening socket, connections.
    pub backlog: u32,
    /// The file for health and the operator's orders over a restart.
    pub state_file: StateFile,
    /// DNS servers for names of backends; empty: those of the system.
    pub dns_servers: Vec<SocketAddr>,
    /// The format of the log of the process.
    pub log_format: ProcessLogFormat,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            shards: ShardsChoice::Auto,
            buffer_size: 32 * 1024,
            buffers_per_shard: 1024,
            ring_entries: 4096,
            max_connections: 100_000,
            max_connections_per_client: 0,
            backlog: 4096,
            state_file: StateFile::default(),
            dns_servers: Vec::new(),
            log_format: ProcessLogFormat::default(),
        }
    }
}

/// The file for health and the operator's orders over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StateFile {
    /// In the directory that the service manager gives for it; nowhere if it gives none.
    #[default]
    Given,
    /// Nowhere.
    None,
    /// In this file.
    At(PathBuf),
}

impl StateFile {
    /// The file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Given | Self::None => None,
            Self::At(path) => Some(path),
        }
    }
}

impl fmt::Display for StateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => Ok(()),
            Self::None => f.write_str("none"),
            Self::At(path) => path.display().fmt(f),
        }
    }
}

/// The number of shards and their cores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ShardsChoice {
    /// One for each core that the process may use.
    #[default]
    Auto,
    /// This number, on the first cores that the process may use. `1..=SHARDS_MAX`.
    Count(usize),
    /// One on each of these cores: ascending, no core twice, at least one.
    Cores(Vec<usize>),
}

/// `[timeouts]`. Each is between 1 ms and 7 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a backend has accepted a connection.
    pub connect: Duration,
    /// Until the head of a request is complete: from its first byte, or, for the first request of
    /// a connection, from when the connection was accepted.
    pub request_head: Duration,
    /// Between two requests on a client connection, and for an idle upstream connection.
    pub idle: Duration,
    /// Between two arrivals within a message, and until the head of a response.
    pub between_bytes: Duration,
    /// Without a byte in either direction of an upgraded connection.
    pub tunnel: Duration,
    /// For exchanges in flight when the process is ordered to end.
    pub drain: Duration,
    /// At the beginning of a drain: everything is served, and every answer says that its
    /// connection closes. May be zero.
    pub lame_duck: Duration,
    /// After that, when clients should have moved: connections are still accepted. May be zero.
    pub linger: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            request_head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            between_bytes: Duration::from_secs(30),
            tunnel: Duration::from_secs(3600),
            drain: Duration::from_secs(30),
            lame_duck: Duration::from_secs(10),
            linger: Duration::from_secs(3),
        }
    }
}

/// `[http]`: rules of forwarding.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// Fields with `_` in their name, which CGI and WSGI take for the name with `-`.
    pub underscore_names: UnderscoreNames,
    /// Ringway's name in the Via field (RFC 9110, 7.6.3); empty: no Via field.
    pub via: String,
    /// Proxies whose X-Forwarded-* fields are trusted and kept.
    pub trusted_proxies: Vec<IpNetwork>,
    /// Protocols, in lower case, that a client may upgrade to. Empty: none.
    pub upgrade_protocols: Vec<String>,
    /// The policy for CONNECT.
    pub connect: Connect,
    /// The meaning of a client's end of stream after its request.
    pub half_close: HalfClose,
    /// Bytes of a head, the empty line included.
    pub head_bytes_max: usize,
    /// Bytes of a request's body; 0: no limit.
    pub request_body_max: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            underscore_names: UnderscoreNames::Drop,
            via: String::new(),
            trusted_proxies: Vec::new(),
            upgrade_protocols: vec!["websocket".to_owned()],
            connect: Connect::Refuse,
            half_close: HalfClose::Allow,
            head_bytes_max: crate::limits::HEAD_BYTES_MAX,
            request_body_max: 0,
        }
    }
}

/// `[[error_answer]]`: the content of Ringway's own answer with a status.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorAnswer {
    /// One of [`super::ERROR_ANSWER_STATUSES`].
    pub status: u16,
    /// The Content-Type field.
    pub content_type: String,
    /// The content, at most [`super::ERROR_ANSWER_BYTES_MAX`] bytes.
    pub body: Body,
}

/// The origin of the content of an [`ErrorAnswer`].
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// From the configuration itself.
    Text(String),
    /// From a file, read when the configuration was.
    File {
        /// As written: absolute, or relative to the configuration file.
        path: PathBuf,
        /// Its content.
        bytes: Vec<u8>,
    },
}

impl Body {
    /// The content.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::File { bytes, .. } => bytes,
        }
    }
}

/// `[access_log]`: one line for each request.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// The destination of the lines.
    pub path: LogPath,
    /// The format of a line.
    pub format: LogFormat,
    /// Records that may wait to be written; further ones are counted and dropped.
    pub queue: usize,
}

impl AccessLog {
    /// The log at `path`, the rest at its default.
    pub fn at(path: LogPath) -> Self {
        Self { path, format: LogFormat::default(), queue: 8192 }
    }
}

/// The destination of an [`AccessLog`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPath {
    /// Standard output.
    Stdout,
    /// A file that lines are appended to.
    File(PathBuf),
}

impl fmt::Display for LogPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// `[admin]`: the interface for operators and monitors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The Unix socket that takes orders; none: nowhere.
    pub socket: Option<PathBuf>,
    /// Users, besides root and the one that runs the process, who may give orders.
    pub allow_uids: Vec<u32>,
    /// A TCP address for reading only; none: nowhere.
    pub listen: Option<SocketAddr>,
}

/// The default path of the admin socket.
pub const ADMIN_SOCKET_DEFAULT: &str = "/run/ringway/admin.sock";

impl Default for Admin {
    fn default() -> Self {
        Self { socket: Some(ADMIN_SOCKET_DEFAULT.into()), allow_uids: Vec::new(), listen: None }
    }
}

/// `[[listener]]`: an address that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Unique; letters, digits, `-` and `_`.
    pub name: String,
    /// Unique, unless its port is 0, which lets the kernel choose one.
    pub address: SocketAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The choice of a shard for a new connection.
    pub steering: Steering,
}

/// `[[route]]`: requests to this host and path go to this pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The only listener it counts on; none: all of them.
    pub listener: Option<ListenerIndex>,
    /// Hosts that match.
    pub host: HostPattern,
    /// The prefix of paths that match, on segment borders: `/`, or without a `/` at its end.
    pub path: String,
    /// The pool of the requests.
    pub pool: PoolIndex,
}

/// `[pool.NAME]`: interchangeable backends.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Unique; letters, digits, `-` and `_`.
    pub name: String,
    /// The load balancing algorithm.
    pub algorithm: Algorithm,
    /// Idle upstream connections kept for each backend, in total over the shards.
    pub idle_connections: usize,
    /// The retry budget, percent of recent requests; 0: none.
    pub retry_budget_percent: u32,
    /// The ramp of a backend that returns or is new.
    pub slow_start: SlowStart,
    /// The policy while no backend is healthy.
    pub no_healthy: NoHealthy,
    /// How long exchanges of a drained or removed backend may take.
    pub drain_timeout: Duration,
    /// The process is not ready unless `min_ready` backends of this pool are.
    pub required: bool,
    /// See `required`; at least 1.
    pub min_ready: usize,
    /// The health probe: while it fails, the backend is down and its connections are closed.
    pub health: Probe,
    /// The readiness probe: while it fails, the backend gets nothing new, and exchanges in flight
    /// go on. None: a backend that is up is ready.
    pub readiness: Option<Probe>,
    /// The rules of ejection.
    pub ejection: EjectionRules,
    /// In the order written; addresses are unique; the weights do not sum to 0 unless there are
    /// names or a file too.
    pub backends: Vec<Backend>,
    /// Names that stand for backends.
    pub names: Vec<BackendName>,
    /// A watched file (JSON or TOML) that lists more backends.
    pub backends_file: Option<PathBuf>,
}

impl Pool {
    /// A pool of these backends, all else at its default.
    pub fn new(name: impl Into<String>, backends: Vec<Backend>) -> Self {
        Self {
            name: name.into(),
            algorithm: Algorithm::default(),
            idle_connections: IDLE_CONNECTIONS_DEFAULT,
            retry_budget_percent: 20,
            slow_start: SlowStart::default(),
            no_healthy: NoHealthy::default(),
            drain_timeout: Duration::from_secs(30),
            required: false,
            min_ready: 1,
            health: Probe::default(),
            readiness: None,
            ejection: EjectionRules::default(),
            backends,
            names: Vec::new(),
            backends_file: None,
        }
    }
}

/// The default of idle upstream connections kept for each backend.
pub const IDLE_CONNECTIONS_DEFAULT: usize = 512;
