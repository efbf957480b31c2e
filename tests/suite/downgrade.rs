//! Requests of HTTP/2 as a backend of HTTP/1.1 gets them: no byte that a client can put anywhere
//! becomes framing there, or a second request (RFC 9113 §8.2, §8.3, §10.3). The corpus, an oracle
//! that reads a message of HTTP/1 as strictly as can be, and the corpus through the codec, split
//! wherever it can be. The run over the binary is in `loopback/http2/downgrade`.

use crate::loopback::http2::{CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, NONE};
use crate::loopback::http2::{PREFACE, SETTINGS, WHOLE, block, frame};
use ringway::base::Instant;
use ringway::head::{Peer, RequestHead, RequestRewrite, Rules, TrailerRules, UnderscoreNames};
use ringway::http1::write_request;
use ringway::http2::{Config, Connection, Event, FieldRoom, Role, Section, Trailers};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What becomes of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its stream is reset, or answered by Ringway.
    Refused,
    /// It is forwarded.
    Taken,
}

/// One request.
pub struct Case {
    pub rule: String,
    fields: Fields,
    content: Vec<u8>,
    trailers: Option<Fields>,
    pub fate: Fate,
}

const PSEUDO: [(&[u8], &[u8]); 4] =
    [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"t"), (b":path", b"/")];

/// What would be framing if it came out as it is.
const INJECTIONS: [&[u8]; 8] = [
    b"a\r\nTransfer-Encoding: chunked",
    b"a\nContent-Length: 0",
    b"a\rX-Smuggled: 1",
    b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    b"a HTTP/1.1\r\nHost: other\r\n\r\nGET /smuggled",
    b"\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\nX: ",
    b"a\0b",
    b"a\n\nGET /smuggled HTTP/1.0\n\n",
];

impl Case {
    fn new(rule: String, fate: Fate) -> Self {
        let fields = PSEUDO.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        Self { rule, fields, content: b"content".to_vec(), trailers: None, fate }
    }

    fn with(mut self, name: &[u8], value: &[u8]) -> Self {
        self.fields.push((name.to_vec(), value.to_vec()));
        self
    }

    /// Another value of a pseudo-field.
    fn instead(mut self, name: &[u8], value: &[u8]) -> Self {
        let field = self.fields.iter_mut().find(|(known, _)| known == name).expect("it is there");
        field.1 = value.to_vec();
        self
    }

    fn trailing(mut self, name: &[u8], value: &[u8]) -> Self {
        self.trailers = Some(vec![(name.to_vec(), value.to_vec())]);
        self
    }

    /// Its frames on a stream.
    pub fn frames(&self, stream: u32) -> Vec<u8> {
        let block_of = |fields: &Fields| block(fields);
        let head = block_of(&self.fields);
        // In two frames, of which the second begins in the middle of a field.
        let (first, second) = head.split_at(head.len() / 2);
        let mut frames = frame(HEADERS, NONE, stream, first);
        frames.extend(frame(CONTINUATION, END_HEADERS, stream, second));
        let end = if self.trailers.is_none() { END_STREAM } else { NONE };
        frames.extend(frame(DATA, end, stream, &self.content));
        if let Some(trailers) = &self.trailers {
            frames.extend(frame(HEADERS, WHOLE, stream, &block_of(trailers)));
        }
        frames
    }

    /// Checks what a backend got of it.
    pub fn check(&self, message: &Message) {
        let rule = &self.rule;
        let count = |wanted: &str| {
            message.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).count()
        };
        assert_eq!(message.content, self.content, "{rule}");
        assert_eq!(count("host"), 1, "{rule}: {message:?}");
        assert_eq!(count("content-length") + count("transfer-encoding"), 1, "{rule}: {message:?}");
        for forbidden in ["connection", "keep-alive", "proxy-connection", "upgrade", "te"] {
            assert_eq!(count(forbidden), 0, "{rule}: {message:?}");
        }
        assert!(count("cookie") <= 1, "{rule}: {message:?}");
        let is_own = |name: &String| !name.to_ascii_lowercase().contains("smuggled");
        assert!(message.fields.iter().all(|(name, _)| is_own(name)), "{rule}: {message:?}");
        let path = self.fields.iter().find(|(name, _)| name == b":path").expect("a path");
        assert_eq!(message.target.as_bytes(), path.1, "{rule}");
        for (name, _) in &message.trailers {
            let name = name.to_ascii_lowercase().replace('_', "-");
            let of_head = ["content-length", "transfer-encoding", "host", "cookie", "x-real-ip"];
            assert!(!of_head.contains(&&*name), "{rule}: {message:?}");
            assert!(!name.starts_with("x-forwarded-"), "{rule}: {message:?}");
        }
    }
}

