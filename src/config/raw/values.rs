//! Single values of the document, by type: one of another type is reported with the right syntax.
//! Does not: define any key.

use super::{At, Section};
use crate::config::TextFormat;
use crate::config::diagnostics::Report;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeString, DeValue};

/// What a whole number is kept in.
pub(in crate::config) trait Number:
    Copy + PartialOrd + Display + TryFrom<u64> + TryInto<u64> + TryInto<i64> + 'static
{
}

impl<N> Number for N where
    N: Copy + PartialOrd + Display + TryFrom<u64> + TryInto<u64> + TryInto<i64> + 'static
{
}

/// A value under a key, or an element of the list there.
pub(in crate::config) struct Entry<'d> {
    pub(in crate::config) key: &'static str,
    pub(super) value: &'d Spanned<DeValue<'d>>,
    pub(in crate::config) report: &'d Report<'d>,
}

impl<'d> Section<'d> {
    /// The text under `key`, which must be there.
    pub(in crate::config) fn required_text(&mut self, key: &'static str) -> Option<At<&'d str>> {
        self.require(key);
        self.text(key)
    }

    /// The text under `key`.
    pub(in crate::config) fn text(&mut self, key: &'static str) -> Option<At<&'d str>> {
        let entry = self.entry(key)?;
        Some(At { value: entry.text()?, span: entry.span() })
    }
}

impl<'d> Entry<'d> {
    pub(in crate::config) fn value(&self) -> &'d DeValue<'d> {
        self.value.get_ref()
    }

    pub(in crate::config) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// Reports an error, or passes the value on.
    pub(in crate::config) fn checked<T>(&self, result: Result<T, String>) -> Option<T> {
        self.report.checked(self.span(), result)
    }

    /// The text.
    pub(in crate::config) fn text(&self) -> Option<&'d str> {
        self.text_or(|found| format!("`{}` must be text: write \"{found}\"", self.key))
    }

    /// The text, where `bare_number` is the error for a number.
    pub(in crate::config) fn text_or(
        &self,
        bare_number: impl Fn(&str) -> String,
    ) -> Option<&'d str> {
        self.checked(match self.value() {
            DeValue::String(text) => Ok(text),
            DeValue::Integer(number) => Err(bare_number(number.as_str())),
            other => {
                Err(format!("`{}` must be text in quotes, not {}", self.key, other.type_str()))
            }
        })
    }

    /// The text, which may also be written as a bare number.
    pub(in crate::config) fn text_or_number(&self) -> Option<&'d str> {
        self.checked(match self.value() {
            DeValue::String(text) => Ok(text),
            DeValue::Integer(number) => Ok(number.as_str()),
            other => {
                let (key, other) = (self.key, other.type_str());
                Err(format!("`{key}` must be text in quotes or a number, not {other}"))
            }
        })
    }

    /// The number, which must be in `range`.
    pub(in crate::config) fn count<T: Number>(&self, range: &RangeInclusive<T>) -> Option<T> {
        let key = self.key;
        let bounds = format!("from {} to {}", range.start(), range.end());
        self.checked(match self.value() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .and_then(|count| T::try_from(count).ok())
                .filter(|count| range.contains(count))
                .ok_or_else(|| format!("`{key}` is {number}: it goes {bounds}")),
            DeValue::String(text) if text.parse::<u64>().is_ok() => {
                Err(format!("`{key}` must be a number: write {text} without quotes"))
            }
            _ => Err(format!("`{key}` must be a whole number, {bounds}")),
        })
    }

    /// The elements of the list; `example` is shown if it is none.
    pub(in crate::config) fn elements(
        &self,
        example: &str,
    ) -> Option<impl Iterator<Item = Entry<'d>> + use<'d>> {
        let (key, report) = (self.key, self.report);
        let wrong = || format!("`{key}` must be a list: write it like {example}");
        let array = self.checked(self.value().as_array().ok_or_else(wrong))?;
        Some(array.iter().map(move |value| Entry { key, value, report }))
    }

    /// The texts in the table, by the names that the user chose, sorted by name.
    pub(in crate::config) fn named_texts(&self) -> Option<Vec<(At<&'d str>, At<&'d str>)>> {
        let (key, report) = (self.key, self.report);
        let example = match report.format() {
            TextFormat::Toml => "{ name = \"value\" }",
            TextFormat::Json => "{\"name\": \"value\"}",
        };
        let wrong = || format!("`{key}` must be a table: write it like {example}");
        let table = self.checked(self.value().as_table().ok_or_else(wrong))?;
        let texts = table.iter().filter_map(|(name, value)| {
            let entry = Entry { key, value, report };
            let text = entry.text_or(|found| format!("`{key}` must have text: write \"{found}\""));
            let name = At { value: name_text(name), span: name.span() };
            Some((name, At { value: text?, span: entry.span() }))
        });
        Some(texts.collect())
    }
}

fn name_text<'d>(name: &'d Spanned<DeString<'d>>) -> &'d str {
    name.get_ref()
}
