//! What is received of a stream: parts of a body, in the framing that its exchange has, which wait
//! until the exchange takes them, and the credit for them, which is not given back before that.

use super::framing::{Framing, keep_content, keep_trailers};
use crate::engine::{Engine, Slice};
use crate::head::{Refusal, TrailerRules};
use crate::http2::{Connection, Event, Section};
use crate::link::{Chain, Wire};
use std::ops::Range;

/// See the module.
#[derive(Debug)]
pub struct Inbound {
    /// How the content goes to the exchange.
    pub framing: Framing,
    parts: Chain,
    /// Bytes of content whose credit has not been given back.
    held: u32,
    /// The other side is slow: no part is given to the exchange, and no credit back.
    is_paused: bool,
}

/// The first part that waits.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Its bytes. The caller owns them.
    pub slice: Slice,
    /// Others wait behind it.
    pub has_more: bool,
}

impl Inbound {
    /// Nothing has come.
    pub fn new(framing: Framing) -> Self {
        Self { framing, parts: Chain::default(), held: 0, is_paused: false }
    }

    /// Keeps content that was received. False if no buffer is left.
    pub fn keep<E: Engine>(&mut self, content: Slice, is_last: bool, wire: &mut Wire<E>) -> bool {
        self.held += content.end - content.start;
        keep_content(self.framing, content, is_last, &mut self.parts, wire)
    }

    /// Keeps the last chunk with the trailers of a section behind it. False if no buffer is left.
    ///
    /// # Errors
    /// The trailers must be refused.
    pub fn keep_trailers<E: Engine>(
        &mut self,
        section: &Section,
        rules: &TrailerRules<'_>,
        wire: &mut Wire<E>,
    ) -> Result<bool, Refusal> {
        keep_trailers(section, rules, &mut self.parts, wire)
    }

    /// Takes the first part that waits, unless the other side is slow.
    pub fn next<E: Engine>(&mut self, wire: &mut Wire<E>) -> Option<Part> {
        if self.is_paused {
            return None;
        }
        let slice = wire.pop_front(&mut self.parts)?;
        Some(Part { slice, has_more: !self.parts.is_empty() })
    }

    /// Puts back the part that was taken last: the other side is slow.
    pub fn put_back<E: Engine>(&mut self, part: Slice, wire: &mut Wire<E>) {
        wire.push_front(&mut self.parts, part);
        self.is_paused = true;
    }

    /// The other side is slow.
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// The other side takes more. True if it did not before, and a part waits.
    pub fn resume(&mut self) -> bool {
        std::mem::replace(&mut self.is_paused, false) && !self.parts.is_empty()
    }

    /// Takes the credit that may be given back: all of it where everything that has come was taken,
    /// else none.
    pub fn take_credit(&mut self) -> u32 {
        if self.is_paused || !self.parts.is_empty() {
            return 0;
        }
        std::mem::take(&mut self.held)
    }

    /// Drops the parts that wait, and takes all of the credit: nobody reads what is left.
    pub fn end<E: Engine>(&mut self, wire: &mut Wire<E>) -> u32 {
        wire.drop_chain(&mut self.parts);
        std::mem::take(&mut self.held)
    }
}

/// Reads frames from the start of a range on, up to the next event, and takes them off it. Returns
/// the event with the range that its place is relative to.
pub fn next_event<E: Engine>(
    connection: &mut Connection,
    rest: &mut Slice,
    section: &mut Section,
    wire: &Wire<E>,
) -> Option<(Event, Slice)> {
    let read = *rest;
    let received = connection.receive(wire.bytes(read), section, wire.engine.now());
    rest.start += received.consumed as u32;
    received.event.map(|event| (event, read))
}

/// The content of an event, by its place in the range that it was read from.
pub fn content_of(read: Slice, place: &Range<usize>) -> Slice {
    let (start, end) = (read.start + place.start as u32, read.start + place.end as u32);
    Slice { start, end, ..read }
}
