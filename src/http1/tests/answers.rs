//! The answers that the proxy gives itself.

use super::super::{Answer, ConnectionField, default_body, write_answer};
use super::{lines, with_response, written};
use crate::head::{ResponseBody, ResponseTo};

const STATUSES: [u16; 16] =
    [301, 308, 400, 404, 405, 408, 413, 414, 417, 421, 431, 501, 502, 503, 504, 505];

const SECONDS: u64 = 784_111_777;
const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT";

fn answer(status: u16) -> Answer<'static> {
    let (body, connection) = (default_body(status), ConnectionField::Close);
    Answer {
        status,
        seconds: SECONDS,
        content_type: "text/plain",
        body,
        location: None,
        hsts: None,
        connection,
        is_head: false,
    }
}

#[test]
fn every_status_has_a_reason_and_a_body_that_says_what_to_think() {
    for status in STATUSES {
        let text = written(|out| write_answer(&answer(status), out));
        let (head, body) = text.split_at(text.find("\r\n\r\n").expect("a head") + 4);
        let lines = lines(head);
        let reason = lines[0].strip_prefix(&format!("HTTP/1.1 {status} ")).expect("a status line");
        assert!(!reason.is_empty(), "{status}");
        assert!(body.starts_with(&format!("{status} {reason}: ")), "{body:?}");
        let length = format!("Content-Length: {}", body.len());
        let fields = ["Content-Type: text/plain", &length, "Connection: close"];
        let allow =
            (status == 405).then_some("Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        let fields: Vec<&str> = [DATE].into_iter().chain(allow).chain(fields).collect();
        assert_eq!(lines[1..], fields);
        with_response(&text, ResponseTo::default(), |head| {
            assert_eq!(head.body, ResponseBody::Sized(body.len() as u64));
            assert!(!head.keep_alive);
        });
    }
}

#[test]
fn head_is_answered_with_the_same_head_and_no_body() {
    let whole = written(|out| write_answer(&answer(404), out));
    let head = written(|out| write_answer(&Answer { is_head: true, ..answer(404) }, out));
    assert!(head.ends_with("\r\n\r\n") && whole.starts_with(&head), "{head:?}");
}

#[test]
fn a_configured_answer_is_sent_as_it_is() {
    let connection = ConnectionField::None;
    let (content_type, body) = ("text/html; charset=utf-8", &b"<h1>sorry</h1>\r\n\r\n"[..]);
    let answer = Answer { content_type, body, connection, ..answer(503) };
    let text = written(|out| write_answer(&answer, out));
    let line = "HTTP/1.1 503 Service Unavailable";
    let fields = "Content-Type: text/html; charset=utf-8\r\nContent-Length: 18";
    assert_eq!(text, format!("{line}\r\n{DATE}\r\n{fields}\r\n\r\n<h1>sorry</h1>\r\n\r\n"));
}
