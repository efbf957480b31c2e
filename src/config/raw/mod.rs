//! The raw document: its tables, TOML or JSON, with their places. Each key that is read is
//! recorded, so that the others can be reported as unknown. Does not: define any key.

mod json;
mod toml_text;
mod values;

pub(super) use json::read_json;
pub(super) use toml_text::read_toml;
pub(super) use values::{Entry, Number};

use super::diagnostics::Report;
use super::foreign::instead_of;
use super::units::listed;
use super::values::NAME_LENGTH_MAX;
use super::{Loader, TextFormat};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys with a value in the document, as `runtime.shards`, `listener[0].name`,
/// `pool.web.backend[1].weight`.
pub type WrittenKeys = BTreeSet<String>;

/// State that all sections of one document share.
pub(super) struct Document<'a> {
    pub(super) report: &'a Report<'a>,
    load: Loader<'a>,
    written: RefCell<WrittenKeys>,
}

impl<'a> Document<'a> {
    /// A file that the document names is read by `load`.
    pub(super) fn new(report: &'a Report<'a>, load: Loader<'a>) -> Self {
        Self { report, load, written: RefCell::default() }
    }

    pub(super) fn into_written(self) -> WrittenKeys {
        self.written.into_inner()
    }
}

/// The content of a file. The error is a sentence for the user.
pub(super) fn load_named(path: &Path, load: Loader<'_>) -> Result<Vec<u8>, String> {
    load(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

/// A value and its place.
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// One table while it is being read.
pub(super) struct Section<'d> {
    document: &'d Document<'d>,
    /// As in [`WrittenKeys`]; empty for the document itself.
    path: String,
    /// The header, or the name of the key that holds the table.
    pub(super) span: Range<usize>,
    table: Option<&'d DeTable<'d>>,
    known: Vec<&'static str>,
}

impl<'d> Section<'d> {
    /// The whole document.
    pub(super) fn root(document: &'d Document<'d>, table: &'d Spanned<DeTable<'d>>) -> Self {
        let table = Some(table.get_ref());
        Self { document, path: String::new(), span: 0..0, table, known: Vec::new() }
    }

    fn child(&self, path: String, value: &'d Spanned<DeValue<'d>>) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            let found = value.get_ref().type_str();
            let message = match self.report().format() {
                TextFormat::Toml => {
                    // The names of pools and accounts are the user's.
                    let header = match &*path {
                        "pool" => "pool.NAME",
                        "acme" => "acme.NAME",
                        path => path,
                    };
                    format!("`{path}` must be a table, not {found}: write [{header}]")
                }
                TextFormat::Json => format!("`{path}` must be an object, not {found}"),
            };
            self.document.report.add(value.span(), message);
            return None;
        };
        let document = self.document;
        Some(Self { document, path, span: value.span(), table: Some(table), known: Vec::new() })
    }

    fn path_of(&self, key: &str) -> String {
        // Each key below has it in its path: more than the longest right name is cut off.
        let end = key.char_indices().nth(NAME_LENGTH_MAX).map_or(key.len(), |(end, _)| end);
        let key = &key[..end];
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The table under `key`; one without keys if there is none.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        let absent = |section: &Self| Self {
            document: section.document,
            path: section.path_of(key),
            span: section.span.clone(),
            table: None,
            known: Vec::new(),
        };
        let found = self.entry(key).and_then(|entry| self.child(self.path_of(key), entry.value));
        found.unwrap_or_else(|| absent(self))
    }

    /// True if the table was written.
    pub(super) fn is_written(&self) -> bool {
        self.table.is_some()
    }

    /// True if `key` was written, rightly or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Counts `key` as known.
    pub(super) fn allow(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    /// Reports `key` if it was not written.
    pub(super) fn require(&self, key: &str) {
        if !self.has(key) {
            self.report().add(self.span.clone(), format!("`{key}` is missing here"));
        }
    }

    /// The place of `key`; that of the section if it was not written.
    pub(super) fn key_span(&self, key: &str) -> Range<usize> {
        let found = self.table.and_then(|table| table.get_key_value(key));
        found.map_or_else(|| self.span.clone(), |(key, _)| key.span())
    }

    /// The place of the value under `key`; that of the section if it was not written.
    pub(super) fn value_span(&self, key: &str) -> Range<usize> {
        let found = self.table.and_then(|table| table.get(key));
        found.map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// The content of a file that the document names.
    pub(super) fn load(&self, path: &Path) -> Result<Vec<u8>, String> {
        load_named(path, self.document.load)
    }

    /// The same; none if there is no such file.
    pub(super) fn load_if_present(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        let is_absent = Cell::new(false);
        let load = |path: &Path| {
            let loaded = (self.document.load)(path);
            is_absent.set(loaded.as_ref().is_err_and(|e| e.kind() == ErrorKind::NotFound));
            loaded
        };
        let loaded = load_named(path, &load);
        if is_absent.get() { Ok(None) } else { loaded.map(Some) }
    }

    /// The text under `key`, without any note or report.
    pub(super) fn peek_text(&self, key: &str) -> Option<&'d str> {
        self.table?.get(key)?.get_ref().as_str()
    }

    /// How many elements the array under `key` has, or 1 if it is none.
    pub(super) fn peek_length(&self, key: &str) -> Option<usize> {
        let value = self.table?.get(key)?.get_ref();
        Some(value.as_array().map_or(1, |array| array.len()))
    }

    /// Puts those of one array that are `first` before the others, under the paths of their new
    /// places: the configuration keeps them in two lists, and prints them one after the other.
    pub(super) fn partition(sections: &mut [Self], first: impl Fn(&Self) -> bool) {
        let paths: Vec<String> = sections.iter().map(|section| section.path.clone()).collect();
        sections.sort_by_key(|section| !first(section));
        for (section, path) in sections.iter_mut().zip(paths) {
            section.path = path;
        }
    }

    /// The tables of the array under `key`.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Self> {
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let path = self.path_of(key);
        let DeValue::Array(array) = entry.value() else {
            let report = self.report();
            let (message, help) = match report.format() {
                TextFormat::Toml => ("an array of tables", format!("write [[{path}]]")),
                TextFormat::Json => ("a list of objects", format!("write \"{key}\": [{{…}}]")),
            };
            report.add_with_help(entry.span(), format!("`{path}` must be {message}"), help);
            return Vec::new();
        };
        let tables = array.iter().enumerate();
        tables.filter_map(|(n, value)| self.child(format!("{path}[{n}]"), value)).collect()
    }

    /// The tables under the names that the user chose, sorted by name. Call nothing else on this.
    pub(super) fn named_sections(&mut self) -> Vec<(At<&'d str>, Self)> {
        let entries = self.table.into_iter().flatten();
        entries
            .filter_map(|(key, value)| {
                let name = At { value: key.get_ref().as_ref(), span: key.span() };
                Some((name, self.child(self.path_of(key.get_ref()), value)?))
            })
            .collect()
    }

    /// The value under `key`.
    pub(super) fn entry(&mut self, key: &'static str) -> Option<Entry<'d>> {
        self.allow(key);
        let value = self.table?.get(key)?;
        self.document.written.borrow_mut().insert(self.path_of(key));
        Some(Entry { key, value, report: self.report() })
    }

    pub(super) fn report(&self) -> &'d Report<'d> {
        self.document.report
    }

    /// Reports every key that was not read.
    pub(super) fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            self.report().add_lazily(key.span(), || self.unknown(name));
        }
    }

    /// The error for a key that was not read.
    fn unknown(&self, name: &str) -> (String, Option<String>) {
        let place = match &*self.path {
            "" => "at top level".to_owned(),
            path => format!("in [{path}]"),
        };
        let help = instead_of(name, &self.known)
            .unwrap_or_else(|| format!("allowed keys: {}", listed(&self.known)));
        (format!("unknown key `{}` {place}", name.escape_debug()), Some(help))
    }
}
