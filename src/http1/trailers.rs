//! Trailer sections (RFC 9112 §7.1.2): complete and valid or not, and which fields are forwarded.
//!
//! A section is parsed only when it is complete, so that a field is forwarded or left out as a
//! whole however the bytes were split.

use super::fields::check_bytes;
use crate::head::{Field, Refusal, TrailerRules};
use crate::limits::{FIELDS_MAX, TRAILER_BYTES_MAX};
use httparse::{EMPTY_HEADER, Status};

/// A complete section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// Its bytes, with the empty line at its end.
    pub(super) length: usize,
    /// Bytes of it that are forwarded, now at the front.
    pub(super) kept: usize,
}

/// Moves the forwarded fields of the section at the start of `bytes` to the front of it. None,
/// and nothing moved, if the section is incomplete.
pub(super) fn filter_trailers(
    rules: &TrailerRules<'_>,
    bytes: &mut [u8],
) -> Result<Option<Section>, Refusal> {
    if bytes.starts_with(b"\r\n") {
        return Ok(Some(Section { length: 2, kept: 2 }));
    }
    let Some((length, left_out)) = read(rules, bytes)? else { return Ok(None) };
    let section = &mut bytes[..length];
    let kept = if left_out == 0 { length } else { leave_out(section, left_out) };
    Ok(Some(Section { length, kept }))
}

/// The fields of a section that was filtered.
pub fn trailer_fields<'b, 's>(section: &'b [u8], room: &'s mut [Field<'b>]) -> &'s [Field<'b>] {
    match httparse::parse_headers(section, room) {
        Ok(Status::Complete((_, fields))) => fields,
        Ok(Status::Partial) | Err(_) => &[],
    }
}

/// The length of a section, and its fields that are left out, by position.
fn read(rules: &TrailerRules<'_>, bytes: &[u8]) -> Result<Option<(usize, u128)>, Refusal> {
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    let (length, fields) = match httparse::parse_headers(bytes, &mut fields) {
        Ok(Status::Complete((length, fields))) if length <= TRAILER_BYTES_MAX => (length, fields),
        Ok(Status::Partial) if bytes.len() < TRAILER_BYTES_MAX => return Ok(None),
        Ok(_) => return Err(Refusal::TrailersTooLarge),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyFields),
        Err(_) => return Err(Refusal::MalformedTrailer),
    };
    check_bytes(&bytes[..length]).map_err(|_| Refusal::MalformedTrailer)?;
    let mut left_out = 0;
    for (at, field) in fields.iter().enumerate() {
        left_out |= u128::from(!rules.keeps(field.name.as_bytes())?) << at;
    }
    Ok(Some((length, left_out)))
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
