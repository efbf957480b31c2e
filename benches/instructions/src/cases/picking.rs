//! Picking a backend by each algorithm, among few and among thousands, which weigh the same or
//! differently. All are usable, and their loads stay as they are. Does not: read loads of other
//! shards.

use super::Case;
use ringway::balance::{Algorithm, Candidate, HashKey, Load, Owner, Picker, Table};
use ringway::base::{BackendSlot, Prng};
use std::hint::black_box;
use std::sync::Arc;

const SIZES: [u32; 4] = [3, 20, 100, 2_000];
/// Loads go from 0 to one less.
const LOADS: u32 = 4;
const SEED: u64 = 42;
/// The defaults of `hash_table_size` and `hash_balance`.
const TABLE_SIZE: u32 = 65_537;
const BALANCE_PERCENT: u32 = 125;
/// Enough for the random draws to even out, but not more than callgrind does in a second or two.
const OPERATIONS: u64 = 50_000;

/// See the module.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for algorithm in Algorithm::ALL {
        for size in SIZES {
            let name = format!("pick {algorithm}, {size} backends");
            let run = move |count| repeat(algorithm, size, 1, count);
            cases.push(Case::new(name, OPERATIONS, run));
            let name = format!("pick {algorithm}, {size} backends of 5 weights");
            let run = move |count| repeat(algorithm, size, 5, count);
            cases.push(Case::new(name, OPERATIONS, run));
        }
    }
    for size in SIZES {
        let name = format!("pick hash, {size} backends");
        let run = move |count| repeat_by_key(size, count);
        cases.push(Case::new(name, OPERATIONS, run));
    }
    cases
}

fn repeat_by_key(size: u32, count: u64) {
    let owner =
        |slot| Owner { name: format!("backend {slot}"), slot: BackendSlot(slot), weight: 1 };
    let table = Arc::new(Table::new(SEED, TABLE_SIZE, (0..size).map(owner).collect()));
    let slots = (0..size).map(BackendSlot);
    let candidates: Vec<Candidate> = slots.map(|slot| Candidate { slot, weight: 1 }).collect();
    let mut loads = FixedLoads((0..size).map(|at| at % LOADS).collect());
    let mut prng = Prng::new(SEED);
    let mut picker = Picker::by_key(table, BALANCE_PERCENT, &candidates);
    for number in 0..count {
        let key = HashKey::Path.of_bytes(SEED, &number.to_le_bytes());
        let picked = picker.pick_by_key(key, &mut loads, |_| true, &mut prng);
        black_box(picked.expect("all are usable"));
    }
}

struct FixedLoads(Vec<u32>);

impl Load for FixedLoads {
    fn in_flight(&mut self, slot: BackendSlot) -> u32 {
        self.0[slot.index()]
    }
}

fn repeat(algorithm: Algorithm, size: u32, weights: u32, count: u64) {
    let slots = (0..size).map(BackendSlot);
    let candidate = |slot: BackendSlot| Candidate { slot, weight: 1 + slot.0 % weights };
    let candidates: Vec<Candidate> = slots.map(candidate).collect();
    let mut loads = FixedLoads((0..size).map(|at| at % LOADS).collect());
    let usable = black_box(vec![true; size as usize]);
    let mut prng = Prng::new(SEED);
    let mut picker = Picker::new(algorithm, &candidates, &mut prng);
    for _ in 0..count {
        let picked = picker.pick(&mut loads, |slot| usable[slot.index()], &mut prng);
        black_box(picked.expect("all are usable"));
    }
}
