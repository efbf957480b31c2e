//! The loop of the coordinator's thread: it starts the shards once the backends have been probed,
//! handles events, and ends when the shards have ended.

use crate::base::Instant;
use crate::coordinator::acme;
use crate::coordinator::admin::{self, Admin};
use crate::coordinator::control::Control;
use crate::coordinator::discovery::{Resolvers, Sources};
use crate::coordinator::events::Event;
use crate::coordinator::fleet::FIRST_ROUND_MAX;
use crate::coordinator::probing::Probing;
use crate::coordinator::process::{
    BellReceiver, Left, Panics, Phase, StateFile, Systemd, TooManyPanics, rung,
};
use crate::coordinator::reload::{self, ConfigSource, Reloads};
use crate::coordinator::tls_files;
use crate::snapshot::Snapshot;
use crate::sys::clock;
use hyper::StatusCode;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::LocalSet;
use tokio::time::MissedTickBehavior;

/// The interval of ticks for weights, ejections and drains.
const TICK: Duration = Duration::from_millis(100);
/// The greatest age of the saved state: less than two intervals of the default probe.
const STATE_EVERY: Duration = Duration::from_secs(1);

/// How a shard's thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardEnd {
    /// Before it could serve; the text has the reason and the remedy.
    NotStarted(String),
    /// As ordered.
    Finished,
    /// By a panic; its sessions are lost.
    Panicked,
}

/// A message of a shard's thread.
#[derive(Clone, Debug)]
pub struct ShardReport {
    /// The shard's index.
    pub shard: usize,
    /// How it ended.
    pub end: ShardEnd,
}

/// Starts the thread of a shard; its end is reported over the channel.
pub type Spawn = Box<dyn FnMut(usize, Arc<Snapshot>, mpsc::UnboundedSender<ShardReport>)>;

/// How the process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All exchanges finished.
    Drained,
    /// Exchanges left after the drain timeout, or a further signal, were cut.
    Cut,
    /// By an error; the text has the reason.
    Failed(String),
}

/// See the module.
pub struct Coordinator {
    control: Rc<RefCell<Control>>,
    reloads: Rc<Reloads>,
    resolvers: Rc<Resolvers>,
    /// For the pauses of what is tried again.
    seed: u64,
    spawn: Spawn,
    bell: Option<BellReceiver>,
    panics: Panics,
    sender: mpsc::UnboundedSender<ShardReport>,
    reports: mpsc::UnboundedReceiver<ShardReport>,
    news: Rc<Notify>,
    probing: Probing,
    sources: Sources,
    admin: Option<Admin>,
    state_file: Option<StateFile>,
    state_due: Instant,
    /// The fleet's changes as they were last saved.
    saved: u64,
    systemd: Systemd,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

impl Coordinator {
    /// A coordinator of shards that `spawn` starts; they wake it by the other end of `bell`. `seed`
    /// is for its random choices.
    pub fn new(
        control: Control,
        source: Box<dyn ConfigSource>,
        spawn: Spawn,
        bell: BellReceiver,
        admin: Admin,
        seed: u64,
    ) -> Self {
        let control = Rc::new(RefCell::new(control));
        let news = Rc::new(Notify::new());
        let fleet = control.borrow().shared_fleet();
        let probing = Probing::new(fleet.clone(), seed, news.clone());
        let servers = control.borrow().config().runtime.dns_servers.clone();
        let resolvers = Rc::new(Resolvers::new(servers));
        let sources = Sources::new(fleet, resolvers.clone(), news.clone());
        let reloads = Rc::new(Reloads::new(control.clone(), resolvers.clone(), source));
        let state_file = control.borrow().config().runtime.state_file.path().map(StateFile::new);
        let (sender, reports) = mpsc::unbounded_channel();
        let panics = Panics::default();
        let (bell, admin) = (Some(bell), Some(admin));
        let (state_due, systemd) = (Instant::default(), Systemd::default());
        Self {
            control,
            reloads,
            resolvers,
            seed,
            spawn,
            bell,
            panics,
            sender,
            reports,
            news,
            probing,
            sources,
            admin,
            state_file,
            state_due,
            saved: 0,
            systemd,
        }
    }

    /// Runs until the process ends.
    ///
    /// # Errors
    /// If signals or the wake-up cannot be listened to.
    pub async fn run(self) -> std::io::Result<Ended> {
        LocalSet::new().run_until(self.serve()).await
    }

