//! The listener, route, pool and backends that a request would use, and why.

use super::explain_certificate::{answering, server_name};
use super::explain_connection::scheme;
use super::reply::{Reply, json_reply, refusal};
use super::routes::{RouteName, RouteNames};
use super::status::reason;
use crate::coordinator::control::Control;
use crate::coordinator::fleet::{PoolRecord, Record};
use crate::head::{Refusal, RequestHead, Scheme, redirect};
use crate::http1::{FieldStorage, Verdict};
use crate::snapshot::{self, Hashing, KeyHash};
use crate::tls::{Answer, BackendTls, ClientSide, Trust};
use hyper::{StatusCode, Uri};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Methods that users often write in lower case (RFC 9110, 9.3; RFC 5789).
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A request that is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'q> {
    pub(super) method: &'q str,
    pub(super) url: &'q str,
    /// The name in the TLS handshake of its connection; none: that of its host.
    pub(super) sni: Option<&'q str>,
}

/// Follows a request through the running configuration. `listener` limits it to one.
pub(super) fn explain(control: &Control, asked: &Asked<'_>, listener: Option<&str>) -> Reply {
    let Asked { method, url, sni } = *asked;
    if method.is_empty() || !method.bytes().all(is_token_byte) {
        let method = method.escape_debug();
        let error = format!("`{method}` is no method: write it like GET");
        return refusal(StatusCode::BAD_REQUEST, error);
    }
    let upper = method.to_ascii_uppercase();
    if method != upper && METHODS.contains(&&*upper) {
        let error = format!("`{method}`: methods are in upper case: did you mean `{upper}`?");
        return refusal(StatusCode::BAD_REQUEST, error);
    }
    let Ok(uri) = url.parse::<Uri>() else {
        let error = format!("`{url}` is no URL: write it like http://shop.example.com/checkout");
        return refusal(StatusCode::BAD_REQUEST, error);
    };
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    if let Some(reply) = unread(control, listener, uri.port_u16()) {
        return reply;
    }
    // As a client would send it: a request that the shards refuse is refused here too.
    let head = format!("{method} {uri} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let name = server_name(sni.unwrap_or(&host).as_bytes());
    let settings = snapshot::build_settings(control.config());
    let wanted: Vec<&snapshot::Listener> = control
        .listeners()
        .iter()
        .map(|known| &**known)
        .filter(|known| {
            known.protocol.reads_requests() && listener.is_none_or(|name| *name == *known.name)
        })
        .collect();
    // Those of another scheme only if there is no other one.
    let is_of_scheme = |one: &&&snapshot::Listener| uri.scheme_str() == Some(one.scheme().name());
    let of_scheme: Vec<&snapshot::Listener> = wanted.iter().filter(is_of_scheme).copied().collect();
    let asked = if of_scheme.is_empty() { wanted } else { of_scheme };
    let answers: Vec<Value> = asked
        .into_iter()
        .map(|listener| {
            let mut storage = FieldStorage::default();
            let rules = settings.rules(listener.scheme());
            let verdict = RequestHead::parse(head.as_bytes(), &mut storage, rules);
            json!({
                "listener": &*listener.name,
                "address": listener.address,
                "tls": answering(control, listener, name.as_deref()),
                "outcome": outcome(control, listener, name.as_deref(), &verdict),
            })
        })
        .collect();
    if answers.is_empty() {
        let known: Vec<&str> = control.listeners().iter().map(|known| &*known.name).collect();
        let error = format!("there is no such listener; it can be {}", known.join(", "));
        return refusal(StatusCode::NOT_FOUND, error);
    }
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    let request = json!({ "method": method, "host": host, "path": path });
    json_reply(StatusCode::OK, &json!({ "request": request, "listeners": answers }))
}

/// The refusal of a request where no listener reads any: that of the wanted name, or those on the
/// port of the URL if there are some. Another port may be one of a device before Ringway.
fn unread(control: &Control, wanted: Option<&str>, port: Option<u16>) -> Option<Reply> {
    let is_on_port = |known: &snapshot::Listener| Some(known.address.port()) == port;
    let has_port = wanted.is_none() && control.listeners().iter().any(|known| is_on_port(known));
    let is_asked = |known: &&Arc<snapshot::Listener>| match wanted {
        Some(wanted) => *wanted == *known.name,
        None => !has_port || is_on_port(known),
    };
    let mut asked = control.listeners().iter().filter(is_asked).peekable();
    let (name, protocol) = asked.peek().map(|known| (&known.name, known.protocol))?;
    if asked.any(|known| known.protocol.reads_requests()) {
        return None;
    }
    let scheme = scheme(protocol.transport());
    let error = format!(
        "listener {name} reads no requests: its protocol is `{protocol}`; ask for {scheme}HOST:PORT"
    );
    Some(refusal(StatusCode::BAD_REQUEST, error))
}

/// Whether a client is a trusted proxy.
pub(super) fn is_trusted(control: &Control, client: IpAddr) -> bool {
    control.config().http.trusted_proxies.iter().any(|network| network.contains(client))
}

/// What comes to a client whose pool has no backend for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// An answer of 503.
    Answered,
    /// The end of its connection.
    Closed,
    /// Nothing: its datagram is dropped.
    Dropped,
}

