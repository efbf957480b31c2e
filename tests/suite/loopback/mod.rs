//! The real binary over loopback, with real clients and origins in this process.

mod access_log;
mod answers;
mod backends;
mod connections;
pub mod datagrams;
mod demo;
mod drills;
mod environment;
mod examples;
mod hardship;
pub mod harness;
mod keepalive;
pub mod load;
mod memory;
pub mod namespaces;
mod process;
mod proxied;
mod proxying;
mod refusing;
mod regressions;
mod sources;
mod tcp;
pub mod tls_passthrough;
mod tlvs;
mod tunnels;
mod udp;
mod waiting;