    async fn serve(mut self) -> std::io::Result<Ended> {
        let mut signals = Signals::listen()?;
        let bell = self.bell.take().expect("it is run once").listen()?;
        let admin = self.admin.take().unwrap_or_default();
        let admin =
            tokio::task::spawn_local(admin.serve(self.control.clone(), self.reloads.clone()));
        self.restore();
        let ended = match self.begin(&mut signals, &bell).await {
            Some(ended) => ended,
            None => self.go_on(&mut signals, &bell).await,
        };
        admin.abort();
        let _ = admin.await; // its socket's file is removed then
        Ok(ended)
    }

    /// From the first probe until every shard serves; readiness is reported only after that. Some
    /// if the process ends before: there are no sessions to wait for then.
    async fn begin(&mut self, signals: &mut Signals, bell: &UnixDatagram) -> Option<Ended> {
        let signal = tokio::select! {
            () = self.await_first_round() => None,
            _ = signals.terminate.recv() => Some("signal TERM"),
            _ = signals.interrupt.recv() => Some("signal INT"),
        };
        if let Some(signal) = signal {
            self.audit(signal, "end", StatusCode::OK);
            return Some(Ended::Drained);
        }
        self.start_all();
        while !self.control.borrow_mut().is_applied() {
            tokio::select! {
                Some(report) = self.reports.recv() => {
                    if let Err(why) = self.take_report(report) {
                        return Some(Ended::Failed(why));
                    }
                }
                () = rung(bell) => {}
            }
        }
        self.control.borrow_mut().start();
        self.systemd.ready();
        None
    }

    /// Serves until the process ends.
    async fn go_on(&mut self, signals: &mut Signals, bell: &UnixDatagram) -> Ended {
        let files = tokio::task::spawn_local(tls_files::follow(self.control.clone()));
        let (control, resolvers) = (self.control.clone(), self.resolvers.clone());
        let acme = tokio::task::spawn_local(acme::follow(control, resolvers, self.seed));
        let ended = self.turn_until_over(signals, bell).await;
        files.abort();
        acme.abort();
        ended
    }

    async fn turn_until_over(&mut self, signals: &mut Signals, bell: &UnixDatagram) -> Ended {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let turned = self.turn(signals, bell, &mut ticks).await;
            let ended = match turned {
                Err(why) => Some(Ended::Failed(why)),
                Ok(()) => self.ended(),
            };
            if let Some(ended) = ended {
                self.save(true);
                return ended;
            }
        }
    }

    /// Waits for an event, and handles it.
    async fn turn(
        &mut self,
        signals: &mut Signals,
        bell: &UnixDatagram,
        ticks: &mut tokio::time::Interval,
    ) -> Result<(), String> {
        tokio::select! {
            Some(report) = self.reports.recv() => self.take_report(report)?,
            () = rung(bell) => {
                self.control.borrow_mut().observe(clock::monotonic());
                self.sync();
                return Ok(());
            }
            () = self.news.notified() => {
                // Thousands of probes a second may pass: only changes are handled.
                self.control.borrow_mut().publish(clock::monotonic());
                self.sync();
                return Ok(());
            }
            _ = ticks.tick() => {}
            _ = signals.terminate.recv() => {
                self.control.borrow_mut().drain(clock::monotonic());
                self.audit("signal TERM", "drain", StatusCode::OK);
            }
            _ = signals.interrupt.recv() => {
                self.control.borrow_mut().finish(clock::monotonic());
                self.audit("signal INT", "finish", StatusCode::OK);
            }
            _ = signals.hang_up.recv() => self.reload(),
        }
        self.step();
        Ok(())
    }

    /// Applies the time and pending changes.
    fn step(&mut self) {
        self.control.borrow_mut().step(clock::monotonic());
        self.sync();
        self.save(false);
        let control = self.control.borrow();
        let is_alive = admin::is_alive(control.shards(), control.course(), clock::monotonic());
        let (healthy, backends) = control.fleet().counts();
        let status = format!(
            "{}: {} connections, {healthy} of {backends} backends serving",
            control.course().phase().word(),
            control.shards().connections()
        );
        self.systemd.step(control.course().phase(), is_alive, status);
    }

    /// Starts and ends tasks by the changes of the fleet.
    fn sync(&mut self) {
        self.probing.sync();
        self.sources.sync();
    }

