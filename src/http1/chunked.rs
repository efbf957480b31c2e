//! Chunked bodies (RFC 9112 §7.1), for any split of the bytes. Chunks are relayed as received, but
//! no part that two readers could understand differently is: a size goes on as lower-case digits
//! without leading zeros, blanks and extensions, and trailers that must not be forwarded are left
//! out; sizes that overflow, bare line ends and control bytes are refused.

use super::trailers::filter_trailers;
use crate::head::{Peer, Refusal, TrailerRules};
use crate::limits::CHUNK_LINE_BYTES_MAX;
use std::ops::Range;

/// Reads one chunked body.
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    state: State,
    passing: Passing,
    /// Bytes that remain of the present chunk.
    left: u64,
    /// The names in Connection in the head, separated by commas; none if there are no names.
    named_by_connection: Option<Box<[u8]>>,
}

// An exchange has two of them.
const _: () = assert!(size_of::<ChunkedDecoder>() <= 32);

/// The parts of a chunked body that are forwarded.
#[derive(Clone, Copy, Debug)]
enum Passing {
    /// Its chunks, and the trailers that its sender may send.
    Chunks(Peer),
    /// The content, without any framing.
    Content,
    /// The content, and apart from it the trailers that its sender may send.
    ContentAndTrailers(Peer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    SizeLine,
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
    /// Bytes of the trailer section behind those, for who forwards it apart; 0 without a field.
    pub trailers: usize,
    /// Bytes that have been decoded. The bytes behind them belong to the next message if the body
    /// has ended; else they begin a size line or a trailer section, and must be given again with
    /// more of it.
    pub consumed: usize,
    /// The body has ended.
    pub ended: bool,
}

impl ChunkedDecoder {
    /// At the start of a body whose chunks are forwarded, and whose trailers are, by the rules of
    /// RFC 9110 §6.5.1. `named_by_connection`: the names in Connection in its head, separated by
    /// commas, are those of fields of one connection (RFC 9110 §7.6.1).
    pub fn relaying(from: Peer, named_by_connection: Option<Box<[u8]>>) -> Self {
        Self { passing: Passing::Chunks(from), named_by_connection, ..Self::stripping() }
    }

    /// At the start of a body whose content is forwarded without any framing.
    pub fn stripping() -> Self {
        let (state, passing) = (State::SizeLine, Passing::Content);
        Self { state, passing, left: 0, named_by_connection: None }
    }

    /// At the start of a body whose content is forwarded without any framing, and apart from it
    /// its trailers, as [`ChunkedDecoder::relaying`] has them.
    pub fn unframing(from: Peer, named_by_connection: Option<Box<[u8]>>) -> Self {
        let passing = Passing::ContentAndTrailers(from);
        Self { passing, named_by_connection, ..Self::stripping() }
    }

    /// True if the content is forwarded without any framing.
    pub fn removes_framing(&self) -> bool {
        !matches!(self.passing, Passing::Chunks(_))
    }

    /// Decodes the next bytes of the body.
    pub fn pass(&mut self, input: &mut [u8]) -> Result<Progress, Refusal> {
        match self.passing {
            Passing::Chunks(_) => self.relay(input),
            Passing::Content | Passing::ContentAndTrailers(_) => self.strip(input),
        }
    }

    fn relay(&mut self, input: &mut [u8]) -> Result<Progress, Refusal> {
        // The bytes between `begun` and `at` are forwarded and have not been moved to the front
        // yet: usually all bytes, which are in their place already.
        let (mut at, mut kept, mut begun) = (0, 0, 0);
        while at < input.len() {
            match self.state {
                State::SizeLine => {
                    let Some(line) = SizeLine::read(&input[at..])? else { break };
                    if !line.is_canonical {
                        kept = move_to_front(input, begun..at, kept);
                        kept += write_size_line(line.size, &mut input[kept..]);
                        begun = at + line.length;
                    }
                    at += line.length;
                    self.begin_chunk(line.size);
                }
                State::Data => at += self.skip_data(input.len() - at),
                State::Trailers => {
                    kept = move_to_front(input, begun..at, kept);
                    let (length, fields) = self.end(&mut input[at..])?;
                    kept = move_to_front(input, at..at + fields, kept);
                    (at, begun) = (at + length, at + length);
                    break;
                }
                State::Ended => break,
                State::DataCr | State::DataLf => {
                    self.end_data(input[at])?;
                    at += 1;
                }
            }
        }
        kept = move_to_front(input, begun..at, kept);
        Ok(Progress { kept, trailers: 0, consumed: at, ended: self.state == State::Ended })
    }

