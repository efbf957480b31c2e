//! Judges facts against a configuration: good, harmful or impossible, with the remedy.

use super::facts::Facts;
use crate::cli::check::findings::LOG_REMEDY;
use crate::cli::descriptors;
use ringway::config::{Config, ShardsChoice, Steering};
use ringway::limits::DATAGRAM_BUFFER_BYTES;

/// The level of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One line of the doctor's answer.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) level: Level,
    pub(super) found: String,
    pub(super) remedy: Option<String>,
}

type Judgement = (Level, String, Option<String>);

fn ok(found: impl Into<String>) -> Judgement {
    (Level::Ok, found.into(), None)
}

fn warn(found: impl Into<String>, remedy: impl Into<String>) -> Judgement {
    (Level::Warn, found.into(), Some(remedy.into()))
}

fn fail(found: impl Into<String>, remedy: impl Into<String>) -> Judgement {
    (Level::Fail, found.into(), Some(remedy.into()))
}

fn unknown() -> Judgement {
    warn("unknown", "is /proc mounted?")
}

/// Oldest kernel with everything that the engine needs.
const KERNEL_LEAST: (u32, u32) = (6, 1);

/// The default of systemd and the kernel; rings take a part of it for each shard.
const LOCKED_MEMORY_LEAST: u64 = 8 << 20;

/// What tuning/90-ringway.conf sets for net.core.rmem_max and wmem_max, bytes.
const SOCKET_BUFFERS: u64 = 32 << 20;

/// The range that tuning/90-ringway.conf sets. Ports below it are for listeners.
const LOCAL_PORTS: (u64, u64) = (10_240, 65_535);

/// Every finding, the one that most others depend on first.
pub(super) fn all(facts: &Facts, config: &Config) -> Vec<Finding> {
    let judgements = [
        ("kernel", kernel(facts)),
        ("io_uring", uring(facts)),
        ("io_uring_disabled", uring_disabled(facts)),
        ("locked memory", locked_memory(facts)),
        ("open files", open_files(facts, config)),
        ("cores", cores(facts, &config.runtime.shards)),
        ("receive queues", receive_queues(facts, config)),
        ("somaxconn", somaxconn(facts, config)),
        ("socket buffers", socket_buffers(facts, config)),
        ("ip_local_port_range", local_ports(facts, config)),
        ("tcp_migrate_req", migrate_requests(facts)),
        ("transparent_hugepage", huge_pages(facts)),
        ("processor", processor(facts)),
        ("access log", access_log(facts, config)),
    ];
    let finding = |(name, (level, found, remedy))| Finding { name, level, found, remedy };
    judgements.map(finding).into()
}

fn kernel(facts: &Facts) -> Judgement {
    let Some(release) = &facts.kernel else { return unknown() };
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= KERNEL_LEAST => ok(release),
        (Some(Ok(_)), Some(Ok(_))) => fail(release, "Ringway needs Linux 6.1 or later"),
        _ => warn(release, "the version is not understood; Ringway needs Linux 6.1 or later"),
    }
}

/// What the ciphers of TLS cost here. Browsers prefer the suite that is cheap for them.
fn processor(facts: &Facts) -> Judgement {
    let Some(flags) = &facts.processor else { return unknown() };
    let has = |flag: &str| flags.iter().any(|known| known == flag);
    let is_wide = has("vaes") && has("vpclmulqdq") && has("avx512f");
    match (has("aes"), has("pclmulqdq") || has("pmull")) {
        (true, true) if is_wide => {
            ok("AES with AVX-512 (vaes): TLS_AES_128_GCM_SHA256 is the cheapest cipher suite")
        }
        (true, true) => ok("AES: TLS_AES_128_GCM_SHA256 is the cheapest cipher suite"),
        _ => warn(
            "no instructions for AES: TLS by AES takes several times as long as by ChaCha20",
            "take the suites with AES out of `ciphers` of listeners of https, or let the virtual \
             machine pass `aes` and `pclmulqdq` on",
        ),
    }
}

