//! Reading the body of a request: its end by its framing, size lines and trailer sections that
//! arrive in pieces.

use super::super::Client;
use crate::engine::{Engine, Slice};
use crate::head::Refusal;
use crate::http1::Partial;
use crate::local::Local;
use crate::message::Body;

/// A range of a request's body that was read.
pub struct BodyPart {
    /// The part of it that is forwarded, now at its front. Empty without one.
    pub part: Slice,
    /// Bytes of the range that belong to the body, with its framing.
    pub length: usize,
}

/// The reason why a range of a body cannot be forwarded; its buffer is released.
pub enum BodyFault {
    /// It is malformed, or beyond a limit.
    Refused(Refusal),
    /// No buffer is left for the bytes behind it.
    OutOfBuffers,
}

impl Client {
    /// Reads a range of a request's body. What follows the body waits as the next request; the
    /// beginning of a size line or a trailer section is set aside.
    pub fn read_body<E: Engine>(
        &mut self,
        body: &mut Body,
        slice: Slice,
        local: &mut Local<E>,
    ) -> Result<BodyPart, BodyFault> {
        let passed = match body.pass(local.wire.bytes_mut(slice)) {
            Ok(passed) => passed,
            Err(refusal) => {
                local.wire.engine.release(slice.buffer);
                return Err(BodyFault::Refused(refusal));
            }
        };
        let rest = Slice { start: slice.start + passed.consumed as u32, ..slice };
        if !rest.is_empty() && !body.has_ended() {
            let partial = Partial::of_body(local.wire.bytes(rest));
            self.partial = Some(Box::new(partial));
        } else if !rest.is_empty() {
            let Some(rest) = local.wire.copy_of(rest) else {
                local.wire.engine.release(slice.buffer);
                return Err(BodyFault::OutOfBuffers);
            };
            self.keep_first(rest, local);
        }
        let part = Slice { end: slice.start + passed.kept as u32, ..slice };
        Ok(BodyPart { part, length: passed.consumed })
    }
}
