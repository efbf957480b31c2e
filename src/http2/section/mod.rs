//! A decoded field section: the fields of one head or of trailers, each stored once.
//!
//! One section serves all connections of a shard: it is filled when a block is complete, and read
//! before the next one. Names and values are each in one buffer, so that a view costs one check of
//! all names and no copy. The limits are charged before a field is stored.
//!
//! Does not: decode bytes, or know what a request needs.

mod rules;

use super::hpack::{Class, FIELD_OVERHEAD};
use super::priority::Priority;
use crate::head::{Field, FieldSet, Refusal, ResponseTo};
use crate::limits::{FIELDS_MAX, HEAD_BYTES_MAX};
use std::ops::Range;

/// What a section is the head of, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
    Trailers,
    /// Of a stream that is refused or over: it is decoded for the table alone.
    Ignored,
}

/// The limits of a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct SectionLimits {
    /// Bytes of names and values, with 32 for each field (RFC 9113 §10.5.1).
    pub(super) bytes: usize,
    /// Fields besides pseudo-fields; all crumbs of a cookie are one.
    pub(super) fields: usize,
}

/// What has become of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Valid so far.
    Valid,
    /// Beyond a limit; nothing more is stored.
    TooLarge(Refusal),
    /// Malformed (RFC 9113 §8.1.1); nothing more is stored.
    Malformed(&'static str),
    /// Not looked at.
    Ignored,
}

/// A pseudo-field (RFC 9113 §8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pseudo {
    Authority,
    Method,
    Path,
    Protocol,
    Scheme,
    Status,
}

impl Pseudo {
    fn of(class: Class) -> Option<Self> {
        Some(match class {
            Class::Authority => Self::Authority,
            Class::Method => Self::Method,
            Class::Path => Self::Path,
            Class::Protocol => Self::Protocol,
            Class::Scheme => Self::Scheme,
            Class::Status => Self::Status,
            _ => return None,
        })
    }
}

/// A literal whose bytes are at the end of the buffers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Literal {
    pub(super) class: Class,
    /// Its value may be in a field.
    pub(super) is_valid: bool,
    pub(super) name_start: usize,
    pub(super) value_start: usize,
}

/// Where a field is in the buffers.
#[derive(Clone, Debug)]
struct Place {
    name: Range<u32>,
    value: Range<u32>,
}

/// Room for the fields of one view.
#[derive(Debug)]
pub struct FieldRoom<'b>([Field<'b>; FIELDS_MAX]);

impl FieldRoom<'_> {
    /// Empty room.
    pub fn new() -> Self {
        Self([httparse::EMPTY_HEADER; FIELDS_MAX])
    }
}

impl Default for FieldRoom<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// A decoded field section.
#[derive(Debug)]
pub struct Section {
    kind: Kind,
    limits: SectionLimits,
    state: State,
    names: Vec<u8>,
    values: Vec<u8>,
    fields: Vec<Place>,
    /// The places of the pseudo-fields in `values`.
    pseudo: [Option<(u32, u32)>; 6],
    /// The crumbs of a request's cookie, joined.
    cookie: Vec<u8>,
    /// Their number, and the place among the fields of the one that they make.
    crumbs: u32,
    cookie_at: usize,
    /// Bytes that count against the limit.
    charged: usize,
    /// Bytes of all fields, stored or not, with 32 for each.
    work: usize,
    never_indexed: FieldSet,
    content_length: Option<u64>,
    priority: Priority,
    /// What the connection knows of the message.
    pub(super) asked: ResponseTo,
    pub(super) is_last: bool,
}

impl Section {
    /// An empty section.
    pub fn new() -> Self {
        Self {
            kind: Kind::Ignored,
            limits: SectionLimits { bytes: HEAD_BYTES_MAX, fields: FIELDS_MAX },
            state: State::Ignored,
            names: Vec::new(),
            values: Vec::new(),
            fields: Vec::new(),
            pseudo: [None; 6],
            cookie: Vec::new(),
            crumbs: 0,
            cookie_at: 0,
            charged: 0,
            work: 0,
            never_indexed: FieldSet::default(),
            content_length: None,
            priority: Priority::default(),
            asked: ResponseTo::default(),
            is_last: false,
        }
    }

    /// Empties it for the next block. What a large one needed is given back.
    pub(super) fn begin(&mut self, kind: Kind, limits: SectionLimits) {
        for buffer in [&mut self.names, &mut self.values, &mut self.cookie] {
            buffer.clear();
            buffer.shrink_to(2 * HEAD_BYTES_MAX);
        }
        self.fields.clear();
        self.kind = kind;
        self.limits = limits;
        self.state = if kind == Kind::Ignored { State::Ignored } else { State::Valid };
        self.pseudo = [None; 6];
        (self.crumbs, self.cookie_at, self.charged, self.work) = (0, 0, 0, 0);
        self.never_indexed = FieldSet::default();
        self.content_length = None;
        self.priority = Priority::default();
        self.asked = ResponseTo::default();
        self.is_last = false;
    }

    /// What has become of it.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Bytes of all fields so far, stored or not, with 32 for each.
    #[inline]
    pub(super) fn work(&self) -> usize {
        self.work
    }

    /// The buffers of names and values, for a literal behind what is stored.
    #[inline]
    pub(super) fn room(&mut self) -> (&mut Vec<u8>, &mut Vec<u8>) {
        (&mut self.names, &mut self.values)
    }

    /// Name and value of a literal.
    #[inline]
    pub(super) fn literal(&self, literal: Literal) -> (&[u8], &[u8]) {
        (&self.names[literal.name_start..], &self.values[literal.value_start..])
    }

