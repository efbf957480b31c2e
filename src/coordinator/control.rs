//! The state of the control plane: configuration, fleet, listeners and phase. Every change of it
//! goes through here and ends in a new snapshot for the shards. One thread owns it; nothing here
//! waits.

use crate::base::{Generation, Instant};
use crate::config::{self, Config, TlsContent, TlsFiles};
use crate::coordinator::events::Event;
use crate::coordinator::fleet::{Discovered, Fleet, Operation, OperationError};
use crate::coordinator::process::{
    Challenge, Course, Issuance, ListenSockets, Listeners, OpenChallenges, Phase, ReadyAnswers,
    Retired, Shards, Tickets, check_host, system_authorities,
};
use crate::mailbox::Mailbox;
use crate::snapshot::{self, Settings, Snapshot};
use crate::tls::StapleState;
use std::cell::{Ref, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// See the module.
pub struct Control {
    /// Shared with the tasks that probe and that ask sources.
    fleet: Rc<RefCell<Fleet>>,
    config: Config,
    shards: Shards,
    listeners: Listeners,
    course: Course,
    readiness: ReadyAnswers,
    tickets: Tickets,
    tls_failures: BTreeMap<TlsFiles, String>,
    /// Where certificates by ACME stand, by their files.
    issuances: BTreeMap<PathBuf, Issuance>,
    challenges: OpenChallenges,
    began: Instant,
    settings: Arc<Settings>,
    snapshot: Option<Arc<Snapshot>>,
    retired: Retired,
    generation: Generation,
    /// Something else than the fleet has changed since the last snapshot.
    is_dirty: bool,
}

impl Control {
    /// The state at the start: listeners are bound, backends are configured, no shard runs.
    ///
    /// # Errors
    /// If a listener cannot be opened, or the machine does not allow what is configured.
    pub fn new(
        config: Config,
        listen_sockets: Box<dyn ListenSockets>,
        mailboxes: Arc<[Arc<Mailbox>]>,
        now: Instant,
    ) -> Result<Self, String> {
        let ledger = mailboxes[0].shared.ledger.clone();
        let mut fleet = Fleet::new(ledger, mailboxes.len());
        check_host(&config)?;
        fleet.trust(system_authorities(&config)?);
        fleet.configure(&config, now);
        let mut listeners = Listeners::new(listen_sockets);
        let opened = listeners.open(&config, &config)?;
        listeners.set(&config, opened, &mut fleet);
        let mut tickets = Tickets::new(fleet.ticket_keys().clone());
        tickets.follow(&config.tls, now);
        let mut control = Self {
            tickets,
            tls_failures: BTreeMap::new(),
            issuances: BTreeMap::new(),
            challenges: OpenChallenges::default(),
            fleet: Rc::new(RefCell::new(fleet)),
            shards: Shards::new(mailboxes),
            listeners,
            course: Course::default(),
            readiness: ReadyAnswers::default(),
            began: now,
            settings: Arc::new(snapshot::build_settings(&config)),
            snapshot: None,
            retired: Retired::default(),
            generation: Generation::default(),
            is_dirty: true,
            config,
        };
        control.update_readiness();
        Ok(control)
    }

    // --- snapshots ---

    /// Applies observations, counts and the time, and publishes changes. Returns the generation
    /// that is current then.
    pub fn step(&mut self, now: Instant) -> Generation {
        self.take_observations(now);
        self.fleet_mut().tick(now);
        self.tickets.tick(now);
        self.retired.free();
        self.shards.note_applied(self.generation);
        let (applied, current) = (self.shards.applied(), self.generation);
        self.fleet.borrow_mut().reap(applied, current, now);
        self.fleet.borrow_mut().release_numbers(&self.config, applied, current, now);
        if self.course.tick(&self.config.timeouts, now) {
            self.order();
        }
        self.publish(now)
    }

    /// Applies the observations of the shards, and publishes changes. Shards ring for each failure
    /// of a backend: work that grows with the number of backends waits for [`Control::step`].
    pub(crate) fn observe(&mut self, now: Instant) -> Generation {
        self.take_observations(now);
        self.shards.note_applied(self.generation);
        self.publish(now)
    }

    fn take_observations(&mut self, now: Instant) {
        let mut fleet = self.fleet.borrow_mut();
        while let Some(observation) = self.shards.observation() {
            fleet.observe(observation, now);
        }
        fleet.judge_faults(now);
    }

    /// Publishes a new snapshot if anything has changed.
    pub fn publish(&mut self, now: Instant) -> Generation {
        let is_news = self.fleet().is_dirty();
        let pools = self.fleet_mut().publish(now);
        if is_news {
            self.update_readiness();
        }
        if pools.is_none() && !std::mem::take(&mut self.is_dirty) {
            return self.generation;
        }
        self.is_dirty = false;
        let pools = pools.unwrap_or_else(|| self.fleet().published());
        self.generation = Generation(self.generation.0 + 1);
        let listeners = self.listeners.iter().cloned().collect();
        let snapshot = snapshot::assemble(self.generation, listeners, pools, self.settings.clone());
        let challenges = self.challenges.published();
        let snapshot = Arc::new(Snapshot { challenges, ..snapshot });
        self.retired.extend(self.snapshot.replace(snapshot.clone()));
        self.shards.publish(&snapshot);
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
    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// True if every shard that runs works with the newest generation.
    pub(crate) fn is_applied(&mut self) -> bool {
        self.shards.note_applied(self.generation);
        self.shards.applied() >= self.generation
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
        self.fleet_mut().operate_all(pool, backend, operations, now)?;
        Ok(self.publish(now))
    }

    /// The phase of the process, and when it ends.
    pub(crate) fn course(&self) -> &Course {
        &self.course
    }

    /// The first round of probes is over, and every shard serves.
    pub fn start(&mut self) {
        self.fleet_mut().start();
        self.change_course(|course, _| course.start());
    }

    /// The order to shut down, at least to this phase.
    pub(crate) fn leave(&mut self, to: Phase, now: Instant) {
        self.change_course(|course, timeouts| course.leave(to, timeouts, now));
    }

    /// The signal to drain, or to drain faster.
    pub fn drain(&mut self, now: Instant) {
        self.change_course(|course, timeouts| course.drain(timeouts, now));
    }

    /// The order to finish at once, without lame duck and linger.
    pub(crate) fn finish(&mut self, now: Instant) {
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
        let has_shard = self.shards.running().contains(&true);
        let fleet = self.fleet.borrow();
        self.readiness.update(self.course.phase(), has_shard, fleet.pools().values());
    }

    /// Orders the stage of the phase from the shards.
    fn order(&mut self) {
        self.update_readiness();
        let phase = self.course.phase();
        self.fleet_mut().note_event(Event::Phase { phase: phase.word() });
        self.shards.order(phase.stage());
        if self.course.is_closed() {
            self.listeners.close_unused();
        }
    }

    // --- configuration ---

    /// Puts a configuration in force, which has the present values of keys that need a restart,
    /// with the results of its preflight. On an error nothing has changed.
    ///
    /// # Errors
    /// If a listener cannot be opened, the machine does not allow what is configured, there are
    /// more new names than there is room for, or the process is shutting down.
    pub fn apply(
        &mut self,
        config: Config,
        discovered: Discovered,
        now: Instant,
    ) -> Result<Generation, String> {
        self.course.check_open()?;
        check_host(&config)?;
        let authorities = system_authorities(&config)?;
        self.make_room(&config, now)?;
        let opened = self.listeners.open(&self.config, &config)?;
        self.config = config;
        let mut fleet = self.fleet.borrow_mut();
        fleet.trust(authorities);
        fleet.configure(&self.config, now);
        fleet.apply_discovered(discovered, now);
        self.listeners.set(&self.config, opened, &mut fleet);
        self.tickets.follow(&self.config.tls, now);
        // What was read for this configuration can be used.
        self.tls_failures.clear();
        let is_wanted = |path: &PathBuf| {
            self.config.certificates.iter().any(|one| one.acme.is_some() && one.chain == *path)
        };
        self.issuances.retain(|path, _| is_wanted(path));
        fleet.note_gone();
        drop(fleet);
        let settings = snapshot::build_settings(&self.config);
        if *self.settings != settings {
            self.settings = Arc::new(settings);
        }
        self.is_dirty = true;
        Ok(self.publish(now))
    }

    /// Checks that there are numbers for all names of a configuration. Before it refuses one, it
    /// takes back those that are not in use any more.
    fn make_room(&self, config: &Config, now: Instant) -> Result<(), String> {
        let mut fleet = self.fleet.borrow_mut();
        if fleet.check_room(config).is_err() {
            self.shards.note_applied(self.generation);
            let (applied, current) = (self.shards.applied(), self.generation);
            fleet.recheck_gone();
            fleet.release_numbers(&self.config, applied, current, now);
        }
        fleet.check_room(config)
    }

    /// Puts new content of files of TLS in force, if it differs from what they had.
    ///
    /// # Errors
    /// A sentence with why it cannot be used; nothing has changed then.
    pub(crate) fn replace_tls(
        &mut self,
        files: &TlsFiles,
        content: &TlsContent,
        now: Instant,
    ) -> Result<(), String> {
        let mut next = self.config.clone();
        let is_changed = next.replace_tls(files, content);
        if is_changed {
            next.check_server_names()?;
            self.config = next;
            let mut fleet = self.fleet.borrow_mut();
            self.listeners.rebuild_https(&self.config, &mut fleet);
            fleet.replace_tls(&self.config);
            drop(fleet);
            self.tickets.follow(&self.config.tls, now);
            self.is_dirty = true;
        }
        let had_failed = self.tls_failures.remove(files).is_some();
        if is_changed || had_failed {
            self.fleet_mut().note_event(Event::TlsFilesLoaded { files: files.to_string() });
            self.publish(now);
        }
        Ok(())
    }

    /// Has those answers of OCSP sent that are valid at this time, seconds since 1970.
    pub(crate) fn follow_staples(&mut self, wall_s: i64, now: Instant) {
        let certificates = self.config.certificates.iter();
        let valid = certificates.filter_map(|one| {
            let staple = one.staple.as_ref()?;
            let is_sent = staple.state(one.loaded.as_ref()?, wall_s) == StapleState::Stapled;
            is_sent.then(|| staple.digest())
        });
        let valid: BTreeSet<[u8; 32]> = valid.collect();
        let mut fleet = self.fleet.borrow_mut();
        if *fleet.staples_mut() == valid {
            return;
        }
        *fleet.staples_mut() = valid;
        self.listeners.rebuild_https(&self.config, &mut fleet);
        drop(fleet);
        self.is_dirty = true;
        self.publish(now);
    }

    /// Files of TLS cannot be used: what they had still holds.
    pub(crate) fn tls_failed(&mut self, files: &TlsFiles, reason: String) {
        let named = files.to_string();
        self.fleet_mut().note_event(Event::TlsFilesFailed { files: named, reason: reason.clone() });
        self.tls_failures.insert(files.clone(), reason);
    }

    /// Why files of TLS cannot be used, which have changed.
    pub(crate) fn tls_failures(&self) -> &BTreeMap<TlsFiles, String> {
        &self.tls_failures
    }

    // --- certificates by ACME ---

    /// Where a certificate by ACME stands, by its file.
    pub(crate) fn issuance(&self, path: &Path) -> Option<&Issuance> {
        self.issuances.get(path)
    }

    /// The same, to be changed.
    pub(crate) fn issuance_mut(&mut self, path: &Path) -> &mut Issuance {
        self.issuances.entry(path.to_owned()).or_default()
    }

    /// Has the shards answer challenges; the number is for [`Control::remove_challenges`].
    pub(crate) fn add_challenges(&mut self, challenges: Vec<Challenge>, now: Instant) -> u64 {
        let number = self.challenges.add(challenges);
        self.is_dirty = true;
        self.publish(now);
        number
    }

    /// Has the shards forget challenges.
    pub(crate) fn remove_challenges(&mut self, number: u64, now: Instant) {
        self.challenges.remove(number);
        self.is_dirty = true;
        self.publish(now);
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The listeners that are open.
    pub fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Pools and backends.
    pub fn fleet(&self) -> Ref<'_, Fleet> {
        self.fleet.borrow()
    }

    /// The same, to be changed: [`Control::publish`] follows.
    pub fn fleet_mut(&mut self) -> RefMut<'_, Fleet> {
        self.fleet.borrow_mut()
    }

    /// The same, for tasks. None of them may hold it over an await.
    pub(crate) fn shared_fleet(&self) -> Rc<RefCell<Fleet>> {
        self.fleet.clone()
    }

    /// How long ago the process started.
    pub(crate) fn uptime(&self, now: Instant) -> Duration {
        now.since(self.began)
    }

    // --- shards ---

    /// The shards.
    pub(crate) fn shards(&self) -> &Shards {
        &self.shards
    }

    /// Records that a shard runs, or does not any more.
    pub fn set_running(&mut self, shard: usize, runs: bool) {
        self.shards.set_running(shard, runs);
        self.update_readiness();
    }

    /// A shard has lost its sessions.
    pub(crate) fn note_panic(&mut self, shard: usize) {
        self.shards.note_panic(shard);
        self.fleet_mut().note_event(Event::ShardPanicked { shard });
    }
}
