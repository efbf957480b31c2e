//! Worlds of relays: shards, clients and backends on one network, connections whose bytes are
//! forwarded unread, a coordinator that changes its mind, backends that die and come back, and the
//! way out of the process. All of it follows from the seed.

use super::network::Network;
use super::pools::{BACKENDS, backend_address, pool_of};
use super::relay_control::{RelayControl, door_address};
use super::relay_plan::{Door, HARM_ONE_IN, Plan, Pool};
use super::relay_states::{self, Doing};
use super::relay_visits::{Visit, client_of};
use super::shards::{self, Shards};
use super::talker::{Ending, Talker, draw_habits, name_of, speech};
use ringway::access_log::{self, Record, Records};
use ringway::base::{Instant, Prng};
use ringway::config::ProxyProtocol;
use ringway::mailbox::Stage;
use ringway::proxy_protocol;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

/// More rounds than any world needs.
const ROUNDS_MAX: u32 = 200_000;

/// A client that has come.
pub struct Client {
    pub visit: Visit,
    pub talker: Talker,
    /// The connection of its backend, once that has said or heard whose it is.
    pub backend: Option<usize>,
    /// What was done with its connection when it dropped it.
    dropped: Option<Doing>,
}

/// A connection that a backend has accepted.
pub struct Backend {
    pub address: SocketAddr,
    pub talker: Talker,
    /// Bytes of the PROXY header, once that has come.
    pub header_bytes: Option<usize>,
    /// Its client.
    pub client: Option<usize>,
    dropped: Option<Doing>,
}

/// Who drops a connection, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drop {
    ClientResets,
    ClientLeaves,
    BackendResets,
    BackendLeaves,
}

pub struct RelayWorld {
    pub plan: Plan,
    pub shards: Shards,
    pub control: RelayControl,
    records: Records,
    /// By the address that counts as the client's, each with the time of its end.
    pub recorded: HashMap<SocketAddr, (Record, Instant)>,
    visits: Vec<Visit>,
    pub clients: Vec<Client>,
    pub backends: Vec<Backend>,
    /// Clients that were refused because the listener had left.
    pub turned_away: u64,
    /// Connections to backends that were begun.
    pub connects: u64,
    pub drops: BTreeMap<(Drop, Doing), u64>,
    stage: Stage,
    pub round: u32,
    prng: Prng,
}

/// The name of a backend's end of a connection.
fn backend_name(backend: usize) -> u64 {
    (backend as u64) << 8 | u64::from(b'B')
}

impl RelayWorld {
    pub fn new(seed: u64) -> Self {
        let mut prng = Prng::new(seed ^ 0x4e1a);
        let plan = Plan::draw(&mut prng);
        let mut network = Network::new(prng.next_u64(), plan.meanness, plan.shards);
        let mailboxes = shards::mailboxes(plan.shards, plan.client_limit);
        let mut control = RelayControl::new(&plan, mailboxes.clone(), &mut network, &mut prng);
        let snapshot = control.next_snapshot();
        let (sender, records) = access_log::queue(1_000);
        let (buffers, access_log) = (plan.buffers, Some(sender));
        let beginning =
            shards::Beginning { network, mailboxes, snapshot, buffers, access_log, seed };
        let visits = (0..plan.visits).map(|client| Visit::draw(client, &plan, &mut prng));
        let visits = visits.collect();
        Self {
            plan,
            shards: Shards::new(beginning),
            control,
            records,
            recorded: HashMap::new(),
            visits,
            clients: Vec::new(),
            backends: Vec::new(),
            turned_away: 0,
            connects: 0,
            drops: BTreeMap::new(),
            stage: Stage::Serving,
            round: 0,
            prng,
        }
    }

    pub fn run(&mut self) {
        while !self.shards.are_over() || !self.is_done() {
            self.step();
            assert!(self.round < ROUNDS_MAX, "it does not end: {}", self.picture());
        }
    }

    fn step(&mut self) {
        self.round += 1;
        let network = self.shards.network.clone();
        let before = network.borrow().activity;
        let mut is_busy = self.receive_visits(&mut network.borrow_mut());
        self.steer(&mut network.borrow_mut());
        is_busy |= self.step_actors();
        let all_turned = self.shards.turn(self.prng.below(self.plan.shards as u32) as usize);
        self.take_records();
        let network = &mut *network.borrow_mut();
        for (_, address, mark) in std::mem::take(&mut network.connects) {
            self.connects += 1;
            self.control.pools.check(mark, address, network.after(mark), true);
        }
        if self.round.is_multiple_of(16) {
            self.control.pools.bury();
        }
        if self.round.is_multiple_of(64) {
            self.bury(network);
        }
        if network.is_still() && network.activity == before && !is_busy && all_turned {
            network.leap(self.wakes());
        } else {
            let span = u64::from(network.prng.below(100_000));
            network.now = network.now + Duration::from_nanos(span);
        }
    }

