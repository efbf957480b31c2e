//! An engine whose network is a script: clients that ask the same request again and again, and
//! backends that answer each with the same response, in whole. It does the bookkeeping of buffers
//! that a real engine does, and nothing else, so what is counted is the shard.
//!
//! Does not: split, delay or fail anything; the simulation of the tests does.

use ringway::base::Instant;
use ringway::engine::{
    BufferId, BuffersHeld, Close, DATAGRAM_HEADROOM, Datagram, Destination, Engine, Event, Failure,
    Key, Op, Owner, ReceiveFlags, Room, SMALL_BUFFER_BYTES, Slice, Socket, Source,
};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const BUFFER_BYTES: usize = 16 * 1024;
const RECEIVE_BUFFERS: u32 = 64;
const TURN: Duration = Duration::from_micros(50);

/// What the other ends do.
#[derive(Clone, Copy)]
pub struct Script {
    /// What each client sends.
    pub request: &'static [u8],
    /// What goes before its first request.
    pub greeting: &'static [u8],
    /// What each backend answers.
    pub response: &'static [u8],
    /// Clients at the same time.
    pub clients: u32,
    /// Each client leaves after its answer, and another one comes.
    pub connection_each: bool,
    /// Both are datagrams.
    pub is_udp: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Client,
    Backend,
}

/// One socket: whose other end it has, and the key of its receive.
#[derive(Clone, Copy)]
struct Peer {
    end: End,
    receiving: Option<Key>,
}

/// See the module.
pub struct ScriptedEngine {
    script: Script,
    now: Instant,
    listener: Option<Key>,
    peers: Vec<Peer>,
    free_sockets: Vec<i32>,
    /// Given in this turn, and in the next one.
    events: VecDeque<Event>,
    coming: VecDeque<Event>,
    memory: Vec<Box<[u8]>>,
    free: [Vec<BufferId>; 3],
    /// The datagrams in buffers, by their place.
    datagrams: Vec<Option<Datagram>>,
    /// The receive of the listener's socket for datagrams.
    mouth: Option<Key>,
    /// Answers that clients have got in whole.
    pub answered: u64,
}

fn client_address(client: u32) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 1024 + client as u16).into()
}

const RECEIVE: usize = 0;
const SMALL: usize = 1;
const WHOLE: usize = 2;

impl ScriptedEngine {
    /// Nobody has connected yet.
    pub fn new(script: Script) -> Self {
        let mut engine = Self {
            script,
            now: Instant::default(),
            listener: None,
            peers: Vec::new(),
            free_sockets: Vec::new(),
            events: VecDeque::with_capacity(4096),
            coming: VecDeque::with_capacity(4096),
            memory: Vec::new(),
            free: Default::default(),
            datagrams: Vec::new(),
            mouth: None,
            answered: 0,
        };
        for _ in 0..RECEIVE_BUFFERS.max(script.clients * 4) {
            let buffer = engine.add(BUFFER_BYTES);
            engine.free[RECEIVE].push(buffer);
        }
        engine
    }

    fn add(&mut self, bytes: usize) -> BufferId {
        self.memory.push(vec![0; bytes].into_boxed_slice());
        BufferId(self.memory.len() as u32 - 1)
    }

    fn open(&mut self, end: End) -> Socket {
        let peer = Peer { end, receiving: None };
        let socket = self.free_sockets.pop().unwrap_or(self.peers.len() as i32);
        match self.peers.get_mut(socket as usize) {
            Some(place) => *place = peer,
            None => self.peers.push(peer),
        }
        Socket(socket)
    }

    fn client_comes(&mut self) {
        let (Some(key), socket) = (self.listener, self.open(End::Client)) else { return };
        self.coming.push_back(Event::Accepted { key, socket, more: true });
    }

    /// The other end of a socket sends its part of the script.
    fn peer_sends(&mut self, socket: Socket) {
        match self.peers[socket.0 as usize].end {
            End::Client => self.comes(socket, &[self.script.request]),
            End::Backend => self.comes(socket, &[self.script.response]),
            End::Closed => {}
        }
    }