/// Bytes that a token has (RFC 9110 §5.6.2), small letters alone.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A byte in the beginning, the middle and the end of a text.
fn places(byte: u8) -> [(&'static str, Vec<u8>); 3] {
    [("first", vec![byte, b'a']), ("inside", vec![b'a', byte, b'b']), ("last", vec![b'a', byte])]
}

fn fate(is_taken: bool) -> Fate {
    if is_taken { Fate::Taken } else { Fate::Refused }
}

/// Each byte in each place of names and values, of the head and of the trailers.
fn bytes_of_fields(cases: &mut Vec<Case>) {
    for byte in 0..=255u8 {
        for (place, text) in places(byte) {
            let rule = format!("§8.2.1: {byte:#04x} {place} in a name");
            let is_taken = is_of_name(byte);
            if byte != b':' || place != "first" {
                cases.push(Case::new(rule.clone(), fate(is_taken)).with(&text, b"v"));
            }
            let rule = format!("§8.2.1: {byte:#04x} {place} in a value");
            let is_blank = byte == b' ' || byte == b'\t';
            let is_control = byte < b' ' && byte != b'\t' || byte == 0x7f;
            let is_taken = !is_control && (place == "inside" || !is_blank);
            // Half of them are enough: those above the controls differ in nothing.
            if byte < 0x30 || byte >= 0x7f && byte % 16 == 15 {
                cases.push(Case::new(rule.clone(), fate(is_taken)).with(b"x-own", &text));
                let trailing = Case::new(format!("{rule} of a trailer"), fate(is_taken));
                cases.push(trailing.trailing(b"x-own", &text));
            }
        }
        let rule = format!("§8.3: {byte:#04x} inside a name of a trailer");
        if !(0x41..=0x7a).contains(&byte) {
            let case = Case::new(rule, fate(is_of_name(byte)));
            cases.push(case.trailing(&[b'a', byte, b'b'], b"v"));
        }
    }
}

/// Each byte inside each pseudo-field.
fn bytes_of_pseudo_fields(cases: &mut Vec<Case>) {
    for byte in 0..=255u8 {
        let path = [b'/', b'a', byte, b'b'];
        // What RFC 3986 has in no path, but for brackets and bars, which clients send.
        let is_taken = byte.is_ascii_graphic() && !b"\"#<>\\^`{}".contains(&byte);
        if byte != b'%' {
            let case = Case::new(format!(":path with {byte:#04x}"), fate(is_taken));
            cases.push(case.instead(b":path", &path));
        }
        if !(0x30..=0x7e).contains(&byte) {
            let method = [b'P', byte, b'T'];
            let case = Case::new(format!(":method with {byte:#04x}"), fate(is_of_name(byte)));
            cases.push(case.instead(b":method", &method));
            if !b"-.!$&'()*+,".contains(&byte) && byte != b'%' {
                let case = Case::new(format!(":authority with {byte:#04x}"), Fate::Refused);
                cases.push(case.instead(b":authority", &[b'a', byte, b'b']));
            }
            let case = Case::new(format!(":scheme with {byte:#04x}"), Fate::Refused);
            cases.push(case.instead(b":scheme", &[b'h', b't', b't', b'p', byte]));
        }
    }
    for (rule, name, value) in [
        (":path without a slash", ":path", "smuggled"),
        (":path that is empty", ":path", ""),
        (":path in absolute form", ":path", "http://t/"),
        (":path of an authority", ":path", "t:80"),
        (":path that is a query", ":path", "?a"),
        (":path with a dot segment", ":path", "/a/../b"),
        (":path of OPTIONS alone", ":path", "*"),
        (":path with a version", ":path", "/a HTTP/1.1"),
        (":authority with userinfo", ":authority", "user@t"),
        (":authority with a password", ":authority", "user:word@t"),
        (":authority with a path", ":authority", "t/smuggled"),
        (":authority with a query", ":authority", "t?a"),
        (":authority with a fragment", ":authority", "t#a"),
        (":authority that is a list", ":authority", "t, other"),
        (":authority that is empty", ":authority", ""),
        (":authority with a bad port", ":authority", "t:80:80"),
        (":authority with no number", ":authority", "t:http"),
        (":authority with a port beyond", ":authority", "t:65536"),
        (":authority of half an address", ":authority", "[::1"),
        (":scheme of another kind", ":scheme", "ftp"),
        (":scheme that is empty", ":scheme", ""),
        (":scheme with a colon", ":scheme", "http:"),
        (":scheme with a rest", ":scheme", "http://t/"),
        (":method with a target", ":method", "GET / HTTP/1.1"),
        (":method that is empty", ":method", ""),
        (":method that is TRACE", ":method", "TRACE"),
        (":method that is CONNECT", ":method", "CONNECT"),
    ] {
        cases.push(
            Case::new(rule.to_owned(), Fate::Refused).instead(name.as_bytes(), value.as_bytes()),
        );
    }
}

/// Fields that HTTP/1 takes for framing, and pairs of them.
fn framing_fields(cases: &mut Vec<Case>) {
    for (name, value) in [
        ("connection", "close"),
        ("connection", "x-own"),
        ("connection", "transfer-encoding"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("transfer-encoding", ""),
        ("upgrade", "h2c"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("te", ""),
        ("content-length", "6"),
        ("content-length", "8"),
        ("content-length", "-7"),
        ("content-length", "+7"),
        ("content-length", "0x7"),
        ("content-length", "7, 7"),
        ("content-length", "7 7"),
        ("content-length", ""),
        ("content-length", "7a"),
        ("content-length", "18446744073709551623"),
        ("Content-Length", "7"),
        ("Transfer-Encoding", "chunked"),
        ("host", "other"),
        ("host", ""),
        ("host", "t/x"),
        ("host", "user@t"),
        (":authority", "t"),
        (":path", "/"),
        (":method", "GET"),
        (":scheme", "http"),
        (":protocol", "websocket"),
        (":status", "200"),
        (":unknown", "1"),
        ("", "empty"),
        ("expect", "something"),
    ] {
        let case = Case::new(format!("{name}: {value}"), Fate::Refused);
        cases.push(case.with(name.as_bytes(), value.as_bytes()));
    }
    for (first, second) in [("7", "7"), ("7", "8"), ("0", "7")] {
        let case = Case::new(format!("content-length {first} and {second}"), Fate::Refused);
        cases.push(
            case.with(b"content-length", first.as_bytes())
                .with(b"content-length", second.as_bytes()),
        );
    }
    let late = Case::new("a pseudo-field behind a field".to_owned(), Fate::Refused);
    cases.push(late.with(b"x-own", b"1").with(b":authority", b"t"));
    for (rule, name, value) in [
        ("content-length that is right", "content-length", "7"),
        ("content-length with zeros", "content-length", "0007"),
        ("te of trailers", "te", "trailers"),
        ("host that agrees", "host", "t"),
        ("a crumb", "cookie", "a=1"),
        ("a name with an underscore", "content_length", "0"),
        ("a name that says chunked", "x-transfer-encoding", "chunked"),
        ("a value that is a line", "x-own", "GET /smuggled HTTP/1.1"),
    ] {
        cases.push(Case::new(rule.to_owned(), Fate::Taken).with(name.as_bytes(), value.as_bytes()));
    }
    let crumbs = Case::new("crumbs of a cookie".to_owned(), Fate::Taken);
    cases.push(crumbs.with(b"cookie", b"a=1").with(b"x-own", b"1").with(b"cookie", b"b=2"));
}

fn injections(cases: &mut Vec<Case>) {
    for (at, injection) in INJECTIONS.into_iter().enumerate() {
        let refused = |place: &str| Case::new(format!("injection {at} {place}"), Fate::Refused);
        cases.push(refused("in a value").with(b"x-own", injection));
        cases.push(refused("in a name").with(injection, b"v"));
        cases.push(refused("in a crumb").with(b"cookie", injection));
        cases.push(refused("in content-length").with(b"content-length", injection));
        cases.push(refused("in host").with(b"host", injection));
        cases.push(refused("in te").with(b"te", injection));
        cases.push(refused("in a trailer").trailing(b"x-own", injection));
        cases.push(refused("in a trailer's name").trailing(injection, b"v"));
        for name in [&b":path"[..], b":authority", b":method", b":scheme"] {
            let value =
                if name == b":path" { [b"/", injection].concat() } else { injection.to_vec() };
            let place = format!("in {}", String::from_utf8_lossy(name));
            cases.push(refused(&place).instead(name, &value));
        }
        // As content it is content, with trailers behind it too.
        let mut case = Case::new(format!("injection {at} in content"), Fate::Taken);
        case.content = injection.to_vec();
        cases.push(case);
        let mut case = Case::new(format!("injection {at} before trailers"), Fate::Taken);
        case.content = injection.to_vec();
        cases.push(case.trailing(b"x-own", b"1"));
    }
    for name in ["x-own", "cookie", "x-real-ip", "x-forwarded-for", "content_length"] {
        let case = Case::new(format!("a trailer {name}"), Fate::Taken);
        cases.push(case.trailing(name.as_bytes(), b"1"));
    }
    for name in [
        ":path",
        ":method",
        "transfer-encoding",
        "connection",
        "Content-Length",
        "te",
        "content-length",
        "host",
        "trailer",
        "authorization",
        "set-cookie",
        "via",
    ] {
        let case = Case::new(format!("a trailer {name}"), Fate::Refused);
        cases.push(case.trailing(name.as_bytes(), b"1"));
    }
}

/// The corpus.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    bytes_of_fields(&mut cases);
    bytes_of_pseudo_fields(&mut cases);
    framing_fields(&mut cases);
    injections(&mut cases);
    cases
}

/// A request of HTTP/1 as a strict reader sees it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub target: String,
    pub fields: Vec<(String, String)>,
    pub content: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

/// A line that ends with CR LF and has no other control byte; none if it is incomplete.
fn line<'b>(bytes: &mut &'b [u8]) -> Result<Option<&'b str>, String> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
    let line = line.strip_suffix(b"\r").ok_or("a bare line feed")?;
    if line.iter().any(|byte| *byte < b' ' && *byte != b'\t' || *byte == 0x7f) {
        return Err(format!("a control byte in {:?}", String::from_utf8_lossy(line)));
    }
    *bytes = rest;
    // The corpus has bytes beyond ASCII in values; here they only have to be skipped.
    Ok(Some(std::str::from_utf8(line).unwrap_or("x-not-ascii: 1")))
}

