//! Records of TLS 1.3 and 1.2 (RFC 8446, section 5; RFC 5246, section 6.2; RFC 5288; RFC 7905):
//! sealed into a buffer, opened where they lie, without an allocation. rustls makes the keys.
//!
//! Does not: know handshakes, alerts or their order; hold bytes.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::ConnectionTrafficSecrets;
use std::ops::Range;

/// Bytes of a record before its content: type, version, length.
pub const HEADER_BYTES: usize = 5;

/// Most bytes of content of a record (RFC 8446, section 5.1).
pub const CONTENT_BYTES_MAX: usize = 1 << 14;

/// Most bytes of a record behind its header (RFC 8446, section 5.2). With the ciphers that are
/// supported a record of TLS 1.2 is no longer.
pub const SEALED_BYTES_MAX: usize = CONTENT_BYTES_MAX + 256;

/// Most bytes that a sealed record has beside its content: header, explicit nonce (TLS 1.2) or
/// content type (TLS 1.3), and tag.
pub const OVERHEAD_BYTES_MAX: usize = HEADER_BYTES + EXPLICIT_NONCE_BYTES + TAG_BYTES;

const TAG_BYTES: usize = 16;
const EXPLICIT_NONCE_BYTES: usize = 8;
const NONCE_BYTES: usize = aead::NONCE_LEN;

/// Records that AES-GCM may seal with one key: fewer than 2^24.5 (RFC 8446, section 5.5).
const AES_GCM_RECORDS_MAX: u64 = 1 << 24;

/// The type of a record's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// An alert.
    Alert,
    /// Handshake messages, or parts of them.
    Handshake,
    /// What the connection is for.
    ApplicationData,
}

impl ContentType {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            21 => Some(Self::Alert),
            22 => Some(Self::Handshake),
            23 => Some(Self::ApplicationData),
            _ => None,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Alert => 21,
            Self::Handshake => 22,
            Self::ApplicationData => 23,
        }
    }
}

/// What is wrong with a record. Each ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// Longer than a record may be.
    TooLong,
    /// It was not sealed with the peer's key, or was changed on its way.
    BadTag,
    /// Its type is none that an open connection has.
    UnexpectedType,
}

/// How nonces and additional data are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// RFC 8446, sections 5.2 and 5.3.
    Tls13,
    /// RFC 5288: a part of the nonce is in the record.
    Tls12Gcm,
    /// RFC 7905.
    Tls12Chacha,
}

/// The version that was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl Version {
    /// Its number.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// The key of one direction, and how many records it has sealed or opened.
pub struct RecordKey {
    key: LessSafeKey,
    iv: [u8; NONCE_BYTES],
    sequence: u64,
    form: Form,
}

