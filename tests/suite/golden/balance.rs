//! How even each algorithm is, over numbers of shards and backends, weights, and load.

use ringway::balance::{Algorithm, Candidate, Load, Picker};
use ringway::base::{BackendSlot, Prng};
use std::fmt::Write;

const PICKS: usize = 4_000;
/// What a shard knows of the others is so many picks old at most.
const STALE_PICKS: usize = 10;

const HEADER: &str = "\
# Requests of the backend that gets most and of the one that gets least, and the load (exchanges in
# flight, averaged over time) of the busiest, each for its weight as a multiple of the mean.
# `busy` is exchanges in flight per backend; `less one`: after the first backend has left.
# algorithm          shards backends weights  busy          most  least   load
";

#[derive(Clone, Copy)]
struct Case {
    algorithm: Algorithm,
    shards: usize,
    backends: usize,
    weights: &'static str,
    /// Exchanges in flight per two backends.
    busy: usize,
    loses_one: bool,
}

/// Exchanges in flight by shard and backend, now and as last shown.
struct Counts {
    now: Vec<Vec<u32>>,
    shown: Vec<Vec<u32>>,
    shown_sum: Vec<u32>,
}

/// As one shard sees them.
struct View<'c>(&'c Counts, usize);

impl Load for View<'_> {
    fn in_flight(&mut self, slot: BackendSlot) -> u32 {
        let (Self(counts, shard), slot) = (self, slot.index());
        let others = counts.shown_sum[slot] - counts.shown[*shard][slot];
        counts.now[*shard][slot] + others
    }
}

impl Counts {
    fn new(shards: usize, backends: usize) -> Self {
        let zeroes = vec![vec![0; backends]; shards];
        Self { now: zeroes.clone(), shown: zeroes, shown_sum: vec![0; backends] }
    }

    fn show(&mut self) {
        self.shown.clone_from(&self.now);
        for (slot, sum) in self.shown_sum.iter_mut().enumerate() {
            *sum = self.shown.iter().map(|row| row[slot]).sum();
        }
    }
}

fn candidates(case: Case) -> Vec<Candidate> {
    let weight = |slot: usize| match case.weights {
        "equal" => 1,
        "one x10" => 1 + 9 * u32::from(slot == 1),
        _ => slot as u32 + 1,
    };
    let candidate = |slot| Candidate { slot: BackendSlot(slot as u32), weight: weight(slot) };
    (0..case.backends).map(candidate).collect()
}

/// The most and least of some numbers per backend, each for its weight over the mean.
fn extremes(numbers: &[u64], candidates: &[Candidate]) -> (f64, f64) {
    let weights: u32 = candidates.iter().map(|candidate| candidate.weight).sum();
    let sum: u64 = candidates.iter().map(|candidate| numbers[candidate.slot.index()]).sum();
    let ratio = |candidate: &Candidate| {
        let number = numbers[candidate.slot.index()] as f64;
        number * f64::from(weights) / (sum as f64 * f64::from(candidate.weight))
    };
    let ratios = candidates.iter().map(ratio);
    (ratios.clone().fold(0.0, f64::max), ratios.fold(f64::MAX, f64::min))
}

/// Picks, each by a shard drawn at random, while as many exchanges end as begin.
fn measure(case: Case) -> [f64; 3] {
    let mut candidates = candidates(case);
    let mut prng = Prng::new(42);
    let mut pickers: Vec<Picker> =
        (0..case.shards).map(|_| Picker::new(case.algorithm, &candidates, &mut prng)).collect();
    let mut counts = Counts::new(case.shards, case.backends);
    let most = (case.busy * case.backends / 2).max(1);
    let mut flying: Vec<(usize, usize)> = Vec::new();
    let mut in_flight = vec![0; case.backends];
    let (mut picked, mut load) = (vec![0; case.backends], vec![0; case.backends]);
    if case.loses_one {
        candidates.remove(0);
    }
    for turn in 0..2 * PICKS {
        if turn == PICKS {
            // The first half has brought the load up; what is measured begins here.
            picked.fill(0);
            load.fill(0);
            pickers.iter_mut().for_each(|picker| *picker = picker.succeed(&candidates, &mut prng));
        }
        if turn % STALE_PICKS == 0 {
            counts.show();
        }
        let shard = prng.below(case.shards as u32) as usize;
        let mut view = View(&counts, shard);
        let slot = pickers[shard].pick(&mut view, |_| true, &mut prng).expect("all are usable");
        picked[slot.index()] += 1;
        counts.now[shard][slot.index()] += 1;
        flying.push((shard, slot.index()));
        in_flight[slot.index()] += 1;
        load.iter_mut().zip(&in_flight).for_each(|(load, now)| *load += now);
        if flying.len() >= most {
            let (shard, slot) = flying.swap_remove(prng.below(flying.len() as u32) as usize);
            counts.now[shard][slot] -= 1;
            in_flight[slot] -= 1;
        }
    }
    let (most, least) = extremes(&picked, &candidates);
    [most, least, extremes(&load, &candidates).0]
}

fn row(case: Case) -> String {
    let [most, least, load] = measure(case);
    let busy = if case.busy == 1 { "1/2".to_owned() } else { (case.busy / 2).to_string() };
    let event = if case.loses_one { "less one" } else { "" };
    let Case { algorithm, shards, backends, weights, .. } = case;
    let algorithm = algorithm.name();
    let row = format!(
        "{algorithm:<20} {shards:>6} {backends:>8} {weights:<8} {busy:>4} {event:<8} \
         {most:>5.2} {least:>6.2} {load:>6.2}"
    );
    row.trim_end().to_owned()
}

#[test]
fn the_balance_surface_is_as_committed() {
    let mut table = HEADER.to_owned();
    for algorithm in Algorithm::ALL {
        for shards in [1, 16] {
            for backends in [3, 20] {
                for weights in ["equal", "one x10", "1 to n"] {
                    for (busy, loses_one) in [(1, false), (16, false), (16, true)] {
                        let case = Case { algorithm, shards, backends, weights, busy, loses_one };
                        writeln!(table, "{}", row(case)).expect("to memory");
                    }
                }
            }
        }
    }
    super::compare("balance.txt", &table);
}
