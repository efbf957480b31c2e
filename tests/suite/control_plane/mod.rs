//! The real fleet and the real replicas of many shards, with time that the test passes: who gets
//! how much, after whatever happens.

mod ejecting;
mod process;
mod ramp;
mod returning;
mod shares;
mod standing;

use ringway::balance::Algorithm;
use ringway::base::{Generation, Instant, PoolId, Prng, ShardId};
use ringway::config::{self, Config};
use ringway::coordinator::fleet::{Fleet, ProbeOf};
use ringway::health::SlowStart;
use ringway::mailbox::Ledger;
use ringway::pick::{Replicas, Wish};
use ringway::snapshot;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A fleet of one pool, and shards that follow it.
struct Scene {
    fleet: Fleet,
    ledger: Arc<Ledger>,
    replicas: Vec<Replicas>,
    prng: Prng,
    now: Instant,
    generation: Generation,
}

fn address(backend: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (backend / 250) as u8, (backend % 250) as u8 + 1], 80))
}

fn config(weights: &[u32], algorithm: Algorithm, slow_start: SlowStart) -> Config {
    let backend = |(backend, weight): (usize, &u32)| config::Backend {
        address: address(backend),
        weight: *weight,
    };
    let backends: Vec<config::Backend> = weights.iter().enumerate().map(backend).collect();
    let listen = ["192.0.2.1:80".parse().expect("an address")];
    let mut config = Config::quick(&listen, &backends, algorithm).expect("it is well");
    config.pools[0].slow_start = slow_start;
    config
}

const AT_ONCE: SlowStart = SlowStart { window: Duration::ZERO, aggression: 1.0 };

impl Scene {
    /// Everybody has passed a probe, and serves.
    fn new(shards: usize, config: &Config, seed: u64) -> Self {
        let ledger = Arc::new(Ledger::new(shards));
        let mut fleet = Fleet::new(ledger.clone(), shards);
        let now = Instant::from_nanos(1_000_000_000);
        fleet.configure(config, now);
        let replica = |shard| Replicas::new(ShardId(shard as u16), ledger.clone());
        let replicas = (0..shards).map(replica).collect();
        let (prng, generation) = (Prng::new(seed), Generation(0));
        let mut scene = Self { fleet, ledger, replicas, prng, now, generation };
        for backend in 0..config.pools[0].backends.len() {
            scene.probe(backend, true);
        }
        scene.publish();
        scene.fleet.start();
        scene
    }

    fn probe(&mut self, backend: usize, passed: bool) {
        let pool = self.fleet.pools()["default"].id;
        let failure = (!passed).then(|| "as ordered by a test".to_owned());
        self.fleet.note_probe((pool, address(backend)), ProbeOf::Health, failure);
    }

    /// As many results in a row as change a state.
    fn set_live(&mut self, backend: usize, is_live: bool) {
        (0..3).for_each(|_| self.probe(backend, is_live));
    }

    fn advance(&mut self, span: Duration) {
        self.now = self.now + span;
        self.fleet.tick(self.now);
    }

    /// Lets the shards know; true if there was news.
    fn publish(&mut self) -> bool {
        let Some(pools) = self.fleet.publish(self.now) else { return false };
        self.generation = Generation(self.generation.0 + 1);
        let settings = Arc::new(snapshot::build_settings(&Config::default()));
        let snapshot = snapshot::assemble(self.generation, Vec::new(), pools, settings);
        for replica in &mut self.replicas {
            replica.take(&snapshot, &mut self.prng);
        }
        true
    }

    /// The backend that a shard picks for its next exchange; none if it has none.
    fn pick(&mut self, shard: usize) -> Option<usize> {
        // The only pool there is has the first number.
        let wish = Wish {
            pool: PoolId(0),
            key: None,
            tried: &[],
            may_try: true,
            takes_any: true,
            has_place: &|_| false,
        };
        let pick = self.replicas[shard].pick(&wish, self.now, &mut self.prng)?;
        let std::net::IpAddr::V4(ip) = pick.address.ip() else { return None };
        let [_, _, hundreds, ones] = ip.octets();
        Some(usize::from(hundreds) * 250 + usize::from(ones) - 1)
    }

    fn slot(&self, backend: usize) -> ringway::base::BackendSlot {
        self.fleet.record("default", address(backend)).expect("it is there").slot
    }

    /// Each backend's part of `picks` picks by all shards in turn, of exchanges that end at once.
    fn shares(&mut self, picks: usize) -> Vec<f64> {
        let mut counts = vec![0; self.fleet.pools()["default"].backends.len()];
        for round in 0..picks {
            let shard = round % self.replicas.len();
            let backend = self.pick(shard).expect("somebody is fit");
            counts[backend] += 1;
        }
        counts.iter().map(|count| f64::from(*count) / picks as f64).collect()
    }
}