/// A byte of a method (RFC 9110, 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn outcome(
    control: &Control,
    listener: &snapshot::Listener,
    name: Option<&str>,
    verdict: &Verdict<RequestHead<'_, '_>>,
) -> Value {
    if let Some(names) = &listener.tls {
        let why = match names.answer(name) {
            Some(Answer::Site(_)) => None,
            Some(Answer::Awaited) => Some("the certificate for its name was not fetched yet"),
            None => Some("no certificate is for its name"),
        };
        if let Some(why) = why {
            return json!({ "why": format!("refused in the TLS handshake: {why}") });
        }
    }
    match verdict {
        Verdict::Complete(head) if !serves(listener, name, head.host) => {
            json!({ "status": 421, "why": misdirected(name) })
        }
        Verdict::Complete(head) if answers_challenge(control, listener, head) => {
            json!({ "status": 200, "why": "the answer to a challenge of ACME (http-01)" })
        }
        Verdict::Complete(head) => match listener.routes.lookup(head.host, head.path) {
            Some(target) => {
                routed(control, target, Ending::Answered, |hashing| hashing.request_key(head))
            }
            None => unrouted(head, listener),
        },
        Verdict::Refused(refusal) => {
            let hint = match refusal {
                Refusal::WrongScheme if listener.scheme() == Scheme::Https => {
                    ": TLS is spoken there, ask for https://"
                }
                Refusal::WrongScheme => ": ask for http:// where TLS ends before Ringway",
                Refusal::ConnectNotAllowed => ": http.connect = \"forward\" allows it",
                _ => "",
            };
            let why = format!("{}{hint}", refusal.text());
            json!({ "status": refusal.status(), "why": why })
        }
        Verdict::Incomplete => json!({ "status": 400, "why": "it is no complete request" }),
    }
}

/// Whether a request for a host may come on a connection whose handshake asked for this name.
fn serves(listener: &snapshot::Listener, name: Option<&str>, host: &[u8]) -> bool {
    let Some(names) = &listener.tls else { return true };
    let site = names.lookup(name).cloned();
    // The answer is of this table alone: there is no other generation.
    site.is_none_or(|site| ClientSide::new(name.map(Into::into), site).serves(host, names, 0))
}

fn misdirected(name: Option<&str>) -> String {
    let connection = match name {
        Some(name) => format!("a connection whose handshake asked for `{name}`"),
        None => "a connection whose handshake asked for no name".to_owned(),
    };
    format!(
        "misdirected: the certificate of {connection} is not for the host, or the host asks for \
         more of clients"
    )
}

/// Whether a certification authority gets what it asks for here.
fn answers_challenge(
    control: &Control,
    listener: &snapshot::Listener,
    head: &RequestHead<'_, '_>,
) -> bool {
    let challenges = control.snapshot().challenges.clone();
    let is_plain = listener.scheme() == Scheme::Http && matches!(head.method.0, b"GET" | b"HEAD");
    is_plain && challenges.is_some_and(|all| all.http_answer(head.path).is_some())
}

fn unrouted(head: &RequestHead<'_, '_>, listener: &snapshot::Listener) -> Value {
    if let Some(port) = listener.redirects_to {
        return match redirect::location(head, port) {
            Some(location) => {
                let why = format!("redirected to {}", String::from_utf8_lossy(&location));
                json!({ "status": redirect::status(head.method), "why": why })
            }
            None => json!({ "status": 400, "why": "there is no host to redirect to" }),
        };
    }
    let [host, path] = [head.host, head.path].map(String::from_utf8_lossy);
    json!({ "status": 404, "why": format!("no route matches host `{host}` and path `{path}`") })
}

