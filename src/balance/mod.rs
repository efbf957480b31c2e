//! Picking a backend. Pure: candidates, loads and random numbers in, a choice out.
//!
//! One file per algorithm; each picks in constant time (while most candidates are usable) and
//! without allocating. Does not: know addresses, health or connections.

mod hash;
mod hashing;
mod least_connections;
mod maglev;
mod power_of_two;
mod round_robin;
mod siphash;
mod weighted;

pub use hash::{HashKey, HashRules, KeyHash, is_prime};
pub use hashing::owner_and_fit;
pub use maglev::{Owner, Table};

use crate::base::{BackendSlot, Prng};
use hashing::Hashing;
use round_robin::Sequence;
use std::fmt;
use std::sync::Arc;
use weighted::Weights;

/// A load balancing algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// Two candidates drawn by weight, the less loaded wins.
    #[default]
    P2c,
    /// The least loaded in a sample of bounded size, drawn by weight.
    LeastConnections,
    /// In turn, smoothly, by weight.
    RoundRobin,
    /// At random, by weight.
    Random,
    /// By the hash of a key; p2c for what has none.
    Hash,
}

impl Algorithm {
    /// Every algorithm that needs no key.
    pub const ALL: [Self; 4] = [Self::P2c, Self::LeastConnections, Self::RoundRobin, Self::Random];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::P2c => "p2c",
            Self::LeastConnections => "least-connections",
            Self::RoundRobin => "round-robin",
            Self::Random => "random",
            Self::Hash => "hash",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A backend that may be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its row in the tables of counts.
    pub slot: BackendSlot,
    /// Its share relative to the others; at least 1.
    pub weight: u32,
}

/// The load of a backend.
pub trait Load {
    /// Exchanges in flight, of all shards as last published.
    fn in_flight(&mut self, slot: BackendSlot) -> u32;
}

/// Picks backends of one pool for one shard.
#[derive(Clone, Debug)]
pub struct Picker {
    candidates: Box<[Candidate]>,
    weights: Weights,
    policy: Policy,
}

#[derive(Clone, Debug)]
enum Policy {
    P2c,
    LeastConnections,
    RoundRobin(Sequence),
    Random,
    Hash(Box<Hashing>),
}

impl Picker {
    /// A picker with a random phase of its own, so that shards do not move in step. Without a table
    /// (see [`Picker::by_key`]) no key is hashed.
    pub fn new(algorithm: Algorithm, candidates: &[Candidate], prng: &mut Prng) -> Self {
        let policy = match algorithm {
            Algorithm::P2c | Algorithm::Hash => Policy::P2c,
            Algorithm::LeastConnections => Policy::LeastConnections,
            Algorithm::RoundRobin => Policy::RoundRobin(Sequence::new(candidates, prng)),
            Algorithm::Random => Policy::Random,
        };
        Self { candidates: candidates.into(), weights: Weights::new(candidates), policy }
    }

    /// A picker by the hash of a key. `balance_percent`: most exchanges in flight of a backend,
    /// percent of its share by weight, from 100; 0: no bound.
    pub fn by_key(table: Arc<Table>, balance_percent: u32, candidates: &[Candidate]) -> Self {
        let hashing = Hashing::new(table, balance_percent, candidates);
        let policy = Policy::Hash(Box::new(hashing));
        Self { candidates: candidates.into(), weights: Weights::new(candidates), policy }
    }

    /// The picker of the next generation. It keeps its phase: a change must not make shards begin
    /// anew, all with the same backend, or pick any backend twice.
    pub fn succeed(&self, candidates: &[Candidate], prng: &mut Prng) -> Self {
        if *self.candidates == *candidates {
            return self.clone();
        }
        let policy = match &self.policy {
            Policy::RoundRobin(sequence) => Policy::RoundRobin(sequence.succeed(candidates, prng)),
            other => other.clone(),
        };
        Self { candidates: candidates.into(), weights: Weights::new(candidates), policy }
    }

    /// A backend for the next exchange; none if no candidate is usable.
    pub fn pick(
        &mut self,
        load: &mut impl Load,
        usable: impl Fn(BackendSlot) -> bool,
        prng: &mut Prng,
    ) -> Option<BackendSlot> {
        let candidates = &*self.candidates;
        let usable = |index: usize| usable(candidates[index].slot);
        let index = match &mut self.policy {
            Policy::P2c | Policy::Hash(_) => {
                power_of_two::pick(candidates, &self.weights, load, &usable, prng)
            }
            Policy::LeastConnections => {
                least_connections::pick(candidates, &self.weights, load, &usable, prng)
            }
            Policy::RoundRobin(sequence) => sequence.pick(&usable),
            Policy::Random => self.weights.draw(&usable, prng),
        }?;
        Some(candidates[index].slot)
    }

    /// The same for an exchange with a key. Without a table the key does not
    /// matter.
    pub fn pick_by_key(
        &mut self,
        key: KeyHash,
        load: &mut impl Load,
        usable: impl Fn(BackendSlot) -> bool,
        prng: &mut Prng,
    ) -> Option<BackendSlot> {
        let candidates = &*self.candidates;
        let Policy::Hash(hashing) = &mut self.policy else { return self.pick(load, usable, prng) };
        let usable = |index: usize| usable(candidates[index].slot);
        let index = hashing.pick(key.get(), candidates, load, &usable)?;
        Some(candidates[index].slot)
    }
}

/// Whether the first of two loads, each with its weight, is less for its weight. That is decided by
/// chance: each counts as up to an exchange more or less. So the chance grows with the difference,
/// as far as two exchanges on the lighter one, and is even where both have their share, which is
/// hardly ever a whole number. Without chance, rounding favours the heavy ones or the light ones.
fn is_less_within_one(load: (u32, u32), other: (u32, u32), prng: &mut Prng) -> bool {
    let mut about = |load: u32| f64::from(load) + 2.0 * random_part(prng) - 1.0;
    let (load, other) = ((about(load.0), load.1), (about(other.0), other.1));
    load.0 * f64::from(other.1) < other.0 * f64::from(load.1)
}

/// A random number from 0 to 1, without 1.
fn random_part(prng: &mut Prng) -> f64 {
    const STEPS: u32 = 1 << 30;
    f64::from(prng.below(STEPS)) / f64::from(STEPS)
}

#[cfg(test)]
mod hash_tests;
#[cfg(test)]
mod tests;
