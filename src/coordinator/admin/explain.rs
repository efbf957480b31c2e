//! Which listener, route, pool and backends a request would meet, and why.

use super::reply::{Reply, json_reply, refusal};
use crate::coordinator::control::Control;
use crate::health::Standing;
use hyper::{StatusCode, Uri};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Follows a request through what runs. `listener` narrows it down to one.
pub(super) fn explain(control: &Control, method: &str, url: &str, listener: Option<&str>) -> Reply {
    let Ok(uri) = url.parse::<Uri>() else {
        let error = format!("`{url}` is no URL: write it like http://shop.example.com/checkout");
        return refusal(StatusCode::BAD_REQUEST, error);
    };
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    let is_wanted = |known: &&std::sync::Arc<crate::snapshot::Listener>| {
        listener.is_none_or(|listener| listener == known.name)
    };
    let answers: Vec<Value> = control
        .listeners()
        .filter(is_wanted)
        .map(|listener| {
            let target = listener.routes.lookup(host.as_bytes(), path.as_bytes());
            json!({
                "listener": listener.name,
                "address": listener.address,
                "outcome": target.map_or_else(|| no_route(&host, path), |t| routed(control, t)),
            })
        })
        .collect();
    if answers.is_empty() {
        let known: Vec<&str> = control.listeners().map(|known| &*known.name).collect();
        let error = format!("there is no such listener; it can be {}", known.join(", "));
        return refusal(StatusCode::NOT_FOUND, error);
    }
    let request = json!({ "method": method, "host": host, "path": path });
    json_reply(StatusCode::OK, &json!({ "request": request, "listeners": answers }))
}

fn no_route(host: &str, path: &str) -> Value {
    json!({ "status": 404, "why": format!("no route matches host `{host}` and path `{path}`") })
}

fn routed(control: &Control, target: crate::snapshot::Target) -> Value {
    let routes = control.fleet.registry.routes();
    let route = routes.into_iter().find(|(_, id)| *id == target.route).map(|(key, _)| key);
    let Some(pool) = control.fleet.pool_of(target.pool) else {
        return json!({ "status": 503, "why": "its pool is gone" });
    };
    // As published: priorities, slow start and what is tried for want of better are in it.
    let published = pool.built.iter().flat_map(|built| &built.backends);
    let weights: HashMap<_, _> = published.map(|b| (b.slot, u64::from(b.weight))).collect();
    let sum: u64 = weights.values().sum();
    let backends: Vec<Value> = pool
        .backends
        .iter()
        .map(|(address, record)| {
            let weight = weights.get(&record.slot).copied().unwrap_or_default();
            let share = (weight * 100).checked_div(sum).unwrap_or_default();
            json!({
                "address": address,
                "standing": record.standing.word(),
                "why": record.live.last_failure.clone()
                    .filter(|_| record.standing == Standing::Down)
                    .unwrap_or_else(|| record.standing.reason().to_owned()),
                "weight": record.weight(),
                "share_percent": share,
            })
        })
        .collect();
    let why = match (sum, pool.has_no_healthy) {
        (0, _) => "none serves: answered with 503".to_owned(),
        (_, true) => "none serves: all are tried".to_owned(),
        (_, false) => format!("picked by {} among those that serve", pool.config.algorithm),
    };
    json!({
        "route": route.map(|(listener, host, path)| {
            json!({ "listener": listener, "host": host, "path": path })
        }),
        "pool": pool.config.name,
        "why": why,
        "backends": backends,
    })
}
