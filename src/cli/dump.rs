//! `ringway config dump`: every value in effect and where it comes from.

use super::load::Effective;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// Prints the configuration as TOML with remarks, which is a configuration file again, or as JSON.
pub(super) fn dump(effective: &Effective, as_json: bool, out: &mut dyn Write) -> io::Result<()> {
    if as_json {
        return writeln!(out, "{:#}", tree(effective));
    }
    let origin = |key: &str| Some(effective.origin(key).word().to_owned());
    write!(out, "{}", effective.config.to_toml_with_notes(origin))
}

/// The sections as nested objects and arrays; each value is `{ "value": …, "origin": … }`.
fn tree(effective: &Effective) -> Value {
    let mut root = Value::Object(Map::new());
    for section in effective.config.to_sections() {
        let place = section.path.split('.').fold(&mut root, child);
        for (key, value) in &section.values {
            let origin = effective.origin(&format!("{}.{key}", section.path)).word();
            place[*key] = json!({ "value": value, "origin": origin });
        }
    }
    root
}

/// What is called `step` in an object; `step[n]` is the element `n` of an array, the next one if
/// it is not there yet.
fn child<'v>(parent: &'v mut Value, step: &str) -> &'v mut Value {
    let Some((name, _)) = step.split_once('[') else { return &mut parent[step] };
    let index = step[name.len() + 1..].trim_end_matches(']').parse().unwrap_or(0);
    if !parent[name].is_array() {
        parent[name] = Value::Array(Vec::new());
    }
    let elements = parent[name].as_array_mut().expect("it was made one above");
    while elements.len() <= index {
        elements.push(Value::Object(Map::new()));
    }
    &mut elements[index]
}
