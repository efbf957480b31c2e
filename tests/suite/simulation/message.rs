//! Requests and responses as clients and backends of the simulation write and read them.

use super::bytes::body;
use memchr::memmem;
use ringway::base::Prng;

/// What a backend does with a request; the request's path tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Length,
    Chunked,
    UntilClose,
    /// HTTP/1.0, and the end of the connection.
    Old,
    /// Some 103 before the answer.
    Interims,
    /// Answers before the request's body has come.
    Early,
    /// 101, and then bytes both ways.
    Upgrades,
    /// Answers, and ends the connection a while later.
    ClosesIdle,
    DiesBefore,
    DiesWithin,
    Garbage,
    Silent,
}

impl Mode {
    const ALL: [(Self, &str); 12] = [
        (Self::Length, "length"),
        (Self::Chunked, "chunked"),
        (Self::UntilClose, "until-close"),
        (Self::Old, "old"),
        (Self::Interims, "interims"),
        (Self::Early, "early"),
        (Self::Upgrades, "upgrades"),
        (Self::ClosesIdle, "closes-idle"),
        (Self::DiesBefore, "dies-before"),
        (Self::DiesWithin, "dies-within"),
        (Self::Garbage, "garbage"),
        (Self::Silent, "silent"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(mode, _)| *mode == self).expect("listed").1
    }

    fn of(name: &str) -> Self {
        Self::ALL.iter().find(|(_, n)| *n == name).expect("a mode").0
    }

    fn draw(has_faults: bool, prng: &mut Prng) -> Self {
        match prng.below(if has_faults { 15 } else { 10 }) {
            0..=2 => Self::Length,
            3 | 4 => Self::Chunked,
            5 => Self::UntilClose,
            6 => Self::Old,
            7 => Self::Interims,
            8 => Self::Early,
            9 => Self::Upgrades,
            10 => Self::ClosesIdle,
            11 => Self::DiesBefore,
            12 => Self::DiesWithin,
            13 => Self::Garbage,
            _ => Self::Silent,
        }
    }
}

/// Which pool a path leads to, and what may happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Nothing ever happens to it.
    Steady,
    /// Its backends come, go and change; one at least always serves.
    Flux,
    /// Its pool and its route come and go.
    Passing,
}

impl Area {
    pub const ALL: [Self; 3] = [Self::Steady, Self::Flux, Self::Passing];

    /// The place of its pool.
    pub fn index(self) -> usize {
        self as usize
    }

    /// True if its backends speak TLS.
    pub fn is_secure(self) -> bool {
        self == Self::Flux
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Flux => "flux",
            Self::Passing => "passing",
        }
    }
}

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Http11,
    /// One request, then the end.
    Http10,
    Http10KeepAlive,
    /// Requests on streams.
    Http2,
}

impl Dialect {
    /// True for HTTP/1.0.
    pub fn is_old(self) -> bool {
        matches!(self, Self::Http10 | Self::Http10KeepAlive)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub area: Area,
    pub client: u32,
    pub number: u32,
    pub dialect: Dialect,
    pub method: &'static str,
    /// Bytes of the request's body, or up the tunnel.
    pub body: usize,
    pub is_chunked: bool,
    pub expects_continue: bool,
    pub wants_upgrade: bool,
    /// Bytes of the answer's body, or down the tunnel.
    pub answer: usize,
    pub mode: Mode,
}

/// What is common to the requests of a client.
#[derive(Clone, Copy)]
pub struct Manner {
    pub area: Area,
    pub client: u32,
    pub dialect: Dialect,
    /// It comes to the listener that comes and goes.
    pub is_at_side: bool,
    pub has_faults: bool,
    pub size_max: usize,
}

impl Request {
    pub fn draw(manner: Manner, number: u32, prng: &mut Prng) -> Self {
        let Manner { area, client, dialect, has_faults, size_max, .. } = manner;
        let sizes = [0, 1, 200, 5_000, 40_000, 200_000];
        let mut size = || sizes[prng.below(6) as usize].min(size_max);
        let (body, answer) = (size(), size());
        let mode = Mode::draw(has_faults, prng);
        let is_http11 = dialect == Dialect::Http11;
        let is_tunnel = mode == Mode::Upgrades && is_http11;
        let mode = if mode == Mode::Upgrades && !is_tunnel { Mode::Length } else { mode };
        let methods = ["GET", "POST", "HEAD", "PUT"];
        let method = if is_tunnel { "GET" } else { methods[prng.below(4) as usize] };
        let has_body = matches!(method, "POST" | "PUT");
        let is_new = !dialect.is_old();
        Self {
            area,
            client,
            number,
            dialect,
            method,
            body: if has_body || is_tunnel { body } else { 0 },
            is_chunked: has_body && is_new && prng.one_in(2),
            expects_continue: has_body && body > 0 && is_new && prng.one_in(3),
            // Sometimes it is asked for and declined.
            wants_upgrade: is_tunnel || (!has_body && is_http11 && prng.one_in(12)),
            answer,
            mode,
        }
    }

