//! Drawing by weight, in constant time (the alias method of Walker, 1977, as built by Vose, 1991).

use super::Candidate;
use crate::base::Prng;

/// Draws that may hit an unusable candidate before the usable ones are looked through.
const DRAWS_MAX: u32 = 4;

/// A table with a column for each candidate, all of the height of the sum of the weights. A column
/// belongs to its candidate up to `cut`, and above to another one; the parts of a candidate add up
/// to its weight times the number of columns. Equal weights need no table.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    weights: Box<[u32]>,
    columns: Box<[Column]>,
    total: u32,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    cut: u32,
    above: u32,
}

impl Weights {
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let weights: Box<[u32]> = candidates.iter().map(|candidate| candidate.weight).collect();
        let total = weights.iter().sum();
        let are_equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let columns = if are_equal { Box::default() } else { columns(&weights, total) };
        Self { weights, columns, total }
    }

    /// True if all candidates weigh the same.
    pub(super) fn are_equal(&self) -> bool {
        self.columns.is_empty()
    }

    /// A usable candidate with a probability by weight.
    pub(super) fn draw(&self, usable: &impl Fn(usize) -> bool, prng: &mut Prng) -> Option<usize> {
        if self.weights.is_empty() {
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

    /// A candidate with a probability by weight, usable or not. There must be one.
    pub(super) fn draw_any(&self, prng: &mut Prng) -> usize {
        let index = prng.below(self.weights.len() as u32) as usize;
        match self.columns.get(index) {
            Some(column) if prng.below(self.total) >= column.cut => column.above as usize,
            _ => index,
        }
    }

    /// Where most candidates are unusable: one pass to sum, one to find.
    fn draw_among_usable(&self, usable: &impl Fn(usize) -> bool, prng: &mut Prng) -> Option<usize> {
        let usable_ones = || (0..self.weights.len()).filter(|index| usable(*index));
        let total = usable_ones().map(|index| self.weights[index]).sum();
        let mut at = prng.below(total);
        usable_ones().find(|index| {
            let weight = self.weights[*index];
            let is_it = at < weight;
            at = at.wrapping_sub(weight);
            is_it
        })
    }
}

/// Fills each column with a light candidate, and with a heavy one above it.
fn columns(weights: &[u32], total: u32) -> Box<[Column]> {
    let height = u64::from(total);
    let mut rest: Vec<u64> = weights.iter().map(|w| u64::from(*w) * weights.len() as u64).collect();
    let full = |index: usize| Column { cut: total, above: index as u32 };
    let mut columns: Box<[Column]> = (0..weights.len()).map(full).collect();
    let (mut light, mut heavy): (Vec<usize>, Vec<usize>) =
        (0..weights.len()).partition(|index| rest[*index] < height);
    while let (Some(&above), Some(index)) = (heavy.last(), light.pop()) {
        columns[index] = Column { cut: rest[index] as u32, above: above as u32 };
        rest[above] -= height - rest[index];
        if rest[above] < height {
            heavy.pop();
            light.push(above);
        }
    }
    columns
}
