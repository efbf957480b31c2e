//! Builds a snapshot from a checked configuration and the state of the backends.

use super::server_names;
use super::{
    Backend, Cut, Hashing, Leaving, Listener, Pool, ProxyTlv, Registry, Settings, Snapshot, Target,
    Trial, UpgradeProtocol, Wanted,
};
use crate::balance::Algorithm;
use crate::base::{BackendSlot, Generation, PoolId, ShardId};
use crate::config::{
    self, BackendHttp, Config, Connect, HalfClose, ListenerIndex, NoSni, NotTls, Protocol,
    ProxyHeader,
};
use crate::engine::Socket;
use crate::head::{Rules, Scheme};
use crate::limits::FIELDS_MAX;
use crate::route::RouteTable;
use crate::tls::{Authorities, BackendNames, BackendTls, server_name};
use std::net::SocketAddr;
use std::sync::Arc;

/// The longest head is this many times as long as the longest request target.
const TARGET_SHARE_OF_HEAD: usize = 2;

/// The traffic that a backend may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Its share of the traffic, by this weight; nothing new for 0.
    Weight(u32),
    /// One request, the half-open probe of this round; each round belongs to another shard.
    Trial(u32),
    /// Nothing new; exchanges in flight go on.
    Nothing,
    /// Nothing, and exchanges in flight are cut: its drain timeout is over.
    Cut,
    /// The same, because its health probe fails.
    Down,
}

/// A backend of a pool and its traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its row in the tables of counts.
    pub slot: BackendSlot,
    /// The address that it listens on.
    pub address: SocketAddr,
    /// The traffic that it may get.
    pub share: Share,
}

/// The snapshot of `config` with every backend healthy. `sockets` has, for each listener in order,
/// a listening socket per shard.
///
/// # Panics
/// If the registry is full, which a checked configuration excludes for the first generation.
pub fn build(
    config: &Config,
    generation: Generation,
    registry: &mut Registry,
    sockets: &[Vec<Socket>],
    shards: usize,
) -> Snapshot {
    let full = "the first configuration fits the registry";
    let mut listeners = Vec::new();
    for (index, sockets) in sockets.iter().enumerate() {
        let bound = config.listeners[index].address;
        let index = ListenerIndex(index);
        let listener = build_listener(config, index, registry, bound, sockets.clone());
        listeners.push(Arc::new(listener.expect(full)));
    }
    let mut pools = Vec::new();
    for pool in &config.pools {
        let id = registry.pool(&pool.name).expect(full);
        let member = |backend: &config::Backend| Member {
            slot: registry.slot(id, backend.address).expect(full),
            address: backend.address,
            share: Share::Weight(backend.weight),
        };
        let members: Vec<Member> = pool.backends.iter().map(member).collect();
        let mut built = build_pool(pool, id, &members, shards);
        let all = pool.backends.iter().zip(&members);
        let all = all.map(|(backend, member)| (member.slot, member.address, backend.weight));
        built.hashing = build_hashing(pool, all, None);
        built.tls = build_tls(pool, &Authorities::joined([]), std::iter::empty(), None);
        pools.push(Arc::new(built));
    }
    assemble(generation, listeners, pools, Arc::new(build_settings(config)))
}

/// A snapshot of parts, each of which may be shared with an earlier one.
pub fn assemble(
    generation: Generation,
    listeners: Vec<Arc<Listener>>,
    pools: Vec<Arc<Pool>>,
    settings: Arc<Settings>,
) -> Snapshot {
    let listeners = by_id(listeners, |listener| listener.id.index());
    let pools = by_id(pools, |pool| pool.id.index());
    Snapshot { generation, listeners, pools, settings, challenges: None }
}

fn by_id<T>(items: Vec<Arc<T>>, id: impl Fn(&T) -> usize) -> Vec<Option<Arc<T>>> {
    let mut placed = Vec::new();
    for item in items {
        let index = id(&item);
        if placed.len() <= index {
            placed.resize_with(index + 1, || None);
        }
        placed[index] = Some(item);
    }
    placed
}

