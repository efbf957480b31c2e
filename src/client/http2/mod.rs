//! A client's connection while it speaks HTTP/2: requests on streams, each with an exchange of its
//! own, and one queue of what is sent.
//!
//! `reading` takes frames, `streams` is what an exchange does with its stream, `writing` fills the
//! connection's outbox, `grpc` is about calls of gRPC, `ending` drains and ends.
//!
//! Heads go to an exchange and come from it as HTTP/1 has them, and so does the framing of a
//! request's body.

mod ending;
mod grpc;
mod reading;
mod streams;
mod writing;

pub use reading::Arrived;

use super::{Client, State};
use crate::base::Instant;
use crate::engine::{Engine, Slice};
use crate::head::ResponseTo;
use crate::http2::{Config, Connection, Role, StreamId};
use crate::link::Chain;
use crate::local::Local;
use crate::stats::Counter;
use crate::streams::{Inbound, OUTPUT_HIGH};
use crate::table::ExchangeId;
use grpc::Call;

/// One stream with an exchange.
#[derive(Debug)]
struct Stream {
    id: StreamId,
    exchange: Option<ExchangeId>,
    asked: ResponseTo,
    /// What is known of it as a call of gRPC, if it is one.
    call: Option<Call>,
    /// Content of the response that waits for the windows.
    outbox: Chain,
    /// The request's body.
    inbound: Inbound,
    /// The trailer section, as HTTP/1 has it, that follows the content.
    trailers: Option<Box<[u8]>>,
    /// The time at which the exchange has lasted too long.
    deadline: Instant,
}

/// HTTP/2 of one client's connection.
#[derive(Debug)]
pub struct Http2 {
    connection: Connection,
    /// Bytes by which its receive window has grown, as the shard counts them.
    grown: u32,
    /// By id, which rises.
    streams: Vec<Stream>,
    /// Bytes in the outboxes of all streams.
    queued: u64,
    /// The earliest time at which a stream may be late.
    alarm: Instant,
    /// Streams that have sent content since their exchanges were last told.
    progressed: Vec<ExchangeId>,
    has_had_streams: bool,
    /// When the connection began.
    begun: Instant,
    /// When content was last sent, of whatever stream.
    sent_at: Instant,
    /// Bytes that the client had acknowledged when that was last looked at, the low bits, and
    /// since when they are these.
    acknowledged: (u32, Instant),
}

impl Http2 {
    fn new(config: &Config, now: Instant) -> Self {
        Self {
            begun: now,
            connection: Connection::new(Role::Server, config),
            grown: 0,
            streams: Vec::new(),
            queued: 0,
            alarm: Instant::default(),
            progressed: Vec::new(),
            has_had_streams: false,
            sent_at: Instant::default(),
            acknowledged: (0, Instant::default()),
        }
    }

    fn position(&self, id: StreamId) -> Option<usize> {
        self.streams.binary_search_by_key(&id, |stream| stream.id).ok()
    }

    fn stream(&self, id: u32) -> Option<&Stream> {
        self.position(StreamId(id)).map(|at| &self.streams[at])
    }

    fn stream_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.position(StreamId(id)).map(|at| &mut self.streams[at])
    }

    /// The exchange of a stream.
    fn exchange(&self, stream: u32) -> Option<ExchangeId> {
        self.stream(stream).and_then(|stream| stream.exchange)
    }

    fn exchanges(&self) -> impl Iterator<Item = ExchangeId> {
        self.streams.iter().filter_map(|stream| stream.exchange)
    }

    /// True if the client reads too little of what is sent to it.
    fn is_output_long(&self) -> bool {
        self.connection.output().len() > OUTPUT_HIGH
    }

    /// True if there is something to send.
    fn has_output(&self) -> bool {
        !self.connection.output().is_empty() || !self.streams.is_empty()
    }
}

impl Client {
    /// True if each request is a stream of its own.
    pub fn speaks_http2(&self) -> bool {
        self.http2.is_some()
    }

    /// The exchange of a stream.
    pub fn exchange_of(&self, stream: u32) -> Option<ExchangeId> {
        self.http2.as_ref().and_then(|http2| http2.exchange(stream))
    }

    /// The exchanges of all streams.
    pub fn exchanges_of_streams(&self) -> Vec<ExchangeId> {
        self.http2.iter().flat_map(|http2| http2.exchanges()).collect()
    }

    /// An exchange whose stream has sent content since this was last asked.
    pub fn next_progressed(&mut self) -> Option<ExchangeId> {
        let http2 = self.http2.as_mut()?;
        while let Some(one) = http2.progressed.pop() {
            if http2.exchanges().any(|exchange| exchange == one) {
                return Some(one);
            }
        }
        None
    }

    /// The next part of a request's body that waits; the backend takes more of it.
    pub fn next_part<E: Engine>(&mut self, stream: u32, local: &mut Local<E>) -> Option<Slice> {
        self.http2.as_mut().and_then(|http2| http2.resume(stream, local))
    }

    /// Gives credit back for what the backend has taken, unless it is slow.
    pub fn give_credit<E: Engine>(&mut self, stream: u32, local: &mut Local<E>) {
        if let Some(http2) = &mut self.http2 {
            http2.give_credit(stream);
            local.wire.request_flush(&mut self.link);
        }
    }

    /// Counts what the window of the connection has grown by.
    fn count_growth<E: Engine>(&mut self, local: &mut Local<E>) {
        if let Some(http2) = &mut self.http2 {
            let grown = http2.connection.grown_by();
            local.windows.change(std::mem::replace(&mut http2.grown, grown), grown);
        }
    }

    /// The connection has no protocol any more.
    fn take_http2<E: Engine>(&mut self, local: &mut Local<E>) -> Option<Box<Http2>> {
        let http2 = self.http2.take()?;
        local.windows.change(http2.grown, 0);
        Some(http2)
    }

    /// Begins HTTP/2: our settings go first.
    pub(super) fn begin_http2<E: Engine>(&mut self, local: &mut Local<E>) {
        local.count(Counter::Http2Connections);
        let begun = Http2::new(&local.current.settings().http2, local.now());
        self.http2 = Some(begun.into());
        self.state = State::Http2;
        local.wire.request_flush(&mut self.link);
    }
}
