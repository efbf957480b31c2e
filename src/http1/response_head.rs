//! Reading the head of a response. A backend is trusted no more than a client.

use super::Verdict;
use super::fields::{self, FieldStorage};
use crate::head::{
    FieldSet, Found, Kind, Refusal, ResponseBody, ResponseHead, ResponseTo, Rules, Version,
    read_fields,
};
use httparse::{ParserConfig, Response, Status};

impl<'b, 's> ResponseHead<'b, 's> {
    /// Parses a head at the start of `bytes`.
    pub fn parse(
        bytes: &'b [u8],
        storage: &'s mut FieldStorage<'b>,
        asked: ResponseTo,
        rules: &Rules,
    ) -> Verdict<Self> {
        let mut response = Response::new(&mut []);
        let length = match split(bytes, &mut response, storage, rules) {
            Ok(Some(length)) => length,
            Ok(None) => return Verdict::Incomplete,
            Err(refusal) => return Verdict::Refused(refusal),
        };
        match Self::judge(&bytes[..length], response, asked, rules) {
            Ok(head) => Verdict::Complete(head),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    /// The head that a complete one is by the rules.
    #[inline(always)]
    fn judge(
        head: &'b [u8],
        response: Response<'s, 'b>,
        asked: ResponseTo,
        rules: &Rules,
    ) -> Result<Self, Refusal> {
        fields::check_bytes(head)?;
        let (version, status, reason) = status_line(&response, head)?;
        if response.headers.len() > rules.fields_max {
            return Err(Refusal::TooManyFields);
        }
        let kind = kind_of(status, asked);
        let found = read_fields(response.headers, version, kind)?;
        Ok(Self {
            length: head.len(),
            status,
            version,
            body: body_of(status, &found, kind, asked),
            // Content that was announced may be sent all the same, and late.
            keep_alive: found.keep_alive(version) && !found.announces_content,
            idle_timeout: found.idle_timeout,
            upgrade: found.upgrade.filter(|value| found.connection.upgrade && !value.is_empty()),
            reason,
            fields: response.headers,
            dropped: found.dropped,
            never_indexed: FieldSet::default(),
            has_upgrade: found.upgrade.is_some(),
            connection: found.connection,
            content_length: found.content_length,
            is_chunked: found.is_chunked,
        })
    }
}

/// Splits the head at the start of `bytes`; returns its length, or none if it is incomplete.
#[inline(always)]
fn split<'b, 's>(
    bytes: &'b [u8],
    response: &mut Response<'s, 'b>,
    storage: &'s mut FieldStorage<'b>,
    rules: &Rules,
) -> Result<Option<usize>, Refusal> {
    check_start(bytes)?;
    // A blank between name and colon is removed from a response (RFC 9112 §5.1).
    let mut config = ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    let parsed = config.parse_response_with_uninit_headers(
        response,
        bytes,
        &mut storage.fields[..storage.most],
    );
    match parsed {
        Ok(Status::Complete(length)) if length <= rules.head_bytes_max => Ok(Some(length)),
        Ok(Status::Partial) if bytes.len() < rules.head_bytes_max => Ok(None),
        Ok(_) => Err(Refusal::HeadTooLarge),
        Err(error) => Err(fields::refusal_of(error)),
    }
}

/// Refuses bytes that can never become a status line, whatever follows.
fn check_start(bytes: &[u8]) -> Result<(), Refusal> {
    let known = b"HTTP/1.";
    let seen = bytes.len().min(known.len());
    if bytes[..seen] == known[..seen] { Ok(()) } else { Err(Refusal::MalformedStartLine) }
}

/// `HTTP/1.x SP 3DIGIT [SP reason] CRLF` (RFC 9112 §4), and not a byte more. The blank before a
/// missing reason may be missing too: many backends leave it out.
fn status_line<'b>(
    response: &Response<'_, 'b>,
    head: &'b [u8],
) -> Result<(Version, u16, &'b [u8]), Refusal> {
    let version = if response.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let line_end = line_end(response.reason.unwrap_or_default(), head);
    let line_end = line_end.ok_or(Refusal::MalformedStartLine)?;
    let line = &head[b"HTTP/1.1 ".len().min(line_end)..line_end];
    let (digits, reason) = line.split_at(line.len().min(3));
    let is_number = digits.len() == 3 && digits.iter().all(u8::is_ascii_digit);
    let reason = match reason {
        [] => reason,
        [b' ', reason @ ..] => reason,
        _ => return Err(Refusal::MalformedStatus),
    };
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    if !is_number || !(100..=999).contains(&status) {
        return Err(Refusal::MalformedStatus);
    }
    Ok((version, status, reason))
}

/// The end of the status line. Usually that is behind the reason as httparse returns it, which has
/// no line end in it.
fn line_end(reason: &str, head: &[u8]) -> Option<usize> {
    let usual = b"HTTP/1.1 200 ".len() + reason.len();
    if !reason.is_empty() && head.get(usual) == Some(&b'\r') {
        return Some(usual);
    }
    memchr::memchr(b'\r', head)
}

fn kind_of(status: u16, asked: ResponseTo) -> Kind {
    match status {
        100..=199 | 204 => Kind::EmptyResponse,
        200..=299 if asked.connect => Kind::EmptyResponse,
        _ => Kind::Response,
    }
}

/// The length of the body (RFC 9112 §6.3).
fn body_of(status: u16, found: &Found<'_>, kind: Kind, asked: ResponseTo) -> ResponseBody {
    if kind == Kind::EmptyResponse || asked.head || status == 304 {
        return ResponseBody::None;
    }
    match (found.is_chunked, found.content_length) {
        (true, _) => ResponseBody::Chunked,
        (false, Some(0)) => ResponseBody::None,
        (false, Some(bytes)) => ResponseBody::Sized(bytes),
        (false, None) => ResponseBody::UntilClose,
    }
}
