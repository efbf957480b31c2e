//! A network that exists only in memory: sockets of the shards on one side, actors on the other,
//! and between them bytes that arrive late, in pieces, or not at all, as the seed has it.
//!
//! Here are the sockets and the verbs of engines; `kernel` has what happens to them by itself.

use super::bytes::Pipe;
use super::datagrams::Datagrams;
use ringway::base::{Generation, Instant, Prng};
use ringway::engine::{Close, Event, Failure, Key, Op, Socket, Source};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// How mean the network is; drawn from the seed, so that some worlds are calm and some are not.
/// `one_in`: once in so many times on average; 0: never.
#[derive(Clone, Copy, Debug)]
pub struct Meanness {
    /// A receive finds the ring empty for a moment.
    pub no_buffers_one_in: u32,
    /// Most bytes that one receive brings.
    pub receive_bytes_max: u32,
    /// An event, and all after it, is held back to a later step.
    pub hold_back_one_in: u32,
    /// Bytes that a peer takes in one step; what is sent beyond waits.
    pub peer_bytes_max: usize,
    /// A shard has no turn in a round.
    pub misses_turn_one_in: u32,
    /// A connect fails, in any of its ways.
    pub connect_fails_one_in: u32,
    /// An accept fails for want of descriptors.
    pub accept_fails_one_in: u32,
    /// An accept or a receive that would go on ends with what it brings.
    pub ends_early_one_in: u32,
    /// A send to a peer that has ended its direction ends in the middle: the peer is gone.
    pub sends_short_one_in: u32,
    /// A peer acknowledges nothing before it reads it.
    pub acknowledges_late_one_in: u32,
}

impl Meanness {
    /// That of a world. `receive_bytes`: what the longest receive is chosen from.
    pub fn draw(prng: &mut Prng, has_faults: bool, receive_bytes: [u32; 4]) -> Self {
        let mut pick = |choices: [u32; 4]| choices[prng.below(4) as usize];
        let fault = |one_in| if has_faults { one_in } else { 0 };
        Self {
            no_buffers_one_in: pick([0, 0, 3, 50]),
            receive_bytes_max: pick(receive_bytes),
            hold_back_one_in: pick([0, 2, 5, 20]),
            peer_bytes_max: pick([100, 5_000, 100_000, 100_000]) as usize,
            misses_turn_one_in: pick([0, 0, 2, 10]),
            connect_fails_one_in: fault(pick([0, 3, 10, 30])),
            accept_fails_one_in: pick([0, 0, 3, 10]),
            ends_early_one_in: pick([0, 5, 20, 50]),
            sends_short_one_in: fault(pick([0, 1, 2, 4])),
            acknowledges_late_one_in: pick([0, 1, 2, 4]),
        }
    }
}

/// How a connect of a shard will go.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// Well, after so many steps.
    Connects(u32),
    Fails(u32, Failure),
    /// Never; its shard has to give up.
    Hangs,
}

/// An operation in flight.
#[derive(Clone, Copy)]
pub(super) struct Armed {
    pub(super) key: Key,
    /// Tells whether it was asked for before a cancel.
    pub(super) sequence: u64,
}

pub(super) struct Sending {
    pub(super) armed: Armed,
    pub(super) bytes: Vec<u8>,
    pub(super) done: usize,
    /// Its last bytes wait for the end of the stream.
    pub(super) is_last: bool,
}

/// What a shard worked with when it began to send something.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Bytes sent on the connection before.
    pub offset: u64,
    pub shard: usize,
    /// The turn of the shard.
    pub turn: u64,
    /// In force at its beginning.
    pub before: Generation,
}