/// What a pool picks by, if that is the hash of a key. `backends`: all of them, whatever their
/// health, each with its slot, address and weight. Parts of `before` are used again.
pub fn build_hashing(
    pool: &config::Pool,
    backends: impl Iterator<Item = (BackendSlot, SocketAddr, u32)>,
    before: Option<&Arc<Hashing>>,
) -> Option<Arc<Hashing>> {
    if pool.algorithm != Algorithm::Hash {
        return None;
    }
    let hashing = Hashing::new(&pool.hash, backends, before.map(Arc::as_ref));
    let same = before.filter(|before| ***before == hashing);
    Some(same.cloned().unwrap_or_else(|| Arc::new(hashing)))
}

/// TLS to the backends of a pool, if it has any. `system` is what the system trusts, `named` has
/// the backends with a name of their own. Earlier sessions of `before` can be resumed, if that has
/// the same terms.
pub fn build_tls<'n>(
    pool: &config::Pool,
    system: &Authorities,
    named: impl Iterator<Item = (SocketAddr, &'n str)>,
    before: Option<&Arc<BackendTls>>,
) -> Option<Arc<BackendTls>> {
    let tls = pool.tls.as_ref()?;
    let mut names = BackendNames { all: tls.server_name(), ..BackendNames::default() };
    if names.all.is_none() {
        names.by_address =
            named.filter_map(|(address, name)| Some((address, server_name(name)?))).collect();
    }
    let mut terms = tls.terms(system);
    match pool.http {
        BackendHttp::Http1 => {}
        _ if !terms.alpn.is_empty() => {}
        BackendHttp::Http2 => terms.alpn = vec![b"h2".to_vec()],
        BackendHttp::Auto => terms.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    }
    let built = BackendTls::new(terms, names, before.map(Arc::as_ref));
    let same = before.filter(|before| ***before == built);
    Some(same.cloned().unwrap_or_else(|| Arc::new(built)))
}

/// A pool of these members, without a table, without TLS, not in fail-open mode.
pub fn build_pool(pool: &config::Pool, id: PoolId, members: &[Member], shards: usize) -> Pool {
    let mut built = Pool {
        tls: None,
        id,
        name: pool.name.as_str().into(),
        algorithm: pool.algorithm,
        connections_max: limit(pool.max_connections_per_backend),
        http: pool.http,
        streams_max: pool.max_streams as u32,
        idle_connections: pool.idle_connections as u32,
        retry_budget_percent: pool.retry_budget_percent,
        proxy_protocol: pool.proxy_protocol,
        proxy_tlvs: pool.proxy_tlvs.clone(),
        source: pool.source,
        keepalive: pool.keepalive,
        hashing: None,
        backends: Vec::new(),
        is_last_resort: false,
        trials: Vec::new(),
        leaving: Vec::new(),
    };
    for &Member { slot, address, share } in members {
        match share {
            Share::Weight(0) | Share::Nothing => {
                built.leaving.push(Leaving { slot, cut: None });
            }
            Share::Weight(weight) => built.backends.push(Backend { slot, address, weight }),
            Share::Trial(round) => {
                let backend = Backend { slot, address, weight: 1 };
                let shard = ShardId((round as usize % shards) as u16);
                built.trials.push(Trial { backend, shard, round });
            }
            Share::Cut => built.leaving.push(Leaving { slot, cut: Some(Cut::Ordered) }),
            Share::Down => built.leaving.push(Leaving { slot, cut: Some(Cut::Down) }),
        }
    }
    built
}

/// The names in a configuration that need a number.
pub fn wanted(config: &Config) -> Wanted {
    let route = |route: &config::Route| {
        (scope_of(config, route).to_owned(), route.host.to_string(), route.below_host())
    };
    let listener = |listener: &config::Listener| (listener.name.clone(), listener.endpoint());
    Wanted {
        pools: config.pools.iter().map(|pool| pool.name.clone()).collect(),
        routes: config.routes.iter().map(route).collect(),
        listeners: config.listeners.iter().map(listener).collect(),
    }
}

/// The name of the listener that a route is limited to; empty if it is of all.
fn scope_of<'c>(config: &'c Config, route: &config::Route) -> &'c str {
    route.listener.map_or("", |index| &config.listeners[index.0].name)
}

