//! The load of HTTP/2: few connections by prior knowledge, each with so many streams at a time, and
//! one request after the other on each place for a stream (a closed loop).
//!
//! It reads as much of HTTP/2 as a load generator must: the status at the start of a header block,
//! the length of bodies, and where streams end. Its windows are as large as they may be: they are
//! never what limits.

use super::channel::Channel;
use super::{EVENTS_PER_WAIT, LONGEST_WAIT, Load, MAX_ERRORS, Plan, STALL, Tally};
use crate::sys::epoll::{Epoll, Interest, Ready};
use crate::sys::signal;
use anyhow::{Context, Result, anyhow, bail};
use std::io;
use std::time::{Duration, Instant};

/// Requests on one connection at a time.
pub const STREAMS: usize = 32;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER: usize = 9;
const READ_BUFFER: usize = 64 * 1024;
const WINDOW_MAX: u32 = (1 << 31) - 1;
/// The window of a connection as it begins.
const WINDOW_FIRST: u32 = 65_535;
/// The window of the connection is filled up when so much of it was used.
const WINDOW_STEP: u32 = 1 << 30;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const SETTING_INITIAL_WINDOW_SIZE: u16 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Asked {
    stream: u32,
    at: Instant,
    status: u16,
    body: usize,
}

/// One connection.
#[derive(Debug)]
struct Connection {
    channel: Channel,
    is_connected: bool,
    asked: Vec<Asked>,
    next_stream: u32,
    /// The part of a frame that has come.
    incoming: Vec<u8>,
    out: Vec<u8>,
    used_window: u32,
}

/// The running load. Dropping it closes every connection.
pub struct Streams {
    plan: Plan,
    /// The header block of a request.
    block: Vec<u8>,
    epoll: Epoll,
    ready: Ready,
    buffer: Vec<u8>,
    connections: Vec<Option<Connection>>,
    served: Vec<bool>,
    tally: Tally,
}

impl Streams {
    /// Opens the connections, each with its first requests.
    pub fn start(plan: Plan) -> Result<Streams> {
        let mut load = Streams {
            block: header_block(&plan),
            epoll: Epoll::new().context("cannot make an epoll set")?,
            ready: Ready::with_capacity(EVENTS_PER_WAIT),
            buffer: vec![0; READ_BUFFER],
            connections: (0..plan.connections).map(|_| None).collect(),
            served: vec![false; plan.connections],
            tally: Tally::new(),
            plan,
        };
        for index in 0..load.plan.connections {
            load.open(index);
        }
        Ok(load)
    }

    fn open(&mut self, index: usize) {
        // Closed first, so that never more than the planned number is open.
        self.connections[index] = None;
        let opened = Connection::open(&self.plan, &self.block, &self.epoll, index as u64);
        match opened {
            Ok(connection) => self.connections[index] = Some(connection),
            Err(error) => self.tally.count_error(&error),
        }
    }

    fn turn(&mut self, longest: Duration) -> Result<()> {
        signal::check_interrupt()?;
        let mut ready = std::mem::replace(&mut self.ready, Ready::with_capacity(0));
        self.epoll.wait(&mut ready, longest).context("epoll wait")?;
        for number in ready.numbers() {
            if let Err(error) = self.advance(number as usize) {
                self.tally.count_error(&error);
                self.open(number as usize);
            }
        }
        self.ready = ready;
        Ok(())
    }

    fn advance(&mut self, index: usize) -> Result<()> {
        let Some(connection) = &mut self.connections[index] else { return Ok(()) };
        if !connection.is_connected {
            return connection.begin(&self.epoll, index as u64);
        }
        let length = match connection.channel.receive(&mut self.buffer) {
            Ok(0) => bail!("a connection with requests was closed by the proxy"),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("read"),
        };
        connection.incoming.extend_from_slice(&self.buffer[..length]);
        let answers = self.tally.answers;
        connection.read_frames(&self.plan, &self.block, &mut self.tally)?;
        self.served[index] |= self.tally.answers > answers;
        connection.flush()
    }
}

impl Connection {
    fn open(plan: &Plan, block: &[u8], epoll: &Epoll, number: u64) -> Result<Connection> {
        let channel = Channel::connect(plan.target, None)?;
        let mut out = PREFACE.to_vec();
        let mut setting = SETTING_INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
        setting.extend_from_slice(&WINDOW_MAX.to_be_bytes());
        frame(SETTINGS, 0, 0, &setting, &mut out);
        frame(WINDOW_UPDATE, 0, 0, &(WINDOW_MAX - WINDOW_FIRST).to_be_bytes(), &mut out);
        let mut connection = Connection {
            channel,
            is_connected: false,
            asked: Vec::with_capacity(STREAMS),
            next_stream: 1,
            incoming: Vec::new(),
            out,
            used_window: 0,
        };
        for _ in 0..STREAMS {
            connection.ask(block);
        }
        connection.is_connected = connection.channel.send(&connection.out).context("send")?;
        let interest = match connection.is_connected {
            true => Interest::Readable,
            false => Interest::Writable,
        };
        epoll.add(connection.channel.as_fd(), interest, number).context("epoll add")?;
        if connection.is_connected {
            connection.out.clear();
        }
        Ok(connection)
    }