    /// These bytes come to a socket, in one piece.
    fn comes(&mut self, socket: Socket, parts: &[&[u8]]) {
        let receiving = self.peers[socket.0 as usize].receiving;
        let (Some(key), Some(buffer)) = (receiving, self.free[RECEIVE].pop()) else { return };
        let mut length = 0;
        for part in parts {
            let end = length + part.len();
            self.memory[buffer.0 as usize][length..end].copy_from_slice(part);
            length = end;
        }
        let flags = ReceiveFlags { still_armed: true, more_readable: false };
        self.coming.push_back(Event::Received { key, buffer, length: length as u32, flags });
    }

    /// A datagram comes to a socket that receives by `key`.
    fn datagram_comes(&mut self, key: Key, bytes: &'static [u8], from: SocketAddr) {
        let buffer = self.free[RECEIVE].pop().expect("each is released when it is sent on");
        let start = DATAGRAM_HEADROOM as u32;
        let end = start + bytes.len() as u32;
        self.memory[buffer.0 as usize][start as usize..end as usize].copy_from_slice(bytes);
        let place = buffer.0 as usize;
        self.datagrams.resize(self.datagrams.len().max(place + 1), None);
        let payload = Slice { buffer, start, end };
        let to = Some(Ipv4Addr::LOCALHOST.into());
        self.datagrams[place] = Some(Datagram { payload, from: Some(from), to, is_whole: true });
        self.coming.push_back(Event::Datagram { key, buffer, more: true });
    }

    /// The other end of a client's socket has its answer.
    fn client_answered(&mut self, socket: Socket) {
        self.answered += 1;
        if !self.script.connection_each {
            return self.peer_sends(socket);
        }
        if let Some(key) = self.peers[socket.0 as usize].receiving.take() {
            self.coming.push_back(Event::ReceiveEnded { key, failure: None });
        }
        self.client_comes();
    }
}

impl Engine for ScriptedEngine {
    fn now(&self) -> Instant {
        self.now
    }

    fn wall_seconds(&self) -> u64 {
        self.now.as_millis() / 1_000
    }

