//! Bytes forwarded both ways between a client and a backend, unparsed: the connections of a
//! listener that forwards bytes, and those of an exchange that was upgraded.
//!
//! `dialing` finds a backend for a client, `forwarding` passes bytes, with half-close and
//! back-pressure, `ending` ends it, and reports and records it.
//!
//! Does not: know a protocol.

mod dialing;
mod ending;
mod forwarding;

pub use forwarding::Ends;

use crate::attempts::Attempts;
use crate::client::Asked;
use crate::table::{ClientId, ConnectionId, ExchangeId, Port, RelayId, Table};

/// All relays of a shard.
pub type Relays = Table<RelayId, Relay>;

/// What a relay was begun by.
#[derive(Debug)]
pub enum Source {
    /// An exchange that has opened a tunnel; it is over with the relay.
    Exchange(ExchangeId),
    /// A connection of a listener that forwards bytes.
    Listener(Attempts),
}

/// The backend's side of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    /// None: before the first attempt, and during the wait before the next one.
    Between,
    /// A connection that is being made.
    Connecting(Port<ConnectionId>),
    /// The other end.
    Open(Port<ConnectionId>),
}

/// A relay.
#[derive(Debug)]
pub struct Relay {
    id: RelayId,
    client: Port<ClientId>,
    backend: Backend,
    source: Source,
    /// The client's wishes in its TLS handshake.
    asked: Asked,
    /// Bytes received from the client.
    from_client: u64,
    /// Bytes received from the backend.
    from_backend: u64,
    /// The ends of the streams that were no failure.
    ended: Ended,
    /// Bytes that each side had acknowledged when its silence was last looked at, the low bits.
    acknowledged: [u32; 2],
}

/// Which sides have ended their stream, not by a reset: the other one gets all of it and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ended {
    client: bool,
    backend: bool,
}

impl Relay {
    /// A relay of a client that has no backend yet.
    pub fn of_listener(
        id: RelayId,
        client: Port<ClientId>,
        attempts: Attempts,
        asked: Asked,
    ) -> Self {
        let source = Source::Listener(attempts);
        Self { asked, ..Self::new(id, client, Backend::Between, source) }
    }

    /// A relay between the two places of an exchange.
    pub fn of_exchange(
        id: RelayId,
        ports: (Port<ClientId>, Port<ConnectionId>),
        exchange: ExchangeId,
    ) -> Self {
        Self::new(id, ports.0, Backend::Open(ports.1), Source::Exchange(exchange))
    }

    fn new(id: RelayId, client: Port<ClientId>, backend: Backend, source: Source) -> Self {
        Self {
            id,
            client,
            backend,
            source,
            asked: Asked::default(),
            from_client: 0,
            from_backend: 0,
            ended: Ended::default(),
            acknowledged: [0; 2],
        }
    }

    /// Its two connections, if it has both.
    pub fn ends(&self) -> Option<(ClientId, ConnectionId)> {
        match self.backend {
            Backend::Open(port) => Some((self.client.connection, port.connection)),
            Backend::Between | Backend::Connecting(_) => None,
        }
    }

    /// True if the backend has ended its stream: the client gets all of it, and its end.
    pub fn has_backend_ended(&self) -> bool {
        self.ended.backend
    }

    /// The client's connection.
    pub fn client(&self) -> ClientId {
        self.client.connection
    }

    /// The exchange that began it, if one did, and the bytes that were received from each side.
    pub fn exchange(&self) -> Option<(ExchangeId, u64, u64)> {
        match self.source {
            Source::Exchange(id) => Some((id, self.from_client, self.from_backend)),
            Source::Listener(_) => None,
        }
    }
}
