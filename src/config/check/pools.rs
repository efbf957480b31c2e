//! `[pool.NAME]` and `[pool.NAME.ejection]`.

use super::names::Names;
use super::{Loader, backends, probing};
use crate::config::model::Pool;
use crate::config::raw::{At, Section};
use crate::config::values::{check_name, parse_interval, parse_span, parse_timeout};
use crate::health::EjectionRules;
use crate::limits::BACKENDS_MAX;
use std::ops::{Range, RangeInclusive};

/// Most idle upstream connections to one backend.
const IDLE_CONNECTIONS_MAX: usize = 65_535;

/// The bounds of the aggression, beyond which a ramp is nearly a step.
const AGGRESSION_RANGE: RangeInclusive<f64> = 0.1..=10.0;

/// Most failures in a row, beyond which an ejection is improbable.
const CONSECUTIVE_FAILURES_MAX: u32 = 1_000;

/// Most exchanges that a success rate may require.
const EXCHANGES_MIN_RANGE: RangeInclusive<u32> = 1..=1_000_000;

/// The places of the backends with an address, by pool, in the order of the configuration.
pub(super) type Places = Vec<Vec<Range<usize>>>;

/// Reads every pool, sorted by name.
pub(super) fn pools<'d>(
    mut section: Section<'d>,
    names: &mut Names<'d>,
    load: Loader<'_>,
) -> (Vec<Pool>, Places) {
    let mut backends_left = BACKENDS_MAX;
    let (mut pools, mut places) = (Vec::new(), Places::new());
    for (name, section) in section.named_sections() {
        section.report_error(name.span.clone(), check_name(name.value));
        names.push(name.value, name.span.clone());
        let mut spans = Vec::new();
        pools.push(pool(section, &name, &mut backends_left, &mut spans, load));
        places.push(spans);
    }
    (pools, places)
}

fn pool(
    mut section: Section<'_>,
    name: &At<&str>,
    backends_left: &mut usize,
    spans: &mut Vec<Range<usize>>,
    load: Loader<'_>,
) -> Pool {
    let mut pool = Pool::new(name.value, Vec::new());
    section.choice_into("algorithm", &mut pool.algorithm);
    section.count_into("idle_connections", &mut pool.idle_connections, 0..=IDLE_CONNECTIONS_MAX);
    section.count_into("retry_budget_percent", &mut pool.retry_budget_percent, 0..=100);
    let slow_start = &mut pool.slow_start;
    section.duration_into("slow_start", &mut slow_start.window, parse_span);
    section.fraction_into("slow_start_aggression", &mut slow_start.aggression, AGGRESSION_RANGE);
    section.choice_into("no_healthy", &mut pool.no_healthy);
    section.duration_into("drain_timeout", &mut pool.drain_timeout, parse_timeout);
    section.truth_into("required", &mut pool.required);
    let min_ready = section.count("min_ready", 1..=BACKENDS_MAX);
    section.path_into("backends_file", &mut pool.backends_file);
    pool.health = probing::probe(section.section("health"), load);
    let readiness = section.section("readiness");
    pool.readiness = readiness.is_written().then(|| probing::probe(readiness, load));
    pool.ejection = ejection(section.section("ejection"));
    let only_addresses = backends::read_into(&mut pool, &mut section, name, backends_left, spans);
    if let Some(min_ready) = min_ready {
        pool.min_ready = min_ready.value;
        let count = pool.backends.len();
        if only_addresses && min_ready.value > count {
            let message = format!("`min_ready` is {}: this pool never has so many", pool.min_ready);
            let help = format!("its backends are {count}: that is the most it can be");
            section.report().add_with_help(min_ready.span, message, help);
        }
    }
    section.finish();
    pool
}

fn ejection(mut section: Section<'_>) -> EjectionRules {
    let mut rules = EjectionRules::default();
    let failures = &mut rules.consecutive_failures;
    section.count_into("consecutive_failures", failures, 0..=CONSECUTIVE_FAILURES_MAX);
    let percent = 0..=100;
    let rate = &mut rules.success_rate_min_percent;
    section.count_into("success_rate_min_percent", rate, percent.clone());
    section.duration_into("window", &mut rules.window, parse_interval);
    section.count_into("exchanges_min", &mut rules.exchanges_min, EXCHANGES_MIN_RANGE);
    section.duration_into("base", &mut rules.base, parse_interval);
    section.duration_into("longest", &mut rules.longest, parse_interval);
    section.count_into("share_max_percent", &mut rules.share_max_percent, percent);
    if rules.base > rules.longest {
        // The later one is reported, because it is more likely the mistake.
        let spans = [section.key_span("base"), section.key_span("longest")];
        let span = spans.into_iter().flatten().max_by_key(|span| span.start);
        let message = "`base` is longer than `longest`: no ejection would last as long as `base`";
        let help = "make `longest` at least as long as `base`";
        section.report().add_with_help(span.unwrap_or(section.span.clone()), message, help);
    }
    section.finish();
    rules
}
