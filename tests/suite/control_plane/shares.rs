//! Shares over many shards, which see each other's exchanges a little late.

use super::{AT_ONCE, Scene, config};
use ringway::balance::Algorithm;
use std::time::Duration;

/// Each backend's part of the picks, with `in_flight` exchanges kept in flight over all shards.
fn shares(shards: usize, in_flight: usize, weights: &[u32], algorithm: Algorithm) -> Vec<f64> {
    let mut scene = Scene::new(shards, &config(weights, algorithm, AT_ONCE), 7);
    let picks = 12_000;
    let slots: Vec<_> = (0..weights.len()).map(|backend| scene.slot(backend)).collect();
    let mut counts = vec![0u32; weights.len()];
    let mut flying = Vec::new();
    for _ in 0..picks {
        scene.now = scene.now + Duration::from_micros(20);
        let shard = scene.prng.below(shards as u32) as usize;
        let backend = scene.pick(shard).expect("all are fit");
        counts[backend] += 1;
        let slot = slots[backend];
        scene.replicas[shard].begin(slot);
        flying.push((shard, slot));
        if flying.len() > in_flight {
            let at = scene.prng.below(flying.len() as u32) as usize;
            let (shard, slot) = flying.swap_remove(at);
            scene.replicas[shard].end(slot);
        }
    }
    counts.iter().map(|count| f64::from(*count) / f64::from(picks)).collect()
}

#[test]
fn shards_together_balance_as_one_exact_structure_would() {
    let weights_of: [&[u32]; 3] = [&[100, 1], &[1; 12], &[100, 1, 100, 1, 50, 1, 1, 1]];
    for algorithm in [Algorithm::LeastConnections, Algorithm::P2c] {
        for weights in weights_of {
            for in_flight in [weights.len() / 2, weights.len() * 8] {
                let exact = shares(1, in_flight, weights, algorithm);
                for shards in [2, 16, 64] {
                    let got = shares(shards, in_flight, weights, algorithm);
                    for (got, exact) in got.iter().zip(&exact) {
                        assert!(
                            (got - exact).abs() <= 0.05 && *got > 0.0,
                            "{algorithm}, weights {weights:?}, {in_flight} in flight, {shards} \
                             shards: {got:.3} where one structure gives {exact:.3}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn after_a_thousand_health_flips_no_backend_gets_more_than_its_part_of_the_first_picks() {
    let weights = [4, 1, 1, 1, 1];
    for algorithm in Algorithm::ALL {
        let mut scene = Scene::new(64, &config(&weights, algorithm, AT_ONCE), 3);
        let mut first = [0u32; 5];
        let mut expected = [0.0; 5];
        for flip in 0..1_000 {
            // One of the light ones goes, and comes back the next time.
            let backend = 1 + (flip / 2) % 4;
            let is_live = flip % 2 == 1;
            scene.set_live(backend, is_live);
            scene.advance(Duration::from_millis(500));
            assert!(scene.publish());
            let usable = |other: usize| is_live || other != backend;
            let sum: u32 = (0..5).filter(|other| usable(*other)).map(|b| weights[b]).sum();
            let mut of_flip = [0u32; 5];
            for shard in 0..64 {
                let picked = scene.pick(shard).expect("four are fit");
                assert!(usable(picked), "{algorithm}: a dead backend is picked");
                of_flip[picked] += 1;
            }
            for other in (0..5).filter(|other| usable(*other)) {
                let share = f64::from(weights[other]) / f64::from(sum);
                expected[other] += 64.0 * share;
                first[other] += of_flip[other];
                // Six standard deviations of what chance alone gives.
                let most = 64.0 * share + 6.0 * (64.0 * share * (1.0 - share)).sqrt();
                let got = f64::from(of_flip[other]);
                assert!(got <= most, "{algorithm}, flip {flip}: {got} first picks, not {most:.0}");
            }
        }
        for (got, expected) in first.iter().zip(expected) {
            let ratio = f64::from(*got) / expected;
            assert!((0.93..1.07).contains(&ratio), "{algorithm}: {first:?}, ratio {ratio:.3}");
        }
    }
}

#[test]
fn failing_fast_does_not_attract_traffic() {
    let weights = [1, 2, 1, 4];
    let sum: f64 = weights.iter().copied().map(f64::from).sum();
    for algorithm in [Algorithm::P2c, Algorithm::LeastConnections] {
        for shards in [1, 4] {
            for bad in 0..weights.len() {
                let share = share_of_failing(shards, &weights, algorithm, bad);
                let fair = f64::from(weights[bad]) / sum;
                assert!(
                    share <= fair * 1.02,
                    "{algorithm}, {shards} shards: the failing one gets {share:.3} of the \
                     requests, where its weight is {fair:.3}"
                );
            }
        }
    }
}

/// The part of the picks of a backend that fails at once, while exchanges on the others take time.
fn share_of_failing(shards: usize, weights: &[u32], algorithm: Algorithm, bad: usize) -> f64 {
    let mut scene = Scene::new(shards, &config(weights, algorithm, AT_ONCE), 7);
    let slots: Vec<_> = (0..weights.len()).map(|backend| scene.slot(backend)).collect();
    let picks = 12_000;
    let mut flying = std::collections::VecDeque::new();
    let mut failed = 0;
    for _ in 0..picks {
        scene.now = scene.now + Duration::from_millis(1);
        let shard = scene.prng.below(shards as u32) as usize;
        let backend = scene.pick(shard).expect("all are fit");
        if backend == bad {
            failed += 1;
            scene.replicas[shard].failed(slots[bad], scene.now);
            continue;
        }
        scene.replicas[shard].begin(slots[backend]);
        flying.push_back((shard, slots[backend]));
        if flying.len() > 40 {
            let (shard, slot) = flying.pop_front().expect("many");
            scene.replicas[shard].end(slot);
        }
    }
    f64::from(failed) / f64::from(picks)
}
