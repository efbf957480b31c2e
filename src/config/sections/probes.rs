//! `[pool.NAME.health]` and `[pool.NAME.readiness]`: the protocol determines the keys. Those that
//! only some protocols have are read and printed by hand.

use super::http_probes::{HttpProbe, TlsProbe, parse_printable};
use super::pool_tls::PoolTls;
use super::probe_bytes::{self, ProbeBytes};
use crate::config::choices::{Choice, ProbeProtocol, ProxyProtocol};
use crate::config::keys::kinds::{count, duration, number, shown, text, word};
use crate::config::keys::{Keys, Kind, Part, keys, section};
use crate::config::printing::PrintedKey;
use crate::config::raw::Section;
use crate::config::units::listed;
use crate::config::values::{INTERVAL_RANGE, parse_interval, parse_timeout};
use crate::health::ProbeRules;
use crate::limits::DATAGRAM_BYTES_MAX;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ProbeProtocol::{Grpc, Grpcs, Http, Https, Tcp, Udp};

const HTTP: &[ProbeProtocol] = &[Http, Https];
const TLS: &[ProbeProtocol] = &[Https, Grpcs];
const GRPC: &[ProbeProtocol] = &[Grpc, Grpcs];
const BYTES: &[ProbeProtocol] = &[Tcp, Udp];

/// Bytes of the header of a probe in version 2 of the PROXY protocol (section 2.2 there).
const HEADER_BYTES: usize = 16;
const IN_A_ROW_RANGE: RangeInclusive<u32> = 1..=100;
const JITTER_PERCENT_MAX: u32 = 50;

section! {
    /// `[pool.NAME.health]` or `[pool.NAME.readiness]`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Probe {
        /// The kind of probe.
        kind: ProbeKind = ProbeKind::default() => Part,
        /// Probed instead of the backend's own port.
        port: Option<u16> = None => port(),
        /// The address that it comes from, as the connections of its pool; none: any.
        source: Option<IpAddr> = None,
        /// TLS of its pool, unless it asks another port; `https` and `grpcs` have keys of their
        /// own, the defaults of which are from here.
        pool_tls: Option<PoolTls> = None,
        /// Sent before everything else.
        proxy_protocol: ProxyProtocol = ProxyProtocol::default() => word(),
        /// Intervals and thresholds.
        rules: ProbeRules = ProbeRules::default() => Part,
    }
}

keys! {
    ProbeRules {
        interval: interval => duration(parse_interval),
        timeout: timeout => duration(parse_timeout),
        rise: rise => count(IN_A_ROW_RANGE),
        fall: fall => count(IN_A_ROW_RANGE),
        jitter_percent: jitter_percent => count(0..=JITTER_PERCENT_MAX),
        fast_interval: fast_interval => duration(parse_interval),
        down_interval: down_interval => duration(parse_interval),
    }
}

impl Probe {
    /// The default of a pool. A backend that gets nothing but datagrams may not listen for
    /// connections.
    pub(in crate::config) fn of_pool(has_only_datagrams: bool) -> Self {
        let kind = if has_only_datagrams { ProbeKind::None } else { ProbeKind::default() };
        Self { kind, ..Self::default() }
    }
}

impl Probe {
    /// TLS by keys of its own.
    pub(in crate::config) fn own_tls_mut(&mut self) -> Option<&mut TlsProbe> {
        match &mut self.kind {
            ProbeKind::Http(http) => http.tls.as_mut(),
            ProbeKind::Grpc { tls, .. } => tls.as_mut(),
            ProbeKind::None
            | ProbeKind::Connect
            | ProbeKind::Exchange { .. }
            | ProbeKind::Datagram { .. } => None,
        }
    }
}

/// Reads the section; the probe of one without keys is the default.
pub(super) fn probe(mut section: Section<'_>, default: Probe) -> Probe {
    let mut probe = default;
    probe.read_keys(&mut section);
    follow_pool(&section, &mut probe);
    check_datagram(&section, &probe);
    // The defaults of these two follow the interval.
    let rules = &mut probe.rules;
    if !section.has("fast_interval") {
        rules.fast_interval = rules.fast_interval.min(rules.interval);
    }
    if !section.has("down_interval") {
        rules.down_interval = slower(rules.interval);
    }
    section.finish();
    probe
}

