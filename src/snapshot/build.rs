//! From a checked configuration to a snapshot.

use super::{Backend, Listener, Pool, Registry, Settings, Snapshot};
use crate::base::{Generation, PoolId};
use crate::config::{self, Config, Connect, HalfClose, ListenerIndex};
use crate::engine::Socket;
use crate::http1::Rules;
use crate::limits::FIELDS_MAX;
use crate::route::RouteTable;
use std::sync::Arc;

/// Longest request target that is worth a buffer.
const TARGET_SHARE_OF_HEAD: usize = 2;

/// The world of `config`. `sockets` has, for each listener in order, a listening socket per shard.
///
/// # Panics
/// If there are more backends than slots, which a checked configuration excludes.
pub fn build(
    config: &Config,
    generation: Generation,
    registry: &mut Registry,
    sockets: &[Vec<Socket>],
    shards: usize,
) -> Snapshot {
    let mut pools: Vec<Option<Arc<Pool>>> = Vec::new();
    for pool in &config.pools {
        let id = registry.pool(&pool.name);
        if pools.len() <= id.index() {
            pools.resize(id.index() + 1, None);
        }
        pools[id.index()] = Some(Arc::new(build_pool(pool, id, registry, shards)));
    }
    let listeners = config.listeners.iter().zip(sockets).enumerate();
    let listeners = listeners.map(|(index, (listener, sockets))| Listener {
        name: listener.name.clone(),
        address: listener.address,
        sockets: sockets.clone(),
        routes: routes_of(index, config, registry),
    });
    Snapshot { generation, listeners: listeners.collect(), pools, settings: settings(config) }
}

fn build_pool(pool: &config::Pool, id: PoolId, registry: &mut Registry, shards: usize) -> Pool {
    let backend = |backend: &config::Backend| Backend {
        slot: registry.slot(id, backend.address).expect("the configuration bounds backends"),
        address: backend.address,
        weight: backend.weight,
    };
    // A weight of 0 means that a backend gets nothing.
    let weighted = pool.backends.iter().filter(|backend| backend.weight > 0);
    Pool {
        id,
        name: pool.name.clone(),
        algorithm: pool.algorithm,
        idle_connections_per_shard: pool.idle_connections.div_ceil(shards) as u32,
        backends: weighted.map(backend).collect(),
    }
}

fn routes_of(index: usize, config: &Config, registry: &mut Registry) -> RouteTable<PoolId> {
    let routes: Vec<_> = config
        .routes_of(ListenerIndex(index))
        .map(|route| {
            let pool = registry.pool(&config.pool(route.pool).name);
            (&route.host, route.path.as_str(), pool)
        })
        .collect();
    RouteTable::new(routes)
}

fn settings(config: &Config) -> Settings {
    let http = &config.http;
    Settings {
        timeouts: config.timeouts,
        rules: Rules {
            head_bytes_max: http.head_bytes_max,
            fields_max: FIELDS_MAX,
            target_bytes_max: http.head_bytes_max / TARGET_SHARE_OF_HEAD,
            underscore_names: http.underscore_names,
            allow_connect: http.connect == Connect::Forward,
        },
        via: (!http.via.is_empty()).then(|| http.via.as_bytes().into()),
        trusted_proxies: http.trusted_proxies.clone(),
        upgrade_protocols: http
            .upgrade_protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect(),
        request_body_bytes_max: (http.request_body_max > 0).then_some(http.request_body_max),
        allows_half_close: http.half_close == HalfClose::Allow,
        connections_max: u32::try_from(config.runtime.max_connections).unwrap_or(u32::MAX),
        error_answers: config.error_answers.clone(),
        has_access_log: config.access_log.is_some(),
    }
}
