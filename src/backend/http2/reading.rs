//! Reading frames: heads and parts of bodies for exchanges, and the ends of streams.

use super::super::Connection;
use super::{Http2, Ping, Stage};
use crate::engine::{BufferId, Engine, Slice};
use crate::head::{Peer, ResponseHead, TrailerRules};
use crate::http1::Verdict;
use crate::http2::{ErrorCode, Event, ExtendedConnect, FieldRoom, Section, StreamId};
use crate::local::{Local, Signal};
use crate::message::{self, Body, ResponseOutcome, ResponseSide};
use crate::streams::{Framing, Part, content_of, next_event};
use crate::table::{ExchangeId, Port};

/// What has come, for an exchange.
#[derive(Debug)]
pub enum Came {
    /// The head of its response.
    Head(ExchangeId),
    /// A part of its response's body, at this place.
    Body(ExchangeId, u32, Slice),
    /// Its stream is over: the backend has not processed the request.
    Refused(ExchangeId),
    /// Its stream is over before its response is complete.
    Reset(ExchangeId, ErrorCode),
    /// Its response is malformed, for this reason.
    Malformed(ExchangeId, &'static str),
    /// No buffer is left for its response.
    OutOfBuffers(ExchangeId),
    /// The connection has no place for its request, which was not sent.
    Displaced(ExchangeId),
    /// The backend does not accept the tunnel that its request is for, which was not sent.
    NoTunnel(ExchangeId),
    /// The connection is over, for this fault of the backend.
    Fault(&'static str),
}

impl Connection {
    /// Reads frames from the start of a range on, up to what is for an exchange. None if all are
    /// read: the range is the caller's to release.
    pub fn read_frames<E: Engine>(
        &mut self,
        slice: &mut Slice,
        local: &mut Local<E>,
    ) -> Option<Came> {
        let mut section = std::mem::take(&mut local.section);
        let came = loop {
            let Some(http2) = &mut self.http2 else { break None };
            (http2.heard_at, http2.ping) = (local.now(), Ping::None);
            let next = next_event(&mut http2.connection, slice, &mut section, &local.wire);
            let Some((event, read)) = next else { break None };
            if let Some(came) = self.on_event(event, &section, read, local) {
                break Some(came);
            }
        };
        local.section = section;
        local.wire.request_flush(&mut self.link);
        came
    }

    fn on_event<E: Engine>(
        &mut self,
        event: Event,
        section: &Section,
        read: Slice,
        local: &mut Local<E>,
    ) -> Option<Came> {
        let http2 = self.http2.as_mut()?;
        match event {
            Event::Response { stream, is_last } => {
                let at = http2.position_of(stream)?;
                let row = &mut http2.rows[at];
                row.has_ended |= is_last;
                row.exchange.map(Came::Head)
            }
            Event::Data { stream, range, is_last } => {
                self.on_data(stream, content_of(read, &range), is_last, local)
            }
            Event::Trailers { stream } => self.on_trailers(stream, section, local),
            Event::Reset { stream, code, is_complete } => {
                let at = http2.position_of(stream)?;
                let row = &http2.rows[at];
                match row.exchange {
                    // What is still to be said to the backend is dropped.
                    Some(_) if is_complete => None,
                    Some(exchange) if code == ErrorCode::REFUSED_STREAM => {
                        Some(Came::Refused(exchange))
                    }
                    Some(exchange) => Some(Came::Reset(exchange, code)),
                    None => http2.remove(at, &mut local.wire),
                }
            }
            Event::Refused { stream, refusal, .. } => {
                http2.on_malformed(stream, refusal.text(), local)
            }
            Event::Broken { stream, fault } => http2.on_malformed(stream, fault.reason, local),
            Event::GoAway { code } => {
                tracing::debug!(address = %self.address, code = code.name(), "GOAWAY");
                http2.is_retired = true;
                None
            }
            Event::Closed { fault } => {
                let (code, text) = (fault.code.name(), fault.reason);
                tracing::debug!(address = %self.address, code, text, "HTTP/2 of a backend");
                http2.is_retired = true;
                Some(Came::Fault(text))
            }
            Event::Request { .. }
            | Event::Rejected { .. }
            | Event::Pong
            | Event::Draining { .. } => None,
        }
    }

    fn on_data<E: Engine>(
        &mut self,
        stream: StreamId,
        content: Slice,
        is_last: bool,
        local: &mut Local<E>,
    ) -> Option<Came> {
        let http2 = self.http2.as_mut()?;
        let bytes = content.end - content.start;
        let Some(at) = http2.position_of(stream) else {
            http2.connection.release(stream, bytes);
            return None;
        };
        let row = &mut http2.rows[at];
        row.has_ended |= is_last;
        if row.exchange.is_none() {
            http2.connection.release(stream, bytes);
            return if is_last { http2.remove(at, &mut local.wire) } else { None };
        }
        let is_kept = row.inbound.keep(content, is_last, &mut local.wire);
        self.give_body(at, is_kept, local)
    }

    fn on_trailers<E: Engine>(
        &mut self,
        stream: StreamId,
        section: &Section,
        local: &mut Local<E>,
    ) -> Option<Came> {
        let http2 = self.http2.as_mut()?;
        let at = http2.position_of(stream)?;
        let row = &mut http2.rows[at];
        row.has_ended = true;
        let Some(exchange) = row.exchange else { return http2.remove(at, &mut local.wire) };
        if row.inbound.framing == Framing::Plain {
            // The client has no place for them.
            return None;
        }
        let rules = TrailerRules { from: Peer::Backend, named_by_connection: None };
        match row.inbound.keep_trailers(section, &rules, &mut local.wire) {
            Ok(is_kept) => self.give_body(at, is_kept, local),
            Err(refusal) => Some(Came::Malformed(exchange, refusal.text())),
        }
    }

    /// Gives the first part of a body that waits to its exchange, if its client keeps up.
    fn give_body<E: Engine>(
        &mut self,
        at: usize,
        is_kept: bool,
        local: &mut Local<E>,
    ) -> Option<Came> {
        let connection = self.id();
        let row = &mut self.http2.as_mut()?.rows[at];
        let exchange = row.exchange?;
        if !is_kept {
            return Some(Came::OutOfBuffers(exchange));
        }
        let Part { slice, has_more } = row.inbound.next(&mut local.wire)?;
        if has_more {
            local.work.push(Signal::Deliver(Port { connection, stream: row.place }));
        }
        Some(Came::Body(exchange, row.place, slice))
    }

    /// The next part of a response's body that waits, with its exchange.
    pub fn next_part<E: Engine>(
        &mut self,
        place: u32,
        local: &mut Local<E>,
    ) -> Option<(ExchangeId, Slice)> {
        let row = self.http2.as_mut()?.row_mut(place)?;
        let exchange = row.exchange?;
        row.inbound.next(&mut local.wire).map(|part| (exchange, part.slice))
    }

    /// Gives credit back for what the client has taken, unless it is slow.
    pub fn give_credit<E: Engine>(&mut self, place: u32, local: &mut Local<E>) {
        let Some(http2) = &mut self.http2 else { return };
        let Some(row) = http2.row_mut(place) else { return };
        let Stage::Open(stream) = row.stage else { return };
        let credit = row.inbound.take_credit();
        if credit == 0 {
            return;
        }
        http2.connection.release(stream, credit);
        local.wire.request_flush(&mut self.link);
    }

    /// A request that has no place on the connection any more, or none yet: the backend takes fewer
    /// streams than were leased, or no new ones.
    pub fn next_displaced(&self) -> Option<Came> {
        let http2 = self.http2.as_ref()?;
        let has_none = http2.is_retired || !http2.connection.takes_streams();
        let capacity = if has_none { 0 } else { http2.connection.capacity() as usize };
        let is_displaced = |(at, row): &(usize, &super::Row)| {
            row.stage == Stage::Waiting && (has_none || *at >= capacity)
        };
        let mut rows = http2.rows.iter().enumerate();
        let (_, row) = rows.find(is_displaced)?;
        row.exchange.map(Came::Displaced)
    }

    /// A request for a tunnel that waits, and that the backend is known not to accept.
    pub fn next_untunnelled(&self) -> Option<Came> {
        let http2 = self.http2.as_ref()?;
        if !http2.refuses_tunnels() {
            return None;
        }
        let is_refused = |row: &&super::Row| {
            row.stage == Stage::Waiting && row.wants.forward_upgrade && row.exchange.is_some()
        };
        http2.rows.iter().find(is_refused).and_then(|row| row.exchange).map(Came::NoTunnel)
    }

    /// Judges the head that was read last, and writes the one for the client to `output`.
    pub(in crate::backend) fn judge_section<E: Engine>(
        &mut self,
        place: u32,
        output: BufferId,
        side: &ResponseSide<'_>,
        local: &mut Local<E>,
    ) -> Verdict<ResponseOutcome> {
        let mut room = FieldRoom::new();
        let head = match ResponseHead::of_section(&local.section, &mut room) {
            Ok(head) => head,
            Err(refusal) => return Verdict::Refused(refusal),
        };
        let snapshot = local.current.snapshot();
        let to = local.wire.engine.bytes_mut(output);
        let outcome = message::response(&head, to, snapshot, side);
        let is_chunked = match &outcome {
            ResponseOutcome::Final(response) => matches!(response.body, Body::Chunked(_)),
            ResponseOutcome::Switch { .. } => true,
            ResponseOutcome::Interim { .. } | ResponseOutcome::Unexpected(_) => false,
        };
        if is_chunked && let Some(row) = self.http2.as_mut().and_then(|http2| http2.row_mut(place))
        {
            row.inbound.framing = Framing::Chunked;
        }
        Verdict::Complete(outcome)
    }
}

impl Http2 {
    fn on_malformed<E: Engine>(
        &mut self,
        stream: StreamId,
        reason: &'static str,
        local: &mut Local<E>,
    ) -> Option<Came> {
        let at = self.position_of(stream)?;
        match self.rows[at].exchange {
            Some(exchange) => Some(Came::Malformed(exchange, reason)),
            None => self.remove(at, &mut local.wire),
        }
    }

    /// True if the backend is known not to accept extended CONNECT.
    pub(in crate::backend) fn refuses_tunnels(&self) -> bool {
        self.connection.extended_connect() == ExtendedConnect::Refused
    }

    /// No more of the response's body is given to the exchange for now.
    pub(in crate::backend) fn pause(&mut self, place: u32) {
        if let Some(row) = self.row_mut(place) {
            row.inbound.pause();
        }
    }

    /// The client takes more of the response's body. True if a part of it waits.
    pub(in crate::backend) fn resume(&mut self, place: u32) -> bool {
        self.row_mut(place).is_some_and(|row| row.inbound.resume())
    }
}
