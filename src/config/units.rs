//! The syntax of counts, durations, sizes and words. Each value is printed in one form, which
//! parses to the same value.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const SIZE_UNITS: [(&str, u64); 4] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Splits a leading run of digits from the rest.
fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Splits a leading run of letters from the rest.
fn split_letters(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len()))
}

/// Reads `2s`, `250ms`, `1m30s`. Units: d, h, m, s, ms, the greater ones first, each at most
/// once. The error is a sentence for the user.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    read_duration(text).ok_or_else(|| match meant_duration(text) {
        Some(meant) => format!("`{text}` is not a duration: did you mean \"{meant}\"?"),
        None if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => bare_duration(text),
        None => format!("`{text}` is not a duration: write it like \"2s\", \"250ms\" or \"1m30s\""),
    })
}

/// The duration in a text, none if it is malformed.
fn read_duration(text: &str) -> Option<Duration> {
    let mut millis = 0u64;
    let mut units = DURATION_UNITS.iter();
    let mut rest = text;
    while !rest.is_empty() {
        let (digits, tail) = split_digits(rest);
        let (unit, tail) = split_letters(tail);
        let (_, unit_millis) = units.by_ref().find(|(name, _)| *name == unit)?;
        let part = digits.parse::<u64>().ok()?.checked_mul(*unit_millis)?;
        millis = millis.checked_add(part)?;
        rest = tail;
    }
    (!text.is_empty()).then(|| Duration::from_millis(millis))
}

/// Accepts the longer names of units and the blanks of other programs: `5 sec`, `1.5 s`,
/// `2 Minutes`.
fn meant_duration(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let text = text.to_ascii_lowercase();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let unit = match unit {
        "d" | "day" | "days" => "d",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => "ms",
        _ => return None,
    };
    let (_, unit_millis) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let millis = number.parse::<f64>().ok().filter(|_| is_number)? * *unit_millis as f64;
    let is_whole = millis.fract() == 0.0 && (1.0..1e12).contains(&millis);
    is_whole.then(|| print_duration(Duration::from_millis(millis as u64)))
}

/// The error for a duration without a unit.
pub fn bare_duration(number: &str) -> String {
    format!("`{number}` has no unit: did you mean \"{number}s\" or \"{number}ms\"?")
}

/// Prints a duration, to the millisecond, as [`parse_duration`] reads it.
pub fn print_duration(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, unit_millis) in DURATION_UNITS {
        let count = millis / unit_millis;
        if count > 0 {
            text += &format!("{count}{name}");
            millis %= unit_millis;
        }
    }
    text
}

/// Reads `64B`, `16KiB`, `1MiB`, `2GiB`, into bytes. The error is a sentence for the user.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = split_digits(text);
    if !digits.is_empty() && unit.is_empty() {
        return Err(bare_size(text));
    }
    let malformed =
        || format!("`{text}` is not a size: write it like \"64B\", \"16KiB\" or \"1MiB\"");
    let meant = match unit {
        "k" | "K" | "KB" | "kB" | "kb" | "kib" | "KIB" => Some("KiB"),
        "m" | "M" | "MB" | "mb" | "mib" | "MIB" => Some("MiB"),
        "g" | "G" | "GB" | "gb" | "gib" | "GIB" => Some("GiB"),
        "b" => Some("B"),
        _ => None,
    };
    if let (Some(meant), false) = (meant, digits.is_empty()) {
        return Err(format!("`{text}` is not a size: did you mean \"{digits}{meant}\"?"));
    }
    let (_, unit_bytes) =
        SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
    let count: u64 = digits.parse().map_err(|_| malformed())?;
    count.checked_mul(*unit_bytes).ok_or_else(malformed)
}

/// The error for a size without a unit.
pub fn bare_size(number: &str) -> String {
    format!("`{number}` has no unit: did you mean \"{number}B\" or \"{number}KiB\"?")
}

/// Prints bytes in the greatest unit that leaves a whole number.
pub fn print_size(bytes: u64) -> String {
    let fits = SIZE_UNITS.iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    let (name, unit) = fits.unwrap_or(&SIZE_UNITS[3]);
    format!("{}{name}", bytes / unit)
}

/// The number, if it is in the range.
pub fn parse_count<T>(text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + Display,
{
    let bounds = format!("it goes from {} to {}", range.start(), range.end());
    let count = text.parse().map_err(|_| format!("`{text}` is not a number: {bounds}"))?;
    if range.contains(&count) {
        Ok(count)
    } else {
        Err(format!("{count} is out of range: {bounds}"))
    }
}

/// Longest word that is compared, bytes: comparing takes length times length.
const SLIP_BYTES_MAX: usize = 256;

/// The known word that is closest to `word`.
pub fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > SLIP_BYTES_MAX {
        return None;
    }
    let word = word.to_lowercase();
    known
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// "`a`, `b` or `c`".
pub fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, millis) in
            [("2s", 2000), ("250ms", 250), ("1h", 3_600_000), ("1m30s", 90_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, part) in [
            ("5", "\"5s\" or \"5ms\""),
            ("", "not a duration"),
            ("s", "not a duration"),
            ("1.5s", "did you mean \"1s500ms\"?"),
            ("-1s", "not a duration"),
            ("1s1m", "not a duration"),
            ("1s1s", "not a duration"),
            ("1s ", "did you mean \"1s\"?"),
            ("1s1", "not a duration"),
            ("1 s", "did you mean \"1s\"?"),
            ("5sec", "did you mean \"5s\"?"),
            ("2 Minutes", "did you mean \"2m\"?"),
            ("0.1ms", "not a duration"),
            ("1e3s", "not a duration"),
            ("99999999999999999999d", "not a duration"),
            ("18446744073709551615d", "not a duration"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [("0B", 0), ("64B", 64), ("16KiB", 16384), ("1MiB", 1 << 20)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(print_size(bytes), text);
        }
        for (text, part) in [
            ("16384", "\"16384B\""),
            ("16k", "\"16KiB\""),
            ("1mb", "\"1MiB\""),
            ("KiB", "not a size"),
            ("", "not a size"),
            ("1.5KiB", "not a size"),
            ("16 KiB", "not a size"),
            ("99999999999GiB", "not a size"),
        ] {
            let error = parse_size(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_printed_is_read_as_the_same() {
        let mut prng = Prng::new(11);
        for _ in 0..10_000 {
            let number = prng.next_u64() >> prng.below(63);
            assert_eq!(parse_size(&print_size(number)), Ok(number));
            let duration = Duration::from_millis(number);
            assert_eq!(parse_duration(&print_duration(duration)), Ok(duration));
        }
    }

    #[test]
    fn a_close_word_is_found_and_a_strange_one_is_not() {
        let known = ["buffer_size", "buffers_per_shard", "shards"];
        assert_eq!(closest("bufer_size", known.into_iter()), Some("buffer_size"));
        assert_eq!(closest("Shard", known.into_iter()), Some("shards"));
        assert_eq!(closest("colour", known.into_iter()), None);
        assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
