//! The TLS session of one connection: the handshake, then records both ways. Bytes of the peer in;
//! out come content, and bytes for the peer.
//!
//! Does not: hold content; know sockets, buffers or time.

use super::handshake::{Completed, Facts, Handshake, Schedule};
use super::record::{
    CONTENT_BYTES_MAX, ContentType, HEADER_BYTES, OVERHEAD_BYTES_MAX, RecordFault, RecordKey,
    Version, record_length,
};
use rustls::Error;
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::ops::Range;

/// Bytes of the peer's handshake that may wait to be complete: a chain of certificates of a
/// client.
const HANDSHAKE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of one handshake message behind the handshake: a session ticket.
const MESSAGE_BYTES_MAX: usize = 1 << 16;

/// Records in a row without content, and changes of the peer's key without content between them,
/// beyond which the peer only makes work.
const EMPTY_RECORDS_MAX: u8 = 32;

const ALERT_CLOSE_NOTIFY: u8 = 0;
const ALERT_USER_CANCELED: u8 = 90;
const ALERT_LEVEL_WARNING: u8 = 1;
const ALERT_LEVEL_FATAL: u8 = 2;

const MESSAGE_NEW_SESSION_TICKET: u8 = 4;
const MESSAGE_KEY_UPDATE: u8 = 24;
/// A KeyUpdate that asks for one in return (RFC 8446, section 4.6.3).
const UPDATE_REQUESTED: u8 = 1;

/// Why a session has ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The handshake failed.
    Handshake(Error),
    /// A record is malformed.
    Record(RecordFault),
    /// The peer has ended the session with this alert (RFC 8446, section 6.2).
    PeerAlert(u8),
    /// A message that may not come now; renegotiation is one.
    UnexpectedMessage,
    /// A malformed message.
    Malformed,
    /// Too many bytes of a handshake, or too many records without content.
    TooMuch,
    /// The peer has closed the session before the handshake was complete.
    Closed,
    /// The negotiated cipher is none that records can be protected with here.
    UnsupportedCipher,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Handshake(error)
    }
}

impl From<RecordFault> for Fault {
    fn from(fault: RecordFault) -> Self {
        Self::Record(fault)
    }
}

impl Fault {
    /// True if the peer has shown no certificate, and has to.
    pub fn is_of_no_certificate(&self) -> bool {
        *self == Self::Handshake(Error::NoCertificatesPresented)
    }

    /// The alert that tells the peer (RFC 8446, section 6); none where it knows.
    fn alert(&self) -> Option<u8> {
        match self {
            // rustls has queued its own.
            Self::Handshake(_) | Self::PeerAlert(_) | Self::Closed => None,
            Self::Record(RecordFault::TooLong) => Some(22),
            Self::Record(RecordFault::BadTag) => Some(20),
            Self::Record(RecordFault::UnexpectedType) | Self::UnexpectedMessage => Some(10),
            Self::Malformed => Some(50),
            Self::TooMuch => Some(10),
            Self::UnsupportedCipher => Some(80),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(error) => error.fmt(f),
            Self::Record(RecordFault::TooLong) => f.write_str("a record is too long"),
            Self::Record(RecordFault::BadTag) => f.write_str("a record was changed on its way"),
            Self::Record(RecordFault::UnexpectedType) => f.write_str("a record of a wrong type"),
            Self::PeerAlert(alert) => write!(f, "the peer sent the alert {alert}"),
            Self::UnexpectedMessage => f.write_str("a handshake message out of its place"),
            Self::Malformed => f.write_str("a malformed handshake message or alert"),
            Self::TooMuch => f.write_str("too many bytes or records without content"),
            Self::Closed => f.write_str("closed before the handshake was complete"),
            Self::UnsupportedCipher => f.write_str("the cipher suite is not supported"),
        }
    }
}

