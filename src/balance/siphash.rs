//! SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash that is the same on every machine and
//! in every version, and whose collisions cannot be found without the key.

/// A hash that takes its input in parts.
#[derive(Clone, Debug)]
pub struct SipHash {
    state: [u64; 4],
    /// Bytes of the word that is not full yet.
    word: u64,
    length: u64,
}

impl SipHash {
    /// A hash under a key of two words.
    pub fn new(key: [u64; 2]) -> Self {
        let [k0, k1] = key;
        let state = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        Self { state, word: 0, length: 0 }
    }

    /// Adds a byte.
    pub fn push(&mut self, byte: u8) {
        self.word |= u64::from(byte) << (8 * (self.length % 8));
        self.length = self.length.wrapping_add(1);
        if self.length.is_multiple_of(8) {
            self.take_word();
        }
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.push(*byte));
    }

    /// The hash of all input.
    pub fn finish(mut self) -> u64 {
        self.word |= self.length << 56;
        self.take_word();
        self.state[2] ^= 0xff;
        (0..4).for_each(|_| self.round());
        self.state.iter().fold(0, |hash, word| hash ^ word)
    }

    fn take_word(&mut self) {
        self.state[3] ^= self.word;
        self.round();
        self.round();
        self.state[0] ^= self.word;
        self.word = 0;
    }

    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.state;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.state = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_reference() {
        // The first vectors of vectors.h of the reference implementation, input 00 01 02 …
        let expected = [
            0x726f_db47_dd0e_0e31,
            0x74f8_39c5_93dc_67fd,
            0x0d6c_8009_d9a9_4f5a,
            0x8567_6696_d7fb_7e2d,
            0xcf27_94e0_2771_87b7,
            0x1876_5564_cd99_a68d,
            0xcbc9_466e_58fe_e3ce,
            0xab02_00f5_8b01_d137,
            0x93f5_f579_9a93_2462,
        ];
        for (length, expected) in expected.into_iter().enumerate() {
            let mut hash = SipHash::new([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]);
            (0..length).for_each(|byte| hash.push(byte as u8));
            assert_eq!(hash.finish(), expected, "{length} bytes");
        }
    }
}
