//! HTTP/2 to backends: a real server of it, clients of both versions.

pub mod client;
mod grpc;
pub mod origin;
mod pooling;
mod proxied;
mod tunnels;

use super::harness::*;
use origin::Http2Origin;
use std::net::SocketAddr;

/// A configuration with a pool of HTTP/2 over plain TCP, and more of everything. `pool`: more of
/// the pool.
fn config(backends: &[SocketAddr], pool: &str, more: &str) -> String {
    let text = super::harness::config(backends, more);
    let begin = format!("[pool.all]\nhttp = \"2\"\n{pool}\n[pool.all.health]\n");
    text.replace("[pool.all.health]\n", &begin)
}
