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

/// The largest distance of a share to its weight, in points (percent of all picks).
fn worst_point(algorithm: Algorithm, weights: &[u32], shards: usize, in_flight: usize) -> f64 {
    let got = shares(algorithm, weights, shards, in_flight, |_| true);
    let apart = got.iter().zip(expected(weights)).map(|(got, want)| (got - want).abs());
    100.0 * apart.fold(0.0, f64::max)
}

#[test]
fn shares_are_within_a_point_and_a_half_of_the_weights_at_any_load() {
    let tables: [&[u32]; 4] = [&[1, 5, 20], &[1, 1, 1], &[3, 1], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]];
    let mut table = String::new();
    let mut worst: f64 = 0.0;
    for algorithm in Algorithm::ALL {
        for weights in tables {
            for shards in [1, 4] {
                let points = [1, 4, 16, 64, 512]
                    .map(|in_flight| worst_point(algorithm, weights, shards, in_flight));
                worst = points.into_iter().fold(worst, f64::max);
                table += &format!("{algorithm} {weights:?} {shards} shards: {points:.1?}\n");
            }
        }
    }
    assert!(worst <= 1.5, "points off, with 1, 4, 16, 64 and 512 in flight:\n{table}");
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

/// Picks of a shard whose pool changes all the time: after each pick a backend gets another
/// weight, leaves or comes back. The first two never change.
fn picks_while_others_change(seed: u64, keeps: [u32; 2]) -> Vec<[u32; 2]> {
    let mut prng = Prng::new(seed);
    let others = 1 + prng.below(4);
    let mut weights: Vec<u32> = (0..others).map(|_| 1 + prng.below(200)).collect();
    let pool = |weights: &[u32]| {
        let all = candidates(&[&keeps, weights].concat());
        all.into_iter().filter(|candidate| candidate.weight > 0).collect::<Vec<_>>()
    };
    let mut counts = Counts { own: vec![0; 8], others: vec![0; 8] };
    let mut picker = Picker::new(Algorithm::RoundRobin, &pool(&weights), &mut prng);
    let mut picked = [0; 2];
    let mut course = Vec::new();
    for _ in 0..400 {
        let slot = picker.pick(&mut counts, |_| true, &mut prng).expect("all are usable");
        if let Some(count) = picked.get_mut(slot.index()) {
            *count += 1;
        }
        course.push(picked);
        for _ in 0..prng.below(3) {
            let at = prng.below(others) as usize;
            weights[at] = if prng.one_in(3) { 0 } else { 1 + prng.below(200) };
            picker = picker.succeed(&pool(&weights), &mut prng);
        }
    }
    course
}

#[test]
fn round_robin_keeps_taking_turns_while_weights_change_and_backends_leave_and_return() {
    for seed in 0..20 {
        let keeps = [[1, 1], [3, 1], [40, 60], [200, 7]][seed as usize % 4];
        let course = picks_while_others_change(seed, keeps);
        let [one, two] = keeps.map(f64::from);
        for picked in &course {
            // Between two turns of one of them the other has its part of turns, and no more.
            let [by_one, by_two] = picked.map(f64::from);
            let apart = (by_one / one - by_two / two).abs();
            assert!(apart <= 1.0 / one + 1.0 / two + 1e-6, "seed {seed}, {keeps:?}: {picked:?}");
        }
        assert!(course.last().is_some_and(|picked| picked.iter().all(|n| *n > 0)), "{keeps:?}");
    }
}

#[test]
fn shards_in_round_robin_stay_spread_over_any_number_of_changes() {
    let mut prng = Prng::new(5);
    let mut counts = Counts { own: vec![0; 4], others: vec![0; 4] };
    let mut pickers: Vec<Picker> = (0..640)
        .map(|_| Picker::new(Algorithm::RoundRobin, &candidates(&[10; 4]), &mut prng))
        .collect();
    for step in 0..100 {
        // One of them goes, and comes back slowly, again and again.
        let weights = [10, 10, 10, step % 11];
        let now = candidates(&weights[..if step % 11 == 0 { 3 } else { 4 }]);
        let mut first = [0; 4];
        for picker in &mut pickers {
            *picker = picker.succeed(&now, &mut prng);
            for pick in 0..prng.below(8) {
                let slot = picker.pick(&mut counts, |_| true, &mut prng).expect("usable");
                first[slot.index()] += u32::from(pick == 0);
            }
        }
        let sum: u32 = now.iter().map(|candidate| candidate.weight).sum();
        let picks = f64::from(first.iter().sum::<u32>());
        for (got, candidate) in first.iter().zip(&now) {
            let share = f64::from(candidate.weight) / f64::from(sum);
            // Six standard deviations of what chance alone gives.
            let most = picks * share + 6.0 * (picks * share * (1.0 - share)).sqrt();
            assert!(f64::from(*got) <= most, "step {step}: {first:?}, at most {most:.0}");
        }
    }
}

/// Answers at once but for one backend, which keeps what it gets.
struct Standstill {
    still: BackendSlot,
    kept: u32,
}

impl Load for Standstill {
    fn in_flight(&mut self, slot: BackendSlot) -> u32 {
        if slot == self.still { self.kept } else { 0 }
    }
}

#[test]
fn a_backend_that_stands_still_collects_few_requests() {
    for algorithm in [Algorithm::P2c, Algorithm::LeastConnections] {
        for weights in [vec![1, 1], vec![1, 1, 1], vec![10, 1, 1], vec![1, 10], vec![1; 100]] {
            let mut prng = Prng::new(7);
            let candidates = candidates(&weights);
            let mut picker = Picker::new(algorithm, &candidates, &mut prng);
            let mut load = Standstill { still: BackendSlot(0), kept: 0 };
            for _ in 0..100_000 {
                let slot = picker.pick(&mut load, |_| true, &mut prng).expect("all are usable");
                load.kept += u32::from(slot == load.still);
            }
            let most = 2 * weights[0];
            assert!(load.kept <= most, "{algorithm:?} {weights:?}: {} are kept", load.kept);
        }
    }
}

/// Counts how often a load is read.
struct Reads(u32);

impl Load for Reads {
    fn in_flight(&mut self, slot: BackendSlot) -> u32 {
        self.0 += 1;
        1 + slot.0 % 4
    }
}

#[test]
fn a_pick_reads_no_more_loads_among_two_thousand_backends_than_among_twenty() {
    for algorithm in Algorithm::ALL {
        for weights in [[1, 1], [1, 7]] {
            let reads = |backends: usize| {
                let candidates = candidates(&weights.repeat(backends / 2));
                let mut prng = Prng::new(11);
                let mut picker = Picker::new(algorithm, &candidates, &mut prng);
                let mut load = Reads(0);
                (0..1_000).for_each(|_| {
                    picker.pick(&mut load, |_| true, &mut prng).expect("all are usable");
                });
                load.0
            };
            let (few, many) = (reads(20), reads(2_000));
            assert!(many <= few + few / 20, "{algorithm} {weights:?}: {few} reads, then {many}");
        }
    }
}
