//! Two statuses of a process and the difference between them.

use crate::cli::verbs::show;
use serde_json::Value;
use std::collections::HashMap;

/// The counts of TLS handshakes.
const TLS_COUNTS: [&str; 3] = ["handshakes", "resumptions", "failures"];

/// Two statuses and the time between them.
pub(super) struct Look {
    pub(super) status: Value,
    before: HashMap<String, u64>,
    /// None for the first status.
    seconds: Option<f64>,
}

/// A backend as a row shows it.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) pool: String,
    pub(super) address: String,
    pub(super) standing: String,
    pub(super) weight: String,
    pub(super) requests_per_s: f64,
    pub(super) errors_per_s: f64,
    pub(super) in_flight: u64,
    /// Open ones, idle ones too.
    pub(super) connections: u64,
    pub(super) connects_per_s: f64,
    /// Forwarded unread, both ways.
    pub(super) bytes_per_s: f64,
    pub(super) answers: u64,
    pub(super) answers_5xx: u64,
    pub(super) failures: u64,
    pub(super) why: String,
}

impl Look {
    /// `before`: the look before and how many seconds ago it was.
    pub(super) fn new(status: Value, before: Option<(&Self, f64)>) -> Self {
        let seconds = before.map(|(_, seconds)| seconds);
        let before = before.map(|(look, _)| counts(&look.status)).unwrap_or_default();
        Self { status, before, seconds }
    }

    /// The growth of a counter per second; 0 if it was not there before.
    fn rate(&self, key: &str, now: u64) -> f64 {
        let (Some(seconds), Some(then)) = (self.seconds, self.before.get(key)) else { return 0.0 };
        now.saturating_sub(*then) as f64 / seconds.max(0.001)
    }

    /// Requests in a second of all shards.
    pub(super) fn requests_per_s(&self) -> f64 {
        let of_shard = |shard| self.shard_requests_per_s(shard);
        list(&self.status["shards"]).map(of_shard).sum()
    }

    /// TLS handshakes of clients in a second: completed, resumed and failed ones; none without a
    /// listener of HTTPS.
    pub(super) fn handshakes_per_s(&self) -> Option<[f64; 3]> {
        let tls = &self.status["tls"];
        tls.is_object().then(|| TLS_COUNTS.map(|key| self.rate(key, number(&tls[key]))))
    }

    /// Requests in a second of one shard.
    pub(super) fn shard_requests_per_s(&self, shard: &Value) -> f64 {
        self.rate(&shard_key(shard), number(&shard["requests"]))
    }

    /// Connections of a listener that were accepted in a second; of UDP, flows that began.
    pub(super) fn accepted_per_s(&self, listener: &Value) -> f64 {
        let [accepted, ..] = listener_keys(listener);
        self.rate(&accepted, number(&listener["accepted"]))
    }

    /// Requests in a second of one listener; of UDP, datagrams of clients.
    pub(super) fn listener_requests_per_s(&self, listener: &Value) -> f64 {
        let [_, requests, ..] = listener_keys(listener);
        self.rate(&requests, requests_of(listener))
    }

    /// Connections of a listener that were refused in a second.
    pub(super) fn refused_per_s(&self, listener: &Value) -> f64 {
        let [_, _, refused, _] = listener_keys(listener);
        self.rate(&refused, number(&listener["refused"]))
    }

    /// Bytes that a listener forwards unread in a second, both ways.
    pub(super) fn listener_bytes_per_s(&self, listener: &Value) -> f64 {
        let [.., forwarded] = listener_keys(listener);
        self.rate(&forwarded, bytes(listener))
    }

    /// Requests in a second of one pool.
    pub(super) fn pool_requests_per_s(&self, pool: &Value) -> f64 {
        self.rate(&pool_key(pool), number(&pool["requests"]))
    }

    /// Every backend, in the order of the status: by pool and address.
    pub(super) fn backends(&self) -> Vec<Backend> {
        let mut backends = Vec::new();
        for pool in list(&self.status["pools"]) {
            backends.extend(list(&pool["backends"]).map(|backend| self.backend(pool, backend)));
        }
        backends
    }

