//! Facts about the kernel, this process and the network cards, from files below `/proc` and `/sys`.

use ringway::config::{ShardsChoice, values::parse_shards};
use std::error::Error;
use std::fs;
use std::path::Path;

/// The facts to judge. None where the machine does not have one.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// As `6.18.5-amd64`.
    pub(super) kernel: Option<String>,
    /// The sentence of the probe that failed.
    pub(super) uring_error: Option<String>,
    /// kernel.io_uring_disabled.
    pub(super) uring_disabled: Option<u64>,
    /// RLIMIT_MEMLOCK, bytes, soft and hard; `u64::MAX` for none.
    pub(super) locked_memory: Option<(u64, u64)>,
    /// RLIMIT_NOFILE, soft and hard; `u64::MAX` for none.
    pub(super) open_files: Option<(u64, u64)>,
    /// net.core.somaxconn.
    pub(super) somaxconn: Option<u64>,
    /// net.core.rmem_max and net.core.wmem_max, bytes.
    pub(super) socket_buffers: Option<(u64, u64)>,
    /// net.ipv4.ip_local_port_range, first and last.
    pub(super) local_ports: Option<(u64, u64)>,
    /// net.ipv4.tcp_migrate_req.
    pub(super) migrate_requests: Option<u64>,
    /// The word that is chosen in transparent_hugepage/enabled.
    pub(super) huge_pages: Option<String>,
    /// Cores that this process may use, ascending.
    pub(super) cores: Vec<usize>,
    /// Network cards by name, with their receive queues.
    pub(super) cards: Vec<(String, usize)>,
    /// The flags of the first processor: instructions that it has.
    pub(super) processor: Option<Vec<String>>,
    /// Why the access log cannot be written.
    pub(super) log_error: Option<String>,
}

impl Facts {
    /// Reads the files below `root`, which is `/` but in tests.
    pub(super) fn gather(root: &Path, probed: Result<(), Box<dyn Error>>) -> Self {
        let read = |path: &str| fs::read_to_string(root.join(path)).ok();
        let number = |path: &str| read(path)?.trim().parse().ok();
        let limits = read("proc/self/limits").unwrap_or_default();
        let status = read("proc/self/status").unwrap_or_default();
        Self {
            kernel: read("proc/sys/kernel/osrelease").map(|release| release.trim().to_owned()),
            uring_error: probed.err().map(|error| error.to_string()),
            uring_disabled: number("proc/sys/kernel/io_uring_disabled"),
            locked_memory: limit(&limits, "Max locked memory"),
            open_files: limit(&limits, "Max open files"),
            somaxconn: number("proc/sys/net/core/somaxconn"),
            socket_buffers: number("proc/sys/net/core/rmem_max")
                .zip(number("proc/sys/net/core/wmem_max")),
            local_ports: read("proc/sys/net/ipv4/ip_local_port_range")
                .and_then(|range| pair(&range)),
            migrate_requests: number("proc/sys/net/ipv4/tcp_migrate_req"),
            huge_pages: read("sys/kernel/mm/transparent_hugepage/enabled")
                .and_then(|words| chosen(&words)),
            cores: allowed_cores(&status),
            cards: cards(&root.join("sys/class/net")),
            processor: read("proc/cpuinfo").and_then(|text| flags(&text)),
            log_error: None,
        }
    }
}

/// The flags of the first processor; `Features` on ARM.
fn flags(text: &str) -> Option<Vec<String>> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, flags) = lines.find(|(key, _)| ["flags", "Features"].contains(&key.trim()))?;
    Some(flags.split_ascii_whitespace().map(str::to_owned).collect())
}

/// The interfaces with a device and receive queues: not loopback, bridges, tunnels and the like,
/// whose packets arrive over others.
fn cards(interfaces: &Path) -> Vec<(String, usize)> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let queues = |interface: &Path| {
        let names = entries(&interface.join("queues")).map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with("rx-")).count()
    };
    let cards = entries(interfaces).filter(|entry| entry.path().join("device").exists());
    let cards = cards
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), queues(&entry.path())));
    let mut cards: Vec<_> = cards.filter(|(_, queues)| *queues > 0).collect();
    cards.sort();
    cards
}

/// The word in brackets, as of `always [madvise] never`.
fn chosen(words: &str) -> Option<String> {
    let (_, rest) = words.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

fn pair(text: &str) -> Option<(u64, u64)> {
    let mut words = text.split_whitespace();
    Some((limit_number(words.next()?)?, limit_number(words.next()?)?))
}

fn limit_number(word: &str) -> Option<u64> {
    if word == "unlimited" { Some(u64::MAX) } else { word.parse().ok() }
}

/// The soft and the hard limit in the row `name` of `/proc/self/limits`.
fn limit(limits: &str, name: &str) -> Option<(u64, u64)> {
    limits.lines().find_map(|line| line.strip_prefix(name)).and_then(pair)
}

/// The cores in the row `Cpus_allowed_list` of `/proc/self/status`: a list as `0-3,8`.
fn allowed_cores(status: &str) -> Vec<usize> {
    let row = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let Some(list) = row.map(str::trim) else { return Vec::new() };
    match list.parse() {
        Ok(only) => vec![only],
        Err(_) => match parse_shards(list) {
            Ok(ShardsChoice::Cores(cores)) => cores,
            _ => Vec::new(),
        },
    }
}
