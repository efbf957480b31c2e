//! The listener, route, pool and backends that a connection would use whose bytes are forwarded
//! unread, or a new flow of UDP, and why.

use super::explain::{Ending, is_trusted, routed};
use super::reply::{Reply, json_reply, refusal};
use crate::config::values::reached;
use crate::config::{Protocol, Transport};
use crate::coordinator::control::Control;
use crate::snapshot::{Hashing, KeyHash, Listener, Target};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// The schemes of a connection and of a flow that is asked about.
const SCHEMES: [(&str, Transport); 2] = [("tcp://", Transport::Tcp), ("udp://", Transport::Udp)];

/// The transport and the address of a URL with one of these schemes.
pub(super) fn of_url(url: &str) -> Option<(Transport, &str)> {
    SCHEMES.iter().find_map(|(scheme, transport)| Some((*transport, url.strip_prefix(scheme)?)))
}

/// The scheme of a transport.
pub(super) fn scheme(transport: Transport) -> &'static str {
    let found = SCHEMES.iter().find(|(_, known)| *known == transport);
    found.expect("every transport has its scheme in the table").0
}

/// The address of a client, with its port if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientAddress {
    ip: IpAddr,
    port: Option<u16>,
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

impl FromStr for ClientAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { ip: address.ip(), port: Some(address.port()) });
        }
        let ip = text.parse().map_err(|_| {
            format!("`{}` is no address of a client: write IP or IP:PORT", text.escape_debug())
        })?;
        Ok(Self { ip, port: None })
    }
}

/// A connection or flow that is asked about.
pub(super) struct Question<'q> {
    /// Its transport.
    pub(super) transport: Transport,
    /// The address that is connected or sent to, as `10.0.0.1:443` or `db.example.com:5432`.
    pub(super) address: &'q str,
    /// The server name of TLS.
    pub(super) sni: Option<&'q str>,
    /// The protocols that TLS offers, with commas in between.
    pub(super) alpn: Option<&'q str>,
    /// The address that it comes from.
    pub(super) client: Option<ClientAddress>,
    /// The only listener that is asked about.
    pub(super) listener: Option<&'q str>,
}

/// Follows a connection or a new flow through the running configuration.
pub(super) fn explain(control: &Control, question: &Question<'_>) -> Reply {
    let scheme = scheme(question.transport);
    let Some(port) = port(question.address) else {
        let shown = question.address.escape_debug();
        let error = format!("`{shown}` is no HOST:PORT: write it like {scheme}10.0.0.1:5432");
        return refusal(StatusCode::BAD_REQUEST, error);
    };
    if question.transport == Transport::Udp && (question.sni.or(question.alpn)).is_some() {
        let error = format!("a server name and protocols are of TLS: leave them out with {scheme}");
        return refusal(StatusCode::BAD_REQUEST, error);
    }
    let asked: Vec<&Arc<Listener>> = asked(control, question, port);
    if asked.is_empty() {
        return refusal(StatusCode::NOT_FOUND, no_listener(control, question.transport));
    }
    let answers: Vec<Value> = asked
        .into_iter()
        .map(|listener| {
            json!({
                "listener": &*listener.name,
                "address": listener.address,
                "outcome": outcome(control, listener, question),
            })
        })
        .collect();
    let connection = json!({
        "address": question.address,
        "sni": question.sni,
        "alpn": offered(question).collect::<Vec<&str>>(),
        "client": question.client.map(|client| client.to_string()),
    });
    json_reply(StatusCode::OK, &json!({ "connection": connection, "listeners": answers }))
}

fn no_listener(control: &Control, transport: Transport) -> String {
    let what = match transport {
        Transport::Tcp => "connection",
        Transport::Udp => "flow",
    };
    let shown = |one: &Arc<Listener>| {
        format!("{} ({}{})", one.name, scheme(one.endpoint().transport), one.address)
    };
    let known: Vec<String> = control.listeners().iter().map(shown).collect();
    format!("no listener takes this {what}; there are {}", known.join(", "))
}

fn port(address: &str) -> Option<u16> {
    let (host, port) = address.trim_end_matches('/').rsplit_once(':')?;
    port.parse().ok().filter(|port| *port != 0 && !host.is_empty())
}

/// The listeners that such a connection reaches: by a name it may be any on the port.
fn asked<'c>(control: &'c Control, question: &Question<'_>, port: u16) -> Vec<&'c Arc<Listener>> {
    let is_wanted = |listener: &&Arc<Listener>| {
        let endpoint = listener.endpoint();
        endpoint.transport == question.transport
            && endpoint.address.port() == port
            && question.listener.is_none_or(|name| *name == *listener.name)
    };
    let wanted = control.listeners().iter().filter(is_wanted);
    match question.address.trim_end_matches('/').parse::<SocketAddr>() {
        Ok(address) => reached(wanted, address, |listener| listener.address).into_iter().collect(),
        Err(_) => wanted.collect(),
    }
}

fn offered<'q>(question: &Question<'q>) -> impl Iterator<Item = &'q str> + Clone {
    question.alpn.into_iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty())
}

fn outcome(control: &Control, listener: &Listener, question: &Question<'_>) -> Value {
    if listener.requires_proxy_header
        && question.client.is_some_and(|client| !is_trusted(control, client.ip))
    {
        return json!({ "why": "closed: this client is none of `http.trusted_proxies`" });
    }
    let any_target = listener.routes.lookup(b"", b"/");
    let target = match listener.protocol {
        Protocol::Http | Protocol::Https => {
            let why = "this listener reads requests: ask for GET http://HOST/PATH";
            return json!({ "why": why });
        }
        Protocol::Tcp => any_target.ok_or("closed: no route".to_owned()),
        Protocol::Udp => any_target.ok_or("dropped: no route".to_owned()),
        Protocol::TlsPassthrough => by_name(listener, question),
    };
    match target {
        Ok(target) => {
            let key = |hashing: &Hashing| key_of(hashing, question);
            let ending = match question.transport {
                Transport::Tcp => Ending::Closed,
                Transport::Udp => Ending::Dropped,
            };
            routed(control, target, ending, key)
        }
        Err(why) => json!({ "why": why }),
    }
}

/// The hash of the key of the connection or flow, if the question has it.
fn key_of(hashing: &Hashing, question: &Question<'_>) -> Option<KeyHash> {
    let name = question.sni.map(|name| name.trim_end_matches('.').as_bytes());
    let of_client = |ClientAddress { ip, port }| match port {
        Some(port) => hashing.address_key(SocketAddr::new(ip, port)),
        None => hashing.network_key(ip),
    };
    let of_name = name.and_then(|name| hashing.name_key(name));
    of_name.or_else(|| question.client.and_then(of_client))
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
            "refused: without a server name (--sni), and no route is for such clients, or for any"
                .to_owned()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_an_address_and_a_port_if_it_is_known() {
        for (text, expected) in [
            ("192.0.2.7", Some(("192.0.2.7", None))),
            ("192.0.2.7:5000", Some(("192.0.2.7", Some(5000)))),
            ("2001:db8::1", Some(("2001:db8::1", None))),
            ("[2001:db8::1]:53", Some(("2001:db8::1", Some(53)))),
            ("192.0.2.7:", None),
            ("here", None),
        ] {
            let expected = expected
                .map(|(ip, port)| ClientAddress { ip: ip.parse().expect("an address"), port });
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

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
