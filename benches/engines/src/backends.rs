//! Which backend is next: in turn. Does not know whether it is up.

use std::net::SocketAddr;

/// The backends, taken in turn.
pub struct Backends {
    addresses: Vec<SocketAddr>,
    next: usize,
}

impl Backends {
    /// In this order; at least one.
    pub fn new(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses, next: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whose turn it is: its index and its address.
    pub fn next(&mut self) -> (usize, SocketAddr) {
        let index = self.next;
        self.next = if index + 1 == self.addresses.len() { 0 } else { index + 1 };
        (index, self.addresses[index])
    }
}
