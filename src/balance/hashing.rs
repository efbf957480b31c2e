//! Picking by the hash of a key: the owner of its place in the table, or, where that one may not be
//! used, the owner of the next place, and so on. So only the keys of a backend move when it
//! leaves, and they come back with it.
//!
//! The bound on loads (Mirrokni, Thorup and Zadimoghaddam, 2018): a backend that has its share of
//! all exchanges in flight, times the configured factor, takes no more. What is moved on goes to
//! backends that have less than their plain share, which leaves room for their own keys. Of the
//! keys of an overloaded backend the frequent ones, which cause it, are moved on at its plain
//! share already: the others keep their place.

use super::hash::KeyHash;
use super::maglev::{Owner, Table};
use super::{Candidate, Load};
use std::sync::Arc;

/// Backends without room that a key goes past before it gets the least loaded of them.
const SPILLS_MAX: u32 = 32;

/// Keys that are remembered of those that were sent to overloaded backends.
const RECENT: usize = 64;

/// How often a frequent key is among them.
const FREQUENT: usize = 4;

/// Candidates whose load is read for each pick, on average, to know the sum of all.
const READS_PER_PICK: usize = 16;

/// A backend of the table that may be picked.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Its position among the candidates.
    index: usize,
    /// The part of its keys that it takes, of 2^32: less in slow start.
    takes: u64,
}

impl Place {
    /// True if a key is in the part of its keys that it takes.
    fn has_part(self, key: u64) -> bool {
        key >> 32 < self.takes
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Hashing {
    table: Arc<Table>,
    /// Most that a backend has, percent of its share; 0: no bound.
    balance_percent: u32,
    /// By position among the owners of the table; none for one that may not be picked.
    places: Box<[Option<Place>]>,
    weight: u64,
    /// All exchanges in flight, as last summed up.
    total: u64,
    /// Picks until they are summed up again.
    fresh: usize,
    recent: [u32; RECENT],
    next_recent: usize,
}

impl Hashing {
    pub(super) fn new(table: Arc<Table>, balance_percent: u32, candidates: &[Candidate]) -> Self {
        let places = places(&table, candidates);
        let weight = candidates.iter().map(|candidate| u64::from(candidate.weight)).sum();
        let (recent, next_recent) = ([0; RECENT], 0);
        Self { table, balance_percent, places, weight, total: 0, fresh: 0, recent, next_recent }
    }

    pub(super) fn pick(
        &mut self,
        key: u64,
        candidates: &[Candidate],
        load: &mut impl Load,
        usable: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let total = self.total_with_this(candidates, load);
        let (mut least, mut spills, mut too_early) = (None, 0, None);
        for owner in self.table.from(key) {
            let Some(place) = self.places[owner] else { continue };
            let index = place.index;
            if !usable(index) {
                continue;
            }
            if !place.has_part(key) {
                too_early.get_or_insert(index);
                continue;
            }
            if self.balance_percent == 0 {
                return Some(index);
            }
            let Candidate { slot, weight } = candidates[index];
            let has = u64::from(load.in_flight(slot));
            let share = |percent: u32| {
                let all = total * u64::from(weight) * u64::from(percent);
                all / (100 * self.weight.max(1)) + 1
            };
            // Up to its plain share each backend takes all; its own rare keys also above that.
            let is_within = has < share(100);
            let is_home = spills == 0;
            if is_within
                || is_home
                    && has < share(self.balance_percent)
                    && !is_frequent(&mut self.recent, &mut self.next_recent, key)
            {
                return Some(index);
            }
            if least.is_none_or(|(_, before, of): (_, u64, u32)| {
                has * u64::from(of) < before * u64::from(weight)
            }) {
                least = Some((index, has, weight));
            }
            spills += 1;
            if spills == SPILLS_MAX {
                break;
            }
        }
        least.map(|(index, ..)| index).or(too_early)
    }

    /// All exchanges in flight and the next one. Among many candidates the sum is a few picks old.
    fn total_with_this(&mut self, candidates: &[Candidate], load: &mut impl Load) -> u64 {
        if self.balance_percent == 0 {
            return 0;
        }
        if self.fresh == 0 {
            self.total = candidates.iter().map(|one| u64::from(load.in_flight(one.slot))).sum();
            self.fresh = candidates.len().div_ceil(READS_PER_PICK);
        }
        self.fresh = self.fresh.saturating_sub(1);
        self.total += 1;
        self.total
    }
}

/// Remembers a key that meets an overloaded backend. True if it is frequent among those that did.
fn is_frequent(recent: &mut [u32; RECENT], next: &mut usize, key: u64) -> bool {
    let key = key as u32;
    let is_frequent = recent.iter().filter(|known| **known == key).count() >= FREQUENT;
    recent[*next] = key;
    *next = (*next + 1) % RECENT;
    is_frequent
}

/// The backend that a key belongs to, and the one that it goes to while only the candidates may be
/// picked and none of them has more than its share: none if there is none.
pub fn owner_and_fit<'t>(
    table: &'t Table,
    key: KeyHash,
    candidates: &[Candidate],
) -> Option<(&'t Owner, &'t Owner)> {
    let owners = table.owners();
    let owner = &owners[table.from(key.get()).next()?];
    let places = places(table, candidates);
    let fit = || table.from(key.get()).filter_map(|at| Some((at, places[at]?)));
    let taken = fit().find(|(_, place)| place.has_part(key.get())).or_else(|| fit().next());
    Some((owner, &owners[taken?.0]))
}

/// The candidates by position among the owners. One in slow start weighs less than in the table,
/// in comparison with the one that has most of its weight.
fn places(table: &Table, candidates: &[Candidate]) -> Box<[Option<Place>]> {
    const WHOLE: f64 = (1u64 << 32) as f64;
    let mut by_slot: Vec<usize> = (0..candidates.len()).collect();
    by_slot.sort_by_key(|index| candidates[*index].slot);
    let part = |index: usize, full: u32| f64::from(candidates[index].weight) / f64::from(full);
    let index_of = |slot| {
        let at = by_slot.binary_search_by_key(&slot, |index| candidates[*index].slot);
        at.ok().map(|at| by_slot[at])
    };
    let found = table.owners().iter().map(|owner| Some((index_of(owner.slot)?, owner.weight)));
    let found: Vec<Option<(usize, u32)>> = found.collect();
    let parts = found.iter().flatten().map(|(index, full)| part(*index, *full));
    let most = parts.fold(f64::MIN_POSITIVE, f64::max);
    let place = |(index, full)| Place { index, takes: (part(index, full) / most * WHOLE) as u64 };
    found.into_iter().map(|found| found.map(place)).collect()
}
