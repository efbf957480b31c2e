//! The listeners of the configuration in force: which sockets are opened for them, which stay, and
//! which get no new connections. Does not: open or close sockets itself, see [`ListenSockets`] and
//! the shards.

use crate::config::{self, Config, Endpoint, ListenerIndex, Protocol, Transport};
use crate::coordinator::fleet::Fleet;
use crate::engine::Socket;
use crate::snapshot::Listener;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

/// The name and the configured endpoint of a listener.
pub(crate) type ListenerKey = (String, Endpoint);

/// The sockets of a listener, one per shard.
pub struct OpenListener {
    /// The address that they listen on; differs from the configured one if that has port 0.
    pub bound: SocketAddr,
    /// One for each shard.
    pub sockets: Vec<Socket>,
    /// They were passed to the process, and another process may have them too.
    pub is_passed: bool,
}

/// Opens the sockets of listeners, and closes those that no shard uses. The rest of the program
/// implements it.
pub trait ListenSockets {
    /// Opens a listener.
    ///
    /// # Errors
    /// The reason, as a sentence.
    fn open(&mut self, listener: &config::Listener) -> Result<OpenListener, String>;

    /// Whether two listeners, each opened alone, would use the same passed sockets, or none.
    fn is_passed_the_same(&self, _one: &config::Listener, _other: &config::Listener) -> bool {
        true
    }

    /// Follows the options of a listener that a reload may change.
    fn follow(&mut self, _sockets: &[Socket], _listener: &config::Listener) {}

    /// These listeners are open now: passed sockets that none of them uses are logged.
    fn note_open(&mut self, listeners: &[config::Listener]);

    /// Makes the kernel give new connections to another listener on the same port, if there is one,
    /// and not to these sockets of TCP. Shards still accept earlier connections from them. Without
    /// it new connections would be reset when the sockets are closed.
    fn turn_away(&mut self, sockets: &[Socket]);

    /// Closes sockets that were opened and are not needed.
    fn close(&mut self, open: OpenListener);

    /// Closes the sockets that are kept for later listeners: there will be none.
    fn close_unused(&mut self);
}

/// The endpoint of the same listener in another configuration: its own, or one that overlaps with
/// it, as all addresses of a port and a single one. None if it ends.
pub(crate) fn successor(config: &Config, name: &str, endpoint: Endpoint) -> Option<Endpoint> {
    let namesakes = config.listeners.iter().filter(|listener| listener.name == name);
    let mut theirs = namesakes.map(config::Listener::endpoint);
    theirs.find(|one| one.overlaps(&endpoint))
}

/// The sockets of a listener that is open.
fn sockets_of(listener: &Listener) -> OpenListener {
    let Listener { address: bound, is_passed, ref sockets, .. } = *listener;
    OpenListener { bound, sockets: sockets.clone(), is_passed }
}

/// The sockets of listeners that are not in force yet.
pub(crate) struct Opened(Vec<(ListenerKey, OpenListener)>);

/// See the module.
pub struct Listeners {
    sockets: Box<dyn ListenSockets>,
    open: BTreeMap<ListenerKey, Arc<Listener>>,
}

impl Listeners {
    /// None is open.
    pub(crate) fn new(sockets: Box<dyn ListenSockets>) -> Self {
        Self { sockets, open: BTreeMap::new() }
    }

