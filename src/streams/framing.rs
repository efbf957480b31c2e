//! DATA and trailers in the framing that HTTP/1 gives a body, in which exchanges have it.

use crate::engine::{Engine, Room, Slice};
use crate::head::{Field, Refusal, TrailerRules};
use crate::http1::trailer_fields;
use crate::http2::{Connection, FieldRoom, Section, StreamId, Trailers};
use crate::limits::FIELDS_MAX;
use crate::link::{Chain, Wire};
use std::io::Write;

/// Bytes of a chunk's framing beside its content, and of the last chunk.
const CHUNK_FRAMING_BYTES: usize = 32;

const EMPTY_FIELD: Field<'_> = Field { name: "", value: b"" };

/// How the content of a stream goes to its exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As it is: its length is known.
    Plain,
    /// In chunks.
    Chunked,
}

/// Keeps content that was received. False if no buffer is left.
pub(super) fn keep_content<E: Engine>(
    framing: Framing,
    content: Slice,
    is_last: bool,
    inbox: &mut Chain,
    wire: &mut Wire<E>,
) -> bool {
    match framing {
        Framing::Plain if content.is_empty() => true,
        Framing::Plain => keep_copy(content, inbox, wire),
        Framing::Chunked => keep_chunks(content, is_last, inbox, wire),
    }
}

/// Keeps a copy of content. False if no buffer is left.
fn keep_copy<E: Engine>(content: Slice, inbox: &mut Chain, wire: &mut Wire<E>) -> bool {
    let copy = wire.copy_of(content);
    copy.map(|copy| wire.push_back(inbox, copy)).is_some()
}

/// Keeps content as chunks, with the last chunk behind it if it is the last. False if no buffer is
/// left.
fn keep_chunks<E: Engine>(
    content: Slice,
    is_last: bool,
    inbox: &mut Chain,
    wire: &mut Wire<E>,
) -> bool {
    let most = (wire.engine.buffer_size() - CHUNK_FRAMING_BYTES) as u32;
    let mut rest = content;
    loop {
        let part = Slice { end: rest.end.min(rest.start + most), ..rest };
        rest.start = part.end;
        let ends = is_last && rest.is_empty();
        let Some(buffer) = wire.engine.acquire(Room::of(part.len() + CHUNK_FRAMING_BYTES)) else {
            return false;
        };
        let (from, to) = wire.engine.bytes_pair(content.buffer, buffer);
        let written = write_chunk(&from[part.start as usize..part.end as usize], ends, to);
        wire.push_back(inbox, Slice { buffer, start: 0, end: written as u32 });
        if rest.is_empty() {
            return true;
        }
    }
}

/// Writes a chunk, if there is content for one, and the last chunk if the body ends.
fn write_chunk(content: &[u8], ends: bool, out: &mut [u8]) -> usize {
    let most = out.len();
    let mut rest = out;
    let room = "there is room for the framing";
    if !content.is_empty() {
        write!(rest, "{:x}\r\n", content.len()).expect(room);
        rest.write_all(content).expect(room);
        rest.write_all(b"\r\n").expect(room);
    }
    if ends {
        rest.write_all(b"0\r\n\r\n").expect(room);
    }
    most - rest.len()
}

/// Keeps the last chunk with the trailers of a section behind it. False if no buffer is left.
///
/// # Errors
/// The trailers must be refused.
pub(super) fn keep_trailers<E: Engine>(
    section: &Section,
    rules: &TrailerRules<'_>,
    inbox: &mut Chain,
    wire: &mut Wire<E>,
) -> Result<bool, Refusal> {
    let mut room = FieldRoom::new();
    let trailers = Trailers::of_section(section, &mut room, rules)?;
    let mut end = b"0\r\n".to_vec();
    for (field, _) in trailers.forwarded() {
        end.extend_from_slice(field.name.as_bytes());
        end.extend_from_slice(b": ");
        end.extend_from_slice(field.value);
        end.extend_from_slice(b"\r\n");
    }
    end.extend_from_slice(b"\r\n");
    let end = wire.private(&end);
    Ok(end.map(|end| wire.push_back(inbox, end)).is_some())
}

/// Sends a trailer section, as HTTP/1 has it, of which what must not be forwarded was left out.
pub fn send_trailers(
    connection: &mut Connection,
    stream: StreamId,
    section: &[u8],
    rules: &TrailerRules<'_>,
) {
    let mut room = [EMPTY_FIELD; FIELDS_MAX];
    let fields = trailer_fields(section, &mut room);
    let trailers = Trailers::of_fields(fields, rules).expect("those that were kept are valid");
    connection.send_trailers(stream, &trailers);
}
