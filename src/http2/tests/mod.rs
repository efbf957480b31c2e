//! Conversations: frames in, events and frames out.

mod client;
mod draining;
mod exchanges;
mod floods;
mod frames;
mod growing;
mod heads;
mod messages;
mod mutations;
mod scheduling;
mod splits;
mod streams;
mod windows;
mod writing;

use super::frame::{Flags, FrameHeader, FrameKind};
use super::hpack::Decoder;
use super::section::{Kind, Pseudo, SectionLimits};
use super::*;
use crate::base::Instant;
use crate::head::trailers::{Peer, TrailerRules};
use crate::head::{RequestHead, ResponseHead, Rules, UnderscoreNames};
use std::time::Duration;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const NONE: u8 = 0;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const WITH_PRIORITY: u8 = 0x20;
/// A head, or trailers, in one frame without a body.
const WHOLE: u8 = END_HEADERS | END_STREAM;

/// A frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, l0, l1, l2] = (payload.len() as u32).to_be_bytes();
    [&[l0, l1, l2, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// A setting.
fn setting(number: u16, value: u32) -> Vec<u8> {
    [&number.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A block of literals that are not indexed.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            if text.len() < 127 {
                out.push(text.len() as u8);
            } else {
                let rest = text.len() - 127;
                out.extend([127, rest as u8 | 0x80, (rest >> 7) as u8 | 0x80, (rest >> 14) as u8]);
            }
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a")];

/// GET with more fields.
fn get(more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&GET[..], more].concat())
}

/// POST with more fields.
fn post(more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&POST[..], more].concat())
}

/// One end of a connection, whose other end is the test.
struct Scene {
    connection: Connection,
    section: Section,
    now: Instant,
    /// Reads the blocks that the connection writes.
    decoder: Decoder,
    /// What the blocks are that the connection writes.
    writes: Kind,
    rules: Rules,
    /// Credit of DATA comes back at once.
    releases: bool,
    events: Vec<String>,
}

impl Scene {
    /// A server whose client has said what is needed.
    fn server() -> Self {
        Self::server_with(&Config::default())
    }

    fn server_with(config: &Config) -> Self {
        let mut scene = Self::new(Role::Server, config);
        scene.feed(PREFACE);
        scene.feed(&frame(SETTINGS, NONE, 0, b""));
        scene.feed(&frame(SETTINGS, ACK, 0, b""));
        assert_eq!(scene.hears().last().map(String::as_str), Some("SETTINGS ack"));
        assert_eq!(scene.events(), "");
        scene
    }

    /// A client whose server has said what is needed.
    fn client() -> Self {
        let mut scene = Self::new(Role::Client, &Config::default());
        let output = scene.connection.output().len();
        assert_eq!(&scene.connection.output()[..24], PREFACE);
        scene.connection.advance_output(24);
        assert!(output > 24);
        scene.feed(&frame(SETTINGS, NONE, 0, b""));
        scene.feed(&frame(SETTINGS, ACK, 0, b""));
        scene.hears();
        scene
    }

    fn new(role: Role, config: &Config) -> Self {
        Self {
            connection: Connection::new(role, config),
            section: Section::new(),
            now: Instant::from_nanos(1 << 40),
            decoder: Decoder::new(),
            writes: if role == Role::Server { Kind::Response } else { Kind::Request },
            rules: Rules { allow_connect: true, ..Rules::default() },
            releases: true,
            events: Vec::new(),
        }
    }

    /// Gives bytes to the connection.
    fn feed(&mut self, bytes: &[u8]) {
        let mut at = 0;
        loop {
            let received = self.connection.receive(&bytes[at..], &mut self.section, self.now);
            let event = received.event.map(|event| self.text(event, &bytes[at..]));
            at += received.consumed;
            match event {
                Some(text) => self.events.push(text),
                None => break,
            }
        }
        assert_eq!(at, bytes.len(), "all bytes are read");
    }

