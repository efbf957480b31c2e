//! The kinds of values that keys of several sections have. Each is printed as it is read.

use super::Kind;
use crate::config::choices::{Choice, unknown_choice};
use crate::config::raw::{Entry, Number};
use crate::config::units::{bare_duration, bare_size, print_duration, print_size};
use crate::config::values::{check_power_of_two, check_prime, parse_path, parse_size_in};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use toml::Value;
use toml::de::DeValue;

/// The word for any number.
const ANY: &str = "any";

/// Reads a text. The error is a sentence for the user.
type Parse<T> = fn(&str) -> Result<T, String>;

/// The printed form of a text.
pub(in crate::config) fn shown(value: impl Display) -> Value {
    Value::String(value.to_string())
}

/// The printed form of a number. Those of the configuration are far below the greatest of TOML.
pub(in crate::config) fn number(value: impl Number) -> Value {
    Value::Integer(value.try_into().unwrap_or(i64::MAX))
}

/// A word among those of a choice.
pub(in crate::config) fn word<C: Choice>() -> Kind<C> {
    Kind::new(
        |entry| {
            let word = entry.text()?;
            entry.checked(C::of_word(word).ok_or_else(|| unknown_choice::<C>(entry.key, word)))
        },
        |choice| shown(choice.word()),
    )
}

/// `true` or `false`.
pub(in crate::config) fn flag() -> Kind<bool> {
    Kind::new(
        |entry| {
            let wrong = || format!("`{}` must be true or false, without quotes", entry.key);
            entry.checked(entry.value().as_bool().ok_or_else(wrong))
        },
        |flag| Value::Boolean(*flag),
    )
}

/// A whole number.
pub(in crate::config) fn count<T: Number>(range: RangeInclusive<T>) -> Kind<T> {
    Kind::new(move |entry| entry.count(&range), |count| number(*count))
}

/// A whole number; 0: no limit.
pub(in crate::config) fn limit<T: Number>(most: T) -> Kind<T> {
    let zero = T::try_from(0).ok().expect("every kind of number has a zero");
    let range = zero..=most;
    Kind::new(
        move |entry| match below_zero(entry, &range, "0") {
            Some(wrong) => entry.checked(Err(wrong)),
            None => entry.count(&range),
        },
        |count| number(*count),
    )
}

/// The error for a negative number, by which other programs have no limit.
fn below_zero<T: Number>(
    entry: &Entry<'_>,
    range: &RangeInclusive<T>,
    unlimited: &str,
) -> Option<String> {
    let DeValue::Integer(number) = entry.value() else { return None };
    number.as_str().starts_with('-').then(|| {
        let (key, from, to) = (entry.key, range.start(), range.end());
        format!(
            "`{key}` is {number}: it goes from {from} to {to}, and without a limit it is \
             {unlimited}"
        )
    })
}

/// A whole number, or `any`: none.
pub(in crate::config) fn count_or_any<T: Number>(range: RangeInclusive<T>) -> Kind<Option<T>> {
    Kind::new(
        move |entry| match entry.value() {
            DeValue::String(text) if text.as_ref() == ANY => Some(None),
            DeValue::String(text) if text.parse::<u64>().is_err() => {
                let (key, from, to) = (entry.key, range.start(), range.end());
                let wrong = format!("`{key}` must be \"{ANY}\" or a number, from {from} to {to}");
                entry.checked(Err(wrong))
            }
            _ => match below_zero(entry, &range, "\"any\"") {
                Some(wrong) => entry.checked(Err(wrong)),
                None => entry.count(&range).map(Some),
            },
        },
        |count| count.map_or_else(|| shown(ANY), number),
    )
}

/// A whole number that is a power of two.
pub(in crate::config) fn power_of_two<T: Number>(range: RangeInclusive<T>) -> Kind<T> {
    Kind::new(
        move |entry| {
            let count = entry.count(&range)?;
            let checked = check_power_of_two(count.try_into().unwrap_or(0));
            entry.checked(checked.map(|()| count))
        },
        |count| number(*count),
    )
}

/// A whole number that is prime.
pub(in crate::config) fn prime(range: RangeInclusive<u32>) -> Kind<u32> {
    Kind::new(
        move |entry| {
            let count = entry.count(&range)?;
            entry.checked(check_prime(count, &range).map(|()| count))
        },
        |count| number(*count),
    )
}

/// A list of whole numbers.
pub(in crate::config) fn counts<T: Number>(range: RangeInclusive<T>) -> Kind<Vec<T>> {
    Kind::new(
        move |entry| {
            Some(entry.elements("[1, 2]")?.filter_map(|entry| entry.count(&range)).collect())
        },
        |counts| Value::Array(counts.iter().copied().map(number).collect()),
    )
}

