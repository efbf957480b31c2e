//! A network that exists only in memory: sockets of the proxy on one side, actors on the other,
//! and between them bytes that arrive late, in pieces, or not at all, as the seed has it.

use ringway::base::{Instant, Prng};
use ringway::engine::{Close, Event, Failure, Key, More, Op, Socket};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

/// How mean the network is; drawn from the seed, so that some worlds are calm and some are not.
#[derive(Clone, Copy, Debug)]
pub struct Meanness {
    /// One in so many steps loses the receive ring for a moment; 0: never.
    pub no_buffers_one_in: u32,
    /// One in so many connects is refused.
    pub refuse_one_in: u32,
    /// Most bytes that one receive brings.
    pub receive_bytes_max: u32,
    /// One in so many events is held back to a later step.
    pub hold_back_one_in: u32,
    /// Bytes that a peer takes in one step; what is sent beyond waits.
    pub peer_bytes_max: usize,
}

/// One connection between the proxy and an actor.
pub struct Stream {
    /// From the actor to the proxy, sent but not received.
    pub to_proxy: VecDeque<u8>,
    /// The actor has ended its direction, after `to_proxy`.
    pub actor_ended: bool,
    /// The actor has cut the connection.
    pub actor_reset: bool,
    /// From the proxy to the actor, arrived.
    pub to_actor: Vec<u8>,
    /// Bytes that have arrived at the actor so far.
    pub arrived: u64,
    /// The proxy has ended its direction.
    pub proxy_ended: bool,
    /// The proxy has closed its socket, and how.
    pub proxy_closed: Option<Close>,
    /// The proxy's connect has been answered.
    pub is_connected: bool,
    receive: Option<Key>,
    poll: Option<Key>,
    send: Option<(Key, Vec<u8>, usize)>,
    connect: Option<Key>,
}

/// The whole network.
pub struct Network {
    pub now: Instant,
    pub prng: Prng,
    pub meanness: Meanness,
    pub streams: BTreeMap<i32, Stream>,
    pub backlog: VecDeque<i32>,
    accept: Option<(Socket, Key)>,
    next_socket: i32,
    ready: VecDeque<Event>,
    held: VecDeque<Event>,
    /// Connects that the proxy has begun since the driver last looked.
    pub connects: Vec<(i32, SocketAddr)>,
    /// Streams whose receives find no buffer.
    pub starved: BTreeSet<i32>,
    /// The next connect fails so, before it begins.
    pub next_socket_fails: Option<Failure>,
    /// The next connect fails so, once it has begun.
    pub next_connect_fails: Option<Failure>,
    /// The proxy has no descriptor left for what it accepts.
    pub is_out_of_descriptors: bool,
    /// The proxy has panicked: it may close what it has operations on.
    pub is_abandoned: bool,
}

pub const LISTENER: Socket = Socket(1);

impl Network {
    pub fn new(seed: u64, meanness: Meanness) -> Self {
        Self {
            now: Instant::from_nanos(1_000_000_000),
            prng: Prng::new(seed),
            meanness,
            streams: BTreeMap::new(),
            backlog: VecDeque::new(),
            accept: None,
            next_socket: 10,
            ready: VecDeque::new(),
            held: VecDeque::new(),
            connects: Vec::new(),
            starved: BTreeSet::new(),
            next_socket_fails: None,
            next_connect_fails: None,
            is_out_of_descriptors: false,
            is_abandoned: false,
        }
    }

    /// A new connection of a client; the proxy will find it in its backlog.
    pub fn client_connects(&mut self) -> i32 {
        let socket = self.add_stream();
        self.streams.get_mut(&socket).expect("just added").is_connected = true;
        self.backlog.push_back(socket);
        socket
    }

    fn add_stream(&mut self) -> i32 {
        let socket = self.next_socket;
        self.next_socket += 1;
        let stream = Stream {
            to_proxy: VecDeque::new(),
            actor_ended: false,
            actor_reset: false,
            to_actor: Vec::new(),
            arrived: 0,
            proxy_ended: false,
            proxy_closed: None,
            is_connected: false,
            receive: None,
            poll: None,
            send: None,
            connect: None,
        };
        self.streams.insert(socket, stream);
        socket
    }

