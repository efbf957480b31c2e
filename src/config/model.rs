//! The checked configuration: typed values within their limits, names resolved to indexes, which
//! need no further check. Does not: parse, print, read files.

use super::choices::{Choice, Protocol};
use super::endpoint::Transport;
use super::keys::Keys;
use super::sections::{
    AccessLog, Acme, Admin, Certificate, ErrorAnswer, Http, Http2, Listener, Pool, Route, Runtime,
    Timeouts, Tls,
};

/// The configuration. [`Config::default`] has every value at its default, and no listener,
/// route or pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Threads, memory and bounds of the process.
    pub runtime: Runtime,
    /// The timeouts of each step.
    pub timeouts: Timeouts,
    /// Settings of HTTP.
    pub http: Http,
    /// Limits of HTTP/2.
    pub http2: Http2,
    /// Settings of TLS.
    pub tls: Tls,
    /// Bodies of Ringway's own answers, at most one for each status.
    pub error_answers: Vec<ErrorAnswer>,
    /// The access log, if there is one.
    pub access_log: Option<AccessLog>,
    /// The admin interface.
    pub admin: Admin,
    /// Listeners, in the order written. Names and addresses are unique.
    pub listeners: Vec<Listener>,
    /// Accounts with authorities that issue certificates by ACME, sorted by name. Each has a
    /// certificate.
    pub acme: Vec<Acme>,
    /// Certificates, in the order written. Every listener of HTTPS has one, and each of them has a
    /// listener.
    pub certificates: Vec<Certificate>,
    /// Routes, in the order written, then those that follow from a listener
    /// without a route beside exactly one pool. See [`Config::routes_of`].
    pub routes: Vec<Route>,
    /// Pools, sorted by name. Each has a backend and a route that leads to it.
    pub pools: Vec<Pool>,
}

/// The place of a listener in [`Config::listeners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerIndex(pub usize);

/// The place of a pool in [`Config::pools`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolIndex(pub usize);

/// What the routes to a pool bring it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUses {
    /// Requests.
    pub http: bool,
    /// Connections whose bytes are forwarded unread.
    pub bytes: bool,
    /// Flows of datagrams.
    pub flows: bool,
    /// Some of them are of TLS, by server name.
    pub names: bool,
}

impl PoolUses {
    /// Nothing but flows of datagrams.
    pub fn are_only_flows(&self) -> bool {
        self.flows && !self.http && !self.bytes
    }

    /// Whether traffic goes to its backends by this transport.
    pub fn has(&self, transport: Transport) -> bool {
        match transport {
            Transport::Tcp => self.http || self.bytes,
            Transport::Udp => self.flows,
        }
    }

    fn note(&mut self, protocol: Protocol) {
        self.http |= protocol.reads_requests();
        self.bytes |= [Protocol::Tcp, Protocol::TlsPassthrough].contains(&protocol);
        self.flows |= protocol == Protocol::Udp;
        self.names |= protocol == Protocol::TlsPassthrough;
    }
}

impl Config {
    /// The routes that count on a listener, those made for it alone first: of two with the same
    /// host and path the first one counts.
    pub fn routes_of(&self, listener: ListenerIndex) -> impl Iterator<Item = &Route> {
        let (protocol, takes_all) = {
            let listener = &self.listeners[listener.0];
            (listener.protocol, listener.takes_routes_for_all())
        };
        let own = self.routes.iter().filter(move |route| route.listener == Some(listener));
        let for_all = self
            .routes
            .iter()
            .filter(move |route| takes_all && route.listener.is_none() && route.fits(protocol));
        own.chain(for_all)
    }

    /// What each pool is used for, in the order of the pools.
    pub fn uses_of_pools(&self) -> Vec<PoolUses> {
        let mut all = vec![PoolUses::default(); self.pools.len()];
        let has = |wanted: Protocol| {
            let is_it = |one: &Listener| one.takes_routes_for_all() && one.protocol == wanted;
            self.listeners.iter().any(is_it)
        };
        let present = Protocol::WORDS.iter().map(|(_, protocol)| (*protocol, has(*protocol)));
        let present: Vec<(Protocol, bool)> = present.collect();
        for route in &self.routes {
            let uses = &mut all[route.pool.0];
            match route.listener {
                Some(listener) => uses.note(self.listeners[listener.0].protocol),
                None => {
                    let fitting = present.iter().filter(|(one, has)| *has && route.fits(*one));
                    fitting.for_each(|(protocol, _)| uses.note(*protocol));
                }
            }
        }
        all
    }

    /// The pool at `index`, which must come from this configuration.
    pub fn pool(&self, index: PoolIndex) -> &Pool {
        &self.pools[index.0]
    }

    /// Backends over all pools; one in two pools counts twice.
    pub fn backend_count(&self) -> usize {
        self.pools.iter().map(|pool| pool.backends.len()).sum()
    }

    /// Keeps the values of the running configuration for keys that need a restart.
    pub fn keep_fixed(&mut self, running: &Self) {
        self.runtime.keep_fixed(&running.runtime);
        self.timeouts.keep_fixed(&running.timeouts);
        self.admin.keep_fixed(&running.admin);
        self.http.keep_fixed(&running.http);
        self.tls.keep_fixed(&running.tls);
        self.keep_fetched(running);
        // That there is one, or none, needs a restart too.
        self.access_log.clone_from(&running.access_log);
        for listener in &mut self.listeners {
            let same = |known: &&Listener| {
                known.name == listener.name && known.address == listener.address
            };
            if let Some(known) = running.listeners.iter().find(same) {
                listener.keep_fixed(known);
            }
        }
    }

    /// A certificate by ACME that is in force stays, if its file has vanished since it was read.
    fn keep_fetched(&mut self, running: &Self) {
        let awaited = self.certificates.iter_mut();
        for one in awaited.filter(|one| one.acme.is_some() && one.loaded.is_none()) {
            let same = |known: &&Certificate| known.acme.is_some() && known.chain == one.chain;
            one.loaded = running.certificates.iter().find(same).and_then(|one| one.loaded.clone());
        }
    }
}
