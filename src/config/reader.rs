//! A TOML table, read key by key. Every key that nobody asked for is an error, and so is every
//! value of the wrong kind; all of them are noted with their place, and reading goes on.

use super::diagnostics::{Diagnostic, did_you_mean};
use super::units;
use std::cell::RefCell;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text and what was found wrong with it so far.
pub(super) struct Text<'t> {
    pub(super) text: &'t str,
    pub(super) found: RefCell<Vec<(usize, Diagnostic)>>,
}

impl Text<'_> {
    pub(super) fn error(&self, span: Range<usize>, message: impl Display) {
        let start = span.start;
        let diagnostic = Diagnostic::new(self.text, Some(span), message.to_string());
        self.found.borrow_mut().push((start, diagnostic));
    }
}

/// A value and where it stands.
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// One table; the keys that were asked for are remembered.
pub(super) struct Reader<'r, 't> {
    text: &'r Text<'t>,
    table: Option<&'r DeTable<'t>>,
    /// Where the table stands.
    pub(super) span: Range<usize>,
    name: &'r str,
    asked: Vec<&'static str>,
}

impl<'r, 't> Reader<'r, 't> {
    pub(super) fn new(
        text: &'r Text<'t>,
        table: Option<&'r DeTable<'t>>,
        span: Range<usize>,
        name: &'r str,
    ) -> Self {
        Self { text, table, span, name, asked: Vec::new() }
    }

    pub(super) fn error(&self, span: Range<usize>, message: impl Display) {
        self.text.error(span, message);
    }

    /// A key's value.
    fn value(&mut self, key: &'static str) -> Option<&'r Spanned<DeValue<'t>>> {
        self.asked.push(key);
        let entries = self.table?.iter();
        entries.filter(|(name, _)| name.get_ref() == key).map(|(_, value)| value).next()
    }

    fn wrong_kind(&self, key: &str, value: &Spanned<DeValue<'t>>, wanted: &str) {
        let is = value.get_ref().type_str();
        self.error(value.span(), format!("`{key}` is {wanted}, but this is of type {is}"));
    }

    pub(super) fn string(&mut self, key: &'static str) -> Option<Placed<String>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) => {
                Some(Placed { value: text.to_string(), span: value.span() })
            }
            _ => {
                self.wrong_kind(key, value, "a string");
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.wrong_kind(key, value, "true or false");
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer(&mut self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        let value = self.value(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_kind(key, value, "a whole number");
            return None;
        };
        let number = u64::from_str_radix(number.as_str(), number.radix()).ok();
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.error(value.span(), format!("`{key}` must be {least} to {most}"));
        }
        number
    }

    pub(super) fn strings(&mut self, key: &'static str) -> Option<Vec<Placed<String>>> {
        let value = self.value(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_kind(key, value, "a list of strings");
            return None;
        };
        let mut strings = Vec::new();
        for item in array.iter() {
            match item.get_ref() {
                DeValue::String(text) => {
                    strings.push(Placed { value: text.to_string(), span: item.span() });
                }
                _ => self.wrong_kind(key, item, "a list of strings"),
            }
        }
        Some(strings)
    }

    /// A value that is written as a string and read by `read`.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_kind(key, value, "a string");
            return None;
        };
        read(text).map_err(|message| self.error(value.span(), message)).ok()
    }

    pub(super) fn duration(&mut self, key: &'static str, default: Duration) -> Duration {
        match self.value(key).map(|value| (value.get_ref(), value.span())) {
            Some((DeValue::Integer(number), span)) => {
                let message = format!("`{key}` needs a unit: \"{number}s\" or \"{number}ms\"");
                self.error(span, message);
                default
            }
            Some(_) => {
                self.asked.pop();
                self.read(key, units::parse_duration).unwrap_or(default)
            }
            None => default,
        }
    }

    /// A size within bounds, in bytes.
    pub(super) fn size(&mut self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        if let Some(value) = self.value(key)
            && let DeValue::Integer(number) = value.get_ref()
        {
            let message = format!("`{key}` needs a unit: \"{number}B\" or \"{number}KiB\"");
            self.error(value.span(), message);
            return None;
        }
        self.asked.pop();
        self.read(key, |text| {
            let size = units::parse_size(text)?;
            if (least..=most).contains(&size) {
                return Ok(size);
            }
            let (least, most) = (units::format_size(least), units::format_size(most));
            Err(format!("`{key}` must be {least} to {most}"))
        })
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.read(key, |text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                let meant = did_you_mean(text, words.iter().map(|(word, _)| *word));
                let meant = meant.map_or(String::new(), |word| format!("did you mean \"{word}\"? "));
                format!("`{key}` cannot be \"{text}\": {meant}it is one of {}", all.join(", "))
            })
        })
    }

    /// Something that has a `FromStr`.
    pub(super) fn parsed<T: FromStr>(&mut self, key: &'static str, what: &str) -> Option<T> {
        self.read(key, |text| text.parse().map_err(|_| format!("`{text}` is not {what}")))
    }

    /// A table under a key; an empty one if it is not there.
    pub(super) fn table(&mut self, key: &'static str) -> Reader<'r, 't> {
        let text = self.text;
        match self.value(key) {
            None => Reader::new(text, None, self.span.clone(), key),
            Some(value) => {
                let table = value.get_ref().as_table();
                if table.is_none() {
                    self.wrong_kind(key, value, &format!("a table: write [{key}]"));
                }
                Reader::new(text, table, value.span(), key)
            }
        }
    }

    /// The tables of an array of tables.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Reader<'r, 't>> {
        let text = self.text;
        let Some(value) = self.value(key) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_kind(key, value, &format!("a list of tables: write [[{key}]]"));
            return Vec::new();
        };
        let reader = |item: &'r Spanned<DeValue<'t>>| {
            let table = item.get_ref().as_table();
            if table.is_none() {
                self.wrong_kind(key, item, "a list of tables");
            }
            Reader::new(text, table, item.span(), key)
        };
        array.iter().map(reader).collect()
    }

    /// All tables of a table, by name.
    pub(super) fn named_tables(&self) -> Vec<(Placed<String>, Reader<'r, 't>)> {
        let Some(table) = self.table else { return Vec::new() };
        let mut named: Vec<_> = table
            .iter()
            .map(|(name, value)| {
                let inner = value.get_ref().as_table();
                if inner.is_none() {
                    self.wrong_kind(name.get_ref(), value, "a table");
                }
                let placed = Placed { value: name.get_ref().to_string(), span: name.span() };
                (placed, Reader::new(self.text, inner, name.span(), "pool"))
            })
            .collect();
        named.sort_by_key(|(name, _)| name.span.start);
        named
    }

    /// True if the key is there, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.iter().any(|(name, _)| name.get_ref() == key))
    }

    /// A string, or a whole number as one.
    pub(super) fn string_or_integer(&mut self, key: &'static str) -> Option<Placed<String>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Integer(number) => {
                Some(Placed { value: number.to_string(), span: value.span() })
            }
            _ => {
                self.asked.pop();
                self.string(key)
            }
        }
    }

    /// True if the table is there.
    pub(super) fn exists(&self) -> bool {
        self.table.is_some()
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let place = match self.name {
                "" => "at the top level".to_owned(),
                table => format!("in `{table}`"),
            };
            let mend = match did_you_mean(name, self.asked.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are: {}", self.asked.join(", ")),
            };
            self.text.error(key.span(), format!("unknown key `{name}` {place}: {mend}"));
        }
    }
}
