//! Routes as they are shown: what tells them apart, and whether they are of requests, of
//! connections that are forwarded unread (with UDP: flows), or of both.

use crate::config::Protocol;
use crate::coordinator::process::Listeners;
use crate::snapshot::RouteKey;
use serde::Serialize;
use std::collections::HashMap;

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct RouteName {
    /// The only listener that it counts on; empty: all that it fits.
    pub(super) listener: String,
    /// The host, or the server name of TLS; `*`: any.
    pub(super) host: String,
    /// The prefix of paths; none if it is of no requests.
    pub(super) path: Option<String>,
    /// The protocols of TLS, with commas in between; none if they do not matter.
    pub(super) alpn: Option<String>,
    /// It is of requests.
    #[serde(skip)]
    pub(super) takes_requests: bool,
    /// It is of connections that are forwarded unread.
    #[serde(skip)]
    pub(super) takes_connections: bool,
}

/// The names of routes beside the listeners that they may count on.
pub(super) struct RouteNames<'l> {
    protocols: HashMap<&'l str, Protocol>,
}

impl<'l> RouteNames<'l> {
    /// Beside these listeners.
    pub(super) fn new(listeners: &'l Listeners) -> Self {
        let named = listeners.iter().map(|one| (&*one.name, one.protocol));
        Self { protocols: named.collect() }
    }

    /// The name of the route with a key.
    pub(super) fn of(&self, (listener, host, below): &RouteKey) -> RouteName {
        let (mut takes_requests, mut takes_connections) = (false, false);
        let mut note = |protocol: Protocol| match protocol {
            Protocol::Http | Protocol::Https => takes_requests = true,
            Protocol::Tcp | Protocol::TlsPassthrough | Protocol::Udp => takes_connections = true,
        };
        if !listener.is_empty() {
            // One of a listener that is gone, and whose connections go on, may have been anything.
            note(self.protocols.get(&**listener).copied().unwrap_or(Protocol::Http));
        } else if host == "*" && below == "/" {
            self.protocols.values().copied().for_each(note);
        } else {
            note(Protocol::Http);
        }
        RouteName {
            listener: listener.clone(),
            host: host.clone(),
            path: takes_requests.then(|| below.clone()),
            alpn: below.strip_prefix("alpn=").map(str::to_owned),
            takes_requests,
            takes_connections,
        }
    }
}