    fn begin(&mut self, epoll: &Epoll, number: u64) -> Result<()> {
        self.is_connected = self.channel.send(&self.out).context("send")?;
        if self.is_connected {
            self.out.clear();
            epoll.modify(self.channel.as_fd(), Interest::Readable, number)?;
        }
        Ok(())
    }

    fn ask(&mut self, block: &[u8]) {
        let stream = self.next_stream;
        self.next_stream += 2;
        frame(HEADERS, END_HEADERS | END_STREAM, stream, block, &mut self.out);
        self.asked.push(Asked { stream, at: Instant::now(), status: 0, body: 0 });
    }

    fn flush(&mut self) -> Result<()> {
        if !self.out.is_empty() && !self.channel.send(&self.out).context("send")? {
            bail!("no room for requests in the socket buffer");
        }
        self.out.clear();
        Ok(())
    }

    fn read_frames(&mut self, plan: &Plan, block: &[u8], tally: &mut Tally) -> Result<()> {
        let incoming = std::mem::take(&mut self.incoming);
        let mut rest = incoming.as_slice();
        while let Some((header, behind)) = rest.split_first_chunk::<FRAME_HEADER>() {
            let [high, middle, low, kind, flags, a, b, c, d] = *header;
            let length = u32::from_be_bytes([0, high, middle, low]) as usize;
            let Some((payload, next)) = behind.split_at_checked(length) else { break };
            let stream = u32::from_be_bytes([a, b, c, d]);
            self.take_frame(kind, flags, stream, payload, plan, tally)?;
            rest = next;
        }
        self.incoming = rest.to_vec();
        while self.asked.len() < STREAMS {
            self.ask(block);
        }
        Ok(())
    }

    fn take_frame(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
        plan: &Plan,
        tally: &mut Tally,
    ) -> Result<()> {
        match kind {
            SETTINGS if flags & ACK == 0 => frame(SETTINGS, ACK, 0, &[], &mut self.out),
            PING if flags & ACK == 0 => frame(PING, ACK, 0, payload, &mut self.out),
            GOAWAY => bail!("the proxy ends a connection with requests: GOAWAY"),
            RST_STREAM => {
                self.asked.retain(|one| one.stream != stream);
                tally.count_error(&anyhow!("a stream was reset"));
            }
            CONTINUATION => bail!("a header block of an answer in two frames"),
            HEADERS | DATA => {
                let Some(at) = self.asked.iter().position(|one| one.stream == stream) else {
                    bail!("a frame of a stream that nobody opened");
                };
                let asked = &mut self.asked[at];
                if kind == HEADERS {
                    asked.status = status(payload);
                } else {
                    asked.body += payload.len();
                    self.used_window += payload.len() as u32;
                }
                if flags & END_STREAM != 0 {
                    let asked = self.asked.swap_remove(at);
                    if asked.status == 200 && asked.body != plan.body_len {
                        bail!("a body of {} bytes", asked.body);
                    }
                    tally.count_answer(asked.status, asked.at.elapsed());
                }
            }
            _ => {}
        }
        if self.used_window >= WINDOW_STEP {
            frame(WINDOW_UPDATE, 0, 0, &self.used_window.to_be_bytes(), &mut self.out);
            self.used_window = 0;
        }
        Ok(())
    }
}

/// The fields of a request; all but the path and the host are in the static table (RFC 7541,
/// appendix A).
fn header_block(plan: &Plan) -> Vec<u8> {
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(4, format!("/bytes/{}", plan.body_len)), (1, format!("{}", plan.target))]
    {
        // A literal that is not added to the table, of fewer than 127 bytes.
        block.push(name);
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    }
    block
}

/// The status of an answer if it is 200, which is in the static table; else 0.
fn status(block: &[u8]) -> u16 {
    // Changes of the table's size go first.
    let first = block.iter().find(|byte| **byte & 0xe0 != 0x20);
    if first == Some(&0x88) { 200 } else { 0 }
}

impl Load for Streams {
    fn run_until_served(&mut self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while self.tally.socket_errors < MAX_ERRORS
            && self.served.contains(&false)
            && Instant::now() < end
        {
            self.turn(LONGEST_WAIT)?;
        }
        Ok(())
    }

    fn run_for(&mut self, duration: Duration) -> Result<Tally> {
        let end = Instant::now() + duration;
        while self.tally.socket_errors < MAX_ERRORS {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.turn(left.min(LONGEST_WAIT))?;
        }
        let asked = self.connections.iter().flatten().flat_map(|one| &one.asked);
        self.tally.stalled = asked.filter(|one| one.at.elapsed() > STALL).count() as u64;
        Ok(std::mem::replace(&mut self.tally, Tally::new()))
    }

    fn run_until_resting(&mut self, _limit: Duration) -> Result<Tally> {
        bail!("streams do not rest")
    }

    fn count_resting(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_header_before_its_payload() {
        let mut out = Vec::new();
        frame(PING, ACK, 0, b"12345678", &mut out);
        assert_eq!(out, b"\0\0\x08\x06\x01\0\0\0\x0012345678");
    }

    #[test]
    fn only_200_is_known_of_statuses() {
        assert_eq!(status(&[0x88, 0x5f]), 200);
        assert_eq!(status(&[0x20, 0x3f, 0x88]), 200, "behind changes of the table's size");
        assert_eq!(status(&[0x8d]), 0);
    }
}