    fn talkers(&self) -> impl Iterator<Item = &Talker> {
        let clients = self.clients.iter().map(|client| &client.talker);
        clients.chain(self.backends.iter().map(|backend| &backend.talker))
    }

    fn wakes(&self) -> Vec<Instant> {
        self.talkers().filter_map(Talker::wake).collect()
    }

    fn is_done(&self) -> bool {
        self.visits.is_empty() && self.talkers().all(|talker| talker.is_over)
    }

    fn bury(&mut self, network: &mut Network) {
        let running = self.talkers().filter(|talker| !talker.is_over);
        let mut used: Vec<i32> = running.map(|talker| talker.socket).collect();
        used.extend(&network.arrivals);
        network.bury(|socket| !used.contains(&socket));
    }

    fn take_records(&mut self) {
        let now = self.shards.network.borrow().now;
        while let Some((_, record)) = self.records.pop() {
            let before = self.recorded.insert(record.client, (record, now));
            assert!(before.is_none(), "two records of one session: {before:?}");
        }
    }

    // --- who comes ---

    /// Clients whose time has come connect. True if some have still to come.
    fn receive_visits(&mut self, network: &mut Network) -> bool {
        let round = self.round;
        for mut visit in self.visits.extract_if(.., |visit| visit.round < round) {
            let to = door_address(visit.door);
            let Some(socket) = network.client_connects(visit.from, to, self.plan.favourite) else {
                let may_leave = visit.door == Door::Announced || self.stage >= Stage::Draining;
                assert!(may_leave, "a client is refused at a listener that stays");
                self.turned_away += 1;
                continue;
            };
            // Those that have not come have no number.
            let bytes = std::mem::take(&mut visit.bytes);
            let talker = Talker::new(socket, bytes, visit.habits, network.now);
            self.clients.push(Client { visit, talker, backend: None, dropped: None });
        }
        !self.visits.is_empty()
    }

    fn receive_backends(&mut self, network: &mut Network) {
        for socket in std::mem::take(&mut network.arrivals) {
            let name = backend_name(self.backends.len());
            // Without faults nobody waits for nothing.
            let least = usize::from(!self.plan.has_faults);
            let bytes = speech(name, self.plan.draw_length(&mut self.prng).max(least));
            let waits = !self.plan.clients_end_last && self.prng.one_in(2);
            let ending = if waits { Ending::AfterOther } else { Ending::WithLastByte };
            let mut habits = draw_habits(self.plan.has_faults, ending, &mut self.prng);
            if self.plan.has_faults && self.prng.one_in(4) {
                habits.begins_behind = 1 + self.prng.below(40) as usize;
            }
            let address = network.streams[&socket].peer;
            let talker = Talker::new(socket, bytes, habits, network.now);
            let header_bytes =
                (self.plan.header(pool_of(address)) == ProxyProtocol::None).then_some(0);
            let (client, dropped) = (None, None);
            self.backends.push(Backend { address, talker, header_bytes, client, dropped });
        }
    }

    // --- what they do ---

    fn step_actors(&mut self) -> bool {
        let network = self.shards.network.clone();
        let mut is_busy = false;
        let headers = self.plan.headers;
        let has_header = |address| headers[pool_of(address)] != ProxyProtocol::None;
        for client in &mut self.clients {
            is_busy |= client.talker.step(&mut network.borrow_mut());
            let drop = drop_of(&client.talker, [Drop::ClientResets, Drop::ClientLeaves]);
            if let (Some(drop), None) = (drop, client.dropped) {
                let doing =
                    relay_states::of_client(client.talker.socket, &mut self.shards, has_header);
                client.dropped = Some(doing);
                *self.drops.entry((drop, doing)).or_default() += 1;
            }
        }
        self.receive_backends(&mut network.borrow_mut());
        for backend in &mut self.backends {
            is_busy |= backend.talker.step(&mut network.borrow_mut());
            let drop = drop_of(&backend.talker, [Drop::BackendResets, Drop::BackendLeaves]);
            if let (Some(drop), None) = (drop, backend.dropped) {
                let doing =
                    relay_states::of_backend(backend.talker.socket, &mut self.shards, has_header);
                backend.dropped = Some(doing);
                *self.drops.entry((drop, doing)).or_default() += 1;
            }
        }
        self.match_ends();
        is_busy
    }