/// A listener with its routes, on sockets of this process alone; none if the registry has no number
/// left for one of them.
pub fn build_listener(
    config: &Config,
    index: ListenerIndex,
    registry: &mut Registry,
    bound: SocketAddr,
    sockets: Vec<Socket>,
) -> Option<Listener> {
    let listener = &config.listeners[index.0];
    let id = registry.listener(&listener.name, listener.endpoint())?;
    let mut routes = Vec::new();
    for route in config.routes_of(index) {
        let pool = registry.pool(&config.pool(route.pool).name)?;
        let scope = scope_of(config, route);
        let route_id = registry.route(scope, &route.host.to_string(), &route.below_host())?;
        routes.push((route, Target { route: route_id, pool }));
    }
    Some(Listener {
        id,
        name: listener.name.as_str().into(),
        address: bound,
        sockets,
        is_passed: false,
        protocol: listener.protocol,
        connections_max: limit(listener.max_connections),
        requires_proxy_header: listener.proxy_protocol == ProxyHeader::Require,
        redirects_to: listener.redirect_to_https,
        hsts: listener.hsts.map(|hsts| hsts.field_value().into_bytes().into()),
        routes_no_sni: listener.no_sni == NoSni::Default,
        routes_not_tls: listener.not_tls == NotTls::Default,
        flows: listener.flows,
        speaks_http2: listener.http2,
        tls: (listener.protocol == Protocol::Https)
            .then(|| Arc::new(server_names::build(config, index, registry))),
        routes: route_table(listener.protocol, &routes),
    })
}

/// A limit as the configuration has it, where 0 is none.
fn limit(most: usize) -> u32 {
    if most == 0 { u32::MAX } else { u32::try_from(most).unwrap_or(u32::MAX) }
}

fn route_table(protocol: Protocol, routes: &[(&config::Route, Target)]) -> RouteTable<Target> {
    let routes = routes.iter();
    match protocol {
        Protocol::Http | Protocol::Https | Protocol::Tcp | Protocol::Udp => {
            RouteTable::new(routes.map(|(route, target)| (&route.host, &*route.path, *target)))
        }
        Protocol::TlsPassthrough => RouteTable::of_server_names(
            routes.map(|(route, target)| (&route.host, &*route.alpn, *target)),
        ),
    }
}

/// The settings for all sessions.
pub fn build_settings(config: &Config) -> Settings {
    let (http, http2) = (&config.http, &config.http2);
    Settings {
        timeouts: config.timeouts,
        rules: [Scheme::Http, Scheme::Https].map(|scheme| Rules {
            scheme,
            head_bytes_max: http.head_bytes_max,
            fields_max: FIELDS_MAX,
            target_bytes_max: http.head_bytes_max / TARGET_SHARE_OF_HEAD,
            underscore_names: http.underscore_names,
            allow_connect: http.connect == Connect::Forward,
        }),
        http2: crate::http2::Config {
            streams_max: http2.max_concurrent_streams,
            stream_window: http2.stream_window,
            connection_window: http2.connection_window,
            head_bytes_max: http.head_bytes_max,
            fields_max: FIELDS_MAX,
            extended_connect: !http.upgrade_protocols.is_empty(),
            floods: http2.floods,
        },
        http2_age_max: (!http2.max_age.is_zero()).then_some(http2.max_age),
        via: (!http.via.is_empty()).then(|| http.via.as_bytes().into()),
        trusted_proxies: http.trusted_proxies.clone(),
        upgrade_protocols: http
            .upgrade_protocols
            .iter()
            .map(|name| Arc::new(UpgradeProtocol(name.as_bytes().into())))
            .collect(),
        request_body_bytes_max: (http.request_body_max > 0).then_some(http.request_body_max),
        allows_half_close: http.half_close == HalfClose::Allow,
        connections_max: u32::try_from(config.runtime.max_connections).unwrap_or(u32::MAX),
        error_answers: config.error_answers.clone(),
        has_access_log: config.access_log.is_some(),
        keeps_tlvs: config.pools.iter().any(keeps_tlvs),
    }
}

/// Whether what a client's header said may be passed on.
fn keeps_tlvs(pool: &config::Pool) -> bool {
    let kept = [ProxyTlv::Received, ProxyTlv::UniqueId];
    pool.proxy_tlvs.iter().any(|tlv| kept.contains(tlv))
}
