//! One integration binary: conformance of the framing rules, simulation of the shard, and the
//! real binary over loopback.

mod conformance;
mod loopback;
mod simulation;
