//! The world as the shards see it: listeners, routes, pools and settings of one generation,
//! immutable and shared.
//!
//! Does: hold what a session may ask while it serves. Does not: change; hold a lock, a clock or
//! a counter. `build` makes one of a checked configuration and of what is known of the backends.

mod build;
mod registry;

pub use build::{
    Member, Share, assemble, build, build_listener, build_pool, build_settings, wanted,
};
pub use registry::{Registry, Wanted};

use crate::balance::Algorithm;
use crate::base::{BackendSlot, Generation, ListenerId, PoolId, RouteId, ShardId};
use crate::config::{ErrorAnswer, IpNetwork, Timeouts};
use crate::engine::Socket;
use crate::http1::Rules;
use crate::route::RouteTable;
use std::net::SocketAddr;
use std::sync::Arc;

/// One generation of the world.
pub struct Snapshot {
    /// Its number.
    pub generation: Generation,
    /// What is listened on by [`ListenerId`]; none where a listener was removed.
    pub listeners: Vec<Option<Arc<Listener>>>,
    /// Pools by [`PoolId`]; none where a pool was removed.
    pub pools: Vec<Option<Arc<Pool>>>,
    /// Everything that is not per listener or pool.
    pub settings: Arc<Settings>,
}

/// An address that connections are accepted on.
pub struct Listener {
    /// Its number.
    pub id: ListenerId,
    /// Its name in the configuration.
    pub name: String,
    /// The address that it listens on.
    pub address: SocketAddr,
    /// One listening socket per shard.
    pub sockets: Vec<Socket>,
    /// Where a request goes.
    pub routes: RouteTable<Target>,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The route.
    pub route: RouteId,
    /// The pool that it leads to.
    pub pool: PoolId,
}

/// A set of backends that are as good as each other.
#[derive(Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its number.
    pub id: PoolId,
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// How a backend is picked.
    pub algorithm: Algorithm,
    /// Idle connections that are kept to each backend, in total over the shards.
    pub idle_connections: u32,
    /// Requests that may be sent to a second backend, in percent of those that came lately.
    pub retry_budget_percent: u32,
    /// The backends that get traffic.
    pub backends: Vec<Backend>,
    /// None of these is known to be well: they get traffic for want of a better one.
    pub is_last_resort: bool,
    /// Backends that get one request, to see whether they have recovered.
    pub trials: Vec<Trial>,
    /// Backends that get no new traffic, as long as anything of them may be left.
    pub leaving: Vec<Leaving>,
}

/// A backend that one shard sends one request to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The backend; its weight is of no interest.
    pub backend: Backend,
    /// The only shard that may.
    pub shard: ShardId,
    /// Tells a trial from the one before, which may have been of the same shard.
    pub round: u32,
}

/// A backend that gets no new traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The backend.
    pub slot: BackendSlot,
    /// What it still carries is cut; if not, it goes on.
    pub is_cut: bool,
}

/// One address of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its row in the tables of published counts.
    pub slot: BackendSlot,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share, relative to the others of the pool; at least 1.
    pub weight: u32,
}

/// Settings for all sessions.
#[derive(PartialEq)]
pub struct Settings {
    /// What a session waits for, and how long.
    pub timeouts: Timeouts,
    /// What a head may look like.
    pub rules: Rules,
    /// The name in Via; none if no such field is written.
    pub via: Option<Box<[u8]>>,
    /// Proxies in front of us whose X-Forwarded-* fields are believed.
    pub trusted_proxies: Vec<IpNetwork>,
    /// Protocols that Upgrade may change to, lower case.
    pub upgrade_protocols: Vec<Arc<[u8]>>,
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
}

impl Listener {
    /// The pool that one of its routes leads to.
    pub fn pool_of(&self, route: RouteId) -> Option<PoolId> {
        self.routes.targets().find(|target| target.route == route).map(|target| target.pool)
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
