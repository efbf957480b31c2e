//! The body of a ClientHello (RFC 8446 §4.1.2; the same since TLS 1.0, which may have no
//! extensions). Does not: check versions, ciphers or the order of extensions, which are between
//! client and server.

use super::cursor::Cursor;
use super::extensions::{Extensions, alpn, host_name};
use super::{Alpn, Hello, Malformed, server_name};

/// The parts of a complete message without its header. `room` gets the name in lower case if it has
/// capital letters.
///
/// # Errors
/// The rule that it breaks.
pub fn parse<'a>(body: &'a [u8], room: &'a mut Vec<u8>) -> Result<Hello<'a>, Malformed> {
    let extensions = extensions(body).ok_or(Malformed::Lengths)?;
    let found = Extensions::find(extensions)?;
    let server_name = match found.server_name {
        Some(content) => host_name(content)?,
        None => None,
    };
    Ok(Hello {
        server_name: match server_name {
            Some(name) => server_name::read(name, room)?,
            None => None,
        },
        alpn: found.alpn.map_or(Ok(Alpn::default()), alpn)?,
    })
}

/// The extensions; empty if the body ends before them. `None` if a length is wrong.
fn extensions(body: &[u8]) -> Option<&[u8]> {
    const VERSION_AND_RANDOM_BYTES: usize = 2 + 32;
    let mut rest = Cursor(body);
    rest.take(VERSION_AND_RANDOM_BYTES)?;
    rest.vector8().filter(|session| session.len() <= 32)?;
    rest.vector16().filter(|ciphers| !ciphers.is_empty() && ciphers.len().is_multiple_of(2))?;
    rest.vector8().filter(|compressions| !compressions.is_empty())?;
    if rest.is_empty() { Some(&[]) } else { rest.last_vector16() }
}
