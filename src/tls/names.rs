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
        self.listed(name).or(self.unknown.as_ref())
    }

    fn listed(&self, name: &str) -> Option<&Arc<Site>> {
        let wildcard = || self.wildcards.get(parent_of(name)?);
        self.exact.get(name).or_else(wildcard)
    }

    /// The sites of a host that is not listed, whose routes it may take: a wildcard of a route
    /// stands for several labels, and a request without a host takes the routes for all of them.
    pub(super) fn around(&self, host: Option<&str>) -> impl Iterator<Item = &Arc<Site>> {
        let unlisted = host.filter(|host| self.listed(host).is_none());
        let parents = std::iter::successors(unlisted, |name| parent_of(name)).skip(1);
        let below = parents.filter_map(|parent| self.wildcards.get(parent));
        let default = [&self.unnamed, &self.unknown].into_iter().filter(move |_| host.is_none());
        below.chain(default.flatten())
    }
}

/// What follows the first label.
fn parent_of(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}