/// One connection between a shard and an actor.
pub struct Stream {
    /// The actor's address.
    pub peer: SocketAddr,
    /// Sent by the actor, not received by the shard.
    pub to_proxy: Pipe,
    /// The actor has ended its direction, after `to_proxy`.
    pub actor_ended: bool,
    /// The actor has cut the connection.
    pub actor_reset: bool,
    /// From the shard, arrived.
    pub to_actor: Pipe,
    /// From the shard, waiting for the end of its direction to travel with it.
    pub(super) corked: Vec<u8>,
    /// Bytes that have arrived at the actor so far.
    pub arrived: u64,
    /// The shard has ended its direction.
    pub proxy_ended: bool,
    /// The shard has closed its socket, and how.
    pub proxy_closed: Option<Close>,
    /// There was more to read then: its peer sees a reset.
    pub was_unread: bool,
    /// What the actor had not acknowledged was lost.
    pub was_lost: bool,
    /// Beginnings of sends to a backend.
    pub marks: Vec<Mark>,
    pub is_connected: bool,
    pub(super) sent: u64,
    /// The shard that uses it: no other one may.
    pub(super) user: Option<usize>,
    pub(super) receive: Option<Armed>,
    pub(super) poll: Option<Armed>,
    pub(super) send: Option<Sending>,
    pub(super) connect: Option<(Armed, Fate)>,
}

/// A listening socket of one shard.
pub struct Door {
    pub address: SocketAddr,
    pub shard: usize,
    pub backlog: VecDeque<i32>,
    pub is_closed: bool,
    pub(super) accept: Option<Armed>,
    /// Its accept goes on after the first.
    pub(super) takes_many: bool,
}

/// What the network keeps of a shard.
#[derive(Default)]
pub struct Lane {
    pub turn: u64,
    /// Generation in force when its turn began.
    pub before: Generation,
    /// By turn: the generation that was taken in it.
    pub taken: BTreeMap<u64, Generation>,
    /// Until when it would have waited in its last turn.
    pub deadline: Instant,
    pub(super) cancels: Vec<(Op, Key, u64)>,
    pub(super) ready: VecDeque<Event>,
    pub(super) held: VecDeque<Event>,
}

impl Lane {
    /// Its shard is over: time does not wait for it, and nothing may be on its way to it.
    pub fn end(&mut self) {
        self.deadline = Instant::from_nanos(u64::MAX);
        self.cancels.clear();
        let is_empty = self.ready.is_empty() && self.held.is_empty();
        assert!(is_empty, "a shard is over before {:?}, {:?}", self.ready, self.held);
    }
}

pub struct Network {
    pub now: Instant,
    pub prng: Prng,
    pub meanness: Meanness,
    pub streams: BTreeMap<i32, Stream>,
    pub doors: BTreeMap<i32, Door>,
    pub lanes: Vec<Lane>,
    pub datagrams: Datagrams,
    /// Rises with everything that happens: time passes only when nothing does.
    pub activity: u64,
    /// Connections that backends have accepted and nobody serves yet.
    pub arrivals: Vec<i32>,
    /// Connects that shards have begun since the driver last looked.
    pub connects: Vec<(i32, SocketAddr, Mark)>,
    /// Where connections and flows to backends come from.
    pub sources: BTreeMap<i32, Source>,
    /// Connections whose peers are probed, and after which silence.
    pub kept_alive: BTreeMap<i32, Duration>,
    /// Streams whose actors acknowledge nothing before they read it: with a reset it is lost.
    pub slow_to_acknowledge: BTreeSet<i32>,
    /// Streams whose receives find no buffer.
    pub starved: BTreeSet<i32>,
    /// How the next connect will go, if it is not drawn.
    pub next_fate: Option<Fate>,
    /// Backends accept connections.
    pub accepts: bool,
    /// Peers that end their direction when they are sent something, and what they say before.
    pub ends_at_send: BTreeMap<i32, String>,
    /// Peers that cut the connection when they are sent something, before they take any of it.
    pub resets_at_send: BTreeSet<i32>,
    /// A backend that refuses connections.
    pub refusing: Option<SocketAddr>,
    /// Backends accept no connection, for this reason.
    pub refuses_all: Option<Failure>,
    /// Shards have no descriptor left for what they accept.
    pub is_out_of_descriptors: bool,
    /// The shard has panicked: it may close what it has operations on.
    pub is_abandoned: bool,
    /// Events that shards have taken.
    pub taken: u64,
    /// Clients that were gone when they were accepted.
    pub gone_at_accept: u64,
    /// Polls armed so far.
    pub polls: u64,
    next_socket: i32,
    sequence: u64,
}

