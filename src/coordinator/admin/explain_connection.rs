//! The listener, route, pool and backends that a connection would use whose bytes are forwarded
//! unread, and why.

use super::explain::{Ending, is_trusted, routed};
use super::reply::{Reply, json_reply, refusal};
use crate::config::Protocol;
use crate::config::values::reached;
use crate::coordinator::control::Control;
use crate::snapshot::{Hashing, KeyHash, Listener, Target};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The scheme of a connection that is asked about.
pub(super) const SCHEME: &str = "tcp://";

/// A connection that is asked about.
pub(super) struct Question<'q> {
    /// The address that is connected to, as `10.0.0.1:443` or `db.example.com:5432`.
    pub(super) address: &'q str,
    /// The server name of TLS.
    pub(super) sni: Option<&'q str>,
    /// The protocols that TLS offers, with commas in between.
    pub(super) alpn: Option<&'q str>,
    /// The address that the connection comes from.
    pub(super) client: Option<IpAddr>,
    /// The only listener that is asked about.
    pub(super) listener: Option<&'q str>,
}

/// Follows a connection through the running configuration.
pub(super) fn explain(control: &Control, question: &Question<'_>) -> Reply {
    let Some(port) = port(question.address) else {
        let shown = question.address.escape_debug();
        let error = format!("`{shown}` is no HOST:PORT: write it like tcp://10.0.0.1:5432");
        return refusal(StatusCode::BAD_REQUEST, error);
    };
    let asked: Vec<&Arc<Listener>> = asked(control, question, port);
    if asked.is_empty() {
        let known = control.listeners();
        let known: Vec<String> =
            known.iter().map(|one| format!("{} ({})", one.name, one.address)).collect();
        let error = format!("no listener takes this connection; there are {}", known.join(", "));
        return refusal(StatusCode::NOT_FOUND, error);
    }
    let answers: Vec<Value> = asked
        .into_iter()
        .map(|listener| {
            json!({
                "listener": listener.name,
                "address": listener.address,
                "outcome": outcome(control, listener, question),
            })
        })
        .collect();
    let connection = json!({
        "address": question.address,
        "sni": question.sni,
        "alpn": offered(question).collect::<Vec<&str>>(),
        "client": question.client,
    });
    json_reply(StatusCode::OK, &json!({ "connection": connection, "listeners": answers }))
}

fn port(address: &str) -> Option<u16> {
    let (host, port) = address.trim_end_matches('/').rsplit_once(':')?;
    port.parse().ok().filter(|port| *port != 0 && !host.is_empty())
}

/// The listeners that such a connection reaches: by a name it may be any on the port.
fn asked<'c>(control: &'c Control, question: &Question<'_>, port: u16) -> Vec<&'c Arc<Listener>> {
    let all = control.listeners().iter().filter(|listener| listener.address.port() == port);
    let wanted = all.filter(|listener| question.listener.is_none_or(|name| name == listener.name));
    match question.address.trim_end_matches('/').parse::<SocketAddr>() {
        Ok(address) => reached(wanted, address, |listener| listener.address).into_iter().collect(),
        Err(_) => wanted.collect(),
    }
}

fn offered<'q>(question: &Question<'q>) -> impl Iterator<Item = &'q str> + Clone {
    question.alpn.into_iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty())
}

fn outcome(control: &Control, listener: &Listener, question: &Question<'_>) -> Value {
    if listener.requires_proxy_header && question.client.is_some_and(|ip| !is_trusted(control, ip))
    {
        return json!({ "why": "closed: this client is none of `http.trusted_proxies`" });
    }
    let target = match listener.protocol {
        Protocol::Http => {
            let why = "this listener reads requests: ask for GET http://HOST/PATH";
            return json!({ "why": why });
        }
        Protocol::Tcp | Protocol::Udp => {
            listener.routes.lookup(b"", b"/").ok_or("closed: no route".to_owned())
        }
        Protocol::TlsPassthrough => by_name(listener, question),
    };
    match target {
        Ok(target) => {
            let key = |hashing: &Hashing| key_of(hashing, question);
            routed(&control.fleet(), target, Ending::Closed, key)
        }
        Err(why) => json!({ "why": why }),
    }
}

/// The hash of the key of the connection, if the question has it.
fn key_of(hashing: &Hashing, question: &Question<'_>) -> Option<KeyHash> {
    let name = question.sni.map(|name| name.trim_end_matches('.').as_bytes());
    let of_name = name.and_then(|name| hashing.name_key(name));
    of_name.or_else(|| hashing.network_key(question.client?))
}

fn by_name(listener: &Listener, question: &Question<'_>) -> Result<Target, String> {
    let names = offered(question).map(str::as_bytes);
    let find = |name: &str| listener.routes.lookup_server_name(name.as_bytes(), names.clone());
    match question.sni {
        Some(name) => find(name).ok_or_else(|| {
            format!(
                "refused with the alert unrecognized_name: no route matches server name `{name}`"
            )
        }),
        None if !listener.routes_no_sni => Err("refused: without a server name (--sni), and \
                                                `no_sni` of this listener is \"reject\""
            .to_owned()),
        None => find("").ok_or_else(|| {
            "refused: without a server name (--sni), and no route without a host".to_owned()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for (address, expected) in [
            ("10.0.0.1:443", Some(443)),
            ("[::1]:443/", Some(443)),
            ("db.test:5432", Some(5432)),
            (":443", None),
            ("db.test", None),
            ("db.test:0", None),
            ("db.test:70000", None),
        ] {
            assert_eq!(port(address), expected, "{address}");
        }
    }
}
