//! Chunked bodies (RFC 9112 §7.1), for any split of the bytes. Chunks are relayed as received, but
//! parts that two readers could understand differently are not: extensions, and blanks behind a
//! size, are left out, as are trailers that must not be forwarded; sizes that overflow, bare line
//! ends and control bytes are refused.

use super::trailers::{Peer, TrailerRules};
use crate::head::{Refusal, UnderscoreNames};
use crate::limits::CHUNK_LINE_BYTES_MAX;
use std::ops::Range;

/// Reads one chunked body.
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes that remain of the present chunk.
    left: u64,
    /// Bytes of the present size line.
    line_bytes: u16,
    passing: Passing,
}

/// The parts of a chunked body that are forwarded.
#[derive(Clone, Debug)]
pub enum Passing {
    /// Its chunks, and the trailers that these rules keep.
    Chunks(TrailerRules),
    /// The content, without any framing.
    Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    SizeFirst,
    Size,
    /// Behind a size: blanks, which may stand before an extension.
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Ended,
}

/// The progress of a decoder over some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are forwarded, now at the front.
    pub kept: usize,
    /// Bytes that have been decoded. The bytes behind them belong to the next message if the body
    /// has ended; else they begin a trailer section, and must be given again with more of it.
    pub consumed: usize,
    /// The body has ended.
    pub ended: bool,
}

impl ChunkedDecoder {
    /// A decoder at the start of a body.
    pub fn new(passing: Passing) -> Self {
        Self { state: State::SizeFirst, left: 0, line_bytes: 0, passing }
    }

    /// True if the content is forwarded without any framing.
    pub fn removes_framing(&self) -> bool {
        matches!(self.passing, Passing::Content)
    }

    /// Decodes the next bytes of the body.
    pub fn pass(&mut self, input: &mut [u8]) -> Result<Progress, Refusal> {
        match self.passing {
            Passing::Chunks(_) => self.relay(input),
            Passing::Content => self.strip(input),
        }
    }

    fn relay(&mut self, input: &mut [u8]) -> Result<Progress, Refusal> {
        // The bytes between `begun` and `at` are forwarded and have not been moved to the front
        // yet: usually all bytes, which are in their place already.
        let (mut at, mut kept, mut begun) = (0, 0, 0);
        while at < input.len() {
            match self.state {
                State::Data => at += self.skip_data(input.len() - at),
                State::Trailers => {
                    kept = move_to_front(input, begun..at, kept);
                    let (length, fields) = self.end(&mut input[at..])?;
                    kept = move_to_front(input, at..at + fields, kept);
                    (at, begun) = (at + length, at + length);
                    break;
                }
                State::Ended => break,
                _ => {
                    self.step(input[at])?;
                    if matches!(self.state, State::Blank | State::Extension) {
                        kept = move_to_front(input, begun..at, kept);
                        begun = at + 1;
                    }
                    at += 1;
                }
            }
        }
        kept = move_to_front(input, begun..at, kept);
        Ok(Progress { kept, consumed: at, ended: self.state == State::Ended })
    }

    fn strip(&mut self, input: &mut [u8]) -> Result<Progress, Refusal> {
        let (mut at, mut kept) = (0, 0);
        while at < input.len() {
            match self.state {
                State::Data => {
                    let length = self.skip_data(input.len() - at);
                    kept = move_to_front(input, at..at + length, kept);
                    at += length;
                }
                State::Trailers => {
                    at += self.end(&mut input[at..])?.0;
                    break;
                }
                State::Ended => break,
                _ => {
                    self.step(input[at])?;
                    at += 1;
                }
            }
        }
        Ok(Progress { kept, consumed: at, ended: self.state == State::Ended })
    }

    /// Ends the body with the trailer section that `bytes` begin with: its length, and the length
    /// of its forwarded part, at its front. Both are 0 if it is incomplete.
    fn end(&mut self, bytes: &mut [u8]) -> Result<(usize, usize), Refusal> {
        const OF_BACKENDS: TrailerRules = TrailerRules {
            from: Peer::Backend,
            underscore_names: UnderscoreNames::Drop,
            named_by_connection: None,
        };
        let section = match &self.passing {
            Passing::Chunks(rules) => rules.filter(bytes)?,
            Passing::Content => OF_BACKENDS.filter(bytes)?,
        };
        let Some(section) = section else { return Ok((0, 0)) };
        self.state = State::Ended;
        Ok((section.length, section.kept))
    }

    fn skip_data(&mut self, available: usize) -> usize {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(available);
        self.left -= length as u64;
        if self.left == 0 {
            self.state = State::DataCr;
        }
        length
    }

    fn step(&mut self, byte: u8) -> Result<(), Refusal> {
        self.state = match (self.state, byte) {
            (State::SizeFirst | State::Size, digit) if digit.is_ascii_hexdigit() => {
                self.add_digit(digit)?
            }
            (State::Size | State::Blank | State::Extension, b'\r') => State::SizeLf,
            (State::Size | State::Blank, b' ' | b'\t') => State::Blank,
            (State::Size | State::Blank, b';') => State::Extension,
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => State::Extension,
            (State::SizeLf, b'\n') => self.end_size_line(),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::SizeFirst,
            _ => return Err(Refusal::MalformedChunk),
        };
        if matches!(self.state, State::Size | State::Blank | State::Extension | State::SizeLf) {
            self.line_bytes += 1;
            if usize::from(self.line_bytes) > CHUNK_LINE_BYTES_MAX {
                return Err(Refusal::ChunkLineTooLong);
            }
        }
        Ok(())
    }

    fn add_digit(&mut self, digit: u8) -> Result<State, Refusal> {
        if self.left > (i64::MAX as u64) >> 4 {
            return Err(Refusal::ChunkTooLarge);
        }
        let value = char::from(digit).to_digit(16).expect("a hexadecimal digit");
        self.left = self.left << 4 | u64::from(value);
        Ok(State::Size)
    }

    fn end_size_line(&mut self) -> State {
        self.line_bytes = 0;
        if self.left == 0 { State::Trailers } else { State::Data }
    }
}

/// Moves a range to `to`, which is not behind it; returns its new end.
fn move_to_front(bytes: &mut [u8], range: Range<usize>, to: usize) -> usize {
    let length = range.len();
    if range.start != to {
        bytes.copy_within(range, to);
    }
    to + length
}
