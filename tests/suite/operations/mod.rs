//! What operators do, and what backends do to them, while clients are served: nobody may notice.

mod backends;
mod configuring;
mod draining;
mod drills;
mod failing;
mod hashing;
mod held_coordinator;
mod held_thread;
mod interface;
mod listening;
mod logging;
mod new_pools;
mod passed_sockets;
mod probing;
mod protocols;
mod reloading;
mod restarting;
mod sources;
mod streaming;
mod supervising;
mod udp;

use std::net::SocketAddr;

/// A configuration with one pool, `app`, over these backends; `pool` are more keys of it, `more`
/// more tables.
fn config(backends: &[SocketAddr], pool: &str, more: &str) -> String {
    let mut text =
        format!("[[listener]]\nname = \"web\"\naddress = \"LISTEN\"\n[pool.app]\n{pool}\n{more}\n");
    for backend in backends {
        text += &format!("[[pool.app.backend]]\naddress = \"{backend}\"\n");
    }
    text
}

/// Probes that are quick enough for a test, and do not fail because the machine is slow.
const QUICK: &str = "[pool.app.health]\ninterval = \"100ms\"\nfast_interval = \"50ms\"\n\
    down_interval = \"100ms\"\ntimeout = \"1m\"\n";
