//! The least in flight for its weight, over all candidates.
//!
//! A backend's deficit is the difference to its fair share of all exchanges in flight, the next one
//! included. The choice is random with a chance by deficit: where many are in flight that is
//! the least loaded one, and where fewer are in flight than there are backends shares still follow
//! the weights, and none is starved (haproxy/haproxy#178).

use super::{Candidate, Load};
use crate::base::Prng;

pub(super) fn pick(
    candidates: &[Candidate],
    load: &mut impl Load,
    usable: &impl Fn(usize) -> bool,
    prng: &mut Prng,
) -> Option<usize> {
    let (mut in_flight, mut weight) = (1, 0);
    for (_, candidate) in usable_ones(candidates, usable) {
        in_flight += i64::from(load.in_flight(candidate.slot));
        weight += i64::from(candidate.weight);
    }
    let mut chosen = None;
    let mut deficits = 0;
    for (index, candidate) in usable_ones(candidates, usable) {
        let has = i64::from(load.in_flight(candidate.slot)) * weight;
        let deficit = in_flight * i64::from(candidate.weight) - has;
        if deficit > 0 {
            // A reservoir of one: each stays with a chance by its deficit.
            deficits += deficit;
            if prng.next_u64() % deficits.unsigned_abs() < deficit.unsigned_abs() {
                chosen = Some(index);
            }
        }
    }
    chosen
}

fn usable_ones<'a>(
    candidates: &'a [Candidate],
    usable: &'a impl Fn(usize) -> bool,
) -> impl Iterator<Item = (usize, &'a Candidate)> {
    candidates.iter().enumerate().filter(|(index, _)| usable(*index))
}
