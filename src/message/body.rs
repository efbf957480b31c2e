//! The end of a body: counts the bytes of one message as they pass.

use crate::head::Refusal;
use crate::http1::{ChunkedDecoder, Progress};

/// What remains of a body.
#[derive(Debug)]
pub enum Body {
    /// This many bytes; 0 means that the message is complete.
    Sized(u64),
    /// Chunks, up to and with the trailer section.
    Chunked(ChunkedDecoder),
    /// Everything until the stream ends.
    UntilClose,
}

/// The part of some bytes that belongs to the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Bytes that are forwarded, now at the front; fewer than `consumed` if some were left out.
    pub kept: usize,
    /// Bytes of a trailer section that is forwarded apart, behind those.
    pub trailers: usize,
    /// Bytes that belong to the body. The bytes behind them belong to the next message if this one
    /// has ended; else they are set aside until more bytes arrive.
    pub consumed: usize,
}

impl Body {
    /// A message without a body, or one whose body has ended.
    pub const ENDED: Self = Self::Sized(0);

    /// True if nothing of the body remains.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Sized(0))
    }

    /// True if only the end of the stream shows the recipient that the body is complete.
    pub fn is_passed_unframed(&self) -> bool {
        match self {
            Self::Sized(_) => false,
            Self::Chunked(decoder) => decoder.removes_framing(),
            Self::UntilClose => true,
        }
    }

    /// Counts bytes, and moves those that are forwarded to the front.
    pub fn pass(&mut self, bytes: &mut [u8]) -> Result<Passed, Refusal> {
        let consumed = match self {
            Self::Sized(left) => count_off(left, bytes.len()),
            Self::UntilClose => bytes.len(),
            Self::Chunked(decoder) => {
                let progress = decoder.pass(bytes)?;
                if progress.ended {
                    *self = Self::ENDED;
                }
                let Progress { kept, trailers, consumed, .. } = progress;
                return Ok(Passed { kept, trailers, consumed });
            }
        };
        Ok(Passed { kept: consumed, trailers: 0, consumed })
    }
}

fn count_off(left: &mut u64, available: usize) -> usize {
    let consumed = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
    *left -= consumed as u64;
    consumed
}
