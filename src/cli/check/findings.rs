//! Errors and warnings of a start of `ringway run` here with a configuration that is valid by
//! itself. Reads, changes nothing.

use super::{acme, backend_tls, certificates, datagrams, host, open_names, protocols};
use crate::cli::environment::Wrong;
use crate::cli::load::{Effective, LoadError};
use crate::cli::serve::cores;
use ringway::config::units::print_duration;
use ringway::config::values::reached;
use ringway::config::{
    ADMIN_SOCKET_DEFAULT, BackendName, Config, Endpoint, FILE_BYTES_MAX, Listener, LogPath, Lookup,
    Pool, PoolUses, Probe, ShardsChoice, parse_backends_file, text_of,
};
use ringway::coordinator::{check_host, system_authorities};
use ringway::sys::{core, file, socket};
use serde::Serialize;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

/// The level of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// The process would not start.
    #[serde(rename = "error")]
    Fatal,
    /// The process would start, and the configuration is odd or partly does not work.
    Warning,
}

/// A finding.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// The key, as `access_log.path`, or the variable of the environment.
    pub(super) key: String,
    /// The environment variable of the value, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) variable: Option<String>,
    /// The problem and its remedy.
    pub(super) message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variable {
            Some(variable) => write!(f, "{variable} ({}): {}", self.key, self.message),
            None => write!(f, "{}: {}", self.key, self.message),
        }
    }
}

/// The remedy for an access log that cannot be written.
pub(in crate::cli) const LOG_REMEDY: &str =
    "make its folder, or let the user that runs this write there";

fn found(level: Level, key: impl Into<String>, message: impl Into<String>) -> Finding {
    Finding { level, key: key.into(), variable: None, message: message.into() }
}

fn fatal(key: impl Into<String>, message: impl Into<String>) -> Finding {
    found(Level::Fatal, key, message)
}

pub(super) fn warning(key: impl Into<String>, message: impl Into<String>) -> Finding {
    found(Level::Warning, key, message)
}

/// A variable with a value that `ringway run` refuses.
pub(super) fn of_refused(Wrong { variable, message }: Wrong) -> Finding {
    fatal(variable, message)
}

/// Variables that contradict a file.
pub(super) fn of_usage(error: &LoadError) -> Finding {
    fatal("environment", error.to_string())
}

/// A variable that nothing reads.
pub(super) fn of_unread(Wrong { variable, message }: Wrong) -> Finding {
    warning(variable, message)
}

/// All findings for a new process.
pub(super) fn all(effective: &Effective) -> Vec<Finding> {
    let config = &effective.config;
    let mut findings = of_text(config);
    findings.extend(of_files(config));
    findings.extend(config.listeners.iter().filter_map(foreign_address));
    findings.extend(datagrams::unprobed(effective));
    findings.extend(not_allowed(config));
    named(findings, effective)
}

/// The findings of a process that starts. It opens its listeners itself, or reports an error.
pub(super) fn of_start(effective: &Effective) -> Vec<Finding> {
    let config = &effective.config;
    let mut findings = of_text(config);
    findings.extend(of_files(config));
    named(findings, effective)
}

/// The findings of a process that serves, which has the listeners that are `open` already. No file
/// is read: a file system that does not answer would block the calling thread.
pub(super) fn of_reload(effective: &Effective, open: &[Listener]) -> Vec<Finding> {
    let config = &effective.config;
    let mut findings = of_text(config);
    let is_open = |new: &&Listener| open.iter().any(|open| open.address == new.address);
    let new = config.listeners.iter().filter(|listener| !is_open(listener));
    findings.extend(new.filter_map(foreign_address));
    named(findings, effective)
}

/// The findings of the configuration and the cores alone.
fn of_text(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = shards(&config.runtime.shards).into_iter().collect();
    findings.extend(admin_address(config));
    findings.extend(protocols::findings(config));
    findings.extend(certificates::findings(config));
    findings.extend(open_names::findings(config));
    findings.extend(acme::findings(config));
    findings.extend(backend_tls::findings(config));
    findings.extend(datagrams::findings(config));
    findings.extend(host::findings(config));
    for (pool, uses) in config.pools.iter().zip(config.uses_of_pools()) {
        findings.extend(probes(pool));
        findings.extend(loops(config, pool, uses));
    }
    findings
}

