//! HTTP/2 from clients over real sockets: real clients, and one that sends whatever frames a case
//! needs.

mod attacks;
mod bodies;
mod clients;
mod downgrade;
mod draining;
mod heads;
mod rules;
mod windows;

use super::harness::*;
use super::load::Operated;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const NONE: u8 = 0;
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const WITH_PRIORITY: u8 = 0x20;
/// A head, or trailers, in one frame with the end of the stream.
pub const WHOLE: u8 = END_HEADERS | END_STREAM;

pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE_ERROR: u32 = 6;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const COMPRESSION_ERROR: u32 = 9;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a frame costs.
const HEADER_BYTES: usize = 9;

/// A frame as bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, l0, l1, l2] = (payload.len() as u32).to_be_bytes();
    [&[l0, l1, l2, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// A setting as bytes.
pub fn setting(number: u16, value: u32) -> Vec<u8> {
    [&number.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A length with a prefix of seven bits (RFC 7541 §5.1).
fn length(bytes: usize, out: &mut Vec<u8>) {
    if bytes < 127 {
        return out.push(bytes as u8);
    }
    out.push(127);
    let mut rest = bytes - 127;
    while rest >= 128 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A block of literals that are not indexed.
pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            length(text.len(), &mut out);
            out.extend_from_slice(text);
        }
    }
    out
}

/// A request's head with more fields.
pub fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [(":method", method), (":scheme", "http"), (":authority", "t"), (":path", path)];
    block(&[&own[..], more].concat())
}

/// A frame that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn is_last(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// The code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        self.payload.get(at..at + 4).map(|code| u32::from_be_bytes(code.try_into().expect("four")))
    }

    /// The first number: a last stream, or an increment.
    pub fn number(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().expect("a number")) & 0x7fff_ffff
    }

    /// The status in a response's head, which comes first in it.
    pub fn status(&self) -> u16 {
        assert_eq!(self.kind, HEADERS);
        let block = &self.payload;
        // Static entries 8 to 14, or a literal with the name of entry 8.
        const KNOWN: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        let first = block.iter().position(|byte| byte & 0xe0 != 0x20).expect("a field");
        let block = &block[first..];
        match block[0] {
            indexed @ 0x88..=0x8e => KNOWN[usize::from(indexed - 0x88)],
            0x08 | 0x18 | 0x48 => digits(block[1], &block[2..]),
            other => panic!("{other:#x} is no :status in {block:?}"),
        }
    }
}

/// The three digits of a status, plain or in Huffman's code.
fn digits(length: u8, bytes: &[u8]) -> u16 {
    let bytes = &bytes[..usize::from(length & 0x7f)];
    if length & 0x80 == 0 {
        return std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).expect("digits");
    }
    let mut bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let mut status = 0;
    for _ in 0..3 {
        let mut take =
            |count| (0..count).fold(0, |value, _| value << 1 | bits.next().expect("a bit"));
        // "0" to "2" have five bits, "3" to "9" six.
        let five: u8 = take(5);
        let digit = if five < 3 { five } else { (five << 1 | take(1)) - 0b011001 + 3 };
        status = status * 10 + u16::from(digit);
    }
    status
}

/// A client that sends what it is told.
pub struct Wire<S = TcpStream> {
    pub stream: S,
    received: Vec<u8>,
    at: usize,
}

impl Wire {
    /// A connection whose both sides have told their settings.
    pub fn open(address: SocketAddr) -> Self {
        Self::over(connect(address))
    }

    /// The same with settings of the client.
    pub fn open_with(address: SocketAddr, settings: &[u8]) -> Self {
        Self::greeting(connect(address), settings)
    }
}

impl<S: Read + Write> Wire<S> {
    pub fn over(stream: S) -> Self {
        Self::greeting(stream, b"")
    }

    fn greeting(stream: S, settings: &[u8]) -> Self {
        let mut wire = Self::silent(stream);
        // Without a table for heads that are indexed, each of them can be read alone.
        let settings = [&setting(1, 0), settings].concat();
        wire.send(&[PREFACE, &frame(SETTINGS, NONE, 0, &settings)].concat());
        let first = wire.next().expect("settings");
        assert_eq!((first.kind, first.flags), (SETTINGS, NONE));
        wire.send(&frame(SETTINGS, ACK, 0, b""));
        wire.await_frame("our settings are taken", |frame| {
            (frame.kind, frame.flags) == (SETTINGS, ACK)
        });
        wire
    }

