//! `[pool.NAME.health]` and `[pool.NAME.readiness]`: the protocol determines the keys. Those of
//! every protocol, of HTTP and of TLS have tables; `service`, `send` and `expect` are read and
//! printed by hand.

use crate::config::PROBE_ANSWER_BYTES_MAX;
use crate::config::addresses::parse_host_name;
use crate::config::choices::{Choice, ProbeProtocol, ProxyProtocol};
use crate::config::keys::kinds::{
    count, duration, flag, number, optional, path, shown, text, word,
};
use crate::config::keys::{Keys, Kind, keys, section};
use crate::config::printing::PrintedKey;
use crate::config::raw::{Entry, Section};
use crate::config::trust::parse_certificates;
use crate::config::units::{listed, parse_count};
use crate::config::values::{INTERVAL_RANGE, is_token, parse_interval, parse_path, parse_timeout};
use crate::health::ProbeRules;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Value;

use ProbeProtocol::{Grpc, Grpcs, Http, Https, Tcp};

const HTTP: &[ProbeProtocol] = &[Http, Https];
const TLS: &[ProbeProtocol] = &[Https, Grpcs];
const GRPC: &[ProbeProtocol] = &[Grpc, Grpcs];
const TCP: &[ProbeProtocol] = &[Tcp];

/// Fields that frame the request, or that have a key of their own.
const OWN_FIELDS: [&str; 5] =
    ["connection", "content-length", "host", "transfer-encoding", "upgrade"];

const STATUS_RANGE: RangeInclusive<u16> = 100..=599;
const IN_A_ROW_RANGE: RangeInclusive<u32> = 1..=100;
const JITTER_PERCENT_MAX: u32 = 50;

/// `[pool.NAME.health]` or `[pool.NAME.readiness]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// The kind of probe.
    pub kind: ProbeKind,
    /// Intervals and thresholds.
    pub rules: ProbeRules,
    /// Probed instead of the backend's own port.
    pub port: Option<u16>,
    /// Sent before everything else.
    pub proxy_protocol: ProxyProtocol,
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
        /// Must be among the first [`PROBE_ANSWER_BYTES_MAX`] bytes; not empty.
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

section! {
    /// A request and the conditions of its answer. Redirects are not followed.
    #[derive(Clone, Debug, PartialEq, Eq)]
    HttpProbe {
        /// Begins with `/`.
        path: String = "/".to_owned() => text(parse_path_and_query),
        /// A token.
        method: String = "GET".to_owned() => text(parse_method),
        /// The Host field; none: the backend's address.
        host: Option<String> = None => optional(parse_host),
        /// Further fields, checked: names are tokens, values have no control bytes.
        headers: Vec<(String, String)> = Vec::new() => headers(),
        /// Statuses that pass; not empty.
        status: Vec<RangeInclusive<u16>> = vec![200..=299] => statuses(),
        /// Must be within the first [`PROBE_ANSWER_BYTES_MAX`] bytes of the content.
        body: Option<String> = None => optional(parse_body),
        /// Over TLS, if so.
        tls: Option<TlsProbe> = None,
    }
}

section! {
    /// TLS of a probe.
    #[derive(Clone, Debug, PartialEq, Eq)]
    TlsProbe {
        /// The server name that is sent and verified; none: that of the Host field, or the
        /// address.
        sni: Option<String> = None => optional(parse_sni),
        /// The certificate must be valid for the name.
        verify: bool = true => flag(),
        /// Certificates (PEM) that are trusted instead of the system's; absolute, or relative to
        /// the working directory once loaded.
        ca_file: Option<PathBuf> = None => path(parse_path),
    }
}

keys! {
    Probe {
        port: port => port(),
        proxy_protocol: proxy_protocol => word(),
        interval: rules.interval => duration(parse_interval),
        timeout: rules.timeout => duration(parse_timeout),
        rise: rules.rise => count(IN_A_ROW_RANGE),
        fall: rules.fall => count(IN_A_ROW_RANGE),
        jitter_percent: rules.jitter_percent => count(0..=JITTER_PERCENT_MAX),
        fast_interval: rules.fast_interval => duration(parse_interval),
        down_interval: rules.down_interval => duration(parse_interval),
    }
}