impl Network {
    pub fn new(seed: u64, meanness: Meanness, shards: usize) -> Self {
        Self {
            now: Instant::from_nanos(1_000_000_000),
            prng: Prng::new(seed),
            meanness,
            streams: BTreeMap::new(),
            doors: BTreeMap::new(),
            lanes: (0..shards).map(|_| Lane::default()).collect(),
            datagrams: Datagrams::default(),
            activity: 0,
            arrivals: Vec::new(),
            connects: Vec::new(),
            sources: BTreeMap::new(),
            kept_alive: BTreeMap::new(),
            slow_to_acknowledge: BTreeSet::new(),
            starved: BTreeSet::new(),
            next_fate: None,
            accepts: true,
            ends_at_send: BTreeMap::new(),
            resets_at_send: BTreeSet::new(),
            refusing: None,
            refuses_all: None,
            is_out_of_descriptors: false,
            is_abandoned: false,
            taken: 0,
            gone_at_accept: 0,
            polls: 0,
            next_socket: 10,
            sequence: 0,
        }
    }

    pub(super) fn number(&mut self) -> i32 {
        self.next_socket += 1;
        self.next_socket
    }

    /// A listening socket for a shard.
    pub fn open_door(&mut self, address: SocketAddr, shard: usize) -> Socket {
        let number = self.number();
        let door = Door {
            address,
            shard,
            backlog: VecDeque::new(),
            is_closed: false,
            accept: None,
            takes_many: false,
        };
        self.doors.insert(number, door);
        Socket(number)
    }

    /// A new connection of a client, in the backlog of one of the listening sockets of an
    /// address; none if there is none. `prefers`: the shard that the kernel's hash favours.
    pub fn client_connects(
        &mut self,
        client: SocketAddr,
        to: SocketAddr,
        prefers: Option<usize>,
    ) -> Option<i32> {
        let is_open = |door: &&Door| !door.is_closed && door.address == to;
        let favoured = |door: &Door| prefers.is_none_or(|shard| shard == door.shard);
        let doors = self.doors.iter().filter(|(_, door)| is_open(door));
        let (favourites, others): (Vec<_>, Vec<_>) = doors.partition(|(_, door)| favoured(door));
        let doors = if favourites.is_empty() { others } else { favourites };
        let doors: Vec<i32> = doors.into_iter().map(|(number, _)| *number).collect();
        let door = *doors.get(self.prng.below(doors.len() as u32) as usize)?;
        let socket = self.add_stream(client);
        self.streams.get_mut(&socket).expect("just added").is_connected = true;
        self.doors.get_mut(&door).expect("listed").backlog.push_back(socket);
        self.activity += 1;
        Some(socket)
    }

    fn add_stream(&mut self, peer: SocketAddr) -> i32 {
        let socket = self.number();
        if self.prng.one_in(self.meanness.acknowledges_late_one_in) {
            self.slow_to_acknowledge.insert(socket);
        }
        let stream = Stream {
            peer,
            to_proxy: Pipe::default(),
            actor_ended: false,
            actor_reset: false,
            to_actor: Pipe::default(),
            corked: Vec::new(),
            arrived: 0,
            proxy_ended: false,
            proxy_closed: None,
            was_unread: false,
            was_lost: false,
            marks: Vec::new(),
            is_connected: false,
            sent: 0,
            user: None,
            receive: None,
            poll: None,
            send: None,
            connect: None,
        };
        self.streams.insert(socket, stream);
        socket
    }

    /// Forgets connections that both sides have left.
    pub fn bury(&mut self, is_left: impl Fn(i32) -> bool) {
        self.streams.retain(|socket, stream| stream.proxy_closed.is_none() || !is_left(*socket));
        self.slow_to_acknowledge.retain(|socket| self.streams.contains_key(socket));
        self.resets_at_send.retain(|socket| self.streams.contains_key(socket));
    }

    // --- verbs of engines ---

    pub(super) fn arm(&mut self, key: Key) -> Armed {
        self.sequence += 1;
        self.activity += 1;
        Armed { key, sequence: self.sequence }
    }

    /// The open stream that a shard is about to use.
    fn used_stream(&mut self, shard: usize, socket: Socket) -> &mut Stream {
        let stream = self.streams.get_mut(&socket.0).expect("a socket of this network");
        assert!(stream.proxy_closed.is_none(), "an operation on closed socket {}", socket.0);
        let user = *stream.user.get_or_insert(shard);
        assert_eq!(user, shard, "two shards use socket {}", socket.0);
        stream
    }

