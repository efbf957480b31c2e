//! Reading a request's head. A head that arrives in one read is parsed in place; one that arrives
//! in pieces is gathered on the heap, so that a slow client holds no receive buffer.

use super::super::securing::request;
use super::super::{Client, State};
use super::{Arrival, Step, reason_of};
use crate::engine::{BufferId, Engine, Room, Slice};
use crate::head::{Refusal, RequestHead, Scheme};
use crate::http1::{FieldStorage, Partial, Verdict, leading_line_ends};
use crate::http2::PREFACE;
use crate::limits::LEADING_LINE_ENDS_BYTES_MAX;
use crate::link::Joined;
use crate::local::{Gathered, Local, Signal};
use crate::message::{Denial, Draft, RequestOutcome, RequestSide};
use crate::stats::CloseReason;
use crate::table::Port;

/// Bytes of the preface of HTTP/2 that look like a head.
const PREFACE_HEAD_BYTES: usize = b"PRI * HTTP/2.0\r\n\r\n".len();

/// Bytes that a head usually grows by at most when it is rewritten.
const HEAD_GROWTH: usize = 384;

/// No buffer is left for received bytes; they are lost, and with them the connection.
struct OutOfBuffers;

impl Client {
    /// Reads bytes in which a request begins or continues. Returns it once its head is complete.
    pub(super) fn read_head<E: Engine>(
        &mut self,
        slice: Slice,
        local: &mut Local<E>,
    ) -> Option<Arrival> {
        let slice = self.gather(slice, local)?;
        let slice = self.skip_line_ends(slice, local)?;
        let mut room = Room::of(slice.len() + HEAD_GROWTH);
        let (output, verdict) = loop {
            let (output, verdict) = self.translate_head(slice, room, local)?;
            let is_done = !matches!(verdict, Verdict::Complete(RequestOutcome::NoRoom(_)));
            if is_done || room == Room::Whole {
                break (output, verdict);
            }
            local.wire.engine.release(output);
            room = Room::Whole;
        };
        let outcome = match verdict {
            Verdict::Complete(outcome) => outcome,
            Verdict::Incomplete => {
                local.wire.engine.release(output);
                self.set_head_aside(slice, local);
                return None;
            }
            Verdict::Refused(_) if self.begins_http2(slice, local) => {
                local.wire.engine.release(output);
                self.read_preface_of_http2(slice, local);
                return None;
            }
            Verdict::Refused(refusal) => {
                let draft = draft_of(slice, local);
                local.wire.engine.release(output);
                local.wire.engine.release(slice.buffer);
                self.refuse(refusal, draft, local);
                return None;
            }
        };
        match outcome {
            RequestOutcome::Forward(request) => {
                local.reports.count_request(self.listener, request.target.route);
                let Ok(rest) = rest_of(slice, request.head_length, local) else {
                    local.wire.engine.release(output);
                    self.cut_out_of_buffers(request.draft, local);
                    return None;
                };
                return Some(Arrival { origin: Port::only(self.id()), request, output, rest });
            }
            RequestOutcome::NoRoom(answer) | RequestOutcome::Local(answer) => {
                local.wire.engine.release(output);
                match rest_of(slice, answer.head_length, local) {
                    Ok(None) => {}
                    Ok(Some(rest)) => self.keep_first(rest, local),
                    Err(OutOfBuffers) => {
                        self.cut_denied(answer.denial, local);
                        return None;
                    }
                }
                self.answer_request(answer, local);
            }
        }
        None
    }