/// Another port is another server, and may not speak TLS. On the same one, what is not written is
/// as of the pool.
fn follow_pool(section: &Section<'_>, probe: &mut Probe) {
    if probe.port.is_some() {
        probe.pool_tls = None;
    }
    let Some(pool) = probe.pool_tls.clone() else { return };
    if let Some(own) = probe.own_tls_mut() {
        if !section.has("sni") {
            own.sni = pool.sni;
        }
        if !section.has("verify") {
            own.verify = pool.verify;
        }
    }
}

/// Reports what a datagram cannot carry.
fn check_datagram(section: &Section<'_>, probe: &Probe) {
    let ProbeKind::Datagram { send, .. } = &probe.kind else { return };
    if probe.proxy_protocol == ProxyProtocol::V1 {
        let message =
            "`proxy_protocol = \"v1\"` is for connections, and this probe sends datagrams";
        let span = section.value_span("proxy_protocol");
        section.report().add_with_help(span, message, "write \"v2\", or remove it");
    }
    let header = if probe.proxy_protocol == ProxyProtocol::V2 { HEADER_BYTES } else { 0 };
    let length = send.len() + header;
    if length > DATAGRAM_BYTES_MAX {
        let key = if section.has("send_hex") { "send_hex" } else { "send" };
        let message = format!("this would be a datagram of {length} bytes");
        let help = format!("write less: it has at most {DATAGRAM_BYTES_MAX}, its header included");
        section.report().add_with_help(section.value_span(key), message, help);
    }
}

/// 1.5 times the interval: a backend that is down is probed less often, but with the other defaults
/// is up again `rise` intervals after it has recovered. In whole milliseconds, and within the
/// bounds of an interval.
fn slower(interval: Duration) -> Duration {
    let ms = interval.as_millis() * 3 / 2;
    let slower = Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX));
    slower.min(*INTERVAL_RANGE.end())
}

/// The port; 0: none.
fn port() -> Kind<Option<u16>> {
    Kind::new(
        |entry| entry.count(&(0..=u16::MAX)).map(|port| (port != 0).then_some(port)),
        |port| number(port.unwrap_or(0)),
    )
}

/// The question of a probe, and the condition of its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProbeKind {
    /// Nothing: the backend counts as up.
    None,
    /// It must accept a connection.
    #[default]
    Connect,
    /// It must accept a connection and, after `send`, answer with `expect` in it.
    Exchange {
        /// Sent first; may be empty.
        send: Vec<u8>,
        /// Must be among the first [`crate::config::PROBE_ANSWER_BYTES_MAX`] bytes; not empty.
        expect: Vec<u8>,
    },
    /// It must answer a datagram, or at least have a socket for it.
    Datagram {
        /// The content of the datagram; may be empty.
        send: Vec<u8>,
        /// Must be in a datagram from the backend; empty: none needs to come, but a report that
        /// the port is unreachable is a failure.
        expect: Vec<u8>,
    },
    /// It must answer a request.
    Http(HttpProbe),
    /// grpc.health.v1 must answer SERVING.
    Grpc {
        /// The name of the service; empty: the server as a whole.
        service: String,
        /// Over TLS, if so.
        tls: Option<TlsProbe>,
    },
}

impl ProbeKind {
    /// The word for it in the configuration.
    pub fn protocol(&self) -> ProbeProtocol {
        match self {
            Self::None => ProbeProtocol::None,
            Self::Connect | Self::Exchange { .. } => ProbeProtocol::Tcp,
            Self::Datagram { .. } => ProbeProtocol::Udp,
            Self::Http(HttpProbe { tls: None, .. }) => ProbeProtocol::Http,
            Self::Http(_) => ProbeProtocol::Https,
            Self::Grpc { tls: None, .. } => ProbeProtocol::Grpc,
            Self::Grpc { .. } => ProbeProtocol::Grpcs,
        }
    }
}

