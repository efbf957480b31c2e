//! Any bytes of a peer that speaks HTTP/2, read by a server or, if their number is odd, by a
//! client: however they are split, they mean the same, and what they make the reader hold is
//! bounded.

use super::places;
use ringway::base::Instant;
use ringway::head::{RequestHead, ResponseHead, Rules};
use ringway::http2::{Config, Connection, Event, FieldRoom, PREFACE, Role, Section};

/// What a peer is told in answer to so many bytes, at most: a frame of 13 bytes for each of 9, the
/// settings, and what ends the connection.
fn output_max(received: usize) -> usize {
    received * 2 + 1_024
}

/// Panics if a promise is broken.
pub fn run(bytes: &[u8]) {
    let role = if bytes.len().is_multiple_of(2) { Role::Server } else { Role::Client };
    let whole = transcript(role, &[bytes]);
    for cut in places(bytes.len()) {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(transcript(role, &[first, second]), whole, "split at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(transcript(role, &single), whole, "byte by byte");
}

/// The events, with the content of a stream joined.
fn transcript(role: Role, pieces: &[&[u8]]) -> Vec<String> {
    let mut connection = Connection::new(role, &Config::default());
    let mut section = Section::new();
    let mut events = Vec::new();
    let preface: &[u8] = if role == Role::Server { PREFACE } else { b"" };
    let mut received = 0;
    for piece in std::iter::once(&preface).chain(pieces) {
        received += piece.len();
        let mut at = 0;
        loop {
            let step = connection.receive(&piece[at..], &mut section, Instant::default());
            assert!(at + step.consumed <= piece.len());
            let rest = &piece[at..];
            at += step.consumed;
            let Some(event) = step.event else { break };
            note(event, rest, &section, &mut connection, &mut events);
        }
        assert_eq!(at, piece.len(), "all of it is read");
        assert!(connection.output().len() <= output_max(received));
    }
    events
}

fn note(
    event: Event,
    bytes: &[u8],
    section: &Section,
    connection: &mut Connection,
    events: &mut Vec<String>,
) {
    let mut room = FieldRoom::new();
    let text = match event {
        Event::Request { stream, is_last } => {
            let head = RequestHead::of_section(section, &mut room, &Rules::default());
            let text = format!("request {} {is_last} {head:?}", stream.0);
            if is_last {
                connection.finished(stream);
            }
            text
        }
        Event::Response { stream, .. } => {
            let head = ResponseHead::of_section(section, &mut room);
            format!("response {} {head:?}", stream.0)
        }
        Event::Data { stream, range, is_last } => {
            let data = &bytes[range];
            connection.release(stream, data.len() as u32);
            let begin = format!("data {} ", stream.0);
            let data = data.escape_ascii().to_string();
            let end = if is_last { " end" } else { "" };
            match events.last_mut().filter(|last| last.starts_with(&begin)) {
                Some(last) => return last.push_str(&(data + end)),
                None => begin + &data + end,
            }
        }
        Event::Closed { fault } => format!("closed {} {}", fault.code.name(), fault.reason),
        other => format!("{other:?}"),
    };
    events.push(text);
}
