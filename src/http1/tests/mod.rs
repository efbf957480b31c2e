//! The framing rules one by one: what is understood, what is refused, and what is written.

mod answers;
mod chunks;
mod pieces;
mod requests;
mod response_rules;
mod responses;
mod targets;

use super::{FieldStorage, Verdict};
use crate::head::{RequestHead, ResponseHead, ResponseTo, Rules};

/// Calls `read` with a request's head; panics if it is not complete and valid.
fn with_request<T>(text: &str, rules: &Rules, read: impl FnOnce(&RequestHead<'_, '_>) -> T) -> T {
    let mut storage = FieldStorage::new();
    match RequestHead::parse(text.as_bytes(), &mut storage, rules) {
        Verdict::Complete(head) => read(&head),
        Verdict::Incomplete => panic!("{text:?} is incomplete"),
        Verdict::Refused(refusal) => panic!("{text:?}: {refusal:?}"),
    }
}

/// Calls `read` with a response's head; panics if it is not complete and valid.
fn with_response<T>(
    text: &str,
    asked: ResponseTo,
    read: impl FnOnce(&ResponseHead<'_, '_>) -> T,
) -> T {
    let mut storage = FieldStorage::new();
    match ResponseHead::parse(text.as_bytes(), &mut storage, asked, &Rules::default()) {
        Verdict::Complete(head) => read(&head),
        Verdict::Incomplete => panic!("{text:?} is incomplete"),
        Verdict::Refused(refusal) => panic!("{text:?}: {refusal:?}"),
    }
}

/// The output of `write` with enough room; checks that it writes nothing else with less.
fn written(write: impl Fn(&mut [u8]) -> Option<usize>) -> String {
    let mut room = vec![0; 2 * 1024];
    let length = write(&mut room).expect("room enough");
    for less in 0..length {
        assert_eq!(write(&mut room[..less]), None, "{less} bytes for {length}");
    }
    assert_eq!(write(&mut room[..length]), Some(length));
    room.truncate(length);
    String::from_utf8(room).expect("text")
}

/// The lines of a head, without the empty one at its end.
fn lines(head: &str) -> Vec<&str> {
    head.strip_suffix("\r\n\r\n").expect("a whole head").split("\r\n").collect()
}
