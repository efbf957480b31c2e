//! HAProxy on one thread, with keep-alive on both sides and upstream connections that any client's
//! request may use; or with `mode tcp`, where each client's connection has one of its own.

use super::{Certificate, IDLE_TIMEOUT_SECONDS, MAX_CLIENTS, Protocol};
use crate::load::SERVER_NAME;
use std::fmt::Write;
use std::net::SocketAddrV4;

/// Idle connections to one backend: more than any scenario has at work, so none is reopened.
const POOL_MAX_CONN: usize = 4096;

/// The text of `haproxy.cfg` for HTTP.
pub fn configuration(
    listen: SocketAddrV4,
    backends: &[SocketAddrV4],
    core: usize,
    protocol: Protocol,
    certificate: &Certificate,
) -> String {
    // Tickets are on by default. AES-128-GCM is what clients offer.
    let options = match protocol {
        Protocol::Https { .. } => {
            format!(" ssl crt {} ssl-min-ver TLSv1.3", certificate.both.display())
        }
        Protocol::Http2 => " proto h2".to_owned(),
        Protocol::Http | Protocol::Tcp | Protocol::TlsPassthrough | Protocol::Udp { .. } => {
            String::new()
        }
    };
    let mut servers = String::new();
    for (number, backend) in backends.iter().enumerate() {
        let _ = writeln!(
            servers,
            "  server s{number} {backend} pool-max-conn {POOL_MAX_CONN} \
             pool-purge-delay {IDLE_TIMEOUT_SECONDS}s"
        );
    }
    // The pool ratios: without them HAProxy gives up idle upstream connections as soon as clients
    // hold a fifth of its descriptors, and reconnects.
    format!(
        "global
  nbthread 1
  cpu-map 1/1 {core}
  maxconn {MAX_CLIENTS}
  tune.pool-low-fd-ratio 90
  tune.pool-high-fd-ratio 95
defaults
  mode http
  timeout connect 5s
  timeout client {IDLE_TIMEOUT_SECONDS}s
  timeout server {IDLE_TIMEOUT_SECONDS}s
  timeout http-keep-alive {IDLE_TIMEOUT_SECONDS}s
frontend web
  bind {listen}{options} backlog 4096
  default_backend origin
backend origin
  balance roundrobin
  http-reuse always
{servers}"
    )
}

/// The text of `haproxy.cfg` for bytes: `splice` and all else as it comes.
pub fn tcp_configuration(
    listen: SocketAddrV4,
    backends: &[SocketAddrV4],
    core: usize,
    protocol: Protocol,
) -> String {
    // As its documentation has it for routes by SNI.
    let rules = match protocol {
        Protocol::TlsPassthrough => format!(
            "  tcp-request inspect-delay 5s
  tcp-request content accept if {{ req.ssl_hello_type 1 }}
  use_backend origin if {{ req.ssl_sni -i {SERVER_NAME} }}
"
        ),
        _ => "  default_backend origin\n".to_owned(),
    };
    let mut servers = String::new();
    for (number, backend) in backends.iter().enumerate() {
        let _ = writeln!(servers, "  server s{number} {backend}");
    }
    format!(
        "global
  nbthread 1
  cpu-map 1/1 {core}
  maxconn {MAX_CLIENTS}
defaults
  mode tcp
  timeout connect 5s
  timeout client {IDLE_TIMEOUT_SECONDS}s
  timeout server {IDLE_TIMEOUT_SECONDS}s
frontend bytes
  bind {listen} backlog 4096
{rules}backend origin
  balance roundrobin
{servers}"
    )
}
