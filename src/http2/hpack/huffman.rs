//! The Huffman code of HPACK (RFC 7541 §5.2, appendix B).
//!
//! The code is canonical: codes of one length are consecutive, in the order of their symbols, and
//! longer ones follow. So the lengths are the whole table. A code of up to ten bits, which all
//! letters, digits and most marks have, is decoded by one look-up; a longer one by its length.

/// A string that is not encoded as RFC 7541 §5.2 has it: it has EOS, or its padding is longer than
/// seven bits or not of ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The symbol behind the last byte; its code of thirty ones only occurs as padding.
const EOS: usize = 256;
/// Bits of the shortest code.
const SHORTEST: usize = 5;
/// Bits of the longest code.
const LONGEST: usize = 30;
/// Bits of the longest code that one look-up decodes.
const LOOKED_UP: usize = 10;

/// Bits of the code of each symbol.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
     6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
     5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
    13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
    15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
     6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The codes of one length.
#[derive(Clone, Copy)]
struct Group {
    /// The first code behind the last of them.
    end: u32,
    /// What is added to a code to get its place in [`BY_CODE`]; wraps.
    offset: u32,
}

struct Tables {
    codes: [u32; 257],
    groups: [Group; LONGEST + 1],
    by_code: [u16; 257],
}

const TABLES: Tables = {
    let mut codes = [0; 257];
    let mut groups = [Group { end: 0, offset: 0 }; LONGEST + 1];
    let mut by_code = [0; 257];
    let (mut code, mut place, mut length) = (0u32, 0u32, 1);
    while length <= LONGEST {
        groups[length].offset = place.wrapping_sub(code);
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                codes[symbol] = code;
                by_code[place as usize] = symbol as u16;
                code += 1;
                place += 1;
            }
            symbol += 1;
        }
        groups[length].end = code;
        if length < LONGEST {
            code <<= 1;
        }
        length += 1;
    }
    assert!(code == 1 << LONGEST, "the code is complete: every sequence of bits has a meaning");
    Tables { codes, groups, by_code }
};

static CODES: [u32; 257] = TABLES.codes;
static GROUPS: [Group; LONGEST + 1] = TABLES.groups;
/// The symbols in the order of their codes.
static BY_CODE: [u16; 257] = TABLES.by_code;

/// For each beginning of bits the symbol, and its length in the bits above it; 0 for a code that is
/// longer.
static SHORT: [u16; 1 << LOOKED_UP] = {
    let mut short = [0; 1 << LOOKED_UP];
    let mut symbol = 0;
    while symbol < EOS {
        let length = LENGTHS[symbol] as usize;
        if length <= LOOKED_UP {
            let spare = LOOKED_UP - length;
            let first = (TABLES.codes[symbol] as usize) << spare;
            let mut at = first;
            while at < first + (1 << spare) {
                short[at] = (length as u16) << 8 | symbol as u16;
                at += 1;
            }
        }
        symbol += 1;
    }
    short
};

/// The first symbol of some bits, which begin at the top, and its length.
#[inline(always)]
fn first_symbol(bits: u64) -> (usize, u32) {
    let short = SHORT[(bits >> (64 - LOOKED_UP)) as usize];
    match short {
        0 => long_symbol(bits),
        _ => (usize::from(short & 0xff), u32::from(short >> 8)),
    }
}

#[cold]
fn long_symbol(bits: u64) -> (usize, u32) {
    let mut length = LOOKED_UP + 1;
    loop {
        let code = (bits >> (64 - length)) as u32;
        let group = GROUPS[length];
        if code < group.end || length == LONGEST {
            let place = code.wrapping_add(group.offset) as usize;
            return (usize::from(BY_CODE[place]), length as u32);
        }
        length += 1;
    }
}

/// Bits that were read and not yet decoded.
#[derive(Default)]
struct Bits {
    /// From the top; below them are ones of the following bytes, or nothing.
    bits: u64,
    /// How many.
    count: u32,
}

impl Bits {
    /// Takes more than 56 bits if there are so many; returns the bytes behind them.
    #[inline(always)]
    fn refill<'i>(&mut self, input: &'i [u8]) -> &'i [u8] {
        if let Some(chunk) = input.first_chunk::<8>() {
            self.bits |= u64::from_be_bytes(*chunk) >> self.count;
            let taken = (63 - self.count) / 8;
            self.count += taken * 8;
            return &input[taken as usize..];
        }
        let mut rest = input;
        while let (Some((byte, behind)), 0..=56) = (rest.split_first(), self.count) {
            self.bits |= u64::from(*byte) << (56 - self.count);
            self.count += 8;
            rest = behind;
        }
        rest
    }

    #[inline(always)]
    fn skip(&mut self, length: u32) {
        self.bits <<= length;
        self.count -= length;
    }
}

/// Appends the decoded form of `input` to `out`; nothing if it is malformed.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let start = out.len();
    out.resize(start + input.len() * 8 / SHORTEST, 0);
    match decode_into(input, &mut out[start..]) {
        Some(written) => {
            out.truncate(start + written);
            Ok(())
        }
        None => {
            out.truncate(start);
            Err(Malformed)
        }
    }
}

fn decode_into(input: &[u8], place: &mut [u8]) -> Option<usize> {
    let mut bits = Bits::default();
    let mut rest = input;
    let mut written = 0;
    loop {
        rest = bits.refill(rest);
        if rest.is_empty() {
            break;
        }
        while bits.count >= LONGEST as u32 {
            let (symbol, length) = first_symbol(bits.bits);
            if symbol == EOS {
                return None;
            }
            place[written] = symbol as u8;
            written += 1;
            bits.skip(length);
        }
    }
    loop {
        // Behind the last byte come ones, so padding is the beginning of EOS.
        let padded = bits.bits | u64::MAX.checked_shr(bits.count).unwrap_or(0);
        let (symbol, length) = first_symbol(padded);
        if length > bits.count {
            return (bits.count < 8 && padded == u64::MAX).then_some(written);
        }
        if symbol == EOS {
            return None;
        }
        place[written] = symbol as u8;
        written += 1;
        bits.skip(length);
    }
}

