//! The power of two choices (Mitzenmacher, 2001): of two candidates drawn by weight, the one with
//! less in flight for its weight. Nearly as even as looking at all of them, and shards whose
//! counts are a little stale do not all run to the same backend.

use super::weighted::Weights;
use super::{Candidate, Load, is_less_within_one};
use crate::base::Prng;

/// Draws to find a second candidate that is not the first, where all weigh the same.
const DRAWS_MAX: u32 = 4;

/// How many times as busy the first must be to lose to one that these draws did not find.
const HANDICAP: f64 = 2.0;

pub(super) fn pick(
    candidates: &[Candidate],
    weights: &Weights,
    load: &mut impl Load,
    usable: &impl Fn(usize) -> bool,
    prng: &mut Prng,
) -> Option<usize> {
    let first = weights.draw(usable, prng)?;
    let one = candidates[first];
    let one_load = load.in_flight(one.slot);
    // No backend is less loaded than an idle one. Among different weights that is no reason to
    // pick a light one: it had more than its share then at low load.
    if weights.are_equal() && one_load == 0 || candidates.len() == 1 {
        return Some(first);
    }
    // With two independent draws and even chances of winning each gets its share by weight. A
    // further draw in place of a second one of the same backend would favour the light ones.
    let draws = if weights.are_equal() { DRAWS_MAX } else { 1 };
    let is_other = |index: usize| index != first && usable(index);
    let mut drawn = (0..draws).map(|_| weights.draw(usable, prng));
    let Some(second) = drawn.find_map(|index| index.filter(|index| is_other(*index))) else {
        return Some(instead_of_stalled(first, candidates, weights, load, usable, prng));
    };
    let two = candidates[second];
    let loads = (one_load, load.in_flight(two.slot));
    let is_second = if weights.are_equal() {
        loads.1 < loads.0
    } else {
        is_less_within_one((loads.1, two.weight), (loads.0, one.weight), prng)
    };
    Some(if is_second { second } else { first })
}

/// The first candidate, which was drawn again and again, or another one if that has much less in
/// flight. The first one is heavy, or it is chance. If it always got the exchange then, a
/// stalled backend would collect all clients; if it never had that advantage, shards with stale
/// counts would all run to the light ones.
pub(super) fn instead_of_stalled(
    first: usize,
    candidates: &[Candidate],
    weights: &Weights,
    load: &mut impl Load,
    usable: &impl Fn(usize) -> bool,
    prng: &mut Prng,
) -> usize {
    let is_other = |index: usize| index != first && usable(index);
    let Some(second) = weights.draw(&is_other, prng) else { return first };
    let (one, two) = (candidates[first], candidates[second]);
    let mut loaded = |slot| f64::from(load.in_flight(slot));
    let (one_load, two_load) = (loaded(one.slot), loaded(two.slot));
    let [one_weight, two_weight] = [one, two].map(|candidate| f64::from(candidate.weight));
    // The next exchange counts too, for the lighter of the two: else that one would never get two.
    let two_share = two_load / two_weight + 1.0 / one_weight.min(two_weight);
    if HANDICAP * two_share < (one_load + 1.0) / one_weight { second } else { first }
}
