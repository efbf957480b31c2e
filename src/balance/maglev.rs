//! Consistent hashing by a table (Maglev: Eisenbud and others, 2016, section 3.4): each backend
//! takes places of the table in an order of its own, in turn and by weight. The table depends on
//! the names and weights of the backends, the seed and the size alone, so it is the same on
//! every shard, after a restart, and on every balancer with the same configuration.

use super::siphash::SipHash;
use crate::base::BackendSlot;
use std::fmt;

/// Second words of the keys under which names are hashed.
const OFFSET: u64 = 0x6f66_6673_6574;
const SKIP: u64 = 0x736b_6970;
const DIGEST: u64 = 0x6469_6765_7374;

/// A backend of the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Its name: the same on every balancer.
    pub name: String,
    /// Its row in the tables of counts.
    pub slot: BackendSlot,
    /// Its share of the table relative to the others; at least 1.
    pub weight: u32,
}

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Table {
    seed: u64,
    owners: Box<[Owner]>,
    /// Positions in `owners`; empty if there are none.
    places: Box<[u16]>,
    digest: u64,
}

impl Table {
    /// A table of `size` places, a prime number, for these backends in any order.
    pub fn new(seed: u64, size: u32, mut owners: Vec<Owner>) -> Self {
        owners.sort();
        let places = filled(seed, size, &owners);
        let digest = digest(seed, &owners, &places);
        Self { seed, owners: owners.into(), places, digest }
    }

    /// True if [`Table::new`] would make the same one.
    pub fn is_of(&self, seed: u64, size: u32, owners: &[Owner]) -> bool {
        let has_size = self.places.len() == size as usize || self.owners.is_empty();
        let mut sorted: Vec<&Owner> = owners.iter().collect();
        sorted.sort();
        self.seed == seed && has_size && sorted.into_iter().eq(self.owners.iter())
    }

    /// The backends, by name.
    pub fn owners(&self) -> &[Owner] {
        &self.owners
    }

    /// The same number for the same names on the same places.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The owners of the place of a key and of all those behind it, as positions in
    /// [`Table::owners`].
    pub fn from(&self, key: u64) -> impl Iterator<Item = usize> {
        let start = key.checked_rem(self.places.len() as u64).unwrap_or(0) as usize;
        let (before, behind) = self.places.split_at(start);
        behind.iter().chain(before).map(|place| usize::from(*place))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({:016x}, {} places)", self.digest, self.places.len())
    }
}

/// The order in which a backend takes places.
struct Wants {
    next: u64,
    skip: u64,
    /// The next round in which it takes a place, as a multiple of the greatest weight.
    due: u64,
}

fn filled(seed: u64, size: u32, owners: &[Owner]) -> Box<[u16]> {
    const FREE: u16 = u16::MAX;
    let Some(heaviest) = owners.iter().map(|owner| u64::from(owner.weight)).max() else {
        return Box::default();
    };
    let prime = u64::from(size);
    let wants = |owner: &Owner| Wants {
        next: hash([seed, OFFSET], owner.name.as_bytes()) % prime,
        skip: hash([seed, SKIP], owner.name.as_bytes()) % (prime - 1) + 1,
        due: 0,
    };
    let mut wants: Vec<Wants> = owners.iter().map(wants).collect();
    let mut places = vec![FREE; size as usize];
    let (mut left, mut round) = (size, 0);
    while left > 0 {
        for (index, (want, owner)) in wants.iter_mut().zip(owners).enumerate() {
            if round * u64::from(owner.weight) < want.due {
                continue;
            }
            want.due += heaviest;
            while places[want.next as usize] != FREE {
                want.next = (want.next + want.skip) % prime;
            }
            places[want.next as usize] = index as u16;
            left -= 1;
            if left == 0 {
                break;
            }
        }
        round += 1;
    }
    places.into()
}

fn digest(seed: u64, owners: &[Owner], places: &[u16]) -> u64 {
    let mut digest = SipHash::new([seed, DIGEST]);
    for owner in owners {
        digest.write(owner.name.as_bytes());
        digest.push(0);
    }
    places.iter().for_each(|place| digest.write(&place.to_le_bytes()));
    digest.finish()
}

fn hash(key: [u64; 2], bytes: &[u8]) -> u64 {
    let mut hash = SipHash::new(key);
    hash.write(bytes);
    hash.finish()
}
