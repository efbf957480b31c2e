//! Where a body ends: counts the bytes of one message as they pass.

use crate::http1::{ChunkedDecoder, Refusal};

/// What is still to come of a body.
#[derive(Debug)]
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
    /// Bytes that are passed on, now at the front; fewer than `consumed` if some were left out.
    pub kept: usize,
    /// Bytes that belong to the body. What follows is not of this message if it has ended, and else
    /// is to be set aside until more of it comes.
    pub consumed: usize,
}

impl Body {
    /// A message without a body, or one whose body has ended.
    pub const ENDED: Self = Self::Sized(0);

    /// True if nothing more is to come.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Sized(0))
    }

    /// True if only the end of the stream will show whom it is passed on to that it is whole.
    pub fn is_passed_unframed(&self) -> bool {
        match self {
            Self::Sized(_) => false,
            Self::Chunked(decoder) => decoder.removes_framing(),
            Self::UntilClose => true,
        }
    }

    /// Takes note of bytes, and moves what is passed on of them to the front.
    pub fn pass(&mut self, bytes: &mut [u8]) -> Result<Passed, Refusal> {
        let consumed = match self {
            Self::Sized(left) => count_off(left, bytes.len()),
            Self::UntilClose => bytes.len(),
            Self::Chunked(decoder) => {
                let progress = decoder.pass(bytes)?;
                if progress.ended {
                    *self = Self::ENDED;
                }
                return Ok(Passed { kept: progress.kept, consumed: progress.consumed });
            }
        };
        Ok(Passed { kept: consumed, consumed })
    }
}

fn count_off(left: &mut u64, available: usize) -> usize {
    let consumed = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
    *left -= consumed as u64;
    consumed
}
