//! What was written: the tables of the TOML document with their places. Each key that is asked
//! for is noted, so that the others can be named as unknown. Does not: know any key.

use super::diagnostics::Report;
use super::model::Choice;
use super::units::{self, closest, listed};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys with a value in the document, as `runtime.shards`, `listener[0].name`,
/// `pool.web.backend[1].weight`.
pub type WrittenKeys = BTreeSet<String>;

/// What all sections of one document share.
pub(super) struct Document<'a> {
    pub(super) report: &'a Report<'a>,
    written: RefCell<WrittenKeys>,
}

impl<'a> Document<'a> {
    pub(super) fn new(report: &'a Report<'a>) -> Self {
        Self { report, written: RefCell::default() }
    }

    pub(super) fn into_written(self) -> WrittenKeys {
        self.written.into_inner()
    }
}

/// A value and its place.
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// One table while it is read.
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
            let message = format!("`{path}` is a table, but this is of type {found}");
            self.document.report.add(value.span(), message);
            return None;
        };
        let document = self.document;
        Some(Self { document, path, span: value.span(), table: Some(table), known: Vec::new() })
    }

    fn path_of(&self, key: &str) -> String {
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
        let found = self.value(key).and_then(|value| self.child(self.path_of(key), value));
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

    /// The tables of the array under `key`.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let path = self.path_of(key);
        let DeValue::Array(array) = value.get_ref() else {
            let message = format!("`{path}` can be there several times");
            self.report().add_with_help(value.span(), message, format!("write [[{path}]]"));
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
    fn value(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.push(key);
        let value = self.table?.get(key)?;
        self.document.written.borrow_mut().insert(self.path_of(key));
        Some(value)
    }

    /// The text under `key`, which must be there.
    pub(super) fn required_text(&mut self, key: &'static str) -> Option<At<&'d str>> {
        if !self.has(key) {
            self.report().add(self.span.clone(), format!("`{key}` is missing here"));
        }
        self.text(key)
    }

    /// The text under `key`.
    pub(super) fn text(&mut self, key: &'static str) -> Option<At<&'d str>> {
        let value = self.value(key)?;
        self.as_text(key, value, |found| format!("`{key}` is text: write \"{found}\""))
    }

    fn as_text(
        &self,
        key: &str,
        value: &'d Spanned<DeValue<'d>>,
        bare_number: impl Fn(&str) -> String,
    ) -> Option<At<&'d str>> {
        match value.get_ref() {
            DeValue::String(text) => return Some(At { value: text, span: value.span() }),
            DeValue::Integer(number) => {
                self.report().add(value.span(), bare_number(number.as_str()));
            }
            other => {
                let message = format!("`{key}` is text, but this is of type {}", other.type_str());
                self.report().add(value.span(), message);
            }
        }
        None
    }

    /// The list of texts under `key`.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<At<&'d str>>> {
        let value = self.value(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            let message = format!("`{key}` is a list: write it like [\"…\"]");
            self.report().add(value.span(), message);
            return None;
        };
        let element = |value| {
            self.as_text(key, value, |found| format!("`{key}` lists text: write \"{found}\""))
        };
        Some(array.iter().filter_map(element).collect())
    }

    /// Sets `target` to what `parse` makes of the text under `key`.
    pub(super) fn parse_into<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) {
        let Some(text) = self.text(key) else { return };
        if let Some(parsed) = self.report_error(text.span, parse(text.value)) {
            *target = parsed;
        }
    }

    /// Like [`Self::parse_into`], for text that is also understood as a bare number.
    pub(super) fn parse_text_or_number_into<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) {
        let Some(value) = self.value(key) else { return };
        let parsed = match value.get_ref() {
            DeValue::String(text) => parse(text),
            DeValue::Integer(number) => parse(number.as_str()),
            other => Err(format!("`{key}` cannot be of type {}", other.type_str())),
        };
        if let Some(parsed) = self.report_error(value.span(), parsed) {
            *target = parsed;
        }
    }

    /// Sets `target` to the choice whose word is under `key`.
    pub(super) fn choice_into<C: Choice>(&mut self, key: &'static str, target: &mut C) {
        self.parse_into(key, target, |word| {
            C::of_word(word).ok_or_else(|| units::unknown_word::<C>(word))
        });
    }

    /// Sets `target` to the duration under `key`.
    pub(super) fn duration_into(
        &mut self,
        key: &'static str,
        target: &mut Duration,
        parse: impl Fn(&str) -> Result<Duration, String>,
    ) {
        let Some(value) = self.value(key) else { return };
        let Some(text) = self.as_text(key, value, units::bare_duration) else { return };
        if let Some(duration) = self.report_error(text.span, parse(text.value)) {
            *target = duration;
        }
    }

    /// Sets `target` to the size under `key`, which `parse` reads.
    pub(super) fn size_into<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) {
        let Some(value) = self.value(key) else { return };
        let Some(text) = self.as_text(key, value, units::bare_size) else { return };
        if let Some(size) = self.report_error(text.span, parse(text.value)) {
            *target = size;
        }
    }

    /// Sets `target` to the number under `key`, which must be in `range`.
    pub(super) fn count_into<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        range: RangeInclusive<T>,
    ) where
        T: Copy + PartialOrd + std::fmt::Display + TryFrom<u64>,
    {
        if let Some(count) = self.count(key, range) {
            *target = count.value;
        }
    }

    /// The number under `key`, which must be in `range`.
    pub(super) fn count<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Option<At<T>>
    where
        T: Copy + PartialOrd + std::fmt::Display + TryFrom<u64>,
    {
        let value = self.value(key)?;
        let bounds = format!("it goes from {} to {}", range.start(), range.end());
        let counted = match value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .and_then(|count| T::try_from(count).ok())
                .filter(|count| range.contains(count))
                .ok_or_else(|| format!("`{key}` is {number}: {bounds}")),
            DeValue::String(text) if text.parse::<u64>().is_ok() => {
                Err(format!("`{key}` is a number: write {text} without quotes"))
            }
            other => {
                let found = other.type_str();
                Err(format!("`{key}` is a number, but this is of type {found}: {bounds}"))
            }
        };
        let count = self.report_error(value.span(), counted)?;
        Some(At { value: count, span: value.span() })
    }

    /// Reports an error at `span`, or passes the value on.
    pub(super) fn report_error<T>(
        &self,
        span: Range<usize>,
        result: Result<T, String>,
    ) -> Option<T> {
        result.map_err(|message| self.report().add(span, message)).ok()
    }

    pub(super) fn report(&self) -> &'d Report<'d> {
        self.document.report
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let place = if self.path.is_empty() {
                "at the top".to_owned()
            } else {
                format!("in [{}]", self.path)
            };
            let help = match closest(name, self.known.iter().copied()) {
                Some(close) => format!("did you mean `{close}`?"),
                None => format!("known here: {}", listed(&self.known)),
            };
            let message = format!("unknown key `{}` {place}", name.escape_debug());
            self.report().add_with_help(key.span(), message, help);
        }
    }
}
