//! An engine for datagrams alone that keeps as little as it can of each socket, so that what a
//! shard itself needs for a flow can be counted. Its network is the test: that puts datagrams in,
//! and looks at what was sent and closed.

use ringway::base::Instant;
use ringway::engine::{
    BufferId, BuffersHeld, Close, DATAGRAM_HEADROOM, Datagram, Destination, Engine, Event, Failure,
    Key, Op, Room, Slice, Socket, Source,
};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The sockets of flows have numbers from here on, in the order in which they were opened.
const FIRST: i32 = 1_000;

/// A datagram in a buffer, that somebody holds, or that was sent in this turn.
struct Letter {
    bytes: Vec<u8>,
    datagram: Datagram,
    is_sent: bool,
}

/// See the module.
pub struct Bare {
    now: Instant,
    events: VecDeque<Event>,
    letters: Vec<Option<Letter>>,
    /// The receive of the listener's socket.
    listening: Option<(Socket, Key)>,
    /// By flow, in the order of their beginnings: the key of its receive.
    flows: Vec<Option<Key>>,
    /// Flows whose socket was closed, in that order.
    pub closed: Vec<usize>,
    /// Datagrams to backends, and to clients.
    pub sent: [u64; 2],
}

impl Bare {
    /// For so many flows at most, whose room is made now.
    pub fn new(flows: usize) -> Self {
        Self {
            now: Instant::from_nanos(1_000_000_000),
            events: VecDeque::with_capacity(1_024),
            letters: Vec::with_capacity(1_024),
            listening: None,
            flows: Vec::with_capacity(flows),
            closed: Vec::with_capacity(flows),
            sent: [0; 2],
        }
    }

    /// Flows that have begun.
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    pub fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    /// A datagram of a client comes to the listener.
    pub fn ask(&mut self, from: SocketAddr, to: IpAddr) {
        let (_, key) = self.listening.expect("the listener receives");
        self.bring(key, Some(from), Some(to));
    }

    /// The backend of a flow answers.
    pub fn answer(&mut self, flow: usize) {
        let key = self.flows[flow].expect("the flow receives");
        self.bring(key, None, None);
    }

    fn bring(&mut self, key: Key, from: Option<SocketAddr>, to: Option<IpAddr>) {
        let bytes = vec![7; DATAGRAM_HEADROOM + 100];
        let at = self.letters.iter().position(Option::is_none).unwrap_or(self.letters.len());
        let buffer = BufferId(at as u32);
        let (start, end) = (DATAGRAM_HEADROOM as u32, bytes.len() as u32);
        let payload = Slice { buffer, start, end };
        let letter = Letter {
            bytes,
            datagram: Datagram { payload, from, to, is_whole: true },
            is_sent: false,
        };
        match self.letters.get_mut(at) {
            Some(place) => *place = Some(letter),
            None => self.letters.push(Some(letter)),
        }
        self.events.push_back(Event::Datagram { key, buffer, more: true });
    }

    fn letter(&self, buffer: BufferId) -> &Letter {
        self.letters[buffer.0 as usize].as_ref().expect("a buffer that is held")
    }

    fn letter_mut(&mut self, buffer: BufferId) -> &mut Letter {
        self.letters[buffer.0 as usize].as_mut().expect("a buffer that is held")
    }
}

/// What no flow needs.
fn nobody() -> ! {
    panic!("there are no connections")
}

impl Engine for Bare {
    fn now(&self) -> Instant {
        self.now
    }

    fn wall_seconds(&self) -> u64 {
        0
    }

    fn turn(&mut self, _: Instant) {
        self.letters.iter_mut().for_each(|letter| drop(letter.take_if(|letter| letter.is_sent)));
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn local_address(&self, _: Socket) -> Option<SocketAddr> {
        None
    }

    fn connect_datagrams(&mut self, _: SocketAddr, _: Source) -> Result<Socket, Failure> {
        self.flows.push(None);
        Ok(Socket(FIRST + self.flows.len() as i32 - 1))
    }

    fn receive_datagrams(&mut self, socket: Socket, key: Key) {
        match socket.0 >= FIRST {
            true => self.flows[(socket.0 - FIRST) as usize] = Some(key),
            false => self.listening = Some((socket, key)),
        }
    }

    fn datagram(&self, buffer: BufferId) -> Datagram {
        self.letter(buffer).datagram
    }

    fn send_datagram(&mut self, _: Socket, _: Key, slice: Slice, to: Option<Destination>) {
        self.letter_mut(slice.buffer).is_sent = true;
        self.sent[usize::from(to.is_some())] += 1;
    }

    fn has_datagrams(&self) -> bool {
        self.letters.iter().flatten().any(|letter| letter.is_sent)
    }

    fn turn_datagrams_away(&mut self, _: Socket) {}

    fn close_datagrams(&mut self, socket: Socket) {
        if socket.0 >= FIRST {
            self.closed.push((socket.0 - FIRST) as usize);
        }
    }

    fn cancel(&mut self, _: Op, key: Key) {
        self.events.push_back(Event::ReceiveEnded { key, failure: Some(Failure::Cancelled) });
    }

    fn close(&mut self, _: Socket, _: Close) {}

    fn release(&mut self, buffer: BufferId) {
        self.letters[buffer.0 as usize] = None;
    }

    fn buffer_size(&self) -> usize {
        16 * 1024
    }

    fn bytes(&self, buffer: BufferId) -> &[u8] {
        &self.letter(buffer).bytes
    }

    fn bytes_mut(&mut self, buffer: BufferId) -> &mut [u8] {
        &mut self.letter_mut(buffer).bytes
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

    fn is_receive_buffer(&self, _: BufferId) -> bool {
        true
    }

    // --- connections ---

    fn acquire(&mut self, _: Room) -> Option<BufferId> {
        nobody()
    }

    fn bytes_pair(&mut self, _: BufferId, _: BufferId) -> (&[u8], &mut [u8]) {
        nobody()
    }

    fn accept(&mut self, _: Socket, _: Key, _: bool) {
        nobody()
    }

    fn accept_now(&mut self, _: Socket) -> Option<Socket> {
        nobody()
    }

    fn peer_address(&self, _: Socket) -> Option<SocketAddr> {
        nobody()
    }

    fn connect(&mut self, _: SocketAddr, _: Source, _: Key) -> Result<Socket, Failure> {
        nobody()
    }

    fn receive(&mut self, _: Socket, _: Key) {
        nobody()
    }

    fn poll(&mut self, _: Socket, _: Key) {
        nobody()
    }

    fn send(&mut self, _: Socket, _: Key, _: &[Slice], _: bool) {
        nobody()
    }

    fn acknowledged(&self, _: Socket) -> u64 {
        nobody()
    }

    fn send_at_once(&mut self, _: Socket, _: &[u8]) {
        nobody()
    }

    fn unacknowledged(&self, _: Socket) -> u32 {
        nobody()
    }

    fn keep_alive(&mut self, _: Socket, _: Duration) {
        nobody()
    }

    fn shutdown_write(&mut self, _: Socket) {
        nobody()
    }
}
