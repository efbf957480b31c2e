//! The power of two choices (Mitzenmacher, 2001): of two candidates drawn by weight, the one with
//! less in flight for its weight. Nearly as even as looking at all of them, and shards whose
//! counts are a little stale do not all run to the same backend.

use super::weighted::Weights;
use super::{Candidate, Load, is_less};
use crate::base::Prng;

/// Draws to find a second candidate that is not the first.
const DRAWS_MAX: u32 = 4;

/// How many times as busy the first must be to lose to one that these draws did not find.
const HANDICAP: u32 = 2;

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
    // No backend is less loaded than an idle one. It was drawn by weight, so that at low load
    // shares follow the weights and a light backend is neither starved nor overrun.
    if one_load == 0 || candidates.len() == 1 {
        return Some(first);
    }
    let is_other = |index: usize| index != first && usable(index);
    let drawn = (0..DRAWS_MAX).find_map(|_| weights.draw(usable, prng).filter(|i| is_other(*i)));
    // Where the first was drawn again and again it is heavy, or it is chance. If it always got the
    // exchange then, a stalled backend would collect all clients; if it never had that
    // advantage, shards with stale counts would all run to the light ones.
    let handicap = if drawn.is_some() { 1 } else { HANDICAP };
    let Some(second) = drawn.or_else(|| weights.draw(&is_other, prng)) else { return Some(first) };
    let two = candidates[second];
    // The next exchange counts too.
    let two_load = (load.in_flight(two.slot) + 1).saturating_mul(handicap);
    Some(if is_less(two_load, two.weight, one_load + 1, one.weight) { second } else { first })
}
