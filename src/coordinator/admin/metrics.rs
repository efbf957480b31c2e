//! The text format of Prometheus (exposition format 0.0.4), summed over shards at each scrape.

use super::health_metrics;
use super::process_metrics;
use super::status::{CLASSES, add, classes, latencies};
use crate::base::Instant;
use crate::coordinator::control::Control;
use crate::coordinator::fleet::{PoolRecord, Record};
use crate::health::Standing;
use crate::mailbox::{BackendCell, Mailbox};
use crate::stats::{CloseReason, Counter, LATENCY_BOUNDS_US};
use bytes::Bytes;
use std::cell::RefCell;
use std::fmt::Write;
use std::time::Duration;

/// The media type of the format.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How old a text may be.
const KEPT_MAX: Duration = Duration::from_secs(1);

/// A text that grows by families of metrics.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(super) fn sample(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escaped(text));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The text that was last shown: scrapes in parallel cost one rendering, which holds the
/// coordinator.
#[derive(Default)]
pub(super) struct Kept(RefCell<Option<(Instant, Bytes)>>);

impl Kept {
    /// The kept text if it is young enough, or what `render` makes.
    pub(super) fn text(&self, now: Instant, render: impl FnOnce() -> String) -> Bytes {
        let mut kept = self.0.borrow_mut();
        match &*kept {
            Some((made, text)) if now.since(*made) < KEPT_MAX => text.clone(),
            _ => kept.insert((now, Bytes::from(render()))).1.clone(),
        }
    }
}

/// Every metric, as of `now`.
pub(super) fn text(control: &Control, now: Instant) -> String {
    let mut text = Text::default();
    process(&mut text, control, now);
    process_metrics::configuration(&mut text, control);
    process_metrics::process(&mut text, control);
    counters(&mut text, control);
    listeners(&mut text, control);
    routes(&mut text, control);
    pools(&mut text, control);
    backends(&mut text, control, now);
    health_metrics::families(&mut text, control, now);
    text.0
}

fn process(text: &mut Text, control: &Control, now: Instant) {
    let version = [("version", env!("CARGO_PKG_VERSION")), ("commit", env!("RINGWAY_COMMIT"))];
    text.family("ringway_build_info", "gauge", "The version that runs; the value is always 1.");
    text.sample("ringway_build_info", &version, 1);
    text.family("ringway_uptime_seconds", "gauge", "Seconds since the process began.");
    text.sample("ringway_uptime_seconds", &[], now.since(control.began).as_secs());
    text.family("ringway_phase", "gauge", "1 for the phase that the process is in.");
    text.sample("ringway_phase", &[("phase", control.phase().word())], 1);
    let is_ready = control.readiness().process().readiness.ready;
    text.family("ringway_ready", "gauge", "1 if traffic should come here.");
    text.sample("ringway_ready", &[], u8::from(is_ready));
    text.family("ringway_generation", "gauge", "The newest snapshot.");
    text.sample("ringway_generation", &[], control.generation());
    shards(text, control, now);
    buffers(text, control);
    let dropped = control.mailboxes[0].shared.observations.dropped();
    let name = "ringway_observations_dropped_total";
    text.family(name, "counter", "Failures of backends that found no room on their way here.");
    text.sample(name, &[], dropped);
}

/// A family after the other: all lines of a metric must be one group.
fn shards(text: &mut Text, control: &Control, now: Instant) {
    type Read = fn(&Mailbox, Instant) -> f64;
    let families: [(&str, &str, Read); 3] = [
        ("ringway_shard_generation", "The snapshot that a shard works with.", |mailbox, _| {
            mailbox.applied().0 as f64
        }),
        ("ringway_shard_connections", "Client connections of a shard.", |mailbox, _| {
            mailbox.connections().into()
        }),
        ("ringway_shard_turn_age_seconds", "Seconds since a shard last turned.", |mailbox, now| {
            now.since(mailbox.last_turn()).as_secs_f64()
        }),
    ];
    for (name, help, read) in families {
        text.family(name, "gauge", help);
        for (shard, mailbox) in control.mailboxes.iter().enumerate() {
            text.sample(name, &[("shard", &shard.to_string())], read(mailbox, now));
        }
    }
}

