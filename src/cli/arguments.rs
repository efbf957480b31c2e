//! The arguments as clap knows them, with their help. Values are checked as in the file.

use super::self_signed::parse_name;
use super::verbs::Verb;
use clap::builder::ArgPredicate;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ringway::balance::Algorithm;
use ringway::config::units::parse_count;
use ringway::config::unknown_word;
use ringway::config::values::{
    BUFFERS_PER_SHARD_RANGE, MAX_CONNECTIONS_RANGE, RING_ENTRIES_RANGE, check_power_of_two,
    parse_admin_address, parse_backend_entry, parse_buffer_size, parse_listen_address,
    parse_log_path, parse_protocol, parse_shards, parse_socket_path, parse_state_file,
};
use ringway::config::{
    BackendEntry, Choice, LogPath, ProcessLogFormat, Protocol, ShardsChoice, StateFile,
};
use std::net::SocketAddr;
use std::path::PathBuf;

const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit ",
    env!("RINGWAY_COMMIT"),
    "\ntarget ",
    env!("RINGWAY_TARGET"),
    ", profile ",
    env!("RINGWAY_PROFILE"),
    "\n",
    env!("RINGWAY_RUSTC"),
);

const EXAMPLES: &str = "\
Examples:
  ringway demo
  ringway run --listen 0.0.0.0:8080 --backend 10.0.0.11:8080 --backend 10.0.0.12:8080*2
  ringway run --listen 0.0.0.0:5432 --backend 10.0.0.21:5432 --protocol tcp
  ringway run --listen 0.0.0.0:53 --backend 10.0.0.53:53 --protocol udp
  ringway run --listen 0.0.0.0:443 --backend 10.0.0.11:8080 --protocol https \
    --tls-cert fullchain.pem --tls-key privkey.pem
  ringway run /etc/ringway/ringway.toml --shards 0-3
  ringway check /etc/ringway/ringway.toml
  ringway doctor --config /etc/ringway/ringway.toml";

const CERT_EXAMPLES: &str = "\
Examples:
  ringway cert self-signed localhost 127.0.0.1
  ringway cert self-signed '*.example.com' --chain tls.pem --key tls.key";

const ORDER: &str = "\
Precedence: flag, environment variable, file, default.
`ringway config dump` with the same arguments shows every value and where it comes from.";

