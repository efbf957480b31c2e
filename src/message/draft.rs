//! The part of a request's head that is kept until it is recorded. Its size is bounded here; it is
//! escaped where it is written.

use crate::access_log::Record;
use crate::head::{RequestHead, Version};
use crate::limits::LOGGED_BYTES_MAX;
use std::net::SocketAddr;
use std::sync::Arc;

/// The part of a request's head that the access log uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The method.
    pub method: Box<[u8]>,
    /// The host that the request is for.
    pub host: Box<[u8]>,
    /// The target, as it is forwarded.
    pub target: Box<[u8]>,
    /// The version; none if the head does not show one.
    pub version: Option<Version>,
    /// The first Referer.
    pub referer: Option<Box<[u8]>>,
    /// The first User-Agent.
    pub user_agent: Option<Box<[u8]>>,
    /// The fault of the request or its response, if either was refused.
    pub refusal: Option<&'static str>,
}

impl Draft {
    /// Of a complete and valid head.
    pub fn of(head: &RequestHead<'_, '_>) -> Self {
        Self {
            method: head.method.0.into(),
            host: head.host.into(),
            target: [head.target_start(), head.target].concat().into(),
            version: Some(head.version),
            referer: head.field("referer").map(bounded),
            user_agent: head.field("user-agent").map(bounded),
            refusal: None,
        }
    }

    /// The record of its request, of which nothing else is known.
    /// `listener`: the protocol and the name of its listener.
    pub fn record(self, listener: (&'static str, Option<Arc<str>>), client: SocketAddr) -> Record {
        Record {
            method: self.method,
            target: self.target,
            version: self.version.map(Version::name),
            referer: self.referer,
            user_agent: self.user_agent,
            failure: None,
            refusal: self.refusal,
            ..Record::unforwarded(listener, client, &self.host, "")
        }
    }

    /// As much as can be read of a head that is incomplete or refused. It is not trusted, and
    /// decides nothing.
    pub fn of_part(head: &[u8]) -> Self {
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let mut words = lines.next().unwrap_or_default().splitn(3, |byte| *byte == b' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Self::default();
        };
        if method.is_empty() || !method.iter().all(u8::is_ascii_graphic) {
            return Self::default(); // of another protocol
        }
        let version = words.next().and_then(version_of);
        let field = |name: &[u8]| {
            let mut values = lines.clone().filter_map(|line| value_of(line, name));
            values.next().map(bounded)
        };
        Self {
            method: bounded(method),
            host: field(b"host").unwrap_or_default(),
            target: bounded(target),
            version,
            referer: field(b"referer"),
            user_agent: field(b"user-agent"),
            refusal: None,
        }
    }
}

fn version_of(word: &[u8]) -> Option<Version> {
    [Version::Http10, Version::Http11].into_iter().find(|known| known.name().as_bytes() == word)
}

/// The value of a field line, if the field has this name.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (own, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":")?;
    own.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn bounded(bytes: &[u8]) -> Box<[u8]> {
    bytes[..bytes.len().min(LOGGED_BYTES_MAX)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &[u8]) -> [String; 4] {
        let draft = Draft::of_part(head);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let version = draft.version.map_or("", Version::name).to_owned();
        [text(&draft.method), text(&draft.target), version, text(&draft.host)]
    }

    #[test]
    fn as_much_of_a_head_is_read_as_there_is() {
        for (head, expected) in [
            (&b"GET /%zz HTTP/1.1\r\nA: b\r\nhost: \t h:1 \r\n\r\n"[..], "GET|/%zz|HTTP/1.1|h:1"),
            (b"GET / HTTP/1.0\nHost: a\nHost: b\n\n", "GET|/|HTTP/1.0|a"),
            (b"GET /long", "GET|/long||"),
            (b"GET / HTTP/1.1\r\nHo", "GET|/|HTTP/1.1|"),
            (b"GET / HTTP/3.7\r\nHost: a", "GET|/||a"),
            (b"GET", "|||"),
            (b" / HTTP/1.1", "|||"),
            (b"", "|||"),
            (b"\x16\x03\x01 \x02\x00", "|||"),
        ] {
            assert_eq!(read(head).join("|"), expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn what_is_long_is_cut() {
        let head = format!("GET /{0} HTTP/1.1\r\nUser-Agent: {0}\r\n", "x".repeat(5_000));
        let draft = Draft::of_part(head.as_bytes());
        assert_eq!(draft.target.len(), LOGGED_BYTES_MAX);
        assert_eq!(draft.user_agent.map(|value| value.len()), Some(LOGGED_BYTES_MAX));
    }
}
