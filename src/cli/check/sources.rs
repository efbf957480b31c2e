//! Warnings about the addresses that connections to backends come from.

use super::findings::{Finding, warning};
use ringway::config::Config;
use ringway::sys::source::check_own;

/// Addresses that this machine does not have, or not now.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let addresses = config.pools.iter().filter_map(|pool| Some((pool, pool.source.address()?)));
    let foreign = addresses.filter_map(|(pool, ip)| {
        let error = check_own(ip).err()?;
        let message = format!(
            "{ip} is no address of this machine now ({error}): until it is, no connection of this \
             pool can be made"
        );
        Some(warning(format!("pool.{}.source", pool.name), message))
    });
    foreign.collect()
}
