//! `[pool.NAME.health]` and `[pool.NAME.readiness]`: the protocol determines the keys.

use super::Loader;
use crate::config::PROBE_ANSWER_BYTES_MAX;
use crate::config::addresses::parse_host_name;
use crate::config::choices::{Choice, ProbeProtocol, unknown_choice};
use crate::config::probing::{HttpProbe, Probe, ProbeKind, TlsProbe};
use crate::config::raw::{At, Section};
use crate::config::trust::parse_certificates;
use crate::config::units::{listed, parse_count};
use crate::config::values::{INTERVAL_RANGE, is_token, parse_interval, parse_timeout};
use crate::health::ProbeRules;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use ProbeProtocol::{Grpc, Grpcs, Http, Https, Tcp};

const HTTP: &[ProbeProtocol] = &[Http, Https];
const TLS: &[ProbeProtocol] = &[Https, Grpcs];
const GRPC: &[ProbeProtocol] = &[Grpc, Grpcs];
const TCP: &[ProbeProtocol] = &[Tcp];

/// The keys of some protocols only.
const FITTING: [(&str, &[ProbeProtocol]); 12] = [
    ("path", HTTP),
    ("method", HTTP),
    ("host", HTTP),
    ("headers", HTTP),
    ("status", HTTP),
    ("body", HTTP),
    ("sni", TLS),
    ("verify", TLS),
    ("ca_file", TLS),
    ("service", GRPC),
    ("send", TCP),
    ("expect", TCP),
];

/// Fields that frame the request, or that have a key of their own.
const OWN_FIELDS: [&str; 5] =
    ["connection", "content-length", "host", "transfer-encoding", "upgrade"];

const STATUS_RANGE: RangeInclusive<u16> = 100..=599;
const IN_A_ROW_RANGE: RangeInclusive<u32> = 1..=100;
const JITTER_PERCENT_MAX: u32 = 50;

/// Reads the section. A file of certificates is read to check it.
pub(super) fn probe(mut section: Section<'_>, load: Loader<'_>) -> Probe {
    let mut probe = Probe::default();
    if let Some(protocol) = protocol(&mut section) {
        check_fitting(&mut section, protocol);
        probe.kind = kind(&mut section, protocol, load);
    } else {
        // The allowed keys are unknown without a protocol: none is reported.
        for (key, _) in FITTING {
            section.key_span(key);
        }
    }
    let mut port = 0;
    section.count_into("port", &mut port, 0..=u16::MAX);
    probe.port = (port != 0).then_some(port);
    section.choice_into("proxy_protocol", &mut probe.proxy_protocol);
    probe.rules = rules(&mut section);
    section.finish();
    probe
}

/// The protocol, or the one that the other keys imply.
fn protocol(section: &mut Section<'_>) -> Option<ProbeProtocol> {
    if section.has("protocol") {
        let mut protocol = None;
        section.parse_into("protocol", &mut protocol, |word| {
            let known = ProbeProtocol::of_word(word).map(Some);
            known.ok_or_else(|| unknown_choice::<ProbeProtocol>("protocol", word))
        });
        return protocol;
    }
    section.key_span("protocol");
    let of_http =
        |(key, protocols): &(&str, &[ProbeProtocol])| *protocols == HTTP && section.has(key);
    Some(if FITTING.iter().any(of_http) { Http } else { Tcp })
}

fn check_fitting(section: &mut Section<'_>, protocol: ProbeProtocol) {
    for (key, protocols) in FITTING {
        if let Some(span) = section.key_span(key)
            && !protocols.contains(&protocol)
        {
            let words: Vec<&str> = protocols.iter().map(|protocol| protocol.word()).collect();
            let words = listed(&words);
            let message = format!("`{key}` needs protocol {words}, and it is `{protocol}` here");
            let help = format!("set `protocol`, or remove `{key}`");
            section.report().add_with_help(span, message, help);
        }
    }
}

fn kind(section: &mut Section<'_>, protocol: ProbeProtocol, load: Loader<'_>) -> ProbeKind {
    let tls = TLS.contains(&protocol).then(|| tls(section, load));
    match protocol {
        ProbeProtocol::None => ProbeKind::None,
        Tcp => exchange(section),
        Http | Https => ProbeKind::Http(http(section, tls)),
        Grpc | Grpcs => {
            let mut service = String::new();
            section.parse_into("service", &mut service, |text| parse_printable(text, "a service"));
            ProbeKind::Grpc { service, tls }
        }
    }
}

