//! Challenges of ACME that the shards answer (RFC 8555, section 8): there are some only while a
//! certificate is being fetched.

use crate::tls::Site;
use std::collections::HashMap;
use std::sync::Arc;

/// What the path of a request for http-01 begins with (RFC 8555, 8.3).
pub const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Challenges {
    /// Key authorizations by token.
    http: HashMap<Box<[u8]>, Arc<[u8]>>,
    /// What answers tls-alpn-01, by name in lower case.
    tls: HashMap<Box<str>, Arc<Site>>,
}

impl Challenges {
    /// Adds a challenge of http-01.
    pub fn add_http(&mut self, token: &str, key_authorization: &str) {
        self.http.insert(token.as_bytes().into(), key_authorization.as_bytes().into());
    }

    /// Adds a challenge of tls-alpn-01.
    pub fn add_tls(&mut self, name: &str, site: Arc<Site>) {
        self.tls.insert(name.into(), site);
    }

    /// The key authorization for the path of a request; none for an unknown token.
    pub fn http_answer(&self, path: &[u8]) -> Option<&Arc<[u8]>> {
        self.http.get(path.strip_prefix(CHALLENGE_PATH.as_bytes())?)
    }

    /// What answers tls-alpn-01 for a name.
    pub fn tls_answer(&self, name: &str) -> Option<&Arc<Site>> {
        self.tls.get(name)
    }
}
