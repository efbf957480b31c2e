//! The beginning of a head, a size line or a trailer section that arrives in pieces: whether what
//! came can have completed or broken it, so that it is not judged from its start at each read.
//! Judging and searching take work that is linear in the bytes, however small the pieces are.
//!
//! Does not: judge. What is said here is only that nothing has changed.

use super::request_line::line_bytes_max;
use crate::head::Rules;
use crate::limits::{CHUNK_LINE_BYTES_MAX, FIELDS_MAX, TRAILER_BYTES_MAX};
use httparse::{EMPTY_HEADER, Status};

/// Fields that are looked at at once; more of them in one piece are judged with all the rest.
const FIELDS_AT_ONCE: usize = 16;

/// So many bytes may be judged again for each byte that arrives.
const JUDGED_FOR_A_BYTE: usize = 4;

/// Bytes that were found incomplete, on the heap, so that a slow sender holds no buffer.
#[derive(Debug)]
pub struct Partial {
    bytes: Vec<u8>,
    /// The start of the line that has not ended.
    line: usize,
    /// Lines that have ended.
    lines: usize,
    /// So many bytes are judged again whatever they are: twice as many as the last time, which
    /// shows a fault within a line, or as many as can no longer be incomplete.
    judged_at: usize,
}

impl Partial {
    /// The beginning of a request's head, which was judged incomplete.
    pub fn of_request(bytes: &[u8], rules: &Rules) -> Self {
        Self::new(bytes, line_bytes_max(rules) + 1, rules.head_bytes_max)
    }

    /// The beginning of a response's head.
    pub fn of_response(bytes: &[u8], rules: &Rules) -> Self {
        Self::new(bytes, rules.head_bytes_max, rules.head_bytes_max)
    }

    /// The beginning of a size line or of a trailer section.
    pub fn of_body(bytes: &[u8]) -> Self {
        Self::new(bytes, CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX)
    }

    /// So many bytes are never incomplete: `line_most` without a line end, `most` at all.
    fn new(bytes: &[u8], line_most: usize, most: usize) -> Self {
        let line = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
        let is_first = line == 0 && bytes.len() < line_most;
        Self {
            line,
            lines: memchr::memchr_iter(b'\n', bytes).count(),
            judged_at: (2 * bytes.len()).min(if is_first { line_most } else { most }),
            bytes: bytes.into(),
        }
    }

    /// All bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes a piece if all is as incomplete with it as without. If it returns false, nothing was
    /// taken: the bytes and the piece have to be judged together.
    pub fn take(&mut self, piece: &[u8]) -> bool {
        let before = self.bytes.len();
        let all = before + piece.len();
        // To judge all for a piece of some length is no more work than to receive it.
        if all >= self.judged_at || all <= JUDGED_FOR_A_BYTE * piece.len() {
            return false;
        }
        let Some(end) = memchr::memrchr(b'\n', piece) else {
            self.bytes.extend_from_slice(piece);
            return true;
        };
        let lines = self.lines + memchr::memchr_iter(b'\n', piece).count();
        // The first line has a form of its own, and so many lines may be too many.
        if self.lines == 0 || lines > FIELDS_MAX {
            return false;
        }
        self.bytes.extend_from_slice(piece);
        let end = before + end + 1;
        if !are_fields(&self.bytes[self.line..end]) {
            self.bytes.truncate(before);
            return false;
        }
        (self.line, self.lines) = (end, lines);
        true
    }
}

/// True if these complete lines are fields, and no line among them is empty.
fn are_fields(lines: &[u8]) -> bool {
    let mut room = [EMPTY_HEADER; FIELDS_AT_ONCE];
    matches!(httparse::parse_headers(lines, &mut room), Ok(Status::Partial))
}
