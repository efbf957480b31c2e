//! One connection of HTTP/2, in either role: bytes in, events out; messages in, bytes out.
//!
//! Control frames and field blocks are appended to [`Connection::output`], which the caller sends.
//! DATA stays with the caller in both directions: an event names a range of the bytes that were
//! received, and [`Connection::next_data`] gives a frame's header to send before bytes that the
//! caller has queued.
//!
//! Does not: own buffers of DATA, know sockets, read a clock.

mod blocks;
mod control;
mod data;
mod ending;
mod growing;
mod reading;
mod sending;

use super::Event;
use super::block::Blocks;
use super::closed::{Closed, Past};
use super::error::{ErrorCode, Fault};
use super::frame::{self, StreamId};
use super::guard::{Flood, Guard, Verdict};
use super::hpack::Decoder;
use super::schedule::Schedule;
use super::settings::{Config, ExtendedConnect, PeerSettings, Role};
use super::stream::{Side, Streams};
use super::window::{DEFAULT_WINDOW, ReceiveWindow, SendWindow};
use crate::base::Instant;
use crate::limits::{HTTP2_OWED_BYTES_MAX, HTTP2_SETTINGS_MAX};
use ending::Drain;
use growing::Growth;
pub use reading::Received;
use reading::{Gathering, Reading};
pub use sending::{DataFrame, ShutWindow};

/// What a client sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One connection.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    config: Config,
    reading: Reading,
    /// A header block of which CONTINUATION follows.
    gathering: Option<Gathering>,
    /// Its fragments so far.
    block: Vec<u8>,
    /// The payload of a frame that came in pieces.
    gathered: Vec<u8>,
    output: Vec<u8>,
    /// Bytes of answers to control frames since `output` was empty.
    owed: usize,
    decoder: Decoder,
    blocks: Blocks,
    streams: Streams,
    closed: Closed,
    schedule: Schedule,
    guard: Guard,
    /// The settings of the peer.
    peer: PeerSettings,
    /// The size of the connection's receive window.
    window: u32,
    growth: Growth,
    receive_window: ReceiveWindow,
    send_window: SendWindow,
    /// The highest stream that the client has opened.
    highest: StreamId,
    settings_ack: SettingsAck,
    /// Answers to [`Connection::ping`] that are still to come.
    pongs_awaited: u32,
    drain: Drain,
    /// The highest of our streams that the peer processes, as its GOAWAY states.
    peer_last: StreamId,
    /// What is reported before more is read.
    pending: Pending,
}

/// Whether the peer has acknowledged our settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SettingsAck {
    Awaited,
    Received,
}

/// Events without bytes of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    None,
    /// A flood has begun to drain the connection.
    Draining(Flood),
    /// Streams above the peer's last one are reported, one by one.
    Refusing,
}

impl Connection {
    /// A new connection. What has to be sent first is in its output.
    pub fn new(role: Role, config: &Config) -> Self {
        let mut output = Vec::new();
        if role == Role::Client {
            output.extend_from_slice(PREFACE);
        }
        let mut config = *config;
        config.stream_window = config.stream_window.max(DEFAULT_WINDOW);
        config.connection_window = config.connection_window.max(DEFAULT_WINDOW);
        config.write(role, &mut output);
        let more = config.connection_window - DEFAULT_WINDOW;
        if more > 0 {
            frame::write_window_update(StreamId::CONNECTION, more, &mut output);
        }
        Self {
            role,
            reading: Reading::first(role),
            gathering: None,
            block: Vec::new(),
            gathered: Vec::new(),
            output,
            owed: 0,
            decoder: Decoder::new(),
            blocks: Blocks::new(),
            streams: Streams::default(),
            closed: Closed::default(),
            schedule: Schedule::default(),
            guard: Guard::default(),
            peer: PeerSettings::default(),
            window: config.connection_window,
            growth: Growth::new(config.stream_window),
            receive_window: ReceiveWindow::new(config.connection_window),
            send_window: SendWindow::new(DEFAULT_WINDOW),
            highest: StreamId::CONNECTION,
            settings_ack: SettingsAck::Awaited,
            pongs_awaited: 0,
            drain: Drain::None,
            peer_last: StreamId::MAX,
            pending: Pending::None,
            config,
        }
    }