fn buffers(text: &mut Text, control: &Control) {
    let name = "ringway_shard_buffers_held";
    let help = "Buffers of a shard that hold bytes: of the receive ring, or its own.";
    text.family(name, "gauge", help);
    for (shard, mailbox) in control.mailboxes.iter().enumerate() {
        let shard = shard.to_string();
        let held = mailbox.buffers_held();
        for (kind, count) in [("receive", held.receive), ("private", held.private)] {
            text.sample(name, &[("shard", &shard), ("kind", kind)], count);
        }
    }
}

fn counters(text: &mut Text, control: &Control) {
    for counter in Counter::ALL {
        text.family(counter.name(), "counter", counter.help());
        for (shard, mailbox) in control.mailboxes.iter().enumerate() {
            let value = mailbox.counters.read(*counter);
            text.sample(counter.name(), &[("shard", &shard.to_string())], value);
        }
    }
    let name = "ringway_sessions_closed_total";
    text.family(
        name,
        "counter",
        "Client connections that ended, by reason and whose fault it was.",
    );
    for reason in CloseReason::ALL {
        let counters = control.mailboxes.iter().map(|mailbox| &mailbox.counters);
        let count: u64 = counters.map(|counters| counters.read_closes(*reason)).sum();
        let fault = format!("{:?}", reason.fault()).to_lowercase();
        text.sample(name, &[("reason", reason.label()), ("fault", &fault)], count);
    }
}

fn listeners(text: &mut Text, control: &Control) {
    let ledger = &control.fleet.ledger;
    type Read = fn(&crate::mailbox::ListenerCell) -> u64;
    let families: [(&str, &str, &str, Read); 3] = [
        ("ringway_listener_accepted_total", "counter", "Connections accepted.", |cell| {
            cell.accepted.read()
        }),
        ("ringway_listener_connections", "gauge", "Client connections that are open.", |cell| {
            cell.sessions.read().into()
        }),
        ("ringway_listener_requests_total", "counter", "Requests that were routed.", |cell| {
            cell.requests.read()
        }),
    ];
    for (name, kind, help, read) in families {
        text.family(name, kind, help);
        for listener in control.listeners() {
            let value: u64 = ledger.listeners(listener.id).map(read).sum();
            text.sample(name, &[("listener", &listener.name)], value);
        }
    }
}

fn routes(text: &mut Text, control: &Control) {
    let ledger = &control.fleet.ledger;
    let mut routes: Vec<_> = control.fleet.registry.routes().collect();
    routes.sort();
    text.family("ringway_route_requests_total", "counter", "Requests that a route matched.");
    for ((listener, host, path), id) in &routes {
        let labels = [("listener", &**listener), ("host", &**host), ("path", &**path)];
        let requests: u64 = ledger.routes(*id).map(|cell| cell.requests.read()).sum();
        text.sample("ringway_route_requests_total", &labels, requests);
    }
    let name = "ringway_route_responses_total";
    text.family(name, "counter", "Final answers to requests of a route, by class of status.");
    for ((listener, host, path), id) in &routes {
        let answers = ledger.routes(*id).map(|cell| classes(&cell.answers)).fold([0; 5], add);
        for (class, count) in CLASSES.iter().zip(answers).skip(1) {
            let labels =
                [("listener", &**listener), ("host", &**host), ("path", &**path), ("class", class)];
            text.sample(name, &labels, count);
        }
    }
}

fn pools(text: &mut Text, control: &Control) {
    let ledger = &control.fleet.ledger;
    text.family("ringway_pool_healthy_backends", "gauge", "Backends that are fit for traffic.");
    for (name, pool) in &control.fleet.pools {
        text.sample("ringway_pool_healthy_backends", &[("pool", name)], pool.fit_count());
    }
    let name = "ringway_pool_unserved_total";
    text.family(name, "counter", "Requests that found no backend.");
    for (pool_name, pool) in &control.fleet.pools {
        let count: u64 = ledger.pools(pool.id).map(|cell| cell.unserved.read()).sum();
        text.sample(name, &[("pool", pool_name)], count);
    }
    let name = "ringway_pool_request_duration_seconds";
    text.family(name, "histogram", "From a request's head to the end of its response.");
    for (pool_name, pool) in &control.fleet.pools {
        histogram(text, control, pool_name, pool);
    }
}

