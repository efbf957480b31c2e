//! The table of one listener: hosts, and for each of them its paths.

use super::hosts::Hosts;
use super::paths::Paths;
use super::pattern::HostPattern;

/// Which target answers a host and path. An exact host goes before a longer wildcard, that before
/// a shorter one, that before any host; among the routes of one host the longest path wins. If
/// no path of a host matches, the next less specific host is tried.
#[derive(Clone, Debug)]
pub struct RouteTable<T> {
    hosts: Hosts,
    /// The paths of each host, in the order of `hosts`.
    paths: Box<[Paths<T>]>,
    /// Those of the routes for clients that name no server.
    unnamed: Paths<T>,
    /// Those of the routes for any host.
    any: Paths<T>,
}

impl<T: Copy> RouteTable<T> {
    /// The table of these routes. The paths are valid by [`super::check_path_prefix`]. Of two
    /// with the same host and path the first one counts.
    pub fn new<'a>(routes: impl IntoIterator<Item = (&'a HostPattern, &'a str, T)>) -> Self {
        let routes: Vec<_> = routes.into_iter().collect();
        let hosts = Hosts::new(routes.iter().map(|(host, _, _)| *host));
        let mut listed: Vec<Vec<(&str, T)>> = vec![Vec::new(); hosts.len()];
        let (mut unnamed, mut any) = (Vec::new(), Vec::new());
        for (host, path, target) in routes {
            match hosts.index_of(host) {
                Some(index) => listed[index].push((path, target)),
                None if *host == HostPattern::Unnamed => unnamed.push((path, target)),
                None => any.push((path, target)),
            }
        }
        let paths = listed.into_iter().map(Paths::new).collect();
        Self { hosts, paths, unnamed: Paths::new(unnamed), any: Paths::new(any) }
    }

    /// The target for a request. `host` is as sent: in any case, with or without a port, empty
    /// if there is none. `path` is without query, and compared byte by byte as sent. An escape
    /// (`%2F`) or a dot segment is not resolved: a route is no protection.
    pub fn lookup(&self, host: &[u8], path: &[u8]) -> Option<T> {
        let mut next = self.hosts.most_specific(host);
        while let Some(index) = next {
            if let Some(target) = self.paths[index].longest(path) {
                return Some(target);
            }
            next = self.hosts.less_specific(index);
        }
        self.any.longest(path)
    }

    /// The table of a listener of TLS: the server name stands for the host. A route may be limited
    /// to clients that offer one of several protocols (RFC 7301); without any it is for all of
    /// them.
    pub fn of_server_names<'a>(
        routes: impl IntoIterator<Item = (&'a HostPattern, &'a [String], T)>,
    ) -> Self {
        // Each protocol is held as a path of one segment, which is looked for as a whole.
        let mut listed = Vec::new();
        for (host, protocols, target) in routes {
            listed.extend(protocols.iter().map(|name| (host, format!("/{name}"), target)));
            if protocols.is_empty() {
                listed.push((host, "/".to_owned(), target));
            }
        }
        Self::new(listed.iter().map(|(host, path, target)| (*host, path.as_str(), *target)))
    }

    /// The target for a client of TLS, in a table for such. `name` is the server name, in any case,
    /// empty if there is none; `offered` are the client's protocols in its order. Of the routes of
    /// one name, that of the first protocol offered goes before that for all clients; if none
    /// fits, the next less specific name is tried.
    pub fn lookup_server_name<'n>(
        &self,
        name: &[u8],
        offered: impl Iterator<Item = &'n [u8]> + Clone,
    ) -> Option<T> {
        if name.is_empty()
            && let Some(target) = self.unnamed.offered(offered.clone())
        {
            return Some(target);
        }
        let mut next = self.hosts.most_specific(name);
        while let Some(index) = next {
            if let Some(target) = self.paths[index].offered(offered.clone()) {
                return Some(target);
            }
            next = self.hosts.less_specific(index);
        }
        self.any.offered(offered)
    }

    /// The target for a client that is none of TLS, in a table for such: that of any name and
    /// protocol.
    pub fn without_tls(&self) -> Option<T> {
        self.any.offered([].into_iter())
    }

    /// The targets of all routes.
    pub fn targets(&self) -> impl Iterator<Item = T> {
        self.paths.iter().chain([&self.unnamed, &self.any]).flat_map(Paths::targets)
    }
}
