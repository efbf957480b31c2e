//! Calls of gRPC: our own answers to them are in its terms, and their deadlines are kept.

use crate::base::Instant;
use crate::head::{RequestHead, list};
use std::time::Duration;

/// Most digits of a `grpc-timeout`.
const DIGITS_MAX: usize = 8;

/// What is known of a call from its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// When its deadline is over.
    pub(super) until: Option<Instant>,
}

impl Call {
    /// The call that a request is; none if it is none.
    pub(super) fn of(head: &RequestHead<'_, '_>, now: Instant) -> Option<Self> {
        if head.method.0 != b"POST" || !is_grpc(head.field("content-type")?) {
            return None;
        }
        let span = head.field("grpc-timeout").and_then(timeout);
        Some(Self { until: span.map(|span| now + span) })
    }

    /// True if its deadline is over.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// The code for an answer of this status: as gRPC maps those of HTTP, but that a limit on size
    /// is RESOURCE_EXHAUSTED, and what came too late is DEADLINE_EXCEEDED.
    pub(super) fn code(&self, status: u16, now: Instant) -> u8 {
        match status {
            504 if self.is_late(now) => 4,
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            413 | 431 => 8,
            429 | 502..=504 => 14,
            _ => 2,
        }
    }
}

/// True for `application/grpc`, alone or with a `+` and the name of a format.
fn is_grpc(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    let (name, rest) = media_type.split_at(media_type.len().min("application/grpc".len()));
    let ends = matches!(rest.trim_ascii(), [] | [b'+', ..]);
    name.eq_ignore_ascii_case(b"application/grpc") && ends
}

/// A `grpc-timeout`: digits and a unit.
fn timeout(value: &[u8]) -> Option<Duration> {
    let value = list(value).next()?;
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(number * 3_600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_digits_and_a_unit() {
        for (text, expected) in [
            ("10S", Some(Duration::from_secs(10))),
            ("99999999H", Some(Duration::from_secs(359_999_996_400))),
            ("250m", Some(Duration::from_millis(250))),
            ("1M", Some(Duration::from_secs(60))),
            ("7u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
            ("100000000S", None),
            ("S", None),
            ("10", None),
            ("-1S", None),
            ("1x", None),
            ("", None),
        ] {
            assert_eq!(timeout(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_call_is_known_by_its_type() {
        for (text, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/GRPC; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn statuses_are_those_of_grpc() {
        let (call, now) = (Call { until: None }, Instant::default());
        let codes = [400, 404, 413, 502, 503, 504, 500].map(|status| call.code(status, now));
        assert_eq!(codes, [13, 12, 8, 14, 14, 14, 2]);
        assert_eq!(Call { until: Some(now) }.code(504, now), 4);
    }
}
