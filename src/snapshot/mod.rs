//! The snapshot that the shards work with: listeners, routes, pools and settings of one generation,
//! immutable and shared.
//!
//! Does: hold what sessions read while they serve. Does not: change; hold a lock, a clock or a
//! counter. `build` makes one from a checked configuration and the state of the backends.

mod build;
mod challenges;
mod hashing;
mod registry;
mod server_names;

pub use build::{
    Member, Share, assemble, build, build_hashing, build_listener, build_pool, build_settings,
    build_tls, wanted,
};
pub use challenges::{CHALLENGE_PATH, Challenges};
pub use hashing::Hashing;
pub use registry::{Registry, RouteKey, Wanted};

pub use crate::config::{
    BackendHttp, FlowRules, PoolSource, Protocol, ProxyProtocol, ProxyTlv, Timeouts, Transport,
};

pub use crate::balance::KeyHash;

use crate::balance::Algorithm;
use crate::base::{BackendSlot, Generation, ListenerId, PoolId, RouteId, ShardId};
use crate::config::{Choice, Endpoint, ErrorAnswer, IpNetwork};
use crate::engine::{Socket, Source};
use crate::head::{Rules, Scheme};
use crate::http2;
use crate::route::RouteTable;
use crate::tls::{BackendTls, ServerNames};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The snapshot of one generation.
pub struct Snapshot {
    /// Its number.
    pub generation: Generation,
    /// Listeners by [`ListenerId`]; none where a listener was removed.
    pub listeners: Vec<Option<Arc<Listener>>>,
    /// Pools by [`PoolId`]; none where a pool was removed.
    pub pools: Vec<Option<Arc<Pool>>>,
    /// Settings that are not per listener or pool.
    pub settings: Arc<Settings>,
    /// Challenges of ACME; none while no certificate is being fetched.
    pub challenges: Option<Arc<Challenges>>,
}

/// An address that connections are accepted on, or datagrams received.
pub struct Listener {
    /// Its number.
    pub id: ListenerId,
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The address that it listens on.
    pub address: SocketAddr,
    /// One socket per shard: they listen, or with UDP receive.
    pub sockets: Vec<Socket>,
    /// The sockets were passed to the process, and another process may have them too.
    pub is_passed: bool,
    /// The protocol that clients speak.
    pub protocol: Protocol,
    /// Most connections over all shards; more wait in the backlog. [`u32::MAX`]: no limit.
    pub connections_max: u32,
    /// A connection begins with a PROXY protocol header, from one of the trusted proxies of
    /// [`Settings`].
    pub requires_proxy_header: bool,
    /// With HTTP: the port of HTTPS that requests without a route are redirected to.
    pub redirects_to: Option<u16>,
    /// With HTTPS: the value of Strict-Transport-Security.
    pub hsts: Option<Box<[u8]>>,
    /// With TLS: a client that names no server takes the route without a host. If false, it is
    /// refused.
    pub routes_no_sni: bool,
    /// With TLS: what is not TLS takes the route without a host. If false, it is closed.
    pub routes_not_tls: bool,
    /// With UDP: the rules for flows.
    pub flows: FlowRules,
    /// With HTTP and HTTPS: clients may speak HTTP/2.
    pub speaks_http2: bool,
    /// With HTTPS: what answers each server name.
    pub tls: Option<Arc<ServerNames>>,
    /// Its routes: by host and path, or, with TLS, by server name. With TCP and UDP the only one is
    /// for any host and path.
    pub routes: RouteTable<Target>,
}

/// The target of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The route.
    pub route: RouteId,
    /// The pool that it leads to.
    pub pool: PoolId,
}

/// A set of interchangeable backends.
#[derive(Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its number.
    pub id: PoolId,
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The algorithm that picks a backend.
    pub algorithm: Algorithm,
    /// Most connections to each backend over all shards. [`u32::MAX`]: no limit.
    pub connections_max: u32,
    /// The version of HTTP that the backends speak.
    pub http: BackendHttp,
    /// Exchanges at a time on one connection of HTTP/2.
    pub streams_max: u32,
    /// Idle connections that are kept to each backend, in total over the shards.
    pub idle_connections: u32,
    /// The retry budget, percent of recent requests.
    pub retry_budget_percent: u32,
    /// The PROXY protocol header at the beginning of each connection and flow.
    pub proxy_protocol: ProxyProtocol,
    /// What that says beside the addresses.
    pub proxy_tlvs: Vec<ProxyTlv>,
    /// The address that connections and flows come from.
    pub source: PoolSource,
    /// TLS to the backends; none: plain.
    pub tls: Option<Arc<BackendTls>>,
    /// Backends are probed by the kernel when a relay of them is silent for so long; zero: never.
    pub keepalive: Duration,
    /// The backends that get traffic.
    pub backends: Vec<Backend>,
    /// The table of the algorithm `hash`, which has the backends that get no traffic too.
    pub hashing: Option<Arc<Hashing>>,
    /// Fail open: none of these backends is healthy, and they get traffic all the same.
    pub is_last_resort: bool,
    /// Half-open backends, which get one request.
    pub trials: Vec<Trial>,
    /// Backends that get no new traffic, until nothing of them is left.
    pub leaving: Vec<Leaving>,
}

