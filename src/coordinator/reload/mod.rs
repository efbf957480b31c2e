//! Reloads, by signal or order: one at a time, each with the file as it is when its turn comes.
//! Everything else goes on while new backends are probed.

mod loaded;
mod plan;
mod preflight;
mod source;
mod touched;

pub use loaded::Loaded;
pub use plan::Plan;
pub(crate) use plan::without_restart;
pub use source::{ConfigSource, Unusable};
pub(crate) use touched::{changes, digest_after};

use self::preflight::look_ahead;
use crate::base::Generation;
use crate::config::{Backend, Config, Listener, Pool};
use crate::coordinator::control::Control;
use crate::coordinator::fleet::{Record, Source};
use crate::sys::clock;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

/// Most lines of warnings about backends that are listeners.
const LOOPS_MAX: usize = 20;

/// The result of a reload.
pub(crate) struct Reloaded {
    pub(crate) plan: Plan,
    /// The generation that has it.
    pub(crate) generation: Generation,
    /// Warnings about the configuration in force now; logged already.
    pub(crate) warnings: Vec<String>,
}

/// Warnings about a configuration where these listeners are open: a line each.
pub(crate) fn warnings(control: &Control, config: &Config, open: &[Listener]) -> Vec<String> {
    let mut warnings = control.source.warnings(config, open);
    warnings.extend(loops(control, config));
    warnings
}

/// Warnings about backends of other sources than the configuration whose requests would loop back
/// to their pools: a line each. Such backends of the configuration itself are refused where it is
/// read.
pub(crate) fn loops(control: &Control, config: &Config) -> Vec<String> {
    let next: HashMap<&str, &Pool> = config.pools.iter().map(|pool| (&*pool.name, pool)).collect();
    let both = control.fleet.pools().iter();
    let both = both.filter_map(|(name, pool)| Some((&**name, pool, *next.get(&**name)?)));
    let records = both.flat_map(|(name, pool, next)| {
        let reported = pool
            .backends
            .iter()
            .filter(|(_, record)| !record.is_removed && record.weight() > 0 && has(next, record));
        reported.map(move |(address, _)| (name, *address))
    });
    let line = |((pool, address), why): ((&str, SocketAddr), String)| {
        format!("pool.{pool}.backend: {why}, or `ringway backend remove {pool} {address}`")
    };
    config.loops_by(records).into_iter().take(LOOPS_MAX).map(line).collect()
}

/// Whether a backend is in a pool of a configuration, and with a weight that is not from there.
fn has(next: &Pool, record: &Record) -> bool {
    match &record.source {
        Source::Operator => true,
        Source::File => next.backends_file.is_some(),
        name @ Source::Name(_) => next.names.iter().any(|next| Source::of_name(next) == *name),
        Source::Config => {
            let is_it = |next: &Backend| next.address == record.found.address;
            record.weight_override.is_some() && next.backends.iter().any(is_it)
        }
    }
}

/// Puts the configuration that `read` returns in force.
///
/// # Errors
/// As of `read` and of [`Control::apply`]; nothing has changed then, and an event reports it.
pub(crate) async fn reload(
    control: &Rc<RefCell<Control>>,
    read: impl FnOnce(&Control) -> Result<Config, Unusable>,
) -> Result<Reloaded, Unusable> {
    let reloading = control.borrow().reloading.clone();
    let _turn = reloading.lock().await;
    let loaded = load(control, read).await;
    if let Err(unusable) = &loaded {
        control.borrow_mut().refuse(&unusable.reason);
    }
    loaded
}

async fn load(
    control: &Rc<RefCell<Control>>,
    read: impl FnOnce(&Control) -> Result<Config, Unusable>,
) -> Result<Reloaded, Unusable> {
    control.borrow().check_open()?;
    let config = read(&control.borrow())?;
    let discovered = look_ahead(control, &config).await;
    let warnings = warnings(&control.borrow(), &config, &config.listeners);
    let (plan, generation) = control.borrow_mut().apply(config, discovered, clock::monotonic())?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    Ok(Reloaded { plan, generation, warnings })
}
