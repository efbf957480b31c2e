//! `[pool.NAME]`: interchangeable backends.

use super::backends::{self, Backend, BackendName};
use super::names::Names;
use super::probes::{self, Probe};
use crate::balance::Algorithm;
use crate::config::choices::NoHealthy;
use crate::config::keys::kinds::{count, duration, flag, fraction, path, word};
use crate::config::keys::{Keys, keys};
use crate::config::printing::PrintedSection;
use crate::config::raw::{At, Section};
use crate::config::values::{check_name, parse_path, parse_span, parse_timeout};
use crate::health::{EjectionRules, SlowStart};
use crate::limits::BACKENDS_MAX;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

/// The default of idle upstream connections kept for each backend.
pub const IDLE_CONNECTIONS_DEFAULT: usize = 512;

/// Most idle upstream connections to one backend.
const IDLE_CONNECTIONS_MAX: usize = 65_535;

/// The bounds of the aggression, beyond which a ramp is nearly a step.
const AGGRESSION_RANGE: RangeInclusive<f64> = 0.1..=10.0;

/// `[pool.NAME]`: interchangeable backends.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Unique; letters, digits, `-` and `_`.
    pub name: String,
    /// The load balancing algorithm.
    pub algorithm: Algorithm,
    /// Idle upstream connections kept for each backend, in total over the shards.
    pub idle_connections: usize,
    /// The retry budget, percent of recent requests; 0: none.
    pub retry_budget_percent: u32,
    /// The ramp of a backend that returns or is new.
    pub slow_start: SlowStart,
    /// The policy while no backend is healthy.
    pub no_healthy: NoHealthy,
    /// How long exchanges of a drained or removed backend may take.
    pub drain_timeout: Duration,
    /// The process is not ready unless `min_ready` backends of this pool are.
    pub required: bool,
    /// See `required`; at least 1.
    pub min_ready: usize,
    /// The health probe: while it fails, the backend is down and its connections are closed.
    pub health: Probe,
    /// The readiness probe: while it fails, the backend gets nothing new, and exchanges in flight
    /// go on. None: a backend that is up is ready.
    pub readiness: Option<Probe>,
    /// The rules of ejection.
    pub ejection: EjectionRules,
    /// In the order written; addresses are unique; the weights do not sum to 0 unless there are
    /// names or a file too.
    pub backends: Vec<Backend>,
    /// Names that stand for backends.
    pub names: Vec<BackendName>,
    /// A watched file (JSON or TOML) that lists more backends.
    pub backends_file: Option<PathBuf>,
}

impl Pool {
    /// A pool of these backends, all else at its default.
    pub fn new(name: impl Into<String>, backends: Vec<Backend>) -> Self {
        Self {
            name: name.into(),
            algorithm: Algorithm::default(),
            idle_connections: IDLE_CONNECTIONS_DEFAULT,
            retry_budget_percent: 20,
            slow_start: SlowStart::default(),
            no_healthy: NoHealthy::default(),
            drain_timeout: Duration::from_secs(30),
            required: false,
            min_ready: 1,
            health: Probe::default(),
            readiness: None,
            ejection: EjectionRules::default(),
            backends,
            names: Vec::new(),
            backends_file: None,
        }
    }
}

keys! {
    Pool {
        algorithm: algorithm => word(),
        idle_connections: idle_connections => count(0..=IDLE_CONNECTIONS_MAX),
        retry_budget_percent: retry_budget_percent => count(0..=100),
        slow_start: slow_start.window => duration(parse_span),
        slow_start_aggression: slow_start.aggression => fraction(AGGRESSION_RANGE),
        no_healthy: no_healthy => word(),
        drain_timeout: drain_timeout => duration(parse_timeout),
        required: required => flag(),
        min_ready: min_ready => count(1..=BACKENDS_MAX),
        backends_file: backends_file => path(parse_path),
    }
}

impl Pool {
    /// The table of the pool and those below it.
    pub(in crate::config) fn print(&self) -> Vec<PrintedSection> {
        let path = format!("pool.{}", self.name);
        let below = |table: &str, values| PrintedSection::table(format!("{path}.{table}"), values);
        let mut sections = vec![
            PrintedSection::table(&*path, self.print_keys()),
            below("health", self.health.print()),
        ];
        sections.extend(self.readiness.iter().map(|probe| below("readiness", probe.print())));
        sections.push(below("ejection", self.ejection.print_keys()));
        let backends = self.backends.iter().map(Backend::print);
        let backends = backends.chain(self.names.iter().map(BackendName::print)).enumerate();
        let array = format!("{path}.backend");
        let backends = backends.map(|(index, keys)| PrintedSection::element(&array, index, keys));
        sections.extend(backends);
        sections
    }
}

/// The places of the backends with an address, by pool, in the order of the configuration.
pub(super) type Places = Vec<Vec<Range<usize>>>;

/// Reads every pool, sorted by name.
pub(super) fn pools<'d>(mut section: Section<'d>, names: &mut Names<'d>) -> (Vec<Pool>, Places) {
    let mut backends_left = BACKENDS_MAX;
    let (mut pools, mut places) = (Vec::new(), Places::new());
    for (name, section) in section.named_sections() {
        section.report_error(name.span.clone(), check_name(name.value));
        names.push(name.value, name.span.clone());
        let mut spans = Vec::new();
        pools.push(pool(section, &name, &mut backends_left, &mut spans));
        places.push(spans);
    }
    (pools, places)
}

fn pool(
    mut section: Section<'_>,
    name: &At<&str>,
    backends_left: &mut usize,
    spans: &mut Vec<Range<usize>>,
) -> Pool {
    let mut pool = Pool::new(name.value, Vec::new());
    pool.read_keys(&mut section);
    pool.health = probes::probe(section.section("health"));
    let readiness = section.section("readiness");
    pool.readiness = readiness.is_written().then(|| probes::probe(readiness));
    pool.ejection = super::ejection::ejection(section.section("ejection"));
    let only_addresses = backends::read_into(&mut pool, &mut section, name, backends_left, spans);
    let count = pool.backends.len();
    if only_addresses && pool.min_ready > count {
        let message = format!("`min_ready` is {}: this pool never has so many", pool.min_ready);
        let help = format!("its backends are {count}: that is the most it can be");
        section.report().add_with_help(section.value_span("min_ready"), message, help);
    }
    section.finish();
    pool
}
