//! What holds where nothing is written. Each default stands here and nowhere else.

use super::{
    Backend, Config, HalfClose, Http, Listener, Pool, Route, Runtime, Shards, Steering, Timeouts,
};
use crate::balance::Algorithm;
use crate::http1::UnderscoreNames;
use crate::limits::HEAD_BYTES_MAX;
use std::net::SocketAddr;
use std::time::Duration;

/// Idle connections kept to each backend, over all shards.
pub(super) const IDLE_CONNECTIONS: u32 = 512;
/// Records that may wait for the access log's writer.
pub(super) const ACCESS_LOG_QUEUE: usize = 8192;

impl Default for Runtime {
    fn default() -> Self {
        Self {
            shards: Shards::Auto,
            buffer_size: 16 * 1024,
            buffers_per_shard: 1024,
            ring_entries: 4096,
            max_connections: 100_000,
            max_connections_per_client: 0,
            backlog: 4096,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            underscore_names: UnderscoreNames::Drop,
            via: String::new(),
            trusted_proxies: Vec::new(),
            upgrade_protocols: vec!["websocket".to_owned()],
            allow_connect: false,
            half_close: HalfClose::Allow,
            head_bytes_max: HEAD_BYTES_MAX,
            request_body_max: None,
        }
    }
}

pub(super) fn timeouts() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(2),
        request_head: Duration::from_secs(10),
        idle: Duration::from_secs(60),
        between_bytes: Duration::from_secs(30),
        tunnel: Duration::from_secs(3600),
        drain: Duration::from_secs(30),
    }
}

impl Default for Config {
    /// All defaults, and nothing to listen on.
    fn default() -> Self {
        Self {
            runtime: Runtime::default(),
            timeouts: timeouts(),
            http: Http::default(),
            error_answers: Vec::new(),
            access_log: None,
            listeners: Vec::new(),
            routes: Vec::new(),
            pools: Vec::new(),
        }
    }
}

impl Config {
    /// Everything on `listen` goes to one pool, called `default`.
    pub fn quick(listen: &[SocketAddr], backends: Vec<Backend>, algorithm: Algorithm) -> Self {
        let listener = |(at, address): (usize, &SocketAddr)| Listener {
            name: format!("listener-{}", at + 1),
            address: *address,
            steering: Steering::Hash,
        };
        let name = "default".to_owned();
        let pool = Pool { name: name.clone(), algorithm, idle_connections: IDLE_CONNECTIONS, backends };
        Self {
            listeners: listen.iter().enumerate().map(listener).collect(),
            routes: vec![Route { listener: None, host: None, path: "/".to_owned(), pool: name }],
            pools: vec![pool],
            ..Self::default()
        }
    }
}
