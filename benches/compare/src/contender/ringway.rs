//! How Ringway is run: with flags alone, one shard, defaults for everything else.

use super::Protocol;
use std::net::SocketAddrV4;

/// The arguments of `ringway`.
pub fn arguments(
    listen: SocketAddrV4,
    backends: &[SocketAddrV4],
    core: usize,
    protocol: Protocol,
) -> Vec<String> {
    let mut arguments = vec!["run".to_owned(), "--listen".to_owned(), listen.to_string()];
    for backend in backends {
        arguments.extend(["--backend".to_owned(), backend.to_string()]);
    }
    // A list of cores, also for one: a bare number would mean how many.
    arguments.extend(["--shards".to_owned(), format!("{core}-{core}")]);
    if protocol == Protocol::Tcp {
        arguments.extend(["--protocol", "tcp"].map(str::to_owned));
    }
    arguments
}
