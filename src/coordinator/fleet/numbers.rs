//! The numbers of listeners and routes, under which shards count: given when a configuration is put
//! in force, and taken back when no shard can count under them any more. Those of pools and
//! backends are taken back by [`Fleet::reap`].

use super::Fleet;
use crate::base::{Generation, Instant, RouteId};
use crate::config::{Config, Endpoint, ListenerIndex};
use crate::coordinator::events::Event;
use crate::engine::Socket;
use crate::limits::LISTENER_LEAVES_AFTER;
use crate::snapshot::{self, Listener};
use crate::tls::TicketKeys;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long the numbers of removed routes and listeners are kept after every shard works without
/// them. Shards still accept on the old sockets for a while, and count under the old numbers; as
/// long again is for a shard that is late.
const NUMBERS_KEPT: Duration = LISTENER_LEAVES_AFTER.saturating_mul(2);

/// Numbers that a configuration has left unused.
#[derive(Default)]
pub(super) struct Gone {
    /// Removed routes or listeners still have theirs.
    has_any: bool,
    /// When all shards first worked without them; none before.
    since: Option<Instant>,
}

impl Fleet {
    /// Every route that has a number: listener (empty: all), host, path.
    pub fn routes(&self) -> impl Iterator<Item = (&(String, String, String), RouteId)> {
        self.registry.routes()
    }

    /// Checks that there are numbers for all names of a configuration, besides those already given.
    ///
    /// # Errors
    /// The kind of number that is too few, and how to mend it.
    pub fn check_room(&self, config: &Config) -> Result<(), String> {
        self.registry.check_room(&snapshot::wanted(config))
    }

    /// The keys of session tickets, which listeners are built with.
    pub(crate) fn ticket_keys(&self) -> &Arc<TicketKeys> {
        &self.registry.tickets
    }

    /// The answers of OCSP that are sent, by their digests, which listeners are built with.
    pub(crate) fn staples_mut(&mut self) -> &mut BTreeSet<[u8; 32]> {
        &mut self.registry.staples
    }

    /// Builds a listener of a configuration for a snapshot, with the numbers that it needs. None
    /// if there are too few, which is an event.
    pub fn build_listener(
        &mut self,
        config: &Config,
        index: ListenerIndex,
        bound: SocketAddr,
        sockets: Vec<Socket>,
    ) -> Option<Listener> {
        let built = snapshot::build_listener(config, index, &mut self.registry, bound, sockets);
        if built.is_none() {
            let what = format!("listener {}", config.listeners[index.0].name);
            self.events.push(Event::NoRoom { what });
        }
        built
    }

    /// Gives the number of a listener to the same one at another endpoint, if it has one.
    pub fn move_listener(&mut self, name: &str, from: Endpoint, to: Endpoint) {
        self.registry.move_listener(name, from, to);
    }

    /// Another configuration is in force: routes and listeners may have gone.
    pub fn note_gone(&mut self) {
        self.gone = Gone { has_any: true, since: None };
    }

    /// Checks again whether numbers can be taken back that were in use at the last time: sessions
    /// on a removed listener may have ended since.
    pub fn recheck_gone(&mut self) {
        self.gone.has_any = true;
    }

    /// Takes back the numbers of routes and listeners that the configuration in force does not
    /// have, once no shard uses them or accepts on their sockets.
    pub fn release_numbers(
        &mut self,
        config: &Config,
        applied: Generation,
        current: Generation,
        now: Instant,
    ) {
        if !self.gone.has_any || applied < current {
            return;
        }
        if now.since(*self.gone.since.get_or_insert(now)) < NUMBERS_KEPT {
            return;
        }
        let wanted = snapshot::wanted(config);
        let Self { registry, ledger, .. } = self;
        registry.release_routes(&wanted).into_iter().for_each(|route| ledger.clear_route(route));
        let is_used = |id| ledger.listeners(id).any(|cell| cell.sessions() > 0);
        let released = registry.release_listeners(&wanted, is_used);
        released.into_iter().for_each(|listener| ledger.clear_listener(listener));
        // A listener whose sessions go on is checked again when there is no room otherwise.
        self.gone.has_any = false;
    }
}