fn uring(facts: &Facts) -> Judgement {
    match &facts.uring_error {
        None => ok("usable"),
        Some(error) => fail("not usable", error),
    }
}

fn uring_disabled(facts: &Facts) -> Judgement {
    let remedy = "sysctl -w kernel.io_uring_disabled=0";
    match facts.uring_disabled {
        None => ok("not there (the kernel has no such switch)"),
        Some(0) => ok("0"),
        Some(1) => warn("1: only privileged processes and kernel.io_uring_group", remedy),
        Some(other) => fail(format!("{other}: io_uring is disabled for every process"), remedy),
    }
}

fn shown_limit(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() }
}

fn locked_memory(facts: &Facts) -> Judgement {
    let Some((soft, _)) = facts.locked_memory else { return unknown() };
    let found = format!("{} bytes (RLIMIT_MEMLOCK)", shown_limit(soft));
    if soft >= LOCKED_MEMORY_LEAST {
        return ok(found);
    }
    warn(found, "LimitMEMLOCK=infinity in the systemd unit, or `ulimit -l unlimited`")
}

/// Only the hard limit counts: the process raises the soft one to it.
fn open_files(facts: &Facts, config: &Config) -> Judgement {
    let Some((soft, hard)) = facts.open_files else { return unknown() };
    let needed = descriptors::wanted(config);
    let (soft, shown_hard) = (shown_limit(soft), shown_limit(hard));
    let found = format!("{soft} soft, {shown_hard} hard (RLIMIT_NOFILE), {needed} needed");
    if hard >= needed {
        return ok(found);
    }
    let fitting = hard.saturating_sub(descriptors::besides_clients(config)) / 2;
    if fitting == 0 && descriptors::flows(config) > 0 {
        let remedy = format!("LimitNOFILE={needed} in the systemd unit, or a lower max_flows");
        return warn(found, remedy);
    }
    if fitting == 0 {
        return fail(found, format!("LimitNOFILE={needed} in the systemd unit"));
    }
    warn(found, format!("LimitNOFILE={needed} in the systemd unit, or max_connections = {fitting}"))
}

fn cores(facts: &Facts, shards: &ShardsChoice) -> Judgement {
    let allowed = facts.cores.len();
    let found = format!("{allowed} for this process");
    match shards {
        _ if allowed == 0 => unknown(),
        ShardsChoice::Count(count) if *count > allowed => {
            warn(format!("{found}, {count} shards"), format!("shards = {allowed} or \"auto\""))
        }
        ShardsChoice::Cores(cores) => {
            match cores.iter().find(|core| !facts.cores.contains(*core)) {
                Some(core) => {
                    let found = format!("{found}, shards on core {core} wanted");
                    fail(found, "remove that core from `shards`, or allow it to the process")
                }
                None => ok(found),
            }
        }
        _ => ok(found),
    }
}

/// Each queue of a network card interrupts one core, which takes its packets.
fn receive_queues(facts: &Facts, config: &Config) -> Judgement {
    let shards = match &config.runtime.shards {
        ShardsChoice::Auto => facts.cores.len(),
        // Those beyond the cores share them.
        ShardsChoice::Count(count) => (*count).min(facts.cores.len()),
        ShardsChoice::Cores(cores) => cores.len(),
    };
    let shown: Vec<String> =
        facts.cards.iter().map(|(name, queues)| format!("{name} has {queues}")).collect();
    if shown.is_empty() {
        return ok("no network card is seen here");
    }
    let found = format!("{}, shards: {shards}", shown.join(", "));
    let is_steered = config.listeners.iter().any(|listener| listener.steering == Steering::Cpu);
    if let Some((name, _)) = facts.cards.iter().find(|(_, queues)| *queues < shards) {
        let remedy = format!(
            "fewer queues than shards: some cores take the packets of all; `ethtool -L {name} \
             combined {shards}` if the card can, else spread them with rps_cpus in \
             /sys/class/net/{name}/queues/rx-*"
        );
        return warn(found, remedy);
    }
    match facts.cards.iter().find(|(_, queues)| is_steered && *queues > shards) {
        Some((name, _)) => {
            let remedy = format!(
                "more queues than shards, and steering = \"cpu\": `ethtool -L {name} combined \
                 {shards}` and one queue to the core of each shard, or steering = \"hash\""
            );
            warn(found, remedy)
        }
        None => ok(found),
    }
}

