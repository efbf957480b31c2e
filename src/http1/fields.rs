//! Splitting a head into fields: room for them, and what is checked of every byte.

use crate::head::{Field, Refusal};
use crate::limits::{FIELDS_MAX, OWN_FIELDS_MAX};
use std::mem::MaybeUninit;

/// Room for the fields of one head.
pub struct FieldStorage<'b> {
    pub(super) fields: [MaybeUninit<Field<'b>>; OWN_FIELDS_MAX],
    /// Fields that a head may have.
    pub(super) most: usize,
    /// For a head whose target is not UTF-8; empty before the first such head.
    pub(super) spare: Vec<Field<'b>>,
}

impl FieldStorage<'_> {
    /// Empty room for a head that was received.
    #[inline(always)]
    pub fn new() -> Self {
        Self::with(FIELDS_MAX)
    }

    /// Empty room for a head that was written here.
    pub fn own() -> Self {
        Self::with(OWN_FIELDS_MAX)
    }

    #[inline(always)]
    fn with(most: usize) -> Self {
        let fields = [const { MaybeUninit::uninit() }; OWN_FIELDS_MAX];
        Self { fields, most, spare: Vec::new() }
    }
}

impl Default for FieldStorage<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Every line of a head ends with CRLF (RFC 9112 §2.2), and it has no control byte but TAB (RFC
/// 9110 §5.5). httparse accepts a bare LF, and checks the rest too, but the rule must not depend on
/// another crate's option.
pub(super) fn check_bytes(head: &[u8]) -> Result<Seen, Refusal> {
    let Some((first, behind)) = head.split_first() else { return Ok(Seen::default()) };
    let mut scan = Scan::default();
    scan.look_at(head, behind);
    if *first >= b' ' && *first != 0x7f && !scan.has_flaw() {
        return Ok(Seen { has_underscore: *first == b'_' || scan.has_underscore() });
    }
    let is_bare = |at: usize| at == 0 || head[at - 1] != b'\r';
    match memchr::memchr_iter(b'\n', head).any(is_bare) {
        true => Err(Refusal::BareLineFeed),
        false => Err(Refusal::MalformedField),
    }
}

/// What bytes of a head have, whose every byte may be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// There is an underscore.
    pub(super) has_underscore: bool,
}

/// Looks at the bytes of a head behind its first. Almost every head is valid, so all bytes are
/// looked at without an early exit, sixteen at once, which the compiler makes one operation of.
#[derive(Default)]
struct Scan {
    flaws: [u8; 16],
    underscores: [u8; 16],
}

impl Scan {
    /// `before`: the byte before each of `bytes`, in the same place.
    #[inline(always)]
    fn look_at(&mut self, before: &[u8], bytes: &[u8]) {
        let before = &before[..bytes.len()];
        let (Some(last_before), Some(last)) = (before.last_chunk(), bytes.last_chunk()) else {
            for (at, (before, byte)) in before.iter().zip(bytes).enumerate() {
                self.flaws[at] = flaw(*before, *byte);
                self.underscores[at] = u8::from(*byte == b'_');
            }
            return;
        };
        for (before, bytes) in before.as_chunks().0.iter().zip(bytes.as_chunks().0) {
            self.look_at_sixteen(before, bytes);
        }
        // They may overlap with those before them.
        self.look_at_sixteen(last_before, last);
    }

    #[inline(always)]
    fn look_at_sixteen(&mut self, before: &[u8; 16], bytes: &[u8; 16]) {
        for at in 0..16 {
            self.flaws[at] |= flaw(before[at], bytes[at]);
            self.underscores[at] |= u8::from(bytes[at] == b'_');
        }
    }

    fn has_flaw(&self) -> bool {
        u128::from_ne_bytes(self.flaws) != 0
    }

    fn has_underscore(&self) -> bool {
        u128::from_ne_bytes(self.underscores) != 0
    }
}

/// 1 for a byte that may not follow the one before it, else 0.
#[inline(always)]
fn flaw(before: u8, byte: u8) -> u8 {
    let is = |byte: u8, known: u8| u8::from(byte == known);
    let (is_line_feed, is_after_return) = (is(byte, b'\n'), is(before, b'\r'));
    let may_be = is(byte, b'\t') | is(byte, b'\r') | is_line_feed;
    let is_control = u8::from(byte < b' ') & (may_be ^ 1) | is(byte, 0x7f);
    is_control | (is_line_feed ^ is_after_return)
}

/// The refusal for an error of httparse.
pub(super) fn refusal_of(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Refusal::MalformedField,
        httparse::Error::TooManyHeaders => Refusal::TooManyFields,
        httparse::Error::Version => Refusal::UnsupportedVersion,
        httparse::Error::Status => Refusal::MalformedStatus,
        httparse::Error::NewLine => Refusal::BareLineFeed,
        httparse::Error::Token => Refusal::MalformedStartLine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_checked_wherever_it_is_in_a_head_of_any_length() {
        for length in 2..=50 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut head = vec![b'a'; length];
                    head[at] = byte;
                    // A CR as the last byte is valid so far: the byte behind it decides.
                    let is_last_return = byte == b'\r' && at > 0 && at == length - 1;
                    let is_text = byte >= b' ' && byte != 0x7f;
                    let is_good = is_text || (byte == b'\t' && at > 0) || is_last_return;
                    let seen = Seen { has_underscore: byte == b'_' };
                    let expected = is_good.then_some(seen);
                    assert_eq!(check_bytes(&head).ok(), expected, "{byte:#x} at {at}: {length}");
                }
            }
        }
    }

    #[test]
    fn a_line_ends_with_both_bytes_in_their_order_wherever_that_is() {
        for length in 3..=50 {
            for at in 1..length - 1 {
                for (end, is_good) in
                    [(b"\r\n", true), (b"\n\r", false), (b"\r\r", false), (b"\n\n", false)]
                {
                    let mut head = vec![b'a'; length];
                    head[at..at + 2].copy_from_slice(end);
                    assert_eq!(check_bytes(&head).is_ok(), is_good, "{end:?} at {at}: {length}");
                }
            }
        }
        assert_eq!(check_bytes(b"GET / HTTP/1.1\nHost: t\r\n"), Err(Refusal::BareLineFeed));
        assert_eq!(check_bytes(b"GET / HTTP/1.1\rHost: t\r\n"), Err(Refusal::MalformedField));
    }
}
