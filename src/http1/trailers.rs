//! Trailer sections (RFC 9112 §7.1.2): complete and valid or not, and which fields are forwarded.
//!
//! A section is parsed only when it is complete, so that a field is forwarded or left out as a
//! whole however the bytes were split.

use super::fields::check_bytes;
use crate::head::list;
use crate::head::{Refusal, UnderscoreNames};
use crate::limits::{FIELDS_MAX, TRAILER_BYTES_MAX};
use httparse::{EMPTY_HEADER, Status};

/// The fields of a trailer section that are forwarded.
pub(super) struct TrailerRules<'a> {
    /// The sender of the section.
    pub(super) from: Peer,
    /// The names in Connection in the head, separated by commas: fields of one connection (RFC 9110
    /// §7.6.1). None if there are no names.
    pub(super) named_by_connection: Option<&'a [u8]>,
}

/// The peer at one end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Its forbidden trailers are refused, or left out where that does no harm. Names with
    /// underscores are treated like this.
    Client(UnderscoreNames),
    /// Its forbidden trailers, and those with underscores in their names, are left out: its answer
    /// is valid without them.
    Backend,
}

/// A complete section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// Its bytes, with the empty line at its end.
    pub(super) length: usize,
    /// Bytes of it that are forwarded, now at the front.
    pub(super) kept: usize,
}

/// Trailers that would change what the message means or where it goes (RFC 9110 §6.5.1).
const FORBIDDEN: [&[u8]; 18] = [
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"expect",
    b"forwarded",
    b"host",
    b"keep-alive",
    b"proxy-connection",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"via",
];

/// Fields that identify a client, and are trusted in a head alone.
const OF_CLIENTS: [&[u8]; 4] = [b"cookie", b"proxy-authorization", b"remote-user", b"x-real-ip"];

impl TrailerRules<'_> {
    /// Moves the forwarded fields of the section at the start of `bytes` to the front of it. None,
    /// and nothing moved, if the section is incomplete.
    pub(super) fn filter(&self, bytes: &mut [u8]) -> Result<Option<Section>, Refusal> {
        if bytes.starts_with(b"\r\n") {
            return Ok(Some(Section { length: 2, kept: 2 }));
        }
        let Some((length, left_out)) = self.read(bytes)? else { return Ok(None) };
        let section = &mut bytes[..length];
        let kept = if left_out == 0 { length } else { leave_out(section, left_out) };
        Ok(Some(Section { length, kept }))
    }

    /// The length of a section, and its fields that are left out, by position.
    fn read(&self, bytes: &[u8]) -> Result<Option<(usize, u128)>, Refusal> {
        let mut fields = [EMPTY_HEADER; FIELDS_MAX];
        let (length, fields) = match httparse::parse_headers(bytes, &mut fields) {
            Ok(Status::Complete((length, fields))) if length <= TRAILER_BYTES_MAX => {
                (length, fields)
            }
            Ok(Status::Partial) if bytes.len() < TRAILER_BYTES_MAX => return Ok(None),
            Ok(_) => return Err(Refusal::TrailersTooLarge),
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyFields),
            Err(_) => return Err(Refusal::MalformedTrailer),
        };
        check_bytes(&bytes[..length]).map_err(|_| Refusal::MalformedTrailer)?;
        let mut left_out = 0;
        for (at, field) in fields.iter().enumerate() {
            left_out |= u128::from(!self.keeps(field.name.as_bytes())?) << at;
        }
        Ok(Some((length, left_out)))
    }

    /// True for a field that is forwarded.
    fn keeps(&self, name: &[u8]) -> Result<bool, Refusal> {
        let has_underscore = name.contains(&b'_');
        let is_forbidden = is_among(&FORBIDDEN, name);
        let may_pass = match self.from {
            Peer::Client(underscore_names) if has_underscore => match underscore_names {
                UnderscoreNames::Reject => return Err(Refusal::UnderscoreInName),
                UnderscoreNames::Drop => false,
                // A backend that takes both spellings for one name would trust the client's value.
                UnderscoreNames::Allow => !is_forbidden && !is_of_clients(name),
            },
            Peer::Client(_) if is_forbidden => return Err(Refusal::MalformedTrailer),
            Peer::Client(_) => !is_of_clients(name),
            Peer::Backend => !has_underscore && !is_forbidden,
        };
        Ok(may_pass && !self.is_named_by_connection(name))
    }

    fn is_named_by_connection(&self, name: &[u8]) -> bool {
        let mut named = self.named_by_connection.map(list).into_iter().flatten();
        named.any(|named| named.eq_ignore_ascii_case(name))
    }
}

fn is_of_clients(name: &[u8]) -> bool {
    let start = b"x-forwarded-";
    is_among(&OF_CLIENTS, name) || name.get(..start.len()).is_some_and(|name| is(start, name))
}

fn is_among(known: &[&[u8]], name: &[u8]) -> bool {
    known.iter().any(|known| is(known, name))
}

/// True if a name is the known one, in any case, and with `_` for any `-`.
fn is(known: &[u8], name: &[u8]) -> bool {
    let is_same = |(known, byte): (&u8, &u8)| {
        known.eq_ignore_ascii_case(byte) || (*known == b'-' && *byte == b'_')
    };
    known.len() == name.len() && known.iter().zip(name).all(is_same)
}

/// Moves the other lines of a section to its front; returns their length.
fn leave_out(section: &mut [u8], left_out: u128) -> usize {
    let (mut at, mut kept) = (0, 0);
    // The empty line at the end is no field, and has no bit.
    for line in 0.. {
        let Some(length) = memchr::memchr(b'\n', &section[at..]).map(|end| end + 1) else { break };
        if left_out.checked_shr(line).is_none_or(|bits| bits & 1 == 0) {
            section.copy_within(at..at + length, kept);
            kept += length;
        }
        at += length;
    }
    kept
}
