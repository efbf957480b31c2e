//! Shares, as an operator would see them.

use super::*;

/// Exchanges in flight of several shards, which see each other's with a delay.
struct Counts {
    own: Vec<u32>,
    others: Vec<u32>,
}

impl Load for Counts {
    fn in_flight(&mut self, slot: BackendSlot) -> u32 {
        self.own[slot.index()] + self.others[slot.index()]
    }
}

fn candidates(weights: &[u32]) -> Vec<Candidate> {
    let candidate = |(slot, weight): (usize, &u32)| Candidate {
        slot: BackendSlot(slot as u32),
        weight: *weight,
    };
    weights.iter().enumerate().map(candidate).collect()
}

/// Shares after `rounds` picks by each shard, with `in_flight` exchanges kept in flight in all.
fn shares(
    algorithm: Algorithm,
    weights: &[u32],
    shards: usize,
    in_flight: usize,
    usable: impl Fn(BackendSlot) -> bool + Copy,
) -> Vec<f64> {
    let candidates = candidates(weights);
    let mut prng = Prng::new(42);
    let mut pickers: Vec<Picker> =
        (0..shards).map(|_| Picker::new(algorithm, &candidates, &mut prng)).collect();
    let mut counts: Vec<Vec<u32>> = vec![vec![0; weights.len()]; shards];
    let mut flying = std::collections::VecDeque::new();
    let mut picked = vec![0u32; weights.len()];
    let rounds = 40_000;
    let mut seen: Vec<Vec<u32>> = counts.clone();
    for round in 0..rounds {
        let shard = prng.below(shards as u32) as usize;
        if round % 10 == 0 {
            seen = (0..shards)
                .map(|me| {
                    let others =
                        |b: usize| (0..shards).filter(|s| *s != me).map(|s| counts[s][b]).sum();
                    (0..weights.len()).map(others).collect()
                })
                .collect();
        }
        let mut load = Counts { own: counts[shard].clone(), others: seen[shard].clone() };
        let slot = pickers[shard].pick(&mut load, usable, &mut prng).expect("one is usable");
        picked[slot.index()] += 1;
        counts[shard][slot.index()] += 1;
        flying.push_back((shard, slot));
        if flying.len() > in_flight {
            let at = prng.below(flying.len() as u32) as usize;
            let (shard, slot) = flying.remove(at).expect("in range");
            counts[shard][slot.index()] -= 1;
        }
    }
    picked.iter().map(|n| f64::from(*n) / f64::from(rounds)).collect()
}

fn expected(weights: &[u32]) -> Vec<f64> {
    let sum: u32 = weights.iter().sum();
    weights.iter().map(|weight| f64::from(*weight) / f64::from(sum)).collect()
}

#[test]
fn shares_follow_the_weights_for_every_algorithm_at_any_load() {
    for algorithm in Algorithm::ALL {
        // Least connections evens out concurrency, not requests: its shares may be further off.
        let tolerance = if algorithm == Algorithm::LeastConnections { 0.10 } else { 0.06 };
        for weights in [vec![1, 1, 1, 1], vec![3, 1], vec![100, 1], vec![5, 3, 2, 2, 1]] {
            for shards in [1, 2, 16] {
                for in_flight in [1, 64] {
                    let got = shares(algorithm, &weights, shards, in_flight, |_| true);
                    for (got, want) in got.iter().zip(expected(&weights)) {
                        assert!(
                            (got - want).abs() < tolerance && *got > 0.0,
                            "{algorithm} {weights:?}, {shards} shards, {in_flight} in flight: \
                             {got:.3} for {want:.3}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn an_unusable_backend_is_never_picked_and_its_share_is_spread() {
    for algorithm in Algorithm::ALL {
        let weights = [1, 1, 1, 1];
        let got = shares(algorithm, &weights, 2, 16, |slot| slot != BackendSlot(2));
        assert_eq!(got[2], 0.0, "{algorithm}");
        for index in [0, 1, 3] {
            assert!((got[index] - 1.0 / 3.0).abs() < 0.18, "{algorithm}: {got:?}");
        }
    }
}

#[test]
fn none_usable_is_none_and_one_usable_is_always_found() {
    let candidates = candidates(&[1000, 1, 1000, 1000]);
    let mut counts = Counts { own: vec![0; 4], others: vec![0; 4] };
    let mut prng = Prng::new(3);
    for algorithm in Algorithm::ALL {
        let mut picker = Picker::new(algorithm, &candidates, &mut prng);
        assert_eq!(picker.pick(&mut counts, |_| false, &mut prng), None);
        for _ in 0..50 {
            let only = |slot| slot == BackendSlot(1);
            assert_eq!(picker.pick(&mut counts, only, &mut prng), Some(BackendSlot(1)));
        }
        let mut empty = Picker::new(algorithm, &[], &mut prng);
        assert_eq!(empty.pick(&mut counts, |_| true, &mut prng), None);
    }
}

#[test]
fn round_robin_is_smooth_and_keeps_its_phase_over_a_generation_without_change() {
    let candidates = candidates(&[5, 1, 1]);
    let mut counts = Counts { own: vec![0; 3], others: vec![0; 3] };
    let mut prng = Prng::new(9);
    let mut picker = Picker::new(Algorithm::RoundRobin, &candidates, &mut prng);
    let mut picks = Vec::new();
    for _ in 0..70 {
        picker = picker.succeed(&candidates, &mut prng);
        picks.push(picker.pick(&mut counts, |_| true, &mut prng).expect("usable").0);
    }
    for round in picks.chunks(7) {
        assert_eq!(round.iter().filter(|slot| **slot == 0).count(), 5);
        assert_eq!(round.iter().filter(|slot| **slot == 1).count(), 1);
    }
    let longest = picks.split(|slot| *slot == 0).map(<[u32]>::len).max();
    assert!(longest <= Some(2), "light ones are spread: {picks:?}");
}

#[test]
fn first_picks_of_many_shards_after_a_change_are_spread() {
    for algorithm in Algorithm::ALL {
        let mut counts = Counts { own: vec![0; 8], others: vec![0; 8] };
        let mut prng = Prng::new(1);
        let mut first = [0; 8];
        for _ in 0..640 {
            let mut picker = Picker::new(algorithm, &candidates(&[1; 8]), &mut prng);
            let slot = picker.pick(&mut counts, |_| true, &mut prng).expect("usable");
            first[slot.index()] += 1;
        }
        assert!(first.iter().all(|n| (40..130).contains(n)), "{algorithm}: {first:?}");
    }
}