    /// Finds out whose client each backend's connection is, from what both have heard.
    fn match_ends(&mut self) {
        for at in 0..self.backends.len() {
            let backend = &mut self.backends[at];
            if backend.header_bytes.is_none() {
                let read = proxy_protocol::read(&backend.talker.heard).expect("a valid header");
                backend.header_bytes = read.map(|header| header.length);
            }
            let Some(header_bytes) = backend.header_bytes else { continue };
            if backend.client.is_some() {
                continue;
            }
            let came = &backend.talker.heard[header_bytes..];
            let name = super::hello::sender_of(came).or_else(|| name_of(came));
            if let Some(client) = name.and_then(client_of) {
                self.join(client, at);
            }
        }
        for at in 0..self.clients.len() {
            let client = &self.clients[at];
            let name = name_of(&client.talker.heard).filter(|_| client.backend.is_none());
            if let Some(name) = name.filter(|name| *name as u8 == b'B') {
                self.join_heard(at, (name >> 8) as usize);
            }
        }
    }

    /// A backend has heard whose client it has.
    fn join(&mut self, number: u32, backend: usize) {
        let is_it = |client: &Client| client.visit.number == number;
        let client = self.clients.iter().position(is_it).expect("a client that has come");
        self.join_heard(client, backend);
    }

    fn join_heard(&mut self, client: usize, backend: usize) {
        let known = self.clients[client].backend.replace(backend);
        assert!(known.is_none_or(|known| known == backend), "one client has two backends");
        let known = self.backends[backend].client.replace(client);
        assert!(known.is_none_or(|known| known == client), "one connection has two clients");
    }

    // --- the coordinator's part, and what harms backends ---

    fn steer(&mut self, network: &mut Network) {
        if self.stage < Stage::Draining && self.prng.one_in(self.plan.changes_one_in) {
            self.control.change(network, &mut self.prng);
        }
        if self.plan.has_faults && self.prng.one_in(HARM_ONE_IN) {
            self.harm(network);
        }
        let is_due = match self.plan.drains_in {
            Some(round) => round < self.round,
            None => self.is_done(),
        };
        let may_end = self.plan.has_faults;
        let next = match self.stage {
            Stage::Serving if is_due => Stage::Draining,
            Stage::Draining if may_end && self.prng.one_in(500) => Stage::Ending,
            stage => stage,
        };
        if next != self.stage {
            self.stage = next;
            self.shards.order(next);
        }
    }

    /// A backend dies with its connections, comes back, or all of them stand still.
    fn harm(&mut self, network: &mut Network) {
        let pool = self.prng.below(Pool::ALL.len() as u32) as usize;
        let address = backend_address(pool, 1 + self.prng.below(u32::from(BACKENDS)) as u8);
        match self.prng.below(4) {
            0 => network.refusing = None,
            1 => network.accepts ^= true,
            _ => {
                network.refusing = Some(address);
                let of_it =
                    |backend: &&mut Backend| backend.address == address && !backend.talker.is_over;
                for backend in self.backends.iter_mut().filter(of_it) {
                    backend.talker.reset(network);
                }
            }
        }
    }

    // --- for the message of a failure ---

    pub fn stage(&self) -> Stage {
        self.stage
    }

    pub fn picture(&self) -> String {
        let mut picture = format!("round {}, {:?}, {:#?}\n", self.round, self.stage, self.plan);
        for (at, client) in self.clients.iter().enumerate() {
            let Client { visit, talker, backend, .. } = client;
            let (said, of, heard) = (talker.said, talker.bytes.len(), talker.heard.len());
            picture += &format!(
                "client {at} {} ({:?}, {:?}): socket {}, said {said} of {of}, heard {heard}, ended \
                 {}, reset {}, {:?}, backend {backend:?}, over {}\n   {:?}\n",
                visit.known_as(),
                visit.door,
                visit.leads,
                talker.socket,
                talker.has_ended,
                talker.has_reset,
                talker.sight,
                talker.is_over,
                talker.habits,
            );
            if let Some((record, _)) = self.recorded.get(&visit.known_as()) {
                let (up, down) = (record.request_bytes, record.response_bytes);
                picture += &format!("   {:?}, {up} up, {down} down\n", record.failure);
            }
        }
        for (at, backend) in self.backends.iter().enumerate() {
            let Backend { address, talker, client, .. } = backend;
            let (said, of, heard) = (talker.said, talker.bytes.len(), talker.heard.len());
            picture += &format!(
                "backend {at} {address}: socket {}, said {said} of {of}, heard {heard}, ended {}, \
                 reset {}, {:?}, client {client:?}, over {}\n   {:?}\n",
                talker.socket,
                talker.has_ended,
                talker.has_reset,
                talker.sight,
                talker.is_over,
                talker.habits,
            );
        }
        picture
    }
}

/// How an end has dropped its connection, if it has.
fn drop_of(talker: &Talker, [resets, leaves]: [Drop; 2]) -> Option<Drop> {
    if talker.has_left {
        return Some(leaves);
    }
    talker.has_reset.then_some(resets)
}
