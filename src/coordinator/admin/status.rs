//! The state of the process, as JSON.

use super::certificates::{self, CertificateStatus, FailingFiles};
use super::routes::{RouteName, RouteNames};
use crate::base::Instant;
use crate::config::{Choice, Protocol, Transport};
use crate::coordinator::control::Control;
use crate::coordinator::fleet::{Fleet, PoolRecord, Probed, Record, Source, SourceState};
use crate::coordinator::process::{Listeners, Shards};
use crate::coordinator::reload::Loaded;
use crate::health::Outlier;
use crate::mailbox::{Answers, BackendCell, Ledger, NO_LIMIT, RouteCell};
use crate::stats::{Counter, LATENCY_BOUNDS_US};
use serde::{Serialize, Serializer};
use std::net::SocketAddr;

/// Classes of statuses, in the order in which answers are counted.
pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The answer to `/status`.
#[derive(Serialize)]
pub(super) struct Status {
    version: &'static str,
    pid: u32,
    /// The TCP address of the read-only interface; differs from the configured one if that has port
    /// 0.
    admin_address: Option<SocketAddr>,
    uptime_ms: u64,
    phase: &'static str,
    phase_ends_in_ms: Option<u64>,
    configuration: Loaded,
    generation: u64,
    ready: bool,
    not_ready_because: Vec<String>,
    connections: u64,
    shards: Vec<ShardStatus>,
    listeners: Vec<ListenerStatus>,
    /// TLS of clients; none without a listener of HTTPS.
    tls: Option<TlsStatus>,
    certificates: Vec<CertificateStatus>,
    failing_tls_files: Vec<FailingFiles>,
    routes: Vec<RouteStatus>,
    pools: Vec<PoolStatus>,
}

#[derive(Serialize)]
struct ShardStatus {
    shard: usize,
    running: bool,
    last_turn_ms_ago: u64,
    generation: u64,
    connections: u32,
    requests: u64,
    panics: u64,
}

/// Handshakes of clients since the start.
#[derive(Serialize)]
struct TlsStatus {
    /// Those that were completed, the resumed ones too.
    handshakes: u64,
    resumptions: u64,
    failures: u64,
}

#[derive(Serialize)]
struct ListenerStatus {
    name: String,
    address: SocketAddr,
    protocol: &'static str,
    /// Of UDP: flows.
    connections: u64,
    /// Of UDP: flows that began.
    accepted: u64,
    /// None if its protocol has none.
    requests: Option<u64>,
    /// Connections that were refused.
    refused: u64,
    /// None without a limit.
    max_connections: Option<u32>,
    /// Bytes that were forwarded unread; none if the protocol is read.
    received_bytes: Option<u64>,
    sent_bytes: Option<u64>,
    /// None but of UDP.
    datagrams: Option<Datagrams>,
}

/// Datagrams of a listener.
#[derive(Serialize)]
struct Datagrams {
    /// From clients.
    received: u64,
    /// To clients.
    sent: u64,
    /// Of clients and backends, for any reason.
    dropped: u64,
}

/// Answers by the class of their status, with the names of the classes as keys.
struct ByClass([u64; 5]);

impl Serialize for ByClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(CLASSES.iter().zip(self.0))
    }
}

#[derive(Serialize)]
struct RouteStatus {
    #[serde(flatten)]
    name: RouteName,
    /// None if it is of no requests.
    requests: Option<u64>,
    answers: Option<ByClass>,
    /// Connections that are forwarded unread; none if it is of none.
    connections: Option<u64>,
}

/// A pool and its backends.
#[derive(Serialize)]
pub(super) struct PoolStatus {
    name: String,
    algorithm: &'static str,
    /// The digest of the table by which keys are hashed; none with other algorithms.
    hash_table: Option<String>,
    healthy: usize,
    required: bool,
    min_ready: usize,
    no_healthy: Option<&'static str>,
    in_flight: u64,
    /// Connections to its backends, idle ones too.
    connections: u64,
    requests: u64,
    unserved: u64,
    latency_us: Percentiles,
    /// The sources whose answers change by themselves.
    sources: Vec<SourceStatus>,
    backends: Vec<BackendStatus>,
}

