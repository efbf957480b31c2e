//! Looks up new names and probes new backends before a reload is in force, as for all at the start:
//! so the first request finds a pool with probed backends. Only for pools that would otherwise have
//! too few backends: a backend that is added beside others can wait for its probe, and a reload
//! need not.
//!
//! Does not: follow sources or go on probing; the tasks of `discovery` and `probing` begin anew.

use crate::config::{BackendName, Config, Pool, ProbeKind};
use crate::coordinator::discovery::{Resolvers, ask_file, ask_name};
use crate::coordinator::fleet::{Discovered, FIRST_ROUND_MAX, Fleet, Found, ProbeOf, Source};
use crate::coordinator::probing::AT_ONCE_MAX;
use crate::coordinator::probing::protocol::{Asked, Prober, Trusted};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// State that all tasks share.
struct Shared {
    permits: Semaphore,
    discovered: RefCell<Discovered>,
    fleet: Rc<RefCell<Fleet>>,
    resolvers: Rc<Resolvers>,
}

/// One pool.
struct Look {
    shared: Rc<Shared>,
    pool: String,
    probers: Vec<(ProbeOf, Prober)>,
}

/// The results of the preflight of a configuration within [`FIRST_ROUND_MAX`].
pub(super) async fn look_ahead(
    fleet: Rc<RefCell<Fleet>>,
    resolvers: Rc<Resolvers>,
    config: &Config,
) -> Discovered {
    let shared = Rc::new(Shared {
        permits: Semaphore::new(AT_ONCE_MAX),
        discovered: RefCell::default(),
        fleet,
        resolvers,
    });
    shared.resolvers.renew();
    let mut tasks = JoinSet::new();
    start(&mut tasks, &shared, config);
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(FIRST_ROUND_MAX, all).await.is_err() {
        tracing::warn!("not every new backend could be probed in time: reloading without");
    }
    shared.discovered.take()
}

fn start(tasks: &mut JoinSet<()>, shared: &Rc<Shared>, config: &Config) {
    let fleet = shared.fleet.borrow();
    let mut trusted = Trusted::default();
    for pool in config.pools.iter().filter(|pool| fleet.is_short_for(pool)) {
        let is_new = |address: &SocketAddr| {
            let record = fleet.record(&pool.name, *address);
            record.is_none_or(|record| record.is_removed)
        };
        let addresses = pool.backends.iter().map(|backend| backend.address).filter(is_new);
        let addresses: Vec<SocketAddr> = addresses.collect();
        let known = fleet.pools().get(&pool.name).filter(|known| !known.is_removed);
        let is_reported =
            |source: Source| known.is_some_and(|known| known.reported.contains_key(&source));
        let names = pool.names.iter().filter(|name| !is_reported(Source::of_name(name)));
        let names: Vec<&BackendName> = names.collect();
        let is_same_file = known.is_some_and(|it| it.config.backends_file == pool.backends_file);
        let is_read = is_same_file && is_reported(Source::File);
        let file = pool.backends_file.as_ref().filter(|_| !is_read);
        if addresses.is_empty() && names.is_empty() && file.is_none() {
            continue;
        }
        let (shared, name) = (shared.clone(), pool.name.clone());
        let look = Rc::new(Look { shared, pool: name, probers: probers(pool, &mut trusted) });
        look.clone().probe_all(addresses, None, tasks);
        for name in names {
            tasks.spawn_local(look.clone().take_name(name.clone()));
        }
        if let Some(file) = file {
            tasks.spawn_local(look.clone().take_file(file.clone()));
        }
    }
}

/// The probes of a pool. One that cannot be made is an event once the configuration is in force.
fn probers(pool: &Pool, trusted: &mut Trusted) -> Vec<(ProbeOf, Prober)> {
    let health = (ProbeOf::Health, Some(&pool.health));
    let probes = [health, (ProbeOf::Readiness, pool.readiness.as_ref())].into_iter();
    let made = probes.filter_map(|(which, probe)| {
        let probe = probe.filter(|probe| probe.kind != ProbeKind::None)?;
        Some((which, Prober::new(probe, trusted).ok()?))
    });
    made.collect()
}

impl Look {
    fn probe_all(
        self: Rc<Self>,
        addresses: Vec<SocketAddr>,
        name: Option<&str>,
        tasks: &mut JoinSet<()>,
    ) {
        for address in addresses {
            for (which, prober) in self.probers.clone() {
                let asked = Asked { address, name: name.map(str::to_owned) };
                tasks.spawn_local(self.clone().probe(asked, which, prober));
            }
        }
    }

    async fn probe(self: Rc<Self>, asked: Asked, which: ProbeOf, prober: Prober) {
        let _permit = self.shared.permits.acquire().await;
        let address = asked.address;
        let failure = match prober.probe(asked).await {
            Err(failure) if failure.is_our_own_fault() => return,
            result => result.err().map(|failure| failure.to_string()),
        };
        let result = (self.pool.clone(), address, which, failure);
        self.shared.discovered.borrow_mut().probed.push(result);
    }

    async fn take_name(self: Rc<Self>, name: BackendName) {
        let Ok(resolver) = self.shared.resolvers.current() else { return };
        if let Some((found, is_whole)) = ask_name(&resolver, &name).await {
            let host = name.lookup.host();
            self.take(Source::of_name(&name), host, found, is_whole).await;
        }
    }

    async fn take_file(self: Rc<Self>, path: PathBuf) {
        if let Some(found) = ask_file(path).await {
            self.take(Source::File, None, found, true).await;
        }
    }

    /// Applies the report of a source, and probes its backends.
    async fn take(
        self: Rc<Self>,
        source: Source,
        name: Option<&str>,
        found: Vec<Found>,
        is_whole: bool,
    ) {
        let addresses = found.iter().map(|found| found.address).collect();
        let reported = (self.pool.clone(), source, found, is_whole);
        self.shared.discovered.borrow_mut().reported.push(reported);
        let mut tasks = JoinSet::new();
        self.probe_all(addresses, name, &mut tasks);
        while tasks.join_next().await.is_some() {}
    }
}
