//! Hellos of TLS clients as bytes, each with the name of its sender in its random, so that whoever
//! gets it can say whose it is.

use ringway::base::Prng;

/// A record's header, and the beginning of a message up to its random.
const BEFORE_RANDOM: usize = 5 + 4 + 2;
/// The first byte of a record of a handshake.
const HANDSHAKE: u8 = 22;

/// What a hello asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asks {
    pub server_name: Option<&'static str>,
    pub alpn: &'static [&'static str],
}

fn vector16(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("short enough");
    [&length.to_be_bytes()[..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(content)].concat()
}

/// A hello of `sender`, with so many bytes of padding, in one to three records.
pub fn hello(sender: u64, asks: &Asks, padding: usize, prng: &mut Prng) -> Vec<u8> {
    let mut extensions = extension(21, &vec![0; padding]);
    if let Some(name) = asks.server_name {
        let entry = [&[0][..], &vector16(name.as_bytes())].concat();
        extensions.extend(extension(0, &vector16(&entry)));
    }
    if !asks.alpn.is_empty() {
        let names =
            asks.alpn.iter().map(|name| [&[name.len() as u8][..], name.as_bytes()].concat());
        extensions.extend(extension(16, &vector16(&names.collect::<Vec<_>>().concat())));
    }
    let random = [&sender.to_le_bytes()[..], &[0x17; 24]].concat();
    let body = [&[3, 3][..], &random, &[0, 0, 2, 0x13, 1, 1, 0], &vector16(&extensions)].concat();
    let length = (body.len() as u32).to_be_bytes();
    let message = [&[1][..], &length[1..], &body].concat();
    in_records(&message, prng)
}

/// A message in records that do not cut its random.
fn in_records(message: &[u8], prng: &mut Prng) -> Vec<u8> {
    const RECORD_MAX: usize = 1 << 14;
    let (first, mut rest) = message.split_at(20);
    let mut bytes = [&[HANDSHAKE, 3, 1][..], &vector16(first)].concat();
    while !rest.is_empty() {
        let most = rest.len().min(RECORD_MAX);
        let length = if prng.one_in(3) { 1 + prng.below(most as u32) as usize } else { most };
        bytes.extend([&[HANDSHAKE, 3, 1][..], &vector16(&rest[..length])].concat());
        rest = &rest[length..];
    }
    bytes
}

/// Whose hello these bytes begin with; none if they do not, or as long as that is not there.
pub fn sender_of(bytes: &[u8]) -> Option<u64> {
    let random = bytes.get(BEFORE_RANDOM..)?.first_chunk()?;
    (bytes[0] == HANDSHAKE).then(|| u64::from_le_bytes(*random))
}
