//! The simulated engine: the same contract as the real one, over a [`Network`] in memory. It is
//! stricter: it fails on a buffer that is used or released by someone who does not hold it, or
//! changed while it is being sent.

use super::datagrams::Packet;
use super::network::Network;
use ringway::base::Instant;
use ringway::engine::{
    BufferId, BuffersHeld, Close, DATAGRAM_HEADROOM, Datagram, Destination, Engine, Event, Failure,
    Key, Op, Room, SMALL_BUFFER_BYTES, Slice, Socket, Source,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Size of every buffer: the smallest that the configuration allows.
pub const BUFFER_SIZE: usize = 16 * 1024;

/// The wall clock when the network's is at 0: Sun, 06 Nov 1994 08:49:37 GMT.
pub const WALL_SECONDS: u64 = 784_111_777;

pub struct SimEngine {
    shard: usize,
    network: Rc<RefCell<Network>>,
    buffers: Buffers,
    /// Those of datagrams, which have numbers from [`DATAGRAM`] on.
    letters: Vec<Option<Letter>>,
    /// What the sends in flight name.
    sends: HashMap<Key, Vec<usize>>,
    now: Instant,
}

/// The number of the first buffer for datagrams.
const DATAGRAM: u32 = 1 << 31;

/// A buffer with a datagram, that somebody holds.
struct Letter {
    bytes: Vec<u8>,
    datagram: Datagram,
    /// It was sent: the engine releases it.
    is_sent: bool,
}

struct Buffers {
    memory: Vec<Box<[u8]>>,
    held: Vec<bool>,
    receive_count: usize,
    private_max: usize,
    /// Sends in flight that name it.
    sending: Vec<u32>,
    /// How often one was acquired.
    acquired: u64,
}

impl SimEngine {
    pub fn new(
        shard: usize,
        network: Rc<RefCell<Network>>,
        receive_count: usize,
        private_max: usize,
    ) -> Self {
        let buffer = || vec![0xEE; BUFFER_SIZE].into_boxed_slice();
        let buffers = Buffers {
            memory: (0..receive_count).map(|_| buffer()).collect(),
            held: vec![false; receive_count],
            receive_count,
            private_max,
            sending: vec![0; receive_count],
            acquired: 0,
        };
        let now = network.borrow().now;
        Self { shard, network, buffers, letters: Vec::new(), sends: HashMap::new(), now }
    }

    /// How often the shard has acquired a buffer.
    pub fn acquired(&self) -> u64 {
        self.buffers.acquired
    }

    /// Buffers that somebody holds.
    pub fn held_count(&self) -> usize {
        let letters = self.letters.iter().flatten().count();
        self.buffers.held.iter().filter(|held| **held).count() + letters
    }

    fn letter(&self, buffer: BufferId) -> Option<&Letter> {
        let index = buffer.0.checked_sub(DATAGRAM)?;
        let letter = self.letters[index as usize].as_ref().expect("nobody holds this datagram");
        assert!(!letter.is_sent, "a datagram is used after it was sent");
        Some(letter)
    }

    fn letter_mut(&mut self, buffer: BufferId) -> Option<&mut Letter> {
        self.letter(buffer)?;
        self.letters[(buffer.0 - DATAGRAM) as usize].as_mut()
    }
}

/// A buffer with a datagram; none if so many are held. Of one that is cut half is there.
fn fill(
    letters: &mut Vec<Option<Letter>>,
    most: usize,
    packet: &Packet,
    is_whole: bool,
) -> Option<BufferId> {
    let at = match letters.iter().position(Option::is_none) {
        Some(at) => at,
        None if letters.len() < most => {
            letters.push(None);
            letters.len() - 1
        }
        None => return None,
    };
    let buffer = BufferId(DATAGRAM + at as u32);
    let taken = if is_whole { packet.bytes.len() } else { packet.bytes.len() / 2 };
    let bytes = [&[0xEE; DATAGRAM_HEADROOM][..], &packet.bytes[..taken]].concat();
    let (start, end) = (DATAGRAM_HEADROOM as u32, bytes.len() as u32);
    let payload = Slice { buffer, start, end };
    let (from, to) = (Some(packet.from), Some(packet.to.ip()));
    let datagram = Datagram { payload, from, to, is_whole };
    letters[at] = Some(Letter { bytes, datagram, is_sent: false });
    Some(buffer)
}

impl Buffers {
    fn receive_held(&self) -> usize {
        self.held[..self.receive_count].iter().filter(|held| **held).count()
    }

    fn fill(&mut self, bytes: &[u8]) -> Option<BufferId> {
        let index = self.held[..self.receive_count].iter().position(|held| !held)?;
        self.held[index] = true;
        self.memory[index][..bytes.len()].copy_from_slice(bytes);
        Some(BufferId(index as u32))
    }

    fn index(&self, buffer: BufferId) -> usize {
        let index = buffer.0 as usize;
        assert!(self.held[index], "buffer {index} is used by someone who does not hold it");
        index
    }

    fn index_mut(&self, buffer: BufferId) -> usize {
        let index = self.index(buffer);
        assert_eq!(self.sending[index], 0, "buffer {index} is changed while it is being sent");
        index
    }
}

impl Engine for SimEngine {
    fn now(&self) -> Instant {
        self.now
    }

    fn wall_seconds(&self) -> u64 {
        WALL_SECONDS + self.now.as_millis() / 1_000
    }

    fn turn(&mut self, deadline: Instant) {
        for letter in &mut self.letters {
            letter.take_if(|letter| letter.is_sent);
        }
        let mut network = self.network.borrow_mut();
        let most = network.datagrams.mishaps.buffers;
        network.step(self.shard, |bytes| self.buffers.fill(bytes));
        network.step_datagrams(self.shard, |packet, is_whole| {
            fill(&mut self.letters, most, packet, is_whole)
        });
        network.lanes[self.shard].deadline = deadline;
        self.now = network.now;
    }

    fn next_event(&mut self) -> Option<Event> {
        let event = self.network.borrow_mut().next_event(self.shard)?;
        if let Event::Sent { key, .. } = event {
            for index in self.sends.remove(&key).expect("a send in flight") {
                self.buffers.sending[index] -= 1;
            }
        }
        Some(event)
    }

    fn accept(&mut self, listener: Socket, key: Key, takes_many: bool) {
        self.network.borrow_mut().begin_accept(self.shard, listener, key, takes_many);
    }

    fn accept_now(&mut self, listener: Socket) -> Option<Socket> {
        self.network.borrow_mut().accept_now(listener)
    }

    fn peer_address(&self, socket: Socket) -> Option<SocketAddr> {
        self.network.borrow_mut().peer_address(socket)
    }

    fn local_address(&self, socket: Socket) -> Option<SocketAddr> {
        self.network.borrow().datagrams.mouths.get(&socket.0).map(|mouth| mouth.address)
    }

    fn connect(
        &mut self,
        address: SocketAddr,
        source: Source,
        key: Key,
    ) -> Result<Socket, Failure> {
        let socket = self.network.borrow_mut().begin_connect(self.shard, address, key)?;
        self.network.borrow_mut().sources.insert(socket.0, source);
        Ok(socket)
    }

    fn receive(&mut self, socket: Socket, key: Key) {
        self.network.borrow_mut().begin_receive(self.shard, socket, key);
    }

    fn poll(&mut self, socket: Socket, key: Key) {
        self.network.borrow_mut().begin_poll(self.shard, socket, key);
    }

    fn send(&mut self, socket: Socket, key: Key, slices: &[Slice], is_last: bool) {
        let mut bytes = Vec::new();
        let indexes = slices.iter().map(|slice| self.buffers.index(slice.buffer)).collect();
        assert!(self.sends.insert(key, indexes).is_none(), "two sends at once");
        for slice in slices {
            let index = self.buffers.index(slice.buffer);
            self.buffers.sending[index] += 1;
            bytes.extend_from_slice(
                &self.buffers.memory[index][slice.start as usize..slice.end as usize],
            );
        }
        self.network.borrow_mut().begin_send(self.shard, socket, key, bytes, is_last);
    }

    fn acknowledged(&self, socket: Socket) -> u64 {
        self.network.borrow().streams.get(&socket.0).map_or(0, |stream| stream.arrived)
    }

    fn send_at_once(&mut self, socket: Socket, bytes: &[u8]) {
        self.network.borrow_mut().send_at_once(self.shard, socket, bytes);
    }

    fn unacknowledged(&self, socket: Socket) -> u32 {
        self.network.borrow().unacknowledged(socket)
    }

    fn keep_alive(&mut self, socket: Socket, idle: Duration) {
        self.network.borrow_mut().kept_alive.insert(socket.0, idle);
    }

    fn shutdown_write(&mut self, socket: Socket) {
        self.network.borrow_mut().end_write(self.shard, socket);
    }

    fn connect_datagrams(
        &mut self,
        address: SocketAddr,
        source: Source,
    ) -> Result<Socket, Failure> {
        let socket = self.network.borrow_mut().connect_datagrams(self.shard, address)?;
        self.network.borrow_mut().sources.insert(socket.0, source);
        Ok(socket)
    }

    fn receive_datagrams(&mut self, socket: Socket, key: Key) {
        self.network.borrow_mut().begin_receive_datagrams(self.shard, socket, key);
    }

    fn datagram(&self, buffer: BufferId) -> Datagram {
        self.letter(buffer).expect("a buffer of a datagram").datagram
    }

    fn send_datagram(
        &mut self,
        socket: Socket,
        key: Key,
        slice: Slice,
        destination: Option<Destination>,
    ) {
        let letter = self.letter_mut(slice.buffer).expect("a buffer of a datagram");
        letter.is_sent = true;
        let bytes = letter.bytes[slice.start as usize..slice.end as usize].to_vec();
        let network = &mut *self.network.borrow_mut();
        network.send_datagram(self.shard, socket, key, bytes, destination);
    }

    fn has_datagrams(&self) -> bool {
        self.letters.iter().flatten().any(|letter| letter.is_sent)
    }

    fn turn_datagrams_away(&mut self, socket: Socket) {
        self.network.borrow_mut().turn_datagrams_away(self.shard, socket);
    }

    fn close_datagrams(&mut self, socket: Socket) {
        self.network.borrow_mut().close(socket, Close::Graceful);
    }

    fn cancel(&mut self, op: Op, key: Key) {
        self.network.borrow_mut().cancel(self.shard, op, key);
    }

    fn close(&mut self, socket: Socket, how: Close) {
        self.network.borrow_mut().close(socket, how);
    }

    fn acquire(&mut self, room: Room) -> Option<BufferId> {
        let size = match room {
            Room::Small => SMALL_BUFFER_BYTES,
            Room::Whole => BUFFER_SIZE,
        };
        let buffers = &mut self.buffers;
        let own = buffers.receive_count..buffers.memory.len();
        let is_of_size = |index: &usize| buffers.memory[*index].len() == size;
        let count = own.clone().filter(is_of_size).count();
        let free = own.filter(is_of_size).find(|index| !buffers.held[*index]);
        let index = match (free, room) {
            (Some(index), _) => index,
            (None, Room::Small) if count >= buffers.private_max => {
                return self.acquire(Room::Whole);
            }
            (None, Room::Whole) if count >= buffers.private_max => return None,
            (None, _) => {
                buffers.memory.push(vec![0xEE; size].into_boxed_slice());
                buffers.held.push(false);
                buffers.sending.push(0);
                buffers.memory.len() - 1
            }
        };
        buffers.held[index] = true;
        buffers.acquired += 1;
        Some(BufferId(index as u32))
    }

    fn release(&mut self, buffer: BufferId) {
        if self.letter(buffer).is_some() {
            self.letters[(buffer.0 - DATAGRAM) as usize] = None;
            return;
        }
        let index = self.buffers.index_mut(buffer);
        self.buffers.held[index] = false;
        // Whoever reads it after this sees that it is not theirs any more.
        self.buffers.memory[index].fill(0xDD);
    }

    fn buffer_size(&self) -> usize {
        BUFFER_SIZE
    }

    fn bytes(&self, buffer: BufferId) -> &[u8] {
        match self.letter(buffer) {
            Some(letter) => &letter.bytes,
            None => &self.buffers.memory[self.buffers.index(buffer)],
        }
    }

    fn bytes_mut(&mut self, buffer: BufferId) -> &mut [u8] {
        if buffer.0 >= DATAGRAM {
            return &mut self.letter_mut(buffer).expect("one of them").bytes;
        }
        let index = self.buffers.index_mut(buffer);
        &mut self.buffers.memory[index]
    }

    fn bytes_pair(&mut self, read: BufferId, write: BufferId) -> (&[u8], &mut [u8]) {
        let (read, write) = (self.buffers.index(read), self.buffers.index_mut(write));
        let [from, to] = self.buffers.memory.get_disjoint_mut([read, write]).expect("two buffers");
        (from, to)
    }

    fn receive_buffers_scarce(&self) -> bool {
        let is_ring_empty = !self.network.borrow().starved.is_empty();
        is_ring_empty || self.buffers.receive_held() * 4 > self.buffers.receive_count * 3
    }

    fn buffers_low(&self) -> bool {
        self.buffers.receive_held() * 2 > self.buffers.receive_count
    }

    fn buffers_held(&self) -> BuffersHeld {
        let receive = self.buffers.receive_held() + self.letters.iter().flatten().count();
        BuffersHeld { receive: receive as u32, private: (self.held_count() - receive) as u32 }
    }

    fn is_receive_buffer(&self, buffer: BufferId) -> bool {
        (buffer.0 as usize) < self.buffers.receive_count
    }
}