#[derive(Serialize)]
struct SourceStatus {
    source: String,
    /// Time since its last complete report; none if there was none.
    reported_ms_ago: Option<u64>,
    /// Time since it began to fail; none while it does not.
    failing_for_ms: Option<u64>,
    last_error: Option<String>,
}

#[derive(Serialize)]
struct Percentiles {
    p50: u64,
    p90: u64,
    p99: u64,
}

#[derive(Serialize)]
struct BackendStatus {
    address: SocketAddr,
    source: String,
    /// The priority of its SRV record; 0 for all others.
    priority: u16,
    /// It is fit for traffic, and gets none while there are backends of a better priority.
    standby: bool,
    standing: &'static str,
    reason: String,
    operator: &'static str,
    health: ProbeStatus,
    readiness: Option<ProbeStatus>,
    ejection: &'static str,
    ejection_ends_in_ms: Option<u64>,
    weight: u32,
    /// The part of the weight that slow start gives it now, percent.
    ramp_percent: u32,
    in_flight: u64,
    /// Those that are open, idle ones too.
    connections: u64,
    /// Connections that were made since the start.
    connects: u64,
    /// Bytes that were forwarded unread.
    received_bytes: u64,
    sent_bytes: u64,
    answers: ByClass,
    failures: u64,
    ejections: u64,
    /// The fault of the last exchange that it failed.
    last_fault: Option<String>,
}

#[derive(Serialize)]
struct ProbeStatus {
    up: bool,
    probed: bool,
    last_failure: Option<String>,
}

/// The status as of `now`.
pub(super) fn status(
    control: &Control,
    loaded: Loaded,
    admin_address: Option<SocketAddr>,
    now: Instant,
) -> Status {
    let fleet = control.fleet();
    let readiness = control.readiness().process().readiness.clone();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        admin_address,
        uptime_ms: control.uptime(now).as_millis() as u64,
        phase: control.course().phase().word(),
        phase_ends_in_ms: control.course().ends_in(now).map(|left| left.as_millis() as u64),
        configuration: loaded,
        generation: control.generation().0,
        ready: readiness.ready,
        not_ready_because: readiness.reasons,
        connections: control.shards().connections(),
        shards: shards(control.shards(), now),
        listeners: listeners(control.listeners(), fleet.ledger()),
        tls: tls(control),
        certificates: certificates::certificates(control),
        failing_tls_files: certificates::failing(control),
        routes: routes(&fleet, control.listeners()),
        pools: pools(&fleet, now),
    }
}

fn shards(shards: &Shards, now: Instant) -> Vec<ShardStatus> {
    let shard = |(shard, mailbox): (usize, &std::sync::Arc<crate::mailbox::Mailbox>)| ShardStatus {
        shard,
        running: shards.running()[shard],
        last_turn_ms_ago: now.since(mailbox.last_turn()).as_millis() as u64,
        generation: mailbox.applied().0,
        connections: mailbox.connections(),
        requests: mailbox.counters.read(Counter::Requests),
        panics: mailbox.counters.read(Counter::ShardPanics),
    };
    shards.mailboxes().iter().enumerate().map(shard).collect()
}

fn tls(control: &Control) -> Option<TlsStatus> {
    let mut listeners = control.listeners().iter();
    let has_https = listeners.any(|listener| listener.protocol == Protocol::Https);
    let sum = |counter: Counter| {
        control.shards().mailboxes().iter().map(|mailbox| mailbox.counters.read(counter)).sum()
    };
    has_https.then(|| TlsStatus {
        handshakes: sum(Counter::TlsHandshakes),
        resumptions: sum(Counter::TlsResumptions),
        failures: sum(Counter::TlsHandshakeFailures),
    })
}

