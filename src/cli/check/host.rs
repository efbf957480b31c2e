//! Warnings about what this machine does not have: addresses that connections to backends come
//! from, MPTCP.

use super::findings::{Finding, warning};
use crate::cli::listen_sockets::no_multipath;
use ringway::config::Config;
use ringway::sys::socket::check_multipath;
use ringway::sys::source::check_own;

/// All of them.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = foreign_sources(config).collect();
    findings.extend(no_mptcp(config));
    findings
}

/// Addresses that the machine does not have, or not now.
fn foreign_sources(config: &Config) -> impl Iterator<Item = Finding> {
    let addresses = config.pools.iter().filter_map(|pool| Some((pool, pool.source.address()?)));
    addresses.filter_map(|(pool, ip)| {
        let error = check_own(ip).err()?;
        let message = format!(
            "{ip} is no address of this machine now ({error}): until it is, no connection of this \
             pool can be made"
        );
        Some(warning(format!("pool.{}.source", pool.name), message))
    })
}

/// Listeners that a process takes by TCP alone.
fn no_mptcp(config: &Config) -> impl Iterator<Item = Finding> {
    let wanted = config.listeners.iter().filter(|listener| listener.mptcp);
    wanted.filter_map(|listener| {
        let error = check_multipath(listener.address).err()?;
        Some(warning(format!("listener.{}.mptcp", listener.name), no_multipath(&error)))
    })
}
