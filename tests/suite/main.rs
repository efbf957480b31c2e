//! One integration binary: conformance of the framing rules, simulation of the shard, shards in
//! this process, and the real binary over loopback.

mod conformance;
mod control_plane;
mod counting;
mod downgrade;
mod drilling;
mod fuzz_corpus;
mod golden;
mod in_process;
mod loopback;
mod operations;
mod simulation;

#[global_allocator]
static ALLOCATOR: counting::CountingAllocator = counting::CountingAllocator;
