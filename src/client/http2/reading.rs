//! Reading frames: requests begin exchanges, DATA is given to them, or waits here.

use super::super::Client;
use super::super::http1::{Arrival, reason_of};
use super::super::securing::request;
use super::Stream;
use super::grpc::Call;
use crate::engine::{BufferId, Engine, Room, Slice};
use crate::head::{BodyLength, Peer, Refusal, RequestHead, ResponseTo, Scheme, TrailerRules};
use crate::http2::{ErrorCode, Event, Fault, FieldRoom, Flood, Section, StreamId};
use crate::link::Chain;
use crate::local::{How, Local, Signal};
use crate::message::{Denial, RequestOutcome, RequestSide};
use crate::stats::{CloseReason, Counter};
use crate::streams::{Framing, Inbound, Part, content_of, next_event};
use crate::table::{ExchangeId, Port};

/// What has arrived, for others than the connection.
pub enum Arrived {
    /// A request.
    Request(Arrival),
    /// A part of a request's body.
    Body(ExchangeId, u32, Slice),
    /// The rest of a request is refused.
    Refused(ExchangeId, Refusal),
    /// The end of a stream, and with it of its exchange.
    Ended(ExchangeId, How, CloseReason),
}

impl Client {
    /// Reads frames from `at` of a range on, up to what is for somebody else. None if all are read:
    /// the range is the caller's to release.
    pub fn read_http2<E: Engine>(
        &mut self,
        slice: &mut Slice,
        local: &mut Local<E>,
    ) -> Option<Arrived> {
        if self.is_unsettled(local) {
            return None;
        }
        let mut section = std::mem::take(&mut local.section);
        if let Some(http2) = &mut self.http2 {
            let room = local.windows.room(local.wire.engine.buffers_low());
            http2.connection.allow_growth(room);
        }
        let arrived = loop {
            let Some(http2) = &mut self.http2 else { break None };
            let next = next_event(&mut http2.connection, slice, &mut section, &local.wire);
            let Some((event, read)) = next else { break None };
            if let Some(arrived) = self.on_event(event, &section, read, local) {
                break Some(arrived);
            }
        };
        local.section = section;
        self.count_growth(local);
        if self.http2.as_ref().is_some_and(|http2| http2.is_output_long()) {
            // Answers that the client does not read hold its next requests back.
            local.wire.pause(&mut self.link);
        }
        local.wire.request_flush(&mut self.link);
        arrived
    }

    fn on_event<E: Engine>(
        &mut self,
        event: Event,
        section: &Section,
        read: Slice,
        local: &mut Local<E>,
    ) -> Option<Arrived> {
        match event {
            Event::Request { stream, is_last } => self.on_request(stream, is_last, section, local),
            Event::Refused { stream, refusal, .. } => {
                // The trailers of a stream that is known, or a head.
                if let Some(known) = self.http2.as_ref()?.stream(stream.0) {
                    return known.exchange.map(|exchange| Arrived::Refused(exchange, refusal));
                }
                self.refuse_stream(stream, section, refusal, local);
                None
            }
            Event::Data { stream, range, is_last } => {
                self.on_data(stream, content_of(read, &range), is_last, local)
            }
            Event::Trailers { stream } => self.on_trailers(stream, section, local),
            Event::Reset { stream, .. } => {
                local.count(Counter::Http2StreamResets);
                self.on_reset(stream, CloseReason::ClientReset, local)
            }
            Event::Broken { stream, fault } => {
                tracing::debug!(client = %self.address, fault = fault.reason, "stream");
                self.on_reset(stream, CloseReason::MalformedRequest, local)
            }
            Event::Closed { fault } => {
                let (code, text) = (fault.code.name(), fault.reason);
                tracing::debug!(client = %self.address, code, text, "HTTP/2");
                let reason = reason_of_fault(&fault);
                local.work.push(Signal::End(self.id(), How::Cut, reason));
                None
            }
            Event::Draining { flood } => {
                tracing::debug!(client = %self.address, flood = flood.text(), "HTTP/2 is drained");
                local.count(Counter::Http2FloodDrains);
                None
            }
            Event::Rejected { .. }
            | Event::Response { .. }
            | Event::Pong
            | Event::GoAway { .. } => None,
        }
    }