/// What becomes of what takes a route; `key` finds its hash by the rules of a pool.
pub(super) fn routed(
    control: &Control,
    target: snapshot::Target,
    ending: Ending,
    key: impl FnOnce(&Hashing) -> Option<KeyHash>,
) -> Value {
    let (fleet, names) = (control.fleet(), RouteNames::new(control.listeners()));
    let route = fleet.routes().find(|(_, id)| *id == target.route).map(|(key, _)| {
        let name = names.of(key);
        // One of requests too has a path, which connections have not.
        let path = name.path.filter(|_| ending == Ending::Answered);
        RouteName { path, ..name }
    });
    let Some(pool) = fleet.pool_of(target.pool) else {
        return match ending {
            Ending::Answered => json!({ "status": 503, "why": "its pool is gone" }),
            Ending::Closed => json!({ "why": "closed: its pool is gone" }),
            Ending::Dropped => json!({ "why": "dropped: its pool is gone" }),
        };
    };
    // As published, with priorities, slow start and fail open.
    let published = pool.built.iter().flat_map(|built| &built.backends);
    let weights: HashMap<_, _> = published.map(|b| (b.slot, u64::from(b.weight))).collect();
    let sum: u64 = weights.values().sum();
    let of = |slot| weights.get(&slot).copied().unwrap_or_default();
    let shares = percentages(&pool.backends.values().map(|b| of(b.slot)).collect::<Vec<_>>());
    let backends: Vec<Value> = pool
        .backends
        .iter()
        .zip(shares)
        .map(|((address, record), share)| {
            let mut shown = json!({
                "address": address,
                "standing": record.standing.word(),
                "why": reason(pool, record),
                "weight": record.weight(),
                "share_percent": share,
            });
            if let Some(tls) = pool.built.as_ref().and_then(|built| built.tls.as_ref()) {
                shown["tls"] = of_tls(tls, *address, record);
            }
            shown
        })
        .collect();
    let why = match (sum, pool.has_no_healthy) {
        (0, _) => match ending {
            Ending::Answered => "none serves: answered with 503".to_owned(),
            Ending::Closed => "none serves: closed".to_owned(),
            Ending::Dropped => "none serves: dropped".to_owned(),
        },
        (_, true) => "none serves: all are tried".to_owned(),
        (_, false) => {
            let when = if ending == Ending::Dropped { ", for each new flow" } else { "" };
            format!("picked by {} among those that serve{when}", algorithm(pool, key))
        }
    };
    json!({
        "route": route,
        "pool": pool.config.name,
        "why": why,
        "backends": backends,
    })
}

/// TLS with a backend: its name, whether that is verified, and why it last failed.
fn of_tls(tls: &BackendTls, address: SocketAddr, record: &Record) -> Value {
    let terms = tls.terms();
    json!({
        "name": tls.names().of(address).to_str(),
        "verified": terms.trust != Trust::Anyone,
        "client_certificate": terms.certificate.as_ref().map(|one| &one.subject),
        "last_failure": record.tls_fault.map(|(kind, _)| kind.to_string()),
    })
}

/// The algorithm, with what it goes by and where that leads.
fn algorithm(pool: &PoolRecord, key: impl FnOnce(&Hashing) -> Option<KeyHash>) -> String {
    let Some(hashing) = pool.hashing() else { return pool.config.algorithm.to_string() };
    let fit = pool.built.as_ref().map_or(&[][..], |built| &built.backends);
    let places = key(hashing).and_then(|key| hashing.places_of(key, fit));
    let goes_to = places.map(|[_, goes_to]| format!(" (here {goes_to})")).unwrap_or_default();
    format!("hash of {}{goes_to}", hashing.key)
}

/// Weights in percent: whole numbers that add up to 100, each less than one off (the method of the
/// largest remainder); zeros if there is no weight.
fn percentages(weights: &[u64]) -> Vec<u64> {
    let sum: u64 = weights.iter().sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let mut percent: Vec<u64> = weights.iter().map(|weight| weight * 100 / sum).collect();
    let missing = 100 - percent.iter().sum::<u64>();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|at| std::cmp::Reverse(weights[*at] * 100 % sum));
    by_remainder.iter().take(missing as usize).for_each(|at| percent[*at] += 1);
    percent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_add_up() {
        for (weights, expected) in [
            (&[1, 10][..], &[9, 91][..]),
            (&[1, 1, 1], &[34, 33, 33]),
            (&[0, 5], &[0, 100]),
            (&[0, 0], &[0, 0]),
            (&[], &[]),
        ] {
            assert_eq!(percentages(weights), expected, "{weights:?}");
        }
    }
}
