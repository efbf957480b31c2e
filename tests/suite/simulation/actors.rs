//! Clients and backends of the simulation. Each byte of a body says whose it is, so that a byte
//! that reaches somebody else is seen.

use super::network::Network;
use ringway::base::Prng;
use ringway::engine::Close;
use std::collections::VecDeque;

/// How a response's body is framed, or how the backend fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Length,
    Chunked,
    UntilClose,
    DiesBefore,
    DiesWithin,
    Garbage,
}

impl Mode {
    const ALL: [(Self, char); 6] = [
        (Self::Length, 'l'),
        (Self::Chunked, 'c'),
        (Self::UntilClose, 'x'),
        (Self::DiesBefore, 'k'),
        (Self::DiesWithin, 'm'),
        (Self::Garbage, 'g'),
    ];

    fn letter(self) -> char {
        Self::ALL.iter().find(|(mode, _)| *mode == self).expect("listed").1
    }

    fn of(letter: char) -> Self {
        Self::ALL.iter().find(|(_, l)| *l == letter).expect("a letter of a mode").0
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub client: u32,
    pub number: u32,
    pub method: &'static str,
    pub body: usize,
    pub is_chunked: bool,
    pub answer: usize,
    pub mode: Mode,
}

/// The byte at a position of somebody's body.
fn token(client: u32, number: u32, at: usize, way: u32) -> u8 {
    (client.wrapping_mul(97) ^ number.wrapping_mul(31) ^ (at as u32).wrapping_mul(7) ^ way) as u8
}

fn body(client: u32, number: u32, length: usize, way: u32) -> Vec<u8> {
    (0..length).map(|at| token(client, number, at, way)).collect()
}

fn chunks(bytes: &[u8], prng: &mut Prng) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(1 + prng.below(3000) as usize));
        out.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        rest = after;
    }
    let trailer = if prng.one_in(3) { "x-sum: 1\r\n" } else { "" };
    out.extend(format!("0\r\n{trailer}\r\n").into_bytes());
    out
}

impl Request {
    pub fn draw(
        client: u32,
        number: u32,
        has_faults: bool,
        size_max: usize,
        prng: &mut Prng,
    ) -> Self {
        let sizes = [0, 1, 200, 5_000, 40_000, 200_000];
        let mut size = || sizes[prng.below(6) as usize].min(size_max);
        let (body_size, answer) = (size(), size());
        let method = ["GET", "POST", "HEAD", "PUT"][prng.below(4) as usize];
        let has_body = matches!(method, "POST" | "PUT");
        let mode = match prng.below(if has_faults { 8 } else { 5 }) {
            0 | 1 => Mode::Length,
            2 | 3 => Mode::Chunked,
            4 => Mode::UntilClose,
            5 => Mode::DiesBefore,
            6 => Mode::DiesWithin,
            _ => Mode::Garbage,
        };
        let body = if has_body { body_size } else { 0 };
        let is_chunked = has_body && prng.one_in(2);
        Self { client, number, method, body, is_chunked, answer, mode }
    }

    fn bytes(&self, prng: &mut Prng) -> Vec<u8> {
        let Self { client, number, method, answer, mode, .. } = self;
        let mut out = format!(
            "{method} /{client}/{number}/{answer}/{} HTTP/1.1\r\nHost: test\r\n",
            mode.letter()
        );
        let bytes = body(*client, *number, self.body, 0);
        if self.is_chunked {
            out += "Transfer-Encoding: chunked\r\n\r\n";
            return [out.into_bytes(), chunks(&bytes, prng)].concat();
        }
        if self.body > 0 {
            out += &format!("Content-Length: {}\r\n", self.body);
        }
        out += "\r\n";
        [out.into_bytes(), bytes].concat()
    }
}

/// How a client's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Running,
    /// All that it expected has come.
    Satisfied,
    /// Its connection was closed before.
    Cut,
    /// It went away by itself.
    Aborted,
}

pub struct Client {
    pub socket: i32,
    pub outcome: Outcome,
    pub answered: u32,
    pub errors: u32,
    outgoing: VecDeque<u8>,
    expected: VecDeque<Request>,
    received: Vec<u8>,
    seen: usize,
    aborts_one_in: u32,
    reads_one_in: u32,
}

impl Client {
    pub fn new(
        socket: i32,
        requests: Vec<Request>,
        aborts: u32,
        reads: u32,
        prng: &mut Prng,
    ) -> Self {
        let outgoing = requests.iter().flat_map(|request| request.bytes(prng)).collect();
        Self {
            socket,
            outcome: Outcome::Running,
            answered: 0,
            errors: 0,
            outgoing,
            expected: requests.into(),
            received: Vec::new(),
            seen: 0,
            aborts_one_in: aborts,
            reads_one_in: reads,
        }
    }