    fn open_stream(&mut self, socket: Socket) -> &mut Stream {
        let stream = self.streams.get_mut(&socket.0).expect("a socket of this network");
        assert!(stream.proxy_closed.is_none(), "an operation on closed socket {}", socket.0);
        stream
    }

    // --- the proxy's side: what the engine's verbs do ---

    pub fn begin_accept(&mut self, listener: Socket, key: Key) {
        assert!(self.accept.replace((listener, key)).is_none(), "accept armed twice");
    }

    pub fn begin_connect(&mut self, address: SocketAddr, key: Key) -> Result<Socket, Failure> {
        if let Some(failure) = self.next_socket_fails.take() {
            return Err(failure);
        }
        let socket = self.add_stream();
        self.streams.get_mut(&socket).expect("just added").connect = Some(key);
        self.connects.push((socket, address));
        Ok(Socket(socket))
    }

    pub fn begin_receive(&mut self, socket: Socket, key: Key) {
        let was = self.open_stream(socket).receive.replace(key);
        assert!(was.is_none(), "receive armed twice on {}", socket.0);
    }

    pub fn begin_poll(&mut self, socket: Socket, key: Key) {
        let was = self.open_stream(socket).poll.replace(key);
        assert!(was.is_none(), "poll armed twice on {}", socket.0);
    }

    pub fn begin_send(&mut self, socket: Socket, key: Key, bytes: Vec<u8>) {
        assert!(!bytes.is_empty(), "an empty send");
        let stream = self.open_stream(socket);
        assert!(!stream.proxy_ended, "a send after the end of the direction");
        assert!(stream.send.replace((key, bytes, 0)).is_none(), "two sends at once");
    }

    pub fn end_write(&mut self, socket: Socket) {
        let stream = self.open_stream(socket);
        assert!(stream.send.is_none(), "ended while a send is in flight");
        stream.proxy_ended = true;
    }

    pub fn close(&mut self, socket: Socket, how: Close) {
        if socket == LISTENER {
            assert!(self.accept.is_none(), "the listener is closed while it accepts");
            return;
        }
        let is_abandoned = self.is_abandoned;
        let stream = self.open_stream(socket);
        let is_quiet = stream.receive.is_none()
            && stream.poll.is_none()
            && stream.send.is_none()
            && stream.connect.is_none();
        assert!(is_quiet || is_abandoned, "socket {} closed with an operation in flight", socket.0);
        stream.proxy_closed = Some(how);
    }

    pub fn cancel(&mut self, op: Op, key: Key) {
        if op == Op::Accept && self.accept.is_some_and(|(_, armed)| armed == key) {
            self.accept = None;
            return self.push(Event::AcceptEnded { key, failure: Failure::Cancelled });
        }
        let cancelled = Failure::Cancelled;
        let mut event = None;
        for stream in self.streams.values_mut() {
            event = match op {
                Op::Receive if stream.receive == Some(key) => {
                    stream.receive = None;
                    Some(Event::ReceiveEnded { key, failure: Some(cancelled) })
                }
                Op::Poll if stream.poll == Some(key) => {
                    stream.poll = None;
                    Some(Event::Readable { key })
                }
                Op::Connect if stream.connect == Some(key) => {
                    stream.connect = None;
                    Some(Event::Connected { key, result: Err(cancelled) })
                }
                Op::Send if stream.send.as_ref().is_some_and(|send| send.0 == key) => {
                    stream.send = None;
                    Some(Event::Sent { key, result: Err(cancelled) })
                }
                _ => continue,
            };
            break;
        }
        if let Some(event) = event {
            self.push(event);
        }
    }

    /// Whether the proxy has a receive, and whether it has a poll, in flight on a socket.
    pub fn armed(&self, socket: i32) -> (bool, bool) {
        let stream = &self.streams[&socket];
        (stream.receive.is_some(), stream.poll.is_some())
    }

    // --- time and events ---

    /// Events reach the proxy in the order of their causes, but not always at once.
    fn push(&mut self, event: Event) {
        if !self.held.is_empty() || self.prng.one_in(self.meanness.hold_back_one_in) {
            self.held.push_back(event);
        } else {
            self.ready.push_back(event);
        }
    }