impl RecordKey {
    /// The key from what rustls has derived; `sequence` is the number of its next record. None for
    /// a cipher that is not supported here.
    pub fn new(version: Version, sequence: u64, secrets: ConnectionTrafficSecrets) -> Option<Self> {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&aead::AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&aead::AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&aead::CHACHA20_POLY1305, key, iv)
            }
            _ => return None,
        };
        let form = match version {
            Version::Tls13 => Form::Tls13,
            Version::Tls12 if algorithm == &aead::CHACHA20_POLY1305 => Form::Tls12Chacha,
            Version::Tls12 => Form::Tls12Gcm,
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).ok()?);
        Some(Self { key, iv: iv.as_ref().try_into().ok()?, sequence, form })
    }

    /// True if the key has sealed so many records that the next one but a few needs another key.
    pub fn is_used_up(&self) -> bool {
        self.key.algorithm() != &aead::CHACHA20_POLY1305
            && self.sequence >= AES_GCM_RECORDS_MAX - 64
    }

    /// Where the content of a record begins: behind its header and what the version puts there.
    pub fn content_start(&self) -> usize {
        match self.form {
            Form::Tls13 | Form::Tls12Chacha => HEADER_BYTES,
            Form::Tls12Gcm => HEADER_BYTES + EXPLICIT_NONCE_BYTES,
        }
    }

    /// Seals `length` bytes of content, which lie at [`RecordKey::content_start`] of `out`, and
    /// returns the length of the record. `out` has room for [`OVERHEAD_BYTES_MAX`] more;
    /// `length` is at most [`CONTENT_BYTES_MAX`].
    pub fn seal(&mut self, kind: ContentType, length: usize, out: &mut [u8]) -> usize {
        let nonce = self.next_nonce();
        let start = self.content_start();
        let (inner, shown_kind) = match self.form {
            Form::Tls13 => (length + 1, ContentType::ApplicationData),
            Form::Tls12Gcm | Form::Tls12Chacha => (length, kind),
        };
        let end = start + inner + TAG_BYTES;
        write_header(shown_kind, end - HEADER_BYTES, out);
        match self.form {
            Form::Tls13 => out[start + length] = kind.byte(),
            Form::Tls12Gcm => out[HEADER_BYTES..start].copy_from_slice(&nonce[4..]),
            Form::Tls12Chacha => {}
        }
        let (header, rest) = out.split_at_mut(start);
        let (content, rest) = rest.split_at_mut(inner);
        let aad = self.additional_data(header, length);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.key.seal_in_place_separate_tag(nonce, Aad::from(aad.bytes()), content);
        let tag = sealed.expect("a record is far shorter than the cipher's limit");
        rest[..TAG_BYTES].copy_from_slice(tag.as_ref());
        self.sequence += 1;
        end
    }

    /// Opens a complete record where it lies; the content is the returned range of it.
    ///
    /// # Errors
    /// The connection has to end.
    pub fn open(&mut self, record: &mut [u8]) -> Result<(ContentType, Range<usize>), RecordFault> {
        let shown = ContentType::of(record[0]).ok_or(RecordFault::UnexpectedType)?;
        if self.form == Form::Tls13 && shown != ContentType::ApplicationData {
            return Err(RecordFault::UnexpectedType);
        }
        let mut nonce = self.next_nonce();
        let start = self.content_start();
        let Some(length) = record.len().checked_sub(start + TAG_BYTES) else {
            return Err(RecordFault::BadTag);
        };
        let (header, sealed) = record.split_at_mut(start);
        if self.form == Form::Tls12Gcm {
            nonce[..4].copy_from_slice(&self.iv[..4]);
            nonce[4..].copy_from_slice(&header[HEADER_BYTES..]);
        }
        let aad = self.additional_data(header, length);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.key.open_in_place(nonce, Aad::from(aad.bytes()), sealed);
        let content = opened.map_err(|_| RecordFault::BadTag)?;
        self.sequence += 1;
        let (kind, length) = match self.form {
            Form::Tls13 => {
                // The last byte that is not zero is the type; padding follows it.
                let at = content.iter().rposition(|byte| *byte != 0);
                let at = at.ok_or(RecordFault::UnexpectedType)?;
                (ContentType::of(content[at]).ok_or(RecordFault::UnexpectedType)?, at)
            }
            Form::Tls12Gcm | Form::Tls12Chacha => (shown, length),
        };
        if length > CONTENT_BYTES_MAX {
            return Err(RecordFault::TooLong);
        }
        Ok((kind, start..start + length))
    }

    fn next_nonce(&self) -> [u8; NONCE_BYTES] {
        let mut nonce = self.iv;
        let sequence = self.sequence.to_be_bytes();
        nonce[NONCE_BYTES - 8..].iter_mut().zip(sequence).for_each(|(byte, of)| *byte ^= of);
        nonce
    }

    /// `header` is the record up to its content, `length` that of the content in TLS 1.2. Its type
    /// and version are as they came: a record whose version was changed does not open.
    fn additional_data(&self, header: &[u8], length: usize) -> AdditionalData {
        let mut bytes = [0; 13];
        if self.form == Form::Tls13 {
            bytes[..HEADER_BYTES].copy_from_slice(&header[..HEADER_BYTES]);
            return AdditionalData { bytes, length: HEADER_BYTES };
        }
        bytes[..8].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[8..11].copy_from_slice(&header[..3]);
        bytes[11..].copy_from_slice(&(length as u16).to_be_bytes());
        AdditionalData { bytes, length: bytes.len() }
    }
}

struct AdditionalData {
    bytes: [u8; 13],
    length: usize,
}

impl AdditionalData {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

fn write_header(kind: ContentType, length: usize, out: &mut [u8]) {
    let [high, low] = (length as u16).to_be_bytes();
    out[..HEADER_BYTES].copy_from_slice(&[kind.byte(), 3, 3, high, low]);
}

/// The length of the record that begins here, with its header; none if even that is incomplete.
///
/// # Errors
/// It is longer than a record may be.
pub fn record_length(bytes: &[u8]) -> Result<Option<usize>, RecordFault> {
    let Some(&[high, low]) = bytes.get(3..HEADER_BYTES) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > SEALED_BYTES_MAX {
        return Err(RecordFault::TooLong);
    }
    Ok(Some(HEADER_BYTES + length))
}
