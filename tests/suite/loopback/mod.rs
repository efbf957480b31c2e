//! The real binary over loopback, with real clients and origins in this process.

pub mod harness;
mod proxying;
