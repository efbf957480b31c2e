//! Worlds of relays, one for each seed. `RINGWAY_SEEDS` and `RINGWAY_SEED` as for the others;
//! `RINGWAY_CONNECTIONS` clients come in all.

use super::relay_states::Doing;
use super::relay_world::{Drop, RelayWorld};
use super::{Sum, number, over_seeds};
use crate::drilling::{record, size};
use ringway::stats::{CloseReason, Counter};

/// Connections of clients in a normal run.
const CONNECTIONS: usize = 1_000;
/// The same in a drill.
const CONNECTIONS_FULL: usize = 100_000;
/// Seeds that are run before the number of connections is looked at again.
const BATCH: u64 = 20;

fn sum_of(world: &RelayWorld) -> Sum {
    let mut sum = Sum::default();
    sum.count("connections", world.clients.len() as u64);
    sum.count("connections to backends", world.backends.len() as u64);
    for counter in [
        Counter::ConnectionsHandedOver,
        Counter::AcceptFailures,
        Counter::ClientLimitRejections,
        Counter::ReceiveRingEmpty,
        Counter::Retries,
        Counter::UpstreamConnectFailures,
        Counter::UpstreamNoLocalPort,
    ] {
        sum.count(counter.name(), world.shards.count(counter));
    }
    for reason in [
        CloseReason::ClientClosed,
        CloseReason::TunnelEnded,
        CloseReason::ClientReset,
        CloseReason::HeadTimeout,
        CloseReason::MalformedProxyHeader,
        CloseReason::NotTls,
        CloseReason::UnknownServerName,
        CloseReason::RequestRefused,
        CloseReason::BackendReset,
        CloseReason::NoBackend,
        CloseReason::BackendsFull,
        CloseReason::BackendGone,
        CloseReason::TunnelIdle,
        CloseReason::OutOfBuffers,
        CloseReason::Drained,
    ] {
        sum.count(reason.label(), world.shards.closes(reason));
    }
    sum.count("trials", u64::from(world.shards.trials));
    sum.count("generations", world.control.pools.generation.0);
    for drop in [Drop::ClientResets, Drop::ClientLeaves] {
        Doing::OF_CLIENT.iter().for_each(|doing| count_drops(&mut sum, world, drop, *doing));
    }
    for drop in [Drop::BackendResets, Drop::BackendLeaves] {
        Doing::OF_BACKEND.iter().for_each(|doing| count_drops(&mut sum, world, drop, *doing));
    }
    sum
}

fn count_drops(sum: &mut Sum, world: &RelayWorld, drop: Drop, doing: Doing) {
    let times = world.drops.get(&(drop, doing)).copied().unwrap_or_default();
    sum.count(format!("{drop:?} {doing:?}"), times);
}

#[test]
fn each_byte_comes_once_and_nothing_is_left_of_relays_whatever_happens() {
    let run = |seed: u64| {
        let mut world = RelayWorld::new(seed);
        world.run();
        world.check();
        sum_of(&world)
    };
    let seeds = number("RINGWAY_SEEDS");
    if let Some(first) = number("RINGWAY_SEED") {
        over_seeds(first..first + seeds.unwrap_or(1), run);
        return;
    }
    let wanted = size("RINGWAY_CONNECTIONS", CONNECTIONS, CONNECTIONS_FULL) as u64;
    let mut sum = Sum::default();
    let mut first = 0;
    while seeds.map_or(sum.of("connections") < wanted, |seeds| first < seeds) {
        sum = sum.with(over_seeds(first..first + BATCH, run));
        first += BATCH;
    }
    for (what, times) in sum.rows() {
        record("relay worlds", what, times);
    }
    if wanted >= CONNECTIONS_FULL as u64 {
        sum.check_all();
    } else if sum.of("connections") >= CONNECTIONS as u64 {
        sum.check_most();
    }
}