    pub fn begin_accept(&mut self, shard: usize, listener: Socket, key: Key, takes_many: bool) {
        let armed = self.arm(key);
        let door = self.doors.get_mut(&listener.0).expect("a listening socket");
        assert!(!door.is_closed && door.shard == shard, "accept on a socket of somebody else");
        assert!(door.accept.replace(armed).is_none(), "accept armed twice");
        door.takes_many = takes_many;
    }

    pub fn accept_now(&mut self, listener: Socket) -> Option<Socket> {
        let door = self.doors.get_mut(&listener.0).expect("a listening socket");
        assert!(!door.is_closed, "accept on a closed listener");
        door.backlog.pop_front().map(Socket)
    }

    /// The client's address; none if it has cut the connection already.
    pub fn peer_address(&mut self, socket: Socket) -> Option<SocketAddr> {
        let stream = self.streams.get(&socket.0)?;
        if stream.actor_reset {
            self.gone_at_accept += 1;
            return None;
        }
        Some(stream.peer)
    }

    pub fn begin_connect(
        &mut self,
        shard: usize,
        address: SocketAddr,
        key: Key,
    ) -> Result<Socket, Failure> {
        let fate = self.draw_fate(address);
        if let Fate::Fails(0, failure) = fate {
            return Err(failure);
        }
        let armed = self.arm(key);
        let socket = self.add_stream(address);
        let mark = self.mark(shard, 0);
        self.connects.push((socket, address, mark));
        let stream = self.used_stream(shard, Socket(socket));
        stream.connect = Some((armed, fate));
        Ok(Socket(socket))
    }

    pub(super) fn mark(&self, shard: usize, offset: u64) -> Mark {
        let Lane { turn, before, .. } = self.lanes[shard];
        Mark { offset, shard, turn, before }
    }

    /// The generation that a shard worked with at the end of a turn.
    pub fn after(&self, mark: Mark) -> Generation {
        self.lanes[mark.shard].taken.get(&mark.turn).copied().unwrap_or(mark.before)
    }

    fn draw_fate(&mut self, address: SocketAddr) -> Fate {
        if let Some(fate) = self.next_fate.take() {
            return fate;
        }
        if !self.accepts {
            return Fate::Hangs;
        }
        if let Some(failure) = self.refuses_all {
            return Fate::Fails(1, failure);
        }
        if self.refusing == Some(address) {
            return Fate::Fails(1, Failure::Refused);
        }
        let steps = 1 + self.prng.below(4);
        if !self.prng.one_in(self.meanness.connect_fails_one_in) {
            return Fate::Connects(steps);
        }
        match self.prng.below(12) {
            // No socket can be made at all.
            0 => Fate::Fails(0, Failure::OutOfDescriptors),
            1 => Fate::Fails(0, Failure::OutOfResources),
            2 => Fate::Fails(steps, Failure::OutOfResources),
            3 => Fate::Fails(steps, Failure::TimedOut),
            4 => Fate::Fails(steps, Failure::Unreachable),
            5 => Fate::Fails(steps, Failure::Reset),
            6 => Fate::Fails(steps, Failure::Other(71)),
            7 => Fate::Hangs,
            8 => Fate::Fails(0, Failure::NoLocalPort),
            9 => Fate::Fails(steps, Failure::NoLocalPort),
            _ => Fate::Fails(steps, Failure::Refused),
        }
    }

    pub fn begin_receive(&mut self, shard: usize, socket: Socket, key: Key) {
        let armed = self.arm(key);
        let was = self.used_stream(shard, socket).receive.replace(armed);
        assert!(was.is_none(), "receive armed twice on {}", socket.0);
    }

    pub fn begin_poll(&mut self, shard: usize, socket: Socket, key: Key) {
        self.polls += 1;
        let armed = self.arm(key);
        let was = self.used_stream(shard, socket).poll.replace(armed);
        assert!(was.is_none(), "poll armed twice on {}", socket.0);
    }

