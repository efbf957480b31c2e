//! Queries name servers. A and AAAA of a host are separate queries, so that a lost answer is not
//! taken for one without addresses of this kind.

use super::system_files::SystemFiles;
use crate::coordinator::fleet::FIRST_ROUND_MAX;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, TokioResolver};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// The bounds of a TTL: one of 0 must not make a storm of queries, and one of a week must not hide
/// a change.
pub(super) const TTL_MIN: Duration = Duration::from_secs(1);
/// See [`TTL_MIN`].
pub(super) const TTL_MAX: Duration = Duration::from_secs(300);
/// How long an entry of the hosts file is valid before the file is checked again.
const HOSTS_HOLD: Duration = Duration::from_secs(5);
/// The timeout of one server.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Attempts after the first one. All of them must be over within the first round: otherwise a
/// server that never answers AAAA would make the round end without its A records.
const ATTEMPTS_MORE: usize = 1;
const _: () = assert!(
    TIMEOUT.as_millis() * (1 + ATTEMPTS_MORE as u128) < FIRST_ROUND_MAX.as_millis(),
    "attempts end within the first round"
);

/// See the module.
pub(crate) struct Resolver {
    servers: TokioResolver,
    hosts: Hosts,
    /// Domains in which a name of few dots is looked up, in this order.
    domains: Vec<Name>,
    /// A name with at least this many dots is first looked up as it is.
    dots: usize,
}

/// The addresses of a host.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) ips: Vec<IpAddr>,
    /// How long they are valid.
    pub(super) holds: Duration,
    /// Why a part of them is from the answer before.
    pub(super) stale: Option<String>,
}

/// Addresses of one kind, and how long they are valid; or the failure.
type Found = Result<(Vec<IpAddr>, Duration), String>;

impl Resolver {
    /// Queries these servers, or those of the system if there are none, about names that the hosts
    /// file does not have.
    ///
    /// # Errors
    /// If the system's servers cannot be read.
    pub(super) fn new(servers: &[SocketAddr], files: &SystemFiles) -> Result<Self, String> {
        let file = files.resolv_conf.display();
        let failed = |error: NetError| {
            format!("no DNS resolver: {error}; look at {file}, or set runtime.dns_servers")
        };
        let (config, mut options) = if servers.is_empty() {
            let read = std::fs::read(&files.resolv_conf).map_err(NetError::from);
            read.and_then(parse_resolv_conf).map_err(failed)?
        } else {
            let servers = servers.iter().map(server).collect();
            (ResolverConfig::from_parts(None, Vec::new(), servers), ResolverOpts::default())
        };
        (options.timeout, options.attempts) = (TIMEOUT, ATTEMPTS_MORE);
        // It is read here, for both kinds of addresses together.
        options.use_hosts_file = ResolveHosts::Never;
        options.positive_max_ttl = Some(TTL_MAX);
        options.negative_max_ttl = Some(TTL_MIN);
        let (domain, search) = (config.domain.clone(), config.search.clone());
        let domains = domain.into_iter().chain(search).collect();
        let dots = options.ndots;
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let servers = builder.with_options(options).build().map_err(failed)?;
        Ok(Self { servers, hosts: read_hosts(&files.hosts), domains, dots })
    }

    /// The SRV records of a service.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn services(&self, service: &str) -> Result<(Lookup, Duration), String> {
        let answer = self.servers.srv_lookup(name_of(service)?).await;
        let answer = answer.map_err(|error| match () {
            () if error.is_nx_domain() => format!("there is no name {service} (NXDOMAIN)"),
            () if error.is_no_records_found() => format!("{service} has no SRV records"),
            () => format!("SRV of {service}: {error}"),
        })?;
        let holds = left_until(answer.valid_until());
        Ok((answer, holds))
    }

    /// The addresses of a host: of the first of its [`Resolver::names`] that has one. If A or AAAA
    /// fails, those `known` before stand for them.
    ///
    /// # Errors
    /// Why there is no address, if none was found now.
    pub(super) async fn addresses(
        &self,
        host: &str,
        known: &[IpAddr],
    ) -> Result<Addresses, String> {
        self.addresses_of(self.names(&name_of(host)?), host, known).await
    }

    /// The addresses of a host, for a connection now.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn ips(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        self.addresses(host, &[]).await.map(|found| found.ips)
    }

    /// The addresses of the target of a record: its name is fully qualified.
    ///
    /// # Errors
    /// As for [`Resolver::addresses`].
    pub(super) async fn addresses_of_target(
        &self,
        target: &Name,
        known: &[IpAddr],
    ) -> Result<Addresses, String> {
        self.addresses_of(vec![target.clone()], &target.to_string(), known).await
    }

    async fn addresses_of(
        &self,
        names: Vec<Name>,
        host: &str,
        known: &[IpAddr],
    ) -> Result<Addresses, String> {
        if let Some(ips) = names.iter().find_map(|name| self.in_hosts_file(name)) {
            return Ok(Addresses { ips, holds: HOSTS_HOLD, stale: None });
        }
        let mut failure = None;
        for name in names {
            let (a, aaaa) = (self.ask(&name, RecordType::A), self.ask(&name, RecordType::AAAA));
            let (a, aaaa) = tokio::join!(a, aaaa);
            let has_one = |found: &Found| found.as_ref().is_ok_and(|(ips, _)| !ips.is_empty());
            if has_one(&a) || has_one(&aaaa) {
                return Ok(together(a, aaaa, known));
            }
            failure = failure.or(a.err()).or(aaaa.err());
        }
        Err(failure.unwrap_or_else(|| format!("{host} has neither A nor AAAA records")))
    }

    /// The full names that a host may have, as in resolv.conf(5): `search` and `ndots`.
    fn names(&self, name: &Name) -> Vec<Name> {
        if name.is_fqdn() {
            return vec![name.clone()];
        }
        let is_first = usize::from(name.num_labels()) > self.dots || name.is_localhost();
        let mut plain = name.clone();
        plain.set_fqdn(true);
        // Too long with a domain: then there is no such host in it.
        let within =
            self.domains.iter().filter_map(|domain| name.clone().append_domain(domain).ok());
        let mut names: Vec<Name> = within.collect();
        names.insert(if is_first { 0 } else { names.len() }, plain);
        names
    }

    /// The entry of the hosts file for a name: it is complete, also if it has only one kind of
    /// addresses, and no server is queried for the other.
    fn in_hosts_file(&self, name: &Name) -> Option<Vec<IpAddr>> {
        let of_kind = |kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let found = [RecordType::A, RecordType::AAAA].into_iter().filter_map(of_kind);
        let addresses = |lookup: Lookup| -> Vec<IpAddr> {
            lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect()
        };
        let ips: Vec<IpAddr> = found.flat_map(addresses).collect();
        (!ips.is_empty()).then_some(ips)
    }

    async fn ask(&self, name: &Name, kind: RecordType) -> Found {
        match self.servers.lookup(name.clone(), kind).await {
            Ok(answer) => {
                let ips = answer.answers().iter().filter_map(|record| record.data.ip_addr());
                Ok((ips.collect(), left_until(answer.valid_until())))
            }
            Err(error) if error.is_no_records_found() => Ok((Vec::new(), Duration::MAX)),
            Err(error) => Err(format!("{kind} of {name}: {error}")),
        }
    }
}

