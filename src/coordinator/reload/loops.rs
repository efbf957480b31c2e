//! Backends that are listeners of the same process: requests to them would loop. Does not: refuse
//! them.

use crate::config::{Backend, Config, Pool};
use crate::coordinator::fleet::{Fleet, Record, Source};
use std::collections::HashMap;
use std::net::SocketAddr;

/// Most lines of warnings.
const LOOPS_MAX: usize = 20;

/// Warnings about backends of other sources than the configuration whose requests would loop back
/// to their pools: a line each. Such backends of the configuration itself are refused where it is
/// read.
pub(crate) fn loops(fleet: &Fleet, config: &Config) -> Vec<String> {
    let next: HashMap<&str, &Pool> = config.pools.iter().map(|pool| (&*pool.name, pool)).collect();
    let both = fleet.pools().iter();
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
