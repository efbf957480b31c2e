//! `[[listener]]`: an address that clients connect to.

use super::client_certificates::ClientCertificates;
use super::flows::FlowRules;
use super::names::{Names, Seen};
use crate::config::addresses::parse_listen_address;
use crate::config::choices::{
    Choice, ClientCertificate, NoSni, NotTls, Protocol, ProxyHeader, Steering, UnknownSni,
    unknown_choice,
};
use crate::config::hsts::Hsts;
use crate::config::keys::kinds::{
    by_hand, duration, flag, limit, number, optional, shown, text, texts, word,
};
use crate::config::keys::{Keys, Kind, Part, keys, section};
use crate::config::raw::{At, Section};
use crate::config::values::{
    KEEPALIVE_DEFAULT, MAX_CONNECTIONS_RANGE, check_name, parse_keepalive,
};
use crate::tls::{Policy, Suite};
use std::net::SocketAddr;
use std::time::Duration;
use toml::Value;
use toml::de::DeValue;

/// The port of `https://` URLs without one (RFC 9110, 4.2.2).
pub const HTTPS_PORT: u16 = 443;

section! {
    /// `[[listener]]`: an address that clients connect to.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Listener {
        /// Unique; letters, digits, `-` and `_`.
        name: String = String::new() => by_hand(|name| shown(name)),
        /// Unique for its transport, unless its port is 0, which lets the kernel choose one.
        address: SocketAddr = ([0; 4], 0).into() => by_hand(|address| shown(address)),
        /// The protocol.
        protocol: Protocol = Protocol::default() => text(parse_protocol),
        /// With `http`: the port of HTTPS that requests without a route of this listener's own are
        /// redirected to.
        redirect_to_https: Option<u16> = None => redirect(),
        /// With `https`: browsers are told to ask by HTTPS only.
        hsts: Option<Hsts> = None => optional(Hsts::parse),
        /// With `https` and `tls-passthrough`: the policy for a ClientHello without a server name.
        no_sni: NoSni = NoSni::default() => word(),
        /// With `https`: the policy for a server name that no certificate is for.
        unknown_sni: UnknownSni = UnknownSni::default() => word(),
        /// With `tls-passthrough`: the policy for what is not TLS.
        not_tls: NotTls = NotTls::default() => word(),
        /// With `https`: versions and cipher suites.
        tls: Policy = Policy::default() => Part,
        /// With `http` and `https`: clients may speak HTTP/2.
        http2: bool = true => flag(),
        /// With `https`: whether clients show a certificate, and whose.
        clients: ClientCertificates = ClientCertificates::default() => Part,
        /// The PROXY protocol header at the beginning of each connection.
        proxy_protocol: ProxyHeader = ProxyHeader::default() => word(),
        /// Connections of this listener; further ones wait in the kernel's backlog. 0: no limit.
        max_connections: usize = 0 => limit(*MAX_CONNECTIONS_RANGE.end()),
        /// A connection that is silent for so long is probed by the kernel; zero: never.
        keepalive: Duration = KEEPALIVE_DEFAULT => duration(parse_keepalive),
        /// Clients may use several paths at once (MPTCP).
        mptcp: bool = false => flag().at_start(),
        /// The choice of a shard for a new connection.
        steering: Steering = Steering::default() => word().at_start(),
        /// With `udp`: the rules for flows.
        flows: FlowRules = FlowRules::default() => Part,
    }
}

keys! {
    Policy {
        tls_min_version: min_version => word(),
        ciphers: suites => texts(Suite::parse),
    }
}

impl Listener {
    /// Whether routes for all listeners count on this one, if they fit its protocol.
    pub fn takes_routes_for_all(&self) -> bool {
        self.redirect_to_https.is_none()
    }
}

/// The protocols of the listeners by the place of their names; none where it is not known.
pub(super) type Protocols = Vec<Option<Protocol>>;

/// Which listeners redirect to HTTPS, by the place of their names.
pub(super) type Redirecting = Vec<bool>;

/// `false`, `true` or a port.
fn redirect() -> Kind<Option<u16>> {
    Kind::new(
        |entry| match entry.value() {
            DeValue::Boolean(is_on) => Some(is_on.then_some(HTTPS_PORT)),
            DeValue::Integer(_) => entry.count(&(1..=u16::MAX)).map(Some),
            _ => {
                let wrong = "`redirect_to_https` must be true, false or a port, without quotes";
                entry.checked(Err(wrong.to_owned()))
            }
        },
        |port| match *port {
            Some(port) if port != HTTPS_PORT => number(port),
            port => Value::Boolean(port.is_some()),
        },
    )
}

