//! Chunked bodies (RFC 9112 §7.1), for any split of the bytes. What is relayed is relayed as it
//! came, so everything that two readers could understand differently is refused: sizes that
//! overflow, bare line ends, control bytes in extensions, trailers that would change the message.

use super::Refusal;
use super::fields::is_token_byte;
use crate::limits::{CHUNK_LINE_BYTES_MAX, FIELDS_MAX, TRAILER_BYTES_MAX};

/// Reads one chunked body.
#[derive(Clone, Copy, Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes still to come of the present chunk.
    left: u64,
    /// Bytes of the present size line, or of the trailer section.
    line_bytes: u16,
    /// The name of the present trailer field, lower case, as far as it fits.
    name: [u8; NAME_BYTES],
    name_bytes: u8,
    /// Trailer fields so far.
    trailers: u8,
}

const NAME_BYTES: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    SizeFirst,
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Ended,
}

/// How far a decoder has come with some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that belong to the body; what follows does not.
    pub consumed: usize,
    /// The body has ended.
    pub ended: bool,
}

/// How far a decoder has come, and what it left of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripped {
    /// Bytes of data, now at the front.
    pub kept: usize,
    /// See [`Progress::consumed`].
    pub consumed: usize,
    /// The body has ended.
    pub ended: bool,
}

/// Trailers that would change what the message means or where it goes (RFC 9110 §6.5.1).
const FORBIDDEN_TRAILERS: [&[u8]; 18] = [
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"expect",
    b"forwarded",
    b"host",
    b"keep-alive",
    b"proxy-connection",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"via",
];

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkedDecoder {
    /// At the start of a body.
    pub fn new() -> Self {
        let state = State::SizeFirst;
        let name = [0; NAME_BYTES];
        Self { state, left: 0, line_bytes: 0, name, name_bytes: 0, trailers: 0 }
    }

    /// Walks over bytes that are relayed as they are.
    pub fn advance(&mut self, input: &[u8]) -> Result<Progress, Refusal> {
        let mut at = 0;
        while at < input.len() && self.state != State::Ended {
            at += match self.state {
                State::Data => self.skip_data(input.len() - at),
                _ => {
                    self.step(input[at])?;
                    1
                }
            };
        }
        Ok(Progress { consumed: at, ended: self.state == State::Ended })
    }

    /// Walks over bytes and moves the data among them to the front.
    pub fn strip(&mut self, input: &mut [u8]) -> Result<Stripped, Refusal> {
        let (mut at, mut kept) = (0, 0);
        while at < input.len() && self.state != State::Ended {
            if self.state == State::Data {
                let length = self.skip_data(input.len() - at);
                input.copy_within(at..at + length, kept);
                (at, kept) = (at + length, kept + length);
            } else {
                self.step(input[at])?;
                at += 1;
            }
        }
        Ok(Stripped { kept, consumed: at, ended: self.state == State::Ended })
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
            (State::Size, b'\r') => State::SizeLf,
            (State::Size, b';') => State::Extension,
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => State::Extension,
            (State::SizeLf, b'\n') => self.end_size_line(),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::SizeFirst,
            (
                State::TrailerStart
                | State::TrailerName
                | State::TrailerValue
                | State::TrailerLf
                | State::EndLf,
                byte,
            ) => return self.step_trailer(byte),
            _ => return Err(Refusal::MalformedChunk),
        };
        if matches!(self.state, State::Size | State::Extension | State::SizeLf) {
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
        if self.left == 0 { State::TrailerStart } else { State::Data }
    }

    fn step_trailer(&mut self, byte: u8) -> Result<(), Refusal> {
        self.line_bytes += 1;
        if usize::from(self.line_bytes) > TRAILER_BYTES_MAX {
            return Err(Refusal::TrailersTooLarge);
        }
        self.state = match (self.state, byte) {
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::EndLf, b'\n') => State::Ended,
            (State::TrailerStart | State::TrailerName, byte)
                if is_token_byte(byte) && byte != b'_' =>
            {
                self.add_name_byte(byte);
                State::TrailerName
            }
            (State::TrailerName, b':') => self.end_trailer_name()?,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => State::TrailerValue,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            _ => return Err(Refusal::MalformedTrailer),
        };
        Ok(())
    }

    fn add_name_byte(&mut self, byte: u8) {
        let at = usize::from(self.name_bytes);
        if at < NAME_BYTES {
            self.name[at] = byte.to_ascii_lowercase();
            self.name_bytes += 1;
        }
    }

    fn end_trailer_name(&mut self) -> Result<State, Refusal> {
        let name = &self.name[..usize::from(self.name_bytes)];
        let is_forbidden = FORBIDDEN_TRAILERS.contains(&name) || name.starts_with(b"x-forwarded-");
        self.name_bytes = 0;
        self.trailers += 1;
        match is_forbidden {
            true => Err(Refusal::MalformedTrailer),
            false if usize::from(self.trailers) > FIELDS_MAX => Err(Refusal::TooManyFields),
            false => Ok(State::TrailerValue),
        }
    }
}
