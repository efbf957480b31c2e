//! The control plane: one thread that starts the shards, tells them what they need to know, starts
//! one again that has panicked, and ends the process in order.
//!
//! Does not: touch a client's bytes; know how a shard is made (it is given a way to spawn one).

pub mod probe;
mod supervision;

pub use supervision::{Panics, TooManyPanics};

use crate::mailbox::{Mailbox, Stage};
use crate::snapshot::Snapshot;
use crate::stats::Counter;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long shards may take to follow the order to end.
const ENDING_TIME: Duration = Duration::from_secs(2);

/// How a shard's thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardEnd {
    /// Before it could serve; the text says why and what to do.
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
    /// What became of it.
    pub end: ShardEnd,
}

/// Starts the thread of a shard; its end is reported over the channel.
pub type Spawn = Box<dyn FnMut(usize, Arc<Snapshot>, mpsc::UnboundedSender<ShardReport>)>;

/// How the process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All exchanges finished.
    Drained,
    /// What was left after the drain timeout, or a second signal, was cut.
    Cut,
    /// It cannot go on; the text says why.
    Failed(String),
}

/// See the module.
pub struct Coordinator {
    mailboxes: Arc<[Arc<Mailbox>]>,
    snapshot: Arc<Snapshot>,
    spawn: Spawn,
    running: Vec<bool>,
    panics: Panics,
}

impl Coordinator {
    /// A coordinator of shards that `spawn` starts.
    pub fn new(mailboxes: Arc<[Arc<Mailbox>]>, snapshot: Arc<Snapshot>, spawn: Spawn) -> Self {
        let running = vec![false; mailboxes.len()];
        Self { mailboxes, snapshot, spawn, running, panics: Panics::default() }
    }

    /// Starts the shards and stays until the process ends.
    ///
    /// # Errors
    /// If signals cannot be listened to.
    pub async fn run(mut self) -> std::io::Result<Ended> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (sender, mut reports) = mpsc::unbounded_channel();
        for shard in 0..self.mailboxes.len() {
            self.start(shard, &sender);
        }
        loop {
            tokio::select! {
                Some(report) = reports.recv() => {
                    if let Err(why) = self.take_report(report, &sender) {
                        return Ok(Ended::Failed(why));
                    }
                }
                () = either(&mut terminate, &mut interrupt) => break,
            }
        }
        self.drain(reports, terminate, interrupt).await
    }

    fn start(&mut self, shard: usize, sender: &mpsc::UnboundedSender<ShardReport>) {
        self.running[shard] = true;
        (self.spawn)(shard, self.snapshot.clone(), sender.clone());
    }

    /// Starts a panicked shard again.
    fn take_report(
        &mut self,
        report: ShardReport,
        sender: &mpsc::UnboundedSender<ShardReport>,
    ) -> Result<(), String> {
        self.note_end(&report);
        match report.end {
            ShardEnd::Finished => Ok(()),
            ShardEnd::NotStarted(why) => Err(why),
            ShardEnd::Panicked => {
                let noted = self.panics.note(std::time::Instant::now());
                noted.map_err(|TooManyPanics| "shards panic too often".to_owned())?;
                self.start(report.shard, sender);
                Ok(())
            }
        }
    }

    fn note_end(&mut self, report: &ShardReport) {
        self.running[report.shard] = false;
        if report.end == ShardEnd::Panicked {
            let mailbox = &self.mailboxes[report.shard];
            tracing::error!(shard = report.shard, "shard panicked; its sessions are lost");
            mailbox.counters.add(Counter::ShardPanics, 1);
            mailbox.board.reset(mailbox.shard());
            mailbox.clients.reset(mailbox.shard());
            mailbox.show_connections(0);
        }
    }

    /// Lets exchanges finish until the drain timeout or a second signal, then ends everything.
    async fn drain(
        mut self,
        mut reports: mpsc::UnboundedReceiver<ShardReport>,
        mut terminate: Signal,
        mut interrupt: Signal,
    ) -> std::io::Result<Ended> {
        let timeout = self.snapshot.settings.timeouts.drain;
        tracing::info!(?timeout, "draining: no new connections, exchanges finish");
        self.order(Stage::Draining);
        let mut deadline = Instant::now() + timeout;
        let mut ended = Ended::Drained;
        while self.running.contains(&true) {
            tokio::select! {
                Some(report) = reports.recv() => { self.note_end(&report); continue }
                () = either(&mut terminate, &mut interrupt) => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
            if ended == Ended::Cut {
                break; // the order to end was not followed in time
            }
            tracing::warn!("ending: what is left is cut");
            ended = Ended::Cut;
            deadline = Instant::now() + ENDING_TIME;
            self.order(Stage::Ending);
        }
        Ok(ended)
    }

    fn order(&self, stage: Stage) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.order(stage));
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