    fn strip(&mut self, input: &mut [u8]) -> Result<Progress, Refusal> {
        let (mut at, mut kept, mut trailers) = (0, 0, 0);
        while at < input.len() {
            match self.state {
                State::SizeLine => {
                    let Some(line) = SizeLine::read(&input[at..])? else { break };
                    at += line.length;
                    self.begin_chunk(line.size);
                }
                State::Data => {
                    let length = self.skip_data(input.len() - at);
                    kept = move_to_front(input, at..at + length, kept);
                    at += length;
                }
                State::Trailers => {
                    let (length, fields) = self.end(&mut input[at..])?;
                    let has_fields = fields > b"\r\n".len();
                    if has_fields && matches!(self.passing, Passing::ContentAndTrailers(_)) {
                        trailers = move_to_front(input, at..at + fields, kept) - kept;
                    }
                    at += length;
                    break;
                }
                State::Ended => break,
                State::DataCr | State::DataLf => {
                    self.end_data(input[at])?;
                    at += 1;
                }
            }
        }
        Ok(Progress { kept, trailers, consumed: at, ended: self.state == State::Ended })
    }

    /// Ends the body with the trailer section that `bytes` begin with: its length, and the length
    /// of its forwarded part, at its front. Both are 0 if it is incomplete.
    fn end(&mut self, bytes: &mut [u8]) -> Result<(usize, usize), Refusal> {
        let from = match self.passing {
            Passing::Chunks(from) | Passing::ContentAndTrailers(from) => from,
            Passing::Content => Peer::Backend,
        };
        let named_by_connection = self.named_by_connection.as_deref();
        let rules = TrailerRules { from, named_by_connection };
        let section = filter_trailers(&rules, bytes)?;
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

    /// Reads a byte of the line end behind the data of a chunk.
    fn end_data(&mut self, byte: u8) -> Result<(), Refusal> {
        self.state = match (self.state, byte) {
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::SizeLine,
            _ => return Err(Refusal::MalformedChunk),
        };
        Ok(())
    }

    fn begin_chunk(&mut self, size: u64) {
        self.left = size;
        self.state = if size == 0 { State::Trailers } else { State::Data };
    }
}

/// A complete size line.
struct SizeLine {
    /// The size of its chunk, bytes.
    size: u64,
    /// Its bytes, with its end.
    length: usize,
    /// It is the line that [`write_size_line`] writes.
    is_canonical: bool,
}

impl SizeLine {
    /// Reads the line at the start of `bytes`, which are some; none if it is incomplete.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Refusal> {
        let line = &bytes[..bytes.len().min(CHUNK_LINE_BYTES_MAX)];
        let (digits, behind) = split_behind(line, |byte| byte.is_ascii_hexdigit());
        if digits.is_empty() {
            return Err(Refusal::MalformedChunk);
        }
        let (blanks, behind) = split_behind(behind, |byte| matches!(byte, b' ' | b'\t'));
        let is_extension = |byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        let extension = match behind {
            [b';', ..] => split_behind(behind, is_extension).0,
            _ => b"",
        };
        let end = digits.len() + blanks.len() + extension.len();
        let size = value_of(digits)?;
        match &bytes[end..] {
            [] => Ok(None),
            _ if end == CHUNK_LINE_BYTES_MAX => Err(Refusal::ChunkLineTooLong),
            [b'\r'] => Ok(None),
            [b'\r', b'\n', ..] => {
                let is_canonical = end == digits.len() && is_canonical(digits);
                Ok(Some(Self { size, length: end + b"\r\n".len(), is_canonical }))
            }
            _ => Err(Refusal::MalformedChunk),
        }
    }
}

/// The first bytes that are of a class, and the bytes behind them.
fn split_behind(bytes: &[u8], is_of_class: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !is_of_class(*byte));
    bytes.split_at(end.unwrap_or(bytes.len()))
}

/// The value of hexadecimal digits, below 2^63.
fn value_of(digits: &[u8]) -> Result<u64, Refusal> {
    digits.iter().try_fold(0, |size, digit| {
        if size > (i64::MAX as u64) >> 4 {
            return Err(Refusal::ChunkTooLarge);
        }
        let value = char::from(*digit).to_digit(16).expect("a hexadecimal digit");
        Ok(size << 4 | u64::from(value))
    })
}

/// True for lower-case digits without leading zeros.
fn is_canonical(digits: &[u8]) -> bool {
    (digits[0] != b'0' || digits.len() == 1) && !digits.iter().any(u8::is_ascii_uppercase)
}

/// Writes the line of a size; returns its length. No line of this size is shorter.
fn write_size_line(size: u64, out: &mut [u8]) -> usize {
    let digits = size.checked_ilog2().map_or(1, |highest| highest as usize / 4 + 1);
    for (at, digit) in out[..digits].iter_mut().enumerate() {
        let value = size >> (4 * (digits - 1 - at)) & 0xf;
        *digit = b"0123456789abcdef"[value as usize];
    }
    out[digits..digits + 2].copy_from_slice(b"\r\n");
    digits + 2
}

/// Moves a range to `to`, which is not behind it; returns its new end.
fn move_to_front(bytes: &mut [u8], range: Range<usize>, to: usize) -> usize {
    let length = range.len();
    if range.start != to {
        bytes.copy_within(range, to);
    }
    to + length
}