    /// A connection on which nothing was said.
    pub fn silent(stream: S) -> Self {
        Self { stream, received: Vec::new(), at: 0 }
    }

    /// Sends bytes; the connection may have been closed.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok()
    }

    pub fn sends(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> &mut Self {
        self.send(&frame(kind, flags, stream, payload));
        self
    }

    /// The next frame; none once the connection has ended.
    pub fn next(&mut self) -> Option<Frame> {
        self.fill(HEADER_BYTES)?;
        let header = &self.received[self.at..self.at + HEADER_BYTES];
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let (kind, flags) = (header[3], header[4]);
        let stream = u32::from_be_bytes(header[5..9].try_into().expect("four")) & 0x7fff_ffff;
        self.fill(HEADER_BYTES + length)?;
        let start = self.at + HEADER_BYTES;
        let payload = self.received[start..start + length].to_vec();
        self.at = start + length;
        if self.at == self.received.len() {
            self.received.clear();
            self.at = 0;
        }
        Some(Frame { kind, flags, stream, payload })
    }

    /// Receives until there are so many bytes.
    fn fill(&mut self, bytes: usize) -> Option<()> {
        let mut part = [0; 16 * 1024];
        while self.received.len() - self.at < bytes {
            match self.stream.read(&mut part) {
                Ok(0) => return None,
                Ok(length) => self.received.extend_from_slice(&part[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("nothing came for {PATIENCE:?}")
                }
                Err(_) => return None,
            }
        }
        Some(())
    }

    /// Drops frames until one is as wanted.
    pub fn await_frame(&mut self, what: &str, mut is_it: impl FnMut(&Frame) -> bool) -> Frame {
        loop {
            match self.next() {
                Some(frame) if is_it(&frame) => return frame,
                Some(frame) if frame.kind == GOAWAY && frame.code() != Some(NO_ERROR) => {
                    panic!("{what}: {frame:?}")
                }
                Some(_) => {}
                None => panic!("{what}: the connection has ended"),
            }
        }
    }

    /// Opens a stream with a request without a body.
    pub fn get(&mut self, stream: u32, path: &str) -> &mut Self {
        self.sends(HEADERS, WHOLE, stream, &request("GET", path, &[]))
    }

    /// The status and content of a stream's response up to its end; what it takes is credited.
    pub fn response(&mut self, stream: u32) -> (u16, Vec<u8>) {
        let (mut status, mut content) = (0, Vec::new());
        loop {
            let frame = self.await_frame("a response", |frame| frame.stream == stream);
            match frame.kind {
                HEADERS if status < 200 => status = frame.status(),
                DATA => {
                    content.extend_from_slice(&frame.payload);
                    self.credit(stream, frame.payload.len());
                }
                RST_STREAM => panic!("reset: {:?} after {status}", frame.code()),
                _ => {}
            }
            if frame.is_last() {
                return (status, content);
            }
        }
    }

    /// Announces that so many bytes of a stream were taken; with stream 0 for the connection alone.
    pub fn credit(&mut self, stream: u32, bytes: usize) {
        if bytes > 0 {
            let increment = (bytes as u32).to_be_bytes();
            self.sends(WINDOW_UPDATE, NONE, 0, &increment);
            if stream > 0 {
                self.sends(WINDOW_UPDATE, NONE, stream, &increment);
            }
        }
    }

    /// Answers a PING.
    pub fn acknowledge(&mut self, ping: &Frame) {
        self.sends(PING, ACK, 0, &ping.payload);
    }

    /// True if the connection is answered.
    pub fn lives(&mut self) -> bool {
        if !self.send(&frame(PING, NONE, 0, b"are you?")) {
            return false;
        }
        loop {
            match self.next() {
                Some(frame) if frame.kind == PING && frame.flags == ACK => return true,
                Some(frame) if frame.kind == GOAWAY && frame.code() != Some(NO_ERROR) => {
                    return false;
                }
                Some(_) => {}
                None => return false,
            }
        }
    }
}

/// A `ringway` of one shard with this backend, with more of everything.
pub fn started(backend: &Origin, more: &str) -> Operated {
    let runtime = if more.contains("[runtime]") { "" } else { "[runtime]\nshards = 1\n" };
    Operated::start(&config(&[backend.address], &format!("{runtime}{more}")))
}

/// Closes for a reason so far.
pub fn closes(operated: &Operated, reason: &str) -> u64 {
    operated.metric(&format!("ringway_sessions_closed_total{{reason=\"{reason}\""))
}