fn listeners(listeners: &Listeners, ledger: &Ledger) -> Vec<ListenerStatus> {
    let listener = |listener: &std::sync::Arc<crate::snapshot::Listener>| {
        let sum = |read: fn(&crate::mailbox::ListenerCell) -> u64| {
            ledger.listeners(listener.id).map(read).sum()
        };
        let is_read = matches!(listener.protocol, Protocol::Http | Protocol::Https);
        let datagrams = || Datagrams {
            received: sum(|cell| cell.datagrams_received.read()),
            sent: sum(|cell| cell.datagrams_sent.read()),
            dropped: sum(|cell| cell.datagrams_dropped.read()),
        };
        ListenerStatus {
            name: listener.name.to_string(),
            address: listener.address,
            protocol: listener.protocol.word(),
            connections: sum(|cell| cell.sessions().into()),
            accepted: sum(|cell| cell.accepted.read()),
            requests: is_read.then(|| sum(|cell| cell.requests.read())),
            refused: sum(|cell| cell.refused.read()),
            max_connections: Some(listener.sessions_max()).filter(|most| *most != NO_LIMIT),
            received_bytes: (!is_read).then(|| sum(|cell| cell.bytes.received.read())),
            sent_bytes: (!is_read).then(|| sum(|cell| cell.bytes.sent.read())),
            datagrams: (listener.endpoint().transport == Transport::Udp).then(datagrams),
        }
    };
    listeners.iter().map(listener).collect()
}

fn routes(fleet: &Fleet, listeners: &Listeners) -> Vec<RouteStatus> {
    let (ledger, names) = (fleet.ledger(), RouteNames::new(listeners));
    let mut routes: Vec<RouteStatus> = fleet
        .routes()
        .map(|(key, id)| {
            let name = names.of(key);
            let sum = |read: fn(&RouteCell) -> u64| ledger.routes(id).map(read).sum();
            let answers = ledger.routes(id).map(|cell| classes(&cell.answers));
            RouteStatus {
                requests: name.takes_requests.then(|| sum(|cell| cell.requests.read())),
                answers: name.takes_requests.then(|| ByClass(answers.fold([0; 5], add))),
                connections: name.takes_connections.then(|| sum(|cell| cell.connections.read())),
                name,
            }
        })
        .collect();
    routes.sort_by(|one, other| one.name.cmp(&other.name));
    routes
}

/// Every pool.
pub(super) fn pools(fleet: &Fleet, now: Instant) -> Vec<PoolStatus> {
    fleet.pools().values().map(|pool| pool_status(fleet.ledger(), pool, now)).collect()
}

fn pool_status(ledger: &Ledger, pool: &PoolRecord, now: Instant) -> PoolStatus {
    let latencies = latencies(ledger, pool);
    let backend = |(address, record): (&SocketAddr, &Record)| {
        backend_status(ledger, pool, *address, record, now)
    };
    let backends: Vec<BackendStatus> = pool.backends.iter().map(backend).collect();
    PoolStatus {
        name: pool.config.name.clone(),
        algorithm: pool.config.algorithm.name(),
        hash_table: pool.hashing().map(|hashing| hashing.digest()),
        healthy: pool.fit_count(),
        required: pool.config.required,
        min_ready: pool.config.min_ready,
        no_healthy: pool.has_no_healthy.then(|| pool.config.no_healthy.word()),
        in_flight: backends.iter().map(|backend| backend.in_flight).sum(),
        connections: backends.iter().map(|backend| backend.connections).sum(),
        requests: latencies.iter().sum(),
        unserved: ledger.pools(pool.id).map(|cell| cell.unserved.read()).sum(),
        latency_us: Percentiles {
            p50: percentile(&latencies, 50),
            p90: percentile(&latencies, 90),
            p99: percentile(&latencies, 99),
        },
        sources: sources(pool, now),
        backends,
    }
}

fn sources(pool: &PoolRecord, now: Instant) -> Vec<SourceStatus> {
    let ago = |since: Instant| now.since(since).as_millis() as u64;
    let source = |(source, state): (Source, SourceState)| SourceStatus {
        source: source.to_string(),
        reported_ms_ago: state.reported_at.map(ago),
        failing_for_ms: state.failing.as_ref().map(|failing| ago(failing.since)),
        last_error: state.failing.map(|failing| failing.reason),
    };
    pool.source_states().map(source).collect()
}

