//! Drawing by weight.

use super::Candidate;
use crate::base::Prng;

/// Draws that may hit an unusable candidate before the usable ones are looked through.
const DRAWS_MAX: u32 = 4;

/// Sums of the weights, for drawing by binary search; equal weights need no search.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    sums: Box<[u32]>,
    total: u32,
    are_equal: bool,
}

impl Weights {
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let mut total = 0;
        let sums = candidates.iter().map(|candidate| {
            total += candidate.weight;
            total
        });
        let sums = sums.collect();
        let are_equal = candidates.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        Self { sums, total, are_equal }
    }

    /// A usable candidate with a probability by weight.
    pub(super) fn draw(&self, usable: &impl Fn(usize) -> bool, prng: &mut Prng) -> Option<usize> {
        if self.sums.is_empty() {
            return None;
        }
        for _ in 0..DRAWS_MAX {
            let index = self.draw_any(prng);
            if usable(index) {
                return Some(index);
            }
        }
        self.draw_among_usable(usable, prng)
    }

    fn draw_any(&self, prng: &mut Prng) -> usize {
        if self.are_equal {
            return prng.below(self.sums.len() as u32) as usize;
        }
        let at = prng.below(self.total);
        self.sums.partition_point(|sum| *sum <= at)
    }

    /// Where most candidates are unusable: one pass to sum, one to find.
    fn draw_among_usable(&self, usable: &impl Fn(usize) -> bool, prng: &mut Prng) -> Option<usize> {
        let weight =
            |index: usize| self.sums[index] - index.checked_sub(1).map_or(0, |i| self.sums[i]);
        let total = (0..self.sums.len()).filter(|index| usable(*index)).map(weight).sum();
        let mut at = prng.below(total);
        (0..self.sums.len()).filter(|index| usable(*index)).find(|index| {
            let weight = weight(*index);
            let is_it = at < weight;
            at = at.wrapping_sub(weight);
            is_it
        })
    }
}
