//! One connection of the load generator: a small state machine over a non-blocking socket.

use super::channel::Channel;
use super::response::{Progress, ResponseReader};
use crate::sys::epoll::{Epoll, Interest};
use anyhow::{Context, Result, bail};
use rustls::ClientConfig;
use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Instant;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The end of the connect, to send the request.
    Connecting,
    /// The answer.
    Waiting,
    /// The proxy's close, after an answer to `Connection: close`.
    AwaitingEnd,
    /// Nothing: it is kept open.
    Resting,
}

/// What an event on a connection led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet.
    Pending,
    /// An answer with this status is complete.
    Answered(u16),
    /// The proxy closed, as it was asked to.
    Ended,
}

/// One connection, and when its request began.
#[derive(Debug)]
pub struct Connection {
    channel: Channel,
    stage: Stage,
    reader: ResponseReader,
    /// When the request was sent, or the connect begun if there was one.
    pub started: Instant,
}

impl Connection {
    /// Connects, and sends the request at once if the kernel is done with the connect.
    pub fn open(
        epoll: &Epoll,
        number: u64,
        target: SocketAddrV4,
        tls: Option<&Arc<ClientConfig>>,
        first_request: &[u8],
    ) -> Result<Connection> {
        let started = Instant::now();
        let mut connection = Connection {
            channel: Channel::connect(target, tls)?,
            stage: Stage::Connecting,
            reader: ResponseReader::default(),
            started,
        };
        // On loopback the handshake is over when `connect` returns: one wait saved.
        let interest =
            if connection.send(first_request)? { Interest::Readable } else { Interest::Writable };
        epoll.add(connection.channel.as_fd(), interest, number).context("epoll add")?;
        Ok(connection)
    }

    /// What the connection waits for.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Handles one readiness event. After an error the connection is of no further use.
    pub fn advance(
        &mut self,
        epoll: &Epoll,
        number: u64,
        first_request: &[u8],
        buffer: &mut [u8],
    ) -> Result<Step> {
        if self.stage == Stage::Connecting {
            if self.send(first_request)? {
                epoll.modify(self.channel.as_fd(), Interest::Readable, number)?;
            }
            return Ok(Step::Pending);
        }
        let len = match self.channel.receive(buffer) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Pending),
            Err(error) => return Err(error).context("read"),
        };
        match (self.stage, len) {
            (Stage::Waiting, 0) => bail!("closed by the proxy before the answer was complete"),
            (Stage::AwaitingEnd, 0) => Ok(Step::Ended),
            (Stage::Resting, 0) => bail!("idle connection closed by the proxy"),
            (Stage::Waiting, len) => self.read_answer(&buffer[..len]),
            _ => bail!("bytes without a request"),
        }
    }

    /// Sends the next request on the same connection.
    pub fn send_again(&mut self, request: &[u8]) -> Result<()> {
        self.started = Instant::now();
        if !self.send(request)? {
            bail!("no room for a request in an empty socket buffer");
        }
        Ok(())
    }

    /// From now on waits for the close of the proxy.
    pub fn await_end(&mut self) {
        self.stage = Stage::AwaitingEnd;
    }

    /// From now on only stays open.
    pub fn rest(&mut self) {
        self.stage = Stage::Resting;
    }

    fn read_answer(&mut self, bytes: &[u8]) -> Result<Step> {
        match self.reader.advance(bytes) {
            Ok(Progress::Incomplete) => Ok(Step::Pending),
            Ok(Progress::Complete(status)) => Ok(Step::Answered(status)),
            Err(malformed) => bail!("{malformed}"),
        }
    }

    /// Whether the handshake of TLS took up an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.channel.is_resumed()
    }

    /// Whether the request is sent; `false` while the connect goes on.
    fn send(&mut self, request: &[u8]) -> Result<bool> {
        let is_sent = self.channel.send(request).context("send")?;
        if is_sent {
            self.stage = Stage::Waiting;
        }
        Ok(is_sent)
    }
}
