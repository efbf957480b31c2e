//! Reads HTTP/1.1 answers as far as a load generator must: the status and where the body ends.
//!
//! Only answers with a `Content-Length` are understood, which is what our origin sends. A proxy
//! that turns one into chunks has changed the measured work, so that counts as an error.

use std::fmt;

/// No proxy here sends a longer head.
const MAX_HEAD: usize = 16 * 1024;

/// Why an answer could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The first line is not `HTTP/1.1 <status> …`.
    StatusLine,
    /// No or no readable `Content-Length`.
    Length,
    /// The head does not end.
    HeadTooLong,
    /// More bytes than the answer has.
    Surplus,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::StatusLine => "an answer without a status line",
            Malformed::Length => "an answer without Content-Length",
            Malformed::HeadTooLong => "an answer whose head does not end",
            Malformed::Surplus => "bytes after the end of an answer",
        })
    }
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are to come.
    Incomplete,
    /// The answer is complete; its status.
    Complete(u16),
}

/// Reads one answer after the other from the bytes of a connection.
#[derive(Debug, Default)]
pub struct ResponseReader {
    /// The beginning of a head that has not come whole; nearly always empty.
    partial_head: Vec<u8>,
    /// Status and missing bytes of the body, once the head is read.
    body: Option<(u16, usize)>,
}

impl ResponseReader {
    /// Takes the bytes of one read. They must not go beyond the end of the answer.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Progress, Malformed> {
        if self.body.is_some() {
            return self.advance_body(bytes.len());
        }
        if self.partial_head.is_empty() {
            let Some(head) = parse_head(bytes)? else {
                self.partial_head.extend_from_slice(bytes);
                return Ok(Progress::Incomplete);
            };
            self.body = Some((head.status, head.content_length));
            return self.advance_body(bytes.len() - head.len);
        }
        self.partial_head.extend_from_slice(bytes);
        let Some(head) = parse_head(&self.partial_head)? else { return Ok(Progress::Incomplete) };
        let body_bytes = self.partial_head.len() - head.len;
        self.partial_head.clear();
        self.body = Some((head.status, head.content_length));
        self.advance_body(body_bytes)
    }

    fn advance_body(&mut self, count: usize) -> Result<Progress, Malformed> {
        let Some((status, missing)) = &mut self.body else { return Ok(Progress::Incomplete) };
        *missing = missing.checked_sub(count).ok_or(Malformed::Surplus)?;
        if *missing > 0 {
            return Ok(Progress::Incomplete);
        }
        let status = *status;
        self.body = None;
        Ok(Progress::Complete(status))
    }
}

struct Head {
    len: usize,
    status: u16,
    content_length: usize,
}

fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > MAX_HEAD { Err(Malformed::HeadTooLong) } else { Ok(None) };
    };
    let mut lines = bytes[..end].split(|byte| *byte == b'\n');
    let status = lines.next().and_then(parse_status).ok_or(Malformed::StatusLine)?;
    let content_length = lines.find_map(parse_content_length).ok_or(Malformed::Length)?;
    Ok(Some(Head { len: end + 4, status, content_length }))
}

fn parse_status(line: &[u8]) -> Option<u16> {
    let digits = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn parse_content_length(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 3\r\n\r\nabc";

    #[test]
    fn an_answer_split_anywhere_is_read() {
        for split in 1..ANSWER.len() {
            let mut reader = ResponseReader::default();
            assert_eq!(reader.advance(&ANSWER[..split]), Ok(Progress::Incomplete), "at {split}");
            assert_eq!(reader.advance(&ANSWER[split..]), Ok(Progress::Complete(200)));
            assert_eq!(reader.advance(ANSWER), Ok(Progress::Complete(200)), "the next one");
        }
    }

    #[test]
    fn other_statuses_are_answers_too() {
        let mut reader = ResponseReader::default();
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(reader.advance(answer), Ok(Progress::Complete(503)));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let refuse = |bytes: &[u8]| ResponseReader::default().advance(bytes);
        assert_eq!(refuse(b"SSH-2.0\r\n\r\n"), Err(Malformed::StatusLine));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refuse(chunked), Err(Malformed::Length));
        let surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab";
        assert_eq!(refuse(surplus), Err(Malformed::Surplus));
        assert_eq!(refuse(&[b'a'; MAX_HEAD + 1]), Err(Malformed::HeadTooLong));
    }
}
