//! Backends that are listeners of the same configuration, so that a request would loop back to its
//! pool, again and again until no connection is left. Does not: use the addresses of the machine,
//! or follow a request over several pools.

use super::addresses::reached;
use super::choices::Protocol;
use super::endpoint::{Endpoint, Transport};
use super::model::{Config, ListenerIndex, PoolIndex};
use super::sections::{Listener, Route};
use crate::route::HostPattern;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

impl Config {
    /// Why a backend cannot be added to a pool: requests would certainly loop back to the pool.
    pub fn loop_by(&self, pool: &str, address: SocketAddr) -> Option<String> {
        self.loops_by([(pool, address)]).pop().map(|(_, why)| why)
    }

    /// The same for many backends, each with the name of its pool: the refused ones, with reasons.
    pub fn loops_by<'b>(
        &self,
        backends: impl IntoIterator<Item = (&'b str, SocketAddr)>,
    ) -> Vec<((&'b str, SocketAddr), String)> {
        let loops = Loops::new(&self.listeners, &self.routes);
        let pools = self.pools.iter().enumerate();
        let pools: HashMap<&str, usize> = pools.map(|(at, pool)| (&*pool.name, at)).collect();
        let looped = |(pool, address): (&'b str, SocketAddr)| {
            let (message, help) = loops.of(PoolIndex(*pools.get(pool)?), address, 1)?;
            Some(((pool, address), format!("{message}; {help}")))
        };
        backends.into_iter().filter_map(looped).collect()
    }
}

/// The pools that requests of each listener reach.
pub(super) struct Loops<'c> {
    by_port: HashMap<(Transport, u16), Vec<(ListenerIndex, &'c Listener)>>,
    /// By a route of the listener's own.
    leads: HashSet<(ListenerIndex, PoolIndex)>,
    /// The routes of listeners of their own, which go before those for all.
    own: HashSet<(ListenerIndex, &'c HostPattern, &'c str)>,
    for_all: HashMap<PoolIndex, Vec<&'c Route>>,
}

impl<'c> Loops<'c> {
    pub(super) fn new(listeners: &'c [Listener], routes: &'c [Route]) -> Self {
        let mut by_port: HashMap<_, Vec<_>> = HashMap::new();
        for (index, listener) in listeners.iter().enumerate() {
            let Endpoint { transport, address } = listener.endpoint();
            let entry = (ListenerIndex(index), listener);
            by_port.entry((transport, address.port())).or_default().push(entry);
        }
        let (mut leads, mut own) = (HashSet::new(), HashSet::new());
        let mut for_all: HashMap<PoolIndex, Vec<&Route>> = HashMap::new();
        for route in routes {
            match route.listener {
                Some(listener) => {
                    leads.insert((listener, route.pool));
                    // One for some protocols of TLS leaves the others to the route for all.
                    if route.alpn.is_empty() {
                        own.insert((listener, &route.host, &*route.path));
                    }
                }
                None => for_all.entry(route.pool).or_default().push(route),
            }
        }
        Self { by_port, leads, own, for_all }
    }

    /// The problem of a backend of a pool whose requests certainly loop back to the pool, and the
    /// remedy. One of weight 0 gets no requests.
    pub(super) fn of(
        &self,
        pool: PoolIndex,
        address: SocketAddr,
        weight: u32,
    ) -> Option<(String, &'static str)> {
        let by_transport = [Transport::Tcp, Transport::Udp].into_iter().filter(|_| weight > 0);
        let listener = by_transport.into_iter().find_map(|transport| {
            let met = self.by_port.get(&(transport, address.port()))?;
            let (index, listener) = reached(met, address, |(_, listener)| listener.address)?;
            self.leads(*index, listener, pool).then_some(*listener)
        })?;
        let what = match listener.protocol {
            Protocol::Http | Protocol::Https => {
                "requests would come back to it until no connection is left"
            }
            Protocol::Tcp | Protocol::TlsPassthrough => {
                "connections would come back to it until none is left"
            }
            Protocol::Udp => "datagrams would come back to it again and again",
        };
        let message = format!(
            "{address} is listener `{}`, from which a route leads to this pool: {what}",
            listener.name
        );
        let help = "write the address of the server itself; if it is on this machine, give it or \
                    the listener another port";
        Some((message, help))
    }

    fn leads(&self, index: ListenerIndex, listener: &Listener, pool: PoolIndex) -> bool {
        let is_own = |route: &Route| self.own.contains(&(index, &route.host, &*route.path));
        let takes_all = listener.takes_routes_for_all();
        let counts = |route: &&Route| takes_all && route.fits(listener.protocol) && !is_own(route);
        self.leads.contains(&(index, pool))
            || self.for_all.get(&pool).is_some_and(|all| all.iter().any(counts))
    }
}
