//! Worlds of flows: shards, clients and backends on one network that loses, doubles and delays
//! datagrams, a coordinator that changes its mind, and the way out of the process. All of it
//! follows from the seed.

use super::datagrams::{DATAGRAM_BYTES_MAX, Mishaps, Packet};
use super::flow_actors::{Client, Name, asked_ip, backend_address, client_address, is_backend};
use super::flow_control::{FlowControl, PORTS};
use super::lone::CALM;
use super::network::{Meanness, Network};
use super::shards::{self, Shards};
use ringway::base::{ListenerId, Prng};
use ringway::config::{FlowRules, ProxyProtocol};
use ringway::engine::Failure;
use ringway::mailbox::Stage;
use ringway::proxy_protocol;
use ringway::stats::{CloseReason, Counter};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// More rounds than any world needs.
const ROUNDS_MAX: u32 = 100_000;
/// Bytes of the longest PROXY header of IPv4.
const HEADER_BYTES: usize = 28;

/// What kind of world it is.
#[derive(Clone, Copy, Debug)]
struct Plan {
    has_faults: bool,
    shards: usize,
    rules: FlowRules,
    header: ProxyProtocol,
    /// The coordinator publishes once in so many rounds; 0: never.
    changes_one_in: u32,
    /// The process drains in this round; none: when all is done.
    drains_in: Option<u32>,
    clients: u16,
    mishaps: Mishaps,
    meanness: Meanness,
}

impl Plan {
    fn draw(prng: &mut Prng) -> Self {
        let has_faults = prng.one_in(2);
        let mut pick = |choices: [u32; 4]| choices[prng.below(4) as usize];
        let limit = |limit: u32, none: u32| if has_faults { limit } else { none };
        let rules = FlowRules {
            // Where buffers are few, what has come may wait for long.
            idle: Duration::from_millis(limit(pick([300, 1_000, 5_000, 60_000]), 60_000).into()),
            max_flows: limit(pick([2, 5, 100, 100_000]), 100_000),
            max_flows_per_client: limit(pick([0, 0, 1, 4]), 0),
            requests: pick([0, 0, 1, 3]),
            responses: [None, None, Some(1), Some(2), Some(0)][pick([0, 2, 3, 4]) as usize],
        };
        let fault = |one_in| if has_faults { one_in } else { 0 };
        let mishaps = Mishaps {
            lost_one_in: fault(pick([0, 3, 10, 50])),
            doubled_one_in: fault(pick([0, 5, 20, 50])),
            delay_max: pick([1, 2, 5, 20]),
            cut_one_in: fault(pick([0, 0, 20, 100])),
            unsent_one_in: fault(pick([0, 0, 20, 100])),
            buffers: pick([2, 8, 1_000, 1_000]) as usize,
        };
        let meanness = Meanness {
            no_buffers_one_in: pick([0, 0, 5, 50]),
            hold_back_one_in: pick([0, 2, 5, 20]),
            misses_turn_one_in: pick([0, 0, 2, 10]),
            ends_early_one_in: pick([0, 5, 20, 50]),
            ..CALM
        };
        Self {
            has_faults,
            shards: pick([1, 2, 2, 3]) as usize,
            rules,
            header: if pick([0, 0, 0, 1]) == 1 { ProxyProtocol::V2 } else { ProxyProtocol::None },
            changes_one_in: pick([0, 5, 20, 60]),
            drains_in: Some(pick([0, 20, 100, 300])).filter(|round| *round > 0 && has_faults),
            clients: pick([5, 30, 100, 300]) as u16,
            mishaps,
            meanness,
        }
    }
}

/// What a flow's port stands for: its client, the address that was asked, and its backend.
type Port = (Option<(SocketAddr, IpAddr)>, SocketAddr);

pub struct FlowWorld {
    plan: Plan,
    pub shards: Shards,
    control: FlowControl,
    clients: Vec<Client>,
    ports: HashMap<u16, Port>,
    /// Requests that have come to a backend.
    came: Vec<Name>,
    answered: u64,
    stage: Stage,
    round: u32,
    prng: Prng,
}

