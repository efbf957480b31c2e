//! The corpus of `downgrade` over the binary: its backend sees each request that is taken once, and
//! nothing else.

use super::*;
use crate::downgrade::{Case, Fate, Message, cases};
use std::sync::mpsc::{Receiver, channel};

/// A backend that reads as strictly as can be. What it gets, or what is wrong with that.
fn strict() -> (Origin, Receiver<Result<Message, String>>) {
    let (got, gets) = channel();
    let origin = Origin::start(move |mut stream| {
        let (mut bytes, mut part) = (Vec::new(), [0; 16 * 1024]);
        loop {
            let mut rest = &bytes[..];
            let read = Message::read(&mut rest).transpose();
            let left = rest.len();
            match read {
                Some(message) => {
                    let is_wrong = message.is_err();
                    let _ = got.send(message);
                    if is_wrong || stream.write_all(&ok(b"taken")).is_err() {
                        return;
                    }
                    bytes.drain(..bytes.len() - left);
                }
                None => match stream.read(&mut part) {
                    Ok(length @ 1..) => bytes.extend_from_slice(&part[..length]),
                    // What was cut short in the middle is no request.
                    _ => return,
                },
            }
        }
    });
    (origin, gets)
}

/// What became of a stream.
fn fate(wire: &mut Wire, stream: u32, rule: &str) -> Fate {
    let first = wire.await_frame(rule, |frame| {
        frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM)
    });
    match first.kind {
        HEADERS if first.status() == 200 => {
            let is_last = |frame: &Frame| frame.stream == stream && frame.is_last();
            if !first.is_last() {
                wire.await_frame(rule, is_last);
            }
            Fate::Taken
        }
        _ => Fate::Refused,
    }
}

fn run<'c>(cases: impl Iterator<Item = &'c Case>, piece: usize) {
    let (origin, gets) = strict();
    let operated = started(&origin, "[http2]\nmax_resets = 1000000\nmax_continuations = 1000000\n");
    let mut wire = Wire::open(operated.ringway.address);
    wire.stream.set_nodelay(true).expect("set");
    for (at, case) in cases.enumerate() {
        let (stream, rule) = (2 * at as u32 + 1, &case.rule);
        for part in case.frames(stream).chunks(piece) {
            assert!(wire.send(part), "{rule}: the connection lives");
        }
        assert_eq!(fate(&mut wire, stream, rule), case.fate, "{rule}");
        if case.fate == Fate::Taken {
            let message = gets.recv().expect("it was forwarded");
            case.check(&message.unwrap_or_else(|wrong| panic!("{rule}: {wrong}")));
        }
    }
    assert!(wire.lives());
    drop(wire);
    operated.await_nothing_left();
    if let Ok(message) = gets.try_recv() {
        panic!("{message:?} was not awaited");
    }
}

#[test]
fn a_backend_sees_each_request_of_the_corpus_once_and_nothing_else() {
    run(cases().iter(), usize::MAX);
}

#[test]
fn it_sees_the_same_byte_by_byte() {
    run(cases().iter().step_by(7), 1);
}
