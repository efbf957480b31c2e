//! What this machine must allow for a configuration to work at all. Does not: change anything.

use crate::config::{Config, PoolSource};
use crate::sys::source::check_foreign;

/// Fails if the machine does not allow what a configuration needs.
///
/// # Errors
/// A sentence with the reason and the remedy.
pub fn check_host(config: &Config) -> Result<(), String> {
    let mut pools = config.pools.iter();
    let Some(pool) = pools.find(|pool| pool.source == PoolSource::Client) else { return Ok(()) };
    check_foreign().map_err(|error| {
        format!(
            "pool {}: `source = \"client\"` is not allowed here ({error}): it needs CAP_NET_ADMIN \
             (systemd: AmbientCapabilities=CAP_NET_ADMIN), in the network namespace of the process",
            pool.name
        )
    })
}