impl ProbeKind {
    /// The protocol that follows from the keys of a section; by itself it would be this kind.
    fn implied(&self, section: &Section<'_>) -> ProbeProtocol {
        if HttpProbe::names().any(|key| section.has(key)) {
            return Http;
        }
        match self {
            Self::None if probe_bytes::KEYS.iter().any(|key| section.has(key)) => Udp,
            Self::None if !section.has("port") => ProbeProtocol::None,
            _ => Tcp,
        }
    }
}

impl Keys for ProbeKind {
    fn read_keys(&mut self, section: &mut Section<'_>) {
        let protocol = word().read_or(section, "protocol", self.implied(section));
        fitting().for_each(|(key, _)| section.allow(key));
        // Without a protocol it is unknown which keys fit: none is reported.
        if let Some(protocol) = protocol {
            check_fitting(section, protocol);
            *self = kind(section, protocol);
        }
    }

    fn print_keys(&self) -> Vec<PrintedKey> {
        let mut printed = vec![PrintedKey::new("protocol", shown(self.protocol()))];
        let tls = match self {
            Self::None | Self::Connect => &None,
            Self::Exchange { send, expect } | Self::Datagram { send, expect } => {
                let [as_text, as_hex, answer_as_text, answer_as_hex] = probe_bytes::KEYS;
                printed.push(probe_bytes::print(as_text, as_hex, send));
                printed.push(probe_bytes::print(answer_as_text, answer_as_hex, expect));
                &None
            }
            Self::Http(http) => {
                printed.extend(http.print_keys());
                &http.tls
            }
            Self::Grpc { service, tls } => {
                printed.push(PrintedKey::new("service", shown(service)));
                tls
            }
        };
        printed.extend(tls.iter().flat_map(Keys::print_keys));
        printed
    }
}

/// The keys of some protocols only, with these.
fn fitting() -> impl Iterator<Item = (&'static str, &'static [ProbeProtocol])> {
    let http = HttpProbe::names().map(|key| (key, HTTP));
    let tls = TlsProbe::names().map(|key| (key, TLS));
    let bytes = probe_bytes::KEYS.map(|key| (key, BYTES));
    http.chain(tls).chain([("service", GRPC)]).chain(bytes)
}

fn check_fitting(section: &Section<'_>, protocol: ProbeProtocol) {
    for (key, protocols) in fitting() {
        if section.has(key) && !protocols.contains(&protocol) {
            let words: Vec<&str> = protocols.iter().map(|protocol| protocol.word()).collect();
            let words = listed(&words);
            let message = format!("`{key}` needs protocol {words}, and it is `{protocol}` here");
            let help = format!("set `protocol`, or remove `{key}`");
            section.report().add_with_help(section.key_span(key), message, help);
        }
    }
}

fn kind(section: &mut Section<'_>, protocol: ProbeProtocol) -> ProbeKind {
    let tls = TLS.contains(&protocol).then(|| TlsProbe::read(section));
    match protocol {
        ProbeProtocol::None => ProbeKind::None,
        Tcp => exchange(section),
        Udp => {
            let ProbeBytes { send, expect } = ProbeBytes::read(section).unwrap_or_default();
            ProbeKind::Datagram { send, expect }
        }
        Http | Https => ProbeKind::Http(HttpProbe::read(section, tls)),
        Grpc | Grpcs => {
            let service = text(parse_service).read(section, "service").unwrap_or_default();
            ProbeKind::Grpc { service, tls }
        }
    }
}

fn exchange(section: &mut Section<'_>) -> ProbeKind {
    match ProbeBytes::read(section) {
        Some(ProbeBytes { send, expect }) if !expect.is_empty() => {
            return ProbeKind::Exchange { send, expect };
        }
        Some(ProbeBytes { send, .. }) if !send.is_empty() => {
            let key = if section.has("send_hex") { "send_hex" } else { "send" };
            let message = format!("`{key}` without `expect`: nothing says what must come back");
            let help = format!("add `expect`, or remove `{key}`");
            section.report().add_with_help(section.key_span(key), message, help);
        }
        _ => {}
    }
    ProbeKind::Connect
}

fn parse_service(text: &str) -> Result<String, String> {
    parse_printable(text, "a service")
}
