//! Finding entries of the encoder's table by their bytes.
//!
//! A table of hashes that never deletes: it names entries by their number since the beginning, and
//! those that have been evicted are recognised by it. What it does not find costs bytes, nothing
//! else; whatever it finds is compared.

/// Places that a hash is looked for in, one after the other.
const PROBES: usize = 4;

/// One place: the low bits of an entry's number, and those of its hash.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    number: u16,
    tag: u16,
}

/// An index with so many places, a power of two. It has no memory before its first entry.
#[derive(Debug)]
pub(super) struct Index<const PLACES: usize> {
    slots: Vec<Slot>,
}

/// The entries that the table has: so many, the newest of them with this number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub(super) newest: u32,
    pub(super) length: usize,
}

impl Live {
    /// The place of an entry in the table, 0 for the newest; none if it was evicted.
    fn place(self, number: u16) -> Option<usize> {
        let place = usize::from((self.newest as u16).wrapping_sub(number));
        (place < self.length).then_some(place)
    }
}

impl<const PLACES: usize> Index<PLACES> {
    pub(super) fn new() -> Self {
        const { assert!(PLACES.is_power_of_two()) };
        Self { slots: Vec::new() }
    }

    /// The place in the table of the entry with this hash that `is_it` recognises.
    #[inline]
    pub(super) fn find(
        &self,
        hash: u32,
        live: Live,
        mut is_it: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        (0..PROBES).find_map(|probe| {
            let slot = self.slots[(hash as usize + probe) % PLACES];
            let place = live.place(slot.number).filter(|_| slot.tag == tag(hash))?;
            is_it(place).then_some(place)
        })
    }

    /// Remembers an entry: in place of one that was evicted, else of the oldest.
    pub(super) fn remember(&mut self, hash: u32, number: u32, live: Live) {
        if self.slots.is_empty() {
            self.slots.resize(PLACES, Slot::default());
        }
        let places = (0..PROBES).map(|probe| (hash as usize + probe) % PLACES);
        let age = |at: &usize| live.place(self.slots[*at].number).unwrap_or(usize::MAX);
        // The first of several that are as old.
        let oldest = places.rev().max_by_key(age).expect("there are some");
        self.slots[oldest] = Slot { number: number as u16, tag: tag(hash) };
    }
}

fn tag(hash: u32) -> u16 {
    (hash >> 16) as u16
}

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// The bit of the case of letters, which is ignored: names are hashed in any case.
const CASE: u64 = 0x2020_2020_2020_2020;

/// A hash of bytes in any case behind another hash. Not secret: whoever makes two fields collide
/// has them sent in full.
#[inline]
pub(super) fn hash(bytes: &[u8], before: u32) -> u32 {
    let mut state = u64::from(before) ^ (bytes.len() as u64) << 32;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = mix(state ^ (u64::from_le_bytes(*word) | CASE));
    }
    let rest = match (bytes.last_chunk::<8>(), rest) {
        (_, []) => return (state >> 32) as u32 ^ state as u32,
        // The last eight overlap with those before.
        (Some(last), _) => u64::from_le_bytes(*last),
        (None, _) => rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    state = mix(state ^ (rest | CASE));
    (state >> 32) as u32 ^ state as u32
}

#[inline(always)]
fn mix(state: u64) -> u64 {
    let product = state.wrapping_mul(FACTOR);
    product ^ (product >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_found_until_it_is_evicted() {
        let mut index = Index::<256>::new();
        let mut found = 0;
        let hash_of = |number: u32| hash(number.to_string().as_bytes(), 0);
        for number in 0..200_000u32 {
            let live = Live { newest: number, length: 100.min(number as usize + 1) };
            index.remember(hash_of(number), number, live);
            let older = number.wrapping_sub(number % 150);
            let place = index.find(hash_of(older), live, |_| true);
            match place {
                Some(place) => {
                    assert_eq!(place as u32, number % 150);
                    found += 1;
                }
                None if number % 150 < 100 => {}
                None => found += 1,
            }
        }
        assert!(found > 199_000, "{found}");
    }

    #[test]
    fn names_hash_alike_in_any_case() {
        for name in ["A", "Host", "X-Forwarded-For", "aaaaaaaaAAAAAAAA", "ÄÄ"] {
            let lower = name.to_ascii_lowercase();
            assert_eq!(hash(name.as_bytes(), 5), hash(lower.as_bytes(), 5));
        }
        assert_ne!(hash(b"a", 1), hash(b"a", 2));
        assert_ne!(hash(b"abcdefgh", 1), hash(b"abcdefghi", 1));
    }
}
