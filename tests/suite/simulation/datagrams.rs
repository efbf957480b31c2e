//! Datagrams on the simulated network: sockets of the shards on one side, addresses of actors on
//! the other, and between them datagrams that are lost, doubled, or arrive in another order.

use super::network::{Armed, Mark, Network};
use ringway::base::Prng;
use ringway::engine::{BufferId, Destination, Event, Failure, Key, Socket};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// Bytes of the longest datagram over IPv4.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// How mean the network is to datagrams. `one_in`: once in so many times on average; 0: never.
#[derive(Clone, Copy, Debug)]
pub struct Mishaps {
    pub lost_one_in: u32,
    pub doubled_one_in: u32,
    /// Most steps that one is under way: those sent later may arrive earlier.
    pub delay_max: u32,
    /// A datagram arrives that is longer than a buffer.
    pub cut_one_in: u32,
    /// A send finds no room.
    pub unsent_one_in: u32,
    /// Buffers of a shard for datagrams.
    pub buffers: usize,
}

impl Mishaps {
    pub const NONE: Self = Self {
        lost_one_in: 0,
        doubled_one_in: 0,
        delay_max: 1,
        cut_one_in: 0,
        unsent_one_in: 0,
        buffers: 1024,
    };
}

/// True for the addresses of the host that the shards run on: 192.0.2.0/24.
fn is_own(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[..3] == [192, 0, 2])
}

