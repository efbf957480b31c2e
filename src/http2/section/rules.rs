//! The rules of HTTP/2 about the fields of any section (RFC 9113 §8.2, §8.3), and the limits.

use super::{CRUMB_SEPARATOR, Kind, Pseudo, Section, State};
use crate::head::{Refusal, content_length, one_length};
use crate::http2::hpack::{Class, FIELD_OVERHEAD};
use crate::http2::priority::Priority;
use crate::limits::{FIELDS_MAX, HTTP2_COOKIE_CRUMBS_MAX};

impl Section {
    /// Judges a field by its name and its lengths, and charges it.
    #[inline]
    pub(super) fn judge(
        &mut self,
        class: Class,
        is_valid: bool,
        name: usize,
        value: usize,
    ) -> State {
        if !is_valid {
            return State::Malformed("a field value has a control byte, or a blank around it");
        }
        if let Some(pseudo) = Pseudo::of(class) {
            if let Some(reason) = self.pseudo_flaw(pseudo) {
                return State::Malformed(reason);
            }
        } else {
            match class {
                Class::UnknownPseudo => {
                    return State::Malformed("there is an unknown pseudo-field");
                }
                Class::Malformed => {
                    return State::Malformed("a field name is not a token of small letters");
                }
                Class::ConnectionSpecific => {
                    return State::Malformed("a field is about an HTTP/1 connection");
                }
                Class::Cookie if self.kind == Kind::Request && self.crumbs > 0 => {
                    if self.crumbs >= HTTP2_COOKIE_CRUMBS_MAX {
                        return State::TooLarge(Refusal::TooManyFields);
                    }
                    return self.charge(value + CRUMB_SEPARATOR.len(), false);
                }
                _ => {}
            }
        }
        self.charge(name + value + FIELD_OVERHEAD, Pseudo::of(class).is_none())
    }

    fn charge(&mut self, bytes: usize, is_field: bool) -> State {
        self.charged += bytes;
        if self.charged > self.limits.bytes {
            return State::TooLarge(match self.kind {
                Kind::Trailers => Refusal::TrailersTooLarge,
                _ => Refusal::HeadTooLarge,
            });
        }
        if is_field && self.fields.len() >= self.limits.fields.min(FIELDS_MAX) {
            return State::TooLarge(Refusal::TooManyFields);
        }
        State::Valid
    }

    /// RFC 9113 §8.3.
    fn pseudo_flaw(&self, pseudo: Pseudo) -> Option<&'static str> {
        match (self.kind, pseudo) {
            (Kind::Trailers, _) => return Some("there is a pseudo-field among trailers"),
            (Kind::Request, Pseudo::Status) => {
                return Some("a request has a pseudo-field of responses");
            }
            (Kind::Response, Pseudo::Status) | (Kind::Request, _) => {}
            _ => return Some("a response has a pseudo-field of requests"),
        }
        if self.pseudo[pseudo as usize].is_some() {
            return Some("a pseudo-field is repeated");
        }
        if !self.fields.is_empty() {
            return Some("a pseudo-field is behind a field");
        }
        None
    }

    /// Reads the value of a field that means something for the section.
    pub(super) fn read_known(
        &mut self,
        class: Class,
        value_start: usize,
    ) -> Result<(), &'static str> {
        let value = &self.values[value_start..];
        match (class, self.kind) {
            (Class::Te, Kind::Request) if !value.eq_ignore_ascii_case(b"trailers") => {
                return Err("te is not `trailers`"); // RFC 9113 §8.2.2
            }
            (Class::ContentLength, Kind::Request) => {
                let length = content_length(value).map_err(|refusal| refusal.text())?;
                if self.content_length.replace(length).is_some() {
                    return Err(Refusal::SeveralContentLengths.text());
                }
            }
            (Class::ContentLength, Kind::Response) => {
                let length = one_length(value).map_err(|refusal| refusal.text())?;
                if self.content_length.replace(length).is_some_and(|before| before != length) {
                    return Err(Refusal::SeveralContentLengths.text());
                }
            }
            (Class::Priority, Kind::Request) => self.priority = Priority::parse(value),
            _ => {}
        }
        Ok(())
    }
}
