//! What lasts over generations: numbers for names, and the keys of session tickets. A name that
//! stays keeps its number. The number of a removed route or listener is given again only when no
//! fresh one is left, so that a session that still counts under it is unlikely to meet its next
//! owner; the slot of a removed backend, which no shard uses any more, is the next to be given.

use crate::base::{BackendSlot, ListenerId, PoolId, RouteId};
use crate::config::Endpoint;
use crate::limits::{BACKENDS_MAX, LISTENERS_MAX, POOLS_MAX, ROUTES_MAX};
use crate::tls::TicketKeys;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;

/// A route by its listener (empty: all), host, and path or protocols of TLS.
pub type RouteKey = (String, String, String);
/// A listener by its name, transport and address.
pub type ListenerKey = (String, Endpoint);

/// The numbers given so far, the keys of tickets, and the answers of OCSP that are sent.
pub struct Registry {
    /// The keys of session tickets.
    pub tickets: Arc<TicketKeys>,
    /// The answers of OCSP that are sent now, by their digests.
    pub staples: BTreeSet<[u8; 32]>,
    pools: Numbers<String>,
    routes: Numbers<RouteKey>,
    listeners: Numbers<ListenerKey>,
    slots: HashMap<(PoolId, SocketAddr), BackendSlot>,
    free_slots: Vec<BackendSlot>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            tickets: Arc::default(),
            staples: BTreeSet::new(),
            pools: Numbers::new(POOLS_MAX),
            routes: Numbers::new(ROUTES_MAX),
            listeners: Numbers::new(LISTENERS_MAX),
            slots: HashMap::new(),
            free_slots: Vec::new(),
        }
    }
}

/// The names that need a number.
#[derive(Default)]
pub struct Wanted {
    /// Of pools.
    pub pools: HashSet<String>,
    /// Of routes.
    pub routes: HashSet<RouteKey>,
    /// Of listeners.
    pub listeners: HashSet<ListenerKey>,
}

impl Registry {
    /// Checks that there are numbers for all wanted names, besides those already given.
    ///
    /// # Errors
    /// The kind of number that is too few, and how to mend it.
    pub fn check_room(&self, wanted: &Wanted) -> Result<(), String> {
        self.pools.check_room(&wanted.pools, "pools")?;
        self.routes.check_room(&wanted.routes, "routes")?;
        self.listeners.check_room(&wanted.listeners, "listeners")
    }

    /// The id of the pool of this name; none if there are too many.
    pub fn pool(&mut self, name: &str) -> Option<PoolId> {
        self.pools.of(name.to_owned()).map(PoolId)
    }

    /// Takes the number of a pool back.
    pub fn release_pool(&mut self, name: &str) {
        self.pools.release(|pool| pool != name);
    }

    /// The id of the route of a listener (empty: of all) for a host and path; none if there are
    /// too many.
    pub fn route(&mut self, listener: &str, host: &str, path: &str) -> Option<RouteId> {
        self.routes.of((listener.to_owned(), host.to_owned(), path.to_owned())).map(RouteId)
    }

    /// Takes back the numbers of all routes but those wanted, and returns them.
    pub fn release_routes(&mut self, wanted: &Wanted) -> Vec<RouteId> {
        let released = self.routes.release(|route| wanted.routes.contains(route));
        released.into_iter().map(RouteId).collect()
    }

    /// The id of the listener of this name at this endpoint; none if there are too many.
    pub fn listener(&mut self, name: &str, endpoint: Endpoint) -> Option<ListenerId> {
        // The table has less than 2^16 rows.
        self.listeners.of((name.to_owned(), endpoint)).map(|number| ListenerId(number as u16))
    }

    /// Gives the number of a listener to the same one at another endpoint, if it has one.
    pub fn move_listener(&mut self, name: &str, from: Endpoint, to: Endpoint) {
        let given = &mut self.listeners.given;
        if let Some(number) = given.remove(&(name.to_owned(), from)) {
            given.insert((name.to_owned(), to), number);
        }
    }

