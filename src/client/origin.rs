//! The client's side of one exchange: its whole connection with HTTP/1, one stream of it with
//! HTTP/2. An exchange does not see which.

use super::{BodyFault, BodyPart, Client, State};
use crate::base::{Instant, ListenerId};
use crate::engine::{Close, Engine, Slice};
use crate::http1::ConnectionField;
use crate::local::{How, Local, Signal};
use crate::message::{Body, Content};
use crate::stats::CloseReason;
use crate::table::{ClientId, ExchangeId, Port};
use std::net::SocketAddr;
use std::time::Duration;

/// See the module.
pub struct Origin<'c> {
    client: &'c mut Client,
    stream: u32,
}

impl Client {
    /// The client's side of the exchange on this stream; 0 for HTTP/1.
    #[inline]
    pub fn origin(&mut self, stream: u32) -> Origin<'_> {
        Origin { client: self, stream }
    }
}

impl Origin<'_> {
    /// Its place.
    pub fn port(&self) -> Port<ClientId> {
        Port { connection: self.client.id(), stream: self.stream }
    }

    /// The client's address.
    pub fn address(&self) -> SocketAddr {
        self.client.address
    }

    /// The listener that accepted the connection.
    pub fn listener(&self) -> ListenerId {
        self.client.listener
    }

    /// The address that the client connected to.
    pub fn destination<E: Engine>(&self, local: &Local<E>) -> SocketAddr {
        self.client.destination(local)
    }

    // --- time ---

    /// The exchange may last this long from now on without progress.
    #[inline]
    pub fn set_deadline<E: Engine>(&mut self, span: Duration, local: &mut Local<E>) {
        match self.client.state {
            State::Http2 => self.client.set_stream_deadline(self.stream, span, local),
            _ => self.client.set_deadline(span, local),
        }
    }

    /// True if the client has taken nothing of what waits for it since this was last asked. A slow
    /// client is not a dead one.
    pub fn is_stuck<E: Engine>(&mut self, local: &mut Local<E>) -> bool {
        match self.client.http2 {
            Some(_) => self.client.is_stream_stuck(self.stream, local),
            None => self.client.is_stuck(local),
        }
    }

    /// True if the client's own deadline is over.
    pub fn is_late(&self, now: Instant) -> bool {
        self.stream > 0 && self.client.is_call_late(self.stream, now)
    }

    // --- the request ---

    /// Begins an exchange: what is received from now on is its body, or follows it.
    pub fn begin_exchange(&mut self, id: ExchangeId, keep_alive: bool) {
        match &mut self.client.http2 {
            Some(http2) => http2.begin_exchange(self.stream, id),
            None => self.client.begin_exchange(id, keep_alive),
        }
    }

    /// Keeps bytes before all others that wait.
    pub fn keep_first<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        self.client.keep_first(slice, local);
    }

    /// Keeps bytes for later, behind those that wait already.
    pub fn keep_for_later<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        match &mut self.client.http2 {
            Some(http2) => http2.keep_for_later(self.stream, slice, local),
            None => self.client.keep_for_later(slice, local),
        }
    }

    /// All bytes so far of a part that is judged as a whole; none if it is as incomplete as before,
    /// or the connection ends.
    pub fn gather<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) -> Option<Slice> {
        match self.client.http2 {
            Some(_) => Some(slice),
            None => self.client.gather(slice, local),
        }
    }

    /// Reads a range of the request's body.
    ///
    /// # Errors
    /// It cannot be forwarded; its buffer is released.
    pub fn read_body<E: Engine>(
        &mut self,
        body: &mut Body,
        slice: Slice,
        local: &mut Local<E>,
    ) -> Result<BodyPart, BodyFault> {
        self.client.read_body(body, slice, local)
    }

    /// Has more of the request's body given to the exchange.
    pub fn serve<E: Engine>(&self, local: &mut Local<E>) {
        local.work.push(Signal::Serve(self.port()));
    }

    /// What is received from here on, through a tunnel.
    pub fn tunnel_body(&self) -> Body {
        match &self.client.http2 {
            Some(http2) => http2.tunnel_body(self.stream),
            None => Body::UntilClose,
        }
    }

    /// Receives no more of the request's body for now.
    pub fn pause<E: Engine>(&mut self, local: &mut Local<E>) {
        match &mut self.client.http2 {
            Some(http2) => http2.pause(self.stream),
            None => self.client.pause(local),
        }
    }

    /// True if bytes of the client wait here.
    pub fn has_waiting(&self) -> bool {
        !self.client.inbox.is_empty()
    }

    /// True if nothing can be received for want of a buffer.
    pub fn is_starved(&self) -> bool {
        self.client.is_starved()
    }

    // --- the response ---

    /// Queues the head of a response as HTTP/1 has it, and what of its body lies behind it.
    pub fn put<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        match self.client.http2 {
            Some(_) => self.client.put_on_stream(self.stream, slice, local),
            None => self.client.put(slice, local),
        }
    }

    /// Queues content of a response. False if no buffer was left.
    pub fn put_body<E: Engine>(&mut self, body: Slice, local: &mut Local<E>) -> bool {
        match self.client.http2 {
            Some(_) => self.client.put_body_on_stream(self.stream, body, local),
            None => self.client.put_body(body, local),
        }
    }

    /// Keeps trailers for the end of a response whose content has no framing here.
    pub fn put_trailers(&mut self, trailers: Box<[u8]>) {
        if let Some(http2) = &mut self.client.http2 {
            http2.keep_trailers(self.stream, trailers);
        }
    }

    /// Queues a complete local answer; returns the length of its body, or none if no buffer is
    /// left.
    pub fn put_answer<E: Engine>(
        &mut self,
        status: u16,
        connection: ConnectionField,
        is_head: bool,
        local: &mut Local<E>,
    ) -> Option<u64> {
        match self.client.http2 {
            Some(_) => {
                self.client.put_answer_on_stream(self.stream, status, &Content::Refusal, local)
            }
            None => self.client.put_answer(status, connection, is_head, local),
        }
    }

    /// True if so much waits for the client that its source should be paused.
    pub fn is_congested<E: Engine>(&self, local: &Local<E>) -> bool {
        match &self.client.http2 {
            Some(http2) => http2.is_congested(self.stream, local.wire.engine.buffers_low()),
            None => self.client.is_congested(local),
        }
    }

    /// True if the source of what is sent to the client may be resumed.
    pub fn has_room<E: Engine>(&self, local: &Local<E>) -> bool {
        match &self.client.http2 {
            Some(http2) => http2.has_room(self.stream, local.wire.engine.buffers_low()),
            None => self.client.has_room(local),
        }
    }

    /// True if everything that was queued has been sent.
    pub fn is_flushed(&self) -> bool {
        match &self.client.http2 {
            Some(http2) => http2.is_flushed(self.stream),
            None => self.client.is_flushed(),
        }
    }

    // --- the end ---

    /// True if the client can be told that its request was not processed.
    pub fn may_be_refused(&self) -> bool {
        self.stream > 0
    }

    /// True if nothing on the client's side forbids keeping its connection after the exchange.
    pub fn may_keep_alive<E: Engine>(&self, local: &Local<E>) -> bool {
        self.client.http2.is_some() || self.client.may_keep_alive(local)
    }

    /// True if the connection is kept after the exchange.
    pub fn keeps_alive(&self) -> bool {
        self.client.keep_alive
    }

    /// Whether the connection is kept after the exchange.
    pub fn keep_alive(&mut self, keep_alive: bool) {
        if self.client.http2.is_none() {
            self.client.keep_alive = keep_alive;
        }
    }

    /// The exchange is over, and the connection is kept for the next request.
    pub fn next_request<E: Engine>(&mut self, local: &mut Local<E>) {
        match self.client.http2 {
            Some(_) => self.client.end_stream(self.stream, local),
            None => self.client.next_request(local),
        }
    }

    /// The exchange is over; see [`Client::finish`].
    pub fn finish<E: Engine>(&mut self, reason: CloseReason, local: &mut Local<E>) {
        match self.client.http2 {
            Some(_) => self.client.end_stream(self.stream, local),
            None => self.client.finish(reason, local),
        }
    }

    /// The exchange is over; see [`Client::linger`].
    pub fn linger<E: Engine>(&mut self, reason: CloseReason, local: &mut Local<E>) {
        match self.client.http2 {
            Some(_) => self.client.end_stream(self.stream, local),
            None => self.client.linger(reason, local),
        }
    }

    /// Nothing shows the client that its response is cut short, but a reset.
    pub fn show_cut(&mut self) {
        if self.client.http2.is_none() {
            self.client.close = Close::Reset;
        }
    }

    /// The exchange has ended in the middle.
    pub fn end<E: Engine>(&mut self, how: How, reason: CloseReason, local: &mut Local<E>) {
        match self.client.http2 {
            Some(_) => self.client.reset_stream(self.stream, how, reason, local),
            None => self.client.end(how, reason, local),
        }
    }
}
