//! What TLS says of one client's connection: the name that it asked for, what answered it, and
//! whether requests for another host may come on it (RFC 9110 §7.4, RFC 9113 §9.1.1).
//!
//! A browser sends requests for every host that the certificate covers on one connection. That is
//! right, unless the host asks for more than the connection has shown.

use super::identity::{Field, Identity, NO_CERTIFICATE};
use super::names::ServerNames;
use super::site::Site;
use std::sync::Arc;

/// Bytes of the longest host that is looked up.
const HOST_BYTES_MAX: usize = 255;

/// See the module.
#[derive(Debug)]
pub struct ClientSide {
    /// The name that the client asked for, in lower case.
    pub server_name: Option<Arc<str>>,
    /// What answered it.
    pub site: Arc<Site>,
    /// What its certificate says, once the handshake is complete, if it has shown one.
    pub identity: Option<Box<Identity>>,
    /// The host that was last found to be served on this connection, as it was written, by the
    /// table of a generation.
    served: (Vec<u8>, u64),
}

impl ClientSide {
    /// That of a connection that begins.
    pub fn new(server_name: Option<Arc<str>>, site: Arc<Site>) -> Self {
        Self { server_name, site, identity: None, served: (Vec::new(), u64::MAX) }
    }

    /// What a backend is told of the client's certificate; nothing if it was not asked for one.
    pub fn fields(&self) -> &[Field] {
        match &self.identity {
            Some(identity) => &identity.fields,
            None if self.site.clients.is_some() => NO_CERTIFICATE,
            None => &[],
        }
    }

    /// Whether requests for this host, with or without a port, are served on the connection; if
    /// not, the answer is 421. `names` is the listener's table of this generation. The host of the
    /// last request is not looked up again.
    #[inline]
    pub fn serves(&mut self, host: &[u8], names: &ServerNames, generation: u64) -> bool {
        if self.served.1 == generation && *self.served.0 == *host {
            return true;
        }
        self.look_up(host, names, generation)
    }

    #[inline(never)]
    fn look_up(&mut self, host: &[u8], names: &ServerNames, generation: u64) -> bool {
        let mut room = [0; HOST_BYTES_MAX];
        let is_served = match lower_case(host, &mut room) {
            // One that is no name has no entry of its own.
            None => self.may_serve(None, names),
            name => self.may_serve(name, names),
        };
        if is_served && host.len() <= HOST_BYTES_MAX {
            self.served.0.clear();
            self.served.0.extend_from_slice(host);
            self.served.1 = generation;
        }
        is_served
    }

    fn may_serve(&self, host: Option<&str>, names: &ServerNames) -> bool {
        if names.around(host).any(|site| site.asks_more_than(&self.site)) {
            return false;
        }
        let Some(host) = host else { return true };
        let own = self.server_name.as_deref();
        let site = names.lookup(Some(host));
        if let Some(site) = site {
            if Arc::ptr_eq(site, &self.site) {
                return true;
            }
            if site.asks_more_than(&self.site) {
                return false;
            }
        }
        // A client that named no server has not looked at the certificate's names: it is a probe,
        // or knows the address alone.
        let Some(own) = own else { return true };
        let is_own = || match (site, names.lookup(Some(own))) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        own == host || is_own() || self.site.covers(host)
    }
}

/// A host in lower case without its port and the dot at its end; none if it is empty, or no name.
fn lower_case<'r>(host: &[u8], room: &'r mut [u8; HOST_BYTES_MAX]) -> Option<&'r str> {
    let digits = host.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let name = host[..host.len() - digits].strip_suffix(b":").unwrap_or(host);
    let name = name.strip_suffix(b".").unwrap_or(name);
    let room = room.get_mut(..name.len()).filter(|_| !name.is_empty())?;
    room.copy_from_slice(name);
    room.make_ascii_lowercase();
    std::str::from_utf8(room).ok()
}
