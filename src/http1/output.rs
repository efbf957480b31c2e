//! Writing bytes one after the other into a slice that may be too short.

use std::ops::Range;

/// A place to write to. After the first bytes that do not fit, nothing more is written.
pub(super) struct Output<'a> {
    bytes: &'a mut [u8],
    at: usize,
    has_overflowed: bool,
}

impl<'a> Output<'a> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0, has_overflowed: false }
    }

    #[inline]
    pub(super) fn put(&mut self, part: &[u8]) {
        match self.bytes.get_mut(self.at..self.at + part.len()) {
            Some(place) => {
                place.copy_from_slice(part);
                self.at += part.len();
            }
            None => self.overflow(),
        }
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> usize {
        self.at
    }

    /// Repeats the bytes that were written at these places.
    pub(super) fn put_again(&mut self, range: Range<usize>) {
        let (start, length) = (self.at, range.len());
        if length > self.bytes.len() - start {
            return self.overflow();
        }
        self.bytes.copy_within(range, start);
        self.at += length;
    }

    pub(super) fn put_number(&mut self, number: u64) {
        if number < 1_000 {
            return self.put_small_number(number as u16);
        }
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = number;
        while rest > 0 {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.put(&digits[at..]);
    }

    /// Puts a number below 1,000: a status, or a part of an address.
    #[inline]
    pub(super) fn put_small_number(&mut self, number: u16) {
        debug_assert!(number < 1_000, "three digits");
        let digits = [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit as u8);
        match number {
            100.. => self.put(&digits),
            10.. => self.put(&digits[1..]),
            _ => self.put(&digits[2..]),
        }
    }

    pub(super) fn put_field(&mut self, name: &[u8], value: &[u8]) {
        self.put(name);
        self.put(b": ");
        self.put(value);
        self.put(b"\r\n");
    }

    fn overflow(&mut self) {
        self.at = self.bytes.len();
        self.has_overflowed = true;
    }

    /// The number of bytes written; none if some did not fit.
    pub(super) fn finish(self) -> Option<usize> {
        (!self.has_overflowed).then_some(self.at)
    }
}

impl std::fmt::Write for Output<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}
