//! The real shards over a simulated engine: virtual time, seeded faults, changing snapshots, and
//! what must always hold.
//!
//! `RINGWAY_SEEDS=5000` runs more seeds; `RINGWAY_SEED=17` replays one, or begins with it.

mod asked;
mod backend;
mod bare;
mod bytes;
mod chunks;
mod client;
mod connections;
mod control;
mod datagrams;
mod datagrams_alone;
mod ending;
mod engine;
mod flow_actors;
mod flow_control;
mod flow_memory;
mod flow_scene;
mod flow_world;
mod flow_worlds;
mod flows;
mod flows_ending;
mod flows_moving;
mod guest;
mod hello;
mod kernel;
mod limits;
mod line_ends;
mod lingering;
mod listening;
mod lone;
mod message;
mod moving;
mod multiplexer;
mod network;
mod pipelining;
mod plan;
mod pools;
mod refusing;
mod relay_control;
mod relay_oracle;
mod relay_plan;
mod relay_states;
mod relay_visits;
mod relay_world;
mod relay_worlds;
mod relays;
mod request_timeouts;
mod resending;
mod retrying;
mod scene;
mod secured;
mod shards;
mod shortages;
mod slow_senders;
mod sources;
mod starving;
mod streams;
mod talker;
mod trials;
mod tunnels;
mod veil;
mod world;

use guest::Guest;
use ringway::stats::{CloseReason, Counter};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use world::World;

const SEEDS: u64 = 300;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// What happened in all worlds together, by name: a simulation in which little happens shows
/// little.
#[derive(Debug, Default)]
struct Sum(BTreeMap<String, u64>);

impl Sum {
    fn count(&mut self, what: impl Into<String>, times: u64) {
        *self.0.entry(what.into()).or_default() += times;
    }

    fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    fn rows(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(what, times)| (&**what, *times))
    }

    fn add(&mut self, world: &World) {
        for tally in world.clients.iter().map(Guest::tally) {
            self.count("answers", u64::from(tally.answered));
            self.count("errors", u64::from(tally.errors));
            self.count("requests with 100", u64::from(tally.continued));
            self.count("tunnels", u64::from(tally.tunnels));
            self.count("answers to HTTP/1.0", u64::from(tally.old_dialect));
            self.count("clients of HTTP/2", u64::from(tally.multiplexers));
            self.count("streams cut", u64::from(tally.cut));
            self.count("streams cancelled", u64::from(tally.cancelled));
            self.count("answers with trailers", u64::from(tally.trailers));
            self.count("ten streams at once", u64::from(tally.most_at_once / 10));
        }
        self.count("trials", u64::from(world.shards.trials));
        self.count("generations", world.generations());
        self.count("polls", world.polls());
        for counter in [
            Counter::ConnectionsHandedOver,
            Counter::AcceptFailures,
            Counter::ClientLimitRejections,
            Counter::ReceiveRingEmpty,
            Counter::Retries,
            Counter::UpstreamReuses,
            Counter::UpstreamConnectFailures,
            Counter::UpstreamNoLocalPort,
            Counter::UpstreamTlsHandshakes,
        ] {
            self.count(counter.name(), world.shards.count(counter));
        }
        // Its listeners speak HTTP, and its backends HTTP/1.1.
        let others = [
            CloseReason::BackendRefusesTunnels,
            CloseReason::DeadlineExceeded,
            CloseReason::MalformedProxyHeader,
            CloseReason::NotTls,
            CloseReason::TlsHandshakeFailed,
            CloseReason::UnknownServerName,
            CloseReason::BackendUnreachable,
            CloseReason::BackendDown,
            CloseReason::CertificateAwaited,
            CloseReason::ChallengeAnswered,
            CloseReason::FlowAnswered,
            CloseReason::FlowIdle,
            CloseReason::FlowMoved,
            CloseReason::FlowEvicted,
            CloseReason::Http2UnreadAnswers,
            CloseReason::Http2SettingsTimeout,
            CloseReason::BackendCancelled,
            CloseReason::BackendOverloaded,
            CloseReason::BackendRefused,
        ];
        // Backends have the right certificate, and are not asked for more; clients are asked for
        // none, and flood nobody.
        let is_other = |one: &CloseReason| {
            let name = one.label();
            others.contains(one)
                || one.is_of_backend_tls()
                || name.starts_with("client_certificate_")
                || (name.starts_with("http2_") && name.ends_with("_flood"))
        };
        for reason in CloseReason::ALL.iter().filter(|reason| !is_other(reason)) {
            self.count(reason.label(), world.shards.closes(*reason));
        }
    }

    fn with(mut self, other: Self) -> Self {
        other.0.into_iter().for_each(|(what, times)| self.count(what, times));
        self
    }

    /// Everything that can happen has.
    fn check(&self) {
        self.check_all();
        assert!(self.of("answers") > 1_000, "too tame: {self:?}");
    }

    fn missing(&self) -> Vec<&str> {
        self.rows().filter(|(_, times)| *times == 0).map(|(what, _)| what).collect()
    }

    fn check_all(&self) {
        let missing = self.missing();
        assert!(missing.is_empty(), "too tame: {missing:?} of {self:?}");
    }

    /// Two thirds of what can happen have.
    fn check_most(&self) {
        let missing = self.missing();
        assert!(missing.len() * 3 <= self.0.len(), "too tame: {missing:?} of {self:?}");
    }
}

fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    world.run();
    world.check();
    world
}

/// Runs seeds until there is none left or one fails, and adds up what happened.
#[allow(clippy::print_stderr)] // The seed is what whoever reads the failure needs.
fn run_all(seeds: &Mutex<Range<u64>>, run: &(impl Fn(u64) -> Sum + Sync)) -> Sum {
    let mut sum = Sum::default();
    loop {
        let Some(seed) = seeds.lock().expect("no thread panics with it").next() else { break sum };
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed))) {
            Ok(of_seed) => sum = sum.with(of_seed),
            Err(panic) => {
                eprintln!("seed {seed} fails; replay it with RINGWAY_SEED={seed}");
                *seeds.lock().expect("no thread panics with it") = 0..0;
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Runs all seeds, as many at the same time as there are cores.
fn over_seeds(seeds: Range<u64>, run: impl Fn(u64) -> Sum + Sync) -> Sum {
    let (seeds, run) = (Mutex::new(seeds), &run);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let sums: Vec<Sum> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| run_all(&seeds, run))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a seed failed")).collect()
    });
    sums.into_iter().fold(Sum::default(), Sum::with)
}

#[test]
fn nobody_gets_foreign_bytes_and_everything_comes_back_whatever_happens() {
    let first = number("RINGWAY_SEED");
    let count = number("RINGWAY_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let first = first.unwrap_or(0);
    let sum = over_seeds(first..first + count, |seed| {
        let mut sum = Sum::default();
        sum.add(&run(seed));
        sum
    });
    if count >= SEEDS {
        sum.check();
    }
}
