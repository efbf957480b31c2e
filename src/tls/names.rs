//! Which site answers a client, by the name of the server that it asks for (RFC 6066,
//! section 3): the exact name before a wildcard, which stands for one label, before the default.
//!
//! Does not: read certificates.

use super::site::Site;
use std::collections::HashMap;
use std::sync::Arc;

/// What there is for a name.
#[derive(Clone, Debug)]
pub enum Answer {
    /// What answers.
    Site(Arc<Site>),
    /// A certificate that was not fetched yet: the client is refused until then.
    Awaited,
}

impl Answer {
    /// What answers, if it is there.
    pub fn site(&self) -> Option<&Arc<Site>> {
        match self {
            Self::Site(site) => Some(site),
            Self::Awaited => None,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct ServerNames {
    exact: HashMap<Box<str>, Answer>,
    /// By what follows `*.`.
    wildcards: HashMap<Box<str>, Answer>,
    unknown: Option<Answer>,
    unnamed: Option<Answer>,
}

impl ServerNames {
    /// `unknown` is for names that are not listed, `unnamed` for clients that name none; without it
    /// they are refused.
    pub fn new(unknown: Option<Answer>, unnamed: Option<Answer>) -> Self {
        Self { unknown, unnamed, ..Self::default() }
    }

    /// Adds a name in lower case, or `*.` and a name. The first one of a name is kept.
    pub fn add(&mut self, name: &str, answer: &Answer) {
        let (names, name) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcards, parent),
            None => (&mut self.exact, name),
        };
        names.entry(name.into()).or_insert_with(|| answer.clone());
    }

    /// What there is for a name in lower case; none: the client is refused.
    pub fn answer(&self, name: Option<&str>) -> Option<&Answer> {
        let Some(name) = name else { return self.unnamed.as_ref() };
        self.listed(name).or(self.unknown.as_ref())
    }

    /// The site for a name in lower case, if there is one by now.
    pub fn lookup(&self, name: Option<&str>) -> Option<&Arc<Site>> {
        self.answer(name)?.site()
    }

    fn listed(&self, name: &str) -> Option<&Answer> {
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
        below.chain(default.flatten()).filter_map(Answer::site)
    }
}

/// What follows the first label.
fn parent_of(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}
