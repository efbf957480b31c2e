//! The watched file that lists the backends of a pool, in TOML or JSON, as service discovery writes
//! it. Does not: read or watch the file.

use super::TextFormat;
use super::addresses::{parse_address, split_weight};
use super::diagnostics::{Diagnostics, Report};
use super::keys::kinds::count;
use super::raw::{Document, Section, read_toml};
use super::sections::{Backend, Seen};
use super::text::unmarked;
use crate::limits::{BACKENDS_MAX, WEIGHT_MAX};
use serde::Deserialize;
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::ops::Range;

/// A backend as written, with the place of its address.
struct Written<'t> {
    address: Cow<'t, str>,
    weight: u32,
    span: Range<usize>,
}

/// The backends in a file, none of them twice. TOML: `[[backend]]` with `address` and `weight`.
/// JSON: `{ "backends": [ … ] }` or the array alone, of the same keys or of `"IP:PORT*WEIGHT"`.
/// An empty text is an error: a file that is just being written is empty.
pub fn parse_backends_file(text: &str, file_name: &str) -> Result<Vec<Backend>, Diagnostics> {
    let text = unmarked(text);
    let report = Report::new(text, format_of(text));
    let written = match first_characters(text) {
        (None, _) => {
            let help = "for no backend at all write {\"backends\": []}";
            report.add_with_help(0..0, "the file is empty", help);
            Vec::new()
        }
        _ if report.format() == TextFormat::Toml => read_tables(&report, text),
        (Some('{'), _) => read_json(&report, text, json_object),
        _ => read_json(&report, text, json_array),
    };
    let backends = checked(&report, written);
    report.finish(file_name)?;
    Ok(backends)
}

/// The format, by the first character.
fn format_of(text: &str) -> TextFormat {
    match first_characters(text) {
        (Some('{'), _) => TextFormat::Json,
        (Some('['), second) if second.is_none_or(|c| c != '[' && !c.is_alphabetic()) => {
            TextFormat::Json
        }
        _ => TextFormat::Toml,
    }
}

fn first_characters(text: &str) -> (Option<char>, Option<char>) {
    let mut characters = text.chars().filter(|c| !c.is_whitespace());
    (characters.next(), characters.next())
}

fn checked(report: &Report<'_>, written: Vec<Written<'_>>) -> Vec<Backend> {
    if let Some(beyond) = written.get(BACKENDS_MAX) {
        let message = format!("too many backends: at most {BACKENDS_MAX}");
        report.add(beyond.span.clone(), message);
        return Vec::new();
    }
    let mut seen = Seen::new();
    let mut backends = Vec::new();
    for Written { address, weight, span } in written {
        match parse_address(&address) {
            Ok(address) => {
                seen.note(report, address, span, &format!("backend {address}"));
                backends.push(Backend { address, weight });
            }
            Err(message) => report.add(span, message),
        }
    }
    backends
}

fn read_tables<'t>(report: &Report<'_>, text: &'t str) -> Vec<Written<'t>> {
    let Some(table) = read_toml(report, text) else { return Vec::new() };
    let document = Document::new(report, &|_| Err(io::ErrorKind::Unsupported.into()));
    let mut root = Section::root(&document, &table);
    if table.get_ref().is_empty() {
        let help = "add [[backend]] with address = \"10.0.0.11:8080\"; for none: backend = []";
        report.add_with_help(0..0, "there is no backend", help);
    }
    let mut written = Vec::new();
    for mut section in root.sections("backend") {
        if let Some(address) = section.required_text("address") {
            let weight = count(0..=WEIGHT_MAX).read(&mut section, "weight").unwrap_or(1);
            let span = address.span;
            written.push(Written { address: address.value.to_owned().into(), weight, span });
        }
        section.finish();
    }
    root.finish();
    written
}

/// Reads with `parse`, which gives up at the first problem.
fn read_json<'t>(
    report: &Report<'_>,
    text: &'t str,
    parse: fn(&'t str) -> serde_json::Result<Vec<JsonBackend<'t>>>,
) -> Vec<Written<'t>> {
    let found = |found: JsonBackend<'t>| {
        let span = span_within(text, &found.address);
        Written { address: found.address, weight: found.weight, span }
    };
    match parse(text) {
        Ok(backends) => backends.into_iter().map(found).collect(),
        Err(error) => {
            report.add_json_error("not a list of backends", &error);
            Vec::new()
        }
    }
}

/// The place of `part`, with its quotes. One with escapes was copied: the beginning is used.
fn span_within(text: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize);
    match start.filter(|start| start + part.len() < text.len()) {
        Some(start) => start.saturating_sub(1)..start + part.len() + 1,
        None => 0..0,
    }
}

fn json_array(text: &str) -> serde_json::Result<Vec<JsonBackend<'_>>> {
    serde_json::from_str(text)
}

fn json_object(text: &str) -> serde_json::Result<Vec<JsonBackend<'_>>> {
    serde_json::from_str::<JsonFile<'_>>(text).map(|file| file.backends)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonFile<'t> {
    #[serde(borrow)]
    backends: Vec<JsonBackend<'t>>,
}

/// An element of the array.
struct JsonBackend<'t> {
    address: Cow<'t, str>,
    weight: u32,
}

/// An element that is an object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonFields<'t> {
    #[serde(borrow)]
    address: Cow<'t, str>,
    #[serde(default = "weight_default", deserialize_with = "weight")]
    weight: u32,
}

fn weight_default() -> u32 {
    1
}

fn weight<'t, D: serde::Deserializer<'t>>(deserializer: D) -> Result<u32, D::Error> {
    let weight = u32::deserialize(deserializer)?;
    if weight > WEIGHT_MAX {
        return Err(D::Error::custom(format!("weight {weight}: it goes from 0 to {WEIGHT_MAX}")));
    }
    Ok(weight)
}

impl<'de: 't, 't> Deserialize<'de> for JsonBackend<'t> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonBackendVisitor)
    }
}

struct JsonBackendVisitor;

impl<'t> Visitor<'t> for JsonBackendVisitor {
    type Value = JsonBackend<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"IP:PORT\" or an object with `address` and `weight`")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'t str) -> Result<Self::Value, E> {
        let (address, weight) = split_weight(text).map_err(E::custom)?;
        Ok(JsonBackend { address: address.into(), weight })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let (address, weight) = split_weight(text).map_err(E::custom)?;
        Ok(JsonBackend { address: address.to_owned().into(), weight })
    }

    fn visit_map<M: MapAccess<'t>>(self, map: M) -> Result<Self::Value, M::Error> {
        let fields = JsonFields::deserialize(MapAccessDeserializer::new(map))?;
        Ok(JsonBackend { address: fields.address, weight: fields.weight })
    }
}
