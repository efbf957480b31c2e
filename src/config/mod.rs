//! Configuration: text in, a checked [`Config`] or a list of everything that is wrong with it out.
//!
//! Does: know every key, default and bound. Does not: open files or sockets, resolve names.

mod defaults;
mod diagnostics;
mod dump;
mod network;
mod parse;
mod reader;
pub mod units;

pub use diagnostics::{Diagnostic, Diagnostics};
pub use network::Network;
pub use parse::parse;

use crate::access_log;
use crate::balance::Algorithm;
use crate::http1::UnderscoreNames;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A configuration in which nothing is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[runtime]`
    pub runtime: Runtime,
    /// `[timeouts]`
    pub timeouts: Timeouts,
    /// `[http]`
    pub http: Http,
    /// `[[error_answer]]`
    pub error_answers: Vec<ErrorAnswer>,
    /// `[access_log]`; none: off.
    pub access_log: Option<AccessLog>,
    /// `[[listener]]`
    pub listeners: Vec<Listener>,
    /// `[[route]]`
    pub routes: Vec<Route>,
    /// `[pool.NAME]`, in the order of the file.
    pub pools: Vec<Pool>,
}

/// Threads and memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Runtime {
    /// Which cores have a shard.
    pub shards: Shards,
    /// Bytes of every buffer.
    pub buffer_size: usize,
    /// Buffers in each shard's receive ring; a power of two.
    pub buffers_per_shard: usize,
    /// Submission queue entries of each shard's ring; a power of two.
    pub ring_entries: u32,
    /// Client connections of the process.
    pub max_connections: u32,
    /// Client connections of one address; 0 for no limit.
    pub max_connections_per_client: u32,
    /// Connections that may wait to be accepted, per shard and listener.
    pub backlog: u32,
}

/// Which cores have a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shards {
    /// All that the process may run on.
    Auto,
    /// The first so many.
    Count(usize),
    /// These.
    Cores(Vec<usize>),
}

/// What a session waits for, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to a backend.
    pub connect: Duration,
    /// For the whole of a request head, from its first byte or from the accept.
    pub request_head: Duration,
    /// For the next request on a kept connection.
    pub idle: Duration,
    /// For the next byte of a message, and for the first one of an answer.
    pub between_bytes: Duration,
    /// For the next byte of a tunnel in either direction.
    pub tunnel: Duration,
    /// For exchanges to finish while draining.
    pub drain: Duration,
}

/// What a client that ends its direction after a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfClose {
    /// The whole answer.
    Allow,
    /// Nothing: it counts as gone.
    Abort,
}

/// A configured body of a local answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// For which status.
    pub status: u16,
    /// Its Content-Type.
    pub content_type: Box<str>,
    /// Its bytes.
    pub body: Box<[u8]>,
}

/// Rules for HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// What is done with field names that have an underscore.
    pub underscore_names: UnderscoreNames,
    /// Our name in Via; empty for none.
    pub via: String,
    /// Proxies whose X-Forwarded-* fields are believed.
    pub trusted_proxies: Vec<Network>,
    /// Protocols that Upgrade may change to.
    pub upgrade_protocols: Vec<String>,
    /// CONNECT goes to a backend instead of being refused.
    pub allow_connect: bool,
    /// What a client that ends its direction after a request gets.
    pub half_close: HalfClose,
    /// Longest head, bytes.
    pub head_bytes_max: usize,
    /// Longest request body, bytes; none for no limit.
    pub request_body_max: Option<u64>,
}

/// Where and how exchanges are recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// Where lines go.
    pub destination: access_log::Destination,
    /// How they look.
    pub format: access_log::Format,
    /// Records that may wait to be written.
    pub queue: usize,
}

/// How the kernel spreads connections over shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Steering {
    /// By a hash of the addresses.
    #[default]
    Hash,
    /// By the CPU that took the packet.
    Cpu,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// How connections are spread over shards.
    pub steering: Steering,
}

/// Which requests go to which pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// On which listener; none for all.
    pub listener: Option<String>,
    /// For which host; none for any.
    pub host: Option<String>,
    /// For which path and all below it.
    pub path: String,
    /// To which pool.
    pub pool: String,
}

/// A set of backends.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// How a backend is picked.
    pub algorithm: Algorithm,
    /// Idle connections kept to each backend, over all shards.
    pub idle_connections: u32,
    /// The backends.
    pub backends: Vec<Backend>,
}

/// One backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// Its address.
    pub address: SocketAddr,
    /// Its share relative to the others of its pool.
    pub weight: u32,
}

/// Reads a file that the configuration names; its path is relative to the configuration's.
pub type ReadFile<'a> = &'a dyn Fn(&PathBuf) -> std::io::Result<Vec<u8>>;

#[cfg(test)]
mod tests;
