//! The power of two choices (Mitzenmacher, 2001): of two candidates drawn by weight, the one with
//! less in flight for its weight. Nearly as even as looking at all of them, and shards whose
//! counts are a little stale do not all run to the same backend.

use super::weighted::Weights;
use super::{Candidate, Load, is_less};
use crate::base::Prng;

/// Draws to find a second candidate that is not the first.
const DRAWS_MAX: u32 = 4;

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
    // One that is idle is as good as it gets. It was drawn by weight, so that at low load shares
    // follow the weights and a light backend is neither starved nor overrun.
    if one_load == 0 || candidates.len() == 1 {
        return Some(first);
    }
    let others = |index: usize| index != first && usable(index);
    let second = (0..DRAWS_MAX).find_map(|_| weights.draw(usable, prng).filter(|i| others(*i)));
    let Some(second) = second else { return Some(first) };
    let two = candidates[second];
    // The exchange to come counts too.
    let two_load = load.in_flight(two.slot) + 1;
    Some(if is_less(two_load, two.weight, one_load + 1, one.weight) { second } else { first })
}
