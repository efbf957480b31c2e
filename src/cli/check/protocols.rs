//! Warnings about listeners whose connections are forwarded unread, and about their pools.

use super::findings::{Finding, warning};
use ringway::balance::{Algorithm, HashKey, HashRules};
use ringway::config::{
    Config, NotTls, Pool, PoolUses, Probe, ProbeKind, Protocol, ProxyProtocol, ProxyTlv,
};

/// Keys that such a pool has no use for.
const OF_REQUESTS: &str = "counts for requests only, and none of the listeners of this pool reads \
                           them: remove it";

/// Keys that a pool of datagrams has no use for.
const OF_CONNECTIONS: &str = "counts for connections only, and the listeners of this pool are of \
                              `udp`: remove it";

/// All of them.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = waiting(config);
    for (pool, uses) in config.pools.iter().zip(config.uses_of_pools()) {
        findings.extend(unused(pool, uses));
        findings.extend(unhashed(pool));
        findings.extend(unkeyed(pool, uses));
        findings.extend(unannounced(pool, uses));
        findings.extend(unsaid(pool, uses));
    }
    findings
}

/// What is no TLS is known by its first byte only.
fn waiting(config: &Config) -> Vec<Finding> {
    let mixed = config.listeners.iter().filter(|listener| {
        listener.protocol == Protocol::TlsPassthrough && listener.not_tls == NotTls::Default
    });
    mixed
        .map(|listener| {
            let message = "a client that waits for its server to speak first (SMTP, MySQL) sends \
                           no byte to tell it by, and waits until `timeouts.request_head`: give \
                           such a protocol a listener of `tcp`";
            warning(format!("listener.{}.not_tls", listener.name), message)
        })
        .collect()
}

fn unused(pool: &Pool, uses: PoolUses) -> Vec<Finding> {
    if uses.http || !(uses.bytes || uses.flows) {
        return Vec::new();
    }
    let default = Pool::default();
    let set = [
        ("http", OF_REQUESTS, pool.http != default.http),
        ("max_streams", OF_REQUESTS, pool.max_streams != default.max_streams),
        ("idle_connections", OF_REQUESTS, pool.idle_connections != default.idle_connections),
        (
            "retry_budget_percent",
            OF_REQUESTS,
            pool.retry_budget_percent != default.retry_budget_percent,
        ),
        ("keepalive", OF_CONNECTIONS, !uses.bytes && pool.keepalive != default.keepalive),
    ];
    let set = set.into_iter().filter(|(.., is_set)| *is_set);
    set.map(|(key, why, _)| warning(format!("pool.{}.{key}", pool.name), why)).collect()
}

/// Keys of hashing where another algorithm picks.
fn unhashed(pool: &Pool) -> Vec<Finding> {
    if pool.algorithm == Algorithm::Hash {
        return Vec::new();
    }
    let (hash, default) = (&pool.hash, HashRules::default());
    let set = [
        ("hash_key", hash.key != default.key),
        ("hash_balance", hash.balance != default.balance),
        ("hash_table_size", hash.table_size != default.table_size),
        ("hash_seed", hash.seed != default.seed),
    ];
    let set = set.into_iter().filter(|(_, is_set)| *is_set);
    set.map(|(key, _)| {
        let message = format!(
            "does nothing with `algorithm = \"{}\"`: write `algorithm = \"hash\"`, or remove it",
            pool.algorithm
        );
        warning(format!("pool.{}.{key}", pool.name), message)
    })
    .collect()
}

/// A key for hashing that nothing on the way to the pool has.
fn unkeyed(pool: &Pool, uses: PoolUses) -> Option<Finding> {
    let (has_it, whose) = match &pool.hash.key {
        HashKey::Client { .. } | HashKey::ClientPort => return None,
        HashKey::Sni => (uses.names, "connections of a listener of `tls-passthrough`"),
        HashKey::Host
        | HashKey::Path
        | HashKey::Query(_)
        | HashKey::Header(_)
        | HashKey::Cookie(_) => (uses.http, "requests of a listener of `http`"),
    };
    (pool.algorithm == Algorithm::Hash && !has_it).then(|| {
        let key = &pool.hash.key;
        let message = format!(
            "only {whose} have `{key}`, and none leads to this pool: without a key a backend is \
             picked as by \"p2c\"; write \"client\""
        );
        warning(format!("pool.{}.hash_key", pool.name), message)
    })
}

/// Probes without the header that the backends expect on the same port, by the same transport.
fn unannounced(pool: &Pool, uses: PoolUses) -> Vec<Finding> {
    if pool.proxy_protocol == ProxyProtocol::None {
        return Vec::new();
    }
    let readiness = pool.readiness.iter().map(|probe| ("readiness", probe));
    let probes = std::iter::once(("health", &pool.health)).chain(readiness);
    let is_bare = |probe: &Probe| {
        probe.proxy_protocol == ProxyProtocol::None
            && probe.port.is_none()
            && match probe.kind {
                ProbeKind::None => false,
                ProbeKind::Datagram { .. } => uses.flows,
                _ => uses.http || uses.bytes,
            }
    };
    probes
        .filter(|(_, probe)| is_bare(probe))
        .map(|(table, _)| {
            let message = format!(
                "the backends expect the header of the pool, `{0}`: write `proxy_protocol = \
                 \"{0}\"` here too, or probe another port",
                pool.proxy_protocol
            );
            warning(format!("pool.{}.{table}.proxy_protocol", pool.name), message)
        })
        .collect()
}