/// Bytes of the encoded form.
#[inline]
pub(super) fn encoded_length(text: impl Iterator<Item = u8>) -> usize {
    let bits: usize = text.map(|byte| usize::from(LENGTHS[usize::from(byte)])).sum();
    bits.div_ceil(8)
}

/// Appends the encoded form of `text` to `out`.
pub(super) fn encode(text: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    let (mut bits, mut count) = (0u64, 0u32);
    for byte in text {
        let at = usize::from(byte);
        let length = u32::from(LENGTHS[at]);
        bits = bits << length | u64::from(CODES[at]);
        count += length;
        if count >= 32 {
            count -= 32;
            out.extend_from_slice(&((bits >> count) as u32).to_be_bytes());
        }
    }
    let padding = count.wrapping_neg() % 8;
    bits = bits << padding | ((1 << padding) - 1);
    count += padding;
    let whole = bits.checked_shl(64 - count).unwrap_or(0).to_be_bytes();
    out.extend_from_slice(&whole[..count as usize / 8]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut out = vec![7];
        encode(text.iter().copied(), &mut out);
        assert_eq!(out.len() - 1, encoded_length(text.iter().copied()));
        out.split_off(1)
    }

    fn decoded(input: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = vec![7];
        let result = decode(input, &mut out);
        assert!(result.is_ok() || out.len() == 1);
        result.map(|()| out.split_off(1))
    }

    #[test]
    fn the_strings_of_rfc_7541_appendix_c() {
        for (text, bytes) in [
            ("www.example.com", &b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"[..]),
            ("no-cache", b"\xa8\xeb\x10\x64\x9c\xbf"),
            ("custom-key", b"\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f"),
            ("302", b"\x64\x02"),
            ("private", b"\xae\xc3\x77\x1a\x4b"),
        ] {
            assert_eq!(encoded(text.as_bytes()), bytes);
            assert_eq!(decoded(bytes).as_deref(), Ok(text.as_bytes()));
        }
    }

    #[test]
    fn codes_of_rfc_7541_appendix_b() {
        for (symbol, code, length) in [
            (b'0', 0x0, 5),
            (b't', 0x9, 5),
            (b' ', 0x14, 6),
            (b'u', 0x2d, 6),
            (b':', 0x5c, 7),
            (b'z', 0x7b, 7),
            (b'&', 0xf8, 8),
            (b'Z', 0xfd, 8),
            (b'!', 0x3f8, 10),
            (b'|', 0x7fc, 11),
            (b'#', 0xffa, 12),
            (0, 0x1ff8, 13),
            (b'}', 0x3ffd, 14),
            (b'{', 0x7ffe, 15),
            (0x5c, 0x7fff0, 19),
            (128, 0xfffe6, 20),
            (129, 0x3fffd2, 22),
            (1, 0x7fffd8, 23),
            (9, 0xffffea, 24),
            (255, 0x3ffffee, 26),
            (249, 0xffffffe, 28),
            (10, 0x3ffffffc, 30),
            (22, 0x3ffffffe, 30),
        ] {
            assert_eq!((CODES[usize::from(symbol)], LENGTHS[usize::from(symbol)]), (code, length));
        }
        assert_eq!(CODES[EOS], 0x3fff_ffff);
    }

    #[test]
    fn any_text_comes_back() {
        let mut random = Prng::new(1);
        for round in 0..20_000 {
            let length = random.below(70) as usize;
            let range = if round % 2 == 0 { (0, 256) } else { (32, 95) };
            let text: Vec<u8> =
                (0..length).map(|_| (range.0 + random.below(range.1)) as u8).collect();
            assert_eq!(decoded(&encoded(&text)), Ok(text));
        }
    }

    #[test]
    fn padding_is_of_at_most_seven_ones() {
        for byte in 0..=u8::MAX {
            let text = [byte];
            let bytes = encoded(&text);
            let used = usize::from(LENGTHS[usize::from(byte)]);
            for bit in used..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 0x80 >> (bit % 8);
                assert_ne!(decoded(&flipped).as_deref(), Ok(&text[..]), "{byte}: {bit}");
            }
            let longer = [&bytes[..], &[0xff]].concat();
            assert_eq!(decoded(&longer), Err(Malformed), "{byte}");
        }
        assert_eq!(decoded(b""), Ok(Vec::new()));
        assert_eq!(decoded(b"\xff"), Err(Malformed));
        assert_eq!(decoded(b"\x07\xff"), Err(Malformed), "0 and eleven ones");
        assert_eq!(decoded(b"\x07"), Ok(b"0".to_vec()));
    }

    #[test]
    fn eos_is_refused_wherever_it_is() {
        for before in 0..20 {
            for behind in 0..20 {
                let mut bits = "00000".repeat(before) + &"1".repeat(30) + &"00000".repeat(behind);
                while !bits.len().is_multiple_of(8) {
                    bits.push('1');
                }
                let byte = |at: usize| u8::from_str_radix(&bits[at..at + 8], 2).expect("bits");
                let bytes: Vec<u8> = (0..bits.len()).step_by(8).map(byte).collect();
                assert_eq!(decoded(&bytes), Err(Malformed), "{before} {behind}");
            }
        }
    }
}
