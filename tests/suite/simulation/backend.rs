//! A backend's end of one connection. It does what the path of each request tells it to.

use super::bytes::Pipe;
use super::message::{Area, Framing, Head, Mode, Request, chunks, whole_body};
use super::network::{Mark, Network};
use super::pools::pool_of;
use super::secured::Secured;
use ringway::base::{Instant, Prng};
use std::net::SocketAddr;
use std::time::Duration;

/// What it does once all that it has to send is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    End,
    Die,
}

pub struct Backend {
    pub socket: i32,
    pub address: SocketAddr,
    pub is_over: bool,
    /// Requests whose head has come since the driver last looked: what their shard knew.
    pub begun: Vec<(Request, Mark)>,
    received: Pipe,
    outgoing: Pipe,
    /// Its TLS, where its pool has that.
    secured: Option<Box<Secured>>,
    /// Bytes taken off `received` so far.
    consumed: u64,
    current: Option<(Request, Framing)>,
    is_answered: bool,
    then: Then,
    ends_at: Option<Instant>,
    /// It ends in the middle of the next request, where the network has that.
    ends_at_send: bool,
    tunnel: Option<Request>,
}

impl Backend {
    pub fn new(socket: i32, address: SocketAddr) -> Self {
        Self {
            socket,
            address,
            is_over: false,
            begun: Vec::new(),
            received: Pipe::default(),
            outgoing: Pipe::default(),
            secured: area_of(address).is_secure().then(|| Secured::new().into()),
            consumed: 0,
            current: None,
            is_answered: false,
            then: Then::GoOn,
            ends_at: None,
            ends_at_send: false,
            tunnel: None,
        }
    }

    /// When it goes on by itself.
    pub fn wake(&self) -> Option<Instant> {
        self.ends_at.filter(|_| !self.is_over)
    }

    /// Does a little; panics on a byte that should not be there. True if it has more to do.
    pub fn step(&mut self, network: &mut Network) -> bool {
        if self.is_over {
            return false;
        }
        let length = network.prng.below(8_000) as usize;
        let now = network.now;
        let stream = network.streams.get_mut(&self.socket).expect("its own");
        let is_busy = !stream.to_actor.is_empty() || !self.outgoing.is_empty();
        match &mut self.secured {
            None => drop(stream.to_actor.move_to(&mut self.received, usize::MAX)),
            Some(secured) => secured.hear(stream, &mut self.received),
        }
        let proxy_ended = stream.proxy_ended;
        if stream.proxy_closed.is_some() || stream.actor_reset {
            self.read_tunnel(false);
            let stream = network.streams.get_mut(&self.socket).expect("its own");
            stream.actor_reset = true;
            self.is_over = true;
            return true;
        }
        match &mut self.secured {
            None => drop(self.outgoing.move_to(&mut stream.to_proxy, length)),
            Some(secured) => {
                let length = length.min(self.outgoing.len());
                secured.say(&self.outgoing.front()[..length], stream);
                self.outgoing.skip(length);
            }
        }
        let is_time = self.ends_at.is_some_and(|at| at <= now) && self.current.is_none();
        if self.outgoing.is_empty() && self.then == Then::Die {
            stream.actor_reset = true;
            self.is_over = true;
        } else if self.outgoing.is_empty() && (self.then == Then::End || is_time) {
            if let Some(secured) = self.secured.as_mut().filter(|_| !stream.actor_ended) {
                secured.end(stream);
            }
            stream.actor_ended = true;
            self.ends_at = None;
        }
        if self.outgoing.is_empty() && std::mem::take(&mut self.ends_at_send) {
            network.ends_at_send.insert(self.socket, String::new());
        }
        let stream = network.streams.get_mut(&self.socket).expect("its own");
        let marks = std::mem::take(&mut stream.marks);
        if self.tunnel.is_some() {
            self.read_tunnel(proxy_ended);
        } else if self.then == Then::GoOn {
            self.read_head(&marks, now, &mut network.prng);
            self.read_body(now, &mut network.prng);
            self.ends_at_send &= network.meanness.sends_short_one_in > 0;
        }
        network.streams.get_mut(&self.socket).expect("its own").marks = marks;
        is_busy
    }

    fn consume(&mut self, count: usize) {
        self.received.skip(count);
        self.consumed += count as u64;
    }

