//! From the raw document to a [`Config`]: every problem is reported, but none that only follows
//! from another one. Does not: define any key.

use super::diagnostics::{Diagnostics, Report};
use super::keys::Keys;
use super::model::Config;
use super::raw::{Document, Section, WrittenKeys, read_json, read_toml};
use super::sections::{AccessLog, Admin, Tls, error_answers, read_routing};
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
    let document = Document::new(report, load);
    let mut root = Section::root(&document, table);
    let http = root.section("http");
    let has_proxies = http.peek_length("trusted_proxies").is_some_and(|length| length > 0);
    let mut config = Config {
        runtime: keys_of(root.section("runtime")),
        timeouts: keys_of(root.section("timeouts")),
        http: keys_of(http),
        http2: keys_of(root.section("http2")),
        tls: Tls::read(root.section("tls")),
        error_answers: error_answers(root.sections("error_answer")),
        access_log: AccessLog::read(root.section("access_log")),
        ..Config::default()
    };
    read_routing(&mut config, &mut root, has_proxies);
    config.admin = Admin::read(root.section("admin"), &config.listeners);
    root.finish();
    (config, document.into_written())
}

/// A section with nothing but the keys of its table.
fn keys_of<S: Keys + Default>(mut section: Section<'_>) -> S {
    let mut values = S::default();
    values.read_keys(&mut section);
    section.finish();
    values
}
