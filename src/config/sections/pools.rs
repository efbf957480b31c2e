//! `[pool.NAME]`: interchangeable backends.

use super::backends::{self, Backend, BackendName};
use super::names::Names;
use super::pool_tls::PoolTls;
use super::probes::{self, Probe};
use crate::balance::{Algorithm, HashKey, HashRules};
use crate::config::choices::{BackendHttp, NoHealthy, ProxyProtocol, ProxyTlv};
use crate::config::keys::kinds::{
    count, duration, flag, fraction, fraction_or_zero, limit, path, prime, text, texts, word,
};
use crate::config::keys::{Keys, Part, keys, section};
use crate::config::model::PoolUses;
use crate::config::printing::PrintedSection;
use crate::config::raw::{At, Section};
use crate::config::source::PoolSource;
use crate::config::values::{
    KEEPALIVE_DEFAULT, MAX_CONNECTIONS_RANGE, check_name, parse_keepalive, parse_path, parse_span,
    parse_timeout,
};
use crate::health::{EjectionRules, SlowStart};
use crate::limits::BACKENDS_MAX;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

/// The default of idle upstream connections kept for each backend.
pub const IDLE_CONNECTIONS_DEFAULT: usize = 512;

/// The default of exchanges at a time on one connection of HTTP/2: with many more, one lost packet
/// and one busy thread of a backend hold up all of them.
const STREAMS_DEFAULT: usize = 32;

/// Most exchanges at a time on one connection of HTTP/2.
const STREAMS_MAX: usize = 1_000;

/// Most idle upstream connections to one backend.
const IDLE_CONNECTIONS_MAX: usize = 65_535;

/// The bounds of the aggression, beyond which a ramp is nearly a step.
const AGGRESSION_RANGE: RangeInclusive<f64> = 0.1..=10.0;

/// The bounds of the factor that bounds loads: above them there is no bound in effect.
const HASH_BALANCE_RANGE: RangeInclusive<f64> = 1.0..=100.0;

/// The bounds of the places of a table: a smaller one is uneven, a larger one takes 10 MB.
const HASH_TABLE_RANGE: RangeInclusive<u32> = 251..=5_000_011;

/// The greatest seed: every JSON parser reads it exactly.
const HASH_SEED_MAX: u64 = (1 << 53) - 1;

section! {
    /// `[pool.NAME]`: interchangeable backends.
    #[derive(Clone, Debug, PartialEq)]
    Pool {
        /// Unique; letters, digits, `-` and `_`.
        name: String = String::new(),
        /// The load balancing algorithm.
        algorithm: Algorithm = Algorithm::default() => word(),
        /// The rules of the algorithm `hash`.
        hash: HashRules = HashRules::default() => Part,
        /// Connections to each backend, in total over the shards; 0: no limit.
        max_connections_per_backend: usize = 0 => limit(*MAX_CONNECTIONS_RANGE.end()),
        /// The version of HTTP that the backends speak.
        http: BackendHttp = BackendHttp::default() => word(),
        /// Exchanges at a time on one connection of HTTP/2; more open another one.
        max_streams: usize = STREAMS_DEFAULT => count(1..=STREAMS_MAX),
        /// Idle upstream connections kept for each backend, in total over the shards.
        idle_connections: usize = IDLE_CONNECTIONS_DEFAULT => count(0..=IDLE_CONNECTIONS_MAX),
        /// The retry budget, percent of recent requests; 0: none.
        retry_budget_percent: u32 = 20 => count(0..=100),
        /// The ramp of a backend that returns or is new.
        slow_start: SlowStart = SlowStart::default() => Part,
        /// With `tcp` and `tls-passthrough`: the PROXY protocol header of connections to backends.
        proxy_protocol: ProxyProtocol = ProxyProtocol::default() => word(),
        /// What the header says beside the addresses, in version 2.
        proxy_tlvs: Vec<ProxyTlv> = Vec::new() => texts(str::parse),
        /// The address that connections to backends come from.
        source: PoolSource = PoolSource::default() => text(PoolSource::parse),
        /// TLS to the backends; none: plain.
        tls: Option<PoolTls> = None,
        /// A connection that is forwarded unread, or a tunnel, is probed by the kernel when the
        /// backend is silent for so long; zero: never.
        keepalive: Duration = KEEPALIVE_DEFAULT => duration(parse_keepalive),
        /// The policy while no backend is healthy.
        no_healthy: NoHealthy = NoHealthy::default() => word(),
        /// How long exchanges of a drained or removed backend may take.
        drain_timeout: Duration = Duration::from_secs(30) => duration(parse_timeout),
        /// The process is not ready unless `min_ready` backends of this pool are.
        required: bool = false => flag(),
        /// See `required`; at least 1.
        min_ready: usize = 1 => count(1..=BACKENDS_MAX),
        /// A watched file (JSON or TOML) that lists more backends.
        backends_file: Option<PathBuf> = None => path(parse_path),
        /// The health probe: while it fails, the backend is down and its connections are closed.
        health: Probe = Probe::default(),
        /// The readiness probe: while it fails, the backend gets nothing new, and exchanges in
        /// flight go on. None: a backend that is up is ready.
        readiness: Option<Probe> = None,
        /// The rules of ejection.
        ejection: EjectionRules = EjectionRules::default(),
        /// In the order written; addresses are unique; the weights do not sum to 0 unless there
        /// are names or a file too.
        backends: Vec<Backend> = Vec::new(),
        /// Names that stand for backends.
        names: Vec<BackendName> = Vec::new(),
    }
}