/// The keys of some protocols only, with these.
fn fitting() -> impl Iterator<Item = (&'static str, &'static [ProbeProtocol])> {
    let http = HttpProbe::NAMES.iter().map(|key| (*key, HTTP));
    let tls = TlsProbe::NAMES.iter().map(|key| (*key, TLS));
    http.chain(tls).chain([("service", GRPC), ("send", TCP), ("expect", TCP)])
}

impl Probe {
    /// The keys that go with its protocol, no others.
    pub(super) fn print(&self) -> Vec<PrintedKey> {
        let protocol = PrintedKey::new("protocol", shown(self.kind.protocol()));
        [vec![protocol], self.kind.print(), self.print_keys()].concat()
    }
}

impl ProbeKind {
    fn print(&self) -> Vec<PrintedKey> {
        let of_tls = |tls: &Option<TlsProbe>| tls.as_ref().map(Keys::print_keys);
        match self {
            Self::None | Self::Connect => Vec::new(),
            Self::Exchange { send, expect } => {
                let text = |bytes| shown(String::from_utf8_lossy(bytes));
                vec![PrintedKey::new("send", text(send)), PrintedKey::new("expect", text(expect))]
            }
            Self::Http(http) => [http.print_keys(), of_tls(&http.tls).unwrap_or_default()].concat(),
            Self::Grpc { service, tls } => {
                let service = PrintedKey::new("service", shown(service));
                [vec![service], of_tls(tls).unwrap_or_default()].concat()
            }
        }
    }
}