/// What a header is to say that no connection on the way to the pool has.
fn unsaid(pool: &Pool, uses: PoolUses) -> Option<Finding> {
    let of_hello = [ProxyTlv::Authority, ProxyTlv::Alpn];
    let wanted = pool.proxy_tlvs.iter().find(|tlv| of_hello.contains(tlv));
    let wanted = wanted.filter(|_| !uses.names)?;
    let message = format!(
        "only connections of a listener of `tls-passthrough` have `{wanted}`, and none leads to \
         this pool; \"received\" passes on what the header of a client's connection says"
    );
    Some(warning(format!("pool.{}.proxy_tlvs", pool.name), message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTENERS: &str = "[[listener]]\nname = \"tls\"\naddress = \"0.0.0.0:443\"\n\
        protocol = \"tls-passthrough\"\nnot_tls = \"default\"\n\
        [[listener]]\nname = \"web\"\naddress = \"0.0.0.0:80\"\n\
        [[route]]\nlistener = \"tls\"\npool = \"bytes\"\n\
        [[route]]\nlistener = \"web\"\npool = \"pages\"\n\
        [[pool.bytes.backend]]\naddress = \"10.0.0.1:1\"\n\
        [[pool.pages.backend]]\naddress = \"10.0.0.2:1\"\n";

    /// The keys of the findings.
    fn found(more: &str) -> Vec<String> {
        let load = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let config = Config::parse(&format!("{LISTENERS}{more}"), "test.toml", &load);
        let config = config.map_err(|error| error.to_string()).expect("it is well");
        findings(&config).into_iter().map(|finding| finding.key).collect()
    }

    #[test]
    fn what_does_nothing_and_what_waits_is_a_warning() {
        let mixed = "listener.tls.not_tls";
        assert_eq!(found("[pool.pages]\nidle_connections = 7\n"), [mixed]);
        let keys = "[pool.bytes]\nhttp = \"2\"\nidle_connections = 7\nretry_budget_percent = 1\n";
        let three = ["http", "idle_connections", "retry_budget_percent"];
        let three = three.map(|key| format!("pool.bytes.{key}"));
        assert_eq!(found(keys)[1..], three);
        assert_eq!(found("[pool.bytes]\nkeepalive = \"5s\"\n"), [mixed], "it is for connections");
        let udp = "[[listener]]\nname = \"u\"\naddress = \"0.0.0.0:53\"\nprotocol = \"udp\"\n\
            [[route]]\nlistener = \"u\"\npool = \"dns\"\n[pool.dns]\nkeepalive = \"5s\"\n\
            [pool.dns.health]\nprotocol = \"none\"\n\
            [[pool.dns.backend]]\naddress = \"10.0.0.3:53\"\n";
        assert_eq!(found(udp)[1..], ["pool.dns.keepalive"]);
    }

    #[test]
    fn a_key_that_no_traffic_of_the_pool_has_is_a_warning() {
        for (pool, key, is_found) in [
            ("pages", "host", false),
            ("pages", "cookie:a", false),
            ("pages", "client", false),
            ("pages", "sni", true),
            ("bytes", "sni", false),
            ("bytes", "client/24", false),
            ("bytes", "client-port", false),
            ("bytes", "header:a", true),
            ("bytes", "path", true),
        ] {
            let keys = format!("[pool.{pool}]\nalgorithm = \"hash\"\nhash_key = \"{key}\"\n");
            let expected = is_found.then(|| format!("pool.{pool}.hash_key"));
            assert_eq!(found(&keys)[1..], Vec::from_iter(expected), "{pool} {key}");
        }
    }

    #[test]
    fn keys_of_hashing_beside_another_algorithm_are_a_warning() {
        for (key, is_found) in [
            ("hash_key = \"client-port\"", true),
            ("hash_balance = 0", true),
            ("hash_table_size = 251", true),
            ("hash_seed = 1", true),
            ("hash_key = \"client\"", false),
        ] {
            let pool = |algorithm: &str| {
                found(&format!("[pool.bytes]\nalgorithm = \"{algorithm}\"\n{key}\n"))
            };
            let name = key.split(' ').next().expect("a key");
            let expected = is_found.then(|| format!("pool.bytes.{name}"));
            assert_eq!(pool("p2c")[1..], Vec::from_iter(expected), "{key}");
            assert!(pool("hash")[1..].is_empty(), "{key}");
        }
    }

    #[test]
    fn what_no_header_can_say_is_a_warning() {
        for (pool, tlvs, is_found) in [
            ("pages", "\"authority\"", true),
            ("pages", "\"received\", \"alpn\"", true),
            ("pages", "\"received\", \"unique-id\", \"crc32c\"", false),
            ("bytes", "\"authority\", \"alpn\"", false),
        ] {
            let probe = "[pool.bytes.health]\nport = 9\n[pool.pages.health]\nport = 9\n";
            let keys = format!("proxy_protocol = \"v2\"\nproxy_tlvs = [{tlvs}]\n{probe}");
            let expected = is_found.then(|| format!("pool.{pool}.proxy_tlvs"));
            let found = found(&format!("[pool.{pool}]\n{keys}"));
            assert_eq!(found[1..], Vec::from_iter(expected), "{pool} {tlvs}");
        }
    }

    #[test]
    fn a_probe_without_the_header_of_its_pool_is_a_warning() {
        let pool = |probe: &str| {
            let probe = format!("[pool.bytes.health]\n{probe}\n[pool.bytes.readiness]\nport = 9\n");
            found(&format!("[pool.bytes]\nproxy_protocol = \"v2\"\n{probe}"))
        };
        assert_eq!(pool("rise = 2")[1..], ["pool.bytes.health.proxy_protocol"]);
        for probe in ["proxy_protocol = \"v2\"", "port = 9", "protocol = \"none\""] {
            assert!(pool(probe)[1..].is_empty(), "{probe}");
        }
    }
}
