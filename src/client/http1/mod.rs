//! A client's connection while it speaks HTTP/1: one request after the other, as long as the
//! answers are read.

mod answering;
mod body;
mod head;

pub use body::{BodyFault, BodyPart};

use super::{Client, State};
use crate::engine::{BufferId, Engine, Slice};
use crate::head::Refusal;
use crate::local::{How, Local, Signal};
use crate::message::Request;
use crate::stats::CloseReason;
use crate::table::{ClientId, ExchangeId, Port};

/// Buffers of pipelined requests that a client may have here.
const PIPELINED_BUFFERS_MAX: u32 = 2;

/// The progress of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// No byte of the next request has been received.
    AwaitingHead,
    /// Part of a head has been received.
    ReadingHead,
    /// A request is with a backend, or waits for one.
    Exchanging(ExchangeId),
}

/// A request whose head is complete.
pub struct Arrival {
    /// Its place.
    pub origin: Port<ClientId>,
    /// The request.
    pub request: Request,
    /// Holds its head, as it goes to a backend.
    pub output: BufferId,
    /// The bytes behind its head: the body, or the next request.
    pub rest: Option<Slice>,
}

impl Client {
    /// Reads bytes of the client between two requests. Returns a request if its head is complete
    /// now.
    pub fn read<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) -> Option<Arrival> {
        if !self.inbox.is_empty() {
            self.keep_behind_others(slice, local);
            return None;
        }
        let arrival = self.read_head(slice, local);
        if arrival.is_none() {
            self.serve_what_waits(local);
        }
        arrival
    }

    /// Reads the next bytes that wait, if the client reads its answers. Returns a request if its
    /// head is complete.
    pub fn read_on<E: Engine>(&mut self, local: &mut Local<E>) -> Option<Arrival> {
        // Answers that the client does not read hold its next requests back.
        if self.is_congested(local) {
            return None;
        }
        let Some(slice) = local.wire.pop_front(&mut self.inbox) else {
            self.await_more(local);
            return None;
        };
        let arrival = self.read_head(slice, local);
        if arrival.is_none() {
            self.serve_what_waits(local);
        }
        arrival
    }

    /// Has the bytes that wait served, or receives more. Only between two requests.
    pub(super) fn serve_what_waits<E: Engine>(&mut self, local: &mut Local<E>) {
        match self.state {
            State::Http1(_) if !self.inbox.is_empty() => {
                local.work.push(Signal::Serve(Port::only(self.id())));
            }
            State::Http1(_) if !self.is_congested(local) => self.await_more(local),
            _ => {}
        }
    }

    /// All received bytes have been read.
    pub fn await_more<E: Engine>(&mut self, local: &mut Local<E>) {
        if self.link.has_ended() {
            local.work.push(Signal::End(self.id(), How::Cut, CloseReason::ClientClosed));
        } else {
            local.wire.receive(&mut self.link);
        }
    }

    /// Keeps bytes for later, behind those that wait already.
    pub fn keep_for_later<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        let Some(slice) = local.wire.copy_out(slice) else {
            return self.cut_out_of_buffers(None, local);
        };
        local.wire.push_back(&mut self.inbox, slice);
        if self.inbox.len() >= PIPELINED_BUFFERS_MAX {
            local.wire.pause(&mut self.link);
        }
    }

    /// Keeps bytes behind those that wait, and has these served.
    pub fn keep_behind_others<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        self.keep_for_later(slice, local);
        local.work.push(Signal::Serve(Port::only(self.id())));
    }

    /// Keeps bytes before all others that wait: they follow what has just been read.
    pub fn keep_first<E: Engine>(&mut self, slice: Slice, local: &mut Local<E>) {
        local.wire.push_front(&mut self.inbox, slice);
    }

    /// Begins an exchange: what is received from now on is its body, or follows it.
    pub fn begin_exchange(&mut self, id: ExchangeId, keep_alive: bool) {
        self.state = State::Http1(Step::Exchanging(id));
        self.keep_alive = keep_alive;
        self.partial = None;
    }

    /// Makes the connection ready for its next request. The caller has what waits served.
    fn await_next_request<E: Engine>(&mut self, local: &mut Local<E>) {
        self.state = State::Http1(Step::AwaitingHead);
        self.partial = None;
        self.dropped_bytes = 0;
        self.was_polled = false;
        self.requests += 1;
        if self.link.has_ended() && self.inbox.is_empty() {
            return self.linger(CloseReason::ClientClosed, local);
        }
        self.begin_idle(local);
    }

    /// An exchange is over, and the connection is kept for the next request.
    pub fn next_request<E: Engine>(&mut self, local: &mut Local<E>) {
        self.await_next_request(local);
        self.serve_what_waits(local);
    }

    /// True if nothing on the client's side forbids keeping its connection after the present
    /// exchange, the body of which has been received.
    pub fn may_keep_alive<E: Engine>(&self, local: &Local<E>) -> bool {
        self.keep_alive && !self.is_ending(local)
    }
}

/// The reason for the end of a connection whose request is refused.
pub fn reason_of(refusal: Refusal) -> CloseReason {
    match refusal.status() {
        400 => CloseReason::MalformedRequest,
        _ => CloseReason::RequestRefused,
    }
}