    /// Begins HTTP/2 with the bytes of its preface, once these cannot be anything else.
    fn read_preface_of_http2<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        if slice.len() < PREFACE_HEAD_BYTES {
            return self.set_head_aside(slice, local);
        }
        let Some(slice) = local.wire.copy_out(slice) else {
            return self.cut_out_of_buffers(None, local);
        };
        self.begin_http2(local);
        self.keep_first(slice, local);
        local.work.push(Signal::Serve(Port::only(self.id())));
    }

    /// True if the first bytes of a client are those of HTTP/2 (RFC 9113 §3.4), or of what looks
    /// like a head to HTTP/1 in them. Over TLS it is agreed on in the handshake, and nowhere else
    /// (RFC 9113 §3.2).
    fn begins_http2<E: Engine>(&self, slice: Slice, local: &Local<E>) -> bool {
        let bytes = local.wire.bytes(slice);
        let common = bytes.len().min(PREFACE.len());
        let listener = local.current.listener(self.listener);
        let is_spoken = listener.is_none_or(|listener| listener.speaks_http2);
        let is_plain = self.link.secure.is_none();
        is_spoken && is_plain && self.requests == 0 && bytes[..common] == PREFACE[..common]
    }

    fn scheme(&self) -> Scheme {
        if self.link.secure.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// Rewrites the head that begins in `slice` to a buffer that has this room for it. None if
    /// there is no buffer: the connection ends.
    fn translate_head<E: Engine>(
        &mut self,
        slice: Slice,
        room: Room,
        local: &mut Local<E>,
    ) -> Option<(BufferId, Verdict<RequestOutcome>)> {
        let Some(output) = local.wire.engine.acquire(room) else {
            let draft = draft_of(slice, local);
            local.wire.engine.release(slice.buffer);
            self.cut_out_of_buffers(draft, local);
            return None;
        };
        let side = RequestSide {
            snapshot: local.current.snapshot(),
            listener: local.current.listener(self.listener),
            client: self.address.ip(),
            scheme: self.scheme(),
            client_certificate: &[],
            nonce: Default::default(),
        };
        let (from, to) = local.wire.engine.bytes_pair(slice.buffer, output);
        let input = &from[slice.start as usize..slice.end as usize];
        let mut storage = FieldStorage::new();
        let verdict =
            RequestHead::parse(input, &mut storage, side.snapshot.settings.rules(side.scheme));
        let client = self.link.secure.as_mut().and_then(|secure| secure.client.as_mut());
        let verdict = verdict.map(|head| request(head, to, &side, client));
        Some((output, verdict))
    }

    /// All bytes so far of a part that is judged as a whole; none if it is as incomplete as before,
    /// or the connection ends.
    #[inline]
    pub fn gather<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) -> Option<Slice> {
        if self.partial.is_none() { Some(slice) } else { self.gather_behind(slice, local) }
    }

    fn gather_behind<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) -> Option<Slice> {
        match local.gather(&mut self.partial, slice) {
            Gathered::Due(Joined { whole, left: None }) => Some(whole),
            Gathered::Due(Joined { whole, left: Some(left) }) => self.keep_left(whole, left, local),
            Gathered::Incomplete => None,
            Gathered::OutOfBuffers => {
                let draft = self.draft_of_partial(local);
                self.cut_out_of_buffers(draft, local);
                None
            }
        }
    }

    /// Keeps what did not fit the buffer with all bytes before it.
    fn keep_left<E: Engine>(
        &mut self,
        whole: Slice,
        left: Slice,
        local: &mut Local<E>,
    ) -> Option<Slice> {
        let Some(left) = local.wire.copy_out(left) else {
            let draft = draft_of(whole, local);
            local.wire.engine.release(whole.buffer);
            self.cut_out_of_buffers(draft, local);
            return None;
        };
        self.keep_first(left, local);
        Some(whole)
    }

    /// Drops line ends before a request: a client that sends nothing else stays idle. None if
    /// nothing is left, or there were too many.
    fn skip_line_ends<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) -> Option<Slice> {
        let length = leading_line_ends(local.wire.bytes(slice)) as u32;
        if length == 0 {
            return Some(slice);
        }
        self.dropped_bytes += length;
        if self.dropped_bytes > LEADING_LINE_ENDS_BYTES_MAX {
            local.wire.engine.release(slice.buffer);
            self.refuse(Refusal::TooManyLineEnds, None, local);
            return None;
        }
        let rest = Slice { start: slice.start + length, ..slice };
        if rest.is_empty() {
            local.wire.engine.release(rest.buffer);
            return None;
        }
        Some(rest)
    }

    /// Keeps the beginning of a head until more of it arrives.
    fn set_head_aside<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        // CR alone may be half of a line end, which begins no request.
        let is_begun = local.wire.bytes(slice) != b"\r";
        let rules = local.current.settings().rules(self.scheme());
        self.partial = Some(Box::new(Partial::of_request(local.wire.bytes(slice), rules)));
        local.wire.engine.release(slice.buffer);
        if is_begun {
            self.await_rest_of_head(local);
        }
    }

    fn await_rest_of_head<E: Engine>(&mut self, local: &mut Local<E>) {
        if self.state == State::Http1(Step::AwaitingHead) {
            self.state = State::Http1(Step::ReadingHead);
            // The clock of a kept connection starts with the head; that of a new one has started.
            if self.requests > 0 {
                self.set_deadline(local.current.timeouts().request_head, local);
            }
        }
    }

    /// Answers a head that is refused, and closes.
    fn refuse<E: Engine>(
        &mut self,
        refusal: Refusal,
        draft: Option<Box<Draft>>,
        local: &mut Local<E>,
    ) {
        tracing::debug!(client = %self.address, refusal = refusal.text(), "request refused");
        let (status, reason, text) = (refusal.status(), reason_of(refusal), refusal.text());
        self.answer_and_close(Denial::refusal(status, reason, text, draft), local);
    }

    /// The rest of a head did not arrive in time.
    pub(in crate::client) fn head_expired<E: Engine>(&mut self, local: &mut Local<E>) {
        let draft = self.draft_of_partial(local);
        let text = "the rest of the head did not come in time";
        let reason = CloseReason::HeadTimeout;
        self.answer_and_close(Denial::refusal(408, reason, text, draft), local);
    }

    /// The access log's draft of the part that was set aside; none if there is none.
    fn draft_of_partial<E: Engine>(&self, local: &Local<E>) -> Option<Box<Draft>> {
        let part = self.partial.as_ref().filter(|_| local.reports.has_access_log());
        part.map(|part| Box::new(Draft::of_part(part.bytes())))
    }
}

/// The access log's draft of a head, or of a part of one; none without an access log.
fn draft_of<E: Engine>(head: Slice, local: &Local<E>) -> Option<Box<Draft>> {
    let has_access_log = local.reports.has_access_log();
    has_access_log.then(|| Box::new(Draft::of_part(local.wire.bytes(head))))
}

/// The bytes behind a head; the buffer is released if there are none.
fn rest_of<E: Engine>(
    slice: Slice,
    head_length: usize,
    local: &mut Local<E>,
) -> Result<Option<Slice>, OutOfBuffers> {
    let rest = Slice { start: slice.start + head_length as u32, ..slice };
    if rest.is_empty() {
        local.wire.engine.release(slice.buffer);
        return Ok(None);
    }
    local.wire.copy_out(rest).map(Some).ok_or(OutOfBuffers)
}
