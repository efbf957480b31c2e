//! Whether traffic should come here, and whether the process is alive at all.

use super::reply::{Reply, json_reply, with_state};
use crate::base::Instant;
use crate::coordinator::control::Control;
use crate::coordinator::fleet::PoolRecord;
use crate::coordinator::phase::Phase;
use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;
use std::time::Duration;

/// A shard that has not turned for so long is stuck.
const TURN_MAX: Duration = Duration::from_secs(1);

/// Whether traffic should come here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// It should.
    pub ready: bool,
    /// The phase of the process.
    pub state: &'static str,
    /// Why not; empty if it should.
    pub reasons: Vec<String>,
}

/// The readiness of the process, or of one pool, which then counts whether it is required or not.
/// None if there is no such pool.
pub fn readiness(control: &Control, pool: Option<&str>) -> Option<Readiness> {
    let mut reasons = Vec::new();
    match control.phase() {
        Phase::Serving => {}
        phase => reasons.push(format!("the process is {}", phase.word())),
    }
    if control.phase() == Phase::Serving && !control.running.contains(&true) {
        reasons.push("no shard runs".to_owned());
    }
    match pool {
        Some(name) => {
            let pool = control.fleet.pools.get(name).filter(|pool| !pool.is_removed)?;
            reasons.extend(shortage(pool));
        }
        None => {
            let pools = control.fleet.pools.values();
            let required = pools.filter(|pool| pool.config.required && !pool.is_removed);
            reasons.extend(required.filter_map(shortage));
        }
    }
    Some(Readiness { ready: reasons.is_empty(), state: control.phase().word(), reasons })
}

fn shortage(pool: &PoolRecord) -> Option<String> {
    let (has, needs) = (pool.fit_count(), pool.config.min_ready);
    let name = &pool.config.name;
    (has < needs).then(|| format!("pool {name} has {has} healthy backends and needs {needs}"))
}

/// The answer to `/ready` and `/ready/POOL`.
pub(super) fn ready_reply(readiness: &Readiness) -> Reply {
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    with_state(json_reply(status, readiness), readiness.state)
}

/// The answer to `/live`: 200 while every shard has turned within the last second.
pub(super) fn live_reply(control: &Control, now: Instant) -> Reply {
    let shards: Vec<_> = control
        .mailboxes
        .iter()
        .zip(&control.running)
        .enumerate()
        .map(|(shard, (mailbox, running))| {
            let ago = now.since(mailbox.last_turn());
            let alive = *running && ago <= TURN_MAX;
            json!({ "shard": shard, "alive": alive, "last_turn_ms_ago": ago.as_millis() as u64 })
        })
        .collect();
    let is_alive = is_alive(control, now);
    let status = if is_alive { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_reply(status, &json!({ "live": is_alive, "shards": shards }))
}

/// True while every shard that should run has turned within the last second, or none runs yet.
pub(crate) fn is_alive(control: &Control, now: Instant) -> bool {
    let is_starting = control.phase() == Phase::Starting;
    let is_finishing = control.phase() >= Phase::Finishing;
    control.mailboxes.iter().zip(&control.running).all(|(mailbox, running)| {
        let has_turned = now.since(mailbox.last_turn()) <= TURN_MAX;
        if *running { has_turned } else { is_starting || is_finishing }
    })
}
