//! How Ringway is run: with flags alone, or a file for datagrams; one shard, defaults for everything
//! else.

use super::{IDLE_TIMEOUT_SECONDS, MAX_CLIENTS, Protocol};
use std::fmt::Write;
use std::net::SocketAddrV4;

/// The configuration file of `ringway`, where flags do not suffice.
pub fn configuration(
    listen: SocketAddrV4,
    backends: &[SocketAddrV4],
    core: usize,
    protocol: Protocol,
) -> Option<String> {
    let Protocol::Udp { is_answered_once } = protocol else { return None };
    let responses = if is_answered_once { "1" } else { "\"any\"" };
    let mut text = format!(
        "[runtime]\nshards = \"{core}-{core}\"\n[admin]\nsocket = \"\"\n\
         [[listener]]\nname = \"udp\"\naddress = \"{listen}\"\nprotocol = \"udp\"\n\
         flow_idle = \"{IDLE_TIMEOUT_SECONDS}s\"\nmax_flows = {MAX_CLIENTS}\n\
         responses = {responses}\n[pool.origin.health]\nprotocol = \"none\"\n"
    );
    for backend in backends {
        let _ = writeln!(text, "[[pool.origin.backend]]\naddress = \"{backend}\"");
    }
    Some(text)
}

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
    let name = match protocol {
        Protocol::Tcp => Some("tcp"),
        Protocol::Https { .. } => Some("https"),
        // Clients choose by their preface.
        Protocol::Http | Protocol::Http2 | Protocol::Udp { .. } => None,
    };
    if let Some(name) = name {
        arguments.extend(["--protocol", name].map(str::to_owned));
    }
    arguments
}