fn exchange(section: &mut Section<'_>) -> ProbeKind {
    let mut send = String::new();
    section.parse_into("send", &mut send, parse_bounded);
    let mut expect = None;
    section.parse_into("expect", &mut expect, |text| parse_bounded(text).map(Some));
    let is_wrong = section.has("expect") && expect.is_none();
    let expect = expect.unwrap_or_default();
    if !expect.is_empty() {
        return ProbeKind::Exchange { send: send.into_bytes(), expect: expect.into_bytes() };
    }
    if !send.is_empty() && !is_wrong {
        let span = section.key_span("send").unwrap_or(section.span.clone());
        let message = "`send` without `expect`: nothing says what must come back";
        section.report().add_with_help(span, message, "add `expect`, or remove `send`");
    }
    ProbeKind::Connect
}

fn http(section: &mut Section<'_>, tls: Option<TlsProbe>) -> HttpProbe {
    let mut probe = HttpProbe { tls, ..HttpProbe::default() };
    section.parse_into("path", &mut probe.path, parse_path_and_query);
    section.parse_into("method", &mut probe.method, parse_method);
    section.parse_into("host", &mut probe.host, parse_host);
    probe.headers = headers(section);
    if let Some(texts) = section.texts_or_numbers("status") {
        let parsed =
            |text: &At<&str>| section.report_error(text.span.clone(), parse_statuses(text.value));
        probe.status = texts.iter().filter_map(parsed).collect();
        if section.peek_length("status") == Some(0) {
            let span = section.key_span("status").unwrap_or(section.span.clone());
            section.report().add(span, "no status would pass: write it like [\"200-299\"]");
        }
    }
    section.parse_into("body", &mut probe.body, |text| {
        parse_bounded(text).map(|body| (!body.is_empty()).then_some(body))
    });
    probe
}

fn headers(section: &mut Section<'_>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in section.named_texts("headers").unwrap_or_default() {
        let checked = check_field_name(name.value, &headers);
        let is_right = section.report_error(name.span, checked).is_some();
        let text = section.report_error(value.span, parse_printable(value.value, "a value"));
        if let (true, Some(text)) = (is_right, text) {
            headers.push((name.value.to_owned(), text));
        }
    }
    headers
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

fn tls(section: &mut Section<'_>, load: Loader<'_>) -> TlsProbe {
    let mut tls = TlsProbe::default();
    section.parse_into("sni", &mut tls.sni, |text| match text {
        "" => Ok(None),
        ip if ip.parse::<IpAddr>().is_ok() => Ok(Some(ip.to_owned())),
        name => parse_host_name(name).map(|name| Some(name.trim_end_matches('.').to_owned())),
    });
    section.truth_into("verify", &mut tls.verify);
    section.path_into("ca_file", &mut tls.ca_file);
    if let Some(path) = &tls.ca_file {
        let span = section.key_span("ca_file").unwrap_or(section.span.clone());
        section.report_error(span, check_certificates(path, load));
    }
    tls
}

/// Checks that certificates can be used: they are read again when the probe is made.
fn check_certificates(path: &Path, load: Loader<'_>) -> Result<(), String> {
    let name = path.display();
    let pem = load(path).map_err(|error| format!("cannot read `{name}`: {error}"))?;
    parse_certificates(&pem).map(drop).map_err(|wrong| format!("`ca_file` {name} {wrong}"))
}

fn rules(section: &mut Section<'_>) -> ProbeRules {
    let mut rules = ProbeRules::default();
    section.duration_into("interval", &mut rules.interval, parse_interval);
    // The defaults of the other two follow the interval.
    rules.fast_interval = rules.fast_interval.min(rules.interval);
    rules.down_interval = slower(rules.interval);
    section.duration_into("timeout", &mut rules.timeout, parse_timeout);
    section.count_into("rise", &mut rules.rise, IN_A_ROW_RANGE);
    section.count_into("fall", &mut rules.fall, IN_A_ROW_RANGE);
    section.count_into("jitter_percent", &mut rules.jitter_percent, 0..=JITTER_PERCENT_MAX);
    section.duration_into("fast_interval", &mut rules.fast_interval, parse_interval);
    section.duration_into("down_interval", &mut rules.down_interval, parse_interval);
    rules
}

/// 1.5 times the interval: a backend that is down is probed less often, but with the other defaults
/// is up again `rise` intervals after it has recovered. In whole milliseconds, and within the
/// bounds of an interval.
fn slower(interval: Duration) -> Duration {
    let ms = interval.as_millis() * 3 / 2;
    let slower = Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX));
    slower.min(*INTERVAL_RANGE.end())
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

fn parse_printable(text: &str, what: &str) -> Result<String, String> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text {
        return Ok(text.to_owned());
    }
    let shown = text.escape_debug();
    Err(format!("`{shown}` cannot be {what}: use printable ASCII, no space first or last"))
}
