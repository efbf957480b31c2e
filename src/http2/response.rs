//! Responses: the rules of RFC 9113 §8.1 and §8.3.2 on a section, and its view.

use super::request::content;
use super::section::{FieldRoom, Pseudo, Section};
use super::stream::Content;
use crate::head::{
    Connection, Kind, Refusal, ResponseBody, ResponseHead, ResponseTo, Version, read_fields,
};

/// What a section is the head of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseKind {
    /// A final head follows.
    Interim,
    /// What DATA follows it.
    Final(Content),
}

/// Why a section is no response, if it is none; else what it is.
pub(super) fn check(
    section: &Section,
    is_last: bool,
    asked: ResponseTo,
) -> Result<ResponseKind, &'static str> {
    let status = status(section).ok_or(":status is missing, or not a number of 100 to 999")?;
    match status {
        101 => Err("the status is 101, which HTTP/2 does not have"), // §8.6
        100..=199 if is_last => Err("the stream ends with an interim response"),
        100..=199 => Ok(ResponseKind::Interim),
        200..=299 if asked.connect && !is_last => Ok(ResponseKind::Final(Content::Tunnel)),
        _ if is_empty(status, asked) => Ok(ResponseKind::Final(Content::Rest(0))),
        _ => content(section.content_length(), is_last).map(ResponseKind::Final),
    }
}

/// True for a response without content, whatever its content-length is (RFC 9110 §6.4.1).
fn is_empty(status: u16, asked: ResponseTo) -> bool {
    asked.head || matches!(status, 204 | 304) || (asked.connect && matches!(status, 200..=299))
}

fn status(section: &Section) -> Option<u16> {
    let digits: &[u8; 3] = section.pseudo(Pseudo::Status)?.try_into().ok()?;
    let is_number = digits.iter().all(u8::is_ascii_digit) && digits[0] != b'0';
    let number = |number, digit: &u8| number * 10 + u16::from(digit - b'0');
    is_number.then(|| digits.iter().fold(0, number))
}

impl<'b, 's> ResponseHead<'b, 's> {
    /// The head of a response, of which [`super::Event::Response`] told.
    pub fn of_section(section: &'b Section, room: &'s mut FieldRoom<'b>) -> Result<Self, Refusal> {
        let asked = section.asked;
        let status = status(section).ok_or(Refusal::MalformedStatus)?;
        let fields = section.fields(room);
        let is_tunnel = asked.connect && matches!(status, 200..=299);
        let kind = match status {
            100..=199 | 204 => Kind::EmptyResponse,
            _ if is_tunnel => Kind::EmptyResponse,
            _ => Kind::Response,
        };
        let found = read_fields(fields, Version::Http2, kind)?;
        let has_none = section.is_last || kind == Kind::EmptyResponse || is_empty(status, asked);
        let body = match found.content_length {
            _ if has_none => ResponseBody::None,
            Some(0) => ResponseBody::None,
            Some(bytes) => ResponseBody::Sized(bytes),
            None => ResponseBody::Chunked,
        };
        // A response that ends with its head has a length, which clients of HTTP/1 need.
        let ends_empty = section.is_last && !is_empty(status, asked) && kind == Kind::Response;
        Ok(Self {
            length: 0,
            status,
            version: Version::Http2,
            body,
            keep_alive: true,
            idle_timeout: None,
            upgrade: None,
            reason: b"",
            fields,
            dropped: found.dropped,
            never_indexed: section.never_indexed(),
            has_upgrade: found.upgrade.is_some(),
            connection: Connection::default(),
            content_length: found.content_length.or(ends_empty.then_some(0)),
            is_chunked: body == ResponseBody::Chunked,
        })
    }
}
