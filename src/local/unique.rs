//! Identifiers of connections, for the log of a backend and that of Ringway to be compared.

use crate::base::Prng;

/// Gives identifiers that no other shard gives, of this process or another one.
#[derive(Debug)]
pub struct UniqueIds {
    /// Drawn at random by each shard when it begins.
    prefix: u64,
    next: u64,
}

impl UniqueIds {
    /// Those of a shard.
    pub fn new(prng: &mut Prng) -> Self {
        Self { prefix: prng.next_u64(), next: 0 }
    }

    /// The next one: 28 hexadecimal digits.
    pub fn draw(&mut self) -> Box<[u8]> {
        self.next += 1;
        format!("{:016x}{:012x}", self.prefix, self.next).into_bytes().into()
    }
}