/// A load balancer: one stable front door for your servers.
#[derive(Debug, Parser)]
#[command(name = "ringway", version, long_version = LONG_VERSION,
          after_help = EXAMPLES, subcommand_required = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the balancer, from a file or from flags alone.
    #[command(after_help = ORDER)]
    Run {
        #[command(flatten)]
        source: Source,
        /// Minimum level to log.
        #[arg(long, value_enum, default_value = "info", env = "RINGWAY_LOG_LEVEL")]
        log_level: LogLevel,
    },
    /// Check configuration files: would `ringway run` start with them here?
    ///
    /// The variables RINGWAY_… are looked at as by `run`; a flag of `run` would go before its
    /// variable, and is not known here. Status 0 if it would, 1 with every error if not. Warnings
    /// do not change the status.
    Check {
        /// The files; "-" is standard input. Default: /etc/ringway/ringway.toml.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// A file, as FILE.
        #[arg(short, long, value_name = "FILE", env = "RINGWAY_CONFIG")]
        config: Option<PathBuf>,
        /// Print errors only; with --json: leave the warnings empty.
        #[arg(short, long)]
        quiet: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// A first look: run in front of three small origins, with clients.
    ///
    /// The origins and the clients are part of this command; it prints what to try.
    Demo {
        /// Where to listen; with --tls 127.0.0.1:8443 by default.
        #[arg(long, value_name = "IP:PORT", value_parser = parse_listen_address,
              default_value = "127.0.0.1:8080",
              default_value_if("tls", ArgPredicate::Equals("true".into()), "127.0.0.1:8443"))]
        listen: SocketAddr,
        /// Speak HTTPS, with a certificate that the demo makes.
        #[arg(long)]
        tls: bool,
        /// Minimum level to log.
        #[arg(long, value_enum, default_value = "warn", env = "RINGWAY_LOG_LEVEL")]
        log_level: LogLevel,
    },
    /// Make a certificate for TLS.
    Cert {
        #[command(subcommand)]
        command: CertCommand,
    },
    /// Check this machine: kernel, io_uring, limits, settings.
    ///
    /// Status 1 if Ringway cannot run here.
    Doctor {
        #[command(flatten)]
        source: Source,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Verb(Verb),
    /// Show the configuration in effect, and where each value comes from.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum CertCommand {
    /// Make a certificate that signs itself, and its key: for a first look.
    ///
    /// It is trusted by nobody who is not told to. A file that is there is not written over.
    #[command(after_help = CERT_EXAMPLES)]
    SelfSigned {
        /// Names and addresses that it is for: localhost, "*.example.com", 192.0.2.1.
        #[arg(value_name = "NAME", required = true, value_parser = parse_name)]
        names: Vec<String>,
        /// The file of the certificate. Default: the first name with .pem, in this folder.
        #[arg(long, value_name = "FILE")]
        chain: Option<PathBuf>,
        /// The file of the key. Default: the first name with .key, in this folder.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Days that it is valid for, 1 to 3650.
        #[arg(long, value_name = "DAYS", default_value = "90",
              value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print the configuration in effect, with the origin of each value.
    #[command(after_help = ORDER)]
    Dump {
        #[command(flatten)]
        source: Source,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Source {
    /// The configuration file; /etc/ringway/ringway.toml if it is there and nothing else is given.
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// The configuration file, as FILE.
    #[arg(short, long, value_name = "FILE", env = "RINGWAY_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Where to listen; may be given several times, and commas split it. Without a file.
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen_address, value_delimiter = ',',
          env = "RINGWAY_LISTEN")]
    pub(super) listen: Vec<SocketAddr>,
    /// Backend IP:PORT or DNS name, with *WEIGHT if not 1; repeat the flag or separate with commas,
    /// as in RINGWAY_BACKEND=a:80,b:80. Without a file.
    #[arg(long, value_name = "HOST:PORT[*WEIGHT]", value_parser = parse_backend_entry,
          value_delimiter = ',', env = "RINGWAY_BACKEND")]
    pub(super) backend: Vec<BackendEntry>,
    /// How a backend is picked: p2c (default), least-connections, round-robin, random, or hash (by
    /// the client's address). Without a file.
    #[arg(long, value_name = "NAME", value_parser = algorithm,
          env = "RINGWAY_ALGORITHM")]
    pub(super) algorithm: Option<Algorithm>,
    /// What clients speak: http (default), https, tcp, tls-passthrough or udp. Without a file.
    #[arg(long, value_name = "NAME", value_parser = parse_protocol, env = "RINGWAY_PROTOCOL")]
    pub(super) protocol: Option<Protocol>,
    /// With https: the certificate and its issuers, PEM. Without a file.
    #[arg(long, value_name = "FILE", env = "RINGWAY_TLS_CERT")]
    pub(super) tls_cert: Option<PathBuf>,
    /// With https: the key of the certificate, PEM; default: it is in the same file. Without a file.
    #[arg(long, value_name = "FILE", env = "RINGWAY_TLS_KEY")]
    pub(super) tls_key: Option<PathBuf>,
    /// Shards (threads): "auto", a number, or a list of cores as 0-3,8.
    #[arg(long, value_name = "SHARDS", value_parser = parse_shards, env = "RINGWAY_SHARDS")]
    pub(super) shards: Option<ShardsChoice>,
    /// Bytes of one buffer, with a unit.
    #[arg(long, value_name = "SIZE", value_parser = parse_buffer_size,
          env = "RINGWAY_BUFFER_SIZE")]
    pub(super) buffer_size: Option<usize>,
    /// Buffers in the receive ring of each shard, a power of two.
    #[arg(long, value_name = "COUNT", value_parser = buffers_per_shard,
          env = "RINGWAY_BUFFERS_PER_SHARD")]
    pub(super) buffers_per_shard: Option<usize>,
    /// Operations that a shard can hand to the kernel at once, a power of two.
    #[arg(long, value_name = "COUNT", value_parser = ring_entries, env = "RINGWAY_RING_ENTRIES")]
    pub(super) ring_entries: Option<u32>,
    /// Client connections of the whole process. Default: what the limit of open files allows, at
    /// most 100000.
    #[arg(long, value_name = "COUNT", value_parser = max_connections,
          env = "RINGWAY_MAX_CONNECTIONS")]
    pub(super) max_connections: Option<usize>,
    /// Log each request to this file, or to "stdout".
    #[arg(long, value_name = "PATH", value_parser = parse_log_path, env = "RINGWAY_ACCESS_LOG")]
    pub(super) access_log: Option<LogPath>,
    /// The Unix socket that takes orders; empty: none.
    #[arg(long, value_name = "SOCKET", value_parser = admin_socket, env = "RINGWAY_ADMIN")]
    pub(super) admin: Option<OrNone<PathBuf>>,
    /// A TCP address to read the state and metrics from; empty: none.
    #[arg(long, value_name = "IP:PORT", value_parser = admin_listen,
          env = "RINGWAY_ADMIN_LISTEN")]
    pub(super) admin_listen: Option<OrNone<SocketAddr>>,
    /// Where health and the operator's orders are kept over a restart, or "none"; empty:
    /// state.json in $STATE_DIRECTORY, which systemd may set, else nowhere.
    #[arg(long, value_name = "FILE", value_parser = parse_state_file, env = "RINGWAY_STATE_FILE")]
    pub(super) state_file: Option<StateFile>,
    /// How the log of the process looks: text (default) or json.
    #[arg(long, value_name = "FORMAT", env = "RINGWAY_LOG_FORMAT")]
    pub(super) log_format: Option<ProcessLogFormat>,
}

/// A value that can be given as none, by an empty text.
#[derive(Clone, Debug)]
pub(super) struct OrNone<T>(pub(super) Option<T>);

/// Minimum level to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Only what keeps the balancer from its work.
    Error,
    /// Also what someone should look at.
    Warn,
    /// Also what happens rarely: start, reload, a backend's health.
    Info,
    /// Also what helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

fn algorithm(word: &str) -> Result<Algorithm, String> {
    Algorithm::of_word(word).ok_or_else(|| unknown_word::<Algorithm>(word))
}

fn buffers_per_shard(text: &str) -> Result<usize, String> {
    let count = parse_count(text, BUFFERS_PER_SHARD_RANGE)?;
    check_power_of_two(count as u64).map(|()| count)
}

fn ring_entries(text: &str) -> Result<u32, String> {
    let count = parse_count(text, RING_ENTRIES_RANGE)?;
    check_power_of_two(count.into()).map(|()| count)
}

fn max_connections(text: &str) -> Result<usize, String> {
    parse_count(text, MAX_CONNECTIONS_RANGE)
}

fn admin_socket(text: &str) -> Result<OrNone<PathBuf>, String> {
    parse_socket_path(text).map(OrNone)
}

fn admin_listen(text: &str) -> Result<OrNone<SocketAddr>, String> {
    match text {
        "" => Ok(OrNone(None)),
        text => parse_admin_address(text).map(|address| OrNone(Some(address))),
    }
}
