//! One world of the simulation: shards, clients and backends on one network, a coordinator that
//! changes its mind, and the way out of the process. All of it follows from the seed.

use super::backend::{Backend, area_of};
use super::client::Outcome;
use super::control::{Control, FRONT, SIDE};
use super::guest::Guest;
use super::message::Area;
use super::network::Network;
use super::plan::{Plan, Visit, client_address};
use super::shards::{self, Shards};
use ringway::base::{Instant, Prng};
use ringway::coordinator::process::{Course, Phase};
use ringway::mailbox::Stage;
use ringway::stats::{CloseReason, Counter};
use std::time::Duration;

/// More rounds than any world needs: a world that is not over then has come to a halt.
const ROUNDS_MAX: u32 = 200_000;
/// What ending may take beyond its deadline: turns have to be taken.
const ENDING_SLACK: Duration = Duration::from_secs(1);

pub struct World {
    plan: Plan,
    pub shards: Shards,
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
    round: u32,
    prng: Prng,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut prng = Prng::new(seed);
        let plan = Plan::draw(&mut prng);
        let meanness = plan.meanness(&mut prng);
        let mut network = Network::new(prng.next_u64(), meanness, plan.shards);
        let mailboxes = shards::mailboxes(plan.shards, plan.client_limit);
        let (faults, most) = (plan.has_faults, plan.connections_max);
        let mut control = Control::new(faults, most, mailboxes.clone(), &mut network, &mut prng);
        let snapshot = control.next_snapshot();
        let shards = Shards::new(shards::Beginning {
            network,
            mailboxes,
            snapshot,
            buffers: plan.buffers,
            access_log: None,
            seed,
        });
        let mut world = Self {
            plan,
            shards,
            control,
            course: Course::default(),
            ends_by: None,
            leaver: None,
            was_lame: false,
            visits: plan.visits(meanness, &mut prng),
            clients: Vec::new(),
            backends: Vec::new(),
            round: 0,
            prng,
        };
        world.course.start();
        world
    }

    // --- a round ---

    fn step(&mut self) {
        self.round += 1;
        let network = self.shards.network.clone();
        let before = network.borrow().activity;
        let is_busy = {
            let network = &mut *network.borrow_mut();
            self.receive_visits(network) | self.step_actors(network)
        };
        self.steer(&mut network.borrow_mut());
        let all_turned = self.shards.turn(self.prng.below(self.plan.shards as u32) as usize);
        if self.round.is_multiple_of(16) {
            self.control.pools.bury();
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
                self.control.pools.check(mark, backend.address, network.after(mark), false);
            }
        }
        is_busy
    }

    fn check_connects(&self, network: &mut Network) {
        for (_, address, mark) in std::mem::take(&mut network.connects) {
            self.control.pools.check(mark, address, network.after(mark), true);
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
            self.shards.mailboxes[shard].order(Stage::Draining);
            self.leaver = Some((shard, now + self.control.config.timeouts.drain));
        }
        if let Some((shard, until)) = self.leaver
            && until <= now
        {
            self.shards.mailboxes[shard].order(Stage::Ending);
            assert!(now <= until + ENDING_SLACK || self.shards.all[shard].is_over(), "still there");
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
        for mailbox in self.shards.mailboxes.iter() {
            let is_leaving = mailbox.stage() >= Stage::Draining;
            if !is_leaving || self.course.phase().stage() > mailbox.stage() {
                mailbox.order(self.course.phase().stage());
            }
        }
    }

    fn is_served(&self) -> bool {
        let is_running = |client: &Guest| client.outcome() == Outcome::Running;
        self.visits.is_empty() && !self.clients.iter().any(is_running)
    }

    // --- to the end ---

    pub fn run(&mut self) {
        while !self.shards.are_over() || !self.is_served() {
            self.step();
            assert!(self.round < ROUNDS_MAX, "it does not end: {}", self.picture());
            let now = self.shards.network.borrow().now;
            let is_late = self.ends_by.is_some_and(|ends_by| now > ends_by);
            let is_over = !is_late || self.shards.are_over();
            assert!(is_over, "the drain is late: {}", self.picture());
        }
    }

    /// What everybody is waiting for, for the message of a failure.
    fn picture(&mut self) -> String {
        let (round, phase) = (self.round, self.course.phase());
        let mut picture = format!("round {round}, {phase:?}, {:#?}\n", self.plan);
        let network = self.shards.network.borrow();
        picture += &format!("{:?}, {:#?}\n", network.now, network.meanness);
        let deadlines: Vec<_> = network.lanes.iter().map(|lane| lane.deadline).collect();
        picture += &format!("shards wait until {deadlines:?}, others {:?}\n", self.wakes());
        drop(network);
        for client in &self.clients {
            picture += &format!("client {}: {}\n", client.socket(), client.picture());
        }
        for index in 0..self.plan.shards {
            picture += &format!("shard {index}: {:?}\n", self.shards.closes_of(index));
            let shard = &mut self.shards.all[index];
            let sessions = &shard.traffic().clients();
            for (_, session) in sessions.iter() {
                picture += &format!("{session:?}\n");
            }
        }
        picture
    }

    pub fn polls(&self) -> u64 {
        self.shards.network.borrow().polls
    }

    pub fn generations(&self) -> u64 {
        self.control.pools.generation.0
    }

    /// What must hold of a world that is over.
    pub fn check(&mut self) {
        let picture = self.picture();
        if !self.plan.has_faults {
            self.check_calm(&picture);
        }
        self.shards.check_end(self.control.pools.slots(), 2, &picture);
        let accepted = self.shards.count(Counter::ConnectionsAccepted);
        let rejected = self.shards.count(Counter::ClientLimitRejections);
        let came = self.clients.len() as u64 - self.shards.network.borrow().gone_at_accept;
        assert_eq!(accepted + rejected, came, "each client is accepted once");
        assert_eq!(accepted, self.shards.all_closes(), "each session has one close reason");
    }

    /// Nobody was mean: whatever was published or drained, nobody has lost anything.
    fn check_calm(&self, picture: &str) {
        let is_shortened = self.plan.drains_in.is_some() || self.plan.leaves_in.is_some();
        let is_cut = self.shards.closes(CloseReason::Drained) > 0;
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
