//! The control plane: one thread that knows what is configured, learns what is alive, decides who
//! gets traffic, and tells the shards by snapshots.
//!
//! `control` is its state, `fleet` what is known of pools and backends, `probe` and `probing` how
//! that is learned, `source` where backends come from, `reloading` how a configuration is put in
//! force, `loaded` which one is, `preflight` what is found out of it before, `plan` what it
//! changes, `phase` the way out, `readiness` whether traffic should come here, `retired` what is
//! freed once shards are done with it, `state_file` what outlives the process, `admin` how
//! operators speak to it, `outside` what it needs of the rest of the program.
//!
//! Does not: touch a client's bytes; know how a shard is made (it is given a way to spawn one).

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
pub use outside::{ConfigSource, Door, Doors, Unusable};
pub use running::{Coordinator, Ended, ShardEnd, ShardReport, Spawn};
pub use supervision::{Panics, TooManyPanics};
pub use waking::{Bell, BellHearer, bell};
