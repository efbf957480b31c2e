//! Bytes as text: UTF-8, without a byte order mark. Does not: decode another encoding.

/// The byte order mark of UTF-8 (The Unicode Standard, 23.8).
const MARK: char = '\u{feff}';

/// The text of a file or a body.
///
/// # Errors
/// The kind of file that it is, and the remedy, as the rest of a sentence that names it.
pub fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    if is_utf16(&bytes) {
        return Err("it is UTF-16: save it as UTF-8 (iconv -f UTF-16 -t UTF-8)".to_owned());
    }
    if bytes.contains(&0) {
        return Err("it is not text, it has a byte 0: is it another file?".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!(
            "it is not UTF-8, first on line {line}, byte 0x{:02X}: save it as UTF-8 (from Latin-1: \
             iconv -f ISO-8859-1 -t UTF-8)",
            bytes[at]
        )
    })
}

/// True for UTF-16, by its byte order mark, or by the zeros beside the characters of ASCII.
fn is_utf16(bytes: &[u8]) -> bool {
    let pair = |odd: usize| bytes.len() > 3 && bytes[odd] == 0 && bytes[odd + 2] == 0;
    let ascii = |odd: usize| bytes.len() > 3 && bytes[odd] != 0 && bytes[odd + 2] != 0;
    matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..])
        || (pair(0) && ascii(1))
        || (pair(1) && ascii(0))
}

/// A text without the mark.
pub fn unmarked(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_said_with_how_to_mend_it() {
        let utf16 = |mark: &[u8], order: fn(u16) -> [u8; 2]| {
            let units = "[runtime]\nä".encode_utf16();
            [mark.to_vec(), units.flat_map(order).collect()].concat()
        };
        for (bytes, part) in [
            (utf16(&[0xff, 0xfe], u16::to_le_bytes), "it is UTF-16: save it as UTF-8"),
            (utf16(&[0xfe, 0xff], u16::to_be_bytes), "it is UTF-16"),
            (utf16(&[], u16::to_le_bytes), "it is UTF-16"),
            (utf16(&[], u16::to_be_bytes), "it is UTF-16"),
            (b"a = 1\nb = \"\xe4\"\n".to_vec(), "on line 2, byte 0xE4: save it as UTF-8"),
            (b"\x7fELF\x02\x01\x01\0\0\0\0\0".to_vec(), "it is not text"),
            (vec![0; 64], "it is not text"),
            (b"\x80".to_vec(), "on line 1, byte 0x80"),
        ] {
            let error = text_of(bytes.clone()).expect_err(part);
            assert!(error.contains(part), "{bytes:?}: {error}");
        }
        assert_eq!(text_of("ä".into()), Ok("ä".to_owned()));
        assert_eq!((text_of(Vec::new()), unmarked("\u{feff}a")), (Ok(String::new()), "a"));
    }
}