    /// What has to be sent, before DATA that [`Connection::next_data`] gives later.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Removes bytes that were taken to be sent from the front of the output.
    pub fn advance_output(&mut self, bytes: usize) {
        self.output.drain(..bytes);
        if self.output.is_empty() {
            self.owed = 0;
        }
    }

    /// The number of streams that count.
    pub fn streams(&self) -> usize {
        self.streams.length()
    }

    /// Until when the peer has to acknowledge our settings, if it has not: [`HTTP2_SETTINGS_MAX`]
    /// after this, when the connection began.
    pub fn settings_due(&self, begun: Instant) -> Option<Instant> {
        (self.settings_ack == SettingsAck::Awaited).then(|| begun + HTTP2_SETTINGS_MAX)
    }

    /// Whether the peer, a server, accepts extended CONNECT.
    pub fn extended_connect(&self) -> ExtendedConnect {
        self.peer.extended_connect
    }

    /// Gives back memory that a connection without streams does not need, and what its window has
    /// grown by.
    pub fn shrink(&mut self) {
        self.forget_growth();
        if self.output.is_empty() {
            self.output = Vec::new();
        }
        for buffer in [&mut self.gathered, &mut self.block] {
            if buffer.is_empty() {
                *buffer = Vec::new();
            }
        }
        self.streams.shrink();
        self.blocks.shrink();
    }

    /// True if no frame can be for the stream, because it was never opened.
    fn is_idle(&self, stream: StreamId) -> bool {
        !stream.is_of_client() || stream > self.highest
    }

    /// How a stream that is not in the table was closed.
    fn past(&self, stream: StreamId) -> Past {
        match self.drain {
            Drain::Concluded { last } if self.role == Role::Server && stream > last => Past::Cut,
            _ => self.closed.past(stream),
        }
    }

    /// Writes an answer to a control frame. A peer that does not read its answers is at fault.
    fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Fault> {
        let before = self.output.len();
        write(&mut self.output);
        self.owed += self.output.len() - before;
        if self.owed > HTTP2_OWED_BYTES_MAX {
            let reason = "answers to control frames are not read";
            return Err(Fault::of(ErrorCode::ENHANCE_YOUR_CALM, reason));
        }
        Ok(())
    }

    /// Counts an occurrence of what may be a flood.
    fn charge(&mut self, kind: Flood, now: Instant) -> Result<(), Fault> {
        match self.guard.charge(kind, &self.config.floods, now) {
            Verdict::Fine => Ok(()),
            Verdict::Close => Err(Fault::excess(kind, kind.text())),
            Verdict::Drain => {
                if self.drain == Drain::None {
                    self.drain();
                    if self.pending == Pending::None {
                        self.pending = Pending::Draining(kind);
                    }
                }
                Ok(())
            }
        }
    }

    /// Gives back credit of the connection.
    fn credit(&mut self, bytes: u32) {
        let increment = self.receive_window.give_back(bytes, self.window);
        if let Some(increment) = increment {
            frame::write_window_update(StreamId::CONNECTION, increment, &mut self.output);
        }
    }

    /// Resets a stream for a fault of the peer. One in the table stays there until it is finished.
    fn reset_for(
        &mut self,
        stream: StreamId,
        fault: Fault,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        let event = match self.streams.stream_mut(stream) {
            Some(row) if row.is_open() => {
                row.set_reset(Side::Us);
                Event::Broken { stream, fault }
            }
            // The caller has been told the end of it.
            Some(_) => return self.answer_closed(stream, fault, now),
            None => {
                self.closed.cut(stream);
                Event::Rejected { stream, fault }
            }
        };
        self.answer(|out| frame::write_reset(stream, fault.code, out))?;
        self.charge(Flood::Reset, now)?;
        Ok(Some(event))
    }

    /// Answers a frame for a stream that its sender had closed.
    fn answer_closed(
        &mut self,
        stream: StreamId,
        fault: Fault,
        now: Instant,
    ) -> Result<Option<Event>, Fault> {
        self.answer(|out| frame::write_reset(stream, fault.code, out))?;
        self.charge(Flood::Reset, now)?;
        Ok(None)
    }

    /// Ends the connection for a fault of the peer.
    fn fail(&mut self, fault: Fault) -> Event {
        self.close(fault.code, fault.reason);
        Event::Closed { fault }
    }
}
