//! nginx as its documentation sets it up for a proxy with keep-alive on both sides.
//!
//! Left at nginx's defaults on purpose: buffering of answers (1 MiB answers may touch its
//! temporary files), buffer sizes, the event method (epoll), `multi_accept` (off).

use super::{IDLE_TIMEOUT_SECONDS, MAX_CLIENTS};
use crate::sys::process;
use std::fmt::Write;
use std::net::SocketAddrV4;
use std::path::Path;

/// Idle connections to the backends: more than any scenario has at work, so none is reopened.
const UPSTREAM_KEEPALIVE: usize = 1024;
const BACKLOG: usize = 4096;
/// In effect: never closed for the number of its requests.
const REQUESTS: u32 = 1_000_000_000;

/// The text of `nginx.conf`.
pub fn configuration(folder: &Path, listen: SocketAddrV4, backends: &[SocketAddrV4]) -> String {
    let connections = MAX_CLIENTS + UPSTREAM_KEEPALIVE;
    // Root's workers would otherwise change to a user who may not write to our folder.
    let user = if process::is_root() { "user root;\n" } else { "" };
    let folder = folder.display();
    let mut servers = String::new();
    for backend in backends {
        let _ = writeln!(servers, "    server {backend};");
    }
    format!(
        "{user}daemon off;
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {folder}/nginx.pid;
events {{
  worker_connections {connections};
}}
http {{
  access_log off;
  keepalive_timeout {IDLE_TIMEOUT_SECONDS}s;
  keepalive_requests {REQUESTS};
  client_body_temp_path {folder}/client_body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream origin {{
{servers}    keepalive {UPSTREAM_KEEPALIVE};
    keepalive_requests {REQUESTS};
    keepalive_timeout {IDLE_TIMEOUT_SECONDS}s;
  }}
  server {{
    listen {listen} backlog={BACKLOG};
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
    }}
  }}
}}
",
        descriptors = connections + 100,
    )
}
