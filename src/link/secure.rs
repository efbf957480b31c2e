//! TLS on a link: received bytes are opened where they lie, and what waits in the outbox is sealed
//! when it is sent, a record in a buffer of its own. The parts above see content only.
//!
//! Does not: choose certificates, or know what the content means.

use super::{Chain, Flush, Link, Wire, Write};
use crate::engine::{BufferId, Engine, Room, SEND_SLICES_MAX, Slice};
use crate::tls::{
    CONTENT_BYTES_MAX, ClientSide, Fault, Identity, OVERHEAD_BYTES_MAX, Received, Session,
};
use std::ops::Range;

/// Records that are sealed before the first of them is sent.
const SEALED_MAX: u32 = 8;

/// TLS of a link.
pub struct Secure {
    session: Session,
    /// Sealed records, and messages of the handshake, to be sent in order; a send in flight covers
    /// the front.
    pub(super) sealed: Chain,
    /// The peer has said that it sends nothing more.
    pub(super) has_ended: bool,
    /// The peer has been told that nothing more is sent.
    has_said_goodbye: bool,
    /// Of a client's connection: the name that it asked for, and what answered.
    pub client: Option<ClientSide>,
}

impl Secure {
    /// TLS that begins with the first bytes of the peer.
    pub fn new(session: Session, client: Option<ClientSide>) -> Self {
        let sealed = Chain::default();
        Self { session, sealed, has_ended: false, has_said_goodbye: false, client }
    }

    /// True if the peer has said that it sends nothing more.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The handshake with a client is complete: what its certificate says is kept.
    pub fn note_client_certificate(&mut self) {
        let shown = self.session.take_client_certificates();
        if let (Some(client), Some(own)) = (&mut self.client, shown.first()) {
            client.identity = Some(Box::new(Identity::of(own)));
        }
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secure").field("sealed", &self.sealed).finish_non_exhaustive()
    }
}

/// What received bytes had in them.
#[derive(Debug, Default)]
pub struct Opened {
    /// The content, in order. The caller owns its buffers.
    pub content: Chain,
    /// The peer sends nothing more.
    pub has_ended: bool,
    /// Why the connection ends behind the content, if it does.
    pub fault: Option<OpenFault>,
}

/// The reason why received bytes could not be opened; the connection ends.
#[derive(Debug)]
pub enum OpenFault {
    /// The session has failed. An alert may wait to be sent.
    Tls(Fault),
    /// No buffer is left for content.
    OutOfBuffers,
}

/// Memory for what is not where it should be, used again for every link.
#[derive(Default)]
pub(super) struct Scratch {
    /// Content of records that began in an earlier read.
    before: Vec<u8>,
    /// Bytes for the peer.
    out: Vec<u8>,
}

/// Beyond this, scratch memory is given back: a handshake may be long.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

impl Scratch {
    fn clear(&mut self) {
        for bytes in [&mut self.before, &mut self.out] {
            bytes.clear();
            bytes.shrink_to(SCRATCH_BYTES_MAX);
        }
    }
}

impl<E: Engine> Wire<E> {
    /// Opens received bytes of a link with TLS, and answers what belongs to TLS itself.
    pub fn open(&mut self, link: &mut Link, slice: Slice) -> Opened {
        let mut scratch = std::mem::take(&mut self.scratch);
        let bytes = self.bytes_mut(slice);
        let secure = link.secure.as_mut().expect("the caller has seen that there is TLS");
        let received = secure.session.receive(bytes, &mut scratch.before, &mut scratch.out);
        let opened = self.deliver(link, slice, received, &scratch);
        scratch.clear();
        self.scratch = scratch;
        opened
    }

