//! Trailers, in both directions: the view of a section, with what is forwarded of it.

use super::section::{FieldRoom, Section};
use crate::head::trailers::TrailerRules;
use crate::head::{Field, FieldSet, Refusal};

/// The trailers of a message.
#[derive(Debug)]
pub struct Trailers<'b, 's> {
    fields: &'s [Field<'b>],
    /// Those that are not forwarded, by position.
    dropped: FieldSet,
    never_indexed: FieldSet,
}

impl<'b, 's> Trailers<'b, 's> {
    /// The trailers of which [`super::Event::Trailers`] told.
    pub fn of_section(
        section: &'b Section,
        room: &'s mut FieldRoom<'b>,
        rules: &TrailerRules<'_>,
    ) -> Result<Self, Refusal> {
        Self::new(section.fields(room), section.never_indexed(), rules)
    }

    /// Trailers of another protocol.
    pub fn of_fields(fields: &'s [Field<'b>], rules: &TrailerRules<'_>) -> Result<Self, Refusal> {
        Self::new(fields, FieldSet::default(), rules)
    }

    fn new(
        fields: &'s [Field<'b>],
        never_indexed: FieldSet,
        rules: &TrailerRules<'_>,
    ) -> Result<Self, Refusal> {
        let mut dropped = FieldSet::default();
        for (at, field) in fields.iter().enumerate() {
            if !rules.keeps(field.name.as_bytes())? {
                dropped.add(at);
            }
        }
        Ok(Self { fields, dropped, never_indexed })
    }

    /// Those that are forwarded, and whether each must not enter a compression table.
    pub fn forwarded(&self) -> impl Iterator<Item = (&Field<'b>, bool)> {
        let all = self.fields.iter().enumerate();
        let kept = all.filter(|(at, _)| !self.dropped.has(*at));
        kept.map(|(at, field)| (field, self.never_indexed.has(at)))
    }
}