    /// Gives a frame to the connection.
    fn gets(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> &mut Self {
        self.feed(&frame(kind, flags, stream, payload));
        self
    }

    /// Time passes.
    fn waits(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
    }

    /// The events since the last call, one a line.
    fn events(&mut self) -> String {
        std::mem::take(&mut self.events).join("\n")
    }

    fn text(&mut self, event: Event, bytes: &[u8]) -> String {
        let end = |is_last: bool| if is_last { " end" } else { "" };
        match event {
            Event::Request { stream, is_last } => {
                format!("request {}{}: {}", stream.0, end(is_last), self.request())
            }
            Event::Response { stream, is_last } => {
                format!("response {}{}: {}", stream.0, end(is_last), self.response())
            }
            Event::Refused { stream, refusal, is_last } => {
                format!("refused {}{}: {refusal:?}", stream.0, end(is_last))
            }
            Event::Data { stream, range, is_last } => {
                if self.releases {
                    self.connection.release(stream, range.len() as u32);
                }
                let data = bytes[range].escape_ascii().to_string();
                format!("data {}{}: {data}", stream.0, end(is_last))
            }
            Event::Trailers { stream } => format!("trailers {}: {}", stream.0, self.trailers()),
            Event::Reset { stream, code, is_complete } => {
                format!("reset {} {}{}", stream.0, code.name(), end(is_complete))
            }
            Event::Broken { stream, fault } => format!("broken {} {}", stream.0, fault.code.name()),
            Event::Rejected { stream, fault } => {
                format!("rejected {} {}", stream.0, fault.code.name())
            }
            Event::Pong => "pong".to_owned(),
            Event::GoAway { code } => format!("goaway {}", code.name()),
            Event::Draining { flood } => format!("draining {flood:?}"),
            Event::Closed { fault } => format!("closed {}", fault.code.name()),
        }
    }

    fn request(&self) -> String {
        let mut room = FieldRoom::new();
        match RequestHead::of_section(&self.section, &mut room, &self.rules) {
            Ok(head) => {
                let mut text = format!(
                    "{} {}{} {} {:?}",
                    head.method.0.escape_ascii(),
                    head.target_start().escape_ascii(),
                    head.target.escape_ascii(),
                    head.host.escape_ascii(),
                    head.body
                );
                if let Some(protocol) = head.upgrade {
                    text += &format!(" upgrade={}", protocol.escape_ascii());
                }
                for (at, field) in head.fields.iter().enumerate() {
                    if !head.dropped.has(at) {
                        text += &format!(" | {}: {}", field.name, field.value.escape_ascii());
                    }
                }
                text
            }
            Err(refusal) => format!("{refusal:?}"),
        }
    }

    fn response(&self) -> String {
        let mut room = FieldRoom::new();
        let head = ResponseHead::of_section(&self.section, &mut room).expect("good");
        let mut text = format!("{} {:?}", head.status, head.body);
        for field in head.fields {
            text += &format!(" | {}: {}", field.name, field.value.escape_ascii());
        }
        text
    }

    fn trailers(&self) -> String {
        let from = Peer::Client(UnderscoreNames::Drop);
        let rules = TrailerRules { from, named_by_connection: None };
        let mut room = FieldRoom::new();
        let text = |(field, _): (&crate::head::Field<'_>, bool)| {
            format!("{}: {}", field.name, field.value.escape_ascii())
        };
        match Trailers::of_section(&self.section, &mut room, &rules) {
            Ok(trailers) => trailers.forwarded().map(text).collect::<Vec<_>>().join(" | "),
            Err(refusal) => format!("{refusal:?}"),
        }
    }

    /// The frames that the connection has written since the last call.
    fn hears(&mut self) -> Vec<String> {
        let output = self.connection.output().to_vec();
        self.connection.advance_output(output.len());
        let mut rest = &output[..];
        let mut texts = Vec::new();
        while let Some((header, behind)) = rest.split_first_chunk() {
            let header = FrameHeader::read(header);
            let (payload, behind) = behind.split_at(header.length);
            rest = behind;
            texts.push(self.frame_text(header, payload));
        }
        assert!(rest.is_empty());
        texts
    }

    fn frame_text(&mut self, header: FrameHeader, payload: &[u8]) -> String {
        let stream = header.stream.0;
        let ack = if header.flags.has(Flags::ACK) { " ack" } else { "" };
        let end = if header.flags.has(Flags::END_STREAM) { " end" } else { "" };
        match header.kind {
            FrameKind::Headers => format!("HEADERS {stream}{end}: {}", self.block_text(payload)),
            FrameKind::Settings => {
                let settings = frame::settings(payload).map(|(at, value)| format!(" {at}={value}"));
                format!("SETTINGS{ack}{}", settings.collect::<String>())
            }
            FrameKind::Ping => format!("PING{ack} {}", payload.escape_ascii()),
            FrameKind::RstStream => {
                format!("RST_STREAM {stream} {}", frame::error_code(payload).name())
            }
            FrameKind::GoAway => {
                let (last, code) = frame::goaway(payload);
                format!("GOAWAY {} {}", last.0, code.name())
            }
            FrameKind::WindowUpdate => {
                format!("WINDOW_UPDATE {stream} {}", frame::increment(payload))
            }
            other => format!("{other:?}"),
        }
    }

    fn block_text(&mut self, payload: &[u8]) -> String {
        let mut section = Section::new();
        let limits = SectionLimits { bytes: 1 << 20, fields: 100 };
        section.begin(self.writes, limits);
        self.decoder.decode(payload, &mut section).expect("a good block");
        section.end();
        let mut fields = Vec::new();
        for (name, pseudo) in [
            (":status", Pseudo::Status),
            (":method", Pseudo::Method),
            (":protocol", Pseudo::Protocol),
            (":scheme", Pseudo::Scheme),
            (":authority", Pseudo::Authority),
            (":path", Pseudo::Path),
        ] {
            if let Some(value) = section.pseudo(pseudo) {
                fields.push(format!("{name}: {}", value.escape_ascii()));
            }
        }
        for field in section.fields(&mut FieldRoom::new()) {
            fields.push(format!("{}: {}", field.name, field.value.escape_ascii()));
        }
        fields.join(" | ")
    }

    /// What the connection says last, and what it reports, for these bytes.
    fn verdict(&mut self, bytes: &[u8]) -> (String, String) {
        self.feed(bytes);
        let heard = self.hears().pop().unwrap_or_default();
        (self.events.pop().unwrap_or_default(), heard)
    }

    /// Checks that bytes end the connection with an error.
    fn closes_on(mut self, rule: &str, bytes: &[u8], code: &str) {
        let (event, heard) = self.verdict(bytes);
        assert_eq!(event, format!("closed {code}"), "{rule}");
        assert!(heard.starts_with("GOAWAY") && heard.ends_with(code), "{rule}: {heard}");
        self.events.clear();
        self.gets(PING, NONE, 0, b"12345678");
        assert_eq!((self.events(), self.hears()), (String::new(), vec![]), "{rule}: it is over");
        assert!(self.connection.is_done(), "{rule}");
    }

    /// Checks that bytes reset a stream with an error, and that the connection lives.
    fn resets_on(mut self, rule: &str, bytes: &[u8], stream: u32, code: &str) {
        let (_, heard) = self.verdict(bytes);
        assert_eq!(heard, format!("RST_STREAM {stream} {code}"), "{rule}");
        self.lives(rule);
    }

    /// Checks that the connection lives.
    fn lives(&mut self, rule: &str) {
        self.gets(PING, NONE, 0, b"12345678");
        let heard = self.hears();
        assert_eq!(heard.last().map(String::as_str), Some("PING ack 12345678"), "{rule}");
    }

    /// The caller answers a request completely.
    fn answers(&mut self, stream: u32, status: u16, is_last: bool) {
        let answer = Answer { status, seconds: 0, content_type: "text/plain", content_length: 0 };
        assert!(self.connection.send_answer(StreamId(stream), &answer, is_last));
    }

    /// The caller answers a request, and is done with it.
    fn serves(&mut self, stream: u32) {
        self.answers(stream, 200, true);
        self.connection.finished(StreamId(stream));
    }
}
