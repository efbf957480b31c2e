//! The control plane: one thread that holds the configuration, probes backends, decides which of
//! them get traffic, and publishes snapshots to the shards.
//!
//! Its parts, each of which imports only from those before it (`tests/tidy.rs` checks that):
//!
//! - `events`: what it reports to operators.
//! - `fleet`: the state of pools and backends, without a clock or a task.
//! - `process`: what belongs to the process: phase, readiness, listeners, shards, state file.
//! - `discovery`: names and files that list backends. `probing`: the probes of backends.
//! - `control`: fleet, process and configuration as one state; each change ends in a snapshot.
//! - `tls_files`: certificates and other files of TLS that change, and their dates.
//! - `acme`: certificates that are fetched.
//! - `reload`: another configuration is planned, probed ahead and put in force.
//! - `admin`: the interface for operators.
//! - `running`: the loop of the thread, which starts the tasks and shards.
//!
//! Does not: touch a client's bytes; build shards (the caller passes a function that spawns one).

mod acme;
pub mod admin;
mod control;
mod discovery;
pub mod events;
pub mod fleet;
mod probing;
pub mod process;
mod reload;
mod running;
mod tls_files;

pub use control::Control;
pub use process::{
    Bell, BellReceiver, ListenSockets, OpenListener, Panics, TooManyPanics, bell, check_host,
    system_authorities,
};
pub use reload::{ConfigSource, Unusable};
pub use running::{Coordinator, Ended, ShardEnd, ShardReport, Spawn};
