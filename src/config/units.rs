//! Durations and sizes with their units, both ways.

use std::time::Duration;

const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Longest duration that may be configured.
const DURATION_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Reads `250ms`, `2s`, `5m`, `1h` or `7d`; at least a millisecond, at most 30 days.
///
/// # Errors
/// A sentence that says what to write.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let millis = parse(text, &DURATIONS).ok_or_else(|| {
        format!("`{text}` is not a duration: write a whole number and a unit, as in 250ms, 2s, 5m, 1h")
    })?;
    let duration = Duration::from_millis(millis);
    if millis == 0 || duration > DURATION_MAX {
        return Err(format!("`{text}` is out of range: a duration is 1ms to 30d"));
    }
    Ok(duration)
}

/// Reads `512B`, `16KiB`, `1MiB` or `1GiB`.
///
/// # Errors
/// A sentence that says what to write.
pub fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, &SIZES).ok_or_else(|| {
        format!("`{text}` is not a size: write a whole number and a unit, as in 512B, 16KiB, 1MiB")
    })
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The shortest way to write a duration exactly.
pub fn format_duration(duration: Duration) -> String {
    format(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATIONS)
}

/// The shortest way to write a size exactly.
pub fn format_size(bytes: u64) -> String {
    format(bytes, &SIZES)
}

fn format(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| value.is_multiple_of(*factor) && value >= *factor;
    let (unit, factor) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    format!("{}{unit}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for text in ["250ms", "2s", "90s", "5m", "1h", "7d"] {
            let duration = parse_duration(text).expect("valid");
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration), "{text}");
        }
        for text in ["1B", "0B", "16KiB", "1MiB", "3GiB", "1500B"] {
            let size = parse_size(text).expect("valid");
            assert_eq!(parse_size(&format_size(size)), Ok(size), "{text}");
        }
        assert_eq!(format_duration(Duration::from_secs(90)), "90s");
        assert_eq!(format_size(16 * 1024), "16KiB");
    }

    #[test]
    fn what_has_no_unit_or_makes_no_sense_is_refused() {
        for text in ["", "2", "s", "2 fortnights", "-1s", "0s", "99999999d", "1.5s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for text in ["", "16", "16K", "16kb", "KiB", "99999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
