//! `[pool.NAME.health]` and `[pool.NAME.readiness]`: the protocol determines the keys. `service`,
//! `send` and `expect`, of which only some protocols have one, are read and printed by hand.

use super::http_probes::{HttpProbe, TlsProbe, parse_bounded, parse_printable};
use crate::config::choices::{Choice, ProbeProtocol, ProxyProtocol};
use crate::config::keys::kinds::{count, duration, number, shown, text, word};
use crate::config::keys::{Keys, Kind, Part, keys, section};
use crate::config::printing::PrintedKey;
use crate::config::raw::Section;
use crate::config::units::listed;
use crate::config::values::{INTERVAL_RANGE, parse_interval, parse_timeout};
use crate::health::ProbeRules;
use std::ops::RangeInclusive;
use std::time::Duration;

use ProbeProtocol::{Grpc, Grpcs, Http, Https, Tcp};

const HTTP: &[ProbeProtocol] = &[Http, Https];
const TLS: &[ProbeProtocol] = &[Https, Grpcs];
const GRPC: &[ProbeProtocol] = &[Grpc, Grpcs];
const TCP: &[ProbeProtocol] = &[Tcp];

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

/// Reads the section.
pub(super) fn probe(mut section: Section<'_>) -> Probe {
    let mut probe = Probe::default();
    probe.read_keys(&mut section);
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
            Self::Http(HttpProbe { tls: None, .. }) => ProbeProtocol::Http,
            Self::Http(_) => ProbeProtocol::Https,
            Self::Grpc { tls: None, .. } => ProbeProtocol::Grpc,
            Self::Grpc { .. } => ProbeProtocol::Grpcs,
        }
    }
}

impl Keys for ProbeKind {
    fn read_keys(&mut self, section: &mut Section<'_>) {
        let is_http = HttpProbe::names().any(|key| section.has(key));
        let implied = if is_http { Http } else { Tcp };
        let protocol = word().read_or(section, "protocol", implied);
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
            Self::Exchange { send, expect } => {
                let text = |bytes| shown(String::from_utf8_lossy(bytes));
                printed.push(PrintedKey::new("send", text(send)));
                printed.push(PrintedKey::new("expect", text(expect)));
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
    http.chain(tls).chain([("service", GRPC), ("send", TCP), ("expect", TCP)])
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
        Http | Https => ProbeKind::Http(HttpProbe::read(section, tls)),
        Grpc | Grpcs => {
            let service = text(parse_service).read(section, "service").unwrap_or_default();
            ProbeKind::Grpc { service, tls }
        }
    }
}

fn exchange(section: &mut Section<'_>) -> ProbeKind {
    let bounded = text(parse_bounded);
    let send = bounded.read(section, "send").unwrap_or_default();
    match bounded.read_or(section, "expect", String::new()) {
        Some(expect) if !expect.is_empty() => {
            return ProbeKind::Exchange { send: send.into_bytes(), expect: expect.into_bytes() };
        }
        Some(_) if !send.is_empty() => {
            let message = "`send` without `expect`: nothing says what must come back";
            let help = "add `expect`, or remove `send`";
            section.report().add_with_help(section.key_span("send"), message, help);
        }
        _ => {}
    }
    ProbeKind::Connect
}

fn parse_service(text: &str) -> Result<String, String> {
    parse_printable(text, "a service")
}