keys! {
    SlowStart {
        slow_start: window => duration(parse_span),
        slow_start_aggression: aggression => fraction(AGGRESSION_RANGE),
    }
}

keys! {
    HashRules {
        hash_key: key => text(HashKey::parse),
        hash_balance: balance => fraction_or_zero(HASH_BALANCE_RANGE),
        hash_table_size: table_size => prime(HASH_TABLE_RANGE),
        hash_seed: seed => count(0..=HASH_SEED_MAX),
    }
}

impl Pool {
    /// A pool of these backends, all else at its default.
    pub fn new(name: impl Into<String>, backends: Vec<Backend>) -> Self {
        Self { name: name.into(), backends, ..Self::default() }
    }

    /// Its TLS, and that of its probes, which have a copy.
    pub(in crate::config) fn all_tls_mut(&mut self) -> impl Iterator<Item = &mut PoolTls> {
        let probes = std::iter::once(&mut self.health).chain(&mut self.readiness);
        self.tls.as_mut().into_iter().chain(probes.filter_map(|probe| probe.pool_tls.as_mut()))
    }

    /// The table of the pool and those below it.
    pub(in crate::config) fn print(&self) -> Vec<PrintedSection> {
        let path = format!("pool.{}", self.name);
        let below = |table: &str, values| PrintedSection::table(format!("{path}.{table}"), values);
        let mut sections = vec![PrintedSection::table(&*path, self.print_keys())];
        sections.extend(self.tls.iter().map(|tls| below("tls", tls.print_keys())));
        sections.push(below("health", self.health.print_keys()));
        sections.extend(self.readiness.iter().map(|probe| below("readiness", probe.print_keys())));
        sections.push(below("ejection", self.ejection.print_keys()));
        let backends = self.backends.iter().map(Backend::print);
        let backends = backends.chain(self.names.iter().map(BackendName::print)).enumerate();
        let array = format!("{path}.backend");
        let backends = backends.map(|(index, keys)| PrintedSection::element(&array, index, keys));
        sections.extend(backends);
        sections
    }
}

/// By pool, the places of its backends with an address, in the order of the configuration.
pub(super) type Places = Vec<Vec<Range<usize>>>;

/// Reads every pool, sorted by name. What depends on its traffic is returned unread.
pub(super) fn pools<'d>(
    mut section: Section<'d>,
    names: &mut Names<'d>,
) -> (Vec<Pool>, Places, Vec<ByTraffic<'d>>) {
    let mut backends_left = BACKENDS_MAX;
    let (mut pools, mut places, mut rest) = (Vec::new(), Places::new(), Vec::new());
    for (name, section) in section.named_sections() {
        section.report().checked(name.span.clone(), check_name(name.value));
        names.push(name.value, name.span.clone());
        let mut backends = Vec::new();
        let (pool, by_traffic) = pool(section, &name, &mut backends_left, &mut backends);
        pools.push(pool);
        places.push(backends);
        rest.push(by_traffic);
    }
    (pools, places, rest)
}

/// The part of a pool whose meaning depends on the traffic that the routes bring it.
pub(super) struct ByTraffic<'d> {
    health: Section<'d>,
    readiness: Section<'d>,
    /// The place of `proxy_protocol`.
    header: Range<usize>,
    /// The place of `tls`.
    tls: Range<usize>,
    /// The place of `alpn` in it.
    alpn: Range<usize>,
}