    /// Errors in a second of all backends of one pool.
    pub(super) fn errors_per_s(&self, pool: &Value) -> f64 {
        list(&pool["backends"]).map(|backend| self.backend(pool, backend).errors_per_s).sum()
    }

    fn backend(&self, pool: &Value, backend: &Value) -> Backend {
        let counts = Counts::of(backend);
        let [answers_key, errors_key, connects_key, bytes_key] = backend_keys(pool, backend);
        let standing = text(&backend["standing"]);
        Backend {
            pool: text(&pool["name"]),
            address: text(&backend["address"]),
            weight: show::weight(backend),
            requests_per_s: self.rate(&answers_key, counts.answers),
            errors_per_s: self.rate(&errors_key, counts.errors()),
            in_flight: number(&backend["in_flight"]),
            connections: number(&backend["connections"]),
            connects_per_s: self.rate(&connects_key, counts.connects),
            bytes_per_s: self.rate(&bytes_key, counts.bytes),
            answers: counts.answers,
            answers_5xx: counts.answers_5xx,
            failures: counts.failures,
            why: show::why(backend),
            standing,
        }
    }
}

/// Counters of a backend.
struct Counts {
    answers: u64,
    answers_5xx: u64,
    failures: u64,
    connects: u64,
    bytes: u64,
}

impl Counts {
    fn of(backend: &Value) -> Self {
        let answers = backend["answers"].as_object().into_iter().flatten();
        Self {
            answers: answers.map(|(_, count)| number(count)).sum(),
            answers_5xx: number(&backend["answers"]["5xx"]),
            failures: number(&backend["failures"]),
            connects: number(&backend["connects"]),
            bytes: bytes(backend),
        }
    }

    fn errors(&self) -> u64 {
        self.answers_5xx + self.failures
    }
}

/// Every counter of a status, by its owner: places change with the configuration.
fn counts(status: &Value) -> HashMap<String, u64> {
    let mut counts = HashMap::new();
    for shard in list(&status["shards"]) {
        counts.insert(shard_key(shard), number(&shard["requests"]));
    }
    for key in TLS_COUNTS {
        counts.insert(key.to_owned(), number(&status["tls"][key]));
    }
    for listener in list(&status["listeners"]) {
        let [accepted, requests, refused, forwarded] = listener_keys(listener);
        counts.insert(accepted, number(&listener["accepted"]));
        counts.insert(requests, requests_of(listener));
        counts.insert(refused, number(&listener["refused"]));
        counts.insert(forwarded, bytes(listener));
    }
    for pool in list(&status["pools"]) {
        counts.insert(pool_key(pool), number(&pool["requests"]));
        for backend in list(&pool["backends"]) {
            let of_backend = Counts::of(backend);
            let [answers, errors, connects, bytes] = backend_keys(pool, backend);
            counts.insert(connects, of_backend.connects);
            counts.insert(bytes, of_backend.bytes);
            counts.insert(answers, of_backend.answers);
            counts.insert(errors, of_backend.errors());
        }
    }
    counts
}

fn shard_key(shard: &Value) -> String {
    format!("shard {}", shard["shard"])
}

fn listener_keys(listener: &Value) -> [String; 4] {
    ["accepted", "requests at", "refused", "bytes at"]
        .map(|what| format!("{what} {}", listener["name"]))
}

fn requests_of(listener: &Value) -> u64 {
    match &listener["datagrams"] {
        Value::Object(datagrams) => datagrams.get("received").map_or(0, number),
        _ => number(&listener["requests"]),
    }
}

fn pool_key(pool: &Value) -> String {
    format!("pool {}", pool["name"])
}

fn backend_keys(pool: &Value, backend: &Value) -> [String; 4] {
    ["answers", "errors", "connects", "bytes"]
        .map(|what| format!("{what} {} {}", pool["name"], backend["address"]))
}

/// Bytes that were forwarded unread, both ways.
fn bytes(owner: &Value) -> u64 {
    number(&owner["received_bytes"]) + number(&owner["sent_bytes"])
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}
