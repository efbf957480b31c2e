//! The whole configuration as text again, every key with its value: what it prints parses to the
//! same configuration.

use super::model::{AccessLog, Body, Choice, Config, ErrorAnswer, Pool, Route};
use super::units::{print_duration, print_size};
use super::values::print_shards;
use crate::route::HostPattern;
use std::fmt::Display;
use std::path::Path;
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

/// Counts are bounded far below the greatest integer of TOML.
fn count(value: usize) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

impl Config {
    /// Every table of the configuration, in the order of the reference.
    pub fn to_sections(&self) -> Vec<PrintedSection> {
        let mut sections =
            vec![self.runtime_section(), self.timeouts_section(), self.http_section()];
        let answers = self.error_answers.iter().enumerate();
        sections.extend(answers.map(|(index, answer)| error_answer_section(index, answer)));
        sections.extend(self.access_log.as_ref().map(access_log_section));
        sections.extend(self.listener_sections());
        let routes = self.routes.iter().enumerate();
        sections.extend(routes.map(|(index, route)| self.route_section(index, route)));
        sections.extend(self.pools.iter().flat_map(pool_sections));
        sections
    }

    /// The configuration as TOML.
    pub fn to_toml(&self) -> String {
        self.to_toml_with_notes(|_| None)
    }

    /// The configuration as TOML, with a remark after each value: what `note` says about its key.
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

    fn runtime_section(&self) -> PrintedSection {
        let runtime = &self.runtime;
        PrintedSection::table(
            "runtime",
            vec![
                ("shards", text(print_shards(&runtime.shards))),
                ("buffer_size", text(print_size(runtime.buffer_size as u64))),
                ("buffers_per_shard", count(runtime.buffers_per_shard)),
                ("ring_entries", Value::Integer(runtime.ring_entries.into())),
                ("max_connections", count(runtime.max_connections)),
                ("max_connections_per_client", count(runtime.max_connections_per_client)),
                ("backlog", Value::Integer(runtime.backlog.into())),
            ],
        )
    }

    fn timeouts_section(&self) -> PrintedSection {
        let timeouts = &self.timeouts;
        let values = [
            ("connect", timeouts.connect),
            ("request_head", timeouts.request_head),
            ("idle", timeouts.idle),
            ("between_bytes", timeouts.between_bytes),
            ("tunnel", timeouts.tunnel),
            ("drain", timeouts.drain),
        ];
        let printed = values.map(|(key, timeout)| (key, text(print_duration(timeout))));
        PrintedSection::table("timeouts", printed.to_vec())
    }

    fn http_section(&self) -> PrintedSection {
        let http = &self.http;
        PrintedSection::table(
            "http",
            vec![
                ("underscore_names", text(http.underscore_names.word())),
                ("via", text(&http.via)),
                ("trusted_proxies", texts(&http.trusted_proxies)),
                ("upgrade_protocols", texts(&http.upgrade_protocols)),
                ("connect", text(http.connect)),
                ("half_close", text(http.half_close)),
                ("head_bytes_max", text(print_size(http.head_bytes_max as u64))),
                ("request_body_max", text(print_size(http.request_body_max))),
            ],
        )
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

fn error_answer_section(index: usize, answer: &ErrorAnswer) -> PrintedSection {
    let body = match &answer.body {
        Body::Text(body) => ("body", text(body)),
        Body::File { path, .. } => ("file", path_text(path)),
    };
    let status = ("status", Value::Integer(answer.status.into()));
    let content_type = ("content_type", text(&answer.content_type));
    PrintedSection::element("error_answer", index, vec![status, content_type, body])
}

fn access_log_section(log: &AccessLog) -> PrintedSection {
    let values =
        vec![("path", text(&log.path)), ("format", text(log.format)), ("queue", count(log.queue))];
    PrintedSection::table("access_log", values)
}

fn pool_sections(pool: &Pool) -> Vec<PrintedSection> {
    let path = format!("pool.{}", pool.name);
    let values = vec![
        ("algorithm", text(pool.algorithm)),
        ("idle_connections", count(pool.idle_connections)),
    ];
    let backends = pool.backends.iter().enumerate().map(|(index, backend)| {
        let weight = ("weight", Value::Integer(backend.weight.into()));
        let values = vec![("address", text(backend.address)), weight];
        PrintedSection::element(&format!("{path}.backend"), index, values)
    });
    let backends: Vec<PrintedSection> = backends.collect();
    [vec![PrintedSection::table(&path, values)], backends].concat()
}
