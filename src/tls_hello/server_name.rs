//! Host names as a TLS server name (RFC 6066 §3, RFC 1035 §2.3.4), for comparison.

use super::Malformed;
use std::net::{Ipv4Addr, Ipv6Addr};

/// RFC 1035 §2.3.4 allows 255 bytes on the wire: these, the length of the first label and the root.
const NAME_BYTES_MAX: usize = 253;
/// RFC 1035 §2.3.4.
const LABEL_BYTES_MAX: usize = 63;

/// The name in lower case, in `room` if it has capital letters; `None` if it is an IP address or
/// ends with a dot.
///
/// # Errors
/// It is neither. Underscores are allowed: they are no part of host names and are in use.
pub fn read<'a>(name: &'a [u8], room: &'a mut Vec<u8>) -> Result<Option<&'a str>, Malformed> {
    let text = str::from_utf8(name).map_err(|_| Malformed::ServerName)?;
    if is_address(text) {
        return Ok(None);
    }
    let without_dot = text.strip_suffix('.').unwrap_or(text);
    if without_dot.len() > NAME_BYTES_MAX || !without_dot.split('.').all(is_label) {
        return Err(Malformed::ServerName);
    }
    if without_dot != text {
        return Ok(None);
    }
    if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Some(text));
    }
    room.clear();
    room.extend(name.iter().map(u8::to_ascii_lowercase));
    Ok(Some(str::from_utf8(room).expect("it is ASCII")))
}

fn is_label(label: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(is_allowed)
}

fn is_address(text: &str) -> bool {
    let in_brackets = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    text.parse::<Ipv4Addr>().is_ok() || in_brackets.unwrap_or(text).parse::<Ipv6Addr>().is_ok()
}
