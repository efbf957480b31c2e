//! The bare relay: each client has one connection to a backend for as long as it stays; the end of
//! either ends both. Does not: look at the bytes.

use super::Policy;
use super::connections::Connections;
use crate::backends::Backends;
use ringway::engine::{Engine, Slice};

/// See the module.
pub struct Bare {
    backends: Backends,
}

impl Bare {
    /// A relay to these backends.
    pub fn new(backends: Backends) -> Self {
        Self { backends }
    }
}

impl Policy for Bare {
    type State = ();

    fn accepted(&mut self, connections: &mut Connections<()>, client: usize) {
        let (_, address) = self.backends.next();
        match connections.connect(address) {
            Some(upstream) => connections.join(client, upstream),
            None => connections.close(client),
        }
    }

    fn received(&mut self, connections: &mut Connections<()>, from: usize, slice: Slice) {
        match connections.at(from).peer {
            Some(to) => connections.forward(from, to, slice),
            None => connections.wire.engine.release(slice.buffer),
        }
    }

    fn ended(&mut self, connections: &mut Connections<()>, from: usize) {
        let peer = connections.part(from);
        connections.close(from);
        if let Some(peer) = peer {
            connections.close(peer);
        }
    }
}
