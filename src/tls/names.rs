//! Which configuration answers a client, by the name of the server that it asks for (RFC 6066,
//! section 3): the exact name before a wildcard, which stands for one label, before the default.
//!
//! Does not: read certificates.

use rustls::ServerConfig;
use std::collections::HashMap;
use std::sync::Arc;

/// See the module.
#[derive(Debug, Default)]
pub struct ServerNames {
    exact: HashMap<Box<str>, Arc<ServerConfig>>,
    /// By what follows `*.`.
    wildcards: HashMap<Box<str>, Arc<ServerConfig>>,
    unknown: Option<Arc<ServerConfig>>,
    unnamed: Option<Arc<ServerConfig>>,
}

impl ServerNames {
    /// `unknown` is for names that are not listed, `unnamed` for clients that name none; without it
    /// they are refused.
    pub fn new(unknown: Option<Arc<ServerConfig>>, unnamed: Option<Arc<ServerConfig>>) -> Self {
        Self { unknown, unnamed, ..Self::default() }
    }

    /// Adds a name in lower case, or `*.` and a name. The first one of a name is kept.
    pub fn add(&mut self, name: &str, config: &Arc<ServerConfig>) {
        let (names, name) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcards, parent),
            None => (&mut self.exact, name),
        };
        names.entry(name.into()).or_insert_with(|| config.clone());
    }

    /// The configuration for a name in lower case; none: the client is refused.
    pub fn lookup(&self, name: Option<&str>) -> Option<&Arc<ServerConfig>> {
        let Some(name) = name else { return self.unnamed.as_ref() };
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard).or(self.unknown.as_ref())
    }
}
