//! The state of the control plane: configuration, fleet, listeners and phase. Every change of it
//! goes through here and ends in a new snapshot for the shards. One thread owns it; nothing here
//! waits.

mod listeners;

use self::listeners::successor;
use crate::base::{Generation, Instant};
use crate::config::{self, Config, Digest};
use crate::coordinator::discovery::Resolvers;
use crate::coordinator::events::{Event, beginning};
use crate::coordinator::fleet::{Discovered, Fleet, Operation, OperationError, Record};
use crate::coordinator::process::{Course, Phase, ReadyAnswers, Retired};
use crate::coordinator::reload::{self, ConfigSource, ListenSockets, Loaded, Part, Plan, Touched};
use crate::engine::BuffersHeld;
use crate::limits::LISTENER_LEAVES_AFTER;
use crate::mailbox::Mailbox;
use crate::snapshot::{self, Listener, Settings, Snapshot};
use crate::stats::Counter;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify, watch};

/// The name and the configured address of a listener.
type ListenerKey = (String, SocketAddr);

/// The backends of each pool that another configuration keeps.
type Kept<'c> = BTreeMap<&'c str, BTreeSet<SocketAddr>>;

/// How long the numbers of removed routes and listeners are kept after every shard works without
/// them. Shards still accept on the old sockets for a while, and count under the old numbers; as
/// long again is for a shard that is late.
const NUMBERS_KEPT: Duration = LISTENER_LEAVES_AFTER.saturating_mul(2);

/// True if a part of a configuration is the listener with this key.
fn is_of(part: &Part, key: &ListenerKey) -> bool {
    let Part::Listener { name, address } = part else { return false };
    key.0 == *name && key.1.to_string() == *address
}

/// See the module.
pub struct Control {
    /// Pools and backends.
    pub fleet: Fleet,
    /// The mailbox of each shard.
    pub mailboxes: Arc<[Arc<Mailbox>]>,
    /// The configuration in force.
    pub config: Config,
    /// Its version and digest.
    pub loaded: Loaded,
    /// The source of the configuration for a reload.
    pub source: Box<dyn ConfigSource>,
    running: Vec<bool>,
    /// When the process started.
    pub began: Instant,
    /// The TCP address of the read-only admin interface.
    pub admin_address: Option<SocketAddr>,
    /// Notified after changes that tasks react to.
    pub changed: Arc<Notify>,
    /// The generation that every running shard works with.
    pub applied: watch::Sender<Generation>,
    /// The DNS resolvers.
    pub resolvers: Resolvers,
    /// Held while a configuration is read and put in force, so that reloads run one at a time.
    pub reloading: Rc<Mutex<()>>,
    course: Course,
    readiness: ReadyAnswers,
    listen_sockets: Box<dyn ListenSockets>,
    listeners: BTreeMap<ListenerKey, Arc<Listener>>,
    settings: Arc<Settings>,
    snapshot: Option<Arc<Snapshot>>,
    retired: Retired,
    generation: Generation,
    is_dirty: bool,
    /// Removed routes or listeners still have their numbers.
    has_gone: bool,
    /// When all shards first worked without them; none before.
    gone_since: Option<Instant>,
}

impl Control {
    /// The state at the start: listeners are bound, backends are configured, no shard runs.
    ///
    /// # Errors
    /// If a listener cannot be opened.
    pub fn new(
        config: Config,
        source: Box<dyn ConfigSource>,
        listen_sockets: Box<dyn ListenSockets>,
        mailboxes: Arc<[Arc<Mailbox>]>,
        now: Instant,
    ) -> Result<Self, String> {
        let shards = mailboxes.len();
        let ledger = mailboxes[0].shared.ledger.clone();
        let mut control = Self {
            fleet: Fleet::new(ledger, shards),
            mailboxes,
            loaded: Loaded::first(&config),
            source,
            running: vec![false; shards],
            began: now,
            admin_address: None,
            changed: Arc::new(Notify::new()),
            applied: watch::Sender::new(Generation::default()),
            resolvers: Resolvers::default(),
            reloading: Rc::default(),
            course: Course::default(),
            readiness: ReadyAnswers::default(),
            listen_sockets,
            listeners: BTreeMap::new(),
            settings: Arc::new(snapshot::build_settings(&config)),
            snapshot: None,
            retired: Retired::default(),
            generation: Generation::default(),
            is_dirty: true,
            has_gone: false,
            gone_since: None,
            config,
        };
        control.fleet.configure(&control.config, now);
        let opened = control.open_listeners(&control.config.clone())?;
        control.set_listeners(opened);
        control.update_readiness();
        Ok(control)
    }