    fn turn(&mut self, _deadline: Instant) {
        self.now = self.now + TURN;
        if self.events.is_empty() {
            std::mem::swap(&mut self.events, &mut self.coming);
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn accept(&mut self, _listener: Socket, key: Key, _takes_many: bool) {
        self.listener = Some(key);
        (0..self.script.clients).for_each(|_| self.client_comes());
    }

    fn accept_now(&mut self, _listener: Socket) -> Option<Socket> {
        None
    }

    fn local_address(&self, _: Socket) -> Option<SocketAddr> {
        None
    }

    fn peer_address(&self, socket: Socket) -> Option<SocketAddr> {
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 1024 + socket.0 as u16)))
    }

    fn connect(
        &mut self,
        _address: SocketAddr,
        _source: Source,
        key: Key,
    ) -> Result<Socket, Failure> {
        self.coming.push_back(Event::Connected { key, result: Ok(()) });
        Ok(self.open(End::Backend))
    }

    fn receive(&mut self, socket: Socket, key: Key) {
        let peer = &mut self.peers[socket.0 as usize];
        let is_first = peer.receiving.replace(key).is_none();
        if is_first && peer.end == End::Client {
            self.comes(socket, &[self.script.greeting, self.script.request]);
        }
    }

    fn poll(&mut self, _socket: Socket, _key: Key) {}

    fn send(&mut self, socket: Socket, key: Key, slices: &[Slice], _is_last: bool) {
        let bytes: u32 = slices.iter().map(|slice| slice.end - slice.start).sum();
        self.coming.push_back(Event::Sent { key, result: Ok(bytes) });
        match self.peers[socket.0 as usize].end {
            End::Client => self.client_answered(socket),
            End::Backend => self.peer_sends(socket),
            End::Closed => {}
        }
    }

    fn acknowledged(&self, _socket: Socket) -> u64 {
        0
    }

    fn send_at_once(&mut self, _socket: Socket, _bytes: &[u8]) {}

    fn unacknowledged(&self, _socket: Socket) -> u32 {
        0
    }

    fn keep_alive(&mut self, _socket: Socket, _idle: Duration) {}

    /// A backend ends with its client.
    fn shutdown_write(&mut self, socket: Socket) {
        let peer = &mut self.peers[socket.0 as usize];
        if let (End::Backend, Some(key)) = (peer.end, peer.receiving.take()) {
            self.coming.push_back(Event::ReceiveEnded { key, failure: None });
        }
    }

    fn connect_datagrams(
        &mut self,
        _address: SocketAddr,
        _source: Source,
    ) -> Result<Socket, Failure> {
        Ok(self.open(End::Backend))
    }

    fn receive_datagrams(&mut self, socket: Socket, key: Key) {
        if self.script.is_udp && key.owner() == Owner::Flow {
            self.peers[socket.0 as usize].receiving = Some(key);
        } else if self.mouth.replace(key).is_none() {
            for client in 0..self.script.clients {
                self.datagram_comes(key, self.script.request, client_address(client));
            }
        }
    }

    fn datagram(&self, buffer: BufferId) -> Datagram {
        self.datagrams[buffer.0 as usize].expect("a datagram came in it")
    }

    fn send_datagram(
        &mut self,
        socket: Socket,
        key: Key,
        slice: Slice,
        destination: Option<Destination>,
    ) {
        self.release(slice.buffer);
        match destination {
            Some(Destination { address, .. }) => {
                self.answered += 1;
                self.datagram_comes(key, self.script.request, address);
            }
            None => {
                let receiving = self.peers[socket.0 as usize].receiving;
                let backend = (Ipv4Addr::LOCALHOST, 9000).into();
                self.datagram_comes(receiving.unwrap_or(key), self.script.response, backend);
            }
        }
    }

    fn has_datagrams(&self) -> bool {
        false
    }

    fn turn_datagrams_away(&mut self, _socket: Socket) {}

    fn close_datagrams(&mut self, socket: Socket) {
        self.close(socket, Close::Graceful);
    }

    fn cancel(&mut self, op: Op, key: Key) {
        let receives = |peer: &&mut Peer| peer.receiving == Some(key);
        if matches!(op, Op::Receive | Op::ReceiveDatagrams)
            && let Some(peer) = self.peers.iter_mut().find(receives)
        {
            peer.receiving = None;
            let failure = Some(Failure::Cancelled);
            self.coming.push_back(Event::ReceiveEnded { key, failure });
        }
    }

    fn close(&mut self, socket: Socket, _how: Close) {
        self.peers[socket.0 as usize] = Peer { end: End::Closed, receiving: None };
        self.free_sockets.push(socket.0);
    }

    fn acquire(&mut self, room: Room) -> Option<BufferId> {
        let (kind, bytes) = match room {
            Room::Small => (SMALL, SMALL_BUFFER_BYTES),
            Room::Whole => (WHOLE, BUFFER_BYTES),
        };
        Some(self.free[kind].pop().unwrap_or_else(|| self.add(bytes)))
    }

    fn release(&mut self, buffer: BufferId) {
        let kind = match self.memory[buffer.0 as usize].len() {
            _ if self.is_receive_buffer(buffer) => RECEIVE,
            SMALL_BUFFER_BYTES => SMALL,
            _ => WHOLE,
        };
        self.free[kind].push(buffer);
    }

    fn buffer_size(&self) -> usize {
        BUFFER_BYTES
    }

    fn bytes(&self, buffer: BufferId) -> &[u8] {
        &self.memory[buffer.0 as usize]
    }

    fn bytes_mut(&mut self, buffer: BufferId) -> &mut [u8] {
        &mut self.memory[buffer.0 as usize]
    }

    fn bytes_pair(&mut self, read: BufferId, write: BufferId) -> (&[u8], &mut [u8]) {
        let both = self.memory.get_disjoint_mut([read.0 as usize, write.0 as usize]);
        let [from, to] = both.expect("two buffers");
        (from, to)
    }

    fn receive_buffers_scarce(&self) -> bool {
        false
    }

    fn buffers_low(&self) -> bool {
        false
    }

    fn buffers_held(&self) -> BuffersHeld {
        BuffersHeld::default()
    }

    fn is_receive_buffer(&self, buffer: BufferId) -> bool {
        buffer.0 < RECEIVE_BUFFERS.max(self.script.clients * 4)
    }
}