fn backend_status(
    ledger: &Ledger,
    pool: &PoolRecord,
    address: SocketAddr,
    record: &Record,
    now: Instant,
) -> BackendStatus {
    let sum = |read: fn(&BackendCell) -> u64| ledger.backends(record.slot).map(read).sum();
    let answers = ledger.backends(record.slot).map(|cell| classes(&cell.answers));
    let ramp = record.ramp(&pool.config.slow_start, now);
    BackendStatus {
        address,
        source: record.source.to_string(),
        priority: record.found.priority,
        standby: pool.outranked_by(record).is_some(),
        standing: record.standing.word(),
        reason: reason(pool, record),
        operator: record.operator.word(),
        health: probe_status(&record.live),
        readiness: record.ready.as_ref().map(probe_status),
        ejection: match pool.ejections.state(record.slot) {
            Outlier::In => "none",
            Outlier::Ejected => "ejected",
            Outlier::HalfOpen => "half-open",
        },
        ejection_ends_in_ms: pool
            .ejections
            .ends_in(record.slot, now)
            .map(|left| left.as_millis() as u64),
        weight: record.weight(),
        ramp_percent: (ramp * 100.0).round() as u32,
        in_flight: sum(|cell| cell.in_flight.read().into()),
        connections: sum(|cell| cell.connections().into()),
        connects: sum(|cell| cell.connects.read()),
        received_bytes: sum(|cell| cell.bytes.received.read()),
        sent_bytes: sum(|cell| cell.bytes.sent.read()),
        answers: ByClass(answers.fold([0; 5], add)),
        failures: sum(|cell| cell.failures.read()),
        ejections: record.ejections,
        last_fault: record.last_fault.map(|fault| fault.to_string()),
    }
}

/// Why a backend has its standing, or gets no traffic in spite of it.
pub(super) fn reason(pool: &PoolRecord, record: &Record) -> String {
    if let Some(better) = pool.outranked_by(record) {
        let own = record.found.priority;
        return format!(
            "its priority {own} is not in use: there are backends of priority {better}"
        );
    }
    pool.reason(record)
}

fn probe_status(probed: &Probed) -> ProbeStatus {
    ProbeStatus {
        up: probed.state.is_up(),
        probed: probed.state.was_probed(),
        last_failure: probed.last_failure.clone(),
    }
}

pub(super) fn classes(answers: &Answers) -> [u64; 5] {
    std::array::from_fn(|class| answers.read(class + 1))
}

pub(super) fn add(mut sums: [u64; 5], more: [u64; 5]) -> [u64; 5] {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    sums
}

/// A pool's latencies over all shards, by bucket.
pub(super) fn latencies(ledger: &Ledger, pool: &PoolRecord) -> Vec<u64> {
    let mut sums = vec![0; LATENCY_BOUNDS_US.len() + 1];
    for cell in ledger.pools(pool.id) {
        sums.iter_mut().zip(cell.latencies.read()).for_each(|(sum, count)| *sum += count);
    }
    sums
}

/// The bound of the bucket in which a percentile falls, microseconds.
fn percentile(buckets: &[u64], percent: u64) -> u64 {
    let all: u64 = buckets.iter().sum();
    let wanted = (all * percent).div_ceil(100);
    let mut seen = 0;
    for (bucket, count) in buckets.iter().enumerate() {
        seen += count;
        if seen >= wanted && seen > 0 {
            return *LATENCY_BOUNDS_US.get(bucket).unwrap_or(&LATENCY_BOUNDS_US[15]);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_bound_of_its_bucket() {
        let mut buckets = vec![0; LATENCY_BOUNDS_US.len() + 1];
        assert_eq!(percentile(&buckets, 99), 0);
        buckets[0] = 98;
        buckets[3] = 2;
        assert_eq!((percentile(&buckets, 50), percentile(&buckets, 99)), (100, 1_000));
        buckets[16] = 1_000;
        assert_eq!(percentile(&buckets, 99), 10_000_000);
    }
}
