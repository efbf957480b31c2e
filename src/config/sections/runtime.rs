//! `[runtime]`: threads, memory and bounds of the process. It is read at the start only.

use crate::config::addresses::{check_backend_address, parse_address};
use crate::config::choices::ProcessLogFormat;
use crate::config::keys::kinds::{
    count, limit, power_of_two, size, text, text_or_number, texts, word,
};
use crate::config::keys::section;
use crate::config::values::{
    BUFFER_SIZE_RANGE, BUFFERS_PER_SHARD_RANGE, MAX_CONNECTIONS_RANGE, RING_ENTRIES_RANGE,
    parse_shards, parse_state_file,
};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// The kernel caps it at net.core.somaxconn, which has 16 bits in some versions.
const BACKLOG_MAX: u32 = 65_535;
/// The default port of DNS servers (RFC 1035, 4.2).
const DNS_PORT: u16 = 53;

section! {
    /// `[runtime]`: threads, memory and bounds of the process.
    #[derive(Clone, Debug, PartialEq)]
    Runtime {
        /// The number of shards and their cores.
        shards: ShardsChoice = ShardsChoice::Auto => text_or_number(parse_shards).at_start(),
        /// Bytes of one buffer.
        buffer_size: usize = 32 * 1024 => size(BUFFER_SIZE_RANGE).at_start(),
        /// Buffers in the receive ring of a shard, a power of two.
        buffers_per_shard: usize = 1024 => power_of_two(BUFFERS_PER_SHARD_RANGE).at_start(),
        /// Entries of the submission queue of a shard, a power of two.
        ring_entries: u32 = 4096 => power_of_two(RING_ENTRIES_RANGE).at_start(),
        /// Client connections of the process; further ones wait in the kernel's backlog. At least
        /// 1.
        max_connections: usize = 100_000 => count(MAX_CONNECTIONS_RANGE).at_start(),
        /// Connections of one client address; 0: no limit.
        max_connections_per_client: usize =
            0 => limit(*MAX_CONNECTIONS_RANGE.end()).at_start(),
        /// The backlog of each listening socket, connections.
        backlog: u32 = 4096 => count(1..=BACKLOG_MAX).at_start(),
        /// The file for health and the operator's orders over a restart.
        state_file: StateFile = StateFile::Given => text(parse_state_file).at_start(),
        /// DNS servers for names of backends; empty: those of the system.
        dns_servers: Vec<SocketAddr> = Vec::new() => texts(parse_dns_server).at_start(),
        /// The format of the log of the process.
        log_format: ProcessLogFormat = ProcessLogFormat::default() => word().at_start(),
    }
}

/// `IP` or `IP:PORT`.
fn parse_dns_server(text: &str) -> Result<SocketAddr, String> {
    match text.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => {
            let server = SocketAddr::new(ip, DNS_PORT);
            check_backend_address(&server).map(|()| server)
        }
        Err(_) => parse_address(text),
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

/// What `parse_shards` reads. A single core becomes a range: a number would be a count.
impl fmt::Display for ShardsChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => count.fmt(f),
            Self::Cores(cores) => {
                let runs = cores.chunk_by(|a, b| a + 1 == *b);
                let printed: Vec<String> = runs
                    .map(|run| match run {
                        [only] if cores.len() > 1 => only.to_string(),
                        run => format!("{}-{}", run[0], run[run.len() - 1]),
                    })
                    .collect();
                f.write_str(&printed.join(","))
            }
        }
    }
}
