//! An answer that arrives in pieces, searched for the expected bytes. Pure. Does not: keep
//! more of it than [`PROBE_ANSWER_BYTES_MAX`].

use crate::config::PROBE_ANSWER_BYTES_MAX;
use memchr::memmem::Finder;

/// The received part of an answer.
pub(super) struct Answer<'a> {
    wanted: &'a Finder<'static>,
    bytes: Vec<u8>,
}

impl<'a> Answer<'a> {
    /// Nothing yet.
    pub(super) fn new(wanted: &'a Finder<'static>) -> Self {
        Self { wanted, bytes: Vec::new() }
    }

    /// Adds the next piece; true if the expected bytes have arrived.
    pub(super) fn take(&mut self, piece: &[u8]) -> bool {
        // The expected bytes may have begun in an earlier piece.
        let from = self.bytes.len().saturating_sub(self.wanted.needle().len() - 1);
        let room = PROBE_ANSWER_BYTES_MAX - self.bytes.len();
        self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        self.wanted.find(&self.bytes[from..]).is_some()
    }

    /// True if no more of it is searched.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() == PROBE_ANSWER_BYTES_MAX
    }

    /// The received bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finder(wanted: &str) -> Finder<'static> {
        Finder::new(wanted.as_bytes()).into_owned()
    }

    #[test]
    fn it_is_found_however_the_answer_is_split() {
        let (text, wanted) = (b"+PING +PONG\r\n", finder("+PONG"));
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut answer = Answer::new(&wanted);
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert!(pieces.iter().any(|piece| answer.take(piece)), "{first} {second}");
            }
        }
    }

    #[test]
    fn it_is_not_found_beyond_the_limit() {
        let wanted = finder("end");
        for (before, is_found) in [(3, true), (2, false)] {
            let mut answer = Answer::new(&wanted);
            assert!(!answer.take(&vec![b'-'; PROBE_ANSWER_BYTES_MAX - before]));
            assert_eq!(answer.take(b"end of it"), is_found);
            assert!(answer.is_full());
        }
    }
}
