//! The listeners of a configuration: which sockets are opened for them, which stay, and which get
//! no new connections. Does not: open or close sockets, see `cli/listen_sockets` and the shards.

use super::{Control, ListenerKey};
use crate::config::values::overlap;
use crate::config::{self, Config, ListenerIndex};
use crate::coordinator::events::Event;
use crate::coordinator::reload::OpenListener;
use crate::snapshot::{self, Listener};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

/// The address of the same listener in another configuration: its own, or one that overlaps with
/// it, as all addresses of a port and a single one. None if it ends.
pub(super) fn successor(config: &Config, name: &str, address: SocketAddr) -> Option<SocketAddr> {
    let mut namesakes = config.listeners.iter().filter(|listener| listener.name == name);
    namesakes.find_map(|one| overlap(one.address, address).then_some(one.address))
}

impl Control {
    /// Opens the listeners of a configuration that are not open yet: all of them, or none.
    pub(super) fn open_listeners(
        &mut self,
        config: &Config,
    ) -> Result<Vec<(ListenerKey, OpenListener)>, String> {
        let keys = config.listeners.iter().map(|one| (one.name.clone(), one.address));
        let kept = keys.filter_map(|key| Some((self.listeners.get(&key)?.address, key.0)));
        let mut by_address: HashMap<SocketAddr, String> = kept.collect();
        let mut opened: Vec<(ListenerKey, OpenListener)> = Vec::new();
        for listener in &config.listeners {
            let key = (listener.name.clone(), listener.address);
            if self.listeners.contains_key(&key) {
                continue;
            }
            let inherited = self.inherited(config, listener);
            match inherited.map_or_else(|| self.open_listener(listener, &by_address), Ok) {
                Ok(open) => {
                    by_address.insert(open.bound, listener.name.clone());
                    opened.push((key, open));
                }
                Err(error) => {
                    let serve = |open: &OpenListener| {
                        self.listeners.values().any(|one| one.sockets == open.sockets)
                    };
                    let (_, unused): (Vec<_>, Vec<_>) =
                        opened.into_iter().partition(|(_, open)| serve(open));
                    unused.into_iter().for_each(|(_, open)| self.listen_sockets.close(open));
                    return Err(error);
                }
            }
        }
        Ok(opened)
    }

    /// Opens a listener beside those that are open by address. A socket that was passed to the
    /// process may be one listener's by its name and another's by its address.
    fn open_listener(
        &mut self,
        listener: &config::Listener,
        by_address: &HashMap<SocketAddr, String>,
    ) -> Result<OpenListener, String> {
        let open = self.listen_sockets.open(listener)?;
        let Some(other) = by_address.get(&open.bound) else { return Ok(open) };
        let (name, bound) = (&listener.name, open.bound);
        self.listen_sockets.close(open);
        Err(format!(
            "listeners \"{name}\" and \"{other}\" would both have {bound}, as where a socket that \
             was passed is one's by its name and the other's by its address: give one of them \
             another name or address"
        ))
    }

    /// The sockets of a listener that ends in a configuration and has the very address of this new
    /// one: they stay open, so that no connection at that moment is lost. Not where another socket
    /// was passed for the new one, as by its name: a new process would use that.
    fn inherited(&self, config: &Config, new: &config::Listener) -> Option<OpenListener> {
        let is_key =
            |one: &config::Listener, key: &ListenerKey| one.name == key.0 && one.address == key.1;
        let fits = |key: &ListenerKey| {
            let is_alike = |one: &config::Listener| {
                is_key(one, key)
                    && one.steering == new.steering
                    && self.listen_sockets.is_passed_the_same(one, new)
            };
            key.1 == new.address
                && key.1.port() != 0
                && self.config.listeners.iter().any(is_alike)
                && !config.listeners.iter().any(|one| is_key(one, key))
        };
        let (_, ends) = self.listeners.iter().find(|(key, _)| fits(key))?;
        Some(OpenListener { bound: ends.address, sockets: ends.sockets.clone() })
    }

    /// Sets the listeners of the configuration, with the sockets of the new ones. Shards close the
    /// sockets of removed ones.
    pub(super) fn set_listeners(&mut self, opened: Vec<(ListenerKey, OpenListener)>) {
        let mut listen_sockets: BTreeMap<_, OpenListener> = opened.into_iter().collect();
        let moved = self.listeners.iter().filter_map(|((name, from), known)| {
            let to = successor(&self.config, name, known.address)?;
            (!self.listeners.contains_key(&(name.clone(), to))).then_some((name, *from, to))
        });
        moved.for_each(|(name, from, to)| self.fleet.registry.move_listener(name, from, to));
        let mut listeners = BTreeMap::new();
        for (index, listener) in self.config.listeners.iter().enumerate() {
            let key = (listener.name.clone(), listener.address);
            let known = self.listeners.get(&key);
            let (bound, sockets) = match (listen_sockets.remove(&key), known) {
                (Some(open), _) => (open.bound, open.sockets),
                (None, Some(known)) => (known.address, known.sockets.clone()),
                (None, None) => continue,
            };
            let registry = &mut self.fleet.registry;
            let index = ListenerIndex(index);
            match snapshot::build_listener(&self.config, index, registry, bound, sockets) {
                Some(listener) => drop(listeners.insert(key, Arc::new(listener))),
                None => {
                    let what = format!("listener {}", listener.name);
                    self.fleet.events.push(Event::NoRoom { what });
                }
            }
        }
        let before = std::mem::replace(&mut self.listeners, listeners);
        before.into_values().for_each(|listener| self.turn_away(&listener));
        self.listen_sockets.note_open(&self.config.listeners);
    }

    /// Diverts new connections from a removed listener. Not where another one has the same address:
    /// the kernel would still use the sockets of both.
    fn turn_away(&mut self, gone: &Listener) {
        let mut open = self.listeners.values();
        if open.all(|one| one.address != gone.address) {
            self.listen_sockets.turn_away(&gone.sockets);
        }
    }
}
