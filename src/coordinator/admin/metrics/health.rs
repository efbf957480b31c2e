//! Metrics of probes, ejections and sources.

use super::rows::{Place, each_backend};
use super::text::Text;
use crate::base::Instant;
use crate::coordinator::fleet::{Fleet, Record};
use std::cell::RefCell;

/// Of these backends.
pub(super) async fn of_backends(text: &mut Text, fleet: &RefCell<Fleet>, places: &[Place]) {
    let name = "ringway_backend_ejections_total";
    text.family(name, "counter", "Ejections of a backend.");
    each_backend(fleet, places, |_, labels, _, record| {
        text.sample(name, labels, record.ejections);
    })
    .await;
    let probes = |record: &Record| {
        let ready = record.ready.clone().map(|ready| ("readiness", ready));
        [("health", record.live.clone())].into_iter().chain(ready)
    };
    let name = "ringway_probe_results_total";
    text.family(name, "counter", "Probes of a backend, by whether they passed.");
    each_backend(fleet, places, |_, labels, _, record| {
        for (probe, probed) in probes(record) {
            for (result, count) in [("passed", probed.passes), ("failed", probed.failures)] {
                let more = [("probe", probe), ("result", result)];
                text.sample(name, &[labels[0], labels[1], more[0], more[1]], count);
            }
        }
    })
    .await;
    let name = "ringway_probe_duration_seconds_total";
    text.family(name, "counter", "The total duration of the probes of a backend.");
    each_backend(fleet, places, |_, labels, _, record| {
        for (probe, probed) in probes(record) {
            let seconds = probed.took.as_secs_f64();
            text.sample(name, &[labels[0], labels[1], ("probe", probe)], seconds);
        }
    })
    .await;
}

/// Of the coordinator, and of sources.
pub(super) fn of_process(text: &mut Text, fleet: &Fleet, now: Instant) {
    lateness(text, fleet, now);
    sources(text, fleet, now);
}

fn lateness(text: &mut Text, fleet: &Fleet, now: Instant) {
    let lateness = fleet.lateness();
    let name = "ringway_coordinator_late_seconds_total";
    text.family(name, "counter", "The total lateness of the coordinator.");
    text.sample(name, &[], lateness.until(now).as_secs_f64());
    let name = "ringway_probe_timeouts_held_total";
    let help = "Timeouts of probes that do not count, because the coordinator was late itself.";
    text.family(name, "counter", help);
    text.sample(name, &[], lateness.held());
}

fn sources(text: &mut Text, fleet: &Fleet, now: Instant) {
    let pools = fleet.pools();
    let name = "ringway_source_failing";
    text.family(name, "gauge", "1 while a name or file fails, and its last answer holds.");
    for (pool, record) in pools {
        for (source, state) in record.source_states() {
            let labels = [("pool", &**pool), ("source", &*source.to_string())];
            text.sample(name, &labels, u8::from(state.failing.is_some()));
        }
    }
    let name = "ringway_source_age_seconds";
    text.family(name, "gauge", "Seconds since the last complete answer of a name or file.");
    for (pool, record) in pools {
        for (source, state) in record.source_states() {
            let Some(at) = state.reported_at else { continue };
            let labels = [("pool", &**pool), ("source", &*source.to_string())];
            text.sample(name, &labels, now.since(at).as_secs_f64());
        }
    }
}
