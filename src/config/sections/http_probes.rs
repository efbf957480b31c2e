//! The request of a probe over HTTP, and TLS of any probe.

use crate::config::PROBE_ANSWER_BYTES_MAX;
use crate::config::addresses::parse_host_name;
use crate::config::keys::kinds::{flag, optional, path, shown, text};
use crate::config::keys::{Keys, Kind, section};
use crate::config::raw::{Entry, Section};
use crate::config::units::parse_count;
use crate::config::values::{is_token, parse_path};
use crate::tls::Authorities;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use toml::Value;

/// Fields that frame the request, or that have a key of their own.
const OWN_FIELDS: [&str; 5] =
    ["connection", "content-length", "host", "transfer-encoding", "upgrade"];

const STATUS_RANGE: RangeInclusive<u16> = 100..=599;

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

impl HttpProbe {
    pub(super) fn read(section: &mut Section<'_>, tls: Option<TlsProbe>) -> Self {
        let mut probe = Self { tls, ..Self::default() };
        probe.read_keys(section);
        if section.peek_length("status") == Some(0) {
            let message = "no status would pass: write it like [\"200-299\"]";
            section.report().add(section.key_span("status"), message);
        }
        probe
    }
}

impl TlsProbe {
    /// Reads the keys. A file of certificates is read to check it.
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let mut tls = TlsProbe::default();
        tls.read_keys(section);
        if let Some(path) = &tls.ca_file {
            section
                .report()
                .checked(section.key_span("ca_file"), check_certificates(section, path));
        }
        tls
    }
}

/// Checks that certificates can be used: they are read again when the probe is made.
fn check_certificates(section: &Section<'_>, path: &Path) -> Result<(), String> {
    let read = Authorities::read(&section.load(path)?);
    read.map(drop).map_err(|fault| fault.sentence(&path.display()))
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
        let is_right = entry.report.checked(name.span, checked).is_some();
        let text = entry.report.checked(value.span, parse_printable(value.value, "a value"));
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

/// The name in a certificate; empty: none.
pub(super) fn parse_sni(text: &str) -> Result<Option<String>, String> {
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

pub(super) fn parse_bounded(text: &str) -> Result<String, String> {
    if text.len() <= PROBE_ANSWER_BYTES_MAX {
        return Ok(text.to_owned());
    }
    let length = text.len();
    Err(format!("this has {length} bytes: only {PROBE_ANSWER_BYTES_MAX} are looked at"))
}

pub(super) fn parse_printable(text: &str, what: &str) -> Result<String, String> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text {
        return Ok(text.to_owned());
    }
    let shown = text.escape_debug();
    Err(format!("`{shown}` cannot be {what}: use printable ASCII, no space first or last"))
}
