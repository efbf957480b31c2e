//! Request targets (RFC 9112 §3.2, RFC 3986) and hosts.

use super::classes::{is_host_name, is_ip_literal};
use super::{Refusal, Scheme};

/// The parts of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'b> {
    /// The forwarded part: origin-form, `*`, or an authority. A query alone is forwarded behind a
    /// `/` (RFC 9112 §3.2.1).
    pub forwarded: &'b [u8],
    /// The path, without query.
    pub path: &'b [u8],
    /// The authority of an absolute-form or of CONNECT.
    pub authority: Option<&'b [u8]>,
}

/// Splits a target by the form that its method requires.
pub fn read<'b>(
    target: &'b [u8],
    is_connect: bool,
    is_options: bool,
    scheme: Scheme,
) -> Result<Target<'b>, Refusal> {
    if is_connect {
        // Without a port there is no address to connect to (RFC 9110 §9.3.6).
        if !matches!(port_of(target), Some([_, ..])) {
            return Err(Refusal::MalformedTarget);
        }
        return Ok(Target { forwarded: target, path: b"", authority: Some(target) });
    }
    if target == b"*" {
        return match is_options {
            true => Ok(Target { forwarded: target, path: target, authority: None }),
            false => Err(Refusal::MalformedTarget),
        };
    }
    if target.first() == Some(&b'/') {
        let path = check_origin_form(target)?;
        return Ok(Target { forwarded: target, path, authority: None });
    }
    read_absolute(target, is_options, scheme)
}

fn read_absolute(target: &[u8], is_options: bool, served: Scheme) -> Result<Target<'_>, Refusal> {
    let Some(colon) = target.iter().position(|byte| *byte == b':') else {
        return Err(Refusal::MalformedTarget);
    };
    let (scheme, rest) = target.split_at(colon);
    let Some(rest) = rest.strip_prefix(b"://") else { return Err(Refusal::MalformedTarget) };
    if !scheme.eq_ignore_ascii_case(served.name().as_bytes()) {
        let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b));
        return Err(if is_scheme { Refusal::WrongScheme } else { Refusal::MalformedTarget });
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, origin) = rest.split_at(end);
    if !is_host(authority) {
        return Err(Refusal::MalformedTarget);
    }
    let target = |forwarded, path| Target { forwarded, path, authority: Some(authority) };
    Ok(match origin.first() {
        // The request is about the server as a whole (RFC 9112 §3.2.4).
        None if is_options => target(b"*", b"*"),
        None => target(b"/", b"/"),
        Some(b'?') => {
            check_query(origin)?;
            target(origin, b"/")
        }
        Some(_) => target(origin, check_origin_form(origin)?),
    })
}

const FINE: u8 = 0;
const REFUSED: u8 = 1;
const PERCENT: u8 = 2;
const QUESTION: u8 = 3;
const DOT: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [REFUSED; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        classes[byte] = match byte as u8 {
            b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'}' => REFUSED,
            b'%' => PERCENT,
            b'?' => QUESTION,
            b'.' => DOT,
            _ => FINE,
        };
        byte += 1;
    }
    classes
};

/// Checks a path with an optional query; returns the path.
fn check_origin_form(target: &[u8]) -> Result<&[u8], Refusal> {
    let mut at = 0;
    let mut may_have_dot_segments = false;
    let class_of = |byte: &u8| CLASSES[usize::from(*byte)];
    loop {
        let special = target[at..].iter().position(|byte| class_of(byte) != FINE);
        at = special.map_or(target.len(), |special| at + special);
        if at == target.len() {
            break;
        }
        match class_of(&target[at]) {
            DOT => may_have_dot_segments |= target[at - 1] == b'/' || target[at - 1] == b'.',
            PERCENT => {
                let is_dot = check_percent(&target[at + 1..])? == b'.';
                may_have_dot_segments |= is_dot;
                at += 2;
            }
            QUESTION => break,
            _ => return Err(Refusal::MalformedTarget),
        }
        at += 1;
    }
    let (path, query) = target.split_at(at);
    if may_have_dot_segments && path.split(|byte| *byte == b'/').any(is_dot_segment) {
        return Err(Refusal::DotSegmentInTarget);
    }
    check_query(query)?;
    Ok(path)
}

/// A query decides nothing, so it may have bytes that many clients send in it unencoded. `#` would
/// begin a fragment, which is no part of a target.
fn check_query(query: &[u8]) -> Result<(), Refusal> {
    let is_bad = |byte: u8| (byte <= b' ') | (byte == b'#') | (byte == 0x7f);
    if query.iter().fold(false, |any, byte| any | is_bad(*byte)) {
        return Err(Refusal::MalformedTarget);
    }
    Ok(())
}

/// The value of two hexadecimal digits; NUL is refused.
fn check_percent(rest: &[u8]) -> Result<u8, Refusal> {
    let digit = |at: usize| {
        let digit = rest.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        digit.ok_or(Refusal::MalformedTarget)
    };
    match digit(0)? * 16 + digit(1)? {
        0 => Err(Refusal::MalformedTarget),
        byte => Ok(byte as u8),
    }
}

/// `.` or `..`, each dot plain or as `%2e`.
fn is_dot_segment(segment: &[u8]) -> bool {
    let mut rest = segment;
    let mut dots = 0;
    while !rest.is_empty() {
        rest = match rest {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return false,
        };
        dots += 1;
    }
    dots == 1 || dots == 2
}

/// True for a host with an optional port: a name, an IPv4 address, or an IPv6 one in brackets. An
/// empty host is not one.
pub fn is_host(host: &[u8]) -> bool {
    port_of(host).is_some()
}

/// True if two hosts with optional ports are equal: letters in either case, and the scheme's
/// default port if there is none (RFC 9110 §4.2.3).
pub fn is_same_authority(one: &[u8], other: &[u8], default_port: u16) -> bool {
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    let (Some(one_port), Some(other_port)) = (port_of(one), port_of(other)) else { return false };
    port_number(one_port, default_port) == port_number(other_port, default_port)
        && without_port(one).eq_ignore_ascii_case(without_port(other))
}

fn port_number(digits: &[u8], default_port: u16) -> u32 {
    match digits {
        [] => default_port.into(),
        _ => digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit & 0xf)),
    }
}

/// A host without its port. What is no host stays as it is.
pub fn without_port(host: &[u8]) -> &[u8] {
    let digits = port_of(host).map_or(0, <[u8]>::len);
    let name = &host[..host.len() - digits];
    name.strip_suffix(b":").unwrap_or(name)
}

/// The digits of a host's port, none of them if it has no port. None if it is not a host.
fn port_of(host: &[u8]) -> Option<&[u8]> {
    let digits = host.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (name, port) = match host.split_at(host.len() - digits) {
        ([name @ .., b':'], port) => (name, port),
        _ => (host, &b""[..]),
    };
    let is_name = match name {
        [b'[', literal @ .., b']'] => is_ip_literal(literal),
        _ => is_host_name(name),
    };
    (is_name && is_port(port)).then_some(port)
}

/// `*DIGIT` (RFC 3986 §3.2.3), and a valid number of a port.
fn is_port(digits: &[u8]) -> bool {
    digits.len() <= 5
        && digits.iter().all(u8::is_ascii_digit)
        && port_number(digits, 0) <= u32::from(u16::MAX)
}