/// A number with or without a fraction.
pub(in crate::config) fn fraction(range: RangeInclusive<f64>) -> Kind<f64> {
    let bounds = format!("from {} to {}", range.start(), range.end());
    fraction_where(move |number| range.contains(number), bounds)
}

/// The same, or 0.
pub(in crate::config) fn fraction_or_zero(range: RangeInclusive<f64>) -> Kind<f64> {
    let bounds = format!("from {} to {}, or 0 for none", range.start(), range.end());
    fraction_where(move |number| *number == 0.0 || range.contains(number), bounds)
}

fn fraction_where(is_right: impl Fn(&f64) -> bool + 'static, bounds: String) -> Kind<f64> {
    Kind::new(
        move |entry| {
            let key = entry.key;
            let number = entry.checked(match entry.value() {
                DeValue::Integer(number) => Ok(number.as_str()),
                DeValue::Float(number) => Ok(number.as_str()),
                _ => Err(format!("`{key}` must be a number, {bounds}")),
            })?;
            let number = number.parse().ok().filter(&is_right);
            let wrong = || format!("`{key}` is out of range: it goes {bounds}");
            entry.checked(number.ok_or_else(wrong))
        },
        |fraction| Value::Float(*fraction),
    )
}

/// A duration, as `250ms`.
pub(in crate::config) fn duration(parse: Parse<Duration>) -> Kind<Duration> {
    // A unit does not help a number that is wrong in every unit.
    let without_unit = move |number: &str| match parse(&format!("{number}s")) {
        Err(wrong) if number == "0" => wrong,
        _ => bare_duration(number),
    };
    Kind::new(
        move |entry| entry.checked(parse(entry.text_or(without_unit)?)),
        |duration| shown(print_duration(*duration)),
    )
}

/// Bytes, as `16KiB`.
pub(in crate::config) fn size<T: Number>(range: RangeInclusive<T>) -> Kind<T> {
    let bytes = |size: T| size.try_into().unwrap_or(u64::MAX);
    let bounds = bytes(*range.start())..=bytes(*range.end());
    Kind::new(
        move |entry| {
            let size = parse_size_in(entry.text_or(bare_size)?, bounds.clone());
            entry.checked(size).and_then(|size| T::try_from(size).ok())
        },
        |size| shown(print_size((*size).try_into().unwrap_or(u64::MAX))),
    )
}

/// A text.
pub(in crate::config) fn text<T: Display + 'static>(parse: Parse<T>) -> Kind<T> {
    Kind::new(move |entry| entry.checked(parse(entry.text()?)), |value| shown(value))
}

/// A text that may also be written as a bare number.
pub(in crate::config) fn text_or_number<T: Display + 'static>(parse: Parse<T>) -> Kind<T> {
    Kind::new(move |entry| entry.checked(parse(entry.text_or_number()?)), |value| shown(value))
}

/// A text; empty: none.
pub(in crate::config) fn optional<T: Display + 'static>(
    parse: Parse<Option<T>>,
) -> Kind<Option<T>> {
    Kind::new(
        move |entry| entry.checked(parse(entry.text()?)),
        |value| value.as_ref().map_or_else(|| shown(""), shown),
    )
}

/// A path; empty: none.
pub(in crate::config) fn path(parse: Parse<Option<PathBuf>>) -> Kind<Option<PathBuf>> {
    Kind::new(
        move |entry| entry.checked(parse(entry.text()?)),
        |path| path.as_ref().map_or_else(|| shown(""), |path| shown(path.display())),
    )
}

/// A path or a list of them.
pub(in crate::config) fn paths() -> Kind<Vec<PathBuf>> {
    Kind::new(
        |entry| {
            let one = |entry: &Entry<'_>| {
                let path = entry.checked(parse_path(entry.text()?))?;
                entry.checked(path.ok_or_else(|| "this path is empty: remove it".to_owned()))
            };
            match entry.value() {
                DeValue::String(_) => one(entry).map(|path| vec![path]),
                _ => {
                    Some(entry.elements("[\"ca.pem\"]")?.filter_map(|entry| one(&entry)).collect())
                }
            }
        },
        |paths| Value::Array(paths.iter().map(|path| shown(path.display())).collect()),
    )
}

/// A list of texts.
pub(in crate::config) fn texts<T: Display + 'static>(parse: Parse<T>) -> Kind<Vec<T>> {
    Kind::new(
        move |entry| {
            let bare = |found: &str| format!("`{}` must list text: write \"{found}\"", entry.key);
            let texts = entry.elements("[\"…\"]")?;
            Some(texts.filter_map(|entry| entry.checked(parse(entry.text_or(bare)?))).collect())
        },
        |values| Value::Array(values.iter().map(shown).collect()),
    )
}

/// A value that the code of its section reads: the table only prints it.
pub(in crate::config) fn by_hand<T>(print: fn(&T) -> Value) -> Kind<T> {
    Kind::new(|_| None, print)
}
