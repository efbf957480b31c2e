//! Reading a response on a connection that speaks HTTP/1: heads, size lines and trailer sections
//! that arrive in pieces, and the end of the body by its framing.

use super::Connection;
use crate::engine::{BufferId, Engine, Slice};
use crate::head::{Refusal, ResponseHead, ResponseTo, Scheme};
use crate::http1::{FieldStorage, Partial, Verdict};
use crate::local::{Gathered, Local};
use crate::message::{self, Body, ResponseOutcome, ResponseSide};

/// A range of a response's body that was read.
pub struct BodyPart {
    /// The part of it that is forwarded, now at its front.
    pub part: Slice,
    /// The trailer section behind it, if it is forwarded apart.
    pub trailers: Option<Box<[u8]>>,
}

impl Connection {
    /// Joins the part of a head, a size line or a trailer section from earlier reads and a range.
    pub fn gather<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) -> Gathered {
        local.gather(&mut self.partial, slice)
    }

    /// Reads the head that begins in a range, and writes the one for the client to `output`. The
    /// range of an incomplete one is set aside.
    pub fn read_head<E: Engine>(
        &mut self,
        slice: Slice,
        output: BufferId,
        side: &ResponseSide<'_>,
        local: &mut Local<E>,
    ) -> Verdict<ResponseOutcome> {
        let (from, to) = local.wire.engine.bytes_pair(slice.buffer, output);
        let input = &from[slice.start as usize..slice.end as usize];
        let snapshot = local.current.snapshot();
        let asked = ResponseTo { head: side.is_head, connect: side.is_connect };
        let mut storage = FieldStorage::new();
        let rules = snapshot.settings.rules(Scheme::Http);
        let verdict = ResponseHead::parse(input, &mut storage, asked, rules)
            .map(|head| message::response(head, to, snapshot, side));
        if matches!(verdict, Verdict::Incomplete) {
            let partial = Partial::of_response(local.wire.bytes(slice), rules);
            self.partial = Some(Box::new(partial));
            local.wire.engine.release(slice.buffer);
        }
        verdict
    }

    /// Reads a range of a body, or of what follows it. The beginning of a size line or a trailer
    /// section is set aside.
    pub fn read_body<E: Engine>(
        &mut self,
        body: &mut Body,
        slice: Slice,
        local: &mut Local<E>,
    ) -> Result<BodyPart, Refusal> {
        let passed = body.pass(local.wire.bytes_mut(slice))?;
        let rest = Slice { start: slice.start + passed.consumed as u32, ..slice };
        if !rest.is_empty() {
            if body.has_ended() {
                // The message is complete, but the connection cannot be trusted.
                self.is_reusable = false;
            } else {
                let partial = Partial::of_body(local.wire.bytes(rest));
                self.partial = Some(Box::new(partial));
            }
        }
        let part = Slice { end: slice.start + passed.kept as u32, ..slice };
        let trailers = Slice { start: part.end, end: part.end + passed.trailers as u32, ..slice };
        let trailers = (!trailers.is_empty()).then(|| local.wire.bytes(trailers).into());
        Ok(BodyPart { part, trailers })
    }
}
