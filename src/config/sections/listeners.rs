//! `[[listener]]`: an address that clients connect to.

use super::names::{Names, Seen};
use crate::config::addresses::parse_listen_address;
use crate::config::choices::{
    Choice, NoSni, NotTls, Protocol, ProxyHeader, Steering, unknown_choice,
};
use crate::config::keys::kinds::{by_hand, count, shown, text, word};
use crate::config::keys::{Keys, section};
use crate::config::raw::{At, Section};
use crate::config::values::{MAX_CONNECTIONS_RANGE, check_name};
use std::net::SocketAddr;

/// Protocols of the design that this version does not support.
const LATER_PROTOCOLS: [&str; 2] = ["https", "udp"];

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
        /// With `tls-passthrough`: the policy for a ClientHello without a server name.
        no_sni: NoSni = NoSni::default() => word(),
        /// With `tls-passthrough`: the policy for what is not TLS.
        not_tls: NotTls = NotTls::default() => word(),
        /// The PROXY protocol header at the beginning of each connection.
        proxy_protocol: ProxyHeader = ProxyHeader::default() => word(),
        /// Connections of this listener; further ones wait in the kernel's backlog. 0: no limit.
        max_connections: usize = 0 => count(0..=*MAX_CONNECTIONS_RANGE.end()),
        /// The choice of a shard for a new connection.
        steering: Steering = Steering::default() => word().at_start(),
    }
}

/// The protocols of the listeners by the place of their names; none where it is not known.
pub(super) type Protocols = Vec<Option<Protocol>>;

/// Reads every listener that has a name and a valid address. `has_proxies`: there are trusted ones.
pub(super) fn listeners<'d>(
    sections: Vec<Section<'d>>,
    names: &mut Names<'d>,
    has_proxies: bool,
) -> (Vec<Listener>, Protocols) {
    let (mut seen_names, mut seen_addresses) = (Seen::new(), Seen::new());
    let (mut listeners, mut protocols) = (Vec::new(), Protocols::new());
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
        let protocol = written_protocol(&section);
        check_fitting(&section, &listener, protocol);
        if listener.proxy_protocol == ProxyHeader::Require && !has_proxies {
            let message = "`proxy_protocol = \"require\"` takes headers of trusted proxies only, \
                           and there are none";
            let help = "list their networks in `trusted_proxies` of [http], as [\"10.0.0.0/8\"]";
            report.add_with_help(section.value_span("proxy_protocol"), message, help);
        }
        if let Some(At { value: name, span }) = name {
            section.report().checked(span.clone(), check_name(name));
            seen_names.note(report, name, span, &format!("listener name `{name}`"));
            names.push(name, section.span.clone());
            protocols.push(protocol);
            let name = name.to_owned();
            listeners.extend(address.map(|address| Listener { name, address, ..listener }));
        }
        section.finish();
    }
    (listeners, protocols)
}

/// The protocol; none if there is an invalid one, which was reported.
fn written_protocol(section: &Section<'_>) -> Option<Protocol> {
    if !section.has("protocol") {
        return Some(Protocol::default());
    }
    section.peek_text("protocol").and_then(Protocol::of_word)
}

/// Reports keys that do nothing with this protocol.
fn check_fitting(section: &Section<'_>, listener: &Listener, protocol: Option<Protocol>) {
    let Some(protocol) = protocol.filter(|protocol| *protocol != Protocol::TlsPassthrough) else {
        return;
    };
    let set = [
        ("no_sni", listener.no_sni != NoSni::default()),
        ("not_tls", listener.not_tls != NotTls::default()),
    ];
    for (key, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
        let message =
            format!("`{key}` needs protocol `tls-passthrough`, and it is `{protocol}` here");
        let help = format!("set `protocol`, or remove `{key}`");
        section.report().add_with_help(section.key_span(key), message, help);
    }
}

fn parse_protocol(word: &str) -> Result<Protocol, String> {
    if LATER_PROTOCOLS.contains(&word) {
        return Err(format!(
            "protocol `{word}` is not supported yet: it can be `http`, `tcp` or `tls-passthrough`"
        ));
    }
    Protocol::of_word(word).ok_or_else(|| unknown_choice::<Protocol>("protocol", word))
}
