//! The clients of a world of relays: what each says before its own bytes, where that leads, and
//! what its backend is to be told of it.

use super::hello::{Asks, hello};
use super::relay_plan::{Door, Plan, Pool};
use super::talker::{Ending, Habits, NAME_BYTES, draw_habits, speech};
use ringway::base::Prng;
use ringway::proxy_protocol::{Addresses, LOCAL_V2, Tlv, UNKNOWN_V1, write_v1, write_v2};
use ringway::stats::CloseReason;
use ringway::tls_hello::{Reader, Verdict};
use std::net::SocketAddr;

/// Addresses that clients share where there is a limit for each.
const SHARED_ADDRESSES: u32 = 3;

/// Where the bytes of a client go, unless it, or somebody, is faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads {
    To(Pool),
    /// Nowhere, for this reason.
    Nowhere(CloseReason),
}

/// A client that has not come yet.
#[derive(Clone, Debug)]
pub struct Visit {
    pub number: u32,
    pub round: u32,
    pub door: Door,
    pub from: SocketAddr,
    /// What a PROXY header says; else the addresses of the connection count.
    pub announced: Option<Addresses>,
    /// The identifier in the header.
    pub unique_id: Option<&'static [u8]>,
    pub bytes: Vec<u8>,
    /// The header has a TLV that nobody knows.
    pub has_unknown_tlv: bool,
    /// Bytes of the header, which goes no further.
    pub header_bytes: usize,
    pub leads: Leads,
    /// What its backend may be told of its hello.
    pub server_name: Option<&'static str>,
    pub alpn: Option<&'static str>,
    pub habits: Habits,
}

/// The name of a client.
fn client_name(client: u32) -> u64 {
    u64::from(client) << 8 | u64::from(b'C')
}

/// The client with a name.
pub fn client_of(name: u64) -> Option<u32> {
    (name as u8 == b'C').then_some((name >> 8) as u32)
}

/// Where a client comes from; from a proxy that is trusted, or not.
fn from(client: u32, is_trusted: bool, plan: &Plan) -> SocketAddr {
    let host = if plan.client_limit > 0 { client % SHARED_ADDRESSES } else { client % 200 };
    let net = if is_trusted { 18 } else { 19 };
    SocketAddr::from(([198, net, 0, 1 + host as u8], 1_024 + client as u16))
}

impl Visit {
    pub fn draw(client: u32, plan: &Plan, prng: &mut Prng) -> Self {
        let door = Door::ALL[prng.below(Door::ALL.len() as u32) as usize];
        let ending = match prng.one_in(2) && plan.clients_end_last {
            true => Ending::AfterOther,
            false => Ending::WithLastByte,
        };
        let mut visit = Self {
            number: client,
            round: prng.below(plan.spread),
            door,
            from: from(client, true, plan),
            announced: None,
            unique_id: None,
            has_unknown_tlv: false,
            bytes: Vec::new(),
            header_bytes: 0,
            leads: Leads::To(Pool::Plain),
            server_name: None,
            alpn: None,
            habits: draw_habits(plan.has_faults, ending, prng),
        };
        let name = client_name(client);
        let goes_on = !plan.requires_header(door) || visit.add_header(client, plan, prng);
        let goes_on = goes_on && (!door.is_tls() || visit.add_hello(name, plan, prng));
        // What is late with its beginning is refused.
        if !plan.has_faults || prng.one_in(2) {
            visit.habits.hurries_to = visit.bytes.len();
        }
        if goes_on {
            visit.bytes.extend(speech(name, plan.draw_length(prng)));
        }
        visit
    }

    /// It stops here, and waits for what becomes of it.
    fn stop(&mut self, leads: Leads) -> bool {
        self.habits.ending = Ending::AfterOther;
        self.leads = leads;
        false
    }

    // --- the PROXY header ---

    /// Adds a header. False if nothing follows it.
    fn add_header(&mut self, client: u32, plan: &Plan, prng: &mut Prng) -> bool {
        let malformed = Leads::Nowhere(CloseReason::MalformedProxyHeader);
        let host = if plan.client_limit > 0 { client % SHARED_ADDRESSES } else { client };
        let [a, b] = (host as u16).to_be_bytes();
        let port = 2_000 + client as u16;
        let v4 = ([100, 64, a, b], port, [192, 0, 2, 7], 443);
        let addresses = match prng.one_in(4) {
            true => Addresses {
                source: ([0x2001, 0xdb8, 0, 0, 0, 0, 0, host as u16], port).into(),
                destination: ([0x2001, 0xdb8, 0, 0, 0, 0, 1, 7], 443).into(),
            },
            false => Addresses { source: (v4.0, v4.1).into(), destination: (v4.2, v4.3).into() },
        };
        let mut room = [0; 4_096];
        let header = match prng.below(12) {
            0..=3 => {
                self.announced = Some(addresses);
                let length = write_v1(&addresses, &mut room).expect("there is room");
                room[..length].to_vec()
            }
            4..=7 => {
                self.announced = Some(addresses);
                self.unique_id = prng.one_in(2).then_some(b"of the sender");
                let unknown = Tlv { kind: 0xEE, value: &[7; 300] };
                self.has_unknown_tlv = prng.one_in(2);
                let unknown = self.has_unknown_tlv.then_some(unknown);
                let tlvs = [self.unique_id.map(Tlv::unique_id), unknown];
                let tlvs = tlvs.into_iter().flatten();
                let has_sum = prng.one_in(2);
                let length = write_v2(&addresses, tlvs, has_sum, &mut room).expect("room");
                room[..length].to_vec()
            }
            8 => LOCAL_V2.to_vec(),
            9 => UNKNOWN_V1.to_vec(),
            10 => {
                let wrong: [&[u8]; 5] = [
                    b"GET / HTTP/1.1\r\n\r\n",
                    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 99999\r\n",
                    b"PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n",
                    b"\r\n\r\n\0\r\nQUIT\n\x11\x11\x00\x0c",
                    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x04abcd",
                ];
                self.bytes = wrong[prng.below(5) as usize].to_vec();
                return self.stop(malformed);
            }
            _ if prng.one_in(2) => {
                self.from = from(client, false, plan);
                self.bytes = UNKNOWN_V1.to_vec();
                return self.stop(malformed);
            }
            _ => {
                let length = prng.below(LOCAL_V2.len() as u32) as usize;
                self.bytes = LOCAL_V2[..length].to_vec();
                return self.stop(Leads::Nowhere(CloseReason::HeadTimeout));
            }
        };
        self.header_bytes = header.len();
        self.bytes = header;
        true
    }

