//! What can be written on the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use ringway::balance::Algorithm;
use ringway::config::{Backend, Shards, units};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A load balancer for bare-metal Linux edge servers.
#[derive(Parser)]
#[command(version, about, long_about = None, after_help = "Examples:
  ringway run --listen 127.0.0.1:8080 --backend 127.0.0.1:9001 --backend 127.0.0.1:9002*2
  ringway run --config /etc/ringway/ringway.toml
  ringway check /etc/ringway/ringway.toml
  ringway demo")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Balance: from a configuration file, or from --listen and --backend alone
    Run(Run),
    /// Check a configuration file, offline: exit status 0 if it is well, 1 if not
    Check(Check),
    /// Start three small origins of different weight and latency, and balance over them
    Demo(Demo),
    /// Look at kernel and limits, and say what to change
    Doctor(Doctor),
    /// Look at the configuration
    Config(Config),
}

#[derive(Args, Clone, Default)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) source: Source,
    /// What to log: error, warn, info, debug, or targets as in `ringway=debug`
    #[arg(long, env = "RINGWAY_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub(crate) log_level: String,
}

/// Where the configuration comes from: a flag beats the environment beats the file.
#[derive(Args, Clone, Default)]
pub(crate) struct Source {
    /// The configuration file
    #[arg(long, short, env = "RINGWAY_CONFIG", value_name = "FILE", conflicts_with_all = ["listen", "backend"])]
    pub(crate) config: Option<PathBuf>,
    /// Listen here; may be given several times
    #[arg(long, value_name = "IP:PORT", requires = "backend")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Balance over this backend, with a weight if it is not 1; may be given several times
    #[arg(long, value_name = "IP:PORT[*WEIGHT]", value_parser = backend, requires = "listen")]
    pub(crate) backend: Vec<Backend>,
    /// How a backend is picked for --backend: p2c, least-connections, round-robin, random
    #[arg(long, value_name = "NAME", value_parser = algorithm, requires = "backend")]
    pub(crate) algorithm: Option<Algorithm>,
    /// How many shards, or on which cores: a number, `auto`, or a list as in 0-3,8
    #[arg(long, env = "RINGWAY_SHARDS", value_name = "N|auto|LIST", value_parser = |t: &str| t.parse::<Shards>())]
    pub(crate) shards: Option<Shards>,
    /// Size of a buffer, 16KiB to 1MiB
    #[arg(long, env = "RINGWAY_BUFFER_SIZE", value_name = "SIZE", value_parser = units::parse_size)]
    pub(crate) buffer_size: Option<u64>,
    /// Buffers in each shard's receive ring, a power of two, 16 to 32768
    #[arg(long, env = "RINGWAY_BUFFERS_PER_SHARD", value_name = "N")]
    pub(crate) buffers_per_shard: Option<u64>,
    /// Submission entries of each shard's ring, a power of two, 64 to 32768
    #[arg(long, env = "RINGWAY_RING_ENTRIES", value_name = "N")]
    pub(crate) ring_entries: Option<u64>,
    /// Client connections that are accepted; more wait in the backlog
    #[arg(long, env = "RINGWAY_MAX_CONNECTIONS", value_name = "N")]
    pub(crate) max_connections: Option<u64>,
    /// Record exchanges as JSON lines in this file, or on `stdout`
    #[arg(long, env = "RINGWAY_ACCESS_LOG", value_name = "PATH")]
    pub(crate) access_log: Option<String>,
}

#[derive(Args)]
pub(crate) struct Check {
    /// The configuration file
    pub(crate) file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Demo {
    /// Listen here
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
}

#[derive(Args)]
pub(crate) struct Doctor {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Config {
    /// What to do with it
    #[arg(value_enum)]
    pub(crate) action: ConfigAction,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Print each value with its origin, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ConfigAction {
    /// Print the configuration that would be in force, in full
    Dump,
}

/// Reads `IP:PORT` or `IP:PORT*WEIGHT`.
fn backend(text: &str) -> Result<Backend, String> {
    let (address, weight) = match text.split_once('*') {
        Some((address, weight)) => (address, weight),
        None => (text, "1"),
    };
    let most = ringway::limits::WEIGHT_MAX;
    let weight = weight.parse().ok().filter(|weight| (1..=most).contains(weight));
    let weight = weight.ok_or_else(|| format!("the weight behind `*` must be 1 to {most}"))?;
    Ok(Backend { address: Backend::parse_address(address)?, weight })
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    text.parse().map_err(|()| {
        let names: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
        format!("it is one of {}", names.join(", "))
    })
}