/// What this machine does not allow.
fn not_allowed(config: &Config) -> Option<Finding> {
    let authorities = system_authorities(config).map(drop);
    check_host(config).and(authorities).err().map(|why| fatal("pool", why))
}

/// The findings about paths.
fn of_files(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = access_log(config).into_iter().collect();
    findings.extend(admin_socket(config));
    findings.extend(state_file(config));
    findings.extend(config.pools.iter().filter_map(backends_file));
    findings.extend(certificates::readable_keys(config));
    findings.extend(acme::folders(config));
    findings
}

/// Adds the environment variables of the values.
fn named(mut findings: Vec<Finding>, effective: &Effective) -> Vec<Finding> {
    for finding in &mut findings {
        finding.variable = effective.variable(&finding.key).map(str::to_owned);
    }
    findings
}

fn shards(shards: &ShardsChoice) -> Option<Finding> {
    let key = "runtime.shards";
    if let Err(why) = cores(shards) {
        return Some(fatal(key, format!("{why}: name cores of these, or write \"auto\"")));
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
    Some(fatal("access_log.path", format!("{why}; {LOG_REMEDY}")))
}

/// Why the access log cannot be written.
pub(in crate::cli) fn log_error(config: &Config) -> Option<String> {
    let Some(LogPath::File(path)) = config.access_log.as_ref().map(|log| &log.path) else {
        return None;
    };
    let why = file::check_writable(path).err()?;
    Some(format!("cannot write `{}`: {why}", path.display()))
}

/// The admin socket. Without the default one the process starts all the same.
fn admin_socket(config: &Config) -> Option<Finding> {
    let path = config.admin.socket.as_ref()?;
    if path == Path::new(ADMIN_SOCKET_DEFAULT) {
        return None;
    }
    if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        let message = format!(
            "{} is there and is no socket: write another path, or remove what is there",
            path.display()
        );
        return Some(fatal("admin.socket", message));
    }
    // The folder is made at the start.
    let existing = path.ancestors().skip(1).map(file::or_here).find(|folder| folder.exists())?;
    let why = file::check_folder(existing).err()?;
    let message = format!(
        "cannot make `{}`: {}: {why}; write a path that this user may make, or \"\" for none",
        path.display(),
        existing.display()
    );
    Some(fatal("admin.socket", message))
}

/// The admin address. In the file a conflict is refused with its place; a flag or a variable
/// overrides it.
fn admin_address(config: &Config) -> Option<Finding> {
    let address = config.admin.listen?;
    let own = Endpoint::tcp(address);
    let taken = config.listeners.iter().find(|listener| listener.endpoint().overlaps(&own))?;
    let message = format!(
        "{address} is in the way of listener `{}` on {}: give one another port",
        taken.name, taken.address
    );
    Some(fatal("admin.listen", message))
}

/// The state file. Without it the process starts, and saves nothing.
fn state_file(config: &Config) -> Option<Finding> {
    let path = config.runtime.state_file.path()?;
    let remedy = "write the path of a file, or \"none\"";
    let message = match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            format!(
                "`{}` is there and is not a regular file: nothing is saved; {remedy}",
                path.display()
            )
        }
        _ => {
            // It is written beside its place, and renamed.
            let mut beside = path.as_os_str().to_owned();
            beside.push(".new");
            let why = file::check_writable(Path::new(&beside)).err()?;
            format!(
                "cannot write `{}`: {why}: nothing is saved; make its folder, or let the user that \
                 runs this write there",
                path.display()
            )
        }
    };
    Some(warning("runtime.state_file", message))
}

