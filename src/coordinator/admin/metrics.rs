//! The text format of Prometheus (exposition format 0.0.4), summed over shards at each scrape. What
//! has a line for each backend, pool or route is written in parts, between which others have their
//! turn.

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
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::yield_now;

/// The media type of the format.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How old a text may be.
const KEPT_MAX: Duration = Duration::from_secs(1);

/// Rows that are written before others have their turn: some milliseconds of work.
const ROWS_AT_ONCE: usize = 512;

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

/// The text that was last shown: scrapes in parallel cost one rendering.
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<(Instant, Bytes)>>);

impl Kept {
    /// The kept text if it is young enough, or what `render` makes.
    pub(super) async fn text(&self, now: Instant, render: impl Future<Output = String>) -> Bytes {
        let mut kept = self.0.lock().await;
        match &*kept {
            Some((made, text)) if now.since(*made) < KEPT_MAX => text.clone(),
            _ => kept.insert((now, Bytes::from(render.await))).1.clone(),
        }
    }
}

/// A backend as it was found when the text was begun.
pub(super) struct Place {
    pool: String,
    address: SocketAddr,
    label: String,
}

/// Every backend.
fn places(control: &Control) -> Vec<Place> {
    let mut places = Vec::new();
    for (pool, record) in &control.fleet.pools {
        places.extend(record.backends.keys().map(|address| Place {
            pool: pool.clone(),
            address: *address,
            label: address.to_string(),
        }));
    }
    places
}

/// Every metric, as of `now`.
pub(super) async fn text(control: &RefCell<Control>, now: Instant) -> String {
    let mut text = Text::default();
    whole_process(&mut text, &control.borrow(), now);
    routes(&mut text, control).await;
    pools(&mut text, control).await;
    let places = places(&control.borrow());
    backends(&mut text, control, &places, now).await;
    health_metrics::of_backends(&mut text, control, &places).await;
    health_metrics::of_process(&mut text, &control.borrow(), now);
    text.0
}

fn whole_process(text: &mut Text, control: &Control, now: Instant) {
    process(text, control, now);
    process_metrics::configuration(text, control);
    process_metrics::process(text, control);
    counters(text, control);
    listeners(text, control);
}