    /// What it waits for.
    pub fn picture(&self) -> String {
        let Self { outcome, outgoing, expected, received, .. } = self;
        let first = expected.front();
        format!("{outcome:?}, {} to send, {} got, next {first:?}", outgoing.len(), received.len())
    }

    /// Does a little; panics on a byte that is not its own.
    pub fn step(&mut self, network: &mut Network) {
        if self.outcome != Outcome::Running {
            return;
        }
        let length = network.prng.below(4_000) as usize;
        let aborts = network.prng.one_in(self.aborts_one_in);
        let reads = self.reads_one_in == 0 || network.prng.one_in(self.reads_one_in);
        let stream = network.streams.get_mut(&self.socket).expect("its own");
        if aborts {
            stream.actor_reset = true;
            self.outcome = Outcome::Aborted;
            return;
        }
        let length = length.min(self.outgoing.len());
        stream.to_proxy.extend(self.outgoing.drain(..length));
        if reads {
            self.received.append(&mut stream.to_actor);
        }
        let closed = stream.proxy_closed.filter(|_| stream.to_actor.is_empty());
        let has_ended = closed.is_some() || (stream.proxy_ended && stream.to_actor.is_empty());
        while self.take_answer(has_ended.then_some(closed.unwrap_or(Close::Graceful))) {}
        if self.expected.is_empty() {
            self.outcome = Outcome::Satisfied;
        } else if has_ended {
            self.outcome = Outcome::Cut;
        }
        if self.outcome != Outcome::Running {
            network.streams.get_mut(&self.socket).expect("its own").actor_ended = true;
        }
    }

    /// Takes one answer off what was received, if it is whole.
    fn take_answer(&mut self, ended: Option<Close>) -> bool {
        let Some(request) = self.expected.front().copied() else {
            assert_eq!(self.received.len(), self.seen, "bytes that nobody asked for");
            return false;
        };
        let Some(head) = Head::read(&self.received) else { return false };
        if head.status == 100 {
            self.received.drain(..head.length);
            return true;
        }
        let rest = &self.received[head.length..];
        let body = match head.framing(request.method) {
            Framing::Sized(length) if rest.len() < length => return false,
            Framing::Sized(length) => (rest[..length].to_vec(), length),
            Framing::Chunked => match unchunk(rest) {
                Some(whole) => whole,
                None => return false,
            },
            Framing::UntilClose => match ended {
                Some(Close::Graceful) => (rest.to_vec(), rest.len()),
                _ => return false,
            },
        };
        self.check(&request, head.status, &body.0);
        self.received.drain(..head.length + body.1);
        self.expected.pop_front();
        if head.closes {
            self.expected.truncate(0);
        }
        true
    }

    fn check(&mut self, request: &Request, status: u16, got: &[u8]) {
        if status != 200 {
            assert!(matches!(status, 502..=504), "status {status} for {request:?}");
            self.errors += 1;
            return;
        }
        assert!(
            !matches!(request.mode, Mode::DiesBefore | Mode::Garbage),
            "an answer to {request:?} that its backend never gave"
        );
        let length = if request.method == "HEAD" { 0 } else { request.answer };
        let expected = body(request.client, request.number, length, 1);
        assert!(got == expected, "foreign or missing bytes in the answer to {request:?}");
        assert!(request.mode != Mode::DiesWithin || length == 0, "{request:?} was cut short");
        self.answered += 1;
    }
}

struct Head {
    length: usize,
    status: u16,
    content_length: Option<usize>,
    is_chunked: bool,
    closes: bool,
}

enum Framing {
    Sized(usize),
    Chunked,
    UntilClose,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        let length = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = std::str::from_utf8(&bytes[..length]).expect("a head is text");
        let mut head =
            Self { length, status: 0, content_length: None, is_chunked: false, closes: false };
        for (at, line) in text.split("\r\n").enumerate() {
            match line.split_once(": ") {
                _ if at == 0 => {
                    head.status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
                }
                Some(("Content-Length", value)) => head.content_length = value.parse().ok(),
                Some(("Transfer-Encoding", _)) => head.is_chunked = true,
                Some(("Connection", value)) => head.closes = value == "close",
                _ => {}
            }
        }
        Some(head)
    }

    fn framing(&self, method: &str) -> Framing {
        match (method, self.is_chunked, self.content_length) {
            ("HEAD", ..) => Framing::Sized(0),
            (_, true, _) => Framing::Chunked,
            (_, false, Some(length)) => Framing::Sized(length),
            (_, false, None) => Framing::UntilClose,
        }
    }
}

