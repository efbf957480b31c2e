//! Integers with a prefix (RFC 7541 §5.1).

/// An integer that is malformed, incomplete or too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Octets behind the prefix. Four hold more than any length or index that is allowed, with leading
/// zeros that some encoders write.
const OCTETS_MAX: usize = 4;

/// Reads an integer with a prefix of so many bits, and the bytes behind it. At most 2^28 + 255.
#[inline]
pub(super) fn read(bytes: &[u8], prefix_bits: u32) -> Result<(usize, &[u8]), Malformed> {
    let Some((first, rest)) = bytes.split_first() else { return Err(Malformed) };
    let prefix_max = (1usize << prefix_bits) - 1;
    let prefix = usize::from(*first) & prefix_max;
    if prefix < prefix_max { Ok((prefix, rest)) } else { read_octets(prefix, rest) }
}

fn read_octets(prefix: usize, bytes: &[u8]) -> Result<(usize, &[u8]), Malformed> {
    let mut number = prefix;
    for (at, byte) in bytes.iter().take(OCTETS_MAX).enumerate() {
        number += usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((number, &bytes[at + 1..]));
        }
    }
    Err(Malformed)
}

/// Writes an integer with a prefix of so many bits, behind the pattern in the bits above it.
#[inline]
pub(super) fn write(number: usize, prefix_bits: u32, pattern: u8, out: &mut Vec<u8>) {
    let prefix_max = (1usize << prefix_bits) - 1;
    if number < prefix_max {
        out.push(pattern | number as u8);
        return;
    }
    out.push(pattern | prefix_max as u8);
    let mut rest = number - prefix_max;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_7541_appendix_c_1() {
        for (number, prefix_bits, bytes) in
            [(10, 5, &[0x0a][..]), (1_337, 5, &[0x1f, 0x9a, 0x0a]), (42, 8, &[0x2a])]
        {
            let mut out = Vec::new();
            write(number, prefix_bits, 0, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(read(bytes, prefix_bits), Ok((number, &[][..])));
        }
    }

    #[test]
    fn what_is_written_is_read_whatever_the_prefix() {
        for prefix_bits in 4..=8 {
            for number in (0..5_000).chain([65_535, 1 << 20, (1 << 28) - 1]) {
                let mut out = Vec::new();
                write(number, prefix_bits, 0, &mut out);
                out.push(0xaa);
                assert_eq!(read(&out, prefix_bits), Ok((number, &[0xaa][..])));
                for end in 0..out.len() - 1 {
                    assert_eq!(read(&out[..end], prefix_bits), Err(Malformed));
                }
            }
        }
    }

    #[test]
    fn leading_zeros_are_read_up_to_a_bound() {
        assert_eq!(read(&[0x1f, 0x80, 0x80, 0x00], 5), Ok((31, &[][..])));
        assert_eq!(read(&[0x1f, 0x80, 0x80, 0x80, 0x00], 5), Ok((31, &[][..])));
        assert_eq!(read(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x00], 5), Err(Malformed));
        assert_eq!(read(&[0xff; 20], 7), Err(Malformed));
    }
}
