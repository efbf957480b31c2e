//! Warnings about listeners of UDP, and about the probes of their pools.

use super::findings::{Finding, warning};
use crate::cli::load::{Effective, Origin};
use ringway::config::{Config, Listener, Pool, Probe, ProbeKind};

/// Those about the configuration by itself.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let pools = config.pools.iter().zip(config.uses_of_pools());
    let pools = pools.filter(|(_, uses)| uses.are_only_flows());
    let companions = pools.filter_map(|(pool, _)| probed_by_connections(pool));
    config.listeners.iter().filter_map(client_limit).chain(companions).collect()
}

/// Pools of which nobody has said how they are probed.
pub(super) fn unprobed(effective: &Effective) -> Vec<Finding> {
    let config = &effective.config;
    let pools = config.pools.iter().zip(config.uses_of_pools());
    let unprobed = pools.filter_map(|(pool, uses)| {
        let key = format!("pool.{}.health", pool.name);
        let is_chosen = effective.origin(&format!("{key}.protocol")) != Origin::Default;
        let is_probed = pool.health.kind != ProbeKind::None;
        (uses.are_only_flows() && !is_chosen && !is_probed).then(|| {
            let message = "nothing probes the backends of this pool, and UDP does not tell of a \
                           host that is dead: write `protocol = \"udp\"` with `send` and \
                           `expect`, the `port` of a check by TCP or HTTP, or `protocol = \
                           \"none\"` if that is meant";
            warning(key, message)
        })
    });
    unprobed.collect()
}

/// A limit for each client that is never reached.
fn client_limit(listener: &Listener) -> Option<Finding> {
    let flows = listener.flows;
    (flows.max_flows_per_client >= flows.max_flows).then(|| {
        let message = format!(
            "it is not below `max_flows`, {}: one client may have all flows of the listener",
            flows.max_flows
        );
        warning(format!("listener.{}.max_flows_per_client", listener.name), message)
    })
}

/// A pool whose backends get datagrams and must accept connections on the same port.
fn probed_by_connections(pool: &Pool) -> Option<Finding> {
    let connects = |probe: &Probe| {
        let by_udp = matches!(probe.kind, ProbeKind::Datagram { .. } | ProbeKind::None);
        !by_udp && probe.port.is_none()
    };
    connects(&pool.health).then(|| {
        let message = format!(
            "the probe connects by TCP to the port that gets the datagrams, and a backend that \
             does not listen there by TCP too (as DNS does) is down for good: give it the `port` \
             of a service beside it, or write `protocol = \"udp\"` instead of \"{}\"",
            pool.health.kind.protocol()
        );
        warning(format!("pool.{}.health.protocol", pool.name), message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTENER: &str = "[[listener]]\nname = \"game\"\naddress = \"0.0.0.0:27015\"\n\
        protocol = \"udp\"\n";
    const POOL: &str = "[[pool.game.backend]]\naddress = \"10.0.0.1:27015\"\n";

    fn effective(listener: &str, pool: &str) -> Effective {
        let load = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let text = format!("{pool}{LISTENER}{listener}{POOL}");
        let read = ringway::config::TextFormat::Toml;
        let (config, written) = Config::parse_as(read, &text, "test.toml", &load)
            .map_err(|error| error.to_string())
            .expect("it is well");
        Effective::of(config, written)
    }

    fn keys(findings: Vec<Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| finding.key).collect()
    }

    #[test]
    fn a_probe_that_connects_to_the_port_of_the_datagrams_is_a_warning() {
        let found = |pool: &str| keys(findings(&effective("", pool).config));
        let health = ["pool.game.health.protocol"];
        assert_eq!(found("pool.game.health.protocol = \"tcp\"\n"), health);
        assert_eq!(found("pool.game.health.path = \"/\"\n"), health);
        for health in ["port = 80", "protocol = \"udp\"", "protocol = \"none\"", "rise = 3"] {
            assert!(found(&format!("[pool.game.health]\n{health}\n")).is_empty(), "{health}");
        }
        let beside = "[[listener]]\nname = \"tcp\"\naddress = \"0.0.0.0:27015\"\n\
                      protocol = \"tcp\"\n";
        assert!(findings(&effective(beside, "").config).is_empty(), "it accepts connections");
    }

    #[test]
    fn a_pool_that_nothing_probes_is_a_warning_unless_that_is_written() {
        let found = |pool: &str| keys(unprobed(&effective("", pool)));
        assert_eq!(found(""), ["pool.game.health"]);
        assert_eq!(found("pool.game.health.interval = \"5s\"\n"), ["pool.game.health"]);
        for health in ["protocol = \"none\"", "protocol = \"udp\"", "port = 80"] {
            assert!(found(&format!("[pool.game.health]\n{health}\n")).is_empty(), "{health}");
        }
    }

    #[test]
    fn a_limit_for_each_client_that_is_never_reached_is_a_warning() {
        let found = |keys_of: &str| keys(findings(&effective(keys_of, "").config));
        let key = ["listener.game.max_flows_per_client"];
        assert_eq!(found("max_flows = 100\nmax_flows_per_client = 100\n"), key);
        assert!(found("max_flows = 100\nmax_flows_per_client = 99\n").is_empty());
    }
}
