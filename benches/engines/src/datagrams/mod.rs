//! The bare relay of datagrams: each client's address has one socket to a backend, for ever; what
//! comes back on it goes to that client. What it costs is what the kernel takes for it, and little
//! else. Does not: end a flow, bound them, or count.

mod batch;
mod epoll;
mod uring;

use crate::backends::Backends;
use std::collections::HashMap;
use std::net::SocketAddr;

pub use epoll::relay as relay_by_epoll;
pub use uring::relay as relay_by_uring;

/// The flows, and whose they are. `S` is what an engine has of each.
struct Flows<S> {
    backends: Backends,
    by_client: HashMap<SocketAddr, usize>,
    all: Vec<(SocketAddr, S)>,
}

impl<S> Flows<S> {
    fn new(backends: Backends) -> Self {
        Self { backends, by_client: HashMap::new(), all: Vec::new() }
    }

    /// The flow of a client; `open` makes one from its number and the address of its backend.
    fn of<E>(
        &mut self,
        client: SocketAddr,
        open: impl FnOnce(usize, SocketAddr) -> Result<S, E>,
    ) -> Result<usize, E> {
        if let Some(index) = self.by_client.get(&client) {
            return Ok(*index);
        }
        let index = self.all.len();
        let (_, backend) = self.backends.next();
        self.all.push((client, open(index, backend)?));
        self.by_client.insert(client, index);
        Ok(index)
    }
}
