//! The extensions `server_name` (RFC 6066 §3) and `application_layer_protocol_negotiation`
//! (RFC 7301 §3.1). All others are skipped, whatever they contain.

use super::Malformed;
use super::cursor::Cursor;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
/// The only type of a name that there is.
const HOST_NAME: u8 = 0;

/// The contents of the extensions that are read here.
#[derive(Default)]
pub struct Extensions<'a> {
    /// That of `server_name`.
    pub server_name: Option<&'a [u8]>,
    /// That of ALPN.
    pub alpn: Option<&'a [u8]>,
}

impl<'a> Extensions<'a> {
    /// Looks through all extensions.
    pub fn find(extensions: &'a [u8]) -> Result<Self, Malformed> {
        let mut found = Self::default();
        let mut rest = Cursor(extensions);
        while !rest.is_empty() {
            let kind = rest.u16().ok_or(Malformed::Lengths)?;
            let content = rest.vector16().ok_or(Malformed::Lengths)?;
            let earlier = match kind {
                SERVER_NAME => found.server_name.replace(content),
                ALPN => found.alpn.replace(content),
                _ => None,
            };
            // Two readers could choose differently.
            if earlier.is_some() {
                return Err(Malformed::ExtensionTwice);
            }
        }
        Ok(found)
    }
}

/// The host name in an extension `server_name`, as sent; `None` if it only has names of types that
/// nobody has defined yet. They begin with a length too (RFC 6066 §3).
pub fn host_name(content: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    if content.is_empty() {
        return Err(Malformed::NoServerName);
    }
    let list = Cursor(content).last_vector16().ok_or(Malformed::Lengths)?;
    if list.is_empty() {
        return Err(Malformed::NoServerName);
    }
    let mut rest = Cursor(list);
    let mut found = None;
    while !rest.is_empty() {
        let kind = rest.u8().ok_or(Malformed::Lengths)?;
        let name = rest.vector16().ok_or(Malformed::Lengths)?;
        if kind == HOST_NAME && found.replace(name).is_some() {
            return Err(Malformed::TwoServerNames);
        }
    }
    Ok(found)
}

/// The protocols in an extension ALPN.
pub fn alpn(content: &[u8]) -> Result<Alpn<'_>, Malformed> {
    let list = Cursor(content).last_vector16().ok_or(Malformed::Lengths)?;
    let mut rest = Cursor(list);
    let mut is_valid = !list.is_empty();
    while !rest.is_empty() {
        is_valid &= !rest.vector8().ok_or(Malformed::Lengths)?.is_empty();
    }
    if is_valid { Ok(Alpn { rest: list }) } else { Err(Malformed::Alpn) }
}

/// Iterates over names of protocols, 1 to 255 bytes each, in the order of the client. A name is
/// bytes, not text: reserved ones (GREASE, RFC 8701) are not ASCII.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alpn<'a> {
    /// Valid: each name behind its length of one byte.
    rest: &'a [u8],
}

impl<'a> Iterator for Alpn<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut rest = Cursor(self.rest);
        let name = rest.vector8();
        self.rest = rest.0;
        name
    }
}
