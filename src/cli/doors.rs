//! Opening listening sockets: one per shard for each listener, or those that systemd has opened.

use ringway::config::{Listener, Steering};
use ringway::coordinator::{Door, Doors};
use ringway::engine::Socket;
use ringway::sys::socket;
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{IntoRawFd, OwnedFd};

/// See the module.
pub(crate) struct SocketDoors {
    shards: usize,
    backlog: i32,
    /// Sockets that were passed to the process, with the listeners that they are for.
    passed: Vec<(String, OwnedFd)>,
    /// Addresses that this process listens, or listened, on.
    own: HashSet<SocketAddr>,
}

impl SocketDoors {
    /// For so many shards. Of the sockets that were passed, with their names, the `listeners`
    /// take theirs; the others are closed, so that nobody waits there in vain.
    pub(crate) fn new(
        shards: usize,
        backlog: u32,
        mut passed: Vec<(String, OwnedFd)>,
        listeners: &[Listener],
    ) -> Self {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        let taken = listeners.iter().filter_map(|listener| {
            let at = passed.iter().position(|passed| is_for(passed, listener))?;
            Some((listener.name.clone(), passed.swap_remove(at).1))
        });
        let taken = taken.collect();
        for (name, socket) in passed {
            let address = socket::local_address(&socket).map(|address| format!(" on {address}"));
            let address = address.unwrap_or_default();
            tracing::warn!(
                "the socket \"{name}\"{address} that was passed is closed, because no listener \
                 has its name or address: name a listener so, or do not pass it"
            );
        }
        Self { shards, backlog, passed: taken, own: HashSet::new() }
    }

    fn passed_for(&mut self, listener: &Listener) -> Option<OwnedFd> {
        let at = self.passed.iter().position(|(name, _)| *name == listener.name)?;
        Some(self.passed.swap_remove(at).1)
    }

    fn open_all(&mut self, listener: &Listener) -> io::Result<Vec<OwnedFd>> {
        if let Some(passed) = self.passed_for(listener) {
            // A socket of systemd's is alone on its address: all shards accept from it.
            let copies: Vec<OwnedFd> =
                (1..self.shards).map(|_| passed.try_clone()).collect::<io::Result<_>>()?;
            return Ok(std::iter::once(passed).chain(copies).collect());
        }
        if !self.own.contains(&listener.address) {
            // Sockets that share an address share it with everybody: a second process started by
            // mistake would quietly take half of the connections.
            socket::check_free(listener.address)?;
        }
        let first = socket::listen(listener.address, self.backlog)?;
        // Port 0 gets its number from the kernel; the siblings share it.
        let address = socket::local_address(&first)?;
        let siblings = (1..self.shards).map(|_| socket::listen(address, self.backlog));
        let sockets: Vec<OwnedFd> =
            std::iter::once(Ok(first)).chain(siblings).collect::<io::Result<_>>()?;
        self.own.insert(listener.address);
        if listener.steering == Steering::Cpu {
            socket::steer_by_cpu(&sockets[0], self.shards as u32)?;
        }
        Ok(sockets)
    }
}

/// True if systemd opened the socket for this listener: it has its name, or its address.
fn is_for((name, socket): &(String, OwnedFd), listener: &Listener) -> bool {
    *name == listener.name
        || socket::local_address(socket).is_ok_and(|bound| bound == listener.address)
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

    fn close(&mut self, door: Door) {
        door.sockets.into_iter().for_each(socket::close);
    }
}
