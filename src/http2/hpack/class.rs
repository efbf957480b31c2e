//! What a name means for the section that it is in. An entry of a table remembers it, so that only
//! literals are classified.

/// The class of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http2) enum Class {
    /// `:authority`
    Authority,
    /// `:method`
    Method,
    /// `:path`
    Path,
    /// `:protocol` (RFC 8441 §4)
    Protocol,
    /// `:scheme`
    Scheme,
    /// `:status`
    Status,
    /// A pseudo-field that no RFC defines for these messages.
    UnknownPseudo,
    /// Not a token, or with a capital letter (RFC 9113 §8.2.1).
    Malformed,
    /// A field that HTTP/2 does not have (RFC 9113 §8.2.2).
    ConnectionSpecific,
    /// `te`
    Te,
    /// `content-length`
    ContentLength,
    /// `cookie`
    Cookie,
    /// `priority` (RFC 9218 §5)
    Priority,
    /// Any other.
    Other,
}

/// The bytes of a token that are not capital letters (RFC 9110 §5.6.2, RFC 9113 §8.2.1).
static NAME_BYTES: [bool; 256] = {
    let mut bytes = [false; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        bytes[byte as usize] =
            crate::head::classes::is_token_byte(byte) && !byte.is_ascii_uppercase();
        byte += 1;
    }
    bytes
};

impl Class {
    /// The class of a name.
    #[inline]
    pub(in crate::http2) fn of(name: &[u8]) -> Self {
        match name {
            [b':', ..] => Self::of_pseudo(name),
            b"te" => Self::Te,
            b"cookie" => Self::Cookie,
            b"upgrade" => Self::ConnectionSpecific,
            b"priority" => Self::Priority,
            b"connection" | b"keep-alive" => Self::ConnectionSpecific,
            b"content-length" => Self::ContentLength,
            b"proxy-connection" => Self::ConnectionSpecific,
            b"transfer-encoding" => Self::ConnectionSpecific,
            [] => Self::Malformed,
            _ if name.iter().all(|byte| NAME_BYTES[usize::from(*byte)]) => Self::Other,
            _ => Self::Malformed,
        }
    }

    fn of_pseudo(name: &[u8]) -> Self {
        match name {
            b":authority" => Self::Authority,
            b":method" => Self::Method,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            b":scheme" => Self::Scheme,
            b":status" => Self::Status,
            _ => Self::UnknownPseudo,
        }
    }
}

/// True for a value that may be in a field: no control byte but TAB (of which RFC 9113 §8.2.1
/// forbids NUL, CR and LF, and HTTP/1 the others), and no blank at either end.
#[inline]
pub(in crate::http2) fn is_valid_value(value: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !is_blank(value.first()) && !is_blank(value.last()) && !has_control(value)
}

/// Almost every value is valid, so all bytes are checked without an early exit, sixteen at once;
/// the last sixteen may overlap with those before them.
#[inline]
fn has_control(value: &[u8]) -> bool {
    let is_control = |byte: u8| u8::from((byte < b' ') & (byte != b'\t') | (byte == 0x7f));
    let Some(last) = value.last_chunk::<16>() else {
        return value.iter().fold(0, |any, byte| any | is_control(*byte)) != 0;
    };
    let mut flaws = [0; 16];
    for chunk in value.as_chunks::<16>().0.iter().chain([last]) {
        for at in 0..16 {
            flaws[at] |= is_control(chunk[at]);
        }
    }
    flaws.iter().fold(0, |any, flaw| any | flaw) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_tokens() {
        for byte in 0..=u8::MAX {
            for name in [vec![byte], vec![b'a', byte], vec![byte, b'a'], vec![b'a', byte, b'a']] {
                let is_name = byte.is_ascii_lowercase()
                    || byte.is_ascii_digit()
                    || b"!#$%&'*+-.^_`|~".contains(&byte);
                let expected = match is_name {
                    true => Class::Other,
                    false if name[0] == b':' => Class::UnknownPseudo,
                    false => Class::Malformed,
                };
                assert_eq!(Class::of(&name), expected, "{}", name.escape_ascii());
            }
        }
        assert_eq!(Class::of(b""), Class::Malformed);
        assert_eq!(Class::of(b"Te"), Class::Malformed);
        assert_eq!(Class::of(b":Path"), Class::UnknownPseudo);
    }

    #[test]
    fn values_have_no_control_bytes_wherever_and_no_blanks_around() {
        for length in 1..=50 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut value = vec![b'a'; length];
                    value[at] = byte;
                    let is_inside = at > 0 && at < length - 1;
                    let is_text = byte > b' ' && byte != 0x7f;
                    let is_good = is_text || (is_inside && matches!(byte, b' ' | b'\t'));
                    assert_eq!(is_valid_value(&value), is_good, "{byte:#x} at {at} of {length}");
                }
            }
        }
        assert!(is_valid_value(b""));
    }
}
