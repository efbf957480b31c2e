//! What a shard was doing with a connection when its peer dropped it.

use super::engine::SimEngine;
use super::network::{Door, Network};
use super::shards::Shards;
use ringway::backend::Use;
use ringway::client::{Client, Preface, State};
use ringway::shard::Traffic;
use ringway::table::RelayId;
use std::net::SocketAddr;

/// See the module. Those of a client come first, those of a backend are the last ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// It waits to be accepted.
    InBacklog,
    /// It was accepted, and waits for a place, or for another shard.
    Deferred,
    ProxyHeader,
    Hello,
    /// No attempt to reach a backend is under way.
    Between,
    Connecting,
    /// The backend has not got the whole PROXY header.
    Announcing,
    Open,
    ClientEnded,
    BackendEnded,
    BothEnded,
    /// The last bytes are being sent.
    Sending,
    /// All was sent, what comes is dropped.
    Discarding,
    /// A reset waits until all was delivered.
    Delivering,
    /// Its operations end.
    Closing,
    Closed,
}

impl Doing {
    /// Without [`Self::BothEnded`]: a client that has seen the end of both directions is over.
    pub const OF_CLIENT: [Self; 15] = [
        Self::InBacklog,
        Self::Deferred,
        Self::ProxyHeader,
        Self::Hello,
        Self::Between,
        Self::Connecting,
        Self::Announcing,
        Self::Open,
        Self::ClientEnded,
        Self::BackendEnded,
        Self::Sending,
        Self::Discarding,
        Self::Delivering,
        Self::Closing,
        Self::Closed,
    ];
    pub const OF_BACKEND: [Self; 10] = [
        Self::Connecting,
        Self::Announcing,
        Self::Open,
        Self::ClientEnded,
        Self::BackendEnded,
        Self::BothEnded,
        Self::Sending,
        Self::Delivering,
        Self::Closing,
        Self::Closed,
    ];
}

/// What is done with a client's connection. `has_header`: a backend gets a PROXY header.
pub fn of_client(
    socket: i32,
    shards: &mut Shards,
    has_header: impl Fn(SocketAddr) -> bool,
) -> Doing {
    let network = shards.network.clone();
    let network = network.borrow();
    if network.streams[&socket].proxy_closed.is_some() {
        return Doing::Closed;
    }
    for shard in &mut shards.all {
        let traffic = shard.traffic();
        let mut clients = traffic.clients().iter().map(|(_, client)| client);
        if let Some(client) = clients.find(|client| client.link.socket.0 == socket) {
            return of_row(client, traffic, &network, has_header);
        }
    }
    let is_in = |door: &Door| door.backlog.contains(&socket);
    if network.doors.values().any(is_in) { Doing::InBacklog } else { Doing::Deferred }
}

fn of_row(
    client: &Client,
    traffic: &Traffic<SimEngine>,
    network: &Network,
    has_header: impl Fn(SocketAddr) -> bool,
) -> Doing {
    match client.state {
        State::Preface(Preface::ProxyHeader) => Doing::ProxyHeader,
        State::Preface(_) => Doing::Hello,
        State::Relaying(id) => of_relay(id, traffic, network, has_header),
        State::Lingering | State::Finishing => Doing::Sending,
        State::Discarding { .. } => Doing::Discarding,
        State::Delivering(_) => Doing::Delivering,
        State::Closing => Doing::Closing,
        State::Http1(_) | State::Http2 => panic!("no listener speaks HTTP"),
    }
}

fn of_relay(
    id: RelayId,
    traffic: &Traffic<SimEngine>,
    network: &Network,
    has_header: impl Fn(SocketAddr) -> bool,
) -> Doing {
    let mut connections = traffic.connections().iter().map(|(_, connection)| connection);
    let connection = connections.find(|one| one.used_for == Use::Relay(id));
    let Some(connection) = connection else { return Doing::Between };
    let Some((client, _)) = traffic.relays()[id].ends() else { return Doing::Connecting };
    let stream = &network.streams[&connection.link.socket.0];
    match (traffic.clients()[client].link.has_ended(), connection.link.has_ended()) {
        (true, true) => Doing::BothEnded,
        (true, false) => Doing::ClientEnded,
        (false, true) => Doing::BackendEnded,
        (false, false) if stream.arrived == 0 && has_header(stream.peer) => Doing::Announcing,
        (false, false) => Doing::Open,
    }
}

/// What is done with a connection to a backend.
pub fn of_backend(
    socket: i32,
    shards: &mut Shards,
    has_header: impl Fn(SocketAddr) -> bool,
) -> Doing {
    let network = shards.network.clone();
    let network = network.borrow();
    let stream = &network.streams[&socket];
    if stream.proxy_closed.is_some() {
        return Doing::Closed;
    }
    let shard = stream.user.expect("a shard has connected it");
    let traffic = shards.all[shard].traffic();
    let mut connections = traffic.connections().iter().map(|(_, connection)| connection);
    let connection = connections.find(|connection| connection.link.socket.0 == socket);
    match connection.expect("it is open").used_for {
        Use::Relay(relay) => of_relay(relay, traffic, &network, has_header),
        Use::Finishing => Doing::Sending,
        Use::Delivering(_) => Doing::Delivering,
        Use::Closing => Doing::Closing,
        Use::Exchange(_) | Use::Streams | Use::Idle => panic!("no listener speaks HTTP"),
    }
}
