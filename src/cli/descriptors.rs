//! The number of descriptors that a configuration may need.

use ringway::config::{Config, Listener, Runtime, Transport};

/// The remedy for too few descriptors.
pub(super) const MORE_DESCRIPTORS: &str =
    "raise RLIMIT_NOFILE (systemd: LimitNOFILE=1048576; shell: ulimit -n 1048576)";

/// Rings, listeners, files, the runtime, probes.
const OTHERS: u64 = 256;

/// Those besides the ones of clients and of the connections of their exchanges.
pub(super) fn besides_clients(config: &Config) -> u64 {
    let pools = config.pools.iter().zip(config.uses_of_pools());
    let pools = pools.filter(|(_, uses)| uses.has(Transport::Tcp)).map(|(pool, _)| pool);
    let idle: usize = pools.map(|pool| pool.idle_connections * pool.backends.len()).sum();
    idle as u64 + flows(config) + OTHERS
}

/// Those of the flows of all listeners of UDP: one for each.
pub(super) fn flows(config: &Config) -> u64 {
    let listeners = config.listeners.iter();
    let with_flows = listeners.filter(|one| one.endpoint().transport == Transport::Udp);
    with_flows.map(|listener| u64::from(listener.flows.max_flows)).sum()
}

/// Those of clients and of the connections of their exchanges.
fn of_clients(config: &Config) -> u64 {
    let is_tcp = |one: &Listener| one.endpoint().transport == Transport::Tcp;
    let most = config.runtime.max_connections as u64;
    if config.listeners.iter().any(is_tcp) { 2 * most } else { 0 }
}

/// Client connections that this many open files allow, at most the default: two descriptors
/// for each besides the others. Idle connections to backends, which are many where there are many
/// backends, leave clients a quarter of all.
pub(super) fn fitting(config: &Config, files: u64) -> usize {
    let half = files.saturating_sub(besides_clients(config)) / 2;
    let most = Runtime::default().max_connections;
    usize::try_from(half.max(files / 4)).unwrap_or(usize::MAX).clamp(1, most)
}

/// All: a client's connection may need one to a backend.
pub(super) fn wanted(config: &Config) -> u64 {
    of_clients(config) + besides_clients(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway::config::{Backend, Config, ListenerIndex, Protocol, Route};

    #[test]
    fn clients_get_what_the_limit_leaves_and_a_quarter_in_any_case() {
        let backend = |n| Backend { address: ([10, 0, 0, n], 80).into(), weight: 1 };
        let backends: Vec<Backend> = (1..=3).map(backend).collect();
        let config = Config::quick(&[([0, 0, 0, 0], 80).into()], &backends, Default::default());
        let config = config.expect("it is well");
        for (files, clients) in
            [(0, 1), (40, 10), (1024, 256), (20_000, 9104), (1 << 20, 100_000), (u64::MAX, 100_000)]
        {
            assert_eq!(fitting(&config, files), clients, "of {files}");
        }
    }

    #[test]
    fn each_flow_needs_one_and_a_listener_of_udp_has_no_clients_that_connect() {
        let backend = Backend { address: ([10, 0, 0, 1], 53).into(), weight: 1 };
        let listen = ([0, 0, 0, 0], 53).into();
        let mut config = Config::quick(&[listen], &[backend], Default::default()).expect("good");
        let beside = config.listeners[0].clone();
        config.listeners[0].protocol = Protocol::Udp;
        config.listeners[0].flows.max_flows = 1000;
        assert_eq!(wanted(&config), 1000 + OTHERS);
        config.listeners.push(Listener { name: "tcp".to_owned(), ..beside });
        let route = config.routes[0].clone();
        config.routes.push(Route { listener: Some(ListenerIndex(1)), ..route });
        assert_eq!(wanted(&config), 2 * 100_000 + 512 + 1000 + OTHERS);
    }
}
