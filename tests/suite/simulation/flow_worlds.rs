//! Worlds of flows, one for each seed. `RINGWAY_SEEDS` and `RINGWAY_SEED` as for the others.

use super::flow_world::FlowWorld;
use super::{SEEDS, Sum, number};
use ringway::stats::{CloseReason, Counter};

fn sum_of(world: &FlowWorld) -> Sum {
    let mut sum = Sum::default();
    for counter in [
        Counter::FlowsOpened,
        Counter::ClientDatagramsSent,
        Counter::DatagramsTruncated,
        Counter::DatagramsTooLong,
        Counter::DatagramsUnsent,
        Counter::DatagramsUnserved,
        Counter::FlowLimitRejections,
        Counter::UpstreamConnectFailures,
        Counter::UpstreamNoLocalPort,
        Counter::ReceiveRingEmpty,
    ] {
        sum.count(counter.name(), world.shards.count(counter));
    }
    for reason in [
        CloseReason::FlowAnswered,
        CloseReason::FlowIdle,
        CloseReason::FlowMoved,
        CloseReason::FlowEvicted,
        CloseReason::BackendUnreachable,
        CloseReason::BackendTimeout,
        CloseReason::BackendDown,
        CloseReason::BackendGone,
        CloseReason::ListenerRemoved,
        CloseReason::Drained,
    ] {
        sum.count(reason.label(), world.shards.closes(reason));
    }
    sum.count("ICMP messages", world.icmp());
    sum.count("generations", world.generations());
    sum.count("answers", world.answers());
    sum
}

#[test]
fn nobody_gets_foreign_datagrams_and_nothing_is_left_of_flows_whatever_happens() {
    let first = number("RINGWAY_SEED");
    let count = number("RINGWAY_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let first = first.unwrap_or(0);
    let run = |seed: u64| {
        let mut world = FlowWorld::new(seed);
        world.run();
        world.check();
        sum_of(&world)
    };
    let sum = super::over_seeds(first..first + count, run);
    if count >= SEEDS {
        sum.check();
        assert!(sum.0[Counter::FlowsOpened.name()] >= 100_000, "too few flows: {sum:?}");
    }
}
