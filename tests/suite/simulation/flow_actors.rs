//! Who sends datagrams in a world of flows: clients, and backends that answer them. Each datagram
//! says whose it is, so that one that reaches somebody else, or not as a whole, is seen.

use super::bytes::body;
use super::datagrams::Packet;
use ringway::base::Prng;
use std::net::{IpAddr, SocketAddr};

/// The host's addresses that clients send to.
const ASKED: u8 = 3;
/// Bytes in front of a body: its name.
const NAME_BYTES: usize = 8;

/// Whose a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// From a backend.
    pub is_answer: bool,
    pub client: u16,
    /// The last byte of the address that was asked.
    pub asked: u8,
    pub number: u16,
    /// Of the answers to one request.
    pub answer: u8,
}

impl Name {
    fn pack(self) -> u64 {
        let bytes = [u8::from(self.is_answer), self.asked, self.answer, 0];
        let [a, b] = self.client.to_le_bytes();
        let [c, d] = self.number.to_le_bytes();
        let [e, f, g, h] = bytes;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    fn unpack(packed: u64) -> Self {
        let [a, b, c, d, e, f, g, _] = packed.to_le_bytes();
        Self {
            is_answer: e != 0,
            client: u16::from_le_bytes([a, b]),
            asked: f,
            number: u16::from_le_bytes([c, d]),
            answer: g,
        }
    }

    /// A datagram of so many bytes, its name included.
    pub fn datagram(self, bytes: usize) -> Vec<u8> {
        let packed = self.pack();
        let body = body(packed, bytes.max(NAME_BYTES) - NAME_BYTES);
        [&packed.to_le_bytes()[..], body].concat()
    }

    /// Whose a datagram is that has arrived; none if it is empty. Fails if it is damaged.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        let (packed, rest) = bytes.split_first_chunk().expect("it has a name");
        let packed = u64::from_le_bytes(*packed);
        assert!(
            rest == body(packed, rest.len()),
            "a datagram of {:?} is damaged",
            Self::unpack(packed)
        );
        Some(Self::unpack(packed))
    }
}

pub fn asked_ip(asked: u8) -> IpAddr {
    [192, 0, 2, asked].into()
}

pub fn client_address(client: u16) -> SocketAddr {
    ([198, 51, (client / 200) as u8, (client % 8) as u8], 1_000 + client).into()
}

pub fn backend_address(backend: u8) -> SocketAddr {
    ([203, 0, 113, backend], 53).into()
}

pub fn is_backend(address: SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V4(ip) if ip.octets()[0] == 203)
}

/// A client.
pub struct Client {
    pub id: u16,
    /// Datagrams that it still sends.
    pub left: u16,
    /// The port of the host that it sends to.
    port: u16,
    asks_many: bool,
    sent: u16,
    /// What it has sent, but for empty datagrams.
    pub names: Vec<Name>,
    /// Answers that it got.
    pub answers: Vec<Name>,
}

impl Client {
    pub fn new(id: u16, port: u16, prng: &mut Prng) -> Self {
        Self {
            id,
            left: 1 + prng.below(20) as u16,
            port,
            asks_many: prng.one_in(3),
            sent: 0,
            names: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Its next datagram.
    pub fn send(&mut self, most: usize, prng: &mut Prng) -> Packet {
        self.left -= 1;
        self.sent += 1;
        let asked = if self.asks_many { 1 + prng.below(u32::from(ASKED)) as u8 } else { 1 };
        let to = SocketAddr::new(asked_ip(asked), self.port);
        let (client, number) = (self.id, self.sent);
        let name = Name { is_answer: false, client, asked, number, answer: 0 };
        let size = match prng.below(8) {
            0 => 0,
            1 => most,
            _ => NAME_BYTES + prng.below(1_400) as usize,
        };
        let bytes = if size == 0 { Vec::new() } else { name.datagram(size) };
        if size > 0 {
            self.names.push(name);
        }
        Packet { from: client_address(client), to, bytes }
    }

    /// A datagram has arrived.
    pub fn take(&mut self, packet: &Packet) {
        assert_eq!(packet.from.port(), self.port, "from a port that it did not ask");
        let Some(name) = Name::of(&packet.bytes) else { return };
        assert!(name.is_answer && name.client == self.id, "{name:?} came to client {}", self.id);
        assert_eq!(packet.from.ip(), asked_ip(name.asked), "{name:?} from another address");
        let asked = Name { is_answer: false, answer: 0, ..name };
        assert!(self.names.contains(&asked), "an answer to what it did not ask: {name:?}");
        self.answers.push(name);
    }
}
