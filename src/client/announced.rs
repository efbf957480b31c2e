//! What is known of a client's connection beside its bytes: what a PROXY header said of it, and the
//! identifier that backends get. Kept apart, because few connections have any of it.

use super::{Asked, Client};
use crate::engine::Engine;
use crate::limits::PROXY_TLVS_KEPT_BYTES_MAX;
use crate::local::Local;
use crate::proxy_protocol::{Extras, Header, Tlv};
use crate::snapshot::{Pool, ProxyTlv};
use std::net::SocketAddr;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Announced {
    /// The address that the client connected to.
    destination: Option<SocketAddr>,
    /// The TLVs, as they came.
    tlvs: Box<[u8]>,
    /// The identifier of the connection; empty before it has one.
    unique_id: Box<[u8]>,
}

impl Client {
    /// Keeps what a header said, if any of it may be needed.
    pub(super) fn note_header(&mut self, header: &Header<'_>, keeps_tlvs: bool) {
        let destination = header.addresses.map(|both| both.destination);
        let tlvs = header.tlvs.as_bytes();
        let tlvs: &[u8] = match tlvs.len() {
            _ if !keeps_tlvs => b"",
            length if length > PROXY_TLVS_KEPT_BYTES_MAX => {
                tracing::debug!(client = %self.address, length, "TLVs are not passed on");
                b""
            }
            _ => tlvs,
        };
        if destination.is_none() && tlvs.is_empty() {
            return;
        }
        let unique_id = header.tlvs.first(Tlv::UNIQUE_ID).filter(|_| !tlvs.is_empty());
        self.announced = Some(Box::new(Announced {
            destination,
            tlvs: tlvs.into(),
            unique_id: unique_id.unwrap_or_default().into(),
        }));
    }

    /// The address that the client connected to: that of the proxy which says so, or of this end.
    pub fn destination<E: Engine>(&self, local: &Local<E>) -> SocketAddr {
        let announced = self.announced.as_ref().and_then(|known| known.destination);
        let own = || local.wire.engine.local_address(self.link.socket);
        let listener = || local.current.listener(self.listener).map(|one| one.address);
        announced.or_else(own).or_else(listener).unwrap_or(self.address)
    }

    /// The identifier of the connection, if it has one.
    pub fn unique_id(&self) -> Option<&[u8]> {
        let announced = self.announced.as_ref()?;
        Some(&*announced.unique_id).filter(|id| !id.is_empty())
    }

    /// What the header for a backend of this pool says of the connection beside the addresses.
    pub fn extras<'c, E: Engine>(
        &'c mut self,
        pool: &Pool,
        asked: Option<&'c Asked>,
        local: &mut Local<E>,
    ) -> Extras<'c> {
        if pool.announces(ProxyTlv::UniqueId) && self.unique_id().is_none() {
            let announced = self.announced.get_or_insert_default();
            announced.unique_id = local.unique_ids.draw();
        }
        let announced = self.announced.as_deref();
        let received = announced.map(|known| &*known.tlvs);
        let authority = asked.and_then(|asked| asked.server_name.as_deref());
        Extras {
            unique_id: self.unique_id().filter(|_| pool.announces(ProxyTlv::UniqueId)),
            received: received.filter(|_| pool.announces(ProxyTlv::Received)),
            has_checksum: pool.announces(ProxyTlv::Crc32c),
            authority: authority.filter(|_| pool.announces(ProxyTlv::Authority)),
            alpn: asked.and_then(|asked| asked.alpn.as_deref()),
        }
    }
}
