//! Bytes on their way, and bodies of which each byte says whose it is, so that one that reaches
//! somebody else, comes twice or is missing is seen.

use ringway::base::Prng;
use std::sync::OnceLock;

/// Longest body.
pub const BODY_MAX: usize = 200_000;
/// Bodies begin at so many places of one table of random bytes.
const STARTS: usize = 1 << 16;

/// The body of a number of bytes that is `name`'s: no two names share a run of bytes by chance.
pub fn body(name: u64, length: usize) -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut prng = Prng::new(0x7075_7265);
        let words = (STARTS + BODY_MAX).div_ceil(8);
        (0..words).flat_map(|_| prng.next_u64().to_le_bytes()).collect()
    });
    let start = (Prng::new(name).next_u64() % STARTS as u64) as usize;
    &table[start..start + length]
}

/// A queue of bytes that is cheap where code is not optimised.
#[derive(Default)]
pub struct Pipe {
    bytes: Vec<u8>,
    start: usize,
}

impl Pipe {
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn front(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub fn skip(&mut self, count: usize) {
        assert!(count <= self.len(), "more than there is");
        self.start += count;
    }

    /// Moves up to `count` bytes to the end of another queue; returns how many.
    pub fn move_to(&mut self, to: &mut Self, count: usize) -> usize {
        let count = count.min(self.len());
        to.push(&self.front()[..count]);
        self.skip(count);
        count
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
}
