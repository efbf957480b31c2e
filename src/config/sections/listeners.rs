//! `[[listener]]`: an address that clients connect to.

use super::names::{Names, Seen};
use crate::config::addresses::parse_listen_address;
use crate::config::choices::{Choice, Protocol, Steering, unknown_choice};
use crate::config::keys::kinds::{by_hand, shown, text, word};
use crate::config::keys::{Keys, section};
use crate::config::raw::{At, Section};
use crate::config::values::check_name;
use std::net::SocketAddr;

/// Protocols of the design that this version does not support.
const LATER_PROTOCOLS: [&str; 4] = ["https", "tcp", "tls-passthrough", "udp"];

section! {
    /// `[[listener]]`: an address that clients connect to.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Listener {
        /// Unique; letters, digits, `-` and `_`.
        name: String = String::new() => by_hand(|name| shown(name)),
        /// Unique, unless its port is 0, which lets the kernel choose one.
        address: SocketAddr = ([0; 4], 0).into() => by_hand(|address| shown(address)),
        /// The protocol.
        protocol: Protocol = Protocol::default() => text(parse_protocol),
        /// The choice of a shard for a new connection.
        steering: Steering = Steering::default() => word().at_start(),
    }
}

/// Reads every listener that has a name and a valid address.
pub(super) fn listeners<'d>(sections: Vec<Section<'d>>, names: &mut Names<'d>) -> Vec<Listener> {
    let (mut seen_names, mut seen_addresses) = (Seen::new(), Seen::new());
    let mut listeners = Vec::new();
    for mut section in sections {
        let report = section.report();
        let name = section.required_text("name");
        let address = section.required_text("address");
        let address = address.and_then(|text| {
            let parsed = parse_listen_address(text.value);
            let address = section.report().checked(text.span.clone(), parsed)?;
            if address.port() != 0 {
                seen_addresses.note(report, address, text.span, &format!("address {address}"));
            }
            Some(address)
        });
        let mut listener = Listener::default();
        listener.read_keys(&mut section);
        if let Some(At { value: name, span }) = name {
            section.report().checked(span.clone(), check_name(name));
            seen_names.note(report, name, span, &format!("listener name `{name}`"));
            names.push(name, section.span.clone());
            let name = name.to_owned();
            listeners.extend(address.map(|address| Listener { name, address, ..listener }));
        }
        section.finish();
    }
    listeners
}

fn parse_protocol(word: &str) -> Result<Protocol, String> {
    if LATER_PROTOCOLS.contains(&word) {
        return Err(format!("protocol `{word}` is not supported yet: it can be `http`"));
    }
    Protocol::of_word(word).ok_or_else(|| unknown_choice::<Protocol>("protocol", word))
}
