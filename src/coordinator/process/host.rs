//! What this machine must allow for a configuration to work at all. Does not: change anything.

use crate::config::{Config, Pool, PoolSource, PoolTls};
use crate::sys::certificates::{NO_CERTIFICATES, trusted};
use crate::sys::source::check_foreign;
use crate::tls::Authorities;

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

/// The authorities that this machine trusts, if a pool trusts them.
///
/// # Errors
/// A sentence with the reason and the remedy: there are none.
pub fn system_authorities(config: &Config) -> Result<Option<Authorities>, String> {
    let mut pools = config.pools.iter();
    let trusts = |pool: &&Pool| pool.tls.as_ref().is_some_and(PoolTls::trusts_system);
    let Some(pool) = pools.find(trusts) else { return Ok(None) };
    let authorities = Authorities::of_system(trusted());
    if authorities.is_empty() {
        let name = &pool.name;
        return Err(format!("pool {name}: {NO_CERTIFICATES}, or give `ca` in [pool.{name}.tls]"));
    }
    Ok(Some(authorities))
}

/// The authorities that this machine trusts. Reads files.
///
/// # Errors
/// A sentence with the remedy: there are none.
pub(crate) fn system_trust() -> Result<Authorities, String> {
    let authorities = Authorities::of_system(trusted());
    match authorities.is_empty() {
        true => Err(format!("{NO_CERTIFICATES}, or give `ca`")),
        false => Ok(authorities),
    }
}
