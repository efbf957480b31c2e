//! Weighted round robin, smooth and in constant time: the order of one round is computed once,
//! and each shard begins at a random place in it. Without that, every new generation would make
//! all shards begin with the same backend (envoyproxy/envoy#10064).

use super::Candidate;
use crate::base::Prng;

/// Longest round. Larger weight sums are scaled down; each backend keeps at least one turn.
const TURNS_MAX: u32 = 4096;

/// The order of one round.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    turns: Box<[u16]>,
    next: usize,
}

impl Sequence {
    pub(super) fn new(candidates: &[Candidate], prng: &mut Prng) -> Self {
        let turns = smooth_order(&scaled(candidates));
        let next = prng.below(turns.len() as u32) as usize;
        Self { turns, next }
    }

    /// Whose turn it is; unusable ones lose theirs.
    pub(super) fn pick(&mut self, usable: &impl Fn(usize) -> bool) -> Option<usize> {
        for _ in 0..self.turns.len() {
            let index = usize::from(self.turns[self.next]);
            self.next = if self.next + 1 == self.turns.len() { 0 } else { self.next + 1 };
            if usable(index) {
                return Some(index);
            }
        }
        None
    }
}

/// The weights, reduced by their greatest common divisor and to the longest round.
fn scaled(candidates: &[Candidate]) -> Vec<u32> {
    let divisor = candidates.iter().fold(0, |d, candidate| gcd(d, candidate.weight)).max(1);
    let weights: Vec<u32> = candidates.iter().map(|c| c.weight / divisor).collect();
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    if sum <= u64::from(TURNS_MAX) {
        return weights;
    }
    let scale = |weight: &u32| (u64::from(*weight) * u64::from(TURNS_MAX) / sum).max(1) as u32;
    weights.iter().map(scale).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Each backend's turns are spread evenly over the round: turn `k` of `w` is due at `(k + ½) / w`.
fn smooth_order(weights: &[u32]) -> Box<[u16]> {
    let mut due: Vec<(f64, u16)> = Vec::new();
    for (index, weight) in weights.iter().enumerate() {
        let turn = |k: u32| ((f64::from(k) + 0.5) / f64::from(*weight), index as u16);
        due.extend((0..*weight).map(turn));
    }
    due.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    due.into_iter().map(|(_, index)| index).collect()
}