impl FlowWorld {
    pub fn new(seed: u64) -> Self {
        let mut prng = Prng::new(seed ^ 0x5eed);
        let plan = Plan::draw(&mut prng);
        let mut network = Network::new(prng.next_u64(), plan.meanness, plan.shards);
        network.datagrams.mishaps = plan.mishaps;
        let mailboxes = shards::mailboxes(plan.shards, 0);
        let (faults, rules, header) = (plan.has_faults, plan.rules, plan.header);
        let boxes = mailboxes.clone();
        let mut control = FlowControl::new(faults, rules, header, boxes, &mut network, &mut prng);
        let snapshot = control.next_snapshot();
        let (buffers, access_log) = ([16, 16], None);
        let beginning =
            shards::Beginning { network, mailboxes, snapshot, buffers, access_log, seed };
        let shards = Shards::new(beginning);
        let mut client = |id| {
            let is_at_side = plan.has_faults && prng.one_in(4);
            Client::new(id, PORTS[usize::from(is_at_side)], &mut prng)
        };
        let clients = (0..plan.clients).map(&mut client).collect();
        Self {
            plan,
            shards,
            control,
            clients,
            ports: HashMap::new(),
            came: Vec::new(),
            answered: 0,
            stage: Stage::Serving,
            round: 0,
            prng,
        }
    }

    pub fn run(&mut self) {
        while !self.shards.are_over() {
            self.step();
            assert!(self.round < ROUNDS_MAX, "it does not end: {:#?}", self.plan);
        }
    }

    fn step(&mut self) {
        self.round += 1;
        let network = self.shards.network.clone();
        self.steer(&mut network.borrow_mut());
        self.clients_send(&mut network.borrow_mut());
        network.borrow_mut().deliver();
        self.shards.turn(0);
        let network = &mut *network.borrow_mut();
        while let Some(packet) = network.datagrams.arrived.pop_front() {
            match is_backend(packet.to) {
                true => self.at_backend(&packet, network),
                false => self.at_client(&packet),
            }
        }
        for (address, mark) in std::mem::take(&mut network.datagrams.begun) {
            self.control.check_begun(address, mark, network.after(mark));
        }
        for (address, mark) in std::mem::take(&mut network.datagrams.sent) {
            self.control.check_sent(address, mark);
        }
        self.pass_time(network);
    }

    fn is_done(&self) -> bool {
        self.clients.iter().all(|client| client.left == 0)
    }

    /// Time passes slowly while something is under way, unless faults may cost something.
    fn pass_time(&mut self, network: &mut Network) {
        let is_quiet = network.is_still();
        let may_jump = is_quiet || self.plan.has_faults;
        let span = match self.prng.below(40) {
            0 if may_jump => self.plan.rules.idle.as_millis() as u32 * 3 / 2,
            _ if is_quiet && self.is_done() => 500,
            _ => 2,
        };
        let micros = u64::from(self.prng.below(span.max(1) * 1_000));
        network.now = network.now + Duration::from_micros(micros);
    }

    // --- the coordinator's part ---

    fn steer(&mut self, network: &mut Network) {
        if self.stage == Stage::Serving && self.prng.one_in(self.plan.changes_one_in) {
            self.control.change(network, &mut self.prng);
        }
        if self.plan.has_faults {
            self.do_harm(network);
        }
        let is_drained = self.plan.drains_in.is_some_and(|round| round < self.round);
        let is_over = self.is_done() && network.is_still() && self.prng.one_in(50);
        let next = match self.stage {
            Stage::Serving if is_drained || is_over => Stage::Draining,
            Stage::Draining if self.prng.one_in(200) => Stage::Ending,
            stage => stage,
        };
        if next != self.stage {
            self.stage = next;
            self.shards.order(next);
        }
    }

    fn do_harm(&mut self, network: &mut Network) {
        if self.prng.one_in(30) {
            let backend = backend_address(1 + self.prng.below(8) as u8);
            if !network.datagrams.dead.remove(&backend) {
                network.datagrams.dead.insert(backend);
            }
        }
        if self.prng.one_in(60) {
            let failures = [
                None,
                None,
                Some(Failure::OutOfDescriptors),
                Some(Failure::NoLocalPort),
                Some(Failure::Unreachable),
            ];
            network.datagrams.refuses = failures[self.prng.below(5) as usize];
        }
    }

    // --- the actors ---

    fn clients_send(&mut self, network: &mut Network) {
        let header = if self.plan.header == ProxyProtocol::V2 { HEADER_BYTES } else { 0 };
        // Sometimes one that is too long with its header.
        let most = DATAGRAM_BYTES_MAX - if self.plan.has_faults { header / 2 } else { header };
        for client in &mut self.clients {
            if client.left > 0 && self.prng.one_in(6) {
                let packet = client.send(most, &mut self.prng);
                network.post(packet);
            }
        }
    }

