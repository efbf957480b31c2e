//! An accepted connection in transit to another shard.

use crate::base::ListenerId;
use crate::engine::Socket;
use std::net::SocketAddr;

/// A connection that was accepted by one shard and is served by another one. Nothing has been
/// received on it. The handoff owns the socket.
#[derive(Clone, Copy, Debug)]
pub struct Handoff {
    /// The connection.
    pub socket: Socket,
    /// The client.
    pub client: SocketAddr,
    /// The listener that accepted it.
    pub listener: ListenerId,
}