    pub fn begin_send(
        &mut self,
        shard: usize,
        socket: Socket,
        key: Key,
        bytes: Vec<u8>,
        is_last: bool,
    ) {
        assert!(!bytes.is_empty(), "an empty send");
        let armed = self.arm(key);
        let mark = self.mark(shard, 0);
        let stream = self.used_stream(shard, socket);
        assert!(!stream.proxy_ended, "a send after the end of the direction");
        assert!(stream.is_connected, "a send before the connection");
        assert!(stream.corked.is_empty(), "a send after the one that was to be the last");
        stream.marks.push(Mark { offset: stream.sent, ..mark });
        let send = Sending { armed, bytes, done: 0, is_last };
        assert!(stream.send.replace(send).is_none(), "two sends at once");
    }

    pub fn send_at_once(&mut self, shard: usize, socket: Socket, bytes: &[u8]) {
        let stream = self.used_stream(shard, socket);
        assert!(stream.send.is_none(), "sent while a send is in flight");
        if !stream.proxy_ended {
            stream.uncork();
            stream.bring(bytes);
        }
    }

    pub fn end_write(&mut self, shard: usize, socket: Socket) {
        let stream = self.used_stream(shard, socket);
        assert!(stream.send.is_none(), "ended while a send is in flight");
        stream.proxy_ended = true;
        stream.uncork();
        self.activity += 1;
    }

    pub fn close(&mut self, socket: Socket, how: Close) {
        self.activity += 1;
        if let Some(door) = self.doors.get_mut(&socket.0) {
            assert!(door.accept.is_none(), "a listener is closed while it accepts");
            assert!(!door.is_closed, "a listener is closed twice");
            assert!(door.backlog.is_empty(), "a listener is closed while somebody waits there");
            door.is_closed = true;
            return;
        }
        if self.close_mouth(socket) {
            return;
        }
        let stream = self.streams.get_mut(&socket.0).expect("a socket of this network");
        assert!(stream.proxy_closed.is_none(), "socket {} is closed twice", socket.0);
        let is_quiet = !stream.is_in_use() || self.is_abandoned;
        assert!(is_quiet, "socket {} closed with an operation in flight", socket.0);
        // A socket that is closed before all was read from it is reset.
        stream.was_unread = !stream.to_proxy.is_empty();
        let is_reset = how == Close::Reset || stream.was_unread;
        if !is_reset {
            stream.uncork();
        } else if self.slow_to_acknowledge.contains(&socket.0) {
            stream.was_lost = !stream.to_actor.is_empty();
            stream.to_actor.clear();
        }
        stream.proxy_closed = Some(how);
    }

    /// Bytes that the actor has not taken yet, if it acknowledges no others, and those that were
    /// not sent yet.
    pub fn unacknowledged(&self, socket: Socket) -> u32 {
        let stream = &self.streams[&socket.0];
        let is_slow = self.slow_to_acknowledge.contains(&socket.0);
        let not_taken = if is_slow { stream.to_actor.len() } else { 0 };
        if stream.actor_reset { 0 } else { (not_taken + stream.corked.len()) as u32 }
    }

    pub fn cancel(&mut self, shard: usize, op: Op, key: Key) {
        self.sequence += 1;
        self.activity += 1;
        self.lanes[shard].cancels.push((op, key, self.sequence));
    }

    pub fn next_event(&mut self, shard: usize) -> Option<Event> {
        let event = self.lanes[shard].ready.pop_front();
        self.activity += u64::from(event.is_some());
        self.taken += u64::from(event.is_some());
        event
    }

    /// Whether a shard has a receive, and whether it has a poll, in flight on a socket.
    pub fn armed(&self, socket: i32) -> (bool, bool) {
        let stream = &self.streams[&socket];
        (stream.receive.is_some(), stream.poll.is_some())
    }

    /// Nothing is on its way to any shard.
    pub fn is_still(&self) -> bool {
        let is_still =
            |lane: &Lane| lane.cancels.is_empty() && lane.ready.is_empty() && lane.held.is_empty();
        self.lanes.iter().all(is_still) && self.datagrams.is_still()
    }

    /// Lets time pass: to the next moment that somebody waits for, not past it.
    pub fn leap(&mut self, wakes: Vec<Instant>) {
        let deadlines = self.lanes.iter().map(|lane| lane.deadline);
        let next = deadlines.chain(wakes).filter(|at| *at > self.now).min();
        self.now = next.unwrap_or(self.now).min(self.now + Duration::from_millis(500));
    }
}
