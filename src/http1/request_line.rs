//! The first line of a request (RFC 9112 §3).

use crate::head::classes::is_token;
use crate::head::rules::{METHOD_BYTES_MAX, check_method};
use crate::head::target::{self, Target};
use crate::head::{Method, Refusal, Rules, Version};
use httparse::Request;

/// The parts of a request line.
pub(super) struct RequestLine<'b> {
    method: &'b [u8],
    target: &'b [u8],
    version: Version,
}

impl<'b> RequestLine<'b> {
    /// From the parts that httparse returns.
    pub(super) fn of(request: &Request<'_, 'b>) -> Option<Self> {
        let version = if request.version? == 0 { Version::Http10 } else { Version::Http11 };
        Some(Self { method: request.method?.as_bytes(), target: request.path?.as_bytes(), version })
    }

    /// With a target that is not UTF-8: the line and its length, or none if it is incomplete.
    pub(super) fn with_any_target(bytes: &'b [u8]) -> Result<Option<(Self, usize)>, Refusal> {
        const LINE_ENDS: [&[u8]; 2] = [b"HTTP/1.0\r\n", b"HTTP/1.1\r\n"];
        let mut words = bytes.splitn(3, |byte| *byte == b' ');
        let (Some(method), Some(target), Some(rest)) = (words.next(), words.next(), words.next())
        else {
            return Err(Refusal::MalformedStartLine);
        };
        let has_control = target.iter().any(|byte| *byte < b' ' || *byte == 0x7f);
        if has_control || std::str::from_utf8(target).is_ok() {
            return Err(Refusal::MalformedStartLine); // the fault is another one
        }
        if LINE_ENDS.iter().any(|end| end.starts_with(rest)) && rest.len() < LINE_ENDS[0].len() {
            return Ok(None);
        }
        let version = match LINE_ENDS.map(|end| rest.starts_with(end)) {
            [true, _] => Version::Http10,
            [_, true] => Version::Http11,
            _ => return refuse_version(bytes),
        };
        let length = bytes.len() - rest.len() + LINE_ENDS[0].len();
        Ok(Some((Self { method, target, version }, length)))
    }
}

/// A parsed request line.
pub(super) struct StartLine<'b> {
    pub(super) method: Method<'b>,
    pub(super) target: Target<'b>,
    pub(super) version: Version,
}

impl<'b> StartLine<'b> {
    pub(super) fn of(line: &RequestLine<'b>, head: &[u8], rules: &Rules) -> Result<Self, Refusal> {
        let RequestLine { method, target, version } = *line;
        // METHOD SP target SP HTTP/1.x CRLF, and not a byte more: httparse accepts more blanks.
        let length = method.len() + target.len() + b"  HTTP/1.1\r\n".len();
        if head.get(length - 2..length) != Some(b"\r\n") || head[method.len() + 1] == b' ' {
            return Err(Refusal::MalformedStartLine);
        }
        if !is_token(method) {
            return Err(Refusal::MalformedStartLine);
        }
        if target.len() > rules.target_bytes_max {
            return Err(Refusal::TargetTooLong);
        }
        let method = Method(method);
        check_method(method, rules)?;
        let is_options = method.0 == b"OPTIONS";
        let target = target::read(target, method.is_connect(), is_options, rules.scheme)?;
        Ok(Self { method, target, version })
    }
}

/// True if [`check_start`] could refuse a head for its length, which httparse has split into lines.
pub(super) fn may_be_long(bytes: &[u8], request: &Request<'_, '_>, rules: &Rules) -> bool {
    let method_bytes = request.method.map_or(0, str::len);
    method_bytes > METHOD_BYTES_MAX || bytes.len() > line_bytes_max(rules)
}

/// Bytes of the longest request line, with its end.
pub(super) fn line_bytes_max(rules: &Rules) -> usize {
    METHOD_BYTES_MAX + rules.target_bytes_max + b"  HTTP/1.1\r\n".len()
}

/// Refuses bytes that can never become a request line, whatever follows: a client that speaks
/// another protocol should not run into a timeout.
pub(super) fn check_start(head: &[u8], rules: &Rules) -> Result<(), Refusal> {
    let method = head.iter().take(METHOD_BYTES_MAX + 1).position(|byte| *byte == b' ');
    let seen = &head[..method.unwrap_or(head.len().min(METHOD_BYTES_MAX + 1))];
    let is_begun_empty_line = seen == b"\r";
    if !(is_begun_empty_line || is_token(seen) || head.is_empty()) {
        return Err(Refusal::MalformedStartLine);
    }
    if seen.len() > METHOD_BYTES_MAX {
        return Err(Refusal::MalformedMethod);
    }
    let line_max = line_bytes_max(rules);
    if head.len() > line_max && memchr::memchr(b'\n', &head[..line_max]).is_none() {
        return Err(Refusal::TargetTooLong);
    }
    Ok(())
}

/// For a version that httparse refuses: none while it may still be that of another protocol, which
/// is distinguished from a malformed version (RFC 9112 §2.3, RFC 9110 §15.6.6).
pub(super) fn refuse_version<T>(head: &[u8]) -> Result<Option<T>, Refusal> {
    const FORM: &[u8] = b"HTTP/#.#\r";
    let version = head.splitn(3, |byte| *byte == b' ').nth(2).unwrap_or_default();
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'#' => byte.is_ascii_digit(),
        _ => byte == form,
    };
    if !version.iter().zip(FORM).all(fits) {
        return Err(Refusal::MalformedStartLine);
    }
    if version.len() < FORM.len() { Ok(None) } else { Err(Refusal::UnsupportedVersion) }
}