    /// Stores a literal, or removes it.
    #[inline]
    pub(super) fn close(&mut self, literal: Literal, never_indexed: bool) {
        let name = self.names.len() - literal.name_start;
        let value = self.values.len() - literal.value_start;
        if !self.admit(literal.class, literal.is_valid, name, value) {
            self.truncate(literal.name_start, literal.value_start);
            return;
        }
        self.store(literal.class, literal.name_start, literal.value_start, never_indexed);
    }

    /// Stores a field of a table, whose name and value may be in two parts.
    #[inline]
    pub(super) fn add(
        &mut self,
        class: Class,
        is_valid: bool,
        name: [&[u8]; 2],
        value: [&[u8]; 2],
    ) {
        let length = |parts: [&[u8]; 2]| parts[0].len() + parts[1].len();
        if !self.admit(class, is_valid, length(name), length(value)) {
            return;
        }
        let (name_start, value_start) = (self.names.len(), self.values.len());
        if Pseudo::of(class).is_none() {
            name.iter().for_each(|part| self.names.extend_from_slice(part));
        }
        value.iter().for_each(|part| self.values.extend_from_slice(part));
        self.store(class, name_start, value_start, false);
    }

    fn truncate(&mut self, name_start: usize, value_start: usize) {
        self.names.truncate(name_start);
        self.values.truncate(value_start);
    }

    /// Charges a field. False if it is not stored.
    #[inline]
    fn admit(&mut self, class: Class, is_valid: bool, name: usize, value: usize) -> bool {
        self.work += name + value + FIELD_OVERHEAD;
        if self.state != State::Valid {
            return false;
        }
        self.state = self.judge(class, is_valid, name, value);
        self.state == State::Valid
    }

    /// Takes in a field whose bytes are at the end of the buffers.
    #[inline]
    fn store(&mut self, class: Class, name_start: usize, value_start: usize, never_indexed: bool) {
        if let Some(pseudo) = Pseudo::of(class) {
            self.names.truncate(name_start);
            self.pseudo[pseudo as usize] = Some((value_start as u32, self.values.len() as u32));
            return;
        }
        if class != Class::Other {
            if class == Class::Cookie && self.kind == Kind::Request {
                return self.store_crumb(name_start, value_start, never_indexed);
            }
            if let Err(reason) = self.read_known(class, value_start) {
                self.state = State::Malformed(reason);
                return;
            }
        }
        if never_indexed {
            self.never_indexed.add(self.fields.len());
        }
        self.fields.push(Place {
            name: name_start as u32..self.names.len() as u32,
            value: value_start as u32..self.values.len() as u32,
        });
    }

    /// Joins the crumbs of a cookie (RFC 9113 §8.2.3). An empty one adds nothing.
    fn store_crumb(&mut self, name_start: usize, value_start: usize, never_indexed: bool) {
        if self.crumbs == 0 {
            self.cookie_at = self.fields.len();
            let name = name_start as u32..self.names.len() as u32;
            self.fields.push(Place { name, value: 0..0 });
        } else {
            self.names.truncate(name_start);
        }
        self.crumbs += 1;
        if never_indexed {
            self.never_indexed.add(self.cookie_at);
        }
        let crumb = &self.values[value_start..];
        if !self.cookie.is_empty() && !crumb.is_empty() {
            self.cookie.extend_from_slice(CRUMB_SEPARATOR);
        }
        self.cookie.extend_from_slice(crumb);
        self.values.truncate(value_start);
    }

    /// Ends it behind its last field.
    pub(super) fn end(&mut self) {
        if self.crumbs > 0 && self.state == State::Valid {
            let start = self.values.len() as u32;
            self.values.extend_from_slice(&self.cookie);
            self.fields[self.cookie_at].value = start..self.values.len() as u32;
        }
    }

    /// The value of a pseudo-field.
    pub(super) fn pseudo(&self, pseudo: Pseudo) -> Option<&[u8]> {
        let (start, end) = self.pseudo[pseudo as usize]?;
        Some(&self.values[start as usize..end as usize])
    }

    /// True for the head of a request with HEAD.
    pub fn asks_head(&self) -> bool {
        self.pseudo(Pseudo::Method) == Some(b"HEAD")
    }

    /// True for the head of a request with CONNECT, extended or not.
    pub fn opens_tunnel(&self) -> bool {
        self.pseudo(Pseudo::Method) == Some(b"CONNECT")
    }

    /// True if nothing follows it on its stream.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// The value of content-length.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// See [`crate::head::RequestHead::never_indexed`].
    pub(super) fn never_indexed(&self) -> FieldSet {
        self.never_indexed
    }

    /// The priority of a request.
    pub(super) fn priority(&self) -> Priority {
        self.priority
    }

    /// A view of its fields, without the pseudo-fields.
    pub(super) fn fields<'b, 's>(&'b self, room: &'s mut FieldRoom<'b>) -> &'s [Field<'b>] {
        let names = std::str::from_utf8(&self.names).expect("stored names are tokens");
        let range = |range: &Range<u32>| range.start as usize..range.end as usize;
        for (place, field) in self.fields.iter().zip(&mut room.0) {
            let value = &self.values[range(&place.value)];
            *field = Field { name: &names[range(&place.name)], value };
        }
        &room.0[..self.fields.len()]
    }
}

impl Default for Section {
    fn default() -> Self {
        Self::new()
    }
}

const CRUMB_SEPARATOR: &[u8] = b"; ";