/// Reads the section. A file of certificates is read to check it.
pub(super) fn probe(mut section: Section<'_>) -> Probe {
    let mut probe = Probe::default();
    if let Some(protocol) = protocol(&mut section) {
        check_fitting(&mut section, protocol);
        probe.kind = kind(&mut section, protocol);
    } else {
        // The allowed keys are unknown without a protocol: none is reported.
        fitting().for_each(|(key, _)| section.allow(key));
    }
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

/// The protocol, or the one that the other keys imply.
fn protocol(section: &mut Section<'_>) -> Option<ProbeProtocol> {
    let is_http = HttpProbe::NAMES.iter().any(|key| section.has(key));
    word().read_or(section, "protocol", if is_http { Http } else { Tcp })
}

fn check_fitting(section: &mut Section<'_>, protocol: ProbeProtocol) {
    for (key, protocols) in fitting() {
        section.allow(key);
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
    let tls = TLS.contains(&protocol).then(|| tls(section));
    match protocol {
        ProbeProtocol::None => ProbeKind::None,
        Tcp => exchange(section),
        Http | Https => {
            let mut http = HttpProbe { tls, ..HttpProbe::default() };
            http.read_keys(section);
            if section.peek_length("status") == Some(0) {
                let message = "no status would pass: write it like [\"200-299\"]";
                section.report().add(section.key_span("status"), message);
            }
            ProbeKind::Http(http)
        }
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

fn tls(section: &mut Section<'_>) -> TlsProbe {
    let mut tls = TlsProbe::default();
    tls.read_keys(section);
    if let Some(path) = &tls.ca_file {
        section.report_error(section.key_span("ca_file"), check_certificates(section, path));
    }
    tls
}

/// Checks that certificates can be used: they are read again when the probe is made.
fn check_certificates(section: &Section<'_>, path: &Path) -> Result<(), String> {
    let name = path.display();
    let pem = section.load(path)?;
    parse_certificates(&pem).map(drop).map_err(|wrong| format!("`ca_file` {name} {wrong}"))
}

/// The port; 0: none.
fn port() -> Kind<Option<u16>> {
    Kind::new(
        |entry| entry.count(&(0..=u16::MAX)).map(|port| (port != 0).then_some(port)),
        |port| number(port.unwrap_or(0)),
    )
}

/// Fields of a request, as `{ name = "value" }`.
fn headers() -> Kind<Vec<(String, String)>> {
    Kind::new(read_headers, |headers| {
        Value::Table(headers.iter().map(|(name, value)| (name.clone(), shown(value))).collect())
    })
}

fn read_headers(entry: &Entry<'_>) -> Option<Vec<(String, String)>> {
    let mut headers = Vec::new();
    for (name, value) in entry.named_texts()? {
        let checked = check_field_name(name.value, &headers);
        let is_right = entry.report_at(name.span, checked).is_some();
        let text = entry.report_at(value.span, parse_printable(value.value, "a value"));
        if let (true, Some(text)) = (is_right, text) {
            headers.push((name.value.to_owned(), text));
        }
    }
    Some(headers)
}

fn check_field_name(name: &str, earlier: &[(String, String)]) -> Result<(), String> {
    let shown = name.escape_debug();
    if !is_token(name) {
        return Err(format!("`{shown}` is not a header: use letters, digits and `-`"));
    }
    if name.eq_ignore_ascii_case("host") {
        return Err("the key `host` is for this: remove it from `headers`".to_owned());
    }
    if OWN_FIELDS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(format!("Ringway sets `{shown}` itself: remove it"));
    }
    if earlier.iter().any(|(other, _)| name.eq_ignore_ascii_case(other)) {
        return Err(format!("duplicate header `{shown}`: remove one"));
    }
    Ok(())
}

/// Statuses, as `["200-299", 401]`.
fn statuses() -> Kind<Vec<RangeInclusive<u16>>> {
    Kind::new(
        |entry| {
            let texts = entry.elements("[\"…\"]")?;
            let parsed = |text: Entry<'_>| text.checked(parse_statuses(text.text_or_number()?));
            Some(texts.filter_map(parsed).collect())
        },
        |statuses| Value::Array(statuses.iter().map(print_statuses).collect()),
    )
}

fn print_statuses(range: &RangeInclusive<u16>) -> Value {
    match (range.start(), range.end()) {
        (first, last) if first == last => shown(first),
        (first, last) => shown(format!("{first}-{last}")),
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

/// The name in a certificate; empty: none.
fn parse_sni(text: &str) -> Result<Option<String>, String> {
    match text {
        "" => Ok(None),
        ip if ip.parse::<IpAddr>().is_ok() => Ok(Some(ip.to_owned())),
        name => parse_host_name(name).map(|name| Some(name.trim_end_matches('.').to_owned())),
    }
}

/// A part of an answer; empty: none.
fn parse_body(text: &str) -> Result<Option<String>, String> {
    parse_bounded(text).map(|body| (!body.is_empty()).then_some(body))
}

/// A path with or without a query (RFC 3986, 3.3 and 3.4).
fn parse_path_and_query(text: &str) -> Result<String, String> {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@/?".contains(&byte);
    if text.starts_with('/') && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    let shown = text.escape_debug();
    if text.starts_with('/') {
        return Err(format!("`{shown}` has characters that a path writes as %XX: write them so"));
    }
    Err(format!("`{shown}` is not a path: did you mean \"/{shown}\"?"))
}

fn parse_method(text: &str) -> Result<String, String> {
    if is_token(text) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is not a method: write it like \"GET\"", text.escape_debug()))
}

fn parse_host(text: &str) -> Result<Option<String>, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if text.bytes().all(allowed) {
        return Ok((!text.is_empty()).then(|| text.to_owned()));
    }
    Err(format!("`{}` is not a host: write it like \"app.example.com\"", text.escape_debug()))
}

/// `200` or `200-299`.
fn parse_statuses(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text| parse_count(text, STATUS_RANGE).map_err(|error| format!("status {error}"));
    let (first, last) = (status(first)?, status(last)?);
    if first > last {
        return Err(format!("`{text}` has no status in it: did you mean \"{last}-{first}\"?"));
    }
    Ok(first..=last)
}

fn parse_bounded(text: &str) -> Result<String, String> {
    if text.len() <= PROBE_ANSWER_BYTES_MAX {
        return Ok(text.to_owned());
    }
    let length = text.len();
    Err(format!("this has {length} bytes: only {PROBE_ANSWER_BYTES_MAX} are looked at"))
}

fn parse_service(text: &str) -> Result<String, String> {
    parse_printable(text, "a service")
}

fn parse_printable(text: &str, what: &str) -> Result<String, String> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text {
        return Ok(text.to_owned());
    }
    let shown = text.escape_debug();
    Err(format!("`{shown}` cannot be {what}: use printable ASCII, no space first or last"))
}