/// The watched file. It is checked again and again: a missing one may appear.
fn backends_file(pool: &Pool) -> Option<Finding> {
    let path = pool.backends_file.as_ref()?;
    let (key, shown) = (format!("pool.{}.backends_file", pool.name), path.display());
    let message = match fs::metadata(path) {
        Ok(found) if found.is_file() => return None,
        Ok(_) => format!(
            "`{shown}` is not a regular file: the pool has no backends from it; write the path of \
             a file"
        ),
        Err(why) if why.kind() == ErrorKind::NotFound => {
            format!("`{shown}` is not there: until it is, the pool has no backends from it")
        }
        Err(why) => format!(
            "cannot read `{shown}`: {why}: until it can be read, the pool has no backends from \
             it; let the user that runs this read it"
        ),
    };
    Some(warning(key, message))
}

/// Problems within files that list backends. While a process serves, its sources read them, and
/// report problems.
pub(super) fn in_backends_files(config: &Config) -> impl Iterator<Item = Finding> + '_ {
    let pools = config.pools.iter().zip(config.uses_of_pools());
    pools.filter_map(|(pool, uses)| {
        let path = pool.backends_file.as_ref().filter(|path| path.is_file())?;
        let shown = path.display();
        let read = file::read_regular(path, FILE_BYTES_MAX).map_err(|why| why.to_string());
        let parsed = read.and_then(text_of).and_then(|text| {
            let parsed = parse_backends_file(&text, &shown.to_string());
            parsed.map_err(|all| match all.problems.first() {
                Some(first) => format!("line {}: {}", first.line, first.message),
                None => all.to_string(),
            })
        });
        let message = match parsed {
            Err(why) => format!(
                "`{shown}` cannot be used: {why}; until it can, the pool has no backends from it"
            ),
            Ok(backends) => {
                let mut backends = backends.iter();
                let own = backends.find_map(|one| own_listener(config, uses, one.address))?;
                format!("`{shown}`: {own}")
            }
        };
        Some(warning(format!("pool.{}.backends_file", pool.name), message))
    })
}

/// Addresses of listeners. The configuration may be for another machine.
fn foreign_address(listener: &Listener) -> Option<Finding> {
    let any_port = SocketAddr::new(listener.address.ip(), 0);
    let why = socket::check_free(any_port).err()?;
    (why.kind() == ErrorKind::AddrNotAvailable).then(|| {
        let message = format!(
            "{} is no address of this machine: `ringway run` would not start here, unless systemd \
             passes a socket for it",
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

/// Backends that are Ringway itself: at best requests pass through it twice. Where they certainly
/// loop back to the same pool, the configuration is refused.
fn loops<'c>(
    config: &'c Config,
    pool: &'c Pool,
    uses: PoolUses,
) -> impl Iterator<Item = Finding> + 'c {
    let found = |message| warning(format!("pool.{}.backend", pool.name), message);
    let addresses = pool.backends.iter().map(|backend| backend.address);
    let addresses = addresses.filter_map(move |address| own_listener(config, uses, address));
    let names = pool.names.iter().filter_map(move |name| own_by_name(config, uses, name));
    addresses.chain(names).map(found)
}

/// The listener that traffic to a backend of this address would reach.
fn own_listener(config: &Config, uses: PoolUses, address: SocketAddr) -> Option<String> {
    let is_met = |listener: &&Listener| uses.has(listener.protocol.transport());
    let met = config.listeners.iter().filter(is_met);
    let own = reached(met, address, |listener| listener.address)?;
    Some(format!(
        "{address} is listener `{}` of this configuration: traffic passes through it twice, and \
         without end if they are routed back; write the server's own address",
        own.name
    ))
}

/// `localhost`, the one name whose addresses are known without a query (RFC 6761, 6.3).
fn own_by_name(config: &Config, uses: PoolUses, name: &BackendName) -> Option<String> {
    let Lookup::Address { name, port } = &name.lookup else { return None };
    let hosts = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    let mut hosts = hosts.iter().filter(|_| name.trim_end_matches('.') == "localhost");
    let message =
        hosts.find_map(|host| own_listener(config, uses, SocketAddr::new(*host, *port)))?;
    Some(format!("{name}:{port}: {message}"))
}
