//! The control plane: one thread that holds the configuration, probes backends, decides which of
//! them get traffic, and publishes snapshots to the shards.
//!
//! The rooms: `fleet` is the state of pools and backends, `process` that of the process itself,
//! `discovery` the sources of backends, `probing` the probes, `reload` puts a configuration in
//! force, `admin` is the interface for operators. `events` is what they report, `control` the state
//! that they share, `running` the loop of the thread.
//!
//! Does not: touch a client's bytes; build shards (the caller passes a function that spawns one).

pub mod admin;
pub mod control;
mod discovery;
pub mod events;
pub mod fleet;
pub mod probing;
pub mod process;
pub mod reload;
mod running;

pub use control::Control;
pub use process::{Bell, BellReceiver, ListenSockets, OpenListener, Panics, TooManyPanics, bell};
pub use reload::{ConfigSource, Unusable};
pub use running::{Coordinator, Ended, ShardEnd, ShardReport, Spawn};