    /// A stream is over before its time. One whose exchange has ended has only a tail to send.
    fn on_reset<E: Engine>(
        &mut self,
        stream: StreamId,
        reason: CloseReason,
        local: &mut Local<E>,
    ) -> Option<Arrived> {
        match self.exchange_of(stream.0) {
            Some(exchange) => Some(Arrived::Ended(exchange, How::Close, reason)),
            None => {
                self.finish_stream(stream.0, local);
                None
            }
        }
    }

    // --- requests ---

    fn on_request<E: Engine>(
        &mut self,
        stream: StreamId,
        is_last: bool,
        section: &Section,
        local: &mut Local<E>,
    ) -> Option<Arrived> {
        self.drain_if_ending(local);
        let (mut output, mut outcome) = self.translate(section, Room::Small, local)?;
        if matches!(outcome, Ok((_, RequestOutcome::NoRoom(_)))) {
            local.wire.engine.release(output);
            (output, outcome) = self.translate(section, Room::Whole, local)?;
        }
        let (asked, framing, outcome) = match outcome {
            Ok((kind, outcome)) => (kind.0, (kind.1, kind.2), outcome),
            Err(refusal) => {
                local.wire.engine.release(output);
                self.refuse_stream(stream, section, refusal, local);
                return None;
            }
        };
        self.add_stream(stream, asked, framing, local);
        match outcome {
            RequestOutcome::Forward(request) => {
                local.reports.count_request(self.listener, request.target.route);
                let origin = Port { connection: self.id(), stream: stream.0 };
                debug_assert!(!is_last || request.body.has_ended());
                Some(Arrived::Request(Arrival { origin, request, output, rest: None }))
            }
            RequestOutcome::Local(answer) | RequestOutcome::NoRoom(answer) => {
                local.wire.engine.release(output);
                self.answer_stream(stream, answer.denial, local);
                None
            }
        }
    }

    /// Writes the head for the backend to a buffer. None if there is none: the connection ends.
    #[allow(clippy::type_complexity)]
    fn translate<E: Engine>(
        &mut self,
        section: &Section,
        room: Room,
        local: &mut Local<E>,
    ) -> Option<(BufferId, Result<((ResponseTo, Framing, Option<Call>), RequestOutcome), Refusal>)>
    {
        let Some(output) = local.wire.engine.acquire(room) else {
            let end = Signal::End(self.id(), How::Abort, CloseReason::OutOfBuffers);
            local.work.push(end);
            return None;
        };
        let nonce = match section.opens_tunnel() {
            true => std::array::from_fn(|_| local.prng.below(256) as u8),
            false => Default::default(),
        };
        let side = RequestSide {
            snapshot: local.current.snapshot(),
            listener: local.current.listener(self.listener),
            client: self.address.ip(),
            scheme: if self.link.secure.is_some() { Scheme::Https } else { Scheme::Http },
            client_certificate: &[],
            nonce,
        };
        let mut room = FieldRoom::new();
        let rules = side.snapshot.settings.rules(side.scheme);
        let head = RequestHead::of_section(section, &mut room, rules);
        let now = local.wire.engine.now();
        let to = local.wire.engine.bytes_mut(output);
        let client = self.link.secure.as_mut().and_then(|secure| secure.client.as_mut());
        let outcome = head.map(|head| {
            let connect = head.method.is_connect() || head.upgrade.is_some();
            let asked = ResponseTo { head: head.method.is_head(), connect };
            let framing = match head.body {
                BodyLength::Chunked => Framing::Chunked,
                BodyLength::None if connect && !section.is_last() => Framing::Chunked,
                BodyLength::None | BodyLength::Sized(_) => Framing::Plain,
            };
            let call = Call::of(&head, now);
            ((asked, framing, call), request(&head, to, &side, client))
        });
        Some((output, outcome))
    }

    fn add_stream<E: Engine>(
        &mut self,
        id: StreamId,
        asked: ResponseTo,
        (framing, call): (Framing, Option<Call>),
        local: &Local<E>,
    ) {
        let Some(http2) = &mut self.http2 else { return };
        http2.has_had_streams = true;
        self.requests = self.requests.saturating_add(1);
        http2.streams.push(Stream {
            id,
            exchange: None,
            asked,
            call,
            outbox: Chain::default(),
            inbound: Inbound::new(framing),
            trailers: None,
            deadline: local.now() + local.current.timeouts().between_bytes,
        });
    }

