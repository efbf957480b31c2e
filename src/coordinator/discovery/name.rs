//! A DNS name that stands for backends, looked up again when its answer expires.

use super::report::{Shared, unique};
use super::resolver::{Addresses, Resolver, TTL_MAX, TTL_MIN};
use crate::config::{BackendName, Lookup};
use crate::coordinator::fleet::{Found, Source};
use crate::limits::WEIGHT_MAX;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::rdata::SRV;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// After a failure: the first pause, doubled up to the last.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// See [`RETRY_MIN`].
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The backends of a name.
struct Answer {
    found: Vec<Found>,
    /// How long they are valid.
    holds: Duration,
    /// Why a part of them is from the last lookup.
    stale: Option<String>,
}

/// The addresses that hosts had when they were last found: the one of the name, or the targets of
/// its SRV records.
type Hosts = HashMap<String, Vec<IpAddr>>;

/// Looks a name up for as long as it is wanted.
pub(super) async fn follow(shared: Shared, pool: String, name: BackendName) {
    let source = Source::of_name(&name);
    let mut hosts = Hosts::new();
    if let Lookup::Address { name, .. } = &name.lookup {
        hosts.insert(name.clone(), shared.told_before(&pool, &source));
    }
    let mut retry = RETRY_MIN;
    let mut renewals = shared.resolvers.renewals();
    loop {
        renewals.mark_unchanged();
        let answer = match shared.resolvers.current() {
            Ok(resolver) => look_up(&resolver, &name, &mut hosts).await,
            Err(reason) => Err(reason),
        };
        let (holds, failure) = match answer {
            Ok(Answer { found, holds, stale }) => {
                shared.reported(&pool, &source, found, stale.is_none());
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
                shared.failed(&pool, &source, reason);
                let pause = retry;
                retry = (retry * 2).min(RETRY_MAX);
                pause.min(holds)
            }
        };
        // A reload ends the wait; its sender outlives the tasks.
        let _ = tokio::time::timeout(pause, renewals.changed()).await;
    }
}

/// The backends of a name at its first lookup, and whether the answer is complete.
pub(crate) async fn ask_name(
    resolver: &Resolver,
    name: &BackendName,
) -> Option<(Vec<Found>, bool)> {
    let answer = look_up(resolver, name, &mut Hosts::new()).await.ok()?;
    Some((unique(answer.found), answer.stale.is_none()))
}

/// The backends of a name. No backend at all is a failure: an empty answer must not empty a pool.
async fn look_up(
    resolver: &Resolver,
    name: &BackendName,
    hosts: &mut Hosts,
) -> Result<Answer, String> {
    let answer = match &name.lookup {
        Lookup::Address { name: host, port } => {
            let known = hosts.entry(host.clone()).or_default();
            let Addresses { ips, holds, stale } = resolver.addresses(host, known).await?;
            known.clone_from(&ips);
            let found = |ip| Found {
                address: SocketAddr::new(ip, *port),
                weight: name.weight,
                priority: 0,
            };
            Answer { found: ips.into_iter().map(found).collect(), holds, stale }
        }
        Lookup::Service { name: service } => {
            services(resolver, service, name.weight, hosts).await?
        }
    };
    if answer.found.is_empty() {
        return Err(answer.stale.unwrap_or_else(|| "the answer has no address".to_owned()));
    }
    Ok(answer)
}

/// The backends of SRV records (RFC 2782): each with the port and priority of its record, and a
/// weight in proportion to the record's. A record's weight of 0 counts as 1. A record without a
/// usable target or port is left out and reported.
async fn services(
    resolver: &Resolver,
    service: &str,
    weight: u32,
    hosts: &mut Hosts,
) -> Result<Answer, String> {
    let (answer, mut holds) = resolver.services(service).await?;
    let records = answer.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(srv) => Some(srv),
        _ => None,
    });
    let (mut found, mut stale) = (Vec::new(), None);
    let mut known = std::mem::take(hosts);
    for record in records {
        let target = record.target.to_utf8();
        if let Some(reason) = leads_nowhere(service, record) {
            stale = stale.or(Some(reason));
            continue;
        }
        // Several records may name one target.
        let before = hosts.get(&target).cloned().or(known.remove(&target)).unwrap_or_default();
        let ips = match resolver.addresses_of_target(&record.target, &before).await {
            Ok(Addresses { ips, holds: held, stale: reason }) => {
                holds = holds.min(held);
                stale = stale.or(reason);
                ips
            }
            // A target that cannot be resolved removes neither the others nor itself: it stays
            // until its record is removed.
            Err(reason) => {
                stale = stale.or(Some(reason));
                before
            }
        };
        found.extend(ips.iter().map(|ip| Found {
            address: SocketAddr::new(*ip, record.port),
            weight: u32::from(record.weight.max(1)) * weight,
            priority: record.priority,
        }));
        hosts.insert(target, ips);
    }
    fit_weights(&mut found);
    Ok(Answer { found, holds, stale })
}

/// Why a record has no usable target.
fn leads_nowhere(service: &str, record: &SRV) -> Option<String> {
    if record.target.is_root() {
        return Some(format!("{service} is not available, by its own word (target `.`, RFC 2782)"));
    }
    let target = &record.target;
    (record.port == 0).then(|| format!("{service}: the record of {target} has port 0: left out"))
}

/// Weights of SRV records go up to 65,535: scaled down to Ringway's, in proportion.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_lead_nowhere_are_told_of() {
        let target = |text: &str| text.parse().expect("a name");
        let why = |port, text| leads_nowhere("_h._tcp.test", &SRV::new(0, 1, port, target(text)));
        assert_eq!(why(80, "a.test."), None);
        assert!(why(0, "a.test.").is_some_and(|why| why.contains("port 0")));
        assert!(why(80, ".").is_some_and(|why| why.contains("not available")));
    }

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
