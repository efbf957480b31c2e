//! What `ringway run` would find when it starts here with a configuration that is right by itself,
//! and what of it is hardly meant. Reads, changes nothing.

use crate::cli::serve::cores;
use ringway::config::units::print_duration;
use ringway::config::{ADMIN_SOCKET_DEFAULT, Config, Listener, LogPath, Pool, Probe, ShardsChoice};
use ringway::sys::{core, file, socket};
use serde::Serialize;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

/// Whether the process would start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// It would not.
    Error,
    /// It would, and something is odd.
    Warning,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// The key, as `access_log.path`.
    pub(super) key: String,
    /// What is wrong and how to mend it.
    pub(super) message: String,
}

/// What to do where the access log cannot be written.
pub(in crate::cli) const LOG_REMEDY: &str =
    "make its folder, or let the user that runs this write there";

fn error(key: impl Into<String>, message: impl Into<String>) -> Finding {
    Finding { level: Level::Error, key: key.into(), message: message.into() }
}

fn warning(key: impl Into<String>, message: impl Into<String>) -> Finding {
    Finding { level: Level::Warning, key: key.into(), message: message.into() }
}

/// All of them.
pub(super) fn all(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = shards(&config.runtime.shards).into_iter().collect();
    findings.extend(access_log(config));
    findings.extend(admin_socket(config));
    findings.extend(config.listeners.iter().filter_map(foreign_address));
    for pool in &config.pools {
        findings.extend(probes(pool));
        findings.extend(loops(config, pool));
    }
    findings
}

fn shards(shards: &ShardsChoice) -> Option<Finding> {
    let key = "runtime.shards";
    if let Err(why) = cores(shards) {
        return Some(error(key, format!("{why}: name cores of these, or write \"auto\"")));
    }
    let available = core::allowed().ok()?.len();
    match shards {
        ShardsChoice::Count(count) if *count > available => Some(warning(
            key,
            format!("{count} shards share {available} cores: write {available} or \"auto\""),
        )),
        _ => None,
    }
}

fn access_log(config: &Config) -> Option<Finding> {
    let why = log_error(config)?;
    Some(error("access_log.path", format!("{why}; {LOG_REMEDY}")))
}

/// Why the access log cannot be written.
pub(in crate::cli) fn log_error(config: &Config) -> Option<String> {
    let Some(LogPath::File(path)) = config.access_log.as_ref().map(|log| &log.path) else {
        return None;
    };
    let why = file::check_writable(path).err()?;
    Some(format!("cannot write `{}`: {why}", path.display()))
}

/// Without the default one the process starts all the same.
fn admin_socket(config: &Config) -> Option<Finding> {
    let path = config.admin.socket.as_ref()?;
    if path == Path::new(ADMIN_SOCKET_DEFAULT) {
        return None;
    }
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        let message = format!(
            "{} is there and is no socket: write another path, or remove what is there",
            path.display()
        );
        return Some(error("admin.socket", message));
    }
    // The folder is made at the start.
    let existing = path.ancestors().skip(1).map(file::or_here).find(|folder| folder.exists())?;
    let why = file::check_writable(&existing.join("socket")).err()?;
    let message = format!(
        "cannot make `{}`: {}: {why}; write a path that this user may make, or \"\" for none",
        path.display(),
        existing.display()
    );
    Some(error("admin.socket", message))
}

/// The configuration may be for another machine.
fn foreign_address(listener: &Listener) -> Option<Finding> {
    let any_port = SocketAddr::new(listener.address.ip(), 0);
    let why = socket::check_free(any_port).err()?;
    (why.kind() == ErrorKind::AddrNotAvailable).then(|| {
        let message = format!(
            "{} is no address of this machine: `ringway run` would not start here",
            listener.address.ip()
        );
        warning(format!("listener.{}.address", listener.name), message)
    })
}

fn probes(pool: &Pool) -> Vec<Finding> {
    let readiness = pool.readiness.as_ref().map(|probe| ("readiness", probe));
    let both = std::iter::once(("health", &pool.health)).chain(readiness);
    both.flat_map(|(table, probe)| slow_probe(&format!("pool.{}.{table}", pool.name), probe))
        .collect()
}

fn slow_probe(table: &str, probe: &Probe) -> Vec<Finding> {
    let rules = &probe.rules;
    let longer = |key: &str, duration, what: &str| {
        (duration > rules.interval).then(|| {
            let (own, interval) = (print_duration(duration), print_duration(rules.interval));
            let message = format!("{own} is longer than `interval`, {interval}: {what}");
            warning(format!("{table}.{key}"), message)
        })
    };
    let late = "a backend that does not answer is probed less often; make it shorter";
    let slow = "it is meant to be quicker while the state is changing; make it shorter";
    let found = [
        longer("timeout", rules.timeout, late),
        longer("fast_interval", rules.fast_interval, slow),
    ];
    found.into_iter().flatten().collect()
}

/// Backends that are Ringway itself.
fn loops<'c>(config: &'c Config, pool: &'c Pool) -> impl Iterator<Item = Finding> + 'c {
    pool.backends.iter().filter_map(|backend| {
        let address = backend.address;
        let own = config.listeners.iter().find(|listener| reaches(address, listener.address))?;
        let message = format!(
            "{address} is listener `{}` of this configuration: each request would come back, until \
             there is no connection left; write the server's own address",
            own.name
        );
        Some(warning(format!("pool.{}.backend", pool.name), message))
    })
}

/// True if who connects to `address` on this machine gets to a listener.
fn reaches(address: SocketAddr, listener: SocketAddr) -> bool {
    let is_here = address.ip().is_loopback() || address.ip().is_unspecified();
    let is_all = listener.ip().is_unspecified() && listener.is_ipv4() == address.is_ipv4();
    address == listener || (address.port() == listener.port() && is_here && is_all)
}
