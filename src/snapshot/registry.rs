//! Numbers for names, stable over generations: the same pool keeps its id and the same backend
//! its slot for as long as the process lives.

use crate::base::{BackendSlot, PoolId};
use crate::limits::BACKENDS_MAX;
use std::collections::HashMap;
use std::net::SocketAddr;

/// The numbers given so far.
#[derive(Default)]
pub struct Registry {
    pools: HashMap<String, PoolId>,
    slots: HashMap<(PoolId, SocketAddr), BackendSlot>,
}

impl Registry {
    /// The id of the pool of this name.
    pub fn pool(&mut self, name: &str) -> PoolId {
        let next = PoolId(self.pools.len() as u32);
        *self.pools.entry(name.to_owned()).or_insert(next)
    }

    /// The slot of a backend; none if all of [`BACKENDS_MAX`] are taken.
    pub fn slot(&mut self, pool: PoolId, address: SocketAddr) -> Option<BackendSlot> {
        let next = self.slots.len();
        if next >= BACKENDS_MAX && !self.slots.contains_key(&(pool, address)) {
            return None;
        }
        Some(*self.slots.entry((pool, address)).or_insert(BackendSlot(next as u32)))
    }
}