    /// A datagram has come to a backend, which may answer.
    fn at_backend(&mut self, packet: &Packet, network: &mut Network) {
        let (source, payload) = self.read_header(packet);
        let name = Name::of(payload);
        let of_name = name.map(|name| (client_address(name.client), asked_ip(name.asked)));
        if let (Some(source), Some(of_name)) = (source, of_name) {
            assert_eq!(source, of_name, "another client is announced");
        }
        let between = source.or(of_name);
        let port = self.ports.entry(packet.from.port()).or_insert((between, packet.to));
        assert_eq!(port.1, packet.to, "one flow has two backends");
        match (port.0, between) {
            (Some(known), Some(between)) => assert_eq!(known, between, "two flows are one"),
            (None, Some(_)) => port.0 = between,
            _ => {}
        }
        if let Some(name) = name {
            let client = &self.clients[usize::from(name.client)];
            assert!(!name.is_answer && client.names.contains(&name), "{name:?} was not sent");
            self.came.push(name);
        }
        let wanted = self.plan.rules.responses.unwrap_or(1);
        let answers = match self.plan.has_faults {
            true => [wanted, wanted, 0, wanted + 1][self.prng.below(4) as usize],
            false => wanted,
        };
        for answer in 0..answers as u8 {
            let bytes = match name {
                Some(name) => {
                    let bytes = 8 + self.prng.below(1_200) as usize;
                    Name { is_answer: true, answer, ..name }.datagram(bytes)
                }
                None => Vec::new(),
            };
            self.answered += u64::from(name.is_some());
            network.post(Packet { from: packet.to, to: packet.from, bytes });
        }
    }

    /// The announced client and address, and the payload.
    fn read_header<'p>(&self, packet: &'p Packet) -> (Option<(SocketAddr, IpAddr)>, &'p [u8]) {
        if self.plan.header == ProxyProtocol::None {
            return (None, &packet.bytes);
        }
        let header = proxy_protocol::read(&packet.bytes).expect("a header").expect("a whole one");
        let addresses = header.addresses.expect("of a client");
        assert!(PORTS.contains(&addresses.destination.port()));
        let between = (addresses.source, addresses.destination.ip());
        (Some(between), &packet.bytes[header.length..])
    }

    fn at_client(&mut self, packet: &Packet) {
        let client = usize::from(packet.to.port() - 1_000);
        assert_eq!(client_address(client as u16), packet.to, "to nobody");
        self.clients[client].take(packet);
    }

    // --- the end ---

    pub fn icmp(&self) -> u64 {
        self.shards.network.borrow().datagrams.icmp
    }

    pub fn generations(&self) -> u64 {
        self.control.generation.0
    }

    pub fn answers(&self) -> u64 {
        self.clients.iter().map(|client| client.answers.len() as u64).sum()
    }

    /// What must hold of a world that is over: no socket, buffer, row or count is left.
    pub fn check(&mut self) {
        let plan = self.plan;
        self.shards.check_end(self.control.slots(), 2, &format!("{plan:#?}"));
        let shared = self.shards.mailboxes[0].shared.clone();
        for listener in [0, 1].map(ListenerId) {
            for client in &self.clients {
                let ip = client_address(client.id).ip();
                assert!(shared.flows.admit(listener, ip, 1), "a client's flow is still counted");
                shared.flows.leave(listener, ip);
            }
        }
        let opened = self.shards.count(Counter::FlowsOpened);
        assert_eq!(opened, self.shards.all_closes(), "each flow has one end");
        self.check_datagrams();
        if !plan.has_faults {
            self.check_calm();
        }
    }

    /// Each datagram that came was sent, or dropped for a reason.
    fn check_datagrams(&self) {
        let came = self.shards.count(Counter::ClientDatagramsReceived)
            + self.shards.count(Counter::UpstreamDatagramsReceived);
        let gone = [
            Counter::UpstreamDatagramsSent,
            Counter::ClientDatagramsSent,
            Counter::DatagramsTruncated,
            Counter::DatagramsUnserved,
            Counter::FlowLimitRejections,
        ];
        let gone: u64 = gone.iter().map(|counter| self.shards.count(*counter)).sum();
        assert_eq!(came, gone, "{:#?}", self.plan);
    }

    /// Nobody was mean: whatever was published, every request has come to a backend once, and every
    /// answer to its client, unless its flow had moved.
    fn check_calm(&mut self) {
        let plan = self.plan;
        let mut sent: Vec<Name> =
            self.clients.iter().flat_map(|client| client.names.iter().copied()).collect();
        sent.sort();
        self.came.sort();
        assert!(sent == self.came, "requests are lost or doubled: {plan:#?}");
        for counter in [
            Counter::DatagramsTruncated,
            Counter::DatagramsTooLong,
            Counter::DatagramsUnsent,
            Counter::DatagramsUnserved,
            Counter::FlowLimitRejections,
        ] {
            assert_eq!(self.shards.count(counter), 0, "{} {plan:#?}", counter.name());
        }
        let may_miss = self.shards.closes(CloseReason::FlowMoved) > 0;
        assert!(may_miss || self.answers() == self.answered, "answers are lost: {plan:#?}");
    }
}
