//! Identifiers. Each is a number that means one thing, so that two of them cannot be swapped.

use std::fmt;

/// A shard: one data-plane thread, `0..shards`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// A pool. Stays the same over every generation in which a pool of that name exists and is not
/// given to another name while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolId(pub u32);

/// The row of a backend in the tables of published counts. One row per pool and address; stays
/// the same while that backend exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendSlot(pub u32);

/// A listener: one name on one address. Stays the same while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// A route. Stays the same over every generation that has a route for that listener, host and
/// path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

/// The number of a snapshot; a later one is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

impl ShardId {
    /// The id as an index into tables with a row per shard.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl ListenerId {
    /// The id as an index into tables with a row per listener.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl RouteId {
    /// The id as an index into tables with a row per route.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl PoolId {
    /// The id as an index into tables with a row per pool.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl BackendSlot {
    /// The slot as an index into tables with a row per backend.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