/// Fields up to the empty line.
fn fields(bytes: &mut &[u8]) -> Result<Option<Vec<(String, String)>>, String> {
    let mut fields = Vec::new();
    loop {
        match line(bytes)? {
            None => return Ok(None),
            Some("") => return Ok(Some(fields)),
            Some(line) => {
                let (name, value) = line.split_once(": ").or(line.split_once(':')).ok_or(line)?;
                let is_token = |byte: u8| is_of_name(byte.to_ascii_lowercase());
                if name.is_empty() || !name.bytes().all(is_token) {
                    return Err(format!("the name of {line:?}"));
                }
                fields.push((name.to_owned(), value.to_owned()));
            }
        }
    }
}

impl Message {
    /// Reads one off the front of bytes; none if it is incomplete.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &mut &[u8]) -> Result<Option<Self>, String> {
        let mut rest = *bytes;
        let Some(start) = line(&mut rest)? else { return Ok(None) };
        let words: Vec<&str> = start.split(' ').collect();
        let &[_, target, "HTTP/1.1"] = &words[..] else { return Err(format!("{start:?}")) };
        let target = target.to_owned();
        let Some(fields) = fields(&mut rest)? else { return Ok(None) };
        let value = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.clone())
        };
        let mut message = Self { target, ..Self::default() };
        if let Some(length) = value("content-length") {
            let length: usize = length.parse().map_err(|_| length)?;
            let Some((content, behind)) = rest.split_at_checked(length) else { return Ok(None) };
            (message.content, rest) = (content.to_vec(), behind);
        } else if let Some(coding) = value("transfer-encoding") {
            if coding != "chunked" {
                return Err(coding);
            }
            let Some(trailers) = chunks(&mut rest, &mut message.content)? else { return Ok(None) };
            message.trailers = trailers;
        }
        message.fields = fields;
        *bytes = rest;
        Ok(Some(message))
    }
}

