//! The process: its phases and shutdown, its readiness, and how it is kept alive, told of and
//! remembered.
//!
//! `phase` is its life, `readiness` the answers of `/ready`, `bell` how shards wake the
//! coordinator, `tasks` keeps one task per key, `panics` limits those of shards, `retired` frees
//! snapshots that no shard uses, `systemd` notifies systemd, `state_file` keeps state over a
//! restart.

mod bell;
mod panics;
mod phase;
mod readiness;
mod retired;
mod state_file;
mod systemd;
mod tasks;

pub(crate) use bell::rung;
pub use bell::{Bell, BellReceiver, bell};
pub use panics::{Panics, TooManyPanics};
pub use phase::{Course, Phase};
pub use readiness::{Readiness, ReadyAnswer, ReadyAnswers};
pub(crate) use retired::Retired;
pub(crate) use state_file::{Left, StateFile};
pub(crate) use systemd::Systemd;
pub(crate) use tasks::Tasks;
