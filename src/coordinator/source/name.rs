//! A DNS name that stands for backends, looked up again when its answer is too old.

use super::Shared;
use crate::config::{BackendName, Lookup};
use crate::coordinator::fleet::{Found, Source};
use crate::limits::WEIGHT_MAX;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// An answer is not asked for again before, and not believed beyond: a TTL of 0 must not make a
/// storm, and one of a week must not hide a change.
const TTL_MIN: Duration = Duration::from_secs(1);
/// See [`TTL_MIN`].
const TTL_MAX: Duration = Duration::from_secs(300);
/// After a failure: the first pause, doubled up to the last.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// See [`RETRY_MIN`].
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How long one server may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A resolver that asks these servers, or those of the system if there are none.
pub(super) fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let failed = |error: hickory_resolver::net::NetError| {
        format!("no DNS resolver: {error}; look at /etc/resolv.conf, or set runtime.dns_servers")
    };
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio().map_err(failed)?
    } else {
        let servers = servers.iter().map(server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = TIMEOUT;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.positive_max_ttl = Some(TTL_MAX);
    options.negative_max_ttl = Some(TTL_MIN);
    builder.build().map_err(failed)
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

/// What a name stands for.
struct Answer {
    found: Vec<Found>,
    /// How long it may be believed.
    holds: Duration,
    /// Why a part of it is what was found the last time.
    stale: Option<String>,
}

/// The addresses that the targets of SRV records had when they were last found.
type Targets = HashMap<String, Vec<IpAddr>>;

/// Looks a name up for as long as it is wanted.
pub(super) async fn follow(shared: Shared, pool: String, name: BackendName) {
    let source = Source::Name(name.lookup.to_string());
    let mut targets = Targets::new();
    let mut retry = RETRY_MIN;
    loop {
        let answer = match shared.resolver() {
            Ok(resolver) => look_up(&resolver, &name, &mut targets).await,
            Err(reason) => Err(reason),
        };
        let (holds, failure) = match answer {
            Ok(Answer { found, holds, stale }) => {
                shared.told(&pool, &source, found, stale.is_none());
                (holds.clamp(TTL_MIN, TTL_MAX), stale)
            }
            Err(reason) => (TTL_MAX, Some(reason)),
        };
        let pause = match failure {
            None => {
                retry = RETRY_MIN;
                holds
            }
            Some(reason) => {
                if retry == RETRY_MIN {
                    shared.failed(&pool, &source, reason);
                }
                let pause = retry;
                retry = (retry * 2).min(RETRY_MAX);
                pause.min(holds)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// The backends that a name stands for. No backend at all is a failure: an empty answer must not
/// empty a pool.
async fn look_up(
    resolver: &TokioResolver,
    name: &BackendName,
    targets: &mut Targets,
) -> Result<Answer, String> {
    let answer = match &name.lookup {
        Lookup::Address { name: host, port } => {
            let (ips, holds) = addresses(resolver, host).await?;
            let found = |ip| Found {
                address: SocketAddr::new(ip, *port),
                weight: name.weight,
                priority: 0,
            };
            Answer { found: ips.into_iter().map(found).collect(), holds, stale: None }
        }
        Lookup::Service { name: service } => {
            services(resolver, service, name.weight, targets).await?
        }
    };
    if answer.found.is_empty() {
        return Err(answer.stale.unwrap_or_else(|| "the answer has no address".to_owned()));
    }
    Ok(answer)
}

async fn addresses(
    resolver: &TokioResolver,
    host: &str,
) -> Result<(Vec<IpAddr>, Duration), String> {
    let answer = resolver.lookup_ip(host).await.map_err(|error| error.to_string())?;
    Ok((answer.iter().collect(), left_until(answer.valid_until())))
}

/// The backends of SRV records (RFC 2782): each with the port and priority of its record, and a
/// weight in proportion to the record's. A record's weight of 0 counts as 1.
async fn services(
    resolver: &TokioResolver,
    service: &str,
    weight: u32,
    targets: &mut Targets,
) -> Result<Answer, String> {
    let answer = resolver.srv_lookup(service).await.map_err(|error| error.to_string())?;
    let mut holds = left_until(answer.valid_until());
    let records = answer.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(srv) => Some(srv),
        _ => None,
    });
    let (mut found, mut stale) = (Vec::new(), None);
    let mut known = std::mem::take(targets);
    for record in records {
        let target = record.target.to_utf8();
        let ips = match addresses(resolver, &target).await {
            Ok((ips, held)) => {
                holds = holds.min(held);
                ips
            }
            // One target that cannot be found takes neither the others away nor itself: it has
            // not gone before its record has.
            Err(reason) => {
                stale = Some(format!("{target}: {reason}"));
                targets.get(&target).cloned().or(known.remove(&target)).unwrap_or_default()
            }
        };
        found.extend(ips.iter().map(|ip| Found {
            address: SocketAddr::new(*ip, record.port),
            weight: u32::from(record.weight.max(1)) * weight,
            priority: record.priority,
        }));
        targets.insert(target, ips);
    }
    fit_weights(&mut found);
    Ok(Answer { found, holds, stale })
}

/// Weights of SRV records go up to 65,535: scaled down to ours, in proportion.
fn fit_weights(found: &mut [Found]) {
    let most = found.iter().map(|found| found.weight).max().unwrap_or(0);
    if most <= WEIGHT_MAX {
        return;
    }
    for found in found.iter_mut().filter(|found| found.weight > 0) {
        let scaled = u64::from(found.weight) * u64::from(WEIGHT_MAX) / u64::from(most);
        found.weight = u32::try_from(scaled).unwrap_or(WEIGHT_MAX).max(1);
    }
}

fn left_until(moment: Instant) -> Duration {
    moment.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_records_are_scaled_in_proportion() {
        let found = |weight| Found { address: ([127, 0, 0, 1], 1).into(), weight, priority: 0 };
        let mut all = [found(65_535), found(32_768), found(1), found(0)];
        fit_weights(&mut all);
        assert_eq!(all.map(|found| found.weight), [1_000, 500, 1, 0]);
        let mut small = [found(10), found(5)];
        fit_weights(&mut small);
        assert_eq!(small.map(|found| found.weight), [10, 5]);
    }
}