/// What bytes of the peer have led to.
#[derive(Debug, Default, PartialEq)]
pub struct Received {
    /// Content within the bytes that were given. It follows what was added to `before`.
    pub content: Range<usize>,
    /// The peer has sent its last byte.
    pub has_ended: bool,
    /// Why the session has failed, if it has: behind the content.
    pub fault: Option<Fault>,
}

enum State {
    Handshaking(Handshake),
    Open(Box<Open>),
    Failed,
}

/// A session that is open.
struct Open {
    sealing: RecordKey,
    opening: RecordKey,
    schedule: Schedule,
    facts: Facts,
    /// The part of a handshake message that has come.
    message: Vec<u8>,
    /// Records without content, in a row.
    empty: u8,
    has_ended: bool,
}

/// See the module.
pub struct Session {
    state: State,
    /// The part of the handshake, or of a record, from earlier reads.
    incoming: Vec<u8>,
}

impl Session {
    /// A session that begins. A client's first flight is had by [`Session::receive`] of nothing.
    pub fn new(handshake: Handshake) -> Self {
        Self { state: State::Handshaking(handshake), incoming: Vec::new() }
    }

    /// True until content can be sent.
    pub fn is_handshaking(&self) -> bool {
        matches!(self.state, State::Handshaking(_))
    }

    /// True once content can be sent, until the session fails.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// True if nothing can be sent any more but the alert that says so.
    pub fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed)
    }

    /// What was negotiated; none before.
    pub fn facts(&self) -> Option<&Facts> {
        match &self.state {
            State::Open(open) => Some(&open.facts),
            State::Handshaking(_) | State::Failed => None,
        }
    }

    /// Takes the certificates that a client has shown: they are not kept with the session.
    pub fn take_client_certificates(&mut self) -> Box<[CertificateDer<'static>]> {
        match &mut self.state {
            State::Open(open) => std::mem::take(&mut open.facts.client_certificates),
            State::Handshaking(_) | State::Failed => Box::default(),
        }
    }

    /// True if a part of a record has come.
    pub fn has_partial(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Takes bytes of the peer. `before` gets the content of records that began earlier, `out` what
    /// the peer is sent at once: an alert, if the session has failed.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        before: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Received {
        let mut content = 0..0;
        let fault = self.try_receive(bytes, &mut content, before, out).err();
        let has_ended = self.has_ended();
        if let Some(fault) = &fault {
            if let (Some(alert), State::Open(open)) = (fault.alert(), &mut self.state) {
                open.alert(ALERT_LEVEL_FATAL, alert, out);
            }
            *self = Self { state: State::Failed, incoming: Vec::new() };
        }
        Received { content, has_ended, fault }
    }

    fn try_receive(
        &mut self,
        bytes: &mut [u8],
        content: &mut Range<usize>,
        before: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        if self.is_handshaking() {
            self.incoming.extend_from_slice(bytes);
            if self.shake_hands(before, out)? {
                self.open_incoming(&mut [], before, out)?;
            }
            return Ok(());
        }
        let used = self.open_incoming(bytes, before, out)?;
        let State::Open(open) = &mut self.state else { return Err(Fault::Closed) };
        let used = open.open_all(used, bytes, content, out)?;
        if used < bytes.len() && !open.has_ended {
            self.incoming = bytes[used..].to_vec();
        }
        Ok(())
    }

    fn has_ended(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.has_ended)
    }

    /// True if the handshake is complete, and the session open.
    fn shake_hands(&mut self, before: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let State::Handshaking(handshake) = &mut self.state else { return Ok(false) };
        if !handshake.advance(&mut self.incoming, out, before)? {
            let is_too_long = self.incoming.len() > HANDSHAKE_BYTES_MAX;
            return if is_too_long { Err(Fault::TooMuch) } else { Ok(false) };
        }
        let State::Handshaking(handshake) = std::mem::replace(&mut self.state, State::Failed)
        else {
            return Ok(false);
        };
        self.state = State::Open(Box::new(Open::new(handshake.complete()?)));
        Ok(true)
    }

    /// Opens the records that began earlier, with what is missing of the last one from `bytes`.
    /// Returns the number of those that were used.
    fn open_incoming(
        &mut self,
        bytes: &mut [u8],
        before: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        let State::Open(open) = &mut self.state else { return Err(Fault::Closed) };
        let (mut used, mut at) = (0, 0);
        while at < self.incoming.len() && !open.has_ended {
            let have = self.incoming.len() - at;
            let length = record_length(&self.incoming[at..])?;
            let want = length.unwrap_or(HEADER_BYTES);
            let more = want.saturating_sub(have).min(bytes.len() - used);
            self.incoming.extend_from_slice(&bytes[used..used + more]);
            used += more;
            if have + more < want {
                self.incoming.drain(..at);
                return Ok(used);
            }
            if length.is_none() {
                continue;
            }
            let record = &mut self.incoming[at..at + want];
            let content = open.open_one(record, out)?;
            before.extend_from_slice(&record[content]);
            at += want;
        }
        self.incoming = Vec::new();
        Ok(used)
    }

    /// Where the content of a record begins that is sealed next.
    ///
    /// # Panics
    /// If the session is not open.
    pub fn content_start(&self) -> usize {
        let State::Open(open) = &self.state else { panic!("sealed before the handshake") };
        open.sealing.content_start()
    }

    /// Seals `length` bytes of content, which lie at [`Session::content_start`] of `out`, and
    /// returns the length of the record.
    ///
    /// # Panics
    /// If the session is not open.
    pub fn seal(&mut self, length: usize, out: &mut [u8]) -> usize {
        let State::Open(open) = &mut self.state else { panic!("sealed before the handshake") };
        open.sealing.seal(ContentType::ApplicationData, length, out)
    }

    /// True if the key for sending has sealed as many records as it may.
    pub fn needs_new_key(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.sealing.is_used_up())
    }

    /// Changes the key for sending if it has sealed as many records as it may; `out` gets what
    /// tells the peer. False if the session cannot go on, because its version has no such change.
    pub fn renew_key(&mut self, out: &mut Vec<u8>) -> bool {
        let State::Open(open) = &mut self.state else { return true };
        if !open.sealing.is_used_up() {
            return true;
        }
        open.facts.version == Version::Tls13 && open.update_sealing(out).is_ok()
    }

    /// Tells the peer that nothing more is sent.
    pub fn close_notify(&mut self, out: &mut Vec<u8>) {
        if let State::Open(open) = &mut self.state {
            open.alert(ALERT_LEVEL_WARNING, ALERT_CLOSE_NOTIFY, out);
        }
    }
}

