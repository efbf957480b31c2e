//! Decoding field blocks (RFC 7541 §3, §6) into a [`Section`].
//!
//! Each field is charged to the limits of the section before it is stored. One that is beyond them
//! is decoded all the same, and enters the table, so that the next block can be decoded; it is not
//! stored. The work for a block is bounded: see [`HTTP2_SECTION_WORK_MAX`].

use super::class::{Class, is_valid_value};
use super::table::{ENTRY_OVERHEAD, Table};
use super::{huffman, integer, static_table};
use crate::http2::error::{ErrorCode, Fault};
use crate::http2::guard::Flood;
use crate::http2::section::{Literal, Section};
use crate::limits::{HPACK_TABLE_BYTES, HTTP2_SECTION_WORK_MAX};

const fn malformed(reason: &'static str) -> Fault {
    Fault::of(ErrorCode::COMPRESSION_ERROR, reason)
}

const MALFORMED_INTEGER: Fault = malformed("an integer of a field block is malformed");
const INCOMPLETE: Fault = malformed("a field block ends within a field");
const NO_SUCH_ENTRY: Fault = malformed("a field block names an entry that its table does not have");
const MALFORMED_HUFFMAN: Fault = malformed("a string of a field block is not Huffman encoded");
const UPDATE_TOO_LARGE: Fault = malformed("a table size update is beyond the limit");
const UPDATE_BEHIND_FIELD: Fault = malformed("a table size update is behind a field");
const TOO_MUCH_WORK: Fault = Fault::excess(Flood::Oversized, "a field block is far too large");

/// A decoder, with the table of one direction of a connection.
#[derive(Debug)]
pub(in crate::http2) struct Decoder {
    table: Table,
}

/// A representation of a field by its first byte (RFC 7541 §6).
enum Form {
    Indexed,
    IncrementalIndexing,
    SizeUpdate,
    /// With or without the permission to index.
    NotIndexed {
        never: bool,
    },
}

impl Form {
    #[inline]
    fn of(byte: u8) -> Self {
        match byte {
            0x80.. => Self::Indexed,
            0x40.. => Self::IncrementalIndexing,
            0x20.. => Self::SizeUpdate,
            0x10.. => Self::NotIndexed { never: true },
            _ => Self::NotIndexed { never: false },
        }
    }
}

impl Decoder {
    pub(in crate::http2) fn new() -> Self {
        Self { table: Table::new() }
    }

    /// Decodes a complete block. A fault is one of the connection: the table is lost.
    pub(in crate::http2) fn decode(
        &mut self,
        block: &[u8],
        section: &mut Section,
    ) -> Result<(), Fault> {
        let mut rest = block;
        let mut may_update = true;
        while let Some(first) = rest.first() {
            let form = Form::of(*first);
            rest = match form {
                Form::Indexed => self.indexed(rest, section)?,
                Form::SizeUpdate if may_update => self.size_update(rest)?,
                Form::SizeUpdate => return Err(UPDATE_BEHIND_FIELD),
                Form::IncrementalIndexing => {
                    let (literal, rest) = self.literal(rest, 6, section)?;
                    let (name, value) = section.literal(literal);
                    self.table.insert(name, value, literal.class, literal.is_valid);
                    section.close(literal, false);
                    rest
                }
                Form::NotIndexed { never } => {
                    let (literal, rest) = self.literal(rest, 4, section)?;
                    section.close(literal, never);
                    rest
                }
            };
            may_update &= matches!(form, Form::SizeUpdate);
            if section.work() > HTTP2_SECTION_WORK_MAX {
                return Err(TOO_MUCH_WORK);
            }
        }
        Ok(())
    }

    fn size_update<'i>(&mut self, input: &'i [u8]) -> Result<&'i [u8], Fault> {
        let (max, rest) = integer::read(input, 5).map_err(|_| MALFORMED_INTEGER)?;
        if max > HPACK_TABLE_BYTES {
            return Err(UPDATE_TOO_LARGE);
        }
        self.table.set_max(max);
        Ok(rest)
    }

    fn indexed<'i>(&mut self, input: &'i [u8], section: &mut Section) -> Result<&'i [u8], Fault> {
        let (index, rest) = integer::read(input, 7).map_err(|_| MALFORMED_INTEGER)?;
        if let Some((name, value, class)) = static_table::entry(index) {
            let parts = [value.as_bytes(), b""];
            section.add(*class, true, [name.as_bytes(), b""], parts);
            return Ok(rest);
        }
        let entry = self.entry(index)?;
        let (name, value) = (self.table.name(entry), self.table.value(entry));
        section.add(entry.class, entry.is_valid, name, value);
        Ok(rest)
    }

    fn entry(&self, index: usize) -> Result<super::table::Entry, Fault> {
        let place = index.checked_sub(static_table::LENGTH + 1).ok_or(NO_SUCH_ENTRY)?;
        self.table.entry(place).ok_or(NO_SUCH_ENTRY)
    }

    /// A literal, written behind what the section has stored.
    fn literal<'i>(
        &self,
        input: &'i [u8],
        prefix_bits: u32,
        section: &mut Section,
    ) -> Result<(Literal, &'i [u8]), Fault> {
        let (index, rest) = integer::read(input, prefix_bits).map_err(|_| MALFORMED_INTEGER)?;
        let (names, values) = section.room();
        let (name_start, value_start) = (names.len(), values.len());
        let mut rest = rest;
        let class = if index == 0 {
            rest = read_string(rest, names)?;
            Class::of(&names[name_start..])
        } else if let Some((name, _, class)) = static_table::entry(index) {
            names.extend_from_slice(name.as_bytes());
            *class
        } else {
            let entry = self.entry(index)?;
            self.table.name(entry).iter().for_each(|part| names.extend_from_slice(part));
            entry.class
        };
        rest = read_string(rest, values)?;
        let is_valid = is_valid_value(&values[value_start..]);
        Ok((Literal { class, is_valid, name_start, value_start }, rest))
    }
}

/// Reads a string (RFC 7541 §5.2) to the end of `out`.
#[inline]
fn read_string<'i>(input: &'i [u8], out: &mut Vec<u8>) -> Result<&'i [u8], Fault> {
    let is_huffman = input.first().is_some_and(|byte| byte & 0x80 != 0);
    let (length, rest) = integer::read(input, 7).map_err(|_| INCOMPLETE)?;
    let (text, rest) = rest.split_at_checked(length).ok_or(INCOMPLETE)?;
    if is_huffman {
        huffman::decode(text, out).map_err(|_| MALFORMED_HUFFMAN)?;
    } else {
        out.extend_from_slice(text);
    }
    Ok(rest)
}

/// What a field counts (RFC 9113 §10.5.1).
pub(in crate::http2) const FIELD_OVERHEAD: usize = ENTRY_OVERHEAD;
