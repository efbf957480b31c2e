//! How the byte relay of `benches/engines` is run.

use std::net::SocketAddrV4;

/// The arguments of `engines`.
pub fn arguments(
    engine: &str,
    listen: SocketAddrV4,
    backends: &[SocketAddrV4],
    core: usize,
) -> Vec<String> {
    let mut arguments = ["relay", "--engine", engine, "--listen"].map(str::to_owned).to_vec();
    arguments.push(listen.to_string());
    for backend in backends {
        arguments.extend(["--backend".to_owned(), backend.to_string()]);
    }
    arguments.extend(["--core".to_owned(), core.to_string()]);
    arguments
}
