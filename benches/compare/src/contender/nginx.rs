//! nginx as its documentation sets it up for a proxy with keep-alive on both sides; or with its
//! module `stream`, for bytes.
//!
//! Left at nginx's defaults on purpose: buffering of answers (1 MiB answers may touch its
//! temporary files), buffer sizes, the event method (epoll), `multi_accept` (off).

use super::search::read_output;
use super::{Certificate, IDLE_TIMEOUT_SECONDS, MAX_CLIENTS, Protocol};
use crate::load::SERVER_NAME;
use crate::sys::process;
use anyhow::Result;
use std::fmt::Write;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

/// Idle connections to the backends: more than any scenario has at work, so none is reopened.
const UPSTREAM_KEEPALIVE: usize = 1024;
const BACKLOG: usize = 4096;
/// In effect: never closed for the number of its requests.
const REQUESTS: u32 = 1_000_000_000;

/// Where nginx has its module `stream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    /// In the program.
    BuiltIn,
    /// In a file that must be loaded.
    File(PathBuf),
}

/// The module `stream` of `program`; `None` if it is not there.
pub fn find_stream(program: &Path) -> Result<Option<Stream>> {
    let is_there = |stream: &Stream| match stream {
        Stream::BuiltIn => true,
        Stream::File(path) => path.is_file(),
    };
    Ok(parse_stream(&read_output(program, "-V")?).filter(is_there))
}

/// Whether its module `stream` reads the ClientHello.
pub fn reads_hello(program: &Path) -> Result<bool> {
    let build = read_output(program, "-V")?;
    Ok(build.split_whitespace().any(|word| word == "--with-stream_ssl_preread_module"))
}

/// Looks for `stream` in the arguments that nginx was built with.
fn parse_stream(build: &str) -> Option<Stream> {
    let has = |argument| build.split_whitespace().any(|word| word == argument);
    let value = |name| build.split_whitespace().find_map(|word| word.strip_prefix(name));
    if has("--with-stream") {
        return Some(Stream::BuiltIn);
    }
    if !has("--with-stream=dynamic") {
        return None;
    }
    let folder = value("--modules-path=").map(PathBuf::from).unwrap_or_else(|| {
        // nginx's own defaults.
        Path::new(value("--prefix=").unwrap_or("/usr/local/nginx")).join("modules")
    });
    Some(Stream::File(folder.join("ngx_stream_module.so")))
}

/// The text of `nginx.conf` for bytes or datagrams.
pub fn stream_configuration(
    stream: &Stream,
    folder: &Path,
    listen: SocketAddrV4,
    backends: &[SocketAddrV4],
    protocol: Protocol,
) -> String {
    let by_name = format!("  map $ssl_preread_server_name $pool {{ {SERVER_NAME} origin; }}\n");
    let (options, map, rules) = match protocol {
        Protocol::Udp { is_answered_once: true } => {
            (" udp".to_owned(), "", "    proxy_pass origin;\n    proxy_responses 1;\n")
        }
        Protocol::Udp { .. } => (" udp".to_owned(), "", "    proxy_pass origin;\n"),
        Protocol::TlsPassthrough => {
            let rules = "    ssl_preread on;\n    proxy_pass $pool;\n";
            (format!(" backlog={BACKLOG}"), &*by_name, rules)
        }
        _ => (format!(" backlog={BACKLOG}"), "", "    proxy_pass origin;\n"),
    };
    let load = match stream {
        Stream::BuiltIn => String::new(),
        Stream::File(path) => format!("load_module {};\n", path.display()),
    };
    format!(
        "{load}{main}stream {{
{map}  upstream origin {{
{servers}  }}
  server {{
    listen {listen}{options};
{rules}  }}
}}
",
        main = main_section(folder, 2 * MAX_CLIENTS),
        servers = servers(backends),
    )
}

/// What stands before the sections `http` and `stream`.
fn main_section(folder: &Path, connections: usize) -> String {
    // Root's workers would otherwise change to a user who may not write to our folder.
    let user = if process::is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {folder}/nginx.pid;
events {{
  worker_connections {connections};
}}
",
        descriptors = connections + 100,
        folder = folder.display(),
    )
}

fn servers(backends: &[SocketAddrV4]) -> String {
    let mut servers = String::new();
    for backend in backends {
        let _ = writeln!(servers, "    server {backend};");
    }
    servers
}

/// What is said about TLS; tickets are on by default. AES-128-GCM is what clients offer.
fn tls_lines(protocol: Protocol, certificate: &Certificate) -> (&'static str, String) {
    match protocol {
        Protocol::Https { .. } => {
            let file = certificate.both.display();
            let lines = format!(
                "    ssl_certificate {file};\n    ssl_certificate_key {file};\n    \
                 ssl_protocols TLSv1.3;\n"
            );
            (" ssl", lines)
        }
        Protocol::Http2 => (" http2", String::new()),
        Protocol::Http | Protocol::Tcp | Protocol::TlsPassthrough | Protocol::Udp { .. } => {
            ("", String::new())
        }
    }
}

/// The text of `nginx.conf` for HTTP.
pub fn configuration(
    folder: &Path,
    listen: SocketAddrV4,
    backends: &[SocketAddrV4],
    protocol: Protocol,
    certificate: &Certificate,
) -> String {
    let (options, tls) = tls_lines(protocol, certificate);
    let main = main_section(folder, MAX_CLIENTS + UPSTREAM_KEEPALIVE);
    let servers = servers(backends);
    let folder = folder.display();
    format!(
        "{main}http {{
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
    listen {listen}{options} backlog={BACKLOG};
{tls}    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
    }}
  }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_for_bytes_is_where_the_build_says() {
        let file = |path: &str| Some(Stream::File(PathBuf::from(path)));
        let cases = [
            ("--with-http_ssl_module --with-stream_ssl_module", None),
            ("--with-stream_ssl_module --with-stream", Some(Stream::BuiltIn)),
            ("--with-stream=dynamic --modules-path=/m", file("/m/ngx_stream_module.so")),
            ("--prefix=/p --with-stream=dynamic", file("/p/modules/ngx_stream_module.so")),
        ];
        for (build, expected) in cases {
            assert_eq!(parse_stream(build), expected, "{build}");
        }
    }
}
