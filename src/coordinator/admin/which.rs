//! The backend that a key goes to, of a pool that picks by the hash of one.

use super::reply::{Reply, json_reply, refusal};
use super::status::reason;
use crate::coordinator::fleet::{Fleet, PoolRecord, no_pool};
use hyper::StatusCode;
use serde_json::{Value, json};

/// Looks a key up in the table in force.
pub(super) fn which(fleet: &Fleet, name: &str, key: &str) -> Reply {
    let Some(pool) = fleet.pools().get(name) else {
        let known: Vec<String> = fleet.pools().keys().cloned().collect();
        return refusal(StatusCode::NOT_FOUND, no_pool(name, &known));
    };
    match found(pool, key) {
        Ok(found) => json_reply(StatusCode::OK, &found),
        Err(error) => refusal(StatusCode::BAD_REQUEST, error),
    }
}

fn found(pool: &PoolRecord, key: &str) -> Result<Value, String> {
    let name = &pool.config.name;
    let Some(hashing) = pool.hashing() else {
        let algorithm = pool.config.algorithm;
        return Err(format!("pool `{name}` has algorithm = \"{algorithm}\", not \"hash\""));
    };
    let hash = hashing.text_key(key)?;
    let fit = pool.built.as_ref().map_or(&[][..], |built| &built.backends);
    let places = hashing.places_of(hash, fit);
    let [owner, backend] = places.map_or([None, None], |places| places.map(Some));
    let record = owner.as_ref().and_then(|owner| pool.backends.get(&owner.parse().ok()?));
    Ok(json!({
        "pool": name,
        "hash_key": hashing.key.to_string(),
        "key": key,
        "owner": owner,
        "backend": backend,
        "owner_is": record.map(|record| reason(pool, record)),
        "hash_table": hashing.digest(),
    }))
}
