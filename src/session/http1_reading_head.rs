//! Reading a request's head. A head that arrives in one read is parsed in place; one that arrives
//! in pieces is gathered on the heap, so that a slow client holds no receive buffer.

use super::draft::Draft;
use super::recording::Denial;
use super::translating::{self, RequestOutcome, RequestSide};
use super::{Session, State, Traffic};
use crate::engine::{BufferId, Engine, Room, Slice};
use crate::http1::{Refusal, leading_line_ends};
use crate::limits::LEADING_LINE_ENDS_BYTES_MAX;
use crate::stats::CloseReason;
use crate::table::ClientId;

/// Bytes that a head usually grows by at most when it is rewritten.
const HEAD_GROWTH: usize = 384;

/// No buffer is left for received bytes; they are lost, and with them the session.
struct OutOfBuffers;

impl<E: Engine> Traffic<E> {
    /// Serves the bytes that wait: the rest of a body, and pipelined requests one after the other,
    /// as long as their recipients keep up.
    pub(super) fn serve_inbox(&mut self, index: ClientId) {
        while self.takes_more(index) {
            let session = self.sessions.at(index);
            let Some(slice) = self.wire.pop_front(&mut session.inbox) else {
                return self.await_more(index);
            };
            match self.sessions.at(index).state {
                State::Exchanging(id) => self.request_bytes(index, id, slice),
                _ => self.read_head(index, slice),
            }
        }
    }

    /// True if the session needs the next bytes of the client now.
    fn takes_more(&mut self, index: ClientId) -> bool {
        let session = self.sessions.at(index);
        match session.state {
            // Answers that the client does not read hold its next requests back.
            State::AwaitingHead | State::ReadingHead => !self.wire.is_congested(&session.link),
            State::Exchanging(id) => self.takes_body(id),
            _ => false,
        }
    }

    /// All received bytes have been served.
    fn await_more(&mut self, index: ClientId) {
        let session = self.sessions.at(index);
        match session.link.peer_ended {
            false => self.wire.receive(&mut session.link),
            true => self.cut_session(index, CloseReason::ClientClosed),
        }
    }

    /// Processes bytes in which a request begins or continues.
    pub(super) fn read_head(&mut self, index: ClientId, slice: Slice) {
        let Some(slice) = self.gather_from_client(index, slice) else { return };
        let Some(slice) = self.skip_line_ends(index, slice) else { return };
        let room = Room::of(slice.len() + HEAD_GROWTH);
        let Some((mut output, mut outcome)) = self.translate_head(index, slice, room) else {
            return;
        };
        if matches!(outcome, RequestOutcome::NoRoom(_)) && room == Room::Small {
            self.wire.engine.release(output);
            let Some(again) = self.translate_head(index, slice, Room::Whole) else { return };
            (output, outcome) = again;
        }
        match outcome {
            RequestOutcome::Forward(request) => {
                self.count_request(index, request.target.route);
                let Ok(rest) = self.rest_of(slice, request.head_length) else {
                    self.wire.engine.release(output);
                    return self.cut_out_of_buffers(index, request.draft);
                };
                self.begin_exchange(index, request, output, rest);
            }
            RequestOutcome::Incomplete => {
                let is_begun = self.wire.bytes(slice) != b"\r";
                self.wire.engine.release(output);
                self.wire.set_aside(&mut self.sessions.at(index).partial, slice);
                // CR alone may be half of a line end, which begins no request.
                if is_begun {
                    self.await_rest_of_head(index);
                }
            }
            RequestOutcome::Refused(refusal, draft) => {
                self.wire.engine.release(output);
                self.wire.engine.release(slice.buffer);
                self.refuse(index, refusal, draft);
            }
            RequestOutcome::NoRoom(local) | RequestOutcome::Local(local) => {
                self.wire.engine.release(output);
                match self.rest_of(slice, local.head_length) {
                    Ok(None) => {}
                    Ok(Some(rest)) => {
                        self.wire.push_front(&mut self.sessions.at(index).inbox, rest);
                    }
                    Err(OutOfBuffers) => return self.cut_denied(index, local.denial),
                }
                self.answer_request(index, local);
            }
        }
    }

