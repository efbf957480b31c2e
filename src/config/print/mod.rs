//! Prints a configuration, every key with its value: the output parses to the same configuration.

mod pools;
mod process;

use super::model::{Config, Route};
use super::units::print_duration;
use crate::route::HostPattern;
use serde_json::{Map, Value as Json, json};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Value;

/// A table with its keys in the order of the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct PrintedSection {
    /// `[runtime]`, `[[listener]]`.
    pub header: String,
    /// The path of its keys, as in [`super::WrittenKeys`]: `runtime`, `listener[0]`.
    pub path: String,
    /// Its keys with their values.
    pub values: Vec<(&'static str, Value)>,
}

impl PrintedSection {
    fn table(path: impl Into<String>, values: Vec<(&'static str, Value)>) -> Self {
        let path = path.into();
        Self { header: format!("[{path}]"), path, values }
    }

    fn element(array: &str, index: usize, values: Vec<(&'static str, Value)>) -> Self {
        Self { header: format!("[[{array}]]"), path: format!("{array}[{index}]"), values }
    }
}

fn text(value: impl Display) -> Value {
    Value::String(value.to_string())
}

fn texts<T: Display>(values: &[T]) -> Value {
    Value::Array(values.iter().map(text).collect())
}

fn path_text(path: &Path) -> Value {
    text(path.display())
}

/// Empty: none.
fn optional_path(path: Option<&PathBuf>) -> Value {
    path.map_or_else(|| text(""), |path| path_text(path))
}

fn duration(value: Duration) -> Value {
    text(print_duration(value))
}

fn number(value: u32) -> Value {
    Value::Integer(value.into())
}

/// Counts are bounded far below the greatest integer of TOML.
fn count(value: usize) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

impl Config {
    /// Every table of the configuration, in the order of the reference.
    pub fn to_sections(&self) -> Vec<PrintedSection> {
        let mut sections = process::sections(self);
        sections.extend(self.listener_sections());
        let routes = self.routes.iter().enumerate();
        sections.extend(routes.map(|(index, route)| self.route_section(index, route)));
        sections.extend(self.pools.iter().flat_map(pools::sections));
        sections
    }

    /// The configuration as TOML.
    pub fn to_toml(&self) -> String {
        self.to_toml_with_notes(|_| None)
    }

    /// The configuration as TOML, with the text that `note` returns for a key after its value.
    pub fn to_toml_with_notes(&self, note: impl Fn(&str) -> Option<String>) -> String {
        let mut printed = String::new();
        for section in self.to_sections() {
            let gap = if printed.is_empty() { "" } else { "\n" };
            printed += &format!("{gap}{}\n", section.header);
            for (key, value) in &section.values {
                let remark = note(&format!("{}.{key}", section.path));
                let remark = remark.map(|remark| format!("  # {remark}")).unwrap_or_default();
                printed += &format!("{key} = {value}{remark}\n");
            }
        }
        printed
    }

    /// The configuration in JSON, under the same names as in TOML.
    pub fn to_json(&self) -> Json {
        self.to_json_with(|_, value| json!(value))
    }

    /// The configuration in JSON, with what `show` makes of each value and the path of its key.
    pub fn to_json_with(&self, show: impl Fn(&str, &Value) -> Json) -> Json {
        let mut root = Json::Object(Map::new());
        for section in self.to_sections() {
            let place = section.path.split('.').fold(&mut root, child);
            for (key, value) in &section.values {
                place[*key] = show(&format!("{}.{key}", section.path), value);
            }
        }
        root
    }

    fn listener_sections(&self) -> impl Iterator<Item = PrintedSection> {
        self.listeners.iter().enumerate().map(|(index, listener)| {
            let values = vec![
                ("name", text(&listener.name)),
                ("address", text(listener.address)),
                ("protocol", text(listener.protocol)),
                ("steering", text(listener.steering)),
            ];
            PrintedSection::element("listener", index, values)
        })
    }

    fn route_section(&self, index: usize, route: &Route) -> PrintedSection {
        let mut values = Vec::new();
        if let Some(listener) = route.listener {
            values.push(("listener", text(&self.listeners[listener.0].name)));
        }
        if route.host != HostPattern::Any {
            values.push(("host", text(&route.host)));
        }
        values.push(("path", text(&route.path)));
        values.push(("pool", text(&self.pool(route.pool).name)));
        PrintedSection::element("route", index, values)
    }
}

/// What is called `step` in an object; `step[n]` is the element `n` of an array, the next one if
/// it is not there yet.
fn child<'v>(parent: &'v mut Json, step: &str) -> &'v mut Json {
    let Some((name, _)) = step.split_once('[') else { return &mut parent[step] };
    let index = step[name.len() + 1..].trim_end_matches(']').parse().unwrap_or(0);
    if !parent[name].is_array() {
        parent[name] = Json::Array(Vec::new());
    }
    let elements = parent[name].as_array_mut().expect("it was made one above");
    while elements.len() <= index {
        elements.push(Json::Object(Map::new()));
    }
    &mut elements[index]
}