    // --- snapshots ---

    /// Applies observations, counts and the time, and publishes changes. Returns the generation
    /// that is current then.
    pub fn step(&mut self, now: Instant) -> Generation {
        self.take_observations(now);
        self.fleet.tick(now);
        self.note_applied();
        let applied = *self.applied.borrow();
        self.retired.free();
        self.fleet.reap(applied, self.generation, now);
        self.release_numbers(now);
        if self.course.tick(&self.config.timeouts, now) {
            self.order();
        }
        self.publish(now)
    }

    /// Applies the observations of the shards, and publishes changes. Shards ring for each failure
    /// of a backend: work that grows with the number of backends waits for [`Control::step`].
    pub fn observe(&mut self, now: Instant) -> Generation {
        self.take_observations(now);
        self.note_applied();
        self.publish(now)
    }

    fn take_observations(&mut self, now: Instant) {
        while let Some(observation) = self.mailboxes[0].shared.observations.pop() {
            self.fleet.observe(observation, now);
        }
        self.fleet.judge_faults(now);
    }

    /// Publishes a new snapshot if anything has changed.
    pub fn publish(&mut self, now: Instant) -> Generation {
        let is_news = self.fleet.is_dirty();
        let pools = self.fleet.publish(now);
        if is_news {
            self.update_readiness();
        }
        if pools.is_none() && !std::mem::take(&mut self.is_dirty) {
            return self.generation;
        }
        self.is_dirty = false;
        let pools = pools.unwrap_or_else(|| self.fleet.published());
        self.generation = Generation(self.generation.0 + 1);
        let listeners = self.listeners.values().cloned().collect();
        let snapshot = snapshot::assemble(self.generation, listeners, pools, self.settings.clone());
        let snapshot = Arc::new(snapshot);
        self.retired.extend(self.snapshot.replace(snapshot.clone()));
        self.mailboxes.iter().for_each(|mailbox| mailbox.publish(snapshot.clone()));
        self.changed.notify_waiters();
        self.generation
    }

