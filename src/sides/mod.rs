//! What exchanges and relays stand between: clients on one side, backends on the other.

use crate::backend::Connections;
use crate::client::Clients;
use crate::local::Local;
use crate::pick::Replicas;

/// See the module.
pub struct Sides<E> {
    /// Connections of clients.
    pub clients: Clients,
    /// Connections to backends.
    pub connections: Connections,
    /// Which backend is next.
    pub picks: Replicas,
    /// What both sides use.
    pub local: Local<E>,
}
