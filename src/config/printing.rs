//! Prints a configuration, every key with its value: the output parses to the same configuration.

use super::keys::Keys;
use super::model::Config;
use super::sections::Pool;
use serde_json::{Map, Value as Json, json};
use toml::Value;

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct PrintedKey {
    /// Its name.
    pub name: &'static str,
    /// Its value, as it is written.
    pub value: Value,
    /// It is read at the start only: a reload leaves its value as it is.
    pub needs_restart: bool,
}

impl PrintedKey {
    /// A key that a reload takes.
    pub(super) fn new(name: &'static str, value: Value) -> Self {
        Self { name, value, needs_restart: false }
    }
}

/// A table with its keys in the order of the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct PrintedSection {
    /// `[runtime]`, `[[listener]]`.
    pub header: String,
    /// The path of its keys, as in [`super::WrittenKeys`]: `runtime`, `listener[0]`.
    pub path: String,
    /// Its keys with their values.
    pub values: Vec<PrintedKey>,
}

impl PrintedSection {
    pub(super) fn table(path: impl Into<String>, values: Vec<PrintedKey>) -> Self {
        let path = path.into();
        Self { header: format!("[{path}]"), path, values }
    }

    pub(super) fn element(array: &str, index: usize, values: Vec<PrintedKey>) -> Self {
        Self { header: format!("[[{array}]]"), path: format!("{array}[{index}]"), values }
    }
}

impl Config {
    /// Every table of the configuration, in the order of the reference.
    pub fn to_sections(&self) -> Vec<PrintedSection> {
        let mut sections = vec![
            PrintedSection::table("runtime", self.runtime.print_keys()),
            PrintedSection::table("timeouts", self.timeouts.print_keys()),
            PrintedSection::table("admin", self.admin.print_keys()),
            PrintedSection::table("http", self.http.print_keys()),
            PrintedSection::table("http2", self.http2.print_keys()),
            PrintedSection::table("tls", self.tls.print_keys()),
        ];
        let answers = self.error_answers.iter().enumerate();
        sections.extend(answers.map(|(index, answer)| answer.print(index)));
        let log = self.access_log.iter();
        sections.extend(log.map(|log| PrintedSection::table("access_log", log.print_keys())));
        let listeners = self.listeners.iter().map(Keys::print_keys).enumerate();
        let listeners =
            listeners.map(|(index, keys)| PrintedSection::element("listener", index, keys));
        sections.extend(listeners);
        let accounts = self.acme.iter();
        sections.extend(
            accounts.map(|acme| {
                PrintedSection::table(format!("acme.{}", acme.name), acme.print_keys())
            }),
        );
        let certificates = self.certificates.iter().enumerate();
        sections.extend(certificates.map(|(index, one)| one.print(self, index)));
        let routes = self.routes.iter().enumerate();
        sections.extend(routes.map(|(index, route)| route.print(self, index)));
        sections.extend(self.pools.iter().flat_map(Pool::print));
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
            for PrintedKey { name, value, .. } in &section.values {
                let remark = note(&format!("{}.{name}", section.path));
                let remark = remark.map(|remark| format!("  # {remark}")).unwrap_or_default();
                printed += &format!("{name} = {value}{remark}\n");
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
            for PrintedKey { name, value, .. } in &section.values {
                place[*name] = show(&format!("{}.{name}", section.path), value);
            }
        }
        root
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
