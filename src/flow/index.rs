//! Finds the flow of a datagram. The hash has a secret seed: nobody can choose addresses that
//! collide.

use super::{Endpoints, Flow};
use crate::table::{FlowId, RowId, Table};
use hashbrown::HashTable;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// See the module.
#[derive(Default)]
pub(super) struct Index {
    rows: HashTable<FlowId>,
    hasher: RandomState,
}

impl Hash for Endpoints {
    // In one piece, which is faster than field by field.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let mut bytes = [0; 38];
        bytes[..4].copy_from_slice(&(self.receiver.row() as u32).to_ne_bytes());
        bytes[4..6].copy_from_slice(&self.client.port().to_ne_bytes());
        match (self.client, self.local) {
            (SocketAddr::V4(client), IpAddr::V4(local)) => {
                bytes[6..10].copy_from_slice(&client.ip().octets());
                bytes[10..14].copy_from_slice(&local.octets());
                hasher.write(&bytes[..14]);
            }
            (client, local) => {
                bytes[6..22].copy_from_slice(&wide(client.ip()));
                bytes[22..].copy_from_slice(&wide(local));
                hasher.write(&bytes);
            }
        }
    }
}

fn wide(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

impl Index {
    /// The flow between these ends.
    pub(super) fn find(&self, ends: &Endpoints, flows: &Table<FlowId, Flow>) -> Option<FlowId> {
        let hash = self.hasher.hash_one(ends);
        self.rows.find(hash, |id| flows[*id].ends == *ends).copied()
    }

    /// Adds a flow; there is none between its ends.
    pub(super) fn add(&mut self, id: FlowId, flows: &Table<FlowId, Flow>) {
        let hash_of = |id: &FlowId| self.hasher.hash_one(flows[*id].ends);
        self.rows.insert_unique(hash_of(&id), id, hash_of);
    }

    /// Takes a flow out.
    pub(super) fn remove(&mut self, id: FlowId, flows: &Table<FlowId, Flow>) {
        let hash = self.hasher.hash_one(flows[id].ends);
        let entry = self.rows.find_entry(hash, |other| *other == id);
        entry.expect("an open flow is in the index").remove();
    }
}
