//! Finds the first handshake message in the records of a connection (RFC 8446 §5.1) and gathers it
//! if it lies in several. Does not: parse the message.

use super::cursor::Cursor;
use super::{Hello, Malformed, Verdict, hello};
use crate::limits::TLS_HELLO_BYTES_MAX;

/// The type of records with handshake messages.
const HANDSHAKE: u8 = 22;
/// The first byte of the version of all records since SSL 3.0. The second means nothing any more.
const MAJOR_VERSION: u8 = 3;
const RECORD_HEADER_BYTES: usize = 5;
/// RFC 8446 §5.1.
const RECORD_BYTES_MAX: usize = 1 << 14;
const CLIENT_HELLO: u8 = 1;
/// Type and length of a handshake message.
const MESSAGE_HEADER_BYTES: usize = 4;

/// Reads the hello of one connection while its bytes arrive. Empty, it holds no memory; a hello in
/// several records is copied into it once, as far as it has come.
#[derive(Debug, Default)]
pub struct Reader {
    /// Bytes of the connection that are in `message` or were headers of its records.
    taken: usize,
    /// Bytes of the record at `taken` that are still to come.
    left: usize,
    /// The message in several records, with its header.
    message: Vec<u8>,
    /// The server name in lower case, if it has capital letters.
    name: Vec<u8>,
}

impl Reader {
    /// Judges the first bytes of a connection. `bytes` are all since its beginning, those of
    /// earlier calls included; the work of all calls together is linear in their number. Bytes
    /// beyond [`TLS_HELLO_BYTES_MAX`] are not looked at.
    pub fn read<'a>(&'a mut self, bytes: &'a [u8]) -> Verdict<'a> {
        let bytes = &bytes[..bytes.len().min(TLS_HELLO_BYTES_MAX)];
        let begins_like_tls = bytes.first().is_none_or(|byte| *byte == HANDSHAKE)
            && bytes.get(1).is_none_or(|byte| *byte == MAJOR_VERSION);
        if !begins_like_tls {
            return Verdict::NotTls;
        }
        match self.judge(bytes) {
            Ok(None) if bytes.len() == TLS_HELLO_BYTES_MAX => {
                Verdict::Malformed(Malformed::TooLong)
            }
            Ok(None) => Verdict::Incomplete,
            Ok(Some(hello)) => Verdict::Hello(hello),
            Err(malformed) => Verdict::Malformed(malformed),
        }
    }

    fn judge<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<Hello<'a>>, Malformed> {
        let body = match in_first_record(bytes)? {
            Found::Body(body) => body,
            Found::Incomplete => return Ok(None),
            Found::InSeveral => match self.gather(bytes)? {
                Some(length) => &self.message[MESSAGE_HEADER_BYTES..length],
                None => return Ok(None),
            },
        };
        hello::parse(body, &mut self.name).map(Some)
    }

    /// Takes what arrived since the last call. The result is the message's length with its header,
    /// once it is complete.
    fn gather(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        loop {
            if let Some(length) = message_length(&self.message)?
                && self.message.len() >= length
            {
                return Ok(Some(length));
            }
            let mut arrived = Cursor(bytes.get(self.taken..).unwrap_or_default());
            if self.left == 0 {
                let Some(length) = record_length(&mut arrived)? else { return Ok(None) };
                self.taken += RECORD_HEADER_BYTES;
                self.left = length;
            }
            let piece = &arrived.0[..arrived.0.len().min(self.left)];
            if piece.is_empty() {
                return Ok(None);
            }
            self.message.extend_from_slice(piece);
            self.taken += piece.len();
            self.left -= piece.len();
        }
    }
}

enum Found<'a> {
    Body(&'a [u8]),
    Incomplete,
    InSeveral,
}

/// The body of the message if it lies in the first record: the usual case, which copies nothing.
fn in_first_record(bytes: &[u8]) -> Result<Found<'_>, Malformed> {
    let mut arrived = Cursor(bytes);
    let Some(record) = record_length(&mut arrived)? else { return Ok(Found::Incomplete) };
    let content = &arrived.0[..arrived.0.len().min(record)];
    Ok(match message_length(content)? {
        Some(length) if length <= record => match content.get(MESSAGE_HEADER_BYTES..length) {
            Some(body) => Found::Body(body),
            None => Found::Incomplete,
        },
        None if content.len() < record => Found::Incomplete,
        _ => Found::InSeveral,
    })
}

/// The length of the record whose header comes next, without it; `None` if the header is
/// incomplete. The cursor stands behind the header then.
fn record_length(arrived: &mut Cursor<'_>) -> Result<Option<usize>, Malformed> {
    let is_wrong = |at: usize, byte: u8| arrived.0.get(at).is_some_and(|found| *found != byte);
    if is_wrong(0, HANDSHAKE) || is_wrong(1, MAJOR_VERSION) {
        return Err(Malformed::RecordBetween);
    }
    let Some(header) = arrived.take(RECORD_HEADER_BYTES) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    if (1..=RECORD_BYTES_MAX).contains(&length) {
        Ok(Some(length))
    } else {
        Err(Malformed::RecordLength)
    }
}

/// The length of the message that begins here, with its header; `None` if the header is incomplete.
fn message_length(content: &[u8]) -> Result<Option<usize>, Malformed> {
    if content.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Err(Malformed::NotClientHello);
    }
    let &[_, high, middle, low, ..] = content else { return Ok(None) };
    let body = u32::from_be_bytes([0, high, middle, low]) as usize;
    let length = MESSAGE_HEADER_BYTES + body;
    if RECORD_HEADER_BYTES + length > TLS_HELLO_BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    Ok(Some(length))
}
