//! Takes one measurement of one running proxy. Which proxy and when is decided elsewhere.
//!
//! The clocks of the proxy are read right before and right after the window, on the thread that
//! makes the load, so nothing but the window lies between the readings.

use crate::contender::{Protocol, Proxy};
use crate::load::{self, Pattern, Plan, Transport};
use crate::measurement::{Errors, Figures, LoadFigures, RestFigures};
use crate::scenario::Scenario;
use crate::sys::signal;
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Load that does not count, before each window: caches, pools and memory fill.
const WARM_UP: Duration = Duration::from_millis(500);
/// Between the last request and a reading of memory at rest.
const SETTLE: Duration = Duration::from_millis(500);
/// How long the opening of all connections may take.
const OPENING_LIMIT: Duration = Duration::from_secs(60);
/// What a proxy does before its connections are opened to rest.
const WARMING_CONNECTIONS: usize = 64;

/// Measures `proxy` in `scenario`. `errors` takes what went wrong, also if there are no figures.
pub fn measure(
    proxy: &Proxy,
    scenario: &Scenario,
    window: Duration,
    errors: &mut Errors,
) -> Result<Figures> {
    if scenario.measures_memory() {
        measure_rest(proxy, scenario, errors).map(Figures::Rest)
    } else {
        measure_load(proxy, scenario, window, errors).map(Figures::Load)
    }
}

fn measure_load(
    proxy: &Proxy,
    scenario: &Scenario,
    window: Duration,
    errors: &mut Errors,
) -> Result<LoadFigures> {
    let mut generator = load::start(plan_of(proxy, scenario))?;
    generator.run_until_served(OPENING_LIMIT)?;
    errors.add(&generator.run_for(WARM_UP)?);
    let tree = proxy.tree()?;
    let (cpu_before, ticks_before) = (tree.cpu_ns()?, tree.ticks()?);
    let start = Instant::now();
    let tally = generator.run_for(window)?;
    let seconds = start.elapsed().as_secs_f64();
    let (cpu_after, ticks_after) = (tree.cpu_ns()?, tree.ticks()?);
    errors.add(&tally);
    if tally.answers == 0 {
        bail!("no answer in the whole window");
    }
    Ok(LoadFigures {
        seconds,
        answers: tally.answers,
        cpu_ns: cpu_after.saturating_sub(cpu_before),
        kernel_share: ticks_after.kernel_share_since(ticks_before),
        p50_us: tally.latency.quantile_us(0.5),
        p99_us: tally.latency.quantile_us(0.99),
        rss_bytes: tree.rss_bytes()?,
    })
}

/// The proxy must be fresh: memory that it took for connections and kept would hide their cost.
fn measure_rest(proxy: &Proxy, scenario: &Scenario, errors: &mut Errors) -> Result<RestFigures> {
    warm_up(proxy, scenario, errors)?;
    let tree = proxy.tree()?;
    let warm_rss_bytes = tree.rss_bytes()?;
    let mut generator = load::start(plan_of(proxy, scenario))?;
    errors.add(&generator.run_until_resting(OPENING_LIMIT)?);
    // Also shows whether the proxy keeps the connections.
    errors.add(&generator.run_for(SETTLE)?);
    let connections = generator.count_resting();
    if connections < scenario.connections {
        bail!("only {connections} of {} connections are at rest", scenario.connections);
    }
    Ok(RestFigures { connections, warm_rss_bytes, rss_bytes: tree.rss_bytes()? })
}

fn warm_up(proxy: &Proxy, scenario: &Scenario, errors: &mut Errors) -> Result<()> {
    let plan = Plan {
        connections: WARMING_CONNECTIONS,
        pattern: Pattern::KeepAlive,
        ..plan_of(proxy, scenario)
    };
    let mut generator = load::start(plan)?;
    errors.add(&generator.run_for(WARM_UP)?);
    drop(generator);
    signal::sleep(SETTLE)
}

fn plan_of(proxy: &Proxy, scenario: &Scenario) -> Plan {
    Plan {
        target: proxy.address,
        connections: scenario.connections,
        body_len: scenario.body_len,
        pattern: scenario.pattern,
        transport: match scenario.protocol {
            Protocol::Http | Protocol::Tcp => Transport::Tcp,
            Protocol::TlsPassthrough => Transport::BehindHello,
            Protocol::Https { resumes } => Transport::Tls { resumes },
            Protocol::Http2 => Transport::Streams,
            Protocol::Udp { .. } => Transport::Udp,
        },
    }
}