    /// Those that are open.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.open.values()
    }

    /// The same with their names and configured endpoints.
    pub(crate) fn keyed(&self) -> impl Iterator<Item = (&ListenerKey, &Arc<Listener>)> {
        self.open.iter()
    }

    /// Opens the listeners of the configuration `next` that are not open yet by the `present` one:
    /// all of them, or none.
    ///
    /// # Errors
    /// Why one cannot be opened, as a sentence.
    pub(crate) fn open(&mut self, present: &Config, next: &Config) -> Result<Opened, String> {
        let keys = next.listeners.iter().map(|one| (one.name.clone(), one.endpoint()));
        let kept = keys.filter_map(|key| Some((self.open.get(&key)?.endpoint(), key.0)));
        let mut by_endpoint: HashMap<Endpoint, String> = kept.collect();
        let mut opened: Vec<(ListenerKey, OpenListener)> = Vec::new();
        for listener in &next.listeners {
            let key = (listener.name.clone(), listener.endpoint());
            if self.open.contains_key(&key) {
                continue;
            }
            let inherited = self.inherited(present, next, listener);
            match inherited.map_or_else(|| self.open_one(listener, &by_endpoint), Ok) {
                Ok(open) => {
                    let bound = Endpoint { address: open.bound, ..listener.endpoint() };
                    by_endpoint.insert(bound, listener.name.clone());
                    opened.push((key, open));
                }
                Err(error) => {
                    self.close_unneeded(opened);
                    return Err(error);
                }
            }
        }
        Ok(Opened(opened))
    }

    /// Closes sockets that were just opened, but for those that serve.
    fn close_unneeded(&mut self, opened: Vec<(ListenerKey, OpenListener)>) {
        let serve = |open: &OpenListener| self.open.values().any(|one| one.sockets == open.sockets);
        let (_, unused): (Vec<_>, Vec<_>) = opened.into_iter().partition(|(_, open)| serve(open));
        unused.into_iter().for_each(|(_, open)| self.sockets.close(open));
    }

    /// Opens a listener beside those that are open by their endpoints. A socket that was passed to
    /// the process may be one listener's by its name and another's by its address.
    fn open_one(
        &mut self,
        listener: &config::Listener,
        by_endpoint: &HashMap<Endpoint, String>,
    ) -> Result<OpenListener, String> {
        let open = self.sockets.open(listener)?;
        let bound = Endpoint { address: open.bound, ..listener.endpoint() };
        let Some(other) = by_endpoint.get(&bound) else { return Ok(open) };
        let (name, bound) = (&listener.name, open.bound);
        self.sockets.close(open);
        Err(format!(
            "listeners \"{name}\" and \"{other}\" would both have {bound}, as where a socket that \
             was passed is one's by its name and the other's by its address: give one of them \
             another name or address"
        ))
    }

    /// The sockets of a listener that ends in a configuration and has the very endpoint of this
    /// new one: they stay open, so that no connection at that moment is lost. Not where another
    /// socket was passed for the new one, as by its name: a new process would use that.
    fn inherited(
        &self,
        present: &Config,
        next: &Config,
        new: &config::Listener,
    ) -> Option<OpenListener> {
        let is_key = |one: &config::Listener, key: &ListenerKey| {
            one.name == key.0 && one.endpoint() == key.1
        };
        let fits = |key: &ListenerKey| {
            let is_alike = |one: &config::Listener| {
                is_key(one, key)
                    && one.steering == new.steering
                    && one.mptcp == new.mptcp
                    && self.sockets.is_passed_the_same(one, new)
            };
            key.1 == new.endpoint()
                && key.1.address.port() != 0
                && present.listeners.iter().any(is_alike)
                && !next.listeners.iter().any(|one| is_key(one, key))
        };
        let (_, ends) = self.open.iter().find(|(key, _)| fits(key))?;
        Some(sockets_of(ends))
    }

    /// Sets the listeners of the configuration in force, with the sockets of the new ones. Shards
    /// close the sockets of removed ones.
    pub(crate) fn set(&mut self, config: &Config, opened: Opened, fleet: &mut Fleet) {
        let mut listen_sockets: BTreeMap<_, OpenListener> = opened.0.into_iter().collect();
        let moved = self.open.iter().filter_map(|((name, from), known)| {
            let to = successor(config, name, known.endpoint())?;
            (!self.open.contains_key(&(name.clone(), to))).then_some((name, *from, to))
        });
        moved.for_each(|(name, from, to)| fleet.move_listener(name, from, to));
        let mut listeners = BTreeMap::new();
        for (index, listener) in config.listeners.iter().enumerate() {
            let key = (listener.name.clone(), listener.endpoint());
            let known = self.open.get(&key);
            let open = listen_sockets.remove(&key).or_else(|| Some(sockets_of(known?)));
            let Some(OpenListener { bound, sockets, is_passed }) = open else { continue };
            self.sockets.follow(&sockets, listener);
            let built = fleet.build_listener(config, ListenerIndex(index), bound, sockets);
            let built = built.map(|listener| Arc::new(Listener { is_passed, ..listener }));
            listeners.extend(built.map(|listener| (key, listener)));
        }
        let before = std::mem::replace(&mut self.open, listeners);
        before.into_values().for_each(|listener| self.turn_away(&listener));
        self.sockets.note_open(&config.listeners);
    }

    /// Builds the open listeners of HTTPS anew, on the same sockets: connections that are open keep
    /// what they have.
    pub(crate) fn rebuild_https(&mut self, config: &Config, fleet: &mut Fleet) {
        let listeners = config.listeners.iter().enumerate();
        for (index, listener) in listeners.filter(|(_, one)| one.protocol == Protocol::Https) {
            let key = (listener.name.clone(), listener.endpoint());
            let Some(known) = self.open.get_mut(&key) else { continue };
            let OpenListener { bound, sockets, is_passed } = sockets_of(known);
            if let Some(built) = fleet.build_listener(config, ListenerIndex(index), bound, sockets)
            {
                *known = Arc::new(Listener { is_passed, ..built });
            }
        }
    }

    /// Diverts new connections from a removed listener. Not where another one has the same address:
    /// the kernel would still use the sockets of both. With UDP, responses leave from the same
    /// sockets.
    fn turn_away(&mut self, gone: &Listener) {
        let mut open = self.open.values();
        let is_alone = open.all(|one| one.endpoint() != gone.endpoint());
        if is_alone && gone.endpoint().transport == Transport::Tcp {
            self.sockets.turn_away(&gone.sockets);
        }
    }

    /// Closes the sockets that are kept for later listeners: there will be none.
    pub(crate) fn close_unused(&mut self) {
        self.sockets.close_unused();
    }
}
