//! How the byte relay of `benches/engines` is run.

use super::Protocol;
use std::net::SocketAddrV4;

/// The engines that relay datagrams too.
const OF_DATAGRAMS: [&str; 2] = ["uring", "epoll"];

/// Why a relay on this engine cannot take part where `protocol` is spoken, if it cannot.
pub fn obstacle(engine: &str, protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::Http | Protocol::Tcp => None,
        Protocol::Https { .. } | Protocol::Http2 => Some("it forwards bytes alone"),
        Protocol::TlsPassthrough => (engine == "uring-http").then_some("it reads HTTP"),
        Protocol::Udp { is_answered_once: true } => Some("its flows do not end"),
        Protocol::Udp { .. } => {
            (!OF_DATAGRAMS.contains(&engine)).then_some("it forwards no datagrams")
        }
    }
}

/// The arguments of `engines`.
pub fn arguments(
    engine: &str,
    listen: SocketAddrV4,
    backends: &[SocketAddrV4],
    core: usize,
    protocol: Protocol,
) -> Vec<String> {
    let mut arguments = ["relay", "--engine", engine, "--listen"].map(str::to_owned).to_vec();
    arguments.push(listen.to_string());
    for backend in backends {
        arguments.extend(["--backend".to_owned(), backend.to_string()]);
    }
    arguments.extend(["--core".to_owned(), core.to_string()]);
    if matches!(protocol, Protocol::Udp { .. }) {
        arguments.push("--datagrams".to_owned());
    }
    arguments
}