fn histogram(text: &mut Text, control: &Control, name: &str, pool: &PoolRecord) {
    let metric = "ringway_pool_request_duration_seconds";
    let (bucket, sum, count) =
        (format!("{metric}_bucket"), format!("{metric}_sum"), format!("{metric}_count"));
    let counts = latencies(control, pool);
    let mut so_far = 0;
    for (at, in_bucket) in counts.iter().enumerate() {
        so_far += in_bucket;
        let bound = LATENCY_BOUNDS_US.get(at).map(|us| (*us as f64 / 1e6).to_string());
        let bound = bound.unwrap_or_else(|| "+Inf".to_owned());
        text.sample(&bucket, &[("pool", name), ("le", &bound)], so_far);
    }
    let sums = control.fleet.ledger.pools(pool.id).map(|cell| cell.latencies.sum_us());
    let seconds = sums.sum::<u64>() as f64 / 1e6;
    text.sample(&sum, &[("pool", name)], seconds);
    text.sample(&count, &[("pool", name)], so_far);
}

fn backends(text: &mut Text, control: &Control, now: Instant) {
    type Read = fn(&BackendCell) -> u64;
    let families: [(&str, &str, &str, Read); 3] = [
        ("ringway_backend_in_flight", "gauge", "Exchanges in flight.", |cell| {
            cell.in_flight.read().into()
        }),
        ("ringway_backend_connections", "gauge", "Connections, idle ones too.", |cell| {
            cell.connections.read().into()
        }),
        (
            "ringway_backend_failures_total",
            "counter",
            "Exchanges that failed by the backend's fault, and its answers of 502, 503 and 504.",
            |cell| cell.failures.read(),
        ),
    ];
    for (name, kind, help, read) in families {
        text.family(name, kind, help);
        each_backend(control, |labels, _, record| {
            let value: u64 = control.fleet.ledger.backends(record.slot).map(read).sum();
            text.sample(name, labels, value);
        });
    }
    let name = "ringway_backend_responses_total";
    text.family(name, "counter", "Final answers of a backend, by class of status.");
    each_backend(control, |labels, _, record| {
        let cells = control.fleet.ledger.backends(record.slot);
        let answers = cells.map(|cell| classes(&cell.answers)).fold([0; 5], add);
        for (class, count) in CLASSES.iter().zip(answers) {
            text.sample(name, &[labels[0], labels[1], ("class", class)], count);
        }
    });
    let name = "ringway_backend_standing";
    text.family(name, "gauge", "1 for the standing that a backend has.");
    each_backend(control, |labels, _, record| {
        for standing in Standing::ALL {
            let is_it = u8::from(record.standing == standing);
            text.sample(name, &[labels[0], labels[1], ("standing", standing.word())], is_it);
        }
    });
    let name = "ringway_backend_weight";
    text.family(name, "gauge", "The weight that is in force, slow start included.");
    each_backend(control, |labels, pool, record| {
        let ramp = record.ramp(&pool.config.slow_start, now);
        text.sample(name, labels, f64::from(record.weight()) * ramp);
    });
}

pub(super) fn each_backend(
    control: &Control,
    mut visit: impl FnMut(&[(&str, &str); 2], &PoolRecord, &Record),
) {
    for (name, pool) in &control.fleet.pools {
        for (address, record) in &pool.backends {
            let address = address.to_string();
            visit(&[("pool", name), ("backend", &address)], pool, record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shown_for_a_second() {
        let kept = Kept::default();
        let begun = Instant::default();
        let at = |ms, text: &str| {
            let now = begun + Duration::from_millis(ms);
            String::from_utf8(kept.text(now, || text.to_owned()).to_vec()).expect("text")
        };
        let shown = [at(0, "a"), at(999, "b"), at(1_000, "c"), at(1_999, "d"), at(2_000, "e")];
        assert_eq!(shown, ["a", "a", "c", "c", "e"]);
    }
}