/// A half-open backend, and the shard that sends it the half-open probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The backend; its weight is not used.
    pub backend: Backend,
    /// The only shard that may send it.
    pub shard: ShardId,
    /// The round, which differs from the one before even if the shard is the same.
    pub round: u32,
}

/// A backend that gets no new traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The backend.
    pub slot: BackendSlot,
    /// Why exchanges in flight are cut; if none, they go on.
    pub cut: Option<Cut>,
}

/// Why what a backend has in flight is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Its health probe fails.
    Down,
    /// It was taken out, and its drain timeout is over.
    Ordered,
}

/// One address of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its row in the tables of published counts.
    pub slot: BackendSlot,
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Its share, relative to the others of the pool; at least 1.
    pub weight: u32,
}

/// The name of a protocol that Upgrade may change to, lower case.
#[derive(Debug, PartialEq, Eq)]
pub struct UpgradeProtocol(pub Box<[u8]>);

/// Settings for all sessions.
#[derive(PartialEq)]
pub struct Settings {
    /// The timeouts of each step of a session.
    pub timeouts: Timeouts,
    /// The rules for heads, those without TLS first. See [`Settings::rules`].
    rules: [Rules; 2],
    /// The name in Via; none if no such field is written.
    pub via: Option<Box<[u8]>>,
    /// Our end of connections of HTTP/2 with clients.
    pub http2: http2::Config,
    /// A connection of HTTP/2 that is so old is drained; none: at no age.
    pub http2_age_max: Option<Duration>,
    /// Proxies in front of Ringway whose X-Forwarded-* fields and PROXY protocol headers are
    /// trusted.
    pub trusted_proxies: Vec<IpNetwork>,
    /// Protocols that Upgrade may change to.
    pub upgrade_protocols: Vec<Arc<UpgradeProtocol>>,
    /// A client that ends its direction after a request gets the whole answer.
    pub allows_half_close: bool,
    /// Largest request body, bytes; none for no limit.
    pub request_body_bytes_max: Option<u64>,
    /// Client connections of the process; more wait in the backlog.
    pub connections_max: u32,
    /// Bodies of local answers by status, where they are not the default ones.
    pub error_answers: Vec<ErrorAnswer>,
    /// Exchanges are recorded.
    pub has_access_log: bool,
    /// TLVs of PROXY protocol headers may have to be passed on.
    pub keeps_tlvs: bool,
}

impl Pool {
    /// The address that a connection or flow of a client comes from.
    pub fn source_for(&self, client: SocketAddr) -> Source {
        match self.source {
            PoolSource::Any => Source::Any,
            PoolSource::Address(ip) => Source::Own(ip),
            PoolSource::Client => Source::Foreign(client.ip().to_canonical()),
        }
    }

    /// True if the header says this beside the addresses.
    pub fn announces(&self, tlv: ProxyTlv) -> bool {
        self.proxy_tlvs.contains(&tlv)
    }

    /// True if connections may carry exchanges on streams.
    pub fn has_streams(&self) -> bool {
        self.http != BackendHttp::Http1
    }

    /// True if each connection is one client's: its header or its address says whose.
    pub fn is_per_client(&self) -> bool {
        self.proxy_protocol != ProxyProtocol::None || self.source == PoolSource::Client
    }
}

impl Listener {
    /// Its protocol, as in the configuration.
    pub fn protocol_word(&self) -> &'static str {
        self.protocol.word()
    }

    /// Most sessions: connections, or with UDP flows.
    pub fn sessions_max(&self) -> u32 {
        match self.protocol.transport() {
            Transport::Tcp => self.connections_max,
            Transport::Udp => self.flows.max_flows,
        }
    }

    /// The address that it listens on, with its transport.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { transport: self.protocol.transport(), address: self.address }
    }

    /// The pool that one of its routes leads to.
    pub fn pool_of(&self, route: RouteId) -> Option<PoolId> {
        self.routes.targets().find(|target| target.route == route).map(|target| target.pool)
    }
}

impl Settings {
    /// The rules for heads of requests for URLs of this scheme, and their responses.
    pub fn rules(&self, scheme: Scheme) -> &Rules {
        let [http, https] = &self.rules;
        match scheme {
            Scheme::Http => http,
            Scheme::Https => https,
        }
    }
}

impl Listener {
    /// The scheme of the URLs that it serves.
    pub fn scheme(&self) -> Scheme {
        if self.protocol == Protocol::Https { Scheme::Https } else { Scheme::Http }
    }
}

impl Snapshot {
    /// A listener that exists in this generation.
    pub fn listener(&self, id: ListenerId) -> Option<&Arc<Listener>> {
        self.listeners.get(id.index())?.as_ref()
    }

    /// A pool that exists in this generation.
    pub fn pool(&self, id: PoolId) -> Option<&Arc<Pool>> {
        self.pools.get(id.index())?.as_ref()
    }
}
