//! The answers to monitors: `/ready` and `/live`.

use super::reply::{Reply, json_reply, text_reply, with_state};
use crate::base::Instant;
use crate::coordinator::process::{Course, Phase, ReadyAnswer, Shards};
use hyper::StatusCode;
use serde_json::json;
use std::time::Duration;

/// A shard that has not turned for so long is stuck.
const TURN_MAX: Duration = Duration::from_secs(1);

/// The answer to `/ready` and `/ready/POOL`, which was made when something last changed.
pub(super) fn ready_reply(answer: &ReadyAnswer) -> Reply {
    let ReadyAnswer { readiness, body } = answer;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    with_state(text_reply(status, "application/json", body.clone()), readiness.state)
}

/// The answer to `/live`: 200 while every shard has turned within the last second.
pub(super) fn live_reply(shards: &Shards, course: &Course, now: Instant) -> Reply {
    let each: Vec<_> = shards
        .mailboxes()
        .iter()
        .zip(shards.running())
        .enumerate()
        .map(|(shard, (mailbox, running))| {
            let ago = now.since(mailbox.last_turn());
            let alive = *running && ago <= TURN_MAX;
            json!({ "shard": shard, "alive": alive, "last_turn_ms_ago": ago.as_millis() as u64 })
        })
        .collect();
    let is_alive = is_alive(shards, course, now);
    let status = if is_alive { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_reply(status, &json!({ "live": is_alive, "shards": each }))
}

/// True while every shard that should run has turned within the last second, or none runs yet.
pub(crate) fn is_alive(shards: &Shards, course: &Course, now: Instant) -> bool {
    let is_starting = course.phase() == Phase::Starting;
    let is_finishing = course.is_closed();
    shards.mailboxes().iter().zip(shards.running()).all(|(mailbox, running)| {
        let has_turned = now.since(mailbox.last_turn()) <= TURN_MAX;
        if *running { has_turned } else { is_starting || is_finishing }
    })
}
