//! A connection to a backend while it speaks HTTP/2: exchanges on streams, and one queue of what is
//! sent.
//!
//! `leasing` gives streams to exchanges, `sending` opens them and fills the connection's outbox,
//! `reading` takes frames, `ending` ends streams and the connection, `watching` is its time.
//!
//! A stream has a place here before it has a number at the backend: while the connection is being
//! made, requests wait at their places, and none of them has been sent. Heads and bodies of
//! requests come from exchanges as HTTP/1 has them; the framing of a response's body goes to them
//! like that.

mod ending;
mod leasing;
mod reading;
mod sending;
mod watching;

pub use leasing::{Lease, NewStreams, Wants};
pub use reading::Came;
pub use watching::Alarm;

use crate::base::Instant;
use crate::engine::{Engine, Key};
use crate::http2::{Config, Connection, Role, StreamId};
use crate::link::{Chain, Wire};
use crate::message::Body;
use crate::streams::Inbound;
use crate::table::ExchangeId;

/// The stage of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its request waits: nothing of it was sent.
    Waiting,
    /// Its request is on this stream.
    Open(StreamId),
}

/// The place of one exchange.
#[derive(Debug)]
struct Row {
    /// Its number on the connection, which rises and is never 0.
    place: u32,
    /// None: its exchange is over, and only the end of the stream is awaited.
    exchange: Option<ExchangeId>,
    stage: Stage,
    wants: Wants,
    /// The connection carried an exchange before.
    is_reused: bool,
    /// What is still to come of the request's body. Not before it is sent.
    request: Body,
    /// The request that waits, its head first; once it is open, content that waits for the windows.
    outbox: Chain,
    /// The request's trailer section, as HTTP/1 has it, that follows the content.
    trailers: Option<Box<[u8]>>,
    /// The response's body.
    inbound: Inbound,
    /// The backend has ended the stream.
    has_ended: bool,
    /// Until when its end is awaited, if its exchange is over.
    until: Instant,
}

/// Whether the backend is asked if it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    /// It was not, since it last sent something.
    None,
    /// It was, at this time.
    Asked(Instant),
}

/// HTTP/2 of one connection to a backend.
#[derive(Debug)]
pub struct Http2 {
    connection: Connection,
    /// By place.
    rows: Vec<Row>,
    /// Places so far.
    places: u32,
    /// Bytes of content in the outboxes of open streams.
    queued: u64,
    /// Exchanges whose streams have sent something since they were last told.
    progressed: Vec<ExchangeId>,
    /// A stream was opened since the outbox was last filled.
    has_opened: bool,
    /// No stream is leased any more; it closes with its last one.
    is_retired: bool,
    /// The client that it is for alone.
    client: Option<Key>,
    /// Idle connections to its backend that this shard may keep, and whether another shard may
    /// claim them.
    idle: (u32, bool),
    /// The scheme of the requests on it.
    scheme: &'static str,
    /// When it was begun.
    begun: Instant,
    /// When the backend last sent something.
    heard_at: Instant,
    ping: Ping,
    /// When its time is looked at next.
    alarm: Instant,
}

impl Http2 {
    /// A connection that is being made, for at most so many streams at a time.
    pub(super) fn new(streams_max: u32, scheme: &'static str, now: Instant) -> Self {
        let usual = Config::default();
        // A slow client holds the window of its own stream, and never that of the others.
        let connection_window = usual.stream_window.saturating_mul(streams_max);
        let config = Config {
            streams_max,
            connection_window: connection_window.clamp(usual.connection_window, i32::MAX as u32),
            ..usual
        };
        Self {
            connection: Connection::new(Role::Client, &config),
            rows: Vec::new(),
            places: 0,
            queued: 0,
            progressed: Vec::new(),
            has_opened: false,
            is_retired: false,
            client: None,
            idle: (0, false),
            scheme,
            begun: now,
            heard_at: now,
            ping: Ping::None,
            alarm: now,
        }
    }

    fn position(&self, place: u32) -> Option<usize> {
        self.rows.binary_search_by_key(&place, |row| row.place).ok()
    }

    fn row(&self, place: u32) -> Option<&Row> {
        self.position(place).map(|at| &self.rows[at])
    }

    fn row_mut(&mut self, place: u32) -> Option<&mut Row> {
        self.position(place).map(|at| &mut self.rows[at])
    }

    /// The row of a stream. Places and streams rise in the same order, but places that wait are
    /// among them.
    fn position_of(&self, stream: StreamId) -> Option<usize> {
        self.rows.iter().position(|row| row.stage == Stage::Open(stream))
    }

    /// True without a place that is taken.
    pub(super) fn is_idle(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its places, and the exchanges at them.
    pub(super) fn exchanges(&self) -> Vec<(u32, ExchangeId)> {
        let carried = self.rows.iter().filter_map(|row| Some((row.place, row.exchange?)));
        carried.collect()
    }

    /// The exchange at a place.
    fn exchange(&self, place: u32) -> Option<ExchangeId> {
        self.row(place).and_then(|row| row.exchange)
    }
}

impl Row {
    fn drop_chains<E: Engine>(&mut self, wire: &mut Wire<E>) {
        wire.drop_chain(&mut self.outbox);
        self.inbound.end(wire);
    }
}