    /// Takes back the numbers of listeners that are neither wanted nor in use, and returns them.
    pub fn release_listeners(
        &mut self,
        wanted: &Wanted,
        is_used: impl Fn(ListenerId) -> bool,
    ) -> Vec<ListenerId> {
        let given = &self.listeners.given;
        let used = given.iter().filter(|(_, number)| is_used(ListenerId(**number as u16)));
        let used: HashSet<ListenerKey> = used.map(|(key, _)| key.clone()).collect();
        let released =
            self.listeners.release(|key| wanted.listeners.contains(key) || used.contains(key));
        released.into_iter().map(|number| ListenerId(number as u16)).collect()
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
    pub fn routes(&self) -> impl Iterator<Item = (&RouteKey, RouteId)> {
        self.routes.given.iter().map(|(key, number)| (key, RouteId(*number)))
    }
}

/// Numbers below a maximum, for names of one kind.
struct Numbers<K> {
    given: HashMap<K, u32>,
    /// Numbers given back, the one that was free for longest first.
    free: VecDeque<u32>,
    /// The next number that was never given.
    fresh: u32,
    most: u32,
}

impl<K: Hash + Eq + Clone> Numbers<K> {
    fn new(most: usize) -> Self {
        Self { given: HashMap::new(), free: VecDeque::new(), fresh: 0, most: most as u32 }
    }

    fn of(&mut self, key: K) -> Option<u32> {
        match self.given.entry(key) {
            Entry::Occupied(entry) => Some(*entry.get()),
            Entry::Vacant(entry) if self.fresh < self.most => {
                self.fresh += 1;
                Some(*entry.insert(self.fresh - 1))
            }
            Entry::Vacant(entry) => Some(*entry.insert(self.free.pop_front()?)),
        }
    }

    fn check_room(&self, wanted: &HashSet<K>, what: &str) -> Result<(), String> {
        let new = wanted.iter().filter(|key| !self.given.contains_key(*key)).count();
        let room = (self.most - self.fresh) as usize + self.free.len();
        if new <= room {
            return Ok(());
        }
        Err(format!(
            "{new} new {what} are more than the {room} that there is room for while the present \
             ones serve: make the change in two steps, or restart"
        ))
    }

    fn release(&mut self, is_kept: impl Fn(&K) -> bool) -> Vec<u32> {
        let gone: Vec<K> = self.given.keys().filter(|key| !is_kept(key)).cloned().collect();
        let mut numbers: Vec<u32> = gone.iter().filter_map(|key| self.given.remove(key)).collect();
        numbers.sort_unstable();
        self.free.extend(&numbers);
        numbers
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
    fn numbers_of_what_is_gone_are_given_again_when_there_are_no_fresh_ones() {
        let mut registry = Registry::default();
        let wanted = |from: usize, count: usize| {
            let route = |n: usize| (String::new(), "*".to_owned(), format!("/{n}"));
            Wanted { routes: (from..from + count).map(route).collect(), ..Wanted::default() }
        };
        let give = |registry: &mut Registry, wanted: &Wanted| -> HashSet<RouteId> {
            let one = |(l, h, p): &RouteKey| registry.route(l, h, p).expect("there is room");
            wanted.routes.iter().map(one).collect()
        };
        for round in 0..10 {
            let wanted = wanted(round * 30_000, 30_000);
            registry.check_room(&wanted).expect("there is room");
            assert_eq!(give(&mut registry, &wanted).len(), 30_000, "each has its own");
            registry.release_routes(&wanted);
        }
        let refused = registry.check_room(&wanted(900_000, 40_000)).expect_err("too many");
        assert!(refused.contains("40000 new routes") && refused.contains("35536"), "{refused}");
        assert_eq!(registry.routes().count(), 30_000);
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
