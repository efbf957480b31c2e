//! The control plane: one thread that holds the configuration, probes backends, decides which of
//! them get traffic, and publishes snapshots to the shards.
//!
//! `control` is its state, `fleet` the state of pools and backends, `probe` and `probing` the
//! probes, `source` the discovery of backends, `reloading` puts a configuration in force, `loaded`
//! identifies the one in force, `preflight` looks names up and probes before a reload, `plan` lists
//! changes, `phase` is the life of the process and its shutdown, `readiness` the answers of
//! `/ready`, `retired` frees snapshots that no shard uses, `state_file` keeps state over a restart,
//! `admin` is the interface for operators, `outside` the traits that the rest of the program
//! implements.
//!
//! Does not: touch a client's bytes; build shards (the caller passes a function that spawns one).

pub mod admin;
pub mod control;
pub mod events;
pub mod fleet;
pub mod loaded;
mod outside;
pub mod phase;
pub mod plan;
mod preflight;
pub mod probe;
mod probing;
pub mod readiness;
mod reloading;
mod retired;
mod running;
mod source;
mod state_file;
mod supervision;
mod systemd;
mod tasks;
mod waking;

pub use control::Control;
pub use outside::{ConfigSource, ListenSockets, OpenListener, Unusable};
pub use running::{Coordinator, Ended, ShardEnd, ShardReport, Spawn};
pub use supervision::{Panics, TooManyPanics};
pub use waking::{Bell, BellReceiver, bell};