/// Visits each row; between parts of them others have their turn, and may change what is looked at.
async fn each<C, R>(control: &RefCell<C>, rows: &[R], mut visit: impl FnMut(&C, &R)) {
    for part in rows.chunks(ROWS_AT_ONCE) {
        part.iter().for_each(|row| visit(&control.borrow(), row));
        yield_now().await;
    }
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

async fn routes(text: &mut Text, control: &RefCell<Control>) {
    let routes = {
        let control = control.borrow();
        let routes = control.fleet.registry.routes();
        let mut routes: Vec<_> = routes.map(|(key, id)| (key.clone(), id)).collect();
        routes.sort_unstable();
        routes
    };
    text.family("ringway_route_requests_total", "counter", "Requests that a route matched.");
    each(control, &routes, |control, ((listener, host, path), id)| {
        let labels = [("listener", &**listener), ("host", &**host), ("path", &**path)];
        let requests: u64 = control.fleet.ledger.routes(*id).map(|cell| cell.requests.read()).sum();
        text.sample("ringway_route_requests_total", &labels, requests);
    })
    .await;
    let name = "ringway_route_responses_total";
    text.family(name, "counter", "Final answers to requests of a route, by class of status.");
    each(control, &routes, |control, ((listener, host, path), id)| {
        let cells = control.fleet.ledger.routes(*id);
        let answers = cells.map(|cell| classes(&cell.answers)).fold([0; 5], add);
        for (class, count) in CLASSES.iter().zip(answers).skip(1) {
            let labels =
                [("listener", &**listener), ("host", &**host), ("path", &**path), ("class", class)];
            text.sample(name, &labels, count);
        }
    })
    .await;
}

async fn pools(text: &mut Text, control: &RefCell<Control>) {
    let names: Vec<String> = control.borrow().fleet.pools.keys().cloned().collect();
    text.family("ringway_pool_healthy_backends", "gauge", "Backends that are fit for traffic.");
    each_pool(control, &names, |_, name, pool| {
        text.sample("ringway_pool_healthy_backends", &[("pool", name)], pool.fit_count());
    })
    .await;
    let family = "ringway_pool_unserved_total";
    text.family(family, "counter", "Requests that found no backend.");
    each_pool(control, &names, |control, name, pool| {
        let cells = control.fleet.ledger.pools(pool.id);
        let count: u64 = cells.map(|cell| cell.unserved.read()).sum();
        text.sample(family, &[("pool", name)], count);
    })
    .await;
    let family = "ringway_pool_request_duration_seconds";
    text.family(family, "histogram", "From a request's head to the end of its response.");
    each_pool(control, &names, |control, name, pool| histogram(text, control, name, pool)).await;
}

/// Visits each of these pools that is still there.
async fn each_pool(
    control: &RefCell<Control>,
    names: &[String],
    mut visit: impl FnMut(&Control, &str, &PoolRecord),
) {
    each(control, names, |control, name| {
        if let Some(pool) = control.fleet.pools.get(name) {
            visit(control, name, pool);
        }
    })
    .await;
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

async fn backends(text: &mut Text, control: &RefCell<Control>, places: &[Place], now: Instant) {
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
        each_backend(control, places, |control, labels, _, record| {
            let value: u64 = control.fleet.ledger.backends(record.slot).map(read).sum();
            text.sample(name, labels, value);
        })
        .await;
    }
    let name = "ringway_backend_responses_total";
    text.family(name, "counter", "Final answers of a backend, by class of status.");
    each_backend(control, places, |control, labels, _, record| {
        let cells = control.fleet.ledger.backends(record.slot);
        let answers = cells.map(|cell| classes(&cell.answers)).fold([0; 5], add);
        for (class, count) in CLASSES.iter().zip(answers) {
            text.sample(name, &[labels[0], labels[1], ("class", class)], count);
        }
    })
    .await;
    let name = "ringway_backend_standing";
    text.family(name, "gauge", "1 for the standing that a backend has.");
    each_backend(control, places, |_, labels, _, record| {
        for standing in Standing::ALL {
            let is_it = u8::from(record.standing == standing);
            text.sample(name, &[labels[0], labels[1], ("standing", standing.word())], is_it);
        }
    })
    .await;
    let name = "ringway_backend_weight";
    text.family(name, "gauge", "The weight that is in force, slow start included.");
    each_backend(control, places, |_, labels, pool, record| {
        let ramp = record.ramp(&pool.config.slow_start, now);
        text.sample(name, labels, f64::from(record.weight()) * ramp);
    })
    .await;
}

/// Visits each of these backends that is still there, with its labels.
pub(super) async fn each_backend(
    control: &RefCell<Control>,
    places: &[Place],
    mut visit: impl FnMut(&Control, &[(&str, &str); 2], &PoolRecord, &Record),
) {
    each(control, places, |control, Place { pool, address, label }| {
        let Some(record) = control.fleet.pools.get(pool) else { return };
        let Some(backend) = record.backends.get(address) else { return };
        visit(control, &[("pool", pool), ("backend", label)], record, backend);
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_text_is_shown_for_a_second() {
        let kept = Kept::default();
        let at = async |ms, text: &str| {
            let now = Instant::default() + Duration::from_millis(ms);
            let text = kept.text(now, async { text.to_owned() }).await;
            String::from_utf8(text.to_vec()).expect("text")
        };
        let mut shown = Vec::new();
        for (ms, text) in [(0, "a"), (999, "b"), (1_000, "c"), (1_999, "d"), (2_000, "e")] {
            shown.push(at(ms, text).await);
        }
        assert_eq!(shown, ["a", "a", "c", "c", "e"]);
    }

    #[tokio::test]
    async fn whoever_asks_for_something_else_has_a_turn_between_the_parts_of_a_text() {
        let kept = Kept::default();
        let control = RefCell::new(Vec::new());
        let rows: Vec<usize> = (0..3 * ROWS_AT_ONCE).collect();
        let (written, turns) = (RefCell::new(0), RefCell::new(Vec::new()));
        let scrape = || {
            let rendered = async {
                each(&control, &rows, |_, _| *written.borrow_mut() += 1).await;
                control.borrow_mut().push("rendered");
                String::new()
            };
            kept.text(Instant::default(), rendered)
        };
        let others = async {
            while control.borrow().is_empty() {
                turns.borrow_mut().push(*written.borrow());
                yield_now().await;
            }
        };
        tokio::join!(biased; scrape(), scrape(), others);
        assert_eq!(*turns.borrow(), [1, 2, 3].map(|parts| parts * ROWS_AT_ONCE));
        assert_eq!(*control.borrow(), ["rendered"], "once for both");
    }
}
