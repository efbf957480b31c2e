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

fn has(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// True for a byte of a token (RFC 9110 §5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    has(byte, TOKEN)
}

/// True for a byte of a registered name or an IPv4 address (RFC 3986 §3.2.2), but a comma.
pub(super) fn is_host_name(byte: u8) -> bool {
    has(byte, HOST_NAME)
}

/// True for a byte of an IPv6 address (RFC 3986 §3.2.2).
pub(super) fn is_ip_literal(byte: u8) -> bool {
    has(byte, IP_LITERAL)
}

/// The first bytes that are of a class, and the bytes behind them.
pub(super) fn split_behind(bytes: &[u8], is_of_class: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !is_of_class(*byte));
    bytes.split_at(end.unwrap_or(bytes.len()))
}
