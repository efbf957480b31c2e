//! How Ringway is run: with flags alone, or a file for datagrams and routes by server name; one
//! shard, defaults for everything else.

use super::{IDLE_TIMEOUT_SECONDS, MAX_CLIENTS, Protocol};
use crate::load::SERVER_NAME;
use std::fmt::Write;
use std::net::SocketAddrV4;

/// The configuration file of `ringway`, where flags do not suffice.
pub fn configuration(
    listen: SocketAddrV4,
    backends: &[SocketAddrV4],
    core: usize,
    protocol: Protocol,
) -> Option<String> {
    let listener = match protocol {
        Protocol::Udp { is_answered_once } => {
            let responses = if is_answered_once { "1" } else { "\"any\"" };
            format!(
                "protocol = \"udp\"\nflow_idle = \"{IDLE_TIMEOUT_SECONDS}s\"\n\
                 max_flows = {MAX_CLIENTS}\nresponses = {responses}\n\
                 [pool.origin.health]\nprotocol = \"none\"\n"
            )
        }
        Protocol::TlsPassthrough => format!(
            "protocol = \"tls-passthrough\"\nno_sni = \"reject\"\n\
             [[route]]\nlistener = \"only\"\nhost = \"{SERVER_NAME}\"\npool = \"origin\"\n"
        ),
        Protocol::Http | Protocol::Https { .. } | Protocol::Http2 | Protocol::Tcp => return None,
    };
    let mut text = format!(
        "[runtime]\nshards = \"{core}-{core}\"\n[admin]\nsocket = \"\"\n\
         [[listener]]\nname = \"only\"\naddress = \"{listen}\"\n{listener}"
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
        Protocol::Http | Protocol::Http2 | Protocol::TlsPassthrough | Protocol::Udp { .. } => None,
    };
    if let Some(name) = name {
        arguments.extend(["--protocol", name].map(str::to_owned));
    }
    arguments
}