    pub fn is_tunnel(&self) -> bool {
        self.mode == Mode::Upgrades
    }

    /// What the client sends: its request's body, or its way of the tunnel.
    pub fn up(&self) -> &'static [u8] {
        body(self.name() << 1, self.body)
    }

    /// What the backend sends.
    pub fn down(&self) -> &'static [u8] {
        body(self.name() << 1 | 1, self.answer)
    }

    fn name(&self) -> u64 {
        u64::from(self.client) << 16 | u64::from(self.number)
    }

    /// The head as the client writes it; in HTTP/2 it is what it means.
    pub fn head(&self) -> Vec<u8> {
        let Self { area, client, number, answer, mode, body, .. } = self;
        let version = if self.dialect.is_old() { "1.0" } else { "1.1" };
        let mut head = format!(
            "{} /{}/{client}/{number}/{answer}/{}/{body} HTTP/{version}\r\nHost: test\r\n",
            self.method,
            area.name(),
            mode.name()
        );
        if self.dialect == Dialect::Http10KeepAlive {
            head += "Connection: keep-alive\r\n";
        }
        if self.wants_upgrade {
            head += "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        }
        if self.expects_continue {
            head += "Expect: 100-continue\r\n";
        }
        if self.is_chunked {
            head += "Transfer-Encoding: chunked\r\n";
        } else if self.body > 0 && !self.is_tunnel() {
            head += &format!("Content-Length: {body}\r\n");
        }
        (head + "\r\n").into_bytes()
    }

    /// The body as the client frames it.
    pub fn framed_body(&self, prng: &mut Prng) -> Vec<u8> {
        match (self.is_tunnel(), self.is_chunked) {
            (true, _) => Vec::new(),
            (false, true) => chunks(self.up(), prng),
            (false, false) => self.up().to_vec(),
        }
    }

    /// What a backend reads from the head that it got.
    pub fn read(head: &Head) -> Self {
        let mut words = head.start.split(' ');
        let method = words.next().expect("a method");
        let parts: Vec<&str> = words.next().expect("a path").split('/').collect();
        let number = |at: usize| parts[at].parse::<usize>().expect("a number");
        let method = ["GET", "POST", "HEAD", "PUT"].into_iter().find(|known| *known == method);
        Self {
            area: *Area::ALL.iter().find(|area| area.name() == parts[1]).expect("an area"),
            client: number(2) as u32,
            number: number(3) as u32,
            dialect: Dialect::Http11,
            method: method.expect("a method that a client used"),
            body: number(6),
            is_chunked: head.is_chunked,
            expects_continue: head.expects_continue,
            wants_upgrade: head.is_upgrade,
            answer: number(4),
            mode: Mode::of(parts[5]),
        }
    }
}

/// A head, as far as the simulation looks at it.
pub struct Head {
    pub length: usize,
    pub start: String,
    pub content_length: Option<usize>,
    pub is_chunked: bool,
    pub closes: bool,
    pub keeps: bool,
    pub is_upgrade: bool,
    pub expects_continue: bool,
    pub forwarded_for: Vec<String>,
    pub hosts: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Sized(usize),
    Chunked,
    UntilClose,
}

