//! The dynamic table (RFC 7541 §2.3.2, §4): the newest entry first, the oldest evicted.
//!
//! Names and values lie in one ring of bytes, in the order of their insertion. As each entry counts
//! with 32 bytes more than it has, the ring always has room for what the size allows.

use super::class::Class;
use crate::limits::HPACK_TABLE_BYTES;
use std::collections::VecDeque;

/// What an entry counts besides its name and value (RFC 7541 §4.1).
pub(in crate::http2) const ENTRY_OVERHEAD: usize = 32;

const RING: usize = HPACK_TABLE_BYTES;
const _: () = assert!(RING <= 1 << 15, "places and lengths have 16 bits");

/// Where an entry lies, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    start: u16,
    name: u16,
    value: u16,
    /// The class of its name.
    pub(super) class: Class,
    /// Its value may be in a field.
    pub(super) is_valid: bool,
}

impl Entry {
    fn bytes(&self) -> usize {
        usize::from(self.name) + usize::from(self.value)
    }
}

/// A dynamic table. It has no memory before its first entry.
#[derive(Debug)]
pub(super) struct Table {
    ring: Vec<u8>,
    /// The oldest first.
    entries: VecDeque<Entry>,
    /// The place in the ring behind the newest entry.
    next: usize,
    /// Sum of the sizes of the entries.
    size: usize,
    /// The most that `size` may be.
    max: usize,
    /// Entries since the beginning; wraps.
    inserted: u32,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            ring: Vec::new(),
            entries: VecDeque::new(),
            next: 0,
            size: 0,
            max: HPACK_TABLE_BYTES,
            inserted: 0,
        }
    }

    /// The most bytes that it may have.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Changes the most bytes that it may have, at most [`HPACK_TABLE_BYTES`], and evicts.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max.min(HPACK_TABLE_BYTES);
        self.evict(self.max);
    }

    /// Entries since the beginning; wraps.
    pub(super) fn inserted(&self) -> u32 {
        self.inserted
    }

    /// The number of entries.
    pub(super) fn length(&self) -> usize {
        self.entries.len()
    }

    /// The entry of a place: 0 is the newest.
    pub(super) fn entry(&self, place: usize) -> Option<Entry> {
        let from_oldest = self.entries.len().checked_sub(place + 1)?;
        self.entries.get(from_oldest).copied()
    }

    /// The bytes of a name, in two parts where they go on at the start of the ring.
    pub(super) fn name(&self, entry: Entry) -> [&[u8]; 2] {
        self.part(usize::from(entry.start), usize::from(entry.name))
    }

    /// The same of a value.
    pub(super) fn value(&self, entry: Entry) -> [&[u8]; 2] {
        let start = usize::from(entry.start) + usize::from(entry.name);
        self.part(start % RING, usize::from(entry.value))
    }

    fn part(&self, start: usize, length: usize) -> [&[u8]; 2] {
        let first = length.min(RING - start);
        match self.ring.get(start..start + first) {
            Some(bytes) => [bytes, &self.ring[..length - first]],
            None => [b"", b""],
        }
    }

    /// Inserts an entry. One that is larger than the table empties it (RFC 7541 §4.4). True if it
    /// was inserted.
    pub(super) fn insert(
        &mut self,
        name: &[u8],
        value: &[u8],
        class: Class,
        is_valid: bool,
    ) -> bool {
        let size = name.len() + value.len() + ENTRY_OVERHEAD;
        if size > self.max {
            self.evict(0);
            return false;
        }
        self.evict(self.max - size);
        if self.ring.is_empty() {
            self.ring.resize(RING, 0);
        }
        let start = self.next as u16;
        self.put(name);
        self.put(value);
        self.size += size;
        self.inserted = self.inserted.wrapping_add(1);
        let (name, value) = (name.len() as u16, value.len() as u16);
        self.entries.push_back(Entry { start, name, value, class, is_valid });
        true
    }

    fn put(&mut self, bytes: &[u8]) {
        let first = bytes.len().min(RING - self.next);
        self.ring[self.next..self.next + first].copy_from_slice(&bytes[..first]);
        self.ring[..bytes.len() - first].copy_from_slice(&bytes[first..]);
        self.next = (self.next + bytes.len()) % RING;
    }

    fn evict(&mut self, max: usize) {
        while self.size > max {
            let oldest = self.entries.pop_front().expect("its size is counted");
            self.size -= oldest.bytes() + ENTRY_OVERHEAD;
        }
    }
}

/// True if two parts are these bytes.
pub(super) fn is_same(parts: [&[u8]; 2], bytes: &[u8]) -> bool {
    let [first, second] = parts;
    bytes.len() == first.len() + second.len()
        && &bytes[..first.len()] == first
        && &bytes[first.len()..] == second
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    type Model = VecDeque<(Vec<u8>, Vec<u8>)>;

    fn size_of(model: &Model) -> usize {
        model.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
    }

    fn shrink(model: &mut Model, max: usize) {
        while size_of(model) > max {
            model.pop_back();
        }
    }

    #[test]
    fn it_is_a_queue_of_bounded_size() {
        let mut random = Prng::new(3);
        let mut table = Table::new();
        let mut model = Model::new();
        let mut max = HPACK_TABLE_BYTES;
        for _ in 0..5_000 {
            let one_in_many = random.one_in(50);
            let longest = if one_in_many { 5_000 } else { 120 };
            let mut text = || {
                let length = random.below(longest) as usize;
                (0..length).map(|at| at as u8 ^ random.next_u64() as u8).collect::<Vec<u8>>()
            };
            let (name, value) = (text(), text());
            let fits = table.insert(&name, &value, Class::Other, true);
            assert_eq!(fits, name.len() + value.len() + 32 <= max);
            model.push_front((name, value));
            if !fits {
                model.clear();
            }
            shrink(&mut model, max);
            if random.one_in(100) {
                max = random.below(HPACK_TABLE_BYTES as u32 + 1) as usize;
                table.set_max(max);
                shrink(&mut model, max);
            }
            assert_eq!((table.length(), table.size), (model.len(), size_of(&model)));
            for (place, (name, value)) in model.iter().enumerate() {
                let entry = table.entry(place).expect("it is there");
                assert!(is_same(table.name(entry), name) && is_same(table.value(entry), value));
            }
            assert!(table.entry(model.len()).is_none());
        }
    }
}