/// Backends of the tests are on the same network.
fn is_backend(address: SocketAddr) -> bool {
    address.port() == 80
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// A UDP socket of a shard.
pub struct Mouth {
    pub shard: usize,
    pub address: SocketAddr,
    /// A connected socket's.
    pub peer: Option<SocketAddr>,
    pub is_turned_away: bool,
    queue: VecDeque<Packet>,
    /// What an ICMP message has said, which nobody has been told yet.
    error: Option<Failure>,
    receive: Option<Armed>,
}

/// See the module.
pub struct Datagrams {
    pub mishaps: Mishaps,
    /// Open sockets.
    pub mouths: BTreeMap<i32, Mouth>,
    /// Closed ones.
    closed: HashSet<i32>,
    /// Open ones by their port.
    by_port: HashMap<u16, Vec<i32>>,
    /// Those that something waits in.
    news: BTreeSet<i32>,
    /// What has arrived at actors.
    pub arrived: VecDeque<Packet>,
    /// What has come to the host of the shards, where no socket of theirs wanted it.
    pub passed_by: Vec<Packet>,
    /// Addresses of actors where nobody listens.
    pub dead: BTreeSet<SocketAddr>,
    /// The next longer datagram to an actor is dropped on the way, which its sender is told.
    pub path_mtu: Option<usize>,
    /// No socket can be connected, for this reason.
    pub refuses: Option<Failure>,
    /// ICMP messages that have reached a socket.
    pub icmp: u64,
    /// Sockets that shards have connected, and datagrams that they have sent on them, since the
    /// driver last looked.
    pub begun: Vec<(SocketAddr, Mark)>,
    pub sent: Vec<(SocketAddr, Mark)>,
    /// Each with the steps that it is still under way.
    under_way: Vec<(u32, Packet)>,
    next_port: u16,
}

impl Default for Datagrams {
    fn default() -> Self {
        Self {
            mishaps: Mishaps::NONE,
            mouths: BTreeMap::new(),
            closed: HashSet::new(),
            by_port: HashMap::new(),
            news: BTreeSet::new(),
            arrived: VecDeque::new(),
            passed_by: Vec::new(),
            dead: BTreeSet::new(),
            path_mtu: None,
            refuses: None,
            icmp: 0,
            begun: Vec::new(),
            sent: Vec::new(),
            under_way: Vec::new(),
            next_port: 32_768,
        }
    }
}

impl Datagrams {
    /// Nothing is under way, or waits to be read.
    pub fn is_still(&self) -> bool {
        self.under_way.is_empty() && self.arrived.is_empty() && self.news.is_empty()
    }

    fn mouth(&mut self, shard: usize, socket: Socket) -> &mut Mouth {
        let is_closed = self.closed.contains(&socket.0);
        assert!(!is_closed, "an operation on closed UDP socket {}", socket.0);
        let mouth = self.mouths.get_mut(&socket.0).expect("a UDP socket of this network");
        assert_eq!(mouth.shard, shard, "two shards use UDP socket {}", socket.0);
        mouth
    }

    /// The open socket that the kernel gives a datagram to. A connected one comes before a
    /// listener's, of which each shard has one.
    fn receiver(&self, packet: &Packet) -> Option<i32> {
        let is_its = |socket: &i32| {
            let mouth = &self.mouths[socket];
            let ip = mouth.address.ip();
            (ip == packet.to.ip() || ip.is_unspecified() && is_own(packet.to.ip()))
                && mouth.peer.is_none_or(|peer| peer == packet.from)
                && !mouth.is_turned_away
        };
        let of_port = self.by_port.get(&packet.to.port())?;
        let (connected, bound): (Vec<i32>, Vec<i32>) = of_port
            .iter()
            .filter(|socket| is_its(socket))
            .partition(|socket| self.mouths[socket].peer.is_some());
        if let Some(socket) = connected.first() {
            return Some(*socket);
        }
        // By the hash of both addresses.
        let IpAddr::V4(from) = packet.from.ip() else { panic!("IPv4 only") };
        let seed = u64::from(from.to_bits()) << 16 | u64::from(packet.from.port());
        let at = Prng::new(seed).below((bound.len() as u32).max(1));
        bound.get(at as usize).copied()
    }
}

impl Network {
    /// A UDP socket of a listener for a shard.
    pub fn open_mouth(&mut self, address: SocketAddr, shard: usize) -> Socket {
        self.add_mouth(address, None, shard)
    }

    fn add_mouth(&mut self, address: SocketAddr, peer: Option<SocketAddr>, shard: usize) -> Socket {
        let number = self.number();
        let mouth = Mouth {
            shard,
            address,
            peer,
            is_turned_away: false,
            queue: VecDeque::new(),
            error: None,
            receive: None,
        };
        self.datagrams.mouths.insert(number, mouth);
        self.datagrams.by_port.entry(address.port()).or_default().push(number);
        Socket(number)
    }

    /// An actor, or a shard, sends a datagram.
    pub fn post(&mut self, packet: Packet) {
        self.activity += 1;
        let Mishaps { lost_one_in, doubled_one_in, delay_max, .. } = self.datagrams.mishaps;
        if self.prng.one_in(lost_one_in) {
            return;
        }
        if self.prng.one_in(doubled_one_in) {
            let delay = self.prng.below(delay_max);
            self.datagrams.under_way.push((delay, packet.clone()));
        }
        let delay = self.prng.below(delay_max);
        self.datagrams.under_way.push((delay, packet));
    }

    /// One step of time for what is under way.
    pub fn deliver(&mut self) {
        let under_way = std::mem::take(&mut self.datagrams.under_way);
        self.activity += under_way.len() as u64;
        for (steps, packet) in under_way {
            match steps.checked_sub(1) {
                Some(left) => self.datagrams.under_way.push((left, packet)),
                None => self.arrive(packet),
            }
        }
    }

    fn arrive(&mut self, packet: Packet) {
        if let Some(socket) = self.datagrams.receiver(&packet) {
            self.datagrams.news.insert(socket);
            let mouth = self.datagrams.mouths.get_mut(&socket).expect("listed");
            return mouth.queue.push_back(packet);
        }
        if is_own(packet.to.ip()) && !is_backend(packet.to) {
            return self.datagrams.passed_by.push(packet);
        }
        let is_too_long = self.datagrams.path_mtu.is_some_and(|most| packet.bytes.len() > most);
        let error = if self.datagrams.dead.contains(&packet.to) {
            Failure::Refused
        } else if is_too_long {
            self.datagrams.path_mtu = None;
            Failure::TooLong
        } else {
            return self.datagrams.arrived.push_back(packet);
        };
        // The message goes to the socket that is connected to where it is from.
        let back = Packet { from: packet.to, to: packet.from, bytes: Vec::new() };
        if let Some(socket) = self.datagrams.receiver(&back) {
            self.datagrams.mouths.get_mut(&socket).expect("listed").error = Some(error);
            self.datagrams.news.insert(socket);
            self.datagrams.icmp += 1;
        }
    }

    // --- verbs of engines ---

    pub fn connect_datagrams(&mut self, shard: usize, peer: SocketAddr) -> Result<Socket, Failure> {
        if let Some(failure) = self.datagrams.refuses {
            return Err(failure);
        }
        let mark = self.mark(shard, 0);
        self.datagrams.begun.push((peer, mark));
        self.datagrams.next_port = self.datagrams.next_port.checked_add(1).expect("a port");
        let address = SocketAddr::from(([192, 0, 2, 50], self.datagrams.next_port));
        Ok(self.add_mouth(address, Some(peer), shard))
    }

    pub fn begin_receive_datagrams(&mut self, shard: usize, socket: Socket, key: Key) {
        let armed = self.arm(key);
        let was = self.datagrams.mouth(shard, socket).receive.replace(armed);
        assert!(was.is_none(), "receive armed twice on UDP socket {}", socket.0);
    }

    pub fn send_datagram(
        &mut self,
        shard: usize,
        socket: Socket,
        key: Key,
        bytes: Vec<u8>,
        destination: Option<Destination>,
    ) {
        let is_unsent = self.prng.one_in(self.datagrams.mishaps.unsent_one_in);
        let mouth = self.datagrams.mouth(shard, socket);
        let own = mouth.address;
        let (from, to) = match (mouth.peer, destination) {
            (Some(peer), None) => (own, peer),
            (None, Some(Destination { address, source: None })) => {
                assert!(!own.ip().is_unspecified(), "it leaves from whichever address there is");
                (own, address)
            }
            (None, Some(Destination { address, source: Some(source) })) => {
                ((source, own.port()).into(), address)
            }
            (peer, destination) => panic!("from {peer:?} to {destination:?}"),
        };
        let failure = if let Some(error) = mouth.error.take() {
            Some(error)
        } else if bytes.len() > DATAGRAM_BYTES_MAX {
            Some(Failure::TooLong)
        } else {
            is_unsent.then_some(Failure::NoBuffers)
        };
        match failure {
            Some(failure) => self.push(shard, Event::DatagramLost { key, failure }),
            None => {
                let mark = self.mark(shard, 0);
                self.datagrams.sent.extend(destination.is_none().then_some((to, mark)));
                self.post(Packet { from, to, bytes });
            }
        }
    }

    pub fn turn_datagrams_away(&mut self, shard: usize, socket: Socket) {
        let mouth = self.datagrams.mouth(shard, socket);
        assert!(mouth.peer.is_none(), "a connected socket turns nobody away");
        mouth.is_turned_away = true;
        self.activity += 1;
    }

    /// True if this was a UDP socket.
    pub(super) fn close_mouth(&mut self, socket: Socket) -> bool {
        let (is_abandoned, datagrams) = (self.is_abandoned, &mut self.datagrams);
        assert!(!datagrams.closed.contains(&socket.0), "UDP socket {} is closed twice", socket.0);
        let Some(mouth) = datagrams.mouths.remove(&socket.0) else { return false };
        let is_quiet = mouth.receive.is_none() || is_abandoned;
        assert!(is_quiet, "UDP socket {} is closed with a receive in flight", socket.0);
        datagrams.closed.insert(socket.0);
        datagrams.news.remove(&socket.0);
        let of_port = datagrams.by_port.get_mut(&mouth.address.port()).expect("listed");
        of_port.retain(|other| *other != socket.0);
        true
    }

    /// Ends the receive that a cancel is after, if it has not ended by itself.
    pub(super) fn end_cancelled_datagrams(
        &mut self,
        shard: usize,
        key: Key,
        is_it: impl Fn(Armed) -> bool,
    ) -> Option<Event> {
        let own = self.datagrams.mouths.values_mut().filter(|mouth| mouth.shard == shard);
        let mut armed = own.filter(|mouth| mouth.receive.is_some_and(&is_it));
        armed.next()?.receive = None;
        Some(Event::ReceiveEnded { key, failure: Some(Failure::Cancelled) })
    }

    /// Brings what waits to the receives of a shard. `acquire` gives a buffer filled with a
    /// datagram, whole or cut, or none.
    pub fn step_datagrams(
        &mut self,
        shard: usize,
        mut acquire: impl FnMut(&Packet, bool) -> Option<BufferId>,
    ) {
        let is_own = |socket: &&i32| {
            let mouth = &self.datagrams.mouths[socket];
            mouth.shard == shard && mouth.receive.is_some()
        };
        let sockets: Vec<i32> = self.datagrams.news.iter().filter(is_own).copied().collect();
        for socket in sockets {
            while self.receive_one(shard, socket, &mut acquire) {}
            let mouth = &self.datagrams.mouths[&socket];
            if mouth.queue.is_empty() && mouth.error.is_none() {
                self.datagrams.news.remove(&socket);
            }
        }
    }

    /// True if another one may follow at once.
    fn receive_one(
        &mut self,
        shard: usize,
        socket: i32,
        acquire: &mut impl FnMut(&Packet, bool) -> Option<BufferId>,
    ) -> bool {
        let is_cut = self.prng.one_in(self.datagrams.mishaps.cut_one_in);
        let ends_early = self.prng.one_in(self.meanness.ends_early_one_in);
        let loses_ring = self.prng.one_in(self.meanness.no_buffers_one_in);
        let mouth = self.datagrams.mouths.get_mut(&socket).expect("listed");
        let Some(Armed { key, .. }) = mouth.receive else { return false };
        if let Some(error) = mouth.error.take() {
            mouth.receive = None;
            self.push(shard, Event::ReceiveEnded { key, failure: Some(error) });
            return false;
        }
        let Some(packet) = mouth.queue.front() else { return false };
        let buffer = if loses_ring { None } else { acquire(packet, !is_cut) };
        let Some(buffer) = buffer else {
            mouth.receive = None;
            self.push(shard, Event::ReceiveEnded { key, failure: Some(Failure::NoBuffers) });
            return false;
        };
        let more = !ends_early && !packet.bytes.is_empty();
        mouth.queue.pop_front();
        mouth.receive = mouth.receive.filter(|_| more);
        self.push(shard, Event::Datagram { key, buffer, more });
        more
    }
}
