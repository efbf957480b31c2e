//! Encoding field blocks (RFC 7541 §6).
//!
//! A field in the dynamic table is one or two bytes. What enters the table is decided by the name:
//! see `known`. Strings are Huffman encoded where that is shorter.

use super::class::Class;
use super::index::{Index, Live, hash};
use super::table::{ENTRY_OVERHEAD, Table, is_same};
use super::{huffman, integer, known, static_table};
use crate::limits::HPACK_TABLE_BYTES;

/// Whether a field may enter the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http2) enum Indexing {
    /// It does.
    Yes,
    /// It does not: its value will hardly come again.
    Without,
    /// It must not, here and on all hops behind (RFC 7541 §6.2.3).
    Never,
}

/// An entry larger than this part of the table would evict most others.
const ENTRY_BYTES_MAX: usize = HPACK_TABLE_BYTES / 2;

/// A change of the table's size that the peer's decoder has to learn of (RFC 7541 §4.2).
#[derive(Clone, Copy, Debug)]
struct SizeUpdate {
    /// The smallest since the last block.
    smallest: usize,
    last: usize,
}

/// An encoder, with the table of one direction of a connection.
#[derive(Debug)]
pub(in crate::http2) struct Encoder {
    table: Table,
    by_field: Index<256>,
    by_name: Index<128>,
    update: Option<SizeUpdate>,
}

/// A name as it is written.
enum Name<'n> {
    /// By an index of either table.
    Indexed(usize),
    Literal(&'n [u8]),
}

impl Encoder {
    pub(in crate::http2) fn new() -> Self {
        Self { table: Table::new(), by_field: Index::new(), by_name: Index::new(), update: None }
    }

    /// Applies SETTINGS_HEADER_TABLE_SIZE of the peer: the next block announces the size.
    pub(in crate::http2) fn set_peer_table_size(&mut self, size: u32) {
        let size = usize::try_from(size).unwrap_or(HPACK_TABLE_BYTES).min(HPACK_TABLE_BYTES);
        let smallest = self.update.map_or(self.table.max(), |update| update.smallest).min(size);
        if size != self.table.max() || self.update.is_some() {
            self.update = Some(SizeUpdate { smallest, last: size });
            self.table.set_max(size);
        }
    }

    /// Begins a block.
    pub(in crate::http2) fn begin(&mut self, out: &mut Vec<u8>) {
        let Some(SizeUpdate { smallest, last }) = self.update.take() else { return };
        if smallest < last {
            integer::write(smallest, 5, 0x20, out);
        }
        integer::write(last, 5, 0x20, out);
    }

    /// Writes an entry of the static table.
    pub(in crate::http2) fn static_entry(&mut self, index: usize, out: &mut Vec<u8>) {
        integer::write(index, 7, 0x80, out);
    }

    /// Writes a field. Its name may have capital letters, which are written as small ones.
    pub(in crate::http2) fn field(
        &mut self,
        name: &[u8],
        value: &[u8],
        never_indexed: bool,
        out: &mut Vec<u8>,
    ) {
        let known = known::of(name);
        let indexing = match known {
            _ if never_indexed => Indexing::Never,
            Some(known) => known.indexing,
            None => Indexing::Yes,
        };
        let name_index = known.map_or(0, |known| usize::from(known.index));
        let name_hash = match name_index {
            0 => hash(name, 0),
            index => index as u32,
        };
        let fits =
            name.len() + value.len() + ENTRY_OVERHEAD <= ENTRY_BYTES_MAX.min(self.table.max());
        if indexing == Indexing::Yes && fits {
            return self.indexed(name, value, name_index, name_hash, out);
        }
        let name = self.name(name, name_index, name_hash);
        let pattern = if indexing == Indexing::Never { 0x10 } else { 0x00 };
        write_literal(name, value, 4, pattern, out);
    }

    /// Writes a field as its entry, or as a literal that becomes one.
    fn indexed(
        &mut self,
        name: &[u8],
        value: &[u8],
        name_index: usize,
        name_hash: u32,
        out: &mut Vec<u8>,
    ) {
        if name_index > 0 && has_static_value(name_index, value) {
            return integer::write(name_index, 7, 0x80, out);
        }
        let field_hash = hash(value, name_hash);
        let table = &self.table;
        let is_it = |place: usize| {
            table.entry(place).is_some_and(|entry| {
                is_same(table.value(entry), value) && is_same_name(table.name(entry), name)
            })
        };
        if let Some(place) = self.by_field.find(field_hash, live(table), is_it) {
            return integer::write(static_table::LENGTH + 1 + place, 7, 0x80, out);
        }
        write_literal(self.name(name, name_index, name_hash), value, 6, 0x40, out);
        self.insert(name, value, field_hash, (name_index == 0).then_some(name_hash));
    }

    fn insert(&mut self, name: &[u8], value: &[u8], field_hash: u32, name_hash: Option<u32>) {
        let mut lower = [0; 64];
        let (name, long) = match lower.get_mut(..name.len()) {
            Some(lower) => {
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                (&*lower, Vec::new())
            }
            None => (&b""[..], name.to_ascii_lowercase()),
        };
        let name = if long.is_empty() { name } else { &long };
        // The class of a name is for decoders.
        self.table.insert(name, value, Class::Other, true);
        let live = live(&self.table);
        self.by_field.remember(field_hash, live.newest, live);
        if let Some(hash) = name_hash {
            self.by_name.remember(hash, live.newest, live);
        }
    }

    /// The shortest way to write a name.
    fn name<'n>(&self, name: &'n [u8], name_index: usize, name_hash: u32) -> Name<'n> {
        if name_index > 0 {
            return Name::Indexed(name_index);
        }
        let table = &self.table;
        let is_it = |place: usize| {
            table.entry(place).is_some_and(|entry| is_same_name(table.name(entry), name))
        };
        match self.by_name.find(name_hash, live(table), is_it) {
            Some(place) => Name::Indexed(static_table::LENGTH + 1 + place),
            None => Name::Literal(name),
        }
    }
}

fn live(table: &Table) -> Live {
    Live { newest: table.inserted().wrapping_sub(1), length: table.length() }
}

/// True if parts, in small letters, are this name in any case.
fn is_same_name(parts: [&[u8]; 2], name: &[u8]) -> bool {
    let [first, second] = parts;
    name.len() == first.len() + second.len()
        && name[..first.len()].eq_ignore_ascii_case(first)
        && name[first.len()..].eq_ignore_ascii_case(second)
}

/// True if the static table has a field whole at the first index of its name.
fn has_static_value(index: usize, value: &[u8]) -> bool {
    let entry = static_table::entry(index);
    entry.is_some_and(|(_, known, _)| !known.is_empty() && known.as_bytes() == value)
}

fn write_literal(name: Name<'_>, value: &[u8], prefix_bits: u32, pattern: u8, out: &mut Vec<u8>) {
    match name {
        Name::Indexed(index) => integer::write(index, prefix_bits, pattern, out),
        Name::Literal(name) => {
            out.push(pattern);
            write_string(name.iter().map(u8::to_ascii_lowercase), name.len(), out);
        }
    }
    write_string(value.iter().copied(), value.len(), out);
}

/// Writes a string (RFC 7541 §5.2).
#[inline]
fn write_string(text: impl Iterator<Item = u8> + Clone, length: usize, out: &mut Vec<u8>) {
    let encoded = huffman::encoded_length(text.clone());
    if encoded < length {
        integer::write(encoded, 7, 0x80, out);
        huffman::encode(text, out);
    } else {
        integer::write(length, 7, 0, out);
        out.extend(text);
    }
}