    fn read_head(&mut self, marks: &[Mark], now: Instant, prng: &mut Prng) {
        if self.current.is_some() {
            return;
        }
        let Some(head) = Head::read(self.received.front()) else { return };
        let request = Request::read(&head);
        assert_eq!(head.hosts, 1, "{}", head.start);
        let client = super::plan::client_address(request.client).ip().to_string();
        assert_eq!(head.forwarded_for, [client], "the client of {}", head.start);
        assert!(head.start.ends_with(" HTTP/1.1"), "{}", head.start);
        let mark = match &self.secured {
            None => marks.iter().find(|mark| mark.offset == self.consumed),
            Some(secured) => {
                let begin = secured.begin_of(self.consumed);
                marks.iter().rev().find(|mark| mark.offset <= begin)
            }
        };
        let mark = *mark.expect("a request begins with a send");
        self.begun.push((request, Mark { offset: self.consumed, ..mark }));
        self.consume(head.length);
        self.current = Some((request, head.request_framing()));
        self.is_answered = false;
        match request.mode {
            Mode::Early => {
                let reply = self.reply(&request, now, prng);
                self.outgoing.push(&reply);
                self.is_answered = true;
            }
            Mode::DiesBefore | Mode::Silent => {}
            _ if head.expects_continue => self.outgoing.push(b"HTTP/1.1 100 Continue\r\n\r\n"),
            _ => {}
        }
    }

    /// Answers the request whose body is whole.
    fn read_body(&mut self, now: Instant, prng: &mut Prng) {
        let Some((request, framing)) = self.current else { return };
        let Some((got, length)) = whole_body(self.received.front(), framing, false) else { return };
        let expected = if request.is_tunnel() { &[] } else { request.up() };
        assert!(got == expected, "foreign or missing bytes in the body of {request:?}");
        self.consume(length);
        self.current = None;
        if !self.is_answered {
            let reply = self.reply(&request, now, prng);
            self.outgoing.push(&reply);
        }
    }

    /// Bytes through a tunnel. `has_ended`: the client has ended its way.
    fn read_tunnel(&mut self, has_ended: bool) {
        let Some(request) = self.tunnel else { return };
        let (got, up) = (self.received.front(), request.up());
        assert!(got.len() <= up.len(), "more than the client sent into the tunnel");
        assert!(got == &up[..got.len()], "foreign bytes in the tunnel of {request:?}");
        if has_ended {
            assert_eq!(got.len(), up.len(), "the end came before the bytes: {request:?}");
            self.then = Then::End;
        }
    }

    fn reply(&mut self, request: &Request, now: Instant, prng: &mut Prng) -> Vec<u8> {
        let is_head = request.method == "HEAD";
        let body = request.down();
        let shown = if is_head { &[] } else { body };
        let sized = |version: &str, more: &str| {
            let length = body.len();
            format!("HTTP/{version} 200 OK\r\n{more}Content-Length: {length}\r\n\r\n").into_bytes()
        };
        let interim = if prng.one_in(5) { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
        let early_hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";
        match request.mode {
            Mode::Length => [interim.as_bytes(), &sized("1.1", ""), shown].concat(),
            Mode::Interims => {
                let hints = early_hints.repeat(1 + prng.below(3) as usize);
                [hints.as_bytes(), &sized("1.1", ""), shown].concat()
            }
            Mode::Early => [&sized("1.1", ""), shown].concat(),
            Mode::ClosesIdle => {
                match prng.one_in(2) {
                    true => self.ends_at_send = true,
                    false => {
                        self.ends_at = Some(now + Duration::from_millis(prng.below(3_000).into()))
                    }
                }
                [&sized("1.1", ""), shown].concat()
            }
            Mode::Chunked => {
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                if is_head { head } else { [head, chunks(body, prng)].concat() }
            }
            Mode::UntilClose => {
                self.then = Then::End;
                [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", shown].concat()
            }
            Mode::Old => {
                self.then = Then::End;
                [&sized("1.0", ""), shown].concat()
            }
            Mode::Upgrades => self.switch(request, body, prng),
            Mode::DiesBefore => {
                self.then = Then::Die;
                Vec::new()
            }
            Mode::DiesWithin => {
                self.then = Then::Die;
                [&sized("1.1", ""), &shown[..shown.len() / 2]].concat()
            }
            Mode::Garbage => {
                self.then = Then::End;
                garbage(request, prng)
            }
            Mode::Silent => Vec::new(),
        }
    }

    fn switch(&mut self, request: &Request, body: &[u8], prng: &mut Prng) -> Vec<u8> {
        assert!(request.wants_upgrade, "nobody asked for a tunnel: {request:?}");
        self.tunnel = Some(*request);
        if prng.one_in(2) {
            self.then = Then::End;
        }
        let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                     Upgrade: websocket\r\n\r\n";
        [head, body].concat()
    }
}

fn garbage(request: &Request, prng: &mut Prng) -> Vec<u8> {
    let kinds = [
        "HTTP/1.1 99 No\r\n\r\n",
        "HTTP/3.7 200 OK\r\n\r\n",
        "hello\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ];
    // The last one is none for who asked for it.
    let count = kinds.len() - usize::from(request.wants_upgrade);
    kinds[prng.below(count as u32) as usize].as_bytes().to_vec()
}

/// The area of a backend.
pub fn area_of(backend: SocketAddr) -> Area {
    Area::ALL[pool_of(backend)]
}
