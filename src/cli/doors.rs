//! Opening listening sockets: one per shard for each listener, or those that systemd has opened.

use super::serve::MORE_DESCRIPTORS;
use ringway::config::{Listener, Steering};
use ringway::coordinator::{Door, Doors};
use ringway::engine::Socket;
use ringway::sys::rlimit::is_for_want_of_descriptors;
use ringway::sys::socket;
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{IntoRawFd, OwnedFd};

/// See the module.
pub(crate) struct SocketDoors {
    /// The core of each shard.
    cores: Vec<Option<usize>>,
    backlog: i32,
    /// Sockets that were passed to the process, by name. They stay open here: who passed them
    /// keeps them open too, so that nobody else could listen there when a reload brings, or brings
    /// back, a listener for one.
    passed: Vec<(String, OwnedFd)>,
    /// Those that no listener has, by their place in `passed`.
    unused: HashSet<usize>,
    /// Addresses that this process listens, or listened, on.
    own: HashSet<SocketAddr>,
}

impl SocketDoors {
    /// For shards on these cores, with the sockets that were passed and their names.
    pub(crate) fn new(
        cores: Vec<Option<usize>>,
        backlog: u32,
        passed: Vec<(String, OwnedFd)>,
    ) -> Self {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        Self { cores, backlog, passed, unused: HashSet::new(), own: HashSet::new() }
    }

    /// Which of the sockets that were passed is for this listener: the one on its address, else
    /// the one of its name.
    fn passed_for(&self, listener: &Listener) -> Option<usize> {
        let has_address = |(_, socket): &(String, OwnedFd)| {
            socket::local_address(socket).is_ok_and(|bound| bound == listener.address)
        };
        let has_name = |(name, _): &(String, OwnedFd)| *name == listener.name;
        let by_address = self.passed.iter().position(has_address);
        by_address.or_else(|| self.passed.iter().position(has_name))
    }

    fn open_all(&mut self, listener: &Listener) -> io::Result<Vec<OwnedFd>> {
        if let Some(index) = self.passed_for(listener) {
            // A socket of systemd's is alone on its address: all shards accept from it.
            let passed = &self.passed[index].1;
            return (0..self.cores.len()).map(|_| passed.try_clone()).collect();
        }
        if !self.own.contains(&listener.address) {
            // Sockets that share an address share it with everybody: a second process started by
            // mistake would quietly take half of the connections.
            socket::check_free(listener.address)?;
        }
        let first = socket::listen(listener.address, self.backlog)?;
        // Port 0 gets its number from the kernel; the siblings share it.
        let address = socket::local_address(&first)?;
        let siblings = (1..self.cores.len()).map(|_| socket::listen(address, self.backlog));
        let sockets: Vec<OwnedFd> =
            std::iter::once(Ok(first)).chain(siblings).collect::<io::Result<_>>()?;
        self.own.insert(listener.address);
        if listener.steering == Steering::Cpu {
            for (socket, core) in sockets.iter().zip(&self.cores) {
                core.map_or(Ok(()), |core| socket::prefer_core(socket, core))?;
            }
        }
        Ok(sockets)
    }
}

impl Doors for SocketDoors {
    fn open(&mut self, listener: &Listener) -> Result<Door, String> {
        let refused = |error: io::Error| {
            let (name, address) = (&listener.name, listener.address);
            let port = address.port();
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    format!("; who has it? ss -ltnp 'sport = :{port}'")
                }
                _ if is_for_want_of_descriptors(&error) => format!("; {MORE_DESCRIPTORS}"),
                io::ErrorKind::AddrNotAvailable => "; it is no address of this machine".into(),
                io::ErrorKind::PermissionDenied => {
                    format!("; ports below 1024 need root or CAP_NET_BIND_SERVICE, {port} is one")
                }
                _ => String::new(),
            };
            format!("listener \"{name}\" cannot listen on {address}: {error}{hint}")
        };
        let sockets = self.open_all(listener).map_err(refused)?;
        let bound = socket::local_address(&sockets[0]).map_err(refused)?;
        let sockets = sockets.into_iter().map(|socket| Socket(socket.into_raw_fd())).collect();
        Ok(Door { bound, sockets })
    }

    fn settle(&mut self, listeners: &[Listener]) {
        let used: HashSet<usize> =
            listeners.iter().filter_map(|listener| self.passed_for(listener)).collect();
        let unused: HashSet<usize> =
            (0..self.passed.len()).filter(|index| !used.contains(index)).collect();
        for index in &unused - &self.unused {
            let (name, socket) = &self.passed[index];
            let address = socket::local_address(socket).map(|address| format!(" on {address}"));
            let address = address.unwrap_or_default();
            tracing::warn!(
                "no listener has the name or the address of the socket \"{name}\"{address} that \
                 was passed: its clients wait in its backlog until a reload brings one; name a \
                 listener so, or do not pass it"
            );
        }
        self.unused = unused;
    }

    fn close(&mut self, door: Door) {
        door.sockets.into_iter().for_each(socket::close);
    }

    fn shut(&mut self) {
        self.passed.clear();
    }
}