/// The data of a whole chunked body and the length of its framing; none if it is not whole.
fn unchunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let line = bytes[at..].windows(2).position(|window| window == b"\r\n")?;
        let text = std::str::from_utf8(&bytes[at..at + line]).expect("a size is text");
        let size = usize::from_str_radix(text, 16).expect("a size is hexadecimal");
        at += line + 2;
        if size == 0 {
            let rest = &bytes[at..];
            if rest.starts_with(b"\r\n") {
                return Some((data, at + 2));
            }
            let end = rest.windows(4).position(|window| window == b"\r\n\r\n")?;
            return Some((data, at + end + 4));
        }
        data.extend_from_slice(bytes.get(at..at + size)?);
        bytes.get(at + size..at + size + 2)?;
        at += size + 2;
    }
}

/// A backend's end of one connection.
pub struct Backend {
    socket: i32,
    received: Vec<u8>,
    outgoing: VecDeque<u8>,
    ends_after: bool,
    dies_after: bool,
    pub is_over: bool,
}

impl Backend {
    pub fn new(socket: i32) -> Self {
        Self {
            socket,
            received: Vec::new(),
            outgoing: VecDeque::new(),
            ends_after: false,
            dies_after: false,
            is_over: false,
        }
    }

    pub fn step(&mut self, network: &mut Network) {
        let length = network.prng.below(6_000) as usize;
        let stream = network.streams.get_mut(&self.socket).expect("its own");
        if self.is_over {
            return;
        }
        if stream.proxy_closed.is_some() || stream.actor_reset {
            stream.actor_reset = true;
            self.is_over = true;
            return;
        }
        self.received.append(&mut stream.to_actor);
        let length = length.min(self.outgoing.len());
        stream.to_proxy.extend(self.outgoing.drain(..length));
        if self.outgoing.is_empty() && self.dies_after {
            stream.actor_reset = true;
            self.is_over = true;
        } else if self.outgoing.is_empty() && self.ends_after {
            stream.actor_ended = true;
        }
        if !self.ends_after && !self.dies_after {
            self.answer(&mut network.prng);
        }
    }

    /// Answers one request, if it is whole.
    fn answer(&mut self, prng: &mut Prng) {
        let Some(length) = self.received.windows(4).position(|window| window == b"\r\n\r\n") else {
            return;
        };
        let length = length + 4;
        let text =
            std::str::from_utf8(&self.received[..length]).expect("a head is text").to_owned();
        let mut words = text.split(' ');
        let (method, path) = (words.next().expect("method"), words.next().expect("path"));
        let parts: Vec<&str> = path.split('/').collect();
        let number = |at: usize| parts[at].parse::<u32>().expect("a number");
        let (client, request, answer) = (number(1), number(2), number(3) as usize);
        let mode = Mode::of(parts[4].chars().next().expect("a mode"));
        let rest = &self.received[length..];
        let sized = text.split("\r\n").find_map(|line| line.strip_prefix("Content-Length: "));
        let (got, used) = if text.contains("Transfer-Encoding: chunked") {
            let Some(whole) = unchunk(rest) else { return };
            whole
        } else {
            let length = sized.map_or(0, |length| length.parse().expect("a length"));
            if rest.len() < length {
                return;
            }
            (rest[..length].to_vec(), length)
        };
        assert_eq!(text.matches("\r\nHost: test\r\n").count(), 1, "{text}");
        assert!(text.contains("X-Forwarded-For: 192.0.2.1\r\n"), "{text}");
        assert!(got == body(client, request, got.len(), 0), "foreign bytes in a request body");
        self.received.drain(..length + used);
        let reply = self.reply(method, &body(client, request, answer, 1), mode, prng);
        self.outgoing.extend(reply);
    }

    fn reply(&mut self, method: &str, body: &[u8], mode: Mode, prng: &mut Prng) -> Vec<u8> {
        let is_head = method == "HEAD";
        let sized =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        let interim = if prng.one_in(5) { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
        match mode {
            Mode::Length if is_head => sized,
            Mode::Length => [interim.as_bytes(), &sized, body].concat(),
            Mode::Chunked => {
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                if is_head { head } else { [head, chunks(body, prng)].concat() }
            }
            Mode::UntilClose => {
                self.ends_after = true;
                let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
                if is_head { head } else { [&head, body].concat() }
            }
            Mode::DiesBefore => {
                self.dies_after = true;
                Vec::new()
            }
            Mode::DiesWithin => {
                self.dies_after = true;
                let cut = if is_head { 0 } else { body.len() / 2 };
                [&sized, &body[..cut]].concat()
            }
            Mode::Garbage => {
                self.ends_after = true;
                let kinds = [
                    "HTTP/1.1 99 No\r\n\r\n",
                    "HTTP/3.7 200 OK\r\n\r\n",
                    "hello\r\n\r\n",
                    "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
                    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                ];
                kinds[prng.below(kinds.len() as u32) as usize].as_bytes().to_vec()
            }
        }
    }
}
