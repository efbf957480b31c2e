//! Writing field blocks.

use super::frame::{self, StreamId};
use super::hpack::Encoder;

/// What writes the blocks of a connection.
#[derive(Debug)]
pub(super) struct Blocks {
    encoder: Encoder,
    /// Room for values that are put together.
    text: Vec<u8>,
}

/// A block that is being written.
pub(super) struct Block<'c> {
    encoder: &'c mut Encoder,
    out: &'c mut Vec<u8>,
    /// Room for values that are put together.
    pub(super) text: &'c mut Vec<u8>,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self { encoder: Encoder::new(), text: Vec::new() }
    }

    /// Applies SETTINGS_HEADER_TABLE_SIZE of the peer.
    pub(super) fn set_peer_table_size(&mut self, size: u32) {
        self.encoder.set_peer_table_size(size);
    }

    /// Writes the frames of a block that `write` puts together.
    pub(super) fn write(
        &mut self,
        stream: StreamId,
        is_last: bool,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Block<'_>),
    ) {
        let start = out.len();
        self.encoder.begin(out);
        write(&mut Block { encoder: &mut self.encoder, out, text: &mut self.text });
        frame::wrap_block(stream, is_last, start, out);
    }

    /// Gives back memory that no block needs.
    pub(super) fn shrink(&mut self) {
        self.text = Vec::new();
    }
}

impl Block<'_> {
    /// Writes a field; its name may have capital letters.
    #[inline]
    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) {
        self.encoder.field(name, value, false, self.out);
    }

    /// Writes a field that may be one which must not enter a table.
    #[inline]
    pub(super) fn field_like(&mut self, name: &[u8], value: &[u8], never_indexed: bool) {
        self.encoder.field(name, value, never_indexed, self.out);
    }

    /// Writes a field whose value is in `text`.
    pub(super) fn text_field(&mut self, name: &[u8]) {
        self.encoder.field(name, self.text, false, self.out);
    }

    /// Writes a field with a number.
    pub(super) fn number(&mut self, name: &[u8], number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.field(name, &digits[at..]);
    }

    /// Writes `:status`.
    pub(super) fn status(&mut self, status: u16) {
        let index = match status {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => return self.number(b":status", u64::from(status)),
        };
        self.encoder.static_entry(index, self.out);
    }

    /// Writes `:method`, `:scheme` or `:path`, whose usual values are in the static table.
    pub(super) fn pseudo(&mut self, name: &[u8], value: &[u8]) {
        let index = match (name, value) {
            (b":method", b"GET") => 2,
            (b":method", b"POST") => 3,
            (b":path", b"/") => 4,
            (b":scheme", b"http") => 6,
            (b":scheme", b"https") => 7,
            _ => return self.field(name, value),
        };
        self.encoder.static_entry(index, self.out);
    }

    /// Writes our entry of Via (RFC 9110 §7.6.3).
    pub(super) fn via(&mut self, version: &str, name: &[u8]) {
        self.text.clear();
        self.text.extend_from_slice(version.as_bytes());
        self.text.push(b' ');
        self.text.extend_from_slice(name);
        self.text_field(b"via");
    }
}
