//! From the raw document to a [`Config`]: each section in a file of its own, every problem
//! reported. Consequences of a problem elsewhere are not reported again.

mod admin;
mod backends;
mod http;
mod names;
mod pools;
mod probing;
mod routing;
mod runtime;

pub(super) use names::Seen;

use super::diagnostics::{Diagnostics, Report};
use super::model::Config;
use super::raw::{Document, Section, WrittenKeys, read_json, read_toml};
use super::text::unmarked;
use std::io;
use std::path::Path;
use toml::Spanned;
use toml::de::DeTable;

/// The format of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// As in a file.
    Toml,
    /// The same tables and keys: `[[listener]]` is a list under `listener`.
    Json,
}

/// Reads the content of a file that the configuration names, by the path as written.
pub type Loader<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

impl Config {
    /// The configuration in a text. `file_name` is only for the diagnostics; a file that the
    /// text names is read by `load`.
    pub fn parse(text: &str, file_name: &str, load: Loader<'_>) -> Result<Self, Diagnostics> {
        Self::parse_as(TextFormat::Toml, text, file_name, load).map(|(config, _)| config)
    }

    /// The configuration in a text of either format, with the keys that the text has: all else is
    /// at its default.
    ///
    /// # Errors
    /// Every problem, with its place in the text.
    pub fn parse_as(
        format: TextFormat,
        text: &str,
        file_name: &str,
        load: Loader<'_>,
    ) -> Result<(Self, WrittenKeys), Diagnostics> {
        let text = unmarked(text);
        let report = Report::new(text, format);
        let table = match format {
            TextFormat::Toml => read_toml(&report, text),
            TextFormat::Json => read_json(&report, text),
        };
        let read = table.as_ref().map(|table| read(&report, table, load));
        report.finish(file_name)?;
        Ok(read.expect("a text that is no configuration was reported above"))
    }
}

fn read(
    report: &Report<'_>,
    table: &Spanned<DeTable<'_>>,
    load: Loader<'_>,
) -> (Config, WrittenKeys) {
    let document = Document::new(report);
    let mut root = Section::root(&document, table);
    let mut config = Config {
        runtime: runtime::runtime(root.section("runtime")),
        timeouts: runtime::timeouts(root.section("timeouts")),
        http: http::http(root.section("http")),
        error_answers: http::error_answers(root.sections("error_answer"), load),
        access_log: http::access_log(root.section("access_log")),
        ..Config::default()
    };
    routing::read_into(&mut config, &mut root, load);
    config.admin = admin::admin(root.section("admin"), &config.listeners);
    root.finish();
    (config, document.into_written())
}
