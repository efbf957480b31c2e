//! The configuration without a file: some listeners, one pool.

use super::choices::Protocol;
use super::loops::Loops;
use super::model::{Config, ListenerIndex, PoolIndex};
use super::sections::{Backend, BackendEntry, BackendName, Listener, Pool, Probe, Route};
use super::values::check_total_weight;
use crate::balance::Algorithm;
use crate::route::HostPattern;
use std::net::SocketAddr;

impl Config {
    /// A configuration that sends all requests at `listen` to one pool, `default`, of `backends`.
    /// The listeners are named `listener-1` and so on; all else is at its default. The error is a
    /// sentence for the user.
    pub fn quick(
        listen: &[SocketAddr],
        backends: &[Backend],
        algorithm: Algorithm,
    ) -> Result<Self, String> {
        let entries: Vec<BackendEntry> =
            backends.iter().copied().map(BackendEntry::Address).collect();
        Self::quick_of_entries(listen, &entries, algorithm, Protocol::Http)
    }

    /// Like [`Config::quick`], with names among the backends and listeners of this protocol.
    pub fn quick_of_entries(
        listen: &[SocketAddr],
        entries: &[BackendEntry],
        algorithm: Algorithm,
        protocol: Protocol,
    ) -> Result<Self, String> {
        let (backends, names) = split(entries);
        check_unique("listener", listen.iter().map(SocketAddr::to_string).collect())?;
        let addresses = backends.iter().map(|backend| backend.address.to_string());
        let lookups = names.iter().map(|name| name.lookup.to_string());
        check_unique("backend", addresses.chain(lookups).collect())?;
        if names.is_empty() {
            check_total_weight(&backends)?;
        }
        let listener = |(index, address): (usize, &SocketAddr)| {
            let name = format!("listener-{}", index + 1);
            Listener { name, address: *address, protocol, ..Listener::default() }
        };
        let route = |index| Route {
            listener: Some(ListenerIndex(index)),
            host: HostPattern::Any,
            path: "/".to_owned(),
            alpn: Vec::new(),
            pool: PoolIndex(0),
        };
        let health = Probe::of_pool(protocol == Protocol::Udp);
        let pool = Pool { algorithm, names, health, ..Pool::new("default", backends) };
        let listeners: Vec<Listener> = listen.iter().enumerate().map(listener).collect();
        let routes: Vec<Route> = (0..listen.len()).map(route).collect();
        let loops = Loops::new(&listeners, &routes);
        let mut backends = pool.backends.iter();
        let looped = |backend: &Backend| loops.of(PoolIndex(0), backend.address, backend.weight);
        if let Some((message, help)) = backends.find_map(looped) {
            return Err(format!("{message}; {help}"));
        }
        Ok(Self { listeners, routes, pools: vec![pool], ..Self::default() })
    }
}

fn split(entries: &[BackendEntry]) -> (Vec<Backend>, Vec<BackendName>) {
    let (mut backends, mut names) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            BackendEntry::Address(backend) => backends.push(*backend),
            BackendEntry::Name(name) => names.push(name.clone()),
        }
    }
    (backends, names)
}

fn check_unique(what: &str, mut written: Vec<String>) -> Result<(), String> {
    if written.is_empty() {
        return Err(format!("there is no {what}: give at least one"));
    }
    written.sort_unstable();
    match written.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("duplicate {what} {}: give it once", pair[0])),
        None => Ok(()),
    }
}