impl Open {
    fn new(completed: Completed) -> Self {
        let Completed { sealing, opening, schedule, facts } = completed;
        let message = Vec::new();
        Self { sealing, opening, schedule, facts, message, empty: 0, has_ended: false }
    }

    /// Opens all complete records from `start` on, and moves their content together; `content` gets
    /// its range. Returns the number of bytes that were used.
    fn open_all(
        &mut self,
        start: usize,
        bytes: &mut [u8],
        content: &mut Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        let mut used = start;
        *content = start..start;
        while !self.has_ended {
            let Some(length) = record_length(&bytes[used..])? else { break };
            if bytes.len() - used < length {
                break;
            }
            let opened = self.open_one(&mut bytes[used..used + length], out)?;
            let opened = used + opened.start..used + opened.end;
            used += length;
            if content.start == content.end {
                *content = opened;
            } else if !opened.is_empty() {
                bytes.copy_within(opened.clone(), content.end);
                content.end += opened.len();
            }
        }
        Ok(used)
    }

    /// Opens one record; its content, if it has any for the one who uses the session.
    fn open_one(&mut self, record: &mut [u8], out: &mut Vec<u8>) -> Result<Range<usize>, Fault> {
        let (kind, content) = self.opening.open(record)?;
        if kind != ContentType::Handshake && !self.message.is_empty() {
            return Err(Fault::UnexpectedMessage);
        }
        match kind {
            ContentType::ApplicationData if !content.is_empty() => {
                self.empty = 0;
                return Ok(content);
            }
            ContentType::ApplicationData => self.count_empty()?,
            ContentType::Alert => self.alerted(&record[content])?,
            ContentType::Handshake => self.take_message(&record[content], out)?,
        }
        Ok(0..0)
    }

