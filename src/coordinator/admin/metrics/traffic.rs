//! Metrics of the traffic of routes, pools and backends.

use super::rows::{Place, each, each_backend, each_pool};
use super::text::Text;
use crate::base::{Instant, RouteId};
use crate::coordinator::admin::routes::{RouteName, RouteNames};
use crate::coordinator::admin::status::{CLASSES, add, classes, latencies};
use crate::coordinator::control::Control;
use crate::coordinator::fleet::{Fleet, PoolRecord};
use crate::health::Standing;
use crate::mailbox::{BackendCell, RouteCell};
use crate::stats::LATENCY_BOUNDS_US;
use std::cell::RefCell;

pub(super) async fn routes(text: &mut Text, control: &RefCell<Control>, fleet: &RefCell<Fleet>) {
    let routes = {
        let (control, fleet) = (control.borrow(), fleet.borrow());
        let names = RouteNames::new(control.listeners());
        let mut routes: Vec<_> = fleet.routes().map(|(key, id)| (names.of(key), id)).collect();
        routes.sort_unstable();
        routes
    };
    let sum = |fleet: &Fleet, id: RouteId, read: fn(&RouteCell) -> u64| -> u64 {
        fleet.ledger().routes(id).map(read).sum()
    };
    text.family("ringway_route_requests_total", "counter", "Requests that a route matched.");
    each(fleet, &routes, |fleet, (name, id)| {
        if let Some(labels) = of_requests(name) {
            let requests = sum(fleet, *id, |cell| cell.requests.read());
            text.sample("ringway_route_requests_total", &labels, requests);
        }
    })
    .await;
    let family = "ringway_route_responses_total";
    text.family(family, "counter", "Final answers to requests of a route, by class of status.");
    each(fleet, &routes, |fleet, (name, id)| {
        let Some([listener, host, path]) = of_requests(name) else { return };
        let cells = fleet.ledger().routes(*id);
        let answers = cells.map(|cell| classes(&cell.answers)).fold([0; 5], add);
        for (class, count) in CLASSES.iter().zip(answers).skip(1) {
            text.sample(family, &[listener, host, path, ("class", class)], count);
        }
    })
    .await;
    let family = "ringway_route_connections_total";
    text.family(family, "counter", "Connections forwarded unread that a route matched; flows.");
    each(fleet, &routes, |fleet, (name, id)| {
        if name.takes_connections {
            let alpn = name.alpn.as_deref().unwrap_or_default();
            let labels = [("listener", &*name.listener), ("host", &name.host), ("alpn", alpn)];
            text.sample(family, &labels, sum(fleet, *id, |cell| cell.connections.read()));
        }
    })
    .await;
}

/// The labels of a route of requests.
fn of_requests(name: &RouteName) -> Option<[(&str, &str); 3]> {
    let path = name.path.as_deref()?;
    Some([("listener", &name.listener), ("host", &name.host), ("path", path)])
}

pub(super) async fn pools(text: &mut Text, fleet: &RefCell<Fleet>) {
    let names: Vec<String> = fleet.borrow().pools().keys().cloned().collect();
    text.family("ringway_pool_healthy_backends", "gauge", "Backends that are fit for traffic.");
    each_pool(fleet, &names, |_, name, pool| {
        text.sample("ringway_pool_healthy_backends", &[("pool", name)], pool.fit_count());
    })
    .await;
    let family = "ringway_pool_unserved_total";
    text.family(family, "counter", "Requests for which no backend was available.");
    each_pool(fleet, &names, |fleet, name, pool| {
        let cells = fleet.ledger().pools(pool.id);
        let count: u64 = cells.map(|cell| cell.unserved.read()).sum();
        text.sample(family, &[("pool", name)], count);
    })
    .await;
    let family = "ringway_pool_hash_table_info";
    text.family(family, "gauge", "1, with the digest of the table by which keys are hashed.");
    each_pool(fleet, &names, |_, name, pool| {
        if let Some(hashing) = pool.hashing() {
            text.sample(family, &[("pool", name), ("digest", &hashing.digest())], 1u8);
        }
    })
    .await;
    let family = "ringway_pool_request_duration_seconds";
    text.family(family, "histogram", "From a request's head to the end of its response.");
    each_pool(fleet, &names, |fleet, name, pool| histogram(text, fleet, name, pool)).await;
}