fn chunks(
    bytes: &mut &[u8],
    content: &mut Vec<u8>,
) -> Result<Option<Vec<(String, String)>>, String> {
    loop {
        let Some(size) = line(bytes)? else { return Ok(None) };
        let size = usize::from_str_radix(size, 16).map_err(|_| size)?;
        if size == 0 {
            return fields(bytes);
        }
        let Some((chunk, rest)) = bytes.split_at_checked(size + 2) else { return Ok(None) };
        content.extend_from_slice(chunk.strip_suffix(b"\r\n").ok_or("a chunk without its end")?);
        *bytes = rest;
    }
}

/// What the codec makes of a case that comes in these pieces, as the head that a backend gets; none
/// if it is refused.
fn translated(case: &Case, pieces: [&[u8]; 2]) -> Option<Vec<u8>> {
    let mut connection = Connection::new(Role::Server, &Config::default());
    let mut section = Section::new();
    let mut written = None;
    let begin = [PREFACE, &frame(SETTINGS, NONE, 0, b"")].concat();
    for piece in [&begin[..], pieces[0], pieces[1]] {
        let mut rest = piece;
        loop {
            let received = connection.receive(rest, &mut section, Instant::default());
            rest = &rest[received.consumed..];
            match received.event {
                None => break,
                Some(Event::Request { .. }) => {
                    let mut room = FieldRoom::new();
                    let head = RequestHead::of_section(&section, &mut room, &Rules::default());
                    let Ok(head) = head else { return None };
                    let mut out = vec![0; 4_096];
                    let length = write_request(&head, &rewrite(), &mut out).expect("there is room");
                    out.truncate(length);
                    written = Some(out);
                }
                Some(Event::Data { .. }) => {}
                Some(Event::Trailers { .. }) => {
                    let mut room = FieldRoom::new();
                    let from = Peer::Client(UnderscoreNames::Drop);
                    let rules = TrailerRules { from, named_by_connection: None };
                    Trailers::of_section(&section, &mut room, &rules).ok()?;
                }
                Some(Event::Closed { fault }) => panic!("{}: {}", case.rule, fault.reason),
                Some(_) => return None,
            }
        }
    }
    written
}

fn rewrite() -> RequestRewrite<'static> {
    RequestRewrite {
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        client_is_trusted_proxy: false,
        proto: "http",
        via: None,
        client_certificate: &[],
        forward_upgrade: true,
        websocket_key: None,
    }
}

#[test]
fn no_byte_of_a_request_becomes_framing_at_its_backend_however_it_is_split() {
    let cases = cases();
    assert!(cases.len() > 1_000, "{}", cases.len());
    for case in &cases {
        let frames = case.frames(1);
        let whole = translated(case, [&frames, b""]);
        assert_eq!(whole.is_some(), case.fate == Fate::Taken, "{}", case.rule);
        for at in 0..frames.len() {
            let (first, second) = frames.split_at(at);
            assert!(translated(case, [first, second]) == whole, "{} at {at}", case.rule);
        }
        if let Some(head) = whole {
            let mut rest = &head[..];
            let start = line(&mut rest).expect("a line").expect("whole");
            assert_eq!(start.split(' ').count(), 3, "{}: {start}", case.rule);
            fields(&mut rest).expect("fields").expect("whole");
            assert!(rest.is_empty(), "{}: {:?} is behind the head", case.rule, rest.escape_ascii());
        }
    }
}
