//! Listening sockets that systemd has opened and passed to the process (sd_listen_fds(3)): their
//! assignment to listeners, and warnings about unused ones.

use ringway::config::Listener;
use ringway::sys::socket::{self, NoListener};
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// A passed socket.
struct Passed {
    /// Its `FileDescriptorName`.
    name: String,
    address: SocketAddr,
    socket: OwnedFd,
}

/// All passed sockets. They stay open here for a listener that a later reload adds: systemd keeps
/// them open too, so that no other socket could listen on their addresses.
#[derive(Default)]
pub(super) struct PassedSockets {
    all: Vec<Passed>,
    /// Those that no listener uses, by their place in `all`.
    unused: HashSet<usize>,
}

impl PassedSockets {
    /// Takes the sockets passed to this process.
    ///
    /// # Errors
    /// If a descriptor is no listening TCP socket, to which clients could connect.
    pub(super) fn take() -> Result<Self, String> {
        if std::env::var_os("LISTEN_FDS").is_none() {
            return Ok(Self::default());
        }
        let unknown = |error: io::Error| format!("the sockets that were passed: {error}");
        let mut all = Vec::new();
        for (number, name) in sd_notify::listen_fds_with_names().map_err(unknown)? {
            let socket = socket::adopt(number);
            match socket::check_listening(&socket) {
                Ok(address) => all.push(Passed { name, address, socket }),
                Err(why) => return Err(refusal(&name, number, &why)),
            }
        }
        Ok(Self { all, unused: HashSet::new() })
    }

    /// The sockets of this listener, by their places: all on its address; if there is none, all of
    /// its name that share an address with the first of them.
    fn places_for(&self, listener: &Listener) -> Vec<usize> {
        let named = || self.all.iter().find(|one| one.name == listener.name);
        let is_there = self.all.iter().any(|one| one.address == listener.address);
        let address = match is_there {
            true => Some(listener.address),
            false => named().map(|one| one.address),
        };
        let places = (0..self.all.len()).filter(|place| Some(self.all[*place].address) == address);
        places.collect()
    }

    /// Whether two listeners use the same sockets, or none.
    pub(super) fn are_the_same(&self, one: &Listener, other: &Listener) -> bool {
        self.places_for(one) == self.places_for(other)
    }

    /// A socket for each shard, none if no socket was passed for this listener. Shards share them,
    /// so that each is accepted from.
    ///
    /// # Errors
    /// If there are more sockets than shards, or the process has no descriptor left.
    pub(super) fn for_shards(
        &self,
        listener: &Listener,
        shards: usize,
    ) -> io::Result<Option<Vec<OwnedFd>>> {
        let places = self.places_for(listener);
        if places.is_empty() {
            return Ok(None);
        }
        let count = places.len();
        if count > shards {
            return Err(io::Error::other(format!(
                "{count} sockets on it were passed, but a shard accepts from one, and there are \
                 only {shards}: pass one socket for each address"
            )));
        }
        let sockets = places.iter().cycle().take(shards);
        sockets
            .map(|place| self.all[*place].socket.try_clone())
            .collect::<io::Result<_>>()
            .map(Some)
    }

    /// Warns of the sockets that none of these open listeners uses, once for each.
    pub(super) fn warn_unused(&mut self, listeners: &[Listener]) {
        let used: HashSet<usize> =
            listeners.iter().flat_map(|listener| self.places_for(listener)).collect();
        let unused: HashSet<usize> =
            (0..self.all.len()).filter(|place| !used.contains(place)).collect();
        for place in &unused - &self.unused {
            tracing::warn!("{}", self.unused_warning(place, listeners));
        }
        self.unused = unused;
    }

    /// The warning about a socket that no listener uses.
    fn unused_warning(&self, place: usize, listeners: &[Listener]) -> String {
        let Passed { name, address, .. } = &self.all[place];
        let why = match listeners.iter().find(|listener| listener.name == *name) {
            Some(listener) => {
                let others = self.places_for(listener);
                let other = others.first().map_or(listener.address, |at| self.all[*at].address);
                format!("listener \"{name}\" has the one on {other}, and none has the address")
            }
            None => "no listener has its name or its address".to_owned(),
        };
        format!(
            "the socket \"{name}\" on {address} that was passed is not used: {why}; its clients \
             wait in its backlog until a reload brings a [[listener]] with address = \
             \"{address}\": add one, or do not pass the socket"
        )
    }

    /// Closes the sockets that no shard uses.
    pub(super) fn close(&mut self) {
        self.all.clear();
    }
}

fn refusal(name: &str, number: i32, why: &NoListener) -> String {
    format!(
        "the socket \"{name}\" that was passed (descriptor {number}) {why}: Ringway accepts \
         connections from TCP sockets that listen; in a unit of systemd those are ListenStream= \
         with an address or a port, and Accept=no"
    )
}
