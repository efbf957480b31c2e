//! Which site answers a client, by the name of the server that it asks for (RFC 6066,
//! section 3): the exact name before a wildcard, which stands for one label, before the default.
//!
//! Does not: read certificates.

use super::site::Site;
use std::collections::HashMap;
use std::sync::Arc;

/// See the module.
#[derive(Debug, Default)]
pub struct ServerNames {
    exact: HashMap<Box<str>, Arc<Site>>,
    /// By what follows `*.`.
    wildcards: HashMap<Box<str>, Arc<Site>>,
    unknown: Option<Arc<Site>>,
    unnamed: Option<Arc<Site>>,
}

impl ServerNames {
    /// `unknown` is for names that are not listed, `unnamed` for clients that name none; without it
    /// they are refused.
    pub fn new(unknown: Option<Arc<Site>>, unnamed: Option<Arc<Site>>) -> Self {
        Self { unknown, unnamed, ..Self::default() }
    }

    /// Adds a name in lower case, or `*.` and a name. The first one of a name is kept.
    pub fn add(&mut self, name: &str, site: &Arc<Site>) {
        let (names, name) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcards, parent),
            None => (&mut self.exact, name),
        };
        names.entry(name.into()).or_insert_with(|| site.clone());
    }

    /// The site for a name in lower case; none: the client is refused.
    pub fn lookup(&self, name: Option<&str>) -> Option<&Arc<Site>> {
        let Some(name) = name else { return self.unnamed.as_ref() };
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard).or(self.unknown.as_ref())
    }
}
