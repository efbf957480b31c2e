//! What belongs to the process: its phase, listeners and shards, and the state that outlives it.
//!
//! `host` is what the machine must allow, `phase` its life and shutdown, `readiness` the
//! answers of `/ready`, `listeners` its open sockets, `shards` what their mailboxes say, `bell`
//! how they wake the coordinator, `panics` the limit of theirs, `expiry` the dates of
//! certificates, `issuance` where those by ACME stand, `challenges` what shards answer for them,
//! `retired` frees snapshots that none of them uses, `tasks` runs a task for each
//! key, `systemd` notifies systemd, `state_file` keeps state over a restart, `ticket_keys` has
//! the keys of TLS tickets. Does not: decide what changes, see `control`.

mod bell;
mod challenges;
mod expiry;
mod host;
mod issuance;
mod listeners;
mod panics;
mod phase;
mod readiness;
mod retired;
mod shards;
mod staples;
mod state_file;
mod systemd;
mod tasks;
mod ticket_keys;

pub(crate) use bell::rung;
pub use bell::{Bell, BellReceiver, bell};
pub(crate) use challenges::{Challenge, OpenChallenges};
pub(crate) use expiry::{Expiry, days_left};
pub(crate) use host::system_trust;
pub use host::{check_host, system_authorities};
pub use issuance::{Issuance, Suggested, Tried};
pub(crate) use listeners::successor;
pub use listeners::{ListenSockets, Listeners, OpenListener};
pub use panics::{Panics, TooManyPanics};
pub use phase::{Course, Phase};
pub use readiness::{Readiness, ReadyAnswer, ReadyAnswers};
pub(crate) use retired::Retired;
pub use shards::Shards;
pub(crate) use staples::Staples;
pub(crate) use state_file::{Left, StateFile};
pub(crate) use systemd::Systemd;
pub(crate) use tasks::Tasks;
pub(crate) use ticket_keys::Tickets;