fn histogram(text: &mut Text, fleet: &Fleet, name: &str, pool: &PoolRecord) {
    let metric = "ringway_pool_request_duration_seconds";
    let (bucket, sum, count) =
        (format!("{metric}_bucket"), format!("{metric}_sum"), format!("{metric}_count"));
    let counts = latencies(fleet.ledger(), pool);
    let mut so_far = 0;
    for (at, in_bucket) in counts.iter().enumerate() {
        so_far += in_bucket;
        let bound = LATENCY_BOUNDS_US.get(at).map(|us| (*us as f64 / 1e6).to_string());
        let bound = bound.unwrap_or_else(|| "+Inf".to_owned());
        text.sample(&bucket, &[("pool", name), ("le", &bound)], so_far);
    }
    let sums = fleet.ledger().pools(pool.id).map(|cell| cell.latencies.sum_us());
    let seconds = sums.sum::<u64>() as f64 / 1e6;
    text.sample(&sum, &[("pool", name)], seconds);
    text.sample(&count, &[("pool", name)], so_far);
}

pub(super) async fn backends(
    text: &mut Text,
    fleet: &RefCell<Fleet>,
    places: &[Place],
    now: Instant,
) {
    type Read = fn(&BackendCell) -> u64;
    let families: [(&str, &str, &str, Read); 6] = [
        (
            "ringway_backend_in_flight",
            "gauge",
            "Exchanges in flight, and connections and flows that are forwarded unread.",
            |cell| cell.in_flight.read().into(),
        ),
        ("ringway_backend_connections", "gauge", "Connections, idle ones too.", |cell| {
            cell.connections().into()
        }),
        ("ringway_backend_connects_total", "counter", "Connections that were made.", |cell| {
            cell.connects.read()
        }),
        (
            "ringway_backend_received_bytes_total",
            "counter",
            "Bytes from a backend that were forwarded unread.",
            |cell| cell.bytes.received.read(),
        ),
        (
            "ringway_backend_sent_bytes_total",
            "counter",
            "Bytes to a backend that were forwarded unread.",
            |cell| cell.bytes.sent.read(),
        ),
        (
            "ringway_backend_failures_total",
            "counter",
            "Exchanges that failed by the backend's fault, and its answers of 502, 503 and 504.",
            |cell| cell.failures.read(),
        ),
    ];
    for (name, kind, help, read) in families {
        text.family(name, kind, help);
        each_backend(fleet, places, |fleet, labels, _, record| {
            let value: u64 = fleet.ledger().backends(record.slot).map(read).sum();
            text.sample(name, labels, value);
        })
        .await;
    }
    let name = "ringway_backend_responses_total";
    text.family(name, "counter", "Final answers of a backend, by class of status.");
    each_backend(fleet, places, |fleet, labels, _, record| {
        let cells = fleet.ledger().backends(record.slot);
        let answers = cells.map(|cell| classes(&cell.answers)).fold([0; 5], add);
        for (class, count) in CLASSES.iter().zip(answers) {
            text.sample(name, &[labels[0], labels[1], ("class", class)], count);
        }
    })
    .await;
    let name = "ringway_backend_standing";
    text.family(name, "gauge", "1 for the standing that a backend has.");
    each_backend(fleet, places, |_, labels, _, record| {
        for standing in Standing::ALL {
            let is_it = u8::from(record.standing == standing);
            text.sample(name, &[labels[0], labels[1], ("standing", standing.word())], is_it);
        }
    })
    .await;
    let name = "ringway_backend_weight";
    text.family(name, "gauge", "The weight that is in force, slow start included.");
    each_backend(fleet, places, |_, labels, pool, record| {
        let ramp = record.ramp(&pool.config.slow_start, now);
        text.sample(name, labels, f64::from(record.weight()) * ramp);
    })
    .await;
}
