//! Reads version 1, a line of text (section 2.1).

use super::{Addresses, Fault, Header, Tlvs, begins};
use crate::limits::PROXY_V1_BYTES_MAX;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

const KEYWORD: &[u8] = b"PROXY ";

/// See [`super::read`].
pub fn read(bytes: &[u8]) -> Result<Option<Header<'static>>, Fault> {
    if !begins(bytes, KEYWORD) {
        return Err(Fault::NoHeader);
    }
    let seen = &bytes[..bytes.len().min(PROXY_V1_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', seen) else {
        let is_full = seen.len() == PROXY_V1_BYTES_MAX;
        return if is_full { Err(Fault::LineTooLong) } else { Ok(None) };
    };
    let line = seen[..end].strip_suffix(b"\r").ok_or(Fault::LineEnd)?;
    // A line feed ends the keyword too early only if it differs from it.
    let addresses = addresses(&line[KEYWORD.len()..])?;
    Ok(Some(Header { length: end + 1, addresses, tlvs: Tlvs::default() }))
}

/// The addresses in what follows the keyword.
fn addresses(text: &[u8]) -> Result<Option<Addresses>, Fault> {
    let mut words = text.split(|byte| *byte == b' ');
    let ip = match words.next() {
        Some(b"TCP4") => ip::<Ipv4Addr>,
        Some(b"TCP6") => ip::<Ipv6Addr>,
        // Anything may follow.
        Some(b"UNKNOWN") => return Ok(None),
        _ => return Err(Fault::LineProtocol),
    };
    let mut word = || words.next().ok_or(Fault::LineWords);
    let (source, destination, source_port, destination_port) = (word()?, word()?, word()?, word()?);
    if words.next().is_some() {
        return Err(Fault::LineWords);
    }
    Ok(Some(Addresses {
        source: SocketAddr::new(ip(source)?, port(source_port)?),
        destination: SocketAddr::new(ip(destination)?, port(destination_port)?),
    }))
}

fn ip<A: FromStr + Into<IpAddr>>(word: &[u8]) -> Result<IpAddr, Fault> {
    let address = str::from_utf8(word).ok().and_then(|text| text.parse::<A>().ok());
    address.map(Into::into).ok_or(Fault::LineAddress)
}

fn port(word: &[u8]) -> Result<u16, Fault> {
    let is_plain = word.iter().all(u8::is_ascii_digit) && (word == b"0" || !word.starts_with(b"0"));
    let text = str::from_utf8(word).ok().filter(|_| is_plain);
    text.and_then(|text| text.parse().ok()).ok_or(Fault::LinePort)
}