/// Reads every listener that has a name and a valid address. `has_proxies`: there are trusted ones.
pub(super) fn listeners<'d>(
    sections: Vec<Section<'d>>,
    names: &mut Names<'d>,
    has_proxies: bool,
) -> (Vec<Listener>, Protocols, Redirecting) {
    let (mut seen_names, mut seen_addresses) = (Seen::new(), Seen::new());
    let (mut listeners, mut protocols) = (Vec::new(), Protocols::new());
    let mut redirecting = Redirecting::new();
    for mut section in sections {
        let report = section.report();
        let name = section.required_text("name");
        let address = section.required_text("address");
        let mut listener = Listener::default();
        listener.read_keys(&mut section);
        let protocol = written_protocol(&section);
        let address = address.and_then(|text| {
            let parsed = parse_listen_address(text.value);
            let address = report.checked(text.span.clone(), parsed)?;
            if address.port() != 0 {
                let endpoint = Listener { address, ..listener.clone() }.endpoint();
                seen_addresses.note(report, endpoint, text.span, &format!("address {address}"));
            }
            Some(address)
        });
        listener.clients.load(&section);
        check_fitting(&section, &listener, protocol);
        check_suites(&section, &listener.tls);
        let takes_header =
            listener.proxy_protocol == ProxyHeader::Require && protocol != Some(Protocol::Udp);
        if takes_header && !has_proxies {
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
            redirecting.push(listener.redirect_to_https.is_some());
            let name = name.to_owned();
            listeners.extend(address.map(|address| Listener { name, address, ..listener }));
        }
        section.finish();
    }
    (listeners, protocols, redirecting)
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
    let Some(protocol) = protocol else { return };
    let default = Listener::default();
    let (flows, no_flows) = (listener.flows, default.flows);
    let clients = &listener.clients;
    let (policy, no_policy) = (&listener.tls, &default.tls);
    let sni: &[Protocol] = &[Protocol::Https, Protocol::TlsPassthrough];
    let (https, passthrough) = (&sni[..1], &sni[1..]);
    let http: &[Protocol] = &[Protocol::Http];
    let udp: &[Protocol] = &[Protocol::Udp];
    let web: &[Protocol] = &[Protocol::Http, Protocol::Https];
    let set = [
        (web, "http2", !listener.http2),
        (http, "redirect_to_https", listener.redirect_to_https.is_some()),
        (https, "hsts", listener.hsts.is_some()),
        (sni, "no_sni", listener.no_sni != default.no_sni),
        (https, "unknown_sni", listener.unknown_sni != default.unknown_sni),
        (https, "tls_min_version", policy.min_version != no_policy.min_version),
        (https, "ciphers", policy.suites != no_policy.suites),
        (https, "client_certificate", clients.mode != ClientCertificate::None),
        (passthrough, "not_tls", listener.not_tls != default.not_tls),
        (udp, "flow_idle", flows.idle != no_flows.idle),
        (udp, "max_flows", flows.max_flows != no_flows.max_flows),
        (udp, "max_flows_per_client", flows.max_flows_per_client > 0),
        (udp, "requests", flows.requests > 0),
        (udp, "responses", flows.responses.is_some()),
    ];
    let unused =
        set.into_iter().filter(|(needed, _, is_set)| *is_set && !needed.contains(&protocol));
    for (needed, key, _) in unused {
        let needed: Vec<String> = needed.iter().map(|one| format!("`{one}`")).collect();
        let needed = needed.join(" or ");
        let message = format!("`{key}` needs protocol {needed}, and it is `{protocol}` here");
        let help = format!("set `protocol`, or remove `{key}`");
        section.report().add_with_help(section.key_span(key), message, help);
    }
    if protocol == Protocol::Udp {
        check_for_udp(section, listener);
    }
}

/// Reports a version that no peer could use.
pub(super) fn check_suites(section: &Section<'_>, policy: &Policy) {
    // A wrong one was reported, and may be the one that is missing.
    let are_whole = section.peek_length("ciphers").is_none_or(|count| count == policy.suites.len());
    if let Some(version) = policy.version_without_suite().filter(|_| are_whole) {
        let version = version.word();
        let message = format!("no cipher suite for TLS {version}");
        let help = match version {
            "1.2" => {
                "add one, as \"ECDHE-ECDSA-AES128-GCM-SHA256\", or set `tls_min_version = \"1.3\"`"
            }
            _ => "add one, as \"TLS_AES_128_GCM_SHA256\"",
        };
        section.report().add_with_help(section.value_span("ciphers"), message, help);
    }
}

/// Reports keys that listeners of UDP cannot have.
fn check_for_udp(section: &Section<'_>, listener: &Listener) {
    let report = section.report();
    if listener.proxy_protocol == ProxyHeader::Require {
        let message = "`proxy_protocol = \"require\"` is for connections, and this is a listener \
                       of `udp`";
        let help = "remove it: a client of UDP is known by the address that its datagrams are from";
        report.add_with_help(section.value_span("proxy_protocol"), message, help);
    }
    if listener.max_connections > 0 {
        let message = "`max_connections` is for connections, and this is a listener of `udp`";
        let help = "write `max_flows`";
        report.add_with_help(section.key_span("max_connections"), message, help);
    }
    let of_tcp =
        [("keepalive", listener.keepalive != KEEPALIVE_DEFAULT), ("mptcp", listener.mptcp)];
    for (key, _) in of_tcp.into_iter().filter(|(_, is_set)| *is_set) {
        let message = format!("`{key}` is for connections, and this is a listener of `udp`");
        report.add_with_help(section.key_span(key), message, format!("remove `{key}`"));
    }
    if listener.steering == Steering::Cpu {
        let message = "`steering = \"cpu\"` is for connections: the datagrams of one flow may be \
                       taken by several cores";
        let help = "remove it: with \"hash\" a flow always meets the same shard";
        report.add_with_help(section.value_span("steering"), message, help);
    }
}

/// A protocol. The error is a sentence for the user.
pub fn parse_protocol(word: &str) -> Result<Protocol, String> {
    Protocol::of_word(word).ok_or_else(|| unknown_choice::<Protocol>("protocol", word))
}