/// The content of a hosts file; empty if it cannot be read, as where there is none.
fn read_hosts(path: &Path) -> Hosts {
    let mut hosts = Hosts::default();
    let read = std::fs::File::open(path).and_then(|file| hosts.read_hosts_conf(file));
    match read {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "cannot read {}: going on without", path.display());
        }
        _ => {}
    }
    hosts
}

/// A name as written. Labels may have any characters (RFC 2181, 11), as underscores.
fn name_of(text: &str) -> Result<Name, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("`{text}` is no name: {error}");
    if !text.is_ascii() {
        return Name::from_utf8(text).map_err(|error| wrong(&error));
    }
    let labels = text.strip_suffix('.').unwrap_or(text);
    if labels.split('.').any(str::is_empty) {
        return Err(wrong(&"it has an empty label"));
    }
    let name = Name::from_labels(labels.split('.').map(str::as_bytes));
    let mut name = name.map_err(|error| wrong(&error))?;
    name.set_fqdn(text.ends_with('.'));
    Ok(name)
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

/// Both kinds of addresses, one of which may have to be taken from those `known` before.
fn together(a: Found, aaaa: Found, known: &[IpAddr]) -> Addresses {
    let mut all = Addresses { ips: Vec::new(), holds: Duration::MAX, stale: None };
    for (found, is_such) in [(a, IpAddr::is_ipv4 as fn(&IpAddr) -> bool), (aaaa, IpAddr::is_ipv6)] {
        match found {
            Ok((ips, holds)) => {
                all.ips.extend(ips);
                all.holds = all.holds.min(holds);
            }
            Err(reason) => {
                all.ips.extend(known.iter().filter(|ip| is_such(ip)));
                all.stale = Some(reason);
            }
        }
    }
    all
}

fn left_until(moment: Instant) -> Duration {
    moment.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(domains: &[&str], dots: usize) -> Resolver {
        let servers = [([127, 0, 0, 1], 53).into()];
        let mut resolver = Resolver::new(&servers, &SystemFiles::default()).expect("it is made");
        let domain = |domain: &&str| Name::from_utf8(domain).expect("a name");
        resolver.domains = domains.iter().map(domain).collect();
        resolver.dots = dots;
        resolver
    }

    #[test]
    fn a_name_of_few_dots_is_looked_for_in_the_domains_first() {
        let resolver = resolver(&["a.test.", "b.test."], 2);
        let names = |host: &str| -> Vec<String> {
            let names = resolver.names(&name_of(host).expect("a name"));
            names.iter().map(Name::to_utf8).collect()
        };
        assert_eq!(names("app"), ["app.a.test.", "app.b.test.", "app."]);
        assert_eq!(names("one.app"), ["one.app.a.test.", "one.app.b.test.", "one.app."]);
        assert_eq!(names("1.one.app"), ["1.one.app.", "1.one.app.a.test.", "1.one.app.b.test."]);
        assert_eq!(names("app."), ["app."]);
        assert_eq!(names("localhost")[0], "localhost.");
        assert_eq!(
            names("my_app._tcp.x"),
            ["my_app._tcp.x.", "my_app._tcp.x.a.test.", "my_app._tcp.x.b.test."]
        );
        for wrong in ["a..b", "", "."] {
            assert!(name_of(wrong).expect_err("it is none").contains("empty label"));
        }
    }
}
