//! What answers the clients that ask for some names of a listener: certificates, and what is asked
//! of the clients.

use super::client_trust::ClientPolicy;
use rustls::ServerConfig;
use std::fmt;
use std::sync::Arc;

/// See the module.
pub struct Site {
    /// For the library of TLS.
    pub config: Arc<ServerConfig>,
    /// What is asked of clients; none: no certificate.
    pub clients: Option<ClientPolicy>,
    /// The names that each of its certificates is for, in lower case, also `*.` and a name.
    covered: Vec<Box<str>>,
}

impl Site {
    /// `names` has, for each certificate, the names in it.
    pub fn new<'c>(
        config: Arc<ServerConfig>,
        clients: Option<ClientPolicy>,
        names: impl IntoIterator<Item = &'c [Box<str>]>,
    ) -> Self {
        // Which of several certificates a client was shown is not known: one that all have counts.
        let mut names = names.into_iter();
        let mut covered = names.next().unwrap_or_default().to_vec();
        names.for_each(|others| covered.retain(|name| others.contains(name)));
        Self { config, clients, covered }
    }

    /// True if its certificates are valid for this name, in lower case (RFC 9525 §6.3).
    pub(super) fn covers(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let is_it = |own: &str| match own.strip_prefix("*.") {
            Some(own) => parent == Some(own),
            None => name == own,
        };
        self.covered.iter().any(|own| is_it(own))
    }

    /// True if it asks for a certificate of clients that the other one does not demand of them, or
    /// trusts other authorities.
    pub(super) fn asks_more_than(&self, other: &Self) -> bool {
        match (&self.clients, &other.clients) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(asked), Some(shown)) => asked.is_stricter_than(shown),
        }
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("covered", &self.covered).finish_non_exhaustive()
    }
}
