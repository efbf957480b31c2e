//! How many descriptors a configuration may need.

use ringway::config::Config;

/// Rings, listeners, files, the runtime, probes.
const OTHERS: u64 = 256;

/// Those besides the ones of clients and of the connections of their exchanges.
pub(super) fn besides_clients(config: &Config) -> u64 {
    let pools = config.pools.iter();
    let idle: usize = pools.map(|pool| pool.idle_connections * pool.backends.len()).sum();
    idle as u64 + OTHERS
}

/// All: a client's connection may need one to a backend.
pub(super) fn wanted(config: &Config) -> u64 {
    2 * config.runtime.max_connections as u64 + besides_clients(config)
}
