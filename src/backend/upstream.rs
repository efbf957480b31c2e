//! The backend's side of one exchange: its whole connection with HTTP/1, one stream of it with
//! HTTP/2. An exchange does not see which.

use super::http2::Http2;
use super::{BodyPart, Connection};
use crate::base::BackendSlot;
use crate::engine::{BufferId, Engine, Slice};
use crate::head::Refusal;
use crate::http1::{ChunkedDecoder, Verdict};
use crate::link::{Chain, Joined};
use crate::local::{Gathered, Local, Signal};
use crate::message::{Body, ResponseOutcome, ResponseSide};
use crate::table::Port;
use std::time::Duration;

/// See the module.
pub struct Upstream<'c> {
    connection: &'c mut Connection,
    /// Its place among streams; 0 for HTTP/1.
    place: u32,
}

impl Connection {
    /// The backend's side of the exchange at this place; 0 for HTTP/1.
    #[inline]
    pub fn upstream(&mut self, place: u32) -> Upstream<'_> {
        Upstream { connection: self, place }
    }
}

impl Upstream<'_> {
    /// HTTP/2, if this is a place among its streams.
    #[inline]
    fn http2(&self) -> Option<&Http2> {
        if self.place == 0 { None } else { self.connection.http2.as_deref() }
    }

    /// True if this is a place among streams.
    #[inline]
    pub fn is_stream(&self) -> bool {
        self.place > 0
    }

    /// The backend.
    #[inline(always)]
    pub fn slot(&self) -> BackendSlot {
        self.connection.slot
    }

    /// True if an exchange was carried before the present one, so that the backend may have ended
    /// the connection before it got the request.
    #[inline(always)]
    pub fn is_reused(&self) -> bool {
        match self.http2() {
            Some(http2) => http2.is_reused(self.place),
            None => self.connection.is_reused,
        }
    }

    /// Reserves the connection for one client: it is not kept for others. One with streams is from
    /// its beginning.
    pub fn reserve(&mut self) {
        if self.place == 0 {
            self.connection.reserve();
        }
    }

    /// True while the connection is being made.
    #[inline(always)]
    pub fn is_connecting(&self) -> bool {
        self.connection.is_connecting()
    }

    /// True if nothing of the request can have been sent.
    #[inline(always)]
    pub fn is_waiting(&self) -> bool {
        match self.http2() {
            Some(http2) => http2.is_waiting(self.place),
            None => self.connection.is_connecting(),
        }
    }

    /// True while its TLS handshake is not complete.
    pub fn is_securing(&self) -> bool {
        self.connection.is_securing()
    }

    // --- the request ---

    /// Queues a range for the backend.
    #[inline(always)]
    pub fn put<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        match &mut self.connection.http2 {
            Some(http2) if self.place > 0 => {
                http2.put(self.place, slice, &mut local.wire);
                local.wire.request_flush(&mut self.connection.link);
            }
            _ => self.connection.put(slice, local),
        }
    }

    /// The same for a range that may have to be sent again: its buffer is kept until it is
    /// unpinned.
    #[inline(always)]
    pub fn put_pinned<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        match &mut self.connection.http2 {
            Some(http2) if self.place > 0 => {
                http2.put_pinned(self.place, slice, &mut local.wire);
                local.wire.request_flush(&mut self.connection.link);
            }
            _ => self.connection.put_pinned(slice, local),
        }
    }

    /// Queues what another attempt did not send.
    pub fn adopt<E: Engine>(&mut self, unsent: Chain, local: &mut Local<E>) {
        match &mut self.connection.http2 {
            Some(http2) if self.place > 0 => {
                http2.adopt(self.place, unsent, &mut local.wire);
                local.wire.request_flush(&mut self.connection.link);
            }
            _ => self.connection.adopt(unsent, local),
        }
    }

    /// Takes back what was queued and not sent, for another attempt.
    pub fn take_unsent<E: Engine>(&mut self, local: &mut Local<E>) -> Chain {
        match &mut self.connection.http2 {
            Some(http2) if self.place > 0 => http2.take_unsent(self.place),
            _ => self.connection.take_unsent(local),
        }
    }

    /// Sends what has waited for the connection, and receives.
    #[inline(always)]
    pub fn begin<E: Engine>(&mut self, local: &mut Local<E>) {
        match self.place {
            0 => self.connection.begin(local),
            _ => local.wire.request_flush(&mut self.connection.link),
        }
    }

    /// The client sends nothing more through a tunnel: the backend gets that end behind what waits.
    pub fn end_request<E: Engine>(&mut self, local: &mut Local<E>) {
        match &mut self.connection.http2 {
            Some(http2) if self.place > 0 => {
                http2.end_request(self.place);
                local.wire.request_flush(&mut self.connection.link);
            }
            _ => local.wire.end_write(&mut self.connection.link),
        }
    }

    /// The kernel probes a connection of one tunnel alone when the backend is silent for so long.
    pub fn keep_alive<E: Engine>(&self, idle: Duration, local: &mut Local<E>) {
        if self.place == 0 {
            self.connection.keep_alive(idle, local);
        }
    }

    /// True if a send to the backend has failed: the receive shows an end without a failure then.
    pub fn is_broken(&self) -> bool {
        self.place == 0 && self.connection.link.is_broken()
    }

    /// True if the backend is known not to accept tunnels on streams.
    pub fn refuses_tunnels(&self) -> bool {
        self.http2().is_some_and(|http2| http2.refuses_tunnels())
    }

    /// The client's Upgrade is not forwarded: the backend accepts none.
    pub fn forget_upgrade<E: Engine>(&mut self, local: &mut Local<E>) {
        if let Some(http2) = &mut self.connection.http2 {
            http2.forget_upgrade(self.place);
            local.wire.request_flush(&mut self.connection.link);
        }
    }

    /// What is received from here on, through a tunnel.
    pub fn tunnel_body(&self) -> Body {
        match self.place {
            0 => Body::UntilClose,
            // It has ended the stream with its head.
            place if self.connection.has_whole_response(place) => Body::ENDED,
            // The end of a stream is not that of its connection: its content comes in chunks.
            _ => Body::Chunked(ChunkedDecoder::stripping()),
        }
    }

    /// True if so much waits for the backend that its source should be paused.
    #[inline(always)]
    pub fn is_congested<E: Engine>(&self, local: &Local<E>) -> bool {
        match self.http2() {
            Some(http2) => http2.is_congested(self.place, local.wire.engine.buffers_low()),
            None => self.connection.is_congested(local),
        }
    }

    /// True if its source may be resumed.
    #[inline(always)]
    pub fn has_room<E: Engine>(&self, local: &Local<E>) -> bool {
        match self.http2() {
            Some(http2) => http2.has_room(self.place, local.wire.engine.buffers_low()),
            None => self.connection.has_room(local),
        }
    }

    /// True if everything that was queued has been sent.
    #[inline(always)]
    pub fn is_flushed(&self) -> bool {
        match self.http2() {
            Some(http2) => http2.is_flushed(self.place),
            None => self.connection.is_flushed(),
        }
    }

    /// True while a send is in flight, the progress of which is unknown.
    #[inline(always)]
    pub fn is_sending(&self) -> bool {
        self.place == 0 && self.connection.is_sending()
    }

    // --- the response ---

    /// Joins the part of a head, a size line or a trailer section from earlier reads and a range.
    #[inline(always)]
    pub fn gather<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) -> Gathered {
        match self.place {
            0 => self.connection.gather(slice, local),
            // What comes from a stream is in whole lines.
            _ => Gathered::Due(Joined { whole: slice, left: None }),
        }
    }

    /// Reads the head that begins in a range, and writes the one for the client to `output`. The
    /// range of an incomplete one is set aside.
    #[inline(always)]
    pub fn read_head<E: Engine>(
        &mut self,
        slice: Slice,
        output: BufferId,
        side: &ResponseSide<'_>,
        local: &mut Local<E>,
    ) -> Verdict<ResponseOutcome> {
        self.connection.read_head(slice, output, side, local)
    }

    /// The same for the head that frames have brought.
    pub fn judge_section<E: Engine>(
        &mut self,
        output: BufferId,
        side: &ResponseSide<'_>,
        local: &mut Local<E>,
    ) -> Verdict<ResponseOutcome> {
        self.connection.judge_section(self.place, output, side, local)
    }

    /// Reads a range of a body, or of what follows it. The beginning of a size line or a trailer
    /// section is set aside.
    #[inline(always)]
    pub fn read_body<E: Engine>(
        &mut self,
        body: &mut Body,
        slice: Slice,
        local: &mut Local<E>,
    ) -> Result<BodyPart, Refusal> {
        self.connection.read_body(body, slice, local)
    }

    /// The head of the response allows another use of the connection, idle for so long at most; or
    /// it allows none.
    #[inline(always)]
    pub fn reusable(&mut self, idle_max: Option<Duration>) {
        self.connection.is_reusable = idle_max.is_some();
        self.connection.idle_max = idle_max.unwrap_or(self.connection.idle_max);
    }

    /// Bytes came that belong to no message.
    pub fn distrust(&mut self) {
        self.connection.is_reusable = false;
    }

    /// Keeps bytes behind the head of a response that opens a tunnel.
    pub fn keep_for_tunnel<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        local.wire.push_back(&mut self.connection.inbox, slice);
    }

    /// True if nothing can be received for want of a buffer.
    pub fn is_starved(&self) -> bool {
        self.connection.is_starved()
    }

    /// True if what waits for the backend cannot be sent for want of a buffer.
    pub fn is_postponed(&self) -> bool {
        self.connection.is_postponed()
    }

    /// Receives as data arrives, once it is connected.
    #[inline(always)]
    pub fn take_more<E: Engine>(&mut self, local: &mut Local<E>) {
        match &mut self.connection.http2 {
            Some(http2) if self.place > 0 => {
                if http2.resume(self.place) {
                    let port = Port { connection: self.connection.id(), stream: self.place };
                    local.work.push(Signal::Deliver(port));
                } else {
                    self.connection.give_credit(self.place, local);
                }
            }
            _ => self.connection.take_more(local),
        }
    }

    /// Receives no more for now.
    #[inline(always)]
    pub fn pause<E: Engine>(&mut self, local: &mut Local<E>) {
        match &mut self.connection.http2 {
            Some(http2) if self.place > 0 => http2.pause(self.place),
            _ => self.connection.pause(local),
        }
    }
}
