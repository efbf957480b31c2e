//! The PROXY header that goes before everything else on a connection: who the client is.

use super::Connection;
use crate::engine::Room;
use crate::engine::{Engine, Slice};
use crate::local::Local;
use crate::proxy_protocol::{Addresses, Extras, write_v1, write_v2};
use crate::snapshot::ProxyProtocol;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

impl Connection {
    /// Queues the header for a client that connected to `destination`. False if no buffer is left.
    pub fn announce<E: Engine>(
        &mut self,
        version: ProxyProtocol,
        (client, destination): (SocketAddr, SocketAddr),
        extras: Extras<'_>,
        local: &mut Local<E>,
    ) -> bool {
        let room = Room::of(extras.header_bytes());
        let Some(buffer) = local.wire.engine.acquire(room) else { return false };
        let room = local.wire.engine.bytes_mut(buffer);
        let addresses = of_one_family(client, destination);
        let written = match version {
            ProxyProtocol::None => None,
            ProxyProtocol::V1 => write_v1(&addresses, room),
            ProxyProtocol::V2 => write_v2(&addresses, extras.tlvs(), extras.has_checksum, room),
        };
        match written {
            Some(length) => {
                self.header = Some(buffer);
                self.put(Slice { buffer, start: 0, end: length as u32 }, local);
            }
            None => local.wire.engine.release(buffer),
        }
        true
    }
}

/// The addresses of a connection in the client's family: a listener for all addresses is of another
/// one than a client whose address is mapped.
fn of_one_family(client: SocketAddr, listener: SocketAddr) -> Addresses {
    let source = SocketAddr::new(client.ip().to_canonical(), client.port());
    let destination = match (source.ip(), listener.ip().to_canonical()) {
        (IpAddr::V4(_), IpAddr::V6(_)) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        (IpAddr::V6(_), IpAddr::V4(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        (_, same) => same,
    };
    Addresses { source, destination: SocketAddr::new(destination, listener.port()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_addresses_are_of_the_clients_family() {
        for (client, listener, expected) in [
            ("192.0.2.7:1", "0.0.0.0:80", "192.0.2.7:1 0.0.0.0:80"),
            ("[::ffff:192.0.2.7]:1", "[::]:80", "192.0.2.7:1 0.0.0.0:80"),
            ("[2001:db8::7]:1", "[::]:80", "[2001:db8::7]:1 [::]:80"),
            ("[2001:db8::7]:1", "192.0.2.1:80", "[2001:db8::7]:1 [::]:80"),
            ("[::ffff:192.0.2.7]:1", "[::ffff:192.0.2.1]:80", "192.0.2.7:1 192.0.2.1:80"),
        ] {
            let [client, listener] = [client, listener].map(|text| text.parse().expect("valid"));
            let Addresses { source, destination } = of_one_family(client, listener);
            assert_eq!(format!("{source} {destination}"), expected);
        }
    }
}
