//! One world of the simulation: shards, clients and backends on one network, a coordinator that
//! changes its mind, and the way out of the process. All of it follows from the seed.

use super::backend::{Backend, area_of};
use super::client::Outcome;
use super::control::{Control, FRONT, SIDE};
use super::engine::SimEngine;
use super::guest::Guest;
use super::lone::NoWake;
use super::message::Area;
use super::network::Network;
use super::plan::{Plan, Visit, client_address};
use ringway::base::{Instant, Prng, ShardId};
use ringway::coordinator::process::{Course, Phase};
use ringway::mailbox::{Mailbox, Observation, Shared, Stage, TrialCourse};
use ringway::shard::{Shard, ShardParts};
use ringway::stats::{CloseReason, Counter};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// More rounds than any world needs: a world that is not over then has come to a halt.
const ROUNDS_MAX: u32 = 200_000;
/// What ending may take beyond its deadline: turns have to be taken.
const ENDING_SLACK: Duration = Duration::from_secs(1);

pub struct World {
    plan: Plan,
    network: Rc<RefCell<Network>>,
    shards: Vec<Shard<SimEngine>>,
    mailboxes: Arc<[Arc<Mailbox>]>,
    control: Control,
    course: Course,
    /// When every shard is over; none before listeners close.
    ends_by: Option<Instant>,
    /// The shard that leaves on its own, and when its time is over.
    leaver: Option<(usize, Instant)>,
    /// The process was drained for a while, and then not.
    was_lame: bool,
    visits: Vec<Visit>,
    pub clients: Vec<Guest>,
    backends: Vec<Backend>,
    /// Trials begun, less those decided.
    open_trials: i64,
    pub trials: u32,
    round: u32,
    prng: Prng,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut prng = Prng::new(seed);
        let plan = Plan::draw(&mut prng);
        let meanness = plan.meanness(&mut prng);
        let mut network = Network::new(prng.next_u64(), meanness, plan.shards);
        let shared = Shared::new(plan.shards, plan.client_limit, Arc::new(NoWake));
        let ids = (0..plan.shards).map(|shard| ShardId(shard as u16));
        let mailbox = |id| Arc::new(Mailbox::new(id, Arc::new(NoWake), shared.clone()));
        let mailboxes: Arc<[Arc<Mailbox>]> = ids.map(mailbox).collect();
        let (faults, most) = (plan.has_faults, plan.connections_max);
        let mut control = Control::new(faults, most, mailboxes.clone(), &mut network, &mut prng);
        let snapshot = control.next_snapshot();
        let network = Rc::new(RefCell::new(network));
        let [receive, private] = plan.buffers;
        let shard = |index| {
            Shard::new(ShardParts {
                engine: SimEngine::new(index, network.clone(), receive, private),
                mailboxes: mailboxes.clone(),
                index,
                snapshot: snapshot.clone(),
                access_log: None,
                seed: seed.wrapping_mul(31).wrapping_add(index as u64),
            })
        };
        let shards = (0..plan.shards).map(shard).collect();
        let mut world = Self {
            plan,
            network: network.clone(),
            shards,
            mailboxes,
            control,
            course: Course::default(),
            ends_by: None,
            leaver: None,
            was_lame: false,
            visits: plan.visits(meanness, &mut prng),
            clients: Vec::new(),
            backends: Vec::new(),
            open_trials: 0,
            trials: 0,
            round: 0,
            prng,
        };
        world.course.start();
        world
    }

    // --- a round ---

    fn step(&mut self) {
        self.round += 1;
        let network = self.network.clone();
        let before = network.borrow().activity;
        let is_busy = {
            let network = &mut *network.borrow_mut();
            self.receive_visits(network) | self.step_actors(network)
        };
        self.steer(&mut network.borrow_mut());
        let all_turned = self.turn_shards();
        self.look_at_trials();
        if self.round.is_multiple_of(16) {
            self.control.bury();
        }
        let network = &mut *network.borrow_mut();
        self.check_connects(network);
        if self.round.is_multiple_of(64) {
            self.bury(network);
        }
        let is_quiet = network.is_still() && network.activity == before && !is_busy && all_turned;
        if is_quiet {
            network.leap(self.wakes());
        } else {
            let span = u64::from(network.prng.below(100_000));
            network.now = network.now + Duration::from_nanos(span);
        }
    }

    /// When others than shards go on by themselves.
    fn wakes(&self) -> Vec<Instant> {
        let clients = self.clients.iter().filter_map(Guest::wake);
        let backends = self.backends.iter().filter_map(Backend::wake);
        let leaver = self.leaver.map(|(_, until)| until);
        let all = clients.chain(backends).chain(self.course.until()).chain(leaver);
        all.collect()
    }

    /// Clients whose time has come connect. True if some have still to come.
    fn receive_visits(&mut self, network: &mut Network) -> bool {
        let round = self.round;
        for visit in self.visits.extract_if(.., |visit| visit.round < round) {
            let from = client_address(visit.manner.client);
            let to = self.control.address(if visit.manner.is_at_side { SIDE } else { FRONT });
            match network.client_connects(from, to, self.plan.favourite) {
                Some(socket) => {
                    let client = Guest::new(socket, visit.manner, visit.habits, &mut self.prng);
                    self.clients.push(client);
                }
                None => {
                    let is_closing = self.course.phase() >= Phase::Finishing;
                    let may_refuse = visit.manner.is_at_side || is_closing;
                    assert!(may_refuse, "a client is refused at a listener that stays");
                }
            }
        }
        !self.visits.is_empty()
    }

    fn step_actors(&mut self, network: &mut Network) -> bool {
        let mut is_busy = false;
        for client in &mut self.clients {
            is_busy |= client.step(network);
        }
        for socket in std::mem::take(&mut network.arrivals) {
            let address = network.streams[&socket].peer;
            self.backends.push(Backend::new(socket, address));
        }
        for backend in &mut self.backends {
            is_busy |= backend.step(network);
            for (request, mark) in std::mem::take(&mut backend.begun) {
                let area = area_of(backend.address);
                assert_eq!(area, request.area, "{request:?} came to the wrong pool");
                self.control.check(mark, backend.address, network.after(mark), false);
            }
        }
        is_busy
    }

    fn check_connects(&self, network: &mut Network) {
        for (_, address, mark) in std::mem::take(&mut network.connects) {
            self.control.check(mark, address, network.after(mark), true);
        }
    }

    fn bury(&mut self, network: &mut Network) {
        self.backends.retain(|backend| !backend.is_over);
        let clients = self.clients.iter().filter(|client| client.outcome() == Outcome::Running);
        let mut used: Vec<i32> = clients.map(Guest::socket).collect();
        used.extend(self.backends.iter().map(|backend| backend.socket));
        used.extend(&network.arrivals);
        network.bury(|socket| !used.contains(&socket));
    }

    /// The coordinator's part of a round.
    fn steer(&mut self, network: &mut Network) {
        let now = network.now;
        if self.prng.one_in(self.plan.changes_one_in) && self.course.phase() < Phase::Finishing {
            self.control.change(network, &mut self.prng);
        }
        if self.plan.leaves_in.is_some_and(|round| round < self.round) {
            self.plan.leaves_in = None;
            let shard = self.plan.shards - 1;
            self.mailboxes[shard].order(Stage::Draining);
            self.leaver = Some((shard, now + self.control.config.timeouts.drain));
        }
        if let Some((shard, until)) = self.leaver
            && until <= now
        {
            self.mailboxes[shard].order(Stage::Ending);
            assert!(now <= until + ENDING_SLACK || self.shards[shard].is_over(), "still there");
        }
        let timeouts = self.control.config.timeouts;
        let is_due = match self.plan.drains_in {
            Some(round) => round < self.round,
            None => self.is_served(),
        };
        if is_due && !self.course.phase().is_draining() {
            self.course.drain(&timeouts, now);
            if self.plan.cuts {
                self.course.finish(&timeouts, now);
                self.course.finish(&timeouts, now);
            }
        } else if self.course.phase() == Phase::LameDuck && self.prng.one_in(300) {
            self.course.undrain();
            self.was_lame = true;
            self.plan.drains_in = None;
        }
        self.course.tick(&timeouts, now);
        self.order_stage(now);
    }

    fn order_stage(&mut self, now: Instant) {
        if self.course.phase() >= Phase::Finishing && self.ends_by.is_none() {
            let waits = self.course.phase() == Phase::Finishing;
            let span = if waits { self.control.config.timeouts.drain } else { Duration::ZERO };
            self.ends_by = Some(now + span + ENDING_SLACK);
        }
        for mailbox in self.mailboxes.iter() {
            let is_leaving = mailbox.stage() >= Stage::Draining;
            if !is_leaving || self.course.phase().stage() > mailbox.stage() {
                mailbox.order(self.course.phase().stage());
            }
        }
    }

    /// Every shard has its turn, but for those that miss it. True if none did.
    fn turn_shards(&mut self) -> bool {
        let first = self.prng.below(self.plan.shards as u32) as usize;
        let mut all_turned = true;
        for offset in 0..self.plan.shards {
            let index = (first + offset) % self.plan.shards;
            let shard = &mut self.shards[index];
            if shard.is_over() {
                self.network.borrow_mut().lanes[index].end();
                continue;
            }
            {
                let network = &mut *self.network.borrow_mut();
                if network.prng.one_in(network.meanness.misses_turn_one_in) {
                    all_turned = false;
                    continue;
                }
                network.lanes[index].turn += 1;
                network.lanes[index].before = shard.traffic().generation();
            }
            shard.turn();
            let after = shard.traffic().generation();
            let lane = &mut self.network.borrow_mut().lanes[index];
            let applied = self.mailboxes[index].applied();
            assert!(applied <= lane.before, "{applied:?} is reported in the turn that took it");
            if after != lane.before {
                lane.taken.insert(lane.turn, after);
            }
        }
        all_turned
    }

    fn look_at_trials(&mut self) {
        while let Some(observation) = self.mailboxes[0].shared.observations.pop() {
            match observation {
                Observation::Trial(.., TrialCourse::Begun) => {
                    self.open_trials += 1;
                    self.trials += 1;
                }
                Observation::Trial(..) => self.open_trials -= 1,
                Observation::Fault(..) => {}
            }
        }
    }

    fn is_served(&self) -> bool {
        let is_running = |client: &Guest| client.outcome() == Outcome::Running;
        self.visits.is_empty() && !self.clients.iter().any(is_running)
    }

    // --- to the end ---

    pub fn run(&mut self) {
        while !self.shards.iter().all(Shard::is_over) || !self.is_served() {
            self.step();
            assert!(self.round < ROUNDS_MAX, "it does not end: {}", self.picture());
            let now = self.network.borrow().now;
            let is_late = self.ends_by.is_some_and(|ends_by| now > ends_by);
            let is_over = !is_late || self.shards.iter().all(Shard::is_over);
            assert!(is_over, "the drain is late: {}", self.picture());
        }
        self.look_at_trials();
    }

    /// What everybody is waiting for, for the message of a failure.
    fn picture(&mut self) -> String {
        let (round, phase) = (self.round, self.course.phase());
        let mut picture = format!("round {round}, {phase:?}, {:#?}\n", self.plan);
        let network = self.network.borrow();
        picture += &format!("{:?}, {:#?}\n", network.now, network.meanness);
        let deadlines: Vec<_> = network.lanes.iter().map(|lane| lane.deadline).collect();
        picture += &format!("shards wait until {deadlines:?}, others {:?}\n", self.wakes());
        drop(network);
        for client in &self.clients {
            picture += &format!("client {}: {}\n", client.socket(), client.picture());
        }
        for (index, shard) in self.shards.iter_mut().enumerate() {
            let counters = &self.mailboxes[index].counters;
            let closes =
                CloseReason::ALL.iter().map(|reason| (reason, counters.read_closes(*reason)));
            let closes: Vec<_> = closes.filter(|(_, count)| *count > 0).collect();
            picture += &format!("shard {index}: {closes:?}\n");
            let sessions = &shard.traffic().clients();
            for (_, session) in sessions.iter() {
                picture += &format!("{session:?}\n");
            }
        }
        picture
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.mailboxes.iter().map(|mailbox| mailbox.counters.read(counter)).sum()
    }

    pub fn closes(&self, reason: CloseReason) -> u64 {
        self.mailboxes.iter().map(|mailbox| mailbox.counters.read_closes(reason)).sum()
    }

    pub fn polls(&self) -> u64 {
        self.network.borrow().polls
    }

    pub fn generations(&self) -> u64 {
        self.control.generation.0
    }

    /// What must hold of a world that is over.
    pub fn check(&mut self) {
        let picture = self.picture();
        if !self.plan.has_faults {
            self.check_calm(&picture);
        }
        let ledger = self.mailboxes[0].shared.ledger.clone();
        for shard in &mut self.shards {
            let traffic = shard.traffic();
            assert_eq!(traffic.exchange_count(), 0, "exchanges are left");
            assert_eq!(traffic.engine().held_count(), 0, "buffers are left");
        }
        for slot in self.control.slots() {
            assert_eq!(ledger.in_flight(slot), 0, "in flight is left");
            let open = ledger.backends(slot).map(|cell| cell.connections());
            assert_eq!(open.sum::<u32>(), 0, "connections are counted that are closed");
        }
        for listener in [0, 1].map(ringway::base::ListenerId) {
            let open = ledger.listeners(listener).map(|cell| cell.sessions());
            assert_eq!(open.sum::<u32>(), 0, "sessions are counted that are closed");
        }
        let network = self.network.borrow();
        let accepted = self.count(Counter::ConnectionsAccepted);
        let rejected = self.count(Counter::ClientLimitRejections);
        let came = self.clients.len() as u64 - network.gone_at_accept;
        assert_eq!(accepted + rejected, came, "each client is accepted once");
        let closes = CloseReason::ALL.iter().map(|reason| self.closes(*reason));
        assert_eq!(accepted, closes.sum::<u64>(), "each session has one close reason");
        assert_eq!(self.count(Counter::LateCompletions), 0, "the close is a join");
        let open = network.streams.values().filter(|stream| stream.proxy_closed.is_none());
        assert_eq!(open.count(), 0, "sockets are left open");
        let doors = network.doors.iter().filter(|(_, door)| !door.is_closed);
        let doors: Vec<_> =
            doors.map(|(number, door)| (number, door.address, door.shard)).collect();
        assert!(doors.is_empty(), "listening sockets are left open: {doors:?}, {picture}");
        assert_eq!(self.open_trials, 0, "each trial has one end");
    }

    /// Nobody was mean: whatever was published or drained, nobody has lost anything.
    fn check_calm(&self, picture: &str) {
        let is_shortened = self.plan.drains_in.is_some() || self.plan.leaves_in.is_some();
        let is_cut = self.closes(CloseReason::Drained) > 0;
        for client in &self.clients {
            let may_miss = client.manner().area == Area::Passing;
            assert!(client.tally().errors == 0 || may_miss, "an error: {picture}");
            let may_be_short = is_shortened || self.leaver.is_some() || client.manner().is_at_side;
            let is_well = client.outcome() == Outcome::Satisfied
                || (may_be_short && client.outcome() == Outcome::Cut);
            let id = client.manner().client;
            let may_be_told = may_be_short || self.was_lame;
            assert!(!client.tally().told || may_be_told, "{id} is told to leave: {picture}");
            assert!(is_well, "client {id} has lost something: {picture}");
            assert!(!client.has_half() || is_cut, "half an answer to {id}: {picture}");
        }
    }
}
