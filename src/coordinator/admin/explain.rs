//! Which listener, route, pool and backends a request would meet, and why.

use super::reply::{Reply, json_reply, refusal};
use crate::coordinator::control::Control;
use crate::health::Standing;
use hyper::{StatusCode, Uri};
use serde_json::{Value, json};

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
    let weights: u64 = serving(pool).map(|record| u64::from(record.weight())).sum();
    let backends: Vec<Value> = pool
        .backends
        .iter()
        .map(|(address, record)| {
            let is_serving = record.standing == Standing::Serving && weights > 0;
            let share = if is_serving { u64::from(record.weight()) * 100 / weights } else { 0 };
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
    let why = match (weights, pool.config.no_healthy) {
        (1.., _) => format!("picked by {} among those that serve", pool.config.algorithm),
        (0, crate::config::NoHealthy::RouteToAll) => "none serves: all are tried".to_owned(),
        (0, crate::config::NoHealthy::Refuse) => "none serves: answered with 503".to_owned(),
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

fn serving(
    pool: &crate::coordinator::fleet::PoolRecord,
) -> impl Iterator<Item = &crate::coordinator::fleet::Record> {
    pool.backends.values().filter(|record| record.standing == Standing::Serving)
}