    fn count_empty(&mut self) -> Result<(), Fault> {
        self.empty += 1;
        if self.empty > EMPTY_RECORDS_MAX { Err(Fault::TooMuch) } else { Ok(()) }
    }

    fn alerted(&mut self, alert: &[u8]) -> Result<(), Fault> {
        match *alert {
            [_, ALERT_CLOSE_NOTIFY] => {
                self.has_ended = true;
                Ok(())
            }
            [_, ALERT_USER_CANCELED] => self.count_empty(),
            [ALERT_LEVEL_WARNING, _] if self.facts.version == Version::Tls12 => self.count_empty(),
            [_, alert] => Err(Fault::PeerAlert(alert)),
            _ => Err(Fault::Malformed),
        }
    }

    /// Handshake messages behind the handshake (RFC 8446, section 4.6). Renegotiation of TLS 1.2
    /// is refused.
    fn take_message(&mut self, part: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.facts.version == Version::Tls12 || part.is_empty() {
            return Err(Fault::UnexpectedMessage);
        }
        self.message.extend_from_slice(part);
        while let Some(&[kind, high, middle, low]) = self.message.first_chunk::<4>() {
            let length = u32::from_be_bytes([0, high, middle, low]) as usize;
            if length > MESSAGE_BYTES_MAX {
                return Err(Fault::TooMuch);
            }
            let Some(body) = self.message.get(4..4 + length) else { return Ok(()) };
            match (kind, body) {
                (MESSAGE_NEW_SESSION_TICKET, ticket) => self.schedule.keep_session(ticket)?,
                // The key changes with it: nothing may follow it in its record.
                (MESSAGE_KEY_UPDATE, &[request]) if self.message.len() == 5 && request < 2 => {
                    self.update_opening()?;
                    if request == UPDATE_REQUESTED {
                        self.update_sealing(out)?;
                    }
                }
                (MESSAGE_KEY_UPDATE, _) => return Err(Fault::Malformed),
                _ => return Err(Fault::UnexpectedMessage),
            }
            self.message.drain(..4 + length);
            self.count_empty()?;
        }
        if self.message.is_empty() {
            self.message = Vec::new();
        }
        Ok(())
    }

    fn update_opening(&mut self) -> Result<(), Fault> {
        let (sequence, secrets) = self.schedule.next_opening()?;
        self.opening =
            RecordKey::new(Version::Tls13, sequence, secrets).ok_or(Fault::UnsupportedCipher)?;
        Ok(())
    }

    /// Says that the next record has another key, under the present one, and changes it.
    fn update_sealing(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let (sequence, secrets) = self.schedule.next_sealing()?;
        let next = RecordKey::new(Version::Tls13, sequence, secrets);
        let next = next.ok_or(Fault::UnsupportedCipher)?;
        self.append(ContentType::Handshake, &[MESSAGE_KEY_UPDATE, 0, 0, 1, 0], out);
        self.sealing = next;
        Ok(())
    }

    fn alert(&mut self, level: u8, alert: u8, out: &mut Vec<u8>) {
        self.append(ContentType::Alert, &[level, alert], out);
    }

    fn append(&mut self, kind: ContentType, content: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        out.resize(at + content.len() + OVERHEAD_BYTES_MAX, 0);
        let start = at + self.sealing.content_start();
        out[start..start + content.len()].copy_from_slice(content);
        let length = self.sealing.seal(kind, content.len(), &mut out[at..]);
        out.truncate(at + length);
    }
}

const _: () = assert!(CONTENT_BYTES_MAX <= u16::MAX as usize);