impl Head {
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let length = memmem::find(bytes, b"\r\n\r\n")? + 4;
        let text = std::str::from_utf8(&bytes[..length]).expect("a head is text");
        let mut lines = text.split("\r\n");
        let mut head = Self {
            length,
            start: lines.next().expect("a line").to_owned(),
            content_length: None,
            is_chunked: false,
            closes: false,
            keeps: false,
            is_upgrade: false,
            expects_continue: false,
            forwarded_for: Vec::new(),
            hosts: 0,
        };
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            match name {
                "Content-Length" => head.content_length = value.parse().ok(),
                "Transfer-Encoding" => head.is_chunked = true,
                "Connection" => {
                    head.closes |= value == "close";
                    head.keeps |= value == "keep-alive";
                }
                "Upgrade" => head.is_upgrade = true,
                "Expect" => head.expects_continue = true,
                "X-Forwarded-For" => head.forwarded_for.push(value.to_owned()),
                "Host" => head.hosts += 1,
                _ => {}
            }
        }
        Some(head)
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }

    pub fn response_framing(&self, method: &str) -> Framing {
        match (method, self.is_chunked, self.content_length) {
            ("HEAD", ..) => Framing::Sized(0),
            (_, true, _) => Framing::Chunked,
            (_, false, Some(length)) => Framing::Sized(length),
            (_, false, None) => Framing::UntilClose,
        }
    }

    pub fn request_framing(&self) -> Framing {
        match self.is_chunked {
            true => Framing::Chunked,
            false => Framing::Sized(self.content_length.unwrap_or(0)),
        }
    }
}

/// A body in chunks of drawn sizes, which are written in any way that a reader must take.
pub fn chunks(bytes: &[u8], prng: &mut Prng) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let mut rest = bytes;
    let most = if bytes.len() > 20_000 { 30_000 } else { 3_000 };
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(1 + prng.below(most) as usize));
        out.extend_from_slice(size_line(chunk.len(), prng).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        rest = after;
    }
    let trailer = if prng.one_in(3) { "x-sum: 1\r\n" } else { "" };
    out.extend_from_slice(format!("{}{trailer}\r\n", size_line(0, prng)).as_bytes());
    out
}

fn size_line(size: usize, prng: &mut Prng) -> String {
    match prng.below(8) {
        0 => format!("{size:X}\r\n"),
        1 => format!("{size:05x}\r\n"),
        2 => format!("00{size:X} ;x=\"0A\"\r\n"),
        _ => format!("{size:x}\r\n"),
    }
}

/// The data of a whole chunked body and the length of its framing; none if it is not whole. Panics
/// if a size is not as the proxy writes it.
pub fn unchunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let line = memmem::find(&bytes[at..], b"\r\n")?;
        let text = std::str::from_utf8(&bytes[at..at + line]).expect("a size is text");
        let size = usize::from_str_radix(text, 16).expect("a size is hexadecimal");
        assert_eq!(text, format!("{size:x}"), "a size is written by the proxy");
        at += line + 2;
        if size == 0 {
            let rest = &bytes[at..];
            if rest.starts_with(b"\r\n") {
                return Some((data, at + 2));
            }
            let end = memmem::find(rest, b"\r\n\r\n")?;
            return Some((data, at + end + 4));
        }
        data.extend_from_slice(bytes.get(at..at + size)?);
        bytes.get(at + size..at + size + 2)?;
        at += size + 2;
    }
}

/// The data of a whole body and the length of its framing; none if it is not whole.
/// `ended`: nothing more will come.
pub fn whole_body(bytes: &[u8], framing: Framing, ended: bool) -> Option<(Vec<u8>, usize)> {
    match framing {
        Framing::Sized(length) => Some((bytes.get(..length)?.to_vec(), length)),
        Framing::Chunked => unchunk(bytes),
        Framing::UntilClose => ended.then(|| (bytes.to_vec(), bytes.len())),
    }
}