    /// The newest snapshot.
    ///
    /// # Panics
    /// If nothing was published yet.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.clone().expect("the first snapshot is published before shards start")
    }

    /// The newest generation.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Records the generation that every running shard has applied.
    fn note_applied(&mut self) {
        let running = self.mailboxes.iter().zip(&self.running).filter(|(_, running)| **running);
        let least = running.map(|(mailbox, _)| mailbox.applied()).min();
        let least = least.unwrap_or(self.generation);
        self.applied.send_if_modified(|applied| std::mem::replace(applied, least) != least);
    }

    /// True if every shard that runs works with the newest generation.
    pub fn is_applied(&mut self) -> bool {
        self.note_applied();
        *self.applied.borrow() >= self.generation
    }

    // --- orders ---

    /// Applies an operator's orders for a backend: all of them, or none.
    ///
    /// # Errors
    /// If they name an unknown pool or backend, or one is refused.
    pub fn operate(
        &mut self,
        pool: &str,
        backend: SocketAddr,
        operations: &[Operation],
        now: Instant,
    ) -> Result<Generation, OperationError> {
        for operation in operations {
            self.fleet.check_order(pool, backend, *operation)?;
        }
        for operation in operations {
            self.fleet.operate(pool, backend, *operation, now)?;
        }
        Ok(self.publish(now))
    }

    /// The phase of the process.
    pub fn phase(&self) -> Phase {
        self.course.phase()
    }

    /// True once listeners are closed: no new connections are served.
    pub fn is_closed(&self) -> bool {
        self.course.phase() >= Phase::Finishing
    }

    /// Refuses orders that only affect new connections.
    ///
    /// # Errors
    /// If listeners are closed.
    pub fn check_open(&self) -> Result<(), String> {
        if self.is_closed() {
            return Err("it is too late: listeners are closed already".to_owned());
        }
        Ok(())
    }

    /// Time until the next phase comes by itself.
    pub fn phase_ends_in(&self, now: Instant) -> Option<Duration> {
        self.course.until().map(|until| until.since(now))
    }

    /// The first round of probes is over, and every shard serves.
    pub fn start(&mut self) {
        self.fleet.start();
        self.change_course(|course, _| course.start());
    }

    /// The order to shut down, at least to this phase.
    pub fn leave(&mut self, to: Phase, now: Instant) {
        self.change_course(|course, timeouts| course.leave(to, timeouts, now));
    }

    /// The signal to drain, or to drain faster.
    pub fn drain(&mut self, now: Instant) {
        self.change_course(|course, timeouts| course.drain(timeouts, now));
    }

    /// The order to finish at once, without lame duck and linger.
    pub fn finish(&mut self, now: Instant) {
        self.change_course(|course, timeouts| course.finish(timeouts, now));
    }

    /// Cancels the drain; false if it is too late, or there was none.
    pub fn undrain(&mut self) -> bool {
        let mut could = false;
        self.change_course(|course, _| could = course.undrain());
        could
    }

    fn change_course(&mut self, change: impl FnOnce(&mut Course, &config::Timeouts)) {
        let before = self.course.phase();
        change(&mut self.course, &self.config.timeouts);
        if self.course.phase() != before {
            self.order();
        }
    }

    /// The readiness answers, as of the last change.
    pub fn readiness(&self) -> &ReadyAnswers {
        &self.readiness
    }

    fn update_readiness(&mut self) {
        let has_shard = self.running.contains(&true);
        self.readiness.update(self.course.phase(), has_shard, self.fleet.pools.values());
    }

    /// Orders the stage of the phase from the shards.
    fn order(&mut self) {
        self.update_readiness();
        let phase = self.course.phase();
        self.fleet.events.push(Event::Phase { phase: phase.word() });
        self.mailboxes.iter().for_each(|mailbox| mailbox.order(phase.stage()));
        if self.is_closed() {
            self.listen_sockets.close_unused();
        }
        self.changed.notify_waiters();
    }

    // --- configuration ---

    /// The changes that `config` would make.
    pub fn plan(&self, config: &Config) -> Plan {
        let kept = config.pools.iter().map(|pool| (&*pool.name, self.fleet.reported_under(pool)));
        let kept: Kept<'_> = kept.collect();
        let ending = |part: &Part| match part {
            Part::Listener { name, .. } => {
                let mut meant = self.listeners.iter().filter(|(key, _)| is_of(part, key));
                let goes_on = meant.any(|(_, one)| successor(config, name, one.address).is_some());
                (!goes_on).then(|| self.touched(part, |_| true))
            }
            part => self.ending(part, &kept),
        };
        reload::plan(&self.config, config, |part| self.touched(part, |_| true), ending)
    }

    /// The digest that the configuration in force would have after that.
    pub fn digest_of(&self, config: Config) -> Digest {
        reload::without_restart(&self.config, config).digest()
    }

    /// Puts a configuration in force, with the results of its preflight. On an error nothing has
    /// changed.
    ///
    /// # Errors
    /// If a listener cannot be opened, there are more new names than there is room for, or the
    /// process is shutting down.
    pub fn apply(
        &mut self,
        config: Config,
        discovered: Discovered,
        now: Instant,
    ) -> Result<(Plan, Generation), String> {
        self.check_open()?;
        let plan = self.plan(&config);
        let config = reload::without_restart(&self.config, config);
        let wanted = snapshot::wanted(&config);
        if self.fleet.registry.check_room(&wanted).is_err() {
            // Sessions that kept the number of a listener may have ended since the last check.
            self.note_applied();
            self.has_gone = true;
            self.release_numbers(now);
        }
        self.fleet.registry.check_room(&wanted)?;
        let opened = self.open_listeners(&config)?;
        self.config = config;
        self.fleet.configure(&self.config.clone(), now);
        self.fleet.apply_discovered(discovered, now);
        self.set_listeners(opened);
        let settings = snapshot::build_settings(&self.config);
        if *self.settings != settings {
            self.settings = Arc::new(settings);
        }
        (self.is_dirty, self.has_gone, self.gone_since) = (true, true, None);
        let generation = self.publish(now);
        let (changes, needs_restart) = (plan.changes.len(), plan.needs_restart.clone());
        self.loaded.note(&self.config);
        let (version, digest) = (self.loaded.version, self.loaded.digest.to_string());
        self.fleet.events.push(Event::Reloaded {
            version,
            digest,
            generation: generation.0,
            changes,
            needs_restart,
        });
        Ok((plan, generation))
    }

    /// Records that a configuration was refused: nothing has changed.
    pub fn refuse(&mut self, reason: &str) {
        self.loaded.note_refusal();
        self.fleet.events.push(Event::ReloadRefused { reason: beginning(reason) });
    }

    /// Releases the numbers of removed routes and listeners, once no shard uses them or accepts on
    /// their sockets.
    fn release_numbers(&mut self, now: Instant) {
        if !self.has_gone || *self.applied.borrow() < self.generation {
            return;
        }
        if now.since(*self.gone_since.get_or_insert(now)) < NUMBERS_KEPT {
            return;
        }
        let wanted = snapshot::wanted(&self.config);
        let Fleet { registry, ledger, .. } = &mut self.fleet;
        registry.release_routes(&wanted).into_iter().for_each(|route| ledger.clear_route(route));
        let is_used = |id| ledger.listeners(id).any(|cell| cell.sessions.read() > 0);
        let released = registry.release_listeners(&wanted, is_used);
        released.into_iter().for_each(|listener| ledger.clear_listener(listener));
        // A listener whose sessions go on is checked again when there is no room otherwise.
        self.has_gone = false;
    }

    /// The listeners that are open.
    pub fn listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.listeners.values()
    }

    /// The connections and exchanges that use a part of the configuration now; of backends, those
    /// for which `counts` is true.
    fn touched(&self, part: &Part, counts: impl Fn(&SocketAddr) -> bool) -> Touched {
        let none = Touched::default();
        match part {
            Part::Process(_) => Touched { client_connections: Some(self.connections()), ..none },
            Part::Listener { .. } => {
                let meant = self.listeners.iter().filter(|(key, _)| is_of(part, key));
                let sessions = meant.map(|(_, listener)| self.sessions_on(listener)).sum();
                Touched { client_connections: Some(sessions), ..none }
            }
            Part::Route(_) => none,
            Part::Pool { .. } | Part::Backend { .. } | Part::BackendsFile { .. } => {
                let meant = self.fleet.meant_by(part).filter(|(address, _)| counts(address));
                self.touched_backends(meant.map(|(_, record)| record))
            }
        }
    }

    /// Those of them that end when the part is removed; none if all its backends are kept.
    fn ending(&self, part: &Part, kept: &Kept<'_>) -> Option<Touched> {
        let kept = match part {
            Part::Backend { pool, .. } | Part::BackendsFile { pool, .. } => kept.get(&**pool),
            _ => None,
        };
        let is_kept = |address: &SocketAddr| kept.is_some_and(|kept| kept.contains(address));
        let mut meant = self.fleet.meant_by(part).peekable();
        let goes_on = meant.peek().is_some() && meant.all(|(address, _)| is_kept(address));
        (!goes_on).then(|| self.touched(part, |address| !is_kept(address)))
    }

    /// The connections and exchanges of some backends together.
    fn touched_backends<'r>(&self, backends: impl Iterator<Item = &'r Record>) -> Touched {
        let (mut connections, mut exchanges) = (0, 0);
        for cell in backends.flat_map(|record| self.fleet.ledger.backends(record.slot)) {
            connections += u64::from(cell.connections.read());
            exchanges += u64::from(cell.in_flight.read());
        }
        Touched {
            client_connections: None,
            backend_connections: Some(connections),
            exchanges: Some(exchanges),
        }
    }

    fn sessions_on(&self, listener: &Listener) -> u64 {
        let cells = self.fleet.ledger.listeners(listener.id);
        cells.map(|cell| u64::from(cell.sessions.read())).sum()
    }

    // --- shards ---

    /// Which shards run.
    pub fn running(&self) -> &[bool] {
        &self.running
    }

    /// Records that a shard runs, or does not any more.
    pub fn set_running(&mut self, shard: usize, runs: bool) {
        self.running[shard] = runs;
        self.update_readiness();
    }

    /// A shard has lost its sessions.
    pub fn note_panic(&mut self, shard: usize) {
        let mailbox = &self.mailboxes[shard];
        mailbox.counters.add(Counter::ShardPanics, 1);
        mailbox.shared.ledger.reset(mailbox.shard());
        mailbox.shared.clients.reset(mailbox.shard());
        mailbox.show_connections(0);
        mailbox.show_buffers(BuffersHeld::default());
        self.fleet.events.push(Event::ShardPanicked { shard });
    }

    /// Client connections that are open.
    pub fn connections(&self) -> u64 {
        self.mailboxes.iter().map(|mailbox| u64::from(mailbox.connections())).sum()
    }
}