    /// The same for bytes that lie in no buffer: the beginning of a handshake.
    ///
    /// # Errors
    /// The connection has to end.
    pub fn open_bytes(&mut self, link: &mut Link, bytes: &mut [u8]) -> Result<(), OpenFault> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let secure = link.secure.as_mut().expect("the caller has begun TLS");
        let received = secure.session.receive(bytes, &mut scratch.before, &mut scratch.out);
        debug_assert!(scratch.before.is_empty(), "a first flight has no content");
        let is_queued = self.queue_sealed(link, &scratch.out);
        scratch.clear();
        self.scratch = scratch;
        if let Some(fault) = received.fault {
            return Err(OpenFault::Tls(fault));
        }
        if is_queued { Ok(()) } else { Err(OpenFault::OutOfBuffers) }
    }

    fn deliver(
        &mut self,
        link: &mut Link,
        slice: Slice,
        received: Received,
        scratch: &Scratch,
    ) -> Opened {
        let is_queued = self.queue_sealed(link, &scratch.out);
        if let Some(secure) = &mut link.secure {
            secure.has_ended |= received.has_ended;
        }
        let fault = received.fault.map(OpenFault::Tls);
        let fault = if is_queued { fault } else { Some(OpenFault::OutOfBuffers) };
        let mut content = Chain::default();
        let has_before = self.keep_before(&scratch.before, &mut content);
        let within = if has_before { received.content } else { 0..0 };
        if !self.keep_content(slice, within, &mut content) || !has_before {
            self.drop_chain(&mut content);
            let fault = Some(OpenFault::OutOfBuffers);
            return Opened { content, has_ended: false, fault };
        }
        Opened { content, has_ended: received.has_ended && fault.is_none(), fault }
    }

    /// Keeps the content of records that began earlier. False if no buffer is left.
    fn keep_before(&mut self, before: &[u8], content: &mut Chain) -> bool {
        before.chunks(self.engine.buffer_size()).all(|part| {
            let part = self.private(part);
            part.map(|part| self.push_back(content, part)).is_some()
        })
    }

    /// Keeps the content within a range. False if no buffer is left for it.
    fn keep_content(&mut self, slice: Slice, within: Range<usize>, content: &mut Chain) -> bool {
        if within.is_empty() {
            self.engine.release(slice.buffer);
            return true;
        }
        let (start, end) = (slice.start + within.start as u32, slice.start + within.end as u32);
        let kept = self.copy_out(Slice { start, end, ..slice });
        kept.map(|slice| self.push_back(content, slice)).is_some()
    }

    /// Queues a range that is not sealed: what stands before TLS.
    pub fn send_unsealed(&mut self, link: &mut Link, slice: Slice) {
        if let Some(secure) = &mut link.secure {
            self.chains.push(&mut secure.sealed, slice, false);
        }
        self.mark_dirty(link);
    }

    /// Queues bytes that are sealed, or need not be. False if no buffer is left.
    fn queue_sealed(&mut self, link: &mut Link, bytes: &[u8]) -> bool {
        // Nothing follows the last word.
        if link.is_broken() || link.secure.as_ref().is_some_and(|secure| secure.has_said_goodbye) {
            return true;
        }
        for part in bytes.chunks(self.engine.buffer_size()) {
            let Some(part) = self.private(part) else { return false };
            if let Some(secure) = &mut link.secure {
                self.chains.push(&mut secure.sealed, part, false);
            }
        }
        if !bytes.is_empty() {
            self.mark_dirty(link);
        }
        true
    }

    /// Seals what waits in the outbox, as much as may be sealed ahead, and sends it.
    pub(super) fn flush_secure(&mut self, link: &mut Link) {
        debug_assert!(link.is_connected() && link.sending == 0);
        if link.secure.as_ref().is_some_and(|secure| secure.session.has_failed()) {
            self.drop_chain(&mut link.outbox);
        }
        if !self.seal_outbox(link) {
            link.write = Write::Failed;
            return;
        }
        if link.write == Write::Ending && link.outbox.is_empty() {
            self.queue_goodbye(link);
        }
        let Some(secure) = &link.secure else { return };
        let empty = Slice { buffer: BufferId(0), start: 0, end: 0 };
        let mut slices = [empty; SEND_SLICES_MAX];
        let count = self.chains.peek(&secure.sealed, &mut slices);
        if count > 0 {
            let bytes = slices[..count].iter().map(|slice| slice.end - slice.start).sum();
            self.send_now(link, &slices[..count], bytes);
        } else if link.write == Write::Ending && link.outbox.is_empty() {
            self.say_goodbye(link);
            self.engine.shutdown_write(link.socket);
        } else if !link.outbox.is_empty() && self.is_open(link) && link.flush == Flush::None {
            self.postpone_flush(link);
        }
    }

    fn is_open(&self, link: &Link) -> bool {
        link.secure.as_ref().is_some_and(|secure| secure.session.is_open())
    }

    /// Seals records until enough wait, or no buffer is left. False if the session cannot go on.
    fn seal_outbox(&mut self, link: &mut Link) -> bool {
        while !link.outbox.is_empty() && self.is_open(link) {
            let Some(secure) = &mut link.secure else { return true };
            if secure.sealed.len() >= SEALED_MAX {
                return true;
            }
            // Once the key has changed, the peer has to be told.
            if secure.session.needs_new_key() && !self.has_room_for_word() {
                return true;
            }
            let Some(secure) = &mut link.secure else { return true };
            let mut out = std::mem::take(&mut self.scratch.out);
            let may_go_on = secure.session.renew_key(&mut out);
            let is_queued = self.queue_sealed(link, &out);
            out.clear();
            self.scratch.out = out;
            if !may_go_on || !is_queued {
                return false;
            }
            if !self.seal_one(link) {
                return true;
            }
        }
        true
    }

    /// True if there is a buffer for a short message of TLS itself.
    fn has_room_for_word(&mut self) -> bool {
        let buffer = self.engine.acquire(Room::Small);
        buffer.map(|buffer| self.engine.release(buffer)).is_some()
    }

    /// Seals one record. False if no buffer is left for it.
    fn seal_one(&mut self, link: &mut Link) -> bool {
        let room = self.engine.buffer_size() - OVERHEAD_BYTES_MAX;
        let (slices, count, bytes) = self.next_content(link, room.min(CONTENT_BYTES_MAX));
        let Some(buffer) = self.engine.acquire(Room::of(bytes + OVERHEAD_BYTES_MAX)) else {
            return false;
        };
        let Some(secure) = &mut link.secure else { return true };
        let mut at = secure.session.content_start();
        for slice in &slices[..count] {
            let (from, to) = self.engine.bytes_pair(slice.buffer, buffer);
            let content = &from[slice.start as usize..slice.end as usize];
            to[at..at + content.len()].copy_from_slice(content);
            at += content.len();
        }
        let sealed = secure.session.seal(bytes, self.engine.bytes_mut(buffer));
        let record = Slice { buffer, start: 0, end: sealed as u32 };
        self.chains.push(&mut secure.sealed, record, false);
        self.take_sent(&mut link.outbox, bytes as u32);
        true
    }

    /// The next ranges of the outbox, of at most `most` bytes in sum.
    fn next_content(&self, link: &Link, most: usize) -> ([Slice; SEND_SLICES_MAX], usize, usize) {
        let empty = Slice { buffer: BufferId(0), start: 0, end: 0 };
        let mut slices = [empty; SEND_SLICES_MAX];
        let (mut count, mut bytes) = (0, 0);
        for at in 0..self.chains.peek(&link.outbox, &mut slices) {
            let length = slices[at].len().min(most - bytes);
            slices[at].end = slices[at].start + length as u32;
            bytes += length;
            count += usize::from(length > 0);
        }
        (slices, count, bytes)
    }

    /// Joins the last word to the records that wait, so that it travels with them, if a buffer is
    /// left for it.
    fn queue_goodbye(&mut self, link: &mut Link) {
        let Some(secure) = link.secure.as_mut().filter(|secure| !secure.has_said_goodbye) else {
            return;
        };
        if secure.sealed.is_empty() {
            return;
        }
        let Some(buffer) = self.engine.acquire(Room::Small) else { return };
        secure.has_said_goodbye = true;
        secure.session.close_notify(&mut self.scratch.out);
        let length = self.scratch.out.len();
        self.engine.bytes_mut(buffer)[..length].copy_from_slice(&self.scratch.out);
        self.scratch.out.clear();
        if length == 0 {
            return self.engine.release(buffer);
        }
        let word = Slice { buffer, start: 0, end: length as u32 };
        self.chains.push(&mut secure.sealed, word, false);
    }

    /// Sends the alert that a failed session has left, if the socket takes it at once.
    pub fn send_alert(&mut self, link: &mut Link) {
        let Some(secure) = link.secure.as_mut().filter(|_| link.sending == 0) else { return };
        while let Some((slice, _)) = self.chains.pop(&mut secure.sealed) {
            let bytes = &self.engine.bytes(slice.buffer)[slice.start as usize..slice.end as usize];
            self.scratch.out.extend_from_slice(bytes);
            self.engine.release(slice.buffer);
        }
        if !self.scratch.out.is_empty() {
            self.engine.send_at_once(link.socket, &self.scratch.out);
        }
        self.scratch.out.clear();
    }

    /// Tells the peer that nothing more is sent, if the socket takes it at once: nothing waits
    /// before it.
    pub(super) fn say_goodbye(&mut self, link: &mut Link) {
        let Some(secure) = link.secure.as_mut().filter(|secure| !secure.has_said_goodbye) else {
            return;
        };
        secure.has_said_goodbye = true;
        secure.session.close_notify(&mut self.scratch.out);
        if !self.scratch.out.is_empty() {
            self.engine.send_at_once(link.socket, &self.scratch.out);
        }
        self.scratch.out.clear();
    }
}
