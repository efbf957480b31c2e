//! The bytes that a probe sends and those that it expects, as text or in hexadecimal digits.

use super::http_probes::parse_bounded;
use crate::config::PROBE_ANSWER_BYTES_MAX;
use crate::config::keys::kinds::{shown, text};
use crate::config::printing::PrintedKey;
use crate::config::raw::Section;

/// The keys, in the order of the reference.
pub(super) const KEYS: [&str; 4] = ["send", "send_hex", "expect", "expect_hex"];

/// What is sent, and what must be in the answer; each may be empty.
#[derive(Default)]
pub(super) struct ProbeBytes {
    pub(super) send: Vec<u8>,
    pub(super) expect: Vec<u8>,
}

impl ProbeBytes {
    /// Reads both; none if one of them is wrong, which was reported.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let [send, send_hex, expect, expect_hex] = KEYS;
        let send = bytes(section, send, send_hex);
        let expect = bytes(section, expect, expect_hex);
        Some(Self { send: send?, expect: expect? })
    }
}

/// The bytes under one of two keys; none if there are none.
fn bytes(
    section: &mut Section<'_>,
    as_text: &'static str,
    as_hex: &'static str,
) -> Option<Vec<u8>> {
    let written = text(parse_bounded).read_or(section, as_text, String::new());
    let hex = section.entry(as_hex).map(|entry| entry.checked(parse_hex(entry.text()?)));
    match hex {
        Some(_) if section.has(as_text) => {
            let message = format!("`{as_text}` and `{as_hex}` are the same in two forms");
            section.report().add_with_help(section.key_span(as_hex), message, "remove one of them");
            None
        }
        Some(hex) => hex,
        None => written.map(String::into_bytes),
    }
}

/// Pairs of hexadecimal digits, with space in between or not.
fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let mut digits = Vec::new();
    for word in text.split_whitespace() {
        for digit in word.chars() {
            digits.push(digit.to_digit(16).ok_or_else(|| {
                let shown = digit.escape_debug();
                format!("`{shown}` is no hexadecimal digit: write two for each byte, as \"0d 0a\"")
            })?);
        }
        if digits.len() % 2 != 0 {
            return Err(format!(
                "`{word}` ends in the middle of a byte: write two digits for each"
            ));
        }
    }
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect();
    match bytes.len() {
        0..=PROBE_ANSWER_BYTES_MAX => Ok(bytes),
        length => Err(format!("this is {length} bytes: at most {PROBE_ANSWER_BYTES_MAX}")),
    }
}

/// The key with its bytes: as text if one can read it.
pub(super) fn print(as_text: &'static str, as_hex: &'static str, bytes: &[u8]) -> PrintedKey {
    let is_readable = |char: char| !char.is_control() || "\r\n\t".contains(char);
    match str::from_utf8(bytes) {
        Ok(text) if text.chars().all(is_readable) => PrintedKey::new(as_text, shown(text)),
        _ => {
            let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            PrintedKey::new(as_hex, shown(digits.join(" ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_read_in_pairs() {
        for (text, bytes) in
            [("", &b""[..]), ("0d0A", b"\r\n"), (" 00 ff\n12ab ", b"\x00\xff\x12\xab")]
        {
            assert_eq!(parse_hex(text).as_deref(), Ok(bytes), "{text}");
        }
        for (text, part) in [
            ("0x00", "`x` is no hexadecimal digit"),
            ("0d:0a", "`:` is no hexadecimal digit"),
            ("0d 0 a", "`0` ends in the middle of a byte"),
        ] {
            let error = parse_hex(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(parse_hex(&"00".repeat(PROBE_ANSWER_BYTES_MAX + 1)).is_err());
    }
}
