//! Where a body ends: counts the bytes of one message as they pass.

use crate::http1::{BodyLength, ChunkedDecoder, Refusal, ResponseBody};

/// What is still to come of a body.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// This many bytes; none means that the message is complete.
    Sized(u64),
    /// Chunks, up to and with the trailer section.
    Chunked(ChunkedDecoder),
    /// Everything until the stream ends.
    UntilClose,
}

/// How much of some bytes belongs to the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Bytes at the front that are passed on; fewer than `consumed` if framing was removed.
    pub kept: usize,
    /// Bytes that belong to the body. What follows is not of this message.
    pub consumed: usize,
}

impl Body {
    /// A message without a body, or one whose body has ended.
    pub const ENDED: Self = Self::Sized(0);

    /// True if nothing more is to come.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Sized(0))
    }

    /// Takes note of bytes that are passed on as they are.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<Passed, Refusal> {
        let consumed = match self {
            Self::Sized(left) => count_off(left, bytes.len()),
            Self::UntilClose => bytes.len(),
            Self::Chunked(decoder) => {
                let progress = decoder.advance(bytes)?;
                if progress.ended {
                    *self = Self::ENDED;
                }
                progress.consumed
            }
        };
        Ok(Passed { kept: consumed, consumed })
    }

    /// Takes note of bytes and removes the framing of chunks from them.
    pub fn unframe(&mut self, bytes: &mut [u8]) -> Result<Passed, Refusal> {
        let Self::Chunked(decoder) = self else { return self.pass(bytes) };
        let stripped = decoder.strip(bytes)?;
        if stripped.ended {
            *self = Self::ENDED;
        }
        Ok(Passed { kept: stripped.kept, consumed: stripped.consumed })
    }
}

fn count_off(left: &mut u64, available: usize) -> usize {
    let consumed = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
    *left -= consumed as u64;
    consumed
}

impl From<BodyLength> for Body {
    fn from(length: BodyLength) -> Self {
        match length {
            BodyLength::None => Self::ENDED,
            BodyLength::Sized(bytes) => Self::Sized(bytes),
            BodyLength::Chunked => Self::Chunked(ChunkedDecoder::new()),
        }
    }
}

impl From<ResponseBody> for Body {
    fn from(body: ResponseBody) -> Self {
        match body {
            ResponseBody::None => Self::ENDED,
            ResponseBody::Sized(bytes) => Self::Sized(bytes),
            ResponseBody::Chunked => Self::Chunked(ChunkedDecoder::new()),
            ResponseBody::UntilClose => Self::UntilClose,
        }
    }
}
