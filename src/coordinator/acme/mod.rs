//! Certificates by ACME (RFC 8555): each account has a task that fetches what is due, one after the
//! other. What it has fetched is a file, which is followed as other certificates are: a process
//! that only reads has nothing to do but to answer challenges too.
//!
//! `storage` is the folder of an account, `client` its requests, `order` fetches one certificate,
//! `challenges` are what the shards answer meanwhile. When something is due is a matter of
//! `process/issuance`. Does not: wait for a disk or for an authority on the coordinator's thread.

mod challenges;
mod client;
mod order;
mod storage;

use crate::base::Prng;
use crate::config::{Acme, AcmeRole, Certificate, TlsContent, TlsFiles};
use crate::coordinator::control::Control;
use crate::coordinator::discovery::Resolvers;
use crate::coordinator::events::Event;
use crate::coordinator::process::{Tasks, days_left, system_trust};
use crate::sys::clock;
use crate::tls;
use order::{Failure, Orders, Wanted};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use storage::AllTried;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often the authority is asked when it suggests to renew a certificate, unless it says
/// (RFC 9773, 4.3.3).
const SUGGESTION_EVERY_MIN: Duration = Duration::from_secs(6 * 3600);

/// Follows the accounts of the configuration in force. `seed` is for pauses.
pub(crate) async fn follow(control: Rc<RefCell<Control>>, resolvers: Rc<Resolvers>, seed: u64) {
    let mut tasks: Tasks<String, Acme> = Tasks::new();
    let mut random = Prng::new(seed);
    let turn = Rc::new(Semaphore::new(1));
    loop {
        let wanted = accounts(&control.borrow());
        for name in tasks.end_unwanted(&wanted) {
            let acme = wanted[&name].clone();
            if acme.role == AcmeRole::Read {
                let reading = challenges::follow(control.clone(), acme.clone());
                tasks.start(name, acme, reading);
                continue;
            }
            let task = Task {
                control: control.clone(),
                resolvers: resolvers.clone(),
                acme: acme.clone(),
                random: Prng::new(random.next_u64()),
                turn: turn.clone(),
                asked: HashMap::new(),
            };
            tasks.start(name, acme, task.run());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn accounts(control: &Control) -> HashMap<String, Acme> {
    let all = control.config().acme.iter();
    all.map(|acme| (acme.name.clone(), acme.clone())).collect()
}

/// The work of one account.
struct Task {
    control: Rc<RefCell<Control>>,
    resolvers: Rc<Resolvers>,
    acme: Acme,
    random: Prng,
    /// The right to present challenges.
    turn: Rc<Semaphore>,
    /// When the authority is asked for a suggestion about a certificate, seconds since 1970.
    asked: HashMap<PathBuf, u64>,
}

impl Task {
    async fn run(mut self) {
        self.restore().await;
        loop {
            match self.due() {
                Some((wanted, present)) => self.attempt(wanted, present).await,
                None => {
                    self.ask_for_suggestion().await;
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Takes up what was tried before.
    async fn restore(&self) {
        let folder = self.acme.storage.clone();
        let read = spawn_blocking(move || storage::read_tried(&folder)).await;
        let mut control = self.control.borrow_mut();
        for one in Self::certificates(&control, &self.acme.name) {
            control.issuance_mut(&one.chain).is_under_way = false;
        }
        for (file, tried) in read.unwrap_or_default() {
            control.issuance_mut(&self.acme.storage.join(file)).tried = tried;
        }
    }

    /// The certificates of this account, each file once.
    fn certificates(control: &Control, account: &str) -> Vec<Certificate> {
        let config = control.config();
        let is_own = |one: &&Certificate| {
            one.acme.is_some_and(|index| config.acme[index.0].name == *account)
        };
        let mut own: Vec<Certificate> =
            config.certificates.iter().filter(is_own).cloned().collect();
        own.sort_by(|one, other| one.chain.cmp(&other.chain));
        own.dedup_by(|one, other| one.chain == other.chain);
        own
    }

    /// Notes when each certificate is due; returns one that is.
    fn due(&self) -> Option<(Wanted, Option<Arc<tls::Certificate>>)> {
        let mut control = self.control.borrow_mut();
        let is_leaving = control.course().is_closed();
        let now_s = clock::wall_seconds();
        let mut found = None;
        for one in Self::certificates(&control, &self.acme.name) {
            let issuance = control.issuance_mut(&one.chain);
            issuance.forget_future(now_s);
            let due_s = issuance.due(&one, &self.acme);
            issuance.due_s = Some(due_s.max(now_s));
            if due_s <= now_s && found.is_none() && !is_leaving {
                let wanted = Wanted { path: one.chain.clone(), names: one.names.clone() };
                found = Some((wanted, one.loaded.clone()));
            }
        }
        found
    }

    async fn orders(&self) -> Result<Orders, String> {
        let trusted = match &self.acme.authorities {
            Some(authorities) => authorities.clone(),
            None => spawn_blocking(system_trust).await.map_err(|error| error.to_string())??,
        };
        let (control, resolvers) = (self.control.clone(), self.resolvers.clone());
        let (acme, turn) = (self.acme.clone(), self.turn.clone());
        Ok(Orders { acme, trusted, control, resolvers, turn })
    }

    async fn attempt(&mut self, wanted: Wanted, present: Option<Arc<tls::Certificate>>) {
        self.begin(&wanted, present.as_deref());
        // One that is cut off, by the end of the process too, has failed: the next start does not
        // make up for it at once.
        self.keep_tried(Some(&wanted)).await;
        let fetched = match self.orders().await {
            Ok(orders) => orders.fetch(&wanted, present.as_deref()).await,
            Err(reason) => Err(Failure { reason, retry_after: None }),
        };
        let fetched = match fetched {
            Ok(certificate) => self.put_in_force(&wanted, certificate),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = fetched {
            self.note_failure(&wanted, failure, present.as_deref());
        }
        self.keep_tried(None).await;
    }

    fn begin(&self, wanted: &Wanted, present: Option<&tls::Certificate>) {
        let mut control = self.control.borrow_mut();
        let issuance = control.issuance_mut(&wanted.path);
        issuance.is_under_way = true;
        issuance.is_ordered = false;
        let is_first = issuance.tried.failures == 0;
        if is_first {
            control.fleet_mut().note_event(Event::AcmeBegun {
                certificate: wanted.path.display().to_string(),
                names: wanted.names.clone(),
                directory: self.acme.directory.clone(),
                is_awaited: present.is_none(),
            });
        }
    }

    fn put_in_force(&self, wanted: &Wanted, fetched: tls::Certificate) -> Result<(), Failure> {
        let mut control = self.control.borrow_mut();
        let ends_ms = u64::try_from(fetched.ends).unwrap_or(0).saturating_mul(1_000);
        let (files, content) =
            (TlsFiles::Acme(wanted.path.clone()), TlsContent::Certificate(Arc::new(fetched)));
        control
            .replace_tls(&files, &content, clock::monotonic())
            .map_err(|reason| Failure { reason, retry_after: None })?;
        let issuance = control.issuance_mut(&wanted.path);
        issuance.note_success(&wanted.names, clock::wall_seconds());
        issuance.tried.directory = self.acme.directory.clone();
        issuance.is_under_way = false;
        control.fleet_mut().note_event(Event::AcmeFetched {
            certificate: wanted.path.display().to_string(),
            names: wanted.names.clone(),
            ends_ms,
        });
        Ok(())
    }

    fn note_failure(
        &mut self,
        wanted: &Wanted,
        failure: Failure,
        present: Option<&tls::Certificate>,
    ) {
        let jitter = self.random.below(u32::from(u16::MAX) + 1) as u16;
        let mut control = self.control.borrow_mut();
        let (now_s, reason) = (clock::wall_seconds(), failure.reason);
        let issuance = control.issuance_mut(&wanted.path);
        issuance.is_under_way = false;
        issuance.note_failure(&wanted.names, reason.clone(), failure.retry_after, now_s, jitter);
        let (failures, next_s) = (issuance.tried.failures, issuance.tried.not_before_s);
        let wall_s = i64::try_from(now_s).unwrap_or(i64::MAX);
        control.fleet_mut().note_event(Event::AcmeFailed {
            certificate: wanted.path.display().to_string(),
            names: wanted.names.clone(),
            reason,
            failures,
            next_ms: next_s.saturating_mul(1_000),
            days_left: present.and_then(|present| days_left(present.ends, wall_s)),
        });
    }

    /// Keeps what was tried: a process that starts anew does not try sooner. One that is under way
    /// is kept as one that has failed.
    async fn keep_tried(&self, under_way: Option<&Wanted>) {
        let all: AllTried = {
            let mut control = self.control.borrow_mut();
            let own = Self::certificates(&control, &self.acme.name).into_iter();
            let tried = own.filter_map(|one| {
                let mut issuance = control.issuance_mut(&one.chain).clone();
                if under_way.is_some_and(|wanted| wanted.path == one.chain) {
                    let reason = "it was cut off".to_owned();
                    issuance.note_failure(&one.names, reason, None, clock::wall_seconds(), 0);
                }
                Some((one.chain.file_name()?.into(), issuance.tried))
            });
            tried.collect()
        };
        let folder = self.acme.storage.clone();
        let written = spawn_blocking(move || storage::write_tried(&folder, &all)).await;
        if let Ok(Err(error)) = written {
            tracing::error!("{error}");
        }
    }

    /// Asks the authority when it suggests to renew one of the certificates.
    async fn ask_for_suggestion(&mut self) {
        let now_s = clock::wall_seconds();
        let own = Self::certificates(&self.control.borrow(), &self.acme.name);
        self.asked.retain(|path, _| own.iter().any(|one| one.chain == *path));
        let is_due = |one: &&Certificate| {
            one.loaded.is_some() && self.asked.get(&one.chain).is_none_or(|at| *at <= now_s)
        };
        let Some(one) = own.iter().find(is_due) else { return };
        let Some(loaded) = &one.loaded else { return };
        let suggested = match self.orders().await {
            Ok(orders) => orders.suggestion(loaded).await,
            Err(_) => None,
        };
        let pause = suggested.map_or(SUGGESTION_EVERY_MIN, |(_, holds)| holds);
        let pause = pause.clamp(SUGGESTION_EVERY_MIN, 4 * SUGGESTION_EVERY_MIN);
        self.asked.insert(one.chain.clone(), now_s + pause.as_secs());
        if let Some((suggested, _)) = suggested {
            self.control.borrow_mut().issuance_mut(&one.chain).suggested = Some(suggested);
        }
    }
}
