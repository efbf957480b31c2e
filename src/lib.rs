//! Ringway, a load balancer for bare-metal Linux edge servers: one shard pinned to each core,
//! each with its own io_uring, and one coordinator that decides what the shards know.
//!
//! The module list is the architecture; ARCHITECTURE.md has the table of who may import whom,
//! and `tests/tidy.rs` checks it.

pub mod access_log;
pub mod attempts;
pub mod backend;
pub mod balance;
pub mod base;
pub mod client;
pub mod config;
pub mod coordinator;
pub mod engine;
pub mod exchange;
pub mod flow;
pub mod head;
pub mod health;
pub mod http1;
pub mod http2;
pub mod limits;
pub mod link;
pub mod local;
pub mod mailbox;
pub mod message;
pub mod pick;
pub mod proxy_protocol;
pub mod relay;
pub mod route;
pub mod shard;
pub mod sides;
pub mod snapshot;
pub mod stats;
pub mod streams;
pub mod sys;
pub mod table;
pub mod tls;
pub mod tls_hello;
