//! The values under the keys of a section, by type: a value of another type is reported with the
//! right syntax. Does not: define any key.

use super::{At, Section};
use crate::config::TextFormat;
use crate::config::choices::{Choice, unknown_choice};
use crate::config::units;
use crate::config::values::parse_path;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeValue};

impl<'d> Section<'d> {
    /// The text under `key`, which must be there.
    pub(in crate::config) fn required_text(&mut self, key: &'static str) -> Option<At<&'d str>> {
        if !self.has(key) {
            self.report().add(self.span.clone(), format!("`{key}` is missing here"));
        }
        self.text(key)
    }

    /// The text under `key`.
    pub(in crate::config) fn text(&mut self, key: &'static str) -> Option<At<&'d str>> {
        let value = self.value(key)?;
        self.as_text(key, value, |found| format!("`{key}` must be text: write \"{found}\""))
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
                let message = format!("`{key}` must be text in quotes, not {}", other.type_str());
                self.report().add(value.span(), message);
            }
        }
        None
    }

    /// The list of texts under `key`.
    pub(in crate::config) fn texts(&mut self, key: &'static str) -> Option<Vec<At<&'d str>>> {
        let array = self.array(key, "[\"…\"]")?;
        let element = |value| {
            self.as_text(key, value, |found| format!("`{key}` must list text: write \"{found}\""))
        };
        Some(array.iter().filter_map(element).collect())
    }

    /// The list under `key` of texts, any of which may be written as a bare number.
    pub(in crate::config) fn texts_or_numbers(
        &mut self,
        key: &'static str,
    ) -> Option<Vec<At<&'d str>>> {
        let array = self.array(key, "[\"…\"]")?;
        let element = |value: &'d Spanned<DeValue<'d>>| match value.get_ref() {
            DeValue::Integer(number) => Some(At { value: number.as_str(), span: value.span() }),
            _ => self.as_text(key, value, str::to_owned),
        };
        Some(array.iter().filter_map(element).collect())
    }

    /// Sets `target` to the text under `key`, parsed by `parse`.
    pub(in crate::config) fn parse_into<T>(
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
    pub(in crate::config) fn parse_text_or_number_into<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) {
        let Some(value) = self.value(key) else { return };
        let parsed = match value.get_ref() {
            DeValue::String(text) => parse(text),
            DeValue::Integer(number) => parse(number.as_str()),
            other => {
                let other = other.type_str();
                Err(format!("`{key}` must be text in quotes or a number, not {other}"))
            }
        };
        if let Some(parsed) = self.report_error(value.span(), parsed) {
            *target = parsed;
        }
    }

    /// Sets `target` to the choice whose word is under `key`.
    pub(in crate::config) fn choice_into<C: Choice>(&mut self, key: &'static str, target: &mut C) {
        self.parse_into(key, target, |word| {
            C::of_word(word).ok_or_else(|| unknown_choice::<C>(key, word))
        });
    }

    /// Sets `target` to the duration under `key`.
    pub(in crate::config) fn duration_into(
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
    pub(in crate::config) fn size_into<T>(
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
    pub(in crate::config) fn count_into<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        range: RangeInclusive<T>,
    ) where
        T: Copy + PartialOrd + Display + TryFrom<u64>,
    {
        if let Some(count) = self.count(key, range) {
            *target = count.value;
        }
    }

    /// The number under `key`, which must be in `range`.
    pub(in crate::config) fn count<T>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
    ) -> Option<At<T>>
    where
        T: Copy + PartialOrd + Display + TryFrom<u64>,
    {
        let value = self.value(key)?;
        self.as_count(key, value, &range)
    }

    /// The list of numbers under `key`, which must be in `range`.
    pub(in crate::config) fn counts<T>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
    ) -> Option<Vec<T>>
    where
        T: Copy + PartialOrd + Display + TryFrom<u64>,
    {
        let array = self.array(key, "[1, 2]")?;
        let counts = array.iter().filter_map(|value| self.as_count(key, value, &range));
        Some(counts.map(|count| count.value).collect())
    }

    fn as_count<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        range: &RangeInclusive<T>,
    ) -> Option<At<T>>
    where
        T: Copy + PartialOrd + Display + TryFrom<u64>,
    {
        let bounds = format!("from {} to {}", range.start(), range.end());
        let counted = match value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .and_then(|count| T::try_from(count).ok())
                .filter(|count| range.contains(count))
                .ok_or_else(|| format!("`{key}` is {number}: it goes {bounds}")),
            DeValue::String(text) if text.parse::<u64>().is_ok() => {
                Err(format!("`{key}` must be a number: write {text} without quotes"))
            }
            _ => Err(format!("`{key}` must be a whole number, {bounds}")),
        };
        let count = self.report_error(value.span(), counted)?;
        Some(At { value: count, span: value.span() })
    }

    /// Sets `target` to the number under `key`, with or without a fraction, which must be in
    /// `range`.
    pub(in crate::config) fn fraction_into(
        &mut self,
        key: &'static str,
        target: &mut f64,
        range: RangeInclusive<f64>,
    ) {
        let Some(value) = self.value(key) else { return };
        let bounds = format!("from {} to {}", range.start(), range.end());
        let parsed = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            _ => {
                self.report().add(value.span(), format!("`{key}` must be a number, {bounds}"));
                return;
            }
        };
        match parsed.filter(|number| range.contains(number)) {
            Some(number) => *target = number,
            None => self
                .report()
                .add(value.span(), format!("`{key}` is out of range: it goes {bounds}")),
        }
    }

    /// Sets `target` to what is under `key`: `true` or `false`.
    pub(in crate::config) fn truth_into(&mut self, key: &'static str, target: &mut bool) {
        let Some(value) = self.value(key) else { return };
        match value.get_ref() {
            DeValue::Boolean(truth) => *target = *truth,
            _ => self
                .report()
                .add(value.span(), format!("`{key}` must be true or false, without quotes")),
        }
    }

    /// Sets `target` to the path under `key`; empty: none.
    pub(in crate::config) fn path_into(&mut self, key: &'static str, target: &mut Option<PathBuf>) {
        self.parse_into(key, target, parse_path);
    }

    /// The texts in the table under `key`, by the names that the user chose, sorted by name.
    pub(in crate::config) fn named_texts(
        &mut self,
        key: &'static str,
    ) -> Option<Vec<(At<&'d str>, At<&'d str>)>> {
        let value = self.value(key)?;
        let DeValue::Table(table) = value.get_ref() else {
            let example = match self.report().format() {
                TextFormat::Toml => "{ name = \"value\" }",
                TextFormat::Json => "{\"name\": \"value\"}",
            };
            let message = format!("`{key}` must be a table: write it like {example}");
            self.report().add(value.span(), message);
            return None;
        };
        let entry = |(name, value): (&'d Spanned<_>, _)| {
            let found = |found: &str| format!("`{key}` must have text: write \"{found}\"");
            let text = self.as_text(key, value, found)?;
            Some((At { value: name_text(name), span: name.span() }, text))
        };
        Some(table.iter().filter_map(entry).collect())
    }

    /// The elements of the list under `key`; `example` is shown if it is none.
    fn array(&mut self, key: &'static str, example: &str) -> Option<&'d DeArray<'d>> {
        let value = self.value(key)?;
        let array = value.get_ref().as_array();
        if array.is_none() {
            let message = format!("`{key}` must be a list: write it like {example}");
            self.report().add(value.span(), message);
        }
        array
    }
}

fn name_text<'d>(name: &'d Spanned<DeString<'d>>) -> &'d str {
    name.get_ref()
}
