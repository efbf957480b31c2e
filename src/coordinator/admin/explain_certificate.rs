//! The certificates that would answer a client of HTTPS, and what is asked of it.

use crate::config::{Choice, ListenerIndex};
use crate::coordinator::control::Control;
use crate::coordinator::process::days_left;
use crate::head::target::without_port;
use crate::snapshot::{self, Protocol};
use crate::sys::clock;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Who answers a client that asks a listener of HTTPS for this name; null for another protocol.
pub(super) fn answering(
    control: &Control,
    listener: &snapshot::Listener,
    name: Option<&str>,
) -> Value {
    let config = control.config();
    let at = config.listeners.iter().position(|one| *one.name == *listener.name);
    let Some(index) = at.map(ListenerIndex).filter(|_| listener.protocol == Protocol::Https) else {
        return Value::Null;
    };
    let names = config.server_names(index).expect("what is in force has no clash");
    let Some(places) = names.lookup(name, &config.listeners[index.0]) else {
        return json!({ "server_name": name, "certificates": [] });
    };
    let wall_s = i64::try_from(clock::wall_seconds()).unwrap_or(i64::MAX);
    let certificate = |place: &usize| {
        let one = &config.certificates[*place];
        let loaded = match name {
            Some(name) => one.answering(name),
            None => one.loaded.as_ref(),
        };
        json!({
            "chain": one.chain.display().to_string(),
            "names": one.served_names().collect::<Vec<_>>(),
            "key": loaded.map(|loaded| loaded.kind.word()),
            "ends_ms": loaded.map(|loaded| loaded.ends.saturating_mul(1_000)),
            "days_left": loaded.and_then(|loaded| days_left(loaded.ends, wall_s)),
            "awaited": loaded.is_none(),
        })
    };
    json!({
        "server_name": name,
        "certificates": places.iter().map(certificate).collect::<Vec<_>>(),
        "client_certificate": config.clients_of(index, places).mode.word(),
    })
}

/// The name that a client asks for in TLS to reach a host; none for an address.
pub(super) fn server_name(host: &[u8]) -> Option<String> {
    let host = std::str::from_utf8(without_port(host)).ok()?;
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    (!is_address && !name.is_empty()).then_some(name)
}
