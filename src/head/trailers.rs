//! Which fields of a trailer section are forwarded.

use super::{Refusal, UnderscoreNames, list};

/// The peer at one end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Its forbidden trailers are refused, or left out where that does no harm. Names with
    /// underscores are treated like this.
    Client(UnderscoreNames),
    /// Its forbidden trailers, and those with underscores in their names, are left out: its answer
    /// is valid without them.
    Backend,
}

/// The fields of a trailer section that are forwarded.
#[derive(Clone, Copy, Debug)]
pub struct TrailerRules<'a> {
    /// The sender of the section.
    pub from: Peer,
    /// The names in Connection in the head, separated by commas: fields of one connection (RFC 9110
    /// §7.6.1). None if there are no names.
    pub named_by_connection: Option<&'a [u8]>,
}

/// Trailers that would change what the message means or where it goes (RFC 9110 §6.5.1).
const FORBIDDEN: [&[u8]; 18] = [
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

/// Fields that identify a client, and are trusted in a head alone.
const OF_CLIENTS: [&[u8]; 4] = [b"cookie", b"proxy-authorization", b"remote-user", b"x-real-ip"];

impl TrailerRules<'_> {
    /// True for a field that is forwarded.
    pub fn keeps(&self, name: &[u8]) -> Result<bool, Refusal> {
        let has_underscore = name.contains(&b'_');
        let is_forbidden = is_among(&FORBIDDEN, name);
        let may_pass = match self.from {
            Peer::Client(underscore_names) if has_underscore => match underscore_names {
                UnderscoreNames::Reject => return Err(Refusal::UnderscoreInName),
                UnderscoreNames::Drop => false,
                // A backend that takes both spellings for one name would trust the client's value.
                UnderscoreNames::Allow => !is_forbidden && !is_of_clients(name),
            },
            Peer::Client(_) if is_forbidden => return Err(Refusal::MalformedTrailer),
            Peer::Client(_) => !is_of_clients(name),
            Peer::Backend => !has_underscore && !is_forbidden,
        };
        Ok(may_pass && !self.is_named_by_connection(name))
    }

    fn is_named_by_connection(&self, name: &[u8]) -> bool {
        let mut named = self.named_by_connection.map(list).into_iter().flatten();
        named.any(|named| named.eq_ignore_ascii_case(name))
    }
}

fn is_of_clients(name: &[u8]) -> bool {
    let starts = [&b"x-forwarded-"[..], b"x-client-cert-"];
    let begins = |start: &[u8]| name.get(..start.len()).is_some_and(|name| is(start, name));
    is_among(&OF_CLIENTS, name) || starts.into_iter().any(begins)
}

fn is_among(known: &[&[u8]], name: &[u8]) -> bool {
    known.iter().any(|known| is(known, name))
}

/// True if a name is the known one, in any case, and with `_` for any `-`.
fn is(known: &[u8], name: &[u8]) -> bool {
    let is_same = |(known, byte): (&u8, &u8)| {
        known.eq_ignore_ascii_case(byte) || (*known == b'-' && *byte == b'_')
    };
    known.len() == name.len() && known.iter().zip(name).all(is_same)
}
