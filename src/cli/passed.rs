//! Sockets of listeners that systemd has opened and passed to the process (sd_listen_fds(3)): their
//! assignment to listeners, and warnings about unused ones.

use ringway::config::{Choice, Endpoint, Listener, Protocol, Transport};
use ringway::sys::socket::{self, NoListener};
use ringway::sys::udp;
use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;

/// A passed socket.
struct Passed {
    /// Its `FileDescriptorName`.
    name: String,
    endpoint: Endpoint,
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
    /// If a descriptor is no socket that clients could connect to, or send datagrams to.
    pub(super) fn take() -> Result<Self, String> {
        if std::env::var_os("LISTEN_FDS").is_none() {
            return Ok(Self::default());
        }
        let unknown = |error: io::Error| format!("the sockets that were passed: {error}");
        let mut all = Vec::new();
        for (number, name) in sd_notify::listen_fds_with_names().map_err(unknown)? {
            let socket = socket::adopt(number);
            match endpoint(&socket) {
                Ok(endpoint) => all.push(Passed { name, endpoint, socket }),
                Err(why) => return Err(refusal(&name, number, &why)),
            }
        }
        Ok(Self { all, unused: HashSet::new() })
    }

    /// The sockets of this listener, by their places: all on its address; if there is none, all of
    /// its name that share an address with the first of them. Of its transport in any case.
    fn places_for(&self, listener: &Listener) -> Vec<usize> {
        let wanted = listener.endpoint();
        let is_named =
            |one: &&Passed| one.name == listener.name && one.endpoint.transport == wanted.transport;
        let endpoint = match self.all.iter().any(|one| one.endpoint == wanted) {
            true => Some(wanted),
            false => self.all.iter().find(is_named).map(|one| one.endpoint),
        };
        let places =
            (0..self.all.len()).filter(|place| Some(self.all[*place].endpoint) == endpoint);
        places.collect()
    }

    /// Whether two listeners use the same sockets, or none.
    pub(super) fn are_the_same(&self, one: &Listener, other: &Listener) -> bool {
        self.places_for(one) == self.places_for(other)
    }

    /// A socket for each shard, none if no socket was passed for this listener. With TCP shards
    /// share them, so that each is accepted from. With UDP they cannot, as a flow has to meet the
    /// same shard each time: the last ones get none that anybody can send to if there are too few.
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
                "{count} sockets on it were passed, but a shard has one of them, and there are \
                 only {shards}: pass one socket for each address"
            )));
        }
        let clone = |place: &usize| self.all[*place].socket.try_clone();
        let sockets: io::Result<Vec<OwnedFd>> = match listener.endpoint().transport {
            Transport::Tcp => places.iter().cycle().take(shards).map(clone).collect(),
            Transport::Udp => {
                let address = self.all[places[0]].endpoint.address;
                let adopt = |socket: OwnedFd| udp::adopt(&socket, address).map(|()| socket);
                let passed = places.iter().map(|place| clone(place).and_then(adopt));
                let rest = (count..shards).map(|_| udp::unreachable(address));
                passed.chain(rest).collect()
            }
        };
        sockets.map(Some)
    }

    /// How many sockets were passed for this listener.
    pub(super) fn count_for(&self, listener: &Listener) -> usize {
        self.places_for(listener).len()
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
        let Passed { name, endpoint: Endpoint { transport, address }, .. } = &self.all[place];
        let is_named =
            |one: &&Listener| one.name == *name && one.protocol.transport() == *transport;
        let why = match listeners.iter().find(is_named) {
            Some(listener) => {
                let others = self.places_for(listener);
                let other = others.first().map(|at| self.all[*at].endpoint.address);
                let other = other.unwrap_or(listener.address);
                format!("listener \"{name}\" has the one on {other}, and none has the address")
            }
            None => "no listener has its name or its address".to_owned(),
        };
        let (clients, protocol) = match transport {
            Transport::Tcp => ("its clients wait in its backlog", String::new()),
            Transport::Udp => {
                let word = Protocol::Udp.word();
                ("its datagrams are lost", format!(" and protocol = \"{word}\""))
            }
        };
        format!(
            "the socket \"{name}\" on {address} that was passed is not used: {why}; {clients} \
             until a reload brings a [[listener]] with address = \"{address}\"{protocol}: add \
             one, or do not pass the socket"
        )
    }

    /// Closes the sockets that no shard uses.
    pub(super) fn close(&mut self) {
        self.all.clear();
    }
}

/// Where a socket listens, or receives.
fn endpoint(socket: &OwnedFd) -> Result<Endpoint, NoListener> {
    match socket::check_listening(socket) {
        Err(NoListener::OtherType) => {
            let address = udp::check_receiving(socket)?;
            Ok(Endpoint { transport: Transport::Udp, address })
        }
        address => address.map(Endpoint::tcp),
    }
}

fn refusal(name: &str, number: i32, why: &NoListener) -> String {
    format!(
        "the socket \"{name}\" that was passed (descriptor {number}) {why}: Ringway accepts \
         connections from TCP sockets that listen, and receives from UDP sockets that are bound; \
         in a unit of systemd those are ListenStream= and ListenDatagram= with an address or a \
         port, and Accept=no"
    )
}
