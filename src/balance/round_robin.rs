//! Weighted round robin, smooth and in constant time: the order of one round is computed once per
//! generation. A backend of weight `w` has a turn every `1/w` of a round, and a phase: how long
//! until its first one. Phases are random, each shard has its own, and they go on over a change of
//! the candidates or their weights. With fresh ones every new generation would make all shards
//! begin with the same backend (envoyproxy/envoy#10064), and fresh random ones, ten times a second
//! during a slow start, would make the order random.

use super::{Candidate, random_part};
use crate::base::{BackendSlot, Prng};
use std::collections::HashMap;

/// Longest round. Larger weight sums are scaled down; each backend keeps at least one turn.
const TURNS_MAX: u32 = 4096;

/// The order of one round.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    turns: Box<[u16]>,
    next: usize,
    /// No backend has had a turn in it.
    is_fresh: bool,
    members: Box<[Member]>,
}

/// A candidate's part of the round.
#[derive(Clone, Copy, Debug)]
struct Member {
    slot: BackendSlot,
    /// Its turns in a round.
    turns: u32,
    /// How much of the time between two of its turns passes before its first one, 0 to 1.
    phase: f64,
}

impl Member {
    /// When it has its turn `k`, in rounds.
    fn due(&self, k: u32) -> f64 {
        (f64::from(k) + self.phase) / f64::from(self.turns)
    }
}

impl Sequence {
    /// Begins at a random place of a round with random phases.
    pub(super) fn new(candidates: &[Candidate], prng: &mut Prng) -> Self {
        let mut sequence = Self::with_phases(candidates, |_| random_part(prng));
        sequence.next = prng.below(sequence.turns.len() as u32) as usize;
        sequence.is_fresh = false;
        sequence
    }

    /// Continues with other candidates or weights: a candidate that stays has its next turn after
    /// the wait of its weight, of which the time waited so far counts.
    pub(super) fn succeed(&self, candidates: &[Candidate], prng: &mut Prng) -> Self {
        let phases = self.phases_from_here();
        Self::with_phases(candidates, |slot| {
            phases.get(&slot).copied().unwrap_or_else(|| random_part(prng))
        })
    }

    fn with_phases(candidates: &[Candidate], mut phase: impl FnMut(BackendSlot) -> f64) -> Self {
        let turns = scaled(candidates);
        let members = candidates.iter().zip(turns);
        let members = members.map(|(&Candidate { slot, .. }, turns)| Member {
            slot,
            turns,
            phase: phase(slot),
        });
        let members: Box<[Member]> = members.collect();
        Self { turns: order(&members), next: 0, is_fresh: true, members }
    }

    /// The phases of all members, as if a round began now.
    fn phases_from_here(&self) -> HashMap<BackendSlot, f64> {
        let mut had = vec![0; self.members.len()];
        self.turns[..self.next].iter().for_each(|index| had[usize::from(*index)] += 1);
        let now = self.now();
        let members = self.members.iter().zip(had);
        let phase = |(member, had): (&Member, u32)| {
            (member.slot, (member.due(had) - now) * f64::from(member.turns))
        };
        members.map(phase).collect()
    }

    /// When the last turn was, in rounds since the beginning of this one.
    fn now(&self) -> f64 {
        let is_between = self.next == 0;
        let past = if is_between { &*self.turns } else { &self.turns[..self.next] };
        let Some(last) = past.last().filter(|_| !self.is_fresh) else { return 0.0 };
        let had = past.iter().filter(|index| *index == last).count() as u32;
        let due = self.members[usize::from(*last)].due(had - 1);
        if is_between { due - 1.0 } else { due }
    }

    /// The candidate whose turn is next; unusable ones lose theirs.
    pub(super) fn pick(&mut self, usable: &impl Fn(usize) -> bool) -> Option<usize> {
        self.is_fresh = false;
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

/// The turns of all members in the order in which they are due; of two at the same time the first
/// member's goes first.
fn order(members: &[Member]) -> Box<[u16]> {
    let mut due: Vec<(f64, u16)> = Vec::new();
    for (index, member) in members.iter().enumerate() {
        due.extend((0..member.turns).map(|k| (member.due(k), index as u16)));
    }
    due.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    due.into_iter().map(|(_, index)| index).collect()
}