    /// The address that counts as the client's.
    pub fn known_as(&self) -> SocketAddr {
        self.announced.map_or(self.from, |both| both.source)
    }

    // --- the hello ---

    /// Where a client goes that names no server which has a route.
    fn by_default(&self, reason: CloseReason) -> Leads {
        match self.door {
            Door::Strict => Leads::Nowhere(reason),
            _ => Leads::To(Pool::Default),
        }
    }

    /// Adds a hello, or something else. False if nothing follows it.
    fn add_hello(&mut self, name: u64, plan: &Plan, prng: &mut Prng) -> bool {
        const NONE: &[&str] = &[];
        let unknown = self.by_default(CloseReason::UnknownServerName);
        let (server_name, alpn, leads) = match prng.below(if plan.is_slow { 15 } else { 16 }) {
            0..=2 => (Some("a.example"), NONE, Leads::To(Pool::Named)),
            3 => (Some("A.EXAMPLE"), &["http/1.1"][..], Leads::To(Pool::Named)),
            4 => (Some("a.example"), &["\u{1a}\u{1a}", "h2"][..], Leads::To(Pool::Wild)),
            5 | 6 => (Some("x.w.example"), &["h2", "http/1.1"][..], Leads::To(Pool::Wild)),
            7 => (Some("unknown.example"), &["h2"][..], unknown),
            8 => (None, NONE, unknown),
            9 => (Some("a.example."), NONE, unknown),
            10 | 11 => return self.speak_no_tls(name),
            12 => return self.await_server(),
            kind => return self.add_wrong_hello(kind, name, prng),
        };
        let padding = if plan.is_slow { 0 } else { [0, 0, 1_700, 20_000][prng.below(4) as usize] };
        self.bytes.extend(hello(name, &Asks { server_name, alpn }, padding, prng));
        self.leads = leads;
        self.server_name = match server_name {
            Some("A.EXAMPLE") => Some("a.example"),
            Some(name) if name.ends_with('.') => None,
            name => name,
        };
        self.alpn = alpn.iter().copied().find(|name| !name.starts_with('\u{1a}'));
        matches!(leads, Leads::To(_)) || self.stop(leads)
    }

    fn speak_no_tls(&mut self, name: u64) -> bool {
        self.leads = self.by_default(CloseReason::NotTls);
        if matches!(self.leads, Leads::To(_)) {
            return true;
        }
        self.bytes.extend(speech(name, NAME_BYTES));
        self.stop(self.leads)
    }

    /// It speaks only once its server has.
    fn await_server(&mut self) -> bool {
        self.leads = self.by_default(CloseReason::HeadTimeout);
        (self.habits.begins_behind, self.habits.greeting) = (1, self.bytes.len());
        matches!(self.leads, Leads::To(_)) || self.stop(self.leads)
    }

    /// A hello that stops half-way, is malformed, or is longer than any that is read.
    fn add_wrong_hello(&mut self, kind: u32, name: u64, prng: &mut Prng) -> bool {
        let asks = Asks { server_name: Some("a.example"), alpn: &["h2"] };
        match kind {
            13 => {
                let whole = hello(name, &asks, 100, prng);
                // Long enough to say whose it is.
                let length = 20 + prng.below(whole.len() as u32 - 20) as usize;
                self.bytes.extend(&whole[..length]);
                return self.await_server();
            }
            14 => {
                let wrong: [&[u8]; 3] = [
                    &[22, 3, 1, 0, 0],
                    &[22, 3, 1, 0, 4, 2, 0, 0, 0],
                    &[22, 4, 0, 0, 4, 1, 0, 0, 0],
                ];
                let wrong = wrong[prng.below(3) as usize];
                self.bytes.extend(wrong);
                // What does not even begin like TLS may be something else.
                let is_malformed = matches!(Reader::default().read(wrong), Verdict::Malformed(_));
                if !is_malformed && self.door != Door::Strict {
                    self.leads = Leads::To(Pool::Default);
                    return true;
                }
            }
            _ => {
                self.bytes.extend(hello(name, &asks, 65_480, prng));
                self.habits.piece_max = 20_000;
            }
        }
        self.stop(Leads::Nowhere(CloseReason::NotTls))
    }
}