    /// Rewrites the head that begins in `slice` to a buffer that has this room for it. None if
    /// there is no buffer: the session ends.
    fn translate_head(
        &mut self,
        index: ClientId,
        slice: Slice,
        room: Room,
    ) -> Option<(BufferId, RequestOutcome)> {
        let Some(output) = self.wire.engine.acquire(room) else {
            let draft = self.draft_of(slice);
            self.wire.engine.release(slice.buffer);
            self.cut_out_of_buffers(index, draft);
            return None;
        };
        let session = self.sessions.at(index);
        let side = RequestSide {
            snapshot: &self.snapshot,
            listener: self.listeners.get(session.listener.index()).and_then(Option::as_deref),
            client: session.client.ip(),
        };
        let (from, to) = self.wire.engine.bytes_pair(slice.buffer, output);
        let input = &from[slice.start as usize..slice.end as usize];
        Some((output, translating::request(input, to, &side)))
    }

    /// All bytes so far of a part that is parsed when complete; none if the session ends.
    pub(super) fn gather_from_client(&mut self, index: ClientId, slice: Slice) -> Option<Slice> {
        let session = self.sessions.at(index);
        let Some(gathered) = self.wire.gather(&mut session.partial, slice) else {
            let draft = self.draft_of_partial(index);
            self.cut_out_of_buffers(index, draft);
            return None;
        };
        if let Some(left) = gathered.left {
            let Some(left) = self.wire.copy_out(left) else {
                let draft = self.draft_of(gathered.whole);
                self.wire.engine.release(gathered.whole.buffer);
                self.cut_out_of_buffers(index, draft);
                return None;
            };
            self.wire.push_front(&mut session.inbox, left);
        }
        Some(gathered.whole)
    }

    /// Drops line ends before a request: a client that sends nothing else stays idle. None if
    /// nothing is left, or there were too many.
    fn skip_line_ends(&mut self, index: ClientId, slice: Slice) -> Option<Slice> {
        let length = leading_line_ends(self.wire.bytes(slice)) as u32;
        if length == 0 {
            return Some(slice);
        }
        let session = self.sessions.at(index);
        session.dropped_bytes += length;
        if session.dropped_bytes > LEADING_LINE_ENDS_BYTES_MAX {
            self.wire.engine.release(slice.buffer);
            self.refuse(index, Refusal::TooManyLineEnds, None);
            return None;
        }
        let rest = Slice { start: slice.start + length, ..slice };
        if rest.is_empty() {
            self.wire.engine.release(rest.buffer);
            return None;
        }
        Some(rest)
    }

    /// The bytes behind a head; the buffer is released if there are none.
    fn rest_of(&mut self, slice: Slice, head_length: usize) -> Result<Option<Slice>, OutOfBuffers> {
        let rest = Slice { start: slice.start + head_length as u32, ..slice };
        if rest.is_empty() {
            self.wire.engine.release(slice.buffer);
            return Ok(None);
        }
        self.wire.copy_out(rest).map(Some).ok_or(OutOfBuffers)
    }

    fn await_rest_of_head(&mut self, index: ClientId) {
        let session = self.sessions.at(index);
        if session.state == State::AwaitingHead {
            session.state = State::ReadingHead;
            // The clock of a kept connection starts with the head; that of a new one has started.
            if session.requests > 0 {
                let span = self.snapshot.settings.timeouts.request_head;
                self.set_deadline(index, span);
            }
        }
    }

    /// Answers a head that is refused, and closes.
    fn refuse(&mut self, index: ClientId, refusal: Refusal, draft: Option<Box<Draft>>) {
        let client = self.sessions.at(index).client;
        tracing::debug!(%client, refusal = refusal.text(), "request refused");
        let (status, reason, text) = (refusal.status(), reason_of(refusal), refusal.text());
        self.answer_and_close(index, Denial { status, reason, text, draft });
    }

    /// The rest of a head did not arrive in time.
    pub(super) fn head_expired(&mut self, index: ClientId) {
        let draft = self.draft_of_partial(index);
        let text = "the rest of the head did not come in time";
        let reason = CloseReason::HeadTimeout;
        self.answer_and_close(index, Denial { status: 408, reason, text, draft });
    }
}

/// The reason for the end of a session whose request is refused.
pub(super) fn reason_of(refusal: Refusal) -> CloseReason {
    match refusal.status() {
        400 => CloseReason::MalformedRequest,
        _ => CloseReason::RequestRefused,
    }
}

impl Session {
    /// Returns to the start, for the next request.
    pub(super) fn await_head(&mut self) {
        self.state = State::AwaitingHead;
        self.partial = None;
        self.dropped_bytes = 0;
        self.was_polled = false;
    }
}
