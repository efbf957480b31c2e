//! Writing bytes one after the other into a slice that may be too short.

/// A place to write to. After the first bytes that do not fit, nothing more is written.
pub(super) struct Output<'a> {
    /// What is left of the slice: after each part only its length is compared.
    free: &'a mut [u8],
    length: usize,
    has_overflowed: bool,
}

impl<'a> Output<'a> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self { length: bytes.len(), free: bytes, has_overflowed: false }
    }

    #[inline(always)]
    pub(super) fn put(&mut self, part: &[u8]) {
        match std::mem::take(&mut self.free).split_at_mut_checked(part.len()) {
            Some((place, free)) => {
                place.copy_from_slice(part);
                self.free = free;
            }
            None => self.has_overflowed = true,
        }
    }

    /// Puts the first `length` bytes of a short text. Where there is room for all of it, all of it
    /// is written, which is one store.
    #[inline(always)]
    fn put_start_of(&mut self, text: [u8; 4], length: usize) {
        match self.free.first_chunk_mut() {
            Some(place) => {
                *place = text;
                self.free = &mut std::mem::take(&mut self.free)[length..];
            }
            None => self.put(&text[..length]),
        }
    }

    /// Puts a number below 1,000, in decimal digits.
    #[inline]
    pub(super) fn put_small_number(&mut self, number: u16) {
        debug_assert!(number < 1_000, "three digits");
        let digits = [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit as u8);
        let zeros = usize::from(number < 100) + usize::from(number < 10);
        let text = u32::from_le_bytes([digits[0], digits[1], digits[2], 0]) >> (8 * zeros);
        self.put_start_of(text.to_le_bytes(), 3 - zeros);
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

    pub(super) fn put_field(&mut self, name: &[u8], value: &[u8]) {
        self.put(name);
        self.put(b": ");
        self.put(value);
        self.put(b"\r\n");
    }

    /// The number of bytes written; none if some did not fit.
    pub(super) fn finish(self) -> Option<usize> {
        (!self.has_overflowed).then(|| self.length - self.free.len())
    }
}

impl std::fmt::Write for Output<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written to a place of this length; none if it does not fit.
    fn written(length: usize, write: impl Fn(&mut Output<'_>)) -> Option<String> {
        let mut bytes = vec![b'#'; length];
        let mut out = Output::new(&mut bytes);
        write(&mut out);
        let length = out.finish()?;
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    fn check(expected: &str, write: impl Fn(&mut Output<'_>)) {
        for length in 0..expected.len() + 6 {
            let whole = (length >= expected.len()).then(|| expected.to_owned());
            assert_eq!(written(length, &write), whole, "{length} bytes");
        }
    }

    #[test]
    fn numbers_are_written_in_decimal_digits_where_they_fit() {
        for number in (0..1_100).chain([65_535, 1 << 40, u64::MAX]) {
            check(&number.to_string(), |out| out.put_number(number));
        }
    }

    #[test]
    fn behind_what_does_not_fit_nothing_is_written() {
        let write = |out: &mut Output<'_>| {
            out.put(b"1234");
            out.put(b"");
            out.put(b"5");
        };
        assert_eq!(
            [3, 4, 5].map(|length| written(length, write)),
            [None, None, Some("12345".into())]
        );
    }
}
