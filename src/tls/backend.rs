//! TLS towards the backends of a pool.

use super::{Handshake, Session};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, Error};
use std::net::IpAddr;
use std::sync::Arc;

/// How connections to the backends of a pool are secured.
#[derive(Clone, Debug)]
pub struct BackendTls {
    /// Trusted authorities, client certificate, versions, and earlier sessions.
    pub config: Arc<ClientConfig>,
    /// The name that is asked for, and that the certificate must have; none: the address.
    pub name: Option<ServerName<'static>>,
}

impl BackendTls {
    /// A session with the backend at this address, which has sent nothing yet.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn session(&self, address: IpAddr) -> Result<Session, Error> {
        let name = self.name.clone().unwrap_or_else(|| ServerName::IpAddress(address.into()));
        Handshake::client(self.config.clone(), name).map(Session::new)
    }
}

/// Alike if they have the same configuration, not only an equal one.
impl PartialEq for BackendTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for BackendTls {}
