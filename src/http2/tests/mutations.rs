//! Bytes that went wrong: no panic, and the same verdict however they are split.

use super::splits::{conversation, outcome};
use super::*;
use crate::base::Prng;

#[test]
fn mutated_conversations_mean_the_same_however_they_are_split() {
    let valid = conversation();
    let mut random = Prng::new(11);
    let mut lived = 0;
    for round in 0..6_000 {
        let mut bytes = valid.clone();
        for _ in 0..=random.below(3) {
            let at = PREFACE.len() + random.below((bytes.len() - PREFACE.len()) as u32) as usize;
            match random.below(4) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = random.below(256) as u8,
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, random.below(256) as u8),
            }
        }
        let whole = outcome(&[&bytes]);
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(1 + random.below(60) as usize));
            pieces.push(piece);
            rest = behind;
        }
        assert_eq!(outcome(&pieces), whole, "round {round}");
        lived += u32::from(whole.0.contains("goaway"));
    }
    assert!(lived > 100, "{lived} of them get far");
}

#[test]
fn frames_of_random_bytes_end_somehow() {
    let mut random = Prng::new(12);
    for _ in 0..3_000 {
        let role = if random.one_in(2) { Role::Server } else { Role::Client };
        let mut connection = Connection::new(role, &Config::default());
        let mut section = Section::new();
        let mut bytes = if role == Role::Server { PREFACE.to_vec() } else { Vec::new() };
        bytes.extend(frame(SETTINGS, NONE, 0, b""));
        for _ in 0..random.below(30) {
            let payload: Vec<u8> = (0..random.below(40)).map(|_| random.below(256) as u8).collect();
            let (kind, flags) = (random.below(11) as u8, random.below(256) as u8);
            bytes.extend(frame(kind, flags, random.below(8), &payload));
        }
        let mut at = 0;
        loop {
            let received = connection.receive(&bytes[at..], &mut section, Instant::default());
            at += received.consumed;
            match received.event {
                Some(Event::Request { stream, .. }) => {
                    let mut room = FieldRoom::new();
                    drop(RequestHead::of_section(&section, &mut room, &Rules::default()));
                    connection.finished(stream);
                }
                Some(_) => {}
                None => break,
            }
        }
        assert_eq!(at, bytes.len());
    }
}
