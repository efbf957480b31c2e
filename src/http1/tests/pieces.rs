//! Heads that arrive in pieces: the verdict is the same however they are split, and they are not
//! read from their start at each piece.

use super::super::{FieldStorage, Partial, Verdict};
use crate::head::{Refusal, RequestHead, ResponseHead, ResponseTo, Rules};

/// What is said of a head in the end: its length, or why it is refused; none if it is incomplete.
type End = Option<Result<usize, Refusal>>;

#[derive(Clone, Copy)]
enum Kind {
    Request,
    Response,
}

/// Judges as a connection does, and counts.
struct Judge {
    kind: Kind,
    rules: Rules,
    partial: Option<Partial>,
    times: usize,
    bytes: usize,
}

impl Judge {
    fn new(kind: Kind) -> Self {
        Self { kind, rules: Rules::default(), partial: None, times: 0, bytes: 0 }
    }

    fn say(&mut self, bytes: &[u8]) -> End {
        self.times += 1;
        self.bytes += bytes.len();
        fn end<T>(verdict: Verdict<T>, length: impl FnOnce(&T) -> usize) -> End {
            match verdict {
                Verdict::Incomplete => None,
                Verdict::Complete(head) => Some(Ok(length(&head))),
                Verdict::Refused(refusal) => Some(Err(refusal)),
            }
        }
        let (mut storage, rules) = (FieldStorage::new(), &self.rules);
        match self.kind {
            Kind::Request => {
                end(RequestHead::parse(bytes, &mut storage, rules), |head| head.length)
            }
            Kind::Response => {
                let asked = ResponseTo::default();
                end(ResponseHead::parse(bytes, &mut storage, asked, rules), |head| head.length)
            }
        }
    }

    fn take(&mut self, piece: &[u8]) -> End {
        let mut all = Vec::new();
        if let Some(partial) = &mut self.partial {
            if partial.take(piece) {
                return None;
            }
            all.extend_from_slice(partial.bytes());
        }
        all.extend_from_slice(piece);
        let end = self.say(&all);
        self.partial = Some(match self.kind {
            Kind::Request => Partial::of_request(&all, &self.rules),
            Kind::Response => Partial::of_response(&all, &self.rules),
        });
        end
    }
}

/// The verdict on these pieces, which is final.
fn judged<'a>(kind: Kind, pieces: impl IntoIterator<Item = &'a [u8]>) -> End {
    let mut judge = Judge::new(kind);
    pieces.into_iter().find_map(|piece| judge.take(piece))
}

fn check_every_split(kind: Kind, head: &[u8]) {
    let shown = String::from_utf8_lossy(head);
    let expected = judged(kind, [head]);
    assert!(expected.is_some(), "{shown:?}");
    assert_eq!(judged(kind, head.chunks(1)), expected, "{shown:?} in single bytes");
    for at in 1..head.len() {
        let (one, rest) = head.split_at(at);
        assert_eq!(judged(kind, [one, rest]), expected, "{shown:?} at {at}");
        let (two, three) = rest.split_at(rest.len() / 2);
        assert_eq!(judged(kind, [one, two, three]), expected, "{shown:?} at {at}");
        let (two, three) = rest.split_at(rest.len().min(1));
        assert_eq!(judged(kind, [one, two, three]), expected, "{shown:?} at {at}, then a byte");
    }
}

#[test]
fn a_head_has_one_verdict_however_it_is_split() {
    let many: String = (0..101).map(|n| format!("x{n}: {n}\r\n")).collect();
    for (kind, start) in
        [(Kind::Request, "GET / HTTP/1.1\r\nHost: a\r\n"), (Kind::Response, "HTTP/1.1 200 OK\r\n")]
    {
        for fields in [
            "",
            "A: b\r\n",
            "A: b\r\nB:\r\nC: \t d\r\n",
            "A : b\r\n",
            "A: b\r\n bad\r\n",
            "A: b\r\nbad\r\nC: d\r\n",
            "A: b\nB: c\r\n",
            "A: \u{e9}\r\n",
            "A: b\x01\r\n",
            "A: b\r\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            many.as_str(),
        ] {
            check_every_split(kind, format!("{start}{fields}\r\n").as_bytes());
        }
    }
    for start in ["GET / HTTP/1.2", "GET  / HTTP/1.1", "GET /\u{e9} HTTP/1.1", "EHLO", "G\x01"] {
        check_every_split(Kind::Request, format!("{start}\r\nHost: a\r\n\r\n").as_bytes());
    }
    check_every_split(Kind::Request, b"GET /\xff HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n");
    check_every_split(Kind::Response, b"HTTP/1.1 2000 OK\r\nA: b\r\n\r\n");
}

#[test]
fn a_malformed_line_is_refused_when_it_ends_and_not_with_the_head() {
    let text = b"GET /a-target-of-a-usual-length HTTP/1.1\r\nHost: a\r\nbad\r\n";
    assert_eq!(judged(Kind::Request, text.chunks(1)), Some(Err(Refusal::MalformedField)));
    let many: String = (0..101).map(|n| format!("x{n}: 1\r\n")).collect();
    let text = format!("GET / HTTP/1.1\r\n{many}");
    let end = judged(Kind::Request, text.as_bytes().chunks(1));
    assert_eq!(end, Some(Err(Refusal::TooManyFields)));
}

#[test]
fn a_head_that_does_not_end_is_refused_once_it_is_too_large() {
    let most = Rules::default().head_bytes_max;
    for line in ["GET / HTTP/1.1\r\na: ", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let mut text = format!("{line}{}", "x".repeat(most)).into_bytes();
        text.truncate(most);
        let mut judge = Judge::new(Kind::Request);
        let (last, before) = text.split_last().expect("some");
        assert!(before.chunks(1).all(|byte| judge.take(byte).is_none()), "{line:?}");
        assert_eq!(judge.take(&[*last]), Some(Err(Refusal::HeadTooLarge)), "{line:?}");
    }
}

#[test]
fn the_work_for_a_head_in_single_bytes_is_linear_in_its_length() {
    let lines: String = (0..97).map(|n| format!("x-{n:04}: {}\r\n", "v".repeat(73))).collect();
    let line = format!("x: {}\r\n", "v".repeat(8_000));
    for (kind, start) in
        [(Kind::Request, "GET / HTTP/1.1\r\nHost: a\r\n"), (Kind::Response, "HTTP/1.1 200 OK\r\n")]
    {
        for fields in [&lines, &line] {
            let text = format!("{start}{fields}\r\n");
            assert!((8_000..9_000).contains(&text.len()));
            let mut judge = Judge::new(kind);
            let end = text.as_bytes().chunks(1).find_map(|byte| judge.take(byte));
            assert_eq!(end, Some(Ok(text.len())));
            assert!(judge.times <= 16 + 4, "{} times", judge.times);
            assert!(judge.bytes <= 4 * text.len(), "{} bytes", judge.bytes);
        }
    }
}
