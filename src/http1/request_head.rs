//! Reading the head of a request.

use super::Verdict;
use super::fields::{self, FieldStorage};
use super::request_line::{self, RequestLine, StartLine};
use crate::head::rules::{drop_underscores, expects_continue, host_of};
use crate::head::{
    BodyLength, Field, FieldSet, Kind, Refusal, RequestHead, Rules, Version, read_fields,
};
use httparse::{ParserConfig, Request, Status};

impl<'b, 's> RequestHead<'b, 's> {
    /// Parses a head at the start of `bytes`.
    pub fn parse(
        bytes: &'b [u8],
        storage: &'s mut FieldStorage<'b>,
        rules: &Rules,
    ) -> Verdict<Self> {
        let split = match Split::of(bytes, storage, rules) {
            Ok(Some(split)) => split,
            Ok(None) => return Verdict::Incomplete,
            Err(refusal) => return Verdict::Refused(refusal),
        };
        match Self::judge(bytes, split, rules) {
            Ok(head) => Verdict::Complete(head),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    /// The head that a complete one is by the rules.
    #[inline(always)]
    fn judge(bytes: &'b [u8], split: Split<'b, 's>, rules: &Rules) -> Result<Self, Refusal> {
        let Split { length, line, fields } = split;
        let seen = fields::check_bytes(&bytes[..length])?;
        let start = StartLine::of(&line, bytes, rules)?;
        if fields.len() > rules.fields_max {
            return Err(Refusal::TooManyFields);
        }
        let StartLine { method, target, version } = start;
        let mut found = read_fields(fields, version, Kind::Request)?;
        if seen.has_underscore {
            drop_underscores(fields, &mut found, rules)?;
        }
        let host = host_of(&found, target.authority, version, rules.scheme.port())?;
        let expects_continue = expects_continue(&found, version)?;
        let body = found.request_body();
        let asks_upgrade =
            found.connection.upgrade && version == Version::Http11 && body == BodyLength::None;
        Ok(Self {
            length,
            method,
            target: target.forwarded,
            path: target.path,
            host,
            version,
            body,
            keep_alive: found.keep_alive(version),
            expects_continue,
            upgrade: found.upgrade.filter(|value| asks_upgrade && !value.is_empty()),
            fields,
            dropped: found.dropped,
            never_indexed: FieldSet::default(),
            connection: found.connection,
            has_forwarded: found.has_forwarded,
            has_via: found.has_via,
            accepts_trailers: found.accepts_trailers,
        })
    }
}

/// Bytes of the line ends at the start of `bytes`. Some clients send them behind a body, or before
/// a request: a server ignores them (RFC 9112 §2.2). CR alone is none, whatever byte follows.
pub fn leading_line_ends(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += match &bytes[at..] {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return at,
        };
    }
}

/// The parts of a head.
struct Split<'b, 's> {
    length: usize,
    line: RequestLine<'b>,
    fields: &'s [Field<'b>],
}

impl<'b, 's> Split<'b, 's> {
    /// Splits the head at the start of `bytes`; none if it is incomplete.
    #[inline(always)]
    fn of(
        bytes: &'b [u8],
        storage: &'s mut FieldStorage<'b>,
        rules: &Rules,
    ) -> Result<Option<Self>, Refusal> {
        let mut request = Request::new(&mut []);
        let parsed = ParserConfig::default().parse_request_with_uninit_headers(
            &mut request,
            bytes,
            &mut storage.fields[..storage.most],
        );
        if !matches!(parsed, Ok(Status::Complete(_)))
            || request_line::may_be_long(bytes, &request, rules)
        {
            request_line::check_start(bytes, rules)?;
        }
        let split = match parsed {
            Ok(Status::Complete(length)) => {
                let line = RequestLine::of(&request).ok_or(Refusal::MalformedStartLine)?;
                Some(Split { length, line, fields: request.headers })
            }
            Ok(Status::Partial) => None,
            Err(httparse::Error::Version) => return request_line::refuse_version(bytes),
            Err(httparse::Error::Token) => {
                split_with_any_target(bytes, storage.most, &mut storage.spare)?
            }
            Err(error) => return Err(fields::refusal_of(error)),
        };
        let is_too_long = match &split {
            Some(split) => split.length > rules.head_bytes_max,
            None => bytes.len() >= rules.head_bytes_max,
        };
        if is_too_long { Err(Refusal::HeadTooLarge) } else { Ok(split) }
    }
}

/// Splits a head whose target is not UTF-8, which httparse refuses; none if it is incomplete.
fn split_with_any_target<'b, 's>(
    bytes: &'b [u8],
    most: usize,
    spare: &'s mut Vec<Field<'b>>,
) -> Result<Option<Split<'b, 's>>, Refusal> {
    let Some((line, line_length)) = RequestLine::with_any_target(bytes)? else { return Ok(None) };
    spare.resize(most, httparse::EMPTY_HEADER);
    match httparse::parse_headers(&bytes[line_length..], spare) {
        Ok(Status::Complete((length, fields))) => {
            Ok(Some(Split { length: line_length + length, line, fields }))
        }
        Ok(Status::Partial) => Ok(None),
        Err(error) => Err(fields::refusal_of(error)),
    }
}
