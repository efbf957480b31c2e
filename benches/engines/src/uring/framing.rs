//! Where messages begin and end, as cheaply as that can be found: the empty line, and
//! Content-Length. Does not: check anything, know chunked bodies, HEAD or 1xx.

use memchr::memmem::Finder;

/// What is known of the messages of one direction.
#[derive(Debug, Default)]
pub struct Framing {
    /// Bytes of the current message's body that are still to come.
    left: u64,
}

/// What was found in some bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Bytes up to the last head that is not whole.
    pub complete: usize,
    /// Heads.
    pub begun: u32,
    /// Ends of messages.
    pub ended: u32,
    /// A head asked for the end of its connection.
    pub asks_for_close: bool,
}

/// The two fields that are looked at.
#[derive(Debug, Default)]
struct Fields {
    content_length: Option<u64>,
    asks_for_close: bool,
}

impl Framing {
    /// True between two messages.
    pub fn is_between(&self) -> bool {
        self.left == 0
    }

    /// Takes the next bytes. `body_without_length` is the body of a message without a length.
    /// `Connection: close` is made unreadable, so that the other side keeps its connection.
    pub fn scan(&mut self, bytes: &mut [u8], end: &Finder<'_>, body_without_length: u64) -> Found {
        let mut found = Found::default();
        while found.complete < bytes.len() {
            if self.left == 0 {
                let rest = &mut bytes[found.complete..];
                let Some(at) = end.find(rest) else { break };
                let head = &mut rest[..at + end.needle().len()];
                let fields = read_fields(head);
                found.complete += head.len();
                found.begun += 1;
                found.asks_for_close |= fields.asks_for_close;
                self.left = fields.content_length.unwrap_or(body_without_length);
            }
            let body = self.left.min((bytes.len() - found.complete) as u64);
            self.left -= body;
            found.complete += body as usize;
            found.ended += u32::from(self.left == 0);
        }
        found
    }
}

fn read_fields(head: &mut [u8]) -> Fields {
    let mut fields = Fields::default();
    let mut start = 0;
    let mut close = None;
    for end in memchr::memchr_iter(b'\n', head) {
        let line = &head[start..end];
        if line.first().is_some_and(|byte| byte | 0x20 == b'c') {
            if let Some(value) = after(line, b"content-length:") {
                fields.content_length = Some(number(value));
            } else if after(line, b"connection: close").is_some() {
                close = Some(start);
            }
        }
        start = end + 1;
    }
    if let Some(at) = close {
        head[at] = b'X';
        fields.asks_for_close = true;
    }
    fields
}

fn after<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(rest)
}

fn number(value: &[u8]) -> u64 {
    let digits = value.trim_ascii().iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(framing: &mut Framing, text: &str) -> (Found, String) {
        let mut bytes = text.as_bytes().to_vec();
        let found = framing.scan(&mut bytes, &Finder::new(b"\r\n\r\n"), 0);
        (found, String::from_utf8(bytes).expect("text"))
    }

    #[test]
    fn messages_are_counted_over_any_cut() {
        let mut framing = Framing::default();
        let text = "GET / HTTP/1.1\r\n\r\nPUT / HTTP/1.1\r\ncontent-Length: 5\r\n\r\nab";
        let (found, _) = scan(&mut framing, text);
        let whole = Found { complete: text.len(), begun: 2, ended: 1, asks_for_close: false };
        assert_eq!(found, whole);
        let (found, _) = scan(&mut framing, "cdeGET /");
        assert_eq!(found, Found { complete: 3, ended: 1, ..Found::default() });
        assert!(framing.is_between());
    }

    #[test]
    fn a_close_is_noted_and_hidden() {
        let (found, text) =
            scan(&mut Framing::default(), "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
        assert!(found.asks_for_close && text.contains("\r\nXonnection: close\r\n"));
    }
}
