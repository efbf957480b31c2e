//! Numbers for names, stable over generations: what stays keeps its number. Numbers of pools,
//! routes and listeners are kept for as long as the process lives; the slot of a backend that is
//! gone is given to another one once nobody uses it.

use crate::base::{BackendSlot, ListenerId, PoolId, RouteId};
use crate::limits::{BACKENDS_MAX, LISTENERS_MAX, POOLS_MAX, ROUTES_MAX};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::SocketAddr;

/// The numbers given so far.
#[derive(Default)]
pub struct Registry {
    pools: HashMap<String, PoolId>,
    routes: HashMap<(String, String, String), RouteId>,
    listeners: HashMap<(String, SocketAddr), ListenerId>,
    slots: HashMap<(PoolId, SocketAddr), BackendSlot>,
    free_slots: Vec<BackendSlot>,
}

impl Registry {
    /// The id of the pool of this name; none if there have been too many.
    pub fn pool(&mut self, name: &str) -> Option<PoolId> {
        number(&mut self.pools, name.to_owned(), POOLS_MAX, |next| PoolId(next as u32))
    }

    /// The id of the route of a listener (empty: of all) for a host and path; none if there have
    /// been too many.
    pub fn route(&mut self, listener: &str, host: &str, path: &str) -> Option<RouteId> {
        let key = (listener.to_owned(), host.to_owned(), path.to_owned());
        number(&mut self.routes, key, ROUTES_MAX, |next| RouteId(next as u32))
    }

    /// The id of the listener of this name at this address; none if there have been too many.
    pub fn listener(&mut self, name: &str, address: SocketAddr) -> Option<ListenerId> {
        let key = (name.to_owned(), address);
        number(&mut self.listeners, key, LISTENERS_MAX, |next| ListenerId(next as u16))
    }

    /// The slot of a backend; none if all of [`BACKENDS_MAX`] are taken.
    pub fn slot(&mut self, pool: PoolId, address: SocketAddr) -> Option<BackendSlot> {
        let given = self.slots.len() + self.free_slots.len();
        match self.slots.entry((pool, address)) {
            Entry::Occupied(entry) => Some(*entry.get()),
            Entry::Vacant(entry) => {
                let fresh = || (given < BACKENDS_MAX).then_some(BackendSlot(given as u32));
                Some(*entry.insert(self.free_slots.pop().or_else(fresh)?))
            }
        }
    }

    /// Takes the slot of a backend back. No shard may use it any more.
    pub fn release_slot(&mut self, pool: PoolId, address: SocketAddr) {
        self.free_slots.extend(self.slots.remove(&(pool, address)));
    }

    /// Every route that has a number: listener (empty: all), host, path.
    pub fn routes(&self) -> impl Iterator<Item = (&(String, String, String), RouteId)> {
        self.routes.iter().map(|(key, id)| (key, *id))
    }
}

fn number<K: Hash + Eq, T: Copy>(
    numbers: &mut HashMap<K, T>,
    key: K,
    most: usize,
    make: impl Fn(usize) -> T,
) -> Option<T> {
    let next = numbers.len();
    match numbers.entry(key) {
        Entry::Occupied(entry) => Some(*entry.get()),
        Entry::Vacant(entry) => (next < most).then(|| *entry.insert(make(next))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_keeps_its_number_and_a_free_slot_is_given_again() {
        let mut registry = Registry::default();
        let (one, two) = (registry.pool("one").unwrap(), registry.pool("two").unwrap());
        assert_ne!(one, two);
        assert_eq!(registry.pool("one"), Some(one));
        let address = |n| SocketAddr::from(([192, 0, 2, n], 80));
        let first = registry.slot(one, address(1)).unwrap();
        let second = registry.slot(two, address(1)).unwrap();
        assert_ne!(first, second, "the same address in two pools is two backends");
        registry.release_slot(one, address(1));
        assert_eq!(registry.slot(one, address(2)), Some(first));
        assert_eq!(registry.slot(one, address(1)), Some(BackendSlot(2)));
        assert_eq!(registry.slot(two, address(1)), Some(second));
    }

    #[test]
    fn no_more_slots_than_the_tables_have_rows() {
        let mut registry = Registry::default();
        let address = |n: usize| SocketAddr::from(([10, 0, 0, 1], n as u16 + 1));
        let pool = registry.pool("all").unwrap();
        assert!((0..BACKENDS_MAX).all(|n| registry.slot(pool, address(n)).is_some()));
        assert_eq!(registry.slot(pool, address(BACKENDS_MAX)), None);
        registry.release_slot(pool, address(7));
        assert_eq!(registry.slot(pool, address(BACKENDS_MAX)), Some(BackendSlot(7)));
    }
}