impl ByTraffic<'_> {
    /// Reads it into the pool.
    pub(super) fn read_into(self, pool: &mut Pool, uses: PoolUses) {
        let source = pool.source.address();
        let pool_tls = pool.tls.clone();
        let default = Probe { source, pool_tls, ..Probe::of_pool(uses.are_only_flows()) };
        if uses.flows && pool.proxy_protocol == ProxyProtocol::V1 {
            let message = "`proxy_protocol = \"v1\"` is for connections, and a listener of `udp` \
                           leads to this pool";
            let help = "write \"v2\", or give the listener a pool of its own";
            self.health.report().add_with_help(self.header, message, help);
        }
        if uses.are_only_flows() && pool.tls.is_some() {
            let message = "TLS is for connections, and only listeners of `udp` lead to this pool";
            self.health.report().add_with_help(self.tls, message, "remove [pool.NAME.tls]");
        }
        let offered = pool.tls.iter().flat_map(|tls| &tls.alpn);
        if uses.http && pool.http == BackendHttp::Http1 && offered.into_iter().any(|it| it == "h2")
        {
            let message = "`alpn` has \"h2\", and `http` is \"1.1\": backends would agree on HTTP/2 \
                           and be spoken to in HTTP/1.1";
            let help = "write `http = \"auto\"`, or \"2\", for the pool, or remove \"h2\"";
            self.health.report().add_with_help(self.alpn, message, help);
        }
        pool.health = probes::probe(self.health, default.clone());
        let readiness = self.readiness;
        pool.readiness = readiness.is_written().then(|| probes::probe(readiness, default));
    }
}

fn pool<'d>(
    mut section: Section<'d>,
    name: &At<&str>,
    backends_left: &mut usize,
    spans: &mut Vec<Range<usize>>,
) -> (Pool, ByTraffic<'d>) {
    let mut pool = Pool::new(name.value, Vec::new());
    pool.read_keys(&mut section);
    let mut by_traffic = ByTraffic {
        health: section.section("health"),
        readiness: section.section("readiness"),
        header: section.value_span("proxy_protocol"),
        tls: 0..0,
        alpn: 0..0,
    };
    let tls = section.section("tls");
    by_traffic.tls = tls.span.clone();
    by_traffic.alpn = tls.value_span("alpn");
    pool.tls = tls.is_written().then(|| PoolTls::read(tls));
    pool.ejection = super::ejection::ejection(section.section("ejection"));
    let only_addresses = backends::read_into(&mut pool, &mut section, name, backends_left, spans);
    let count = pool.backends.len();
    if only_addresses && pool.min_ready > count {
        let message = format!("`min_ready` is {}: this pool never has so many", pool.min_ready);
        let help = format!("its backends are {count}: that is the most it can be");
        section.report().add_with_help(section.value_span("min_ready"), message, help);
    }
    check_table(&pool, &section);
    check_http(&pool, &section);
    check_source(&pool, &section);
    check_tlvs(&pool, &section);
    section.finish();
    (pool, by_traffic)
}

/// A table with fewer places than backends leaves some without a key.
fn check_table(pool: &Pool, section: &Section<'_>) {
    let (count, places) = (pool.backends.len(), pool.hash.table_size);
    if pool.algorithm == Algorithm::Hash && places as usize <= count {
        let message = format!("`hash_table_size` is {places}, and the pool has {count} backends");
        let help = "give it a prime number of about 100 places for each backend, as 65537";
        section.report().add_with_help(section.value_span("hash_table_size"), message, help);
    }
}

/// Without TLS nothing is agreed on; with it, the version is.
fn check_http(pool: &Pool, section: &Section<'_>) {
    if pool.http == BackendHttp::Auto && pool.tls.is_none() {
        let message = "`http = \"auto\"` without TLS: the version is agreed on in its handshake";
        let help = "write [pool.NAME.tls] too, or \"2\" or \"1.1\"";
        section.report().add_with_help(section.value_span("http"), message, help);
    }
    let offered = pool.tls.as_ref().map_or(&[][..], |tls| &tls.alpn);
    let lacks = !offered.is_empty() && !offered.iter().any(|protocol| protocol == "h2");
    if pool.http != BackendHttp::Http1 && lacks {
        let message = "`alpn` without \"h2\": HTTP/2 is not agreed on without being offered";
        let help = "remove `alpn` from [pool.NAME.tls], or add \"h2\"";
        section.report().add_with_help(section.value_span("http"), message, help);
    }
}

/// No connection comes from an address of the other family.
fn check_source(pool: &Pool, section: &Section<'_>) {
    let Some(other) = pool.backends.iter().find(|one| pool.source.excludes(one.address)) else {
        return;
    };
    let message = format!("no connection to {} can come from {}", other.address, pool.source);
    let help = "give IPv4 and IPv6 a pool each";
    section.report().add_with_help(section.value_span("source"), message, help);
}

/// Only version 2 has room for more than addresses.
fn check_tlvs(pool: &Pool, section: &Section<'_>) {
    if pool.proxy_tlvs.is_empty() || pool.proxy_protocol == ProxyProtocol::V2 {
        return;
    }
    let message = "`proxy_tlvs` are of version 2 of the PROXY protocol";
    let help = "write `proxy_protocol = \"v2\"`, or remove them";
    section.report().add_with_help(section.key_span("proxy_tlvs"), message, help);
}