fn somaxconn(facts: &Facts, config: &Config) -> Judgement {
    let Some(most) = facts.somaxconn else { return unknown() };
    let backlog = config.runtime.backlog;
    let found = format!("{most}, backlog {backlog}");
    if most >= backlog.into() {
        return ok(found);
    }
    warn(found, format!("sysctl -w net.core.somaxconn={backlog}"))
}

/// Datagrams that arrive while a shard is busy wait in the buffer of its socket; what does not fit
/// is lost.
fn socket_buffers(facts: &Facts, config: &Config) -> Judgement {
    let has_datagrams = descriptors::flows(config) > 0;
    let Some((receive, send)) = facts.socket_buffers else {
        return match has_datagrams {
            true => warn("not there", "in a container ask its host"),
            false => ok("not there"),
        };
    };
    let found = format!("rmem_max {receive}, wmem_max {send}");
    let wanted = DATAGRAM_BUFFER_BYTES as u64;
    let low = [("rmem_max", receive), ("wmem_max", send)].into_iter();
    let low = low.filter(|(_, most)| has_datagrams && *most < wanted);
    let remedies: Vec<String> =
        low.map(|(key, _)| format!("sysctl -w net.core.{key}={SOCKET_BUFFERS}")).collect();
    match remedies.is_empty() {
        true => ok(found),
        false => warn(format!("{found}, {wanted} wanted for udp"), remedies.join("; ")),
    }
}

/// A port is taken for each connection to the same backend, and for each flow of UDP, whatever its
/// backend.
fn local_ports(facts: &Facts, config: &Config) -> Judgement {
    let Some((first, last)) = facts.local_ports else { return unknown() };
    let ports = (last + 1).saturating_sub(first);
    let reachable = ports * config.backend_count().max(1) as u64;
    let found = format!("{first} to {last}: {ports} connections to one backend at the same moment");
    let (wanted_first, wanted_last) = LOCAL_PORTS;
    let flows = descriptors::flows(config);
    if flows > ports && (first > wanted_first || last < wanted_last) {
        let found = format!("{first} to {last}: {ports} flows of UDP, and max_flows is {flows}");
        let range = format!("{wanted_first} {wanted_last}");
        let remedy = format!("sysctl -w net.ipv4.ip_local_port_range=\"{range}\"; less max_flows");
        return warn(found, remedy);
    }
    if reachable >= config.runtime.max_connections as u64 {
        return ok(found);
    }
    if first <= wanted_first && last >= wanted_last {
        return warn(found, "more backends, or a lower max_connections");
    }
    let range = format!("{wanted_first} {wanted_last}");
    warn(found, format!("sysctl -w net.ipv4.ip_local_port_range=\"{range}\"; more backends"))
}

fn migrate_requests(facts: &Facts) -> Judgement {
    match facts.migrate_requests {
        Some(0) => warn(
            "0: connections that wait in a listening socket are lost when it closes",
            "sysctl -w net.ipv4.tcp_migrate_req=1",
        ),
        Some(other) => ok(other.to_string()),
        None => warn("not there", "Linux 5.14 or later has it; in a container ask its host"),
    }
}

/// Buffers request huge pages where the kernel gives them on request, or to all.
fn huge_pages(facts: &Facts) -> Judgement {
    match facts.huge_pages.as_deref() {
        None => ok("not there (the kernel has no huge pages)"),
        Some("never") => warn(
            "never: large bodies cost about 10 % more CPU time",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        ),
        Some(chosen) => ok(chosen),
    }
}

fn access_log(facts: &Facts, config: &Config) -> Judgement {
    match (&facts.log_error, &config.access_log) {
        (Some(error), _) => fail(error, LOG_REMEDY),
        (None, Some(log)) => ok(log.path.to_string()),
        (None, None) => ok("none"),
    }
}