    pub fn next_event(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    pub fn has_events(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Lets one step's worth of things happen. `acquire` gives a receive buffer filled with the
    /// bytes, or none.
    pub fn step(&mut self, mut acquire: impl FnMut(&[u8]) -> Option<ringway::engine::BufferId>) {
        let held = std::mem::take(&mut self.held);
        self.ready.extend(held);
        self.step_accept();
        let sockets: Vec<i32> = self.streams.keys().copied().collect();
        for socket in sockets {
            self.step_connect(socket);
            self.step_send(socket);
            self.step_receive(socket, &mut acquire);
        }
    }

    fn step_accept(&mut self) {
        let Some((_, key)) = self.accept else { return };
        if self.is_out_of_descriptors && !self.backlog.is_empty() {
            self.accept = None;
            return self.push(Event::AcceptEnded { key, failure: Failure::OutOfDescriptors });
        }
        while let Some(socket) = self.backlog.pop_front() {
            self.push(Event::Accepted { key, socket: Socket(socket), more: true });
        }
    }

    fn step_connect(&mut self, socket: i32) {
        let refused = self.prng.one_in(self.meanness.refuse_one_in);
        let stream = self.streams.get_mut(&socket).expect("listed");
        let Some(key) = stream.connect else { return };
        let failure = self.next_connect_fails.take();
        if !stream.is_connected && !refused && !stream.actor_reset && failure.is_none() {
            return; // the driver has not answered yet
        }
        stream.connect = None;
        let result = match failure {
            None if stream.is_connected => Ok(()),
            failure => Err(failure.unwrap_or(Failure::Refused)),
        };
        if result.is_err() {
            stream.actor_reset = true;
        }
        self.push(Event::Connected { key, result });
    }

    fn step_send(&mut self, socket: i32) {
        let most = self.meanness.peer_bytes_max;
        let stream = self.streams.get_mut(&socket).expect("listed");
        let Some((key, bytes, done)) = &mut stream.send else { return };
        let key = *key;
        if stream.actor_reset {
            stream.send = None;
            return self.push(Event::Sent { key, result: Err(Failure::Reset) });
        }
        let end = bytes.len().min(*done + most);
        stream.arrived += (end - *done) as u64;
        stream.to_actor.extend_from_slice(&bytes[*done..end]);
        *done = end;
        if end == bytes.len() {
            let sent = bytes.len() as u32;
            stream.send = None;
            self.push(Event::Sent { key, result: Ok(sent) });
        }
    }

    fn step_receive(
        &mut self,
        socket: i32,
        acquire: &mut impl FnMut(&[u8]) -> Option<ringway::engine::BufferId>,
    ) {
        let loses_ring =
            self.prng.one_in(self.meanness.no_buffers_one_in) || self.starved.contains(&socket);
        let most = 1 + self.prng.below(self.meanness.receive_bytes_max) as usize;
        let stream = self.streams.get_mut(&socket).expect("listed");
        let has_news = !stream.to_proxy.is_empty() || stream.actor_ended || stream.actor_reset;
        if let (Some(key), true) = (stream.poll, has_news) {
            stream.poll = None;
            self.push(Event::Readable { key });
            return;
        }
        let (Some(key), true) = (stream.receive, has_news) else { return };
        let event = if stream.actor_reset {
            stream.receive = None;
            Event::ReceiveEnded { key, failure: Some(Failure::Reset) }
        } else if stream.to_proxy.is_empty() {
            stream.receive = None;
            Event::ReceiveEnded { key, failure: None }
        } else {
            let length = most.min(stream.to_proxy.len());
            let bytes: Vec<u8> = stream.to_proxy.iter().take(length).copied().collect();
            match if loses_ring { None } else { acquire(&bytes) } {
                None => {
                    stream.receive = None;
                    Event::ReceiveEnded { key, failure: Some(Failure::NoBuffers) }
                }
                Some(buffer) => {
                    stream.to_proxy.drain(..length);
                    let more = More { armed: true, readable: !stream.to_proxy.is_empty() };
                    Event::Received { key, buffer, length: length as u32, more }
                }
            }
        };
        self.push(event);
    }
}