    /// Answers a stream whose request is refused.
    fn refuse_stream<E: Engine>(
        &mut self,
        stream: StreamId,
        section: &Section,
        refusal: Refusal,
        local: &mut Local<E>,
    ) {
        let asked = ResponseTo { head: section.asks_head(), connect: false };
        tracing::debug!(client = %self.address, refusal = refusal.text(), "request refused");
        self.add_stream(stream, asked, (Framing::Plain, None), local);
        let (status, reason) = (refusal.status(), reason_of(refusal));
        let denial = Denial::refusal(status, reason, refusal.text(), None);
        self.answer_stream(stream, denial, local);
    }

    /// Answers a request locally, and ends its stream.
    fn answer_stream<E: Engine>(&mut self, stream: StreamId, denial: Denial, local: &mut Local<E>) {
        match self.put_answer_on_stream(stream.0, denial.status, &denial.content, local) {
            Some(bytes) => {
                self.record_denial(denial, Some(stream.0), bytes, local);
                self.end_stream(stream.0, local);
            }
            None => self.reset_stream(stream.0, How::Cut, CloseReason::OutOfBuffers, local),
        }
    }

    // --- bodies ---

    fn on_data<E: Engine>(
        &mut self,
        id: StreamId,
        content: Slice,
        is_last: bool,
        local: &mut Local<E>,
    ) -> Option<Arrived> {
        let http2 = self.http2.as_mut()?;
        let bytes = content.end - content.start;
        let known = http2.stream_mut(id.0).filter(|stream| stream.exchange.is_some());
        let Some(stream) = known else {
            // It is answered: nobody reads the rest of it.
            http2.connection.release(id, bytes);
            return None;
        };
        let is_kept = stream.inbound.keep(content, is_last, &mut local.wire);
        self.give_body(id, is_kept, local)
    }

    fn on_trailers<E: Engine>(
        &mut self,
        id: StreamId,
        section: &Section,
        local: &mut Local<E>,
    ) -> Option<Arrived> {
        let stream = self.http2.as_mut()?.stream_mut(id.0)?;
        if stream.inbound.framing == Framing::Plain {
            // HTTP/1 has no place for them behind a body of a known length.
            local.count(Counter::TrailersDropped);
            return None;
        }
        let from = Peer::Client(local.current.settings().rules(Scheme::Http).underscore_names);
        let rules = TrailerRules { from, named_by_connection: None };
        let kept = stream.inbound.keep_trailers(section, &rules, &mut local.wire);
        let is_kept = match kept {
            Ok(is_kept) => is_kept,
            Err(refusal) => {
                return stream.exchange.map(|exchange| Arrived::Refused(exchange, refusal));
            }
        };
        self.give_body(id, is_kept, local)
    }

    /// Gives the first part of a body that waits to its exchange, if its backend keeps up.
    fn give_body<E: Engine>(
        &mut self,
        id: StreamId,
        is_kept: bool,
        local: &mut Local<E>,
    ) -> Option<Arrived> {
        let port = Port { connection: self.id(), stream: id.0 };
        let stream = self.http2.as_mut()?.stream_mut(id.0)?;
        let exchange = stream.exchange?;
        if !is_kept {
            return Some(Arrived::Ended(exchange, How::Cut, CloseReason::OutOfBuffers));
        }
        let Part { slice, has_more } = stream.inbound.next(&mut local.wire)?;
        if has_more {
            local.work.push(Signal::Serve(port));
        }
        Some(Arrived::Body(exchange, id.0, slice))
    }
}

/// The reason for the end of a connection that broke the rules of HTTP/2.
fn reason_of_fault(fault: &Fault) -> CloseReason {
    match fault.flood {
        Some(Flood::Reset) => CloseReason::Http2ResetFlood,
        Some(Flood::Ping) => CloseReason::Http2PingFlood,
        Some(Flood::Settings) => CloseReason::Http2SettingsFlood,
        Some(Flood::WindowUpdate) => CloseReason::Http2WindowUpdateFlood,
        Some(Flood::Empty) => CloseReason::Http2EmptyFrameFlood,
        Some(Flood::Continuation) => CloseReason::Http2ContinuationFlood,
        Some(Flood::Ignored) => CloseReason::Http2IgnoredFrameFlood,
        Some(Flood::Oversized) => CloseReason::Http2OversizedHeadFlood,
        None if fault.code == ErrorCode::ENHANCE_YOUR_CALM => CloseReason::Http2UnreadAnswers,
        None => CloseReason::Http2Fault,
    }
}
