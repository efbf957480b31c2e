//! Classes of bytes, looked up in one table: a test of each byte against a set costs more than all
//! other checks of it.

const TOKEN: u8 = 1;
const HOST_NAME: u8 = 2;
const IP_LITERAL: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        let mut class = 0;
        if byte.is_ascii_alphanumeric() || is_among(byte, b"!#$%&'*+-.^_`|~") {
            class |= TOKEN;
        }
        if byte.is_ascii_alphanumeric() || is_among(byte, b"-._~!$&'()*+;=%") {
            class |= HOST_NAME;
        }
        if byte.is_ascii_hexdigit() || is_among(byte, b":.") {
            class |= IP_LITERAL;
        }
        classes[byte as usize] = class;
        byte += 1;
    }
    classes
};

const fn is_among(byte: u8, set: &[u8]) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

/// True if all bytes are of a class. There is no early exit: almost all are, and so few are looked
/// at that the branch for each would cost more.
#[inline(always)]
fn are(bytes: &[u8], class: u8) -> bool {
    bytes.iter().fold(class, |common, byte| common & CLASSES[usize::from(*byte)]) != 0
}

/// True for a byte of a token (RFC 9110 §5.6.2).
pub const fn is_token_byte(byte: u8) -> bool {
    CLASSES[byte as usize] & TOKEN != 0
}

/// True for a token (RFC 9110 §5.6.2).
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && are(bytes, TOKEN)
}

/// True for a registered name or an IPv4 address (RFC 3986 §3.2.2) without a comma.
pub fn is_host_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && are(bytes, HOST_NAME)
}

/// True for an IPv6 address (RFC 3986 §3.2.2), as far as its bytes show it.
pub fn is_ip_literal(bytes: &[u8]) -> bool {
    !bytes.is_empty() && are(bytes, IP_LITERAL)
}