    /// Restores the state saved by the previous process.
    fn restore(&mut self) {
        let Some(file) = &self.state_file else { return };
        match file.read() {
            Ok(None) => {}
            Ok(Some(Left { pools, age, left_out, kept })) => {
                tracing::info!(?age, "the state of the process before is taken over");
                if !left_out.is_empty() {
                    tracing::warn!(
                        "of the state file is not used: {}; {kept}",
                        left_out.join("; ")
                    );
                }
                self.control.borrow_mut().fleet_mut().restore(&pools, age, clock::monotonic());
                let control = self.control.borrow();
                for warning in reload::loops(&control.fleet(), control.config()) {
                    tracing::warn!("{warning}");
                }
            }
            Err(error) => tracing::warn!("the state file is not used: {error}"),
        }
    }

    /// Saves the state kept over a restart: on change, and often enough that it does not get old.
    fn save(&mut self, is_end: bool) {
        let Some(file) = &mut self.state_file else { return };
        let now = clock::monotonic();
        let control = self.control.borrow();
        let fleet = control.fleet();
        if is_end {
            return file.write_last(fleet.save());
        }
        let is_due = now >= self.state_due;
        let is_changed = std::mem::replace(&mut self.saved, fleet.changes()) != fleet.changes();
        if is_due {
            self.state_due = now + STATE_EVERY;
        }
        if is_due || is_changed {
            file.write(fleet.save(), is_due);
        }
    }

    /// Probes every backend once before the shards serve, so that the first request does not meet a
    /// dead one.
    async fn await_first_round(&mut self) {
        self.sources.sync();
        self.probing.sync();
        let (control, news) = (self.control.clone(), self.news.clone());
        let round = async {
            while !control.borrow().fleet().was_all_probed() {
                news.notified().await;
                // A resolved name brings backends that are to be probed.
                self.probing.sync();
            }
        };
        if tokio::time::timeout(FIRST_ROUND_MAX, round).await.is_err() {
            tracing::warn!("not every backend could be probed in time: serving without");
        }
    }

    fn start_all(&mut self) {
        self.control.borrow_mut().publish(clock::monotonic());
        let shards = self.control.borrow().shards().mailboxes().len();
        (0..shards).for_each(|shard| self.start(shard));
    }

    fn start(&mut self, shard: usize) {
        let snapshot = {
            let mut control = self.control.borrow_mut();
            control.set_running(shard, true);
            control.snapshot()
        };
        (self.spawn)(shard, snapshot, self.sender.clone());
    }

    /// Starts a panicked shard again.
    fn take_report(&mut self, report: ShardReport) -> Result<(), String> {
        self.control.borrow_mut().set_running(report.shard, false);
        match report.end {
            ShardEnd::Finished => Ok(()),
            ShardEnd::NotStarted(why) => Err(why),
            ShardEnd::Panicked => {
                self.control.borrow_mut().note_panic(report.shard);
                if self.control.borrow().course().is_closed() {
                    return Ok(()); // the process is shutting down
                }
                let noted = self.panics.note(std::time::Instant::now());
                noted.map_err(|TooManyPanics| "shards panic too often".to_owned())?;
                self.start(report.shard);
                Ok(())
            }
        }
    }

    /// How the process ended, if it has.
    fn ended(&self) -> Option<Ended> {
        let control = self.control.borrow();
        let phase = control.course().phase();
        let is_over = !control.shards().running().contains(&true);
        let is_overdue = phase == Phase::Ending
            && control.course().ends_in(clock::monotonic()).is_some_and(|left| left.is_zero());
        if !(is_over || is_overdue) {
            return None;
        }
        Some(if phase == Phase::Ending { Ended::Cut } else { Ended::Drained })
    }

    /// Adds an audit event of a signal, as for orders over the admin interface.
    fn audit(&mut self, who: &str, what: &str, status: StatusCode) {
        audit(&mut self.control.borrow_mut(), who, what, status);
    }

    /// Reads the configuration again, by SIGHUP; everything else goes on meanwhile. The audit event
    /// has the status that the admin interface would answer with.
    fn reload(&self) {
        let (control, reloads) = (self.control.clone(), self.reloads.clone());
        tokio::task::spawn_local(async move {
            let result = reloads.reload(|source| source.read()).await;
            let mut control = control.borrow_mut();
            let status = match result {
                Ok(_) => StatusCode::OK,
                Err(_) => admin::refused_status(control.course()),
            };
            audit(&mut control, "signal HUP", "reload", status);
        });
    }
}

fn audit(control: &mut Control, who: &str, what: &str, status: StatusCode) {
    let (who, what, status) = (who.to_owned(), what.to_owned(), status.as_u16());
    control.fleet_mut().note_event(Event::Audit { who, what, status });
}
