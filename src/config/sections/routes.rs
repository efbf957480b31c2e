//! `[[route]]`, with listeners and pools: every listener has a route, and every pool is reachable.

use super::acme::{accounts, check as check_accounts};
use super::certificates::{Accounts, certificates, check as check_certificates};
use super::listeners::{Listener, Protocols, Redirecting, listeners};
use super::names::{Name, Names, Seen};
use super::pools::{Places, pools};
use super::route::{Route, route};
use crate::config::choices::{NoSni, NotTls, Protocol};
use crate::config::diagnostics::Report;
use crate::config::loops::Loops;
use crate::config::model::{Config, ListenerIndex, PoolIndex, PoolUses};
use crate::config::raw::Section;
use crate::limits::{LISTENERS_MAX, POOLS_MAX, ROUTES_MAX};
use crate::route::HostPattern;
use std::collections::HashMap;
use std::ops::Range;

/// Reads all three kinds of sections. `has_proxies`: there are trusted ones.
pub(in crate::config) fn read_into<'d>(
    config: &mut Config,
    root: &mut Section<'d>,
    has_proxies: bool,
) {
    let report = root.report();
    let mut listener_names = Names::new("listener");
    let mut pool_names = Names::new("pool");
    let listener_sections = root.sections("listener");
    check_count(&listener_sections, LISTENERS_MAX, "listeners");
    listener_names.is_partial =
        root.peek_length("listener").is_some_and(|length| length > listener_sections.len());
    let (listeners, protocols, redirecting) =
        listeners(listener_sections, &mut listener_names, has_proxies);
    config.listeners = listeners;
    let pool_section = root.section("pool");
    pool_names.is_partial = root.has("pool") && !pool_section.is_written();
    let (pools, places, by_traffic) = pools(pool_section, &mut pool_names);
    config.pools = pools;
    if let Some(beyond) = pool_names.entries.get(POOLS_MAX) {
        report.add(beyond.span.clone(), format!("too many pools: at most {POOLS_MAX}"));
    }
    let acme_section = root.section("acme");
    let mut account_names = Names::new("acme section");
    account_names.is_partial = root.has("acme") && !acme_section.is_written();
    config.acme = accounts(acme_section, &mut account_names);
    let mut accounts = Accounts { names: account_names, all: &config.acme };
    let sections = root.sections("certificate");
    let certificates = certificates(sections, &mut listener_names, &protocols, &mut accounts);
    check_accounts(report, accounts.all, &accounts.names);
    let routes = root.sections("route");
    check_count(&routes, ROUTES_MAX, "routes");
    let mut routes = Routes::read(routes, protocols, &mut listener_names, &mut pool_names);
    routes.redirecting = redirecting;
    // An invalid one was reported as such.
    let has_listener = root.peek_length("listener").is_some_and(|length| length > 0);
    check_presence(report, has_listener, &pool_names);
    let is_whole;
    (config.routes, is_whole) = routes.finished(report, &listener_names, &mut pool_names);
    // A listener without a valid address has a name, and so an index in routes, but is not among
    // the listeners.
    let has_all = config.listeners.len() == listener_names.entries.len();
    let unknown = || vec![PoolUses::default(); config.pools.len()];
    let uses = if has_all { config.uses_of_pools() } else { unknown() };
    for ((rest, pool), uses) in by_traffic.into_iter().zip(&mut config.pools).zip(uses) {
        rest.read_into(pool, uses);
    }
    if has_all {
        check_loops(report, config, &places);
        if is_whole {
            check_not_tls(report, config, &listener_names);
            check_no_sni(report, config, &listener_names);
        }
        let are_whole = certificates.len() == root.peek_length("certificate").unwrap_or(0);
        let (read, spans): (_, Vec<Range<usize>>) = certificates.into_iter().unzip();
        config.certificates = read;
        if are_whole {
            check_certificates(report, config, &listener_names, &spans);
        }
    }
}

/// Reports listeners of TLS on which what is not TLS is to take a route that there is not.
fn check_not_tls(report: &Report<'_>, config: &Config, names: &Names<'_>) {
    let routed = |listener: &Listener| {
        listener.protocol == Protocol::TlsPassthrough && listener.not_tls == NotTls::Default
    };
    let listeners = config.listeners.iter().enumerate();
    for (index, listener) in listeners.filter(|(_, listener)| routed(listener)) {
        let is_any = |route: &Route| route.host == HostPattern::Any && route.alpn.is_empty();
        if !config.routes_of(ListenerIndex(index)).any(is_any) {
            let message = format!(
                "listener `{}` has `not_tls = \"default\"`, and no route without a host",
                listener.name
            );
            let sample = [("listener", &*listener.name), ("pool", "NAME")];
            let help = format!("add {}, or remove `not_tls`", report.table(&["route"], &sample));
            report.add_with_help(names.entries[index].span.clone(), message, help);
        }
    }
}

/// Reports listeners of TLS that refuse clients which a route is for.
fn check_no_sni(report: &Report<'_>, config: &Config, names: &Names<'_>) {
    let listeners = config.listeners.iter().enumerate();
    for (index, listener) in listeners.filter(|(_, listener)| listener.no_sni == NoSni::Reject) {
        let is_unnamed = |route: &Route| route.host == HostPattern::Unnamed;
        if config.routes_of(ListenerIndex(index)).any(is_unnamed) {
            let message = format!(
                "listener `{}` has `no_sni = \"reject\"`, and a route for clients that name no \
                 server",
                listener.name
            );
            let help = "remove `no_sni`, or the route with `host = \"\"`";
            report.add_with_help(names.entries[index].span.clone(), message, help);
        }
    }
}

/// Reports backends from which requests would loop back.
fn check_loops(report: &Report<'_>, config: &Config, places: &Places) {
    let loops = Loops::new(&config.listeners, &config.routes);
    for ((index, pool), places) in config.pools.iter().enumerate().zip(places) {
        for (backend, span) in pool.backends.iter().zip(places) {
            let found = loops.of(PoolIndex(index), backend.address, backend.weight);
            if let Some((message, help)) = found {
                report.add_with_help(span.clone(), message, help);
            }
        }
    }
}

fn check_count(sections: &[Section<'_>], most: usize, what: &str) {
    if let Some(beyond) = sections.get(most) {
        let message = format!("too many {what}: at most {most}");
        beyond.report().add(beyond.span.clone(), message);
    }
}

fn check_presence(report: &Report<'_>, has_listener: bool, pools: &Names<'_>) {
    if !has_listener {
        let sample = [("name", "web"), ("address", "127.0.0.1:8080")];
        let help = format!("add {}", report.table(&["listener"], &sample));
        report.add_with_help(0..0, "no listener is defined: no client could connect", help);
    }
    if pools.entries.is_empty() && !pools.is_partial {
        let sample = [("address", "10.0.0.11:8080")];
        let help = format!("add {}", report.table(&["pool", "web", "backend"], &sample));
        report.add_with_help(0..0, "no pool is defined: no backend could answer", help);
    }
}

/// The routes with their places. An invalid route is only counted.
struct Routes {
    read: Vec<(Route, Range<usize>)>,
    /// A route is missing or invalid: unreachable pools cannot be determined.
    incomplete: bool,
    /// Those of the listeners.
    protocols: Protocols,
    /// Listeners on which routes for all of them do not count.
    redirecting: Redirecting,
}

impl Routes {
    fn read<'d>(
        sections: Vec<Section<'d>>,
        protocols: Protocols,
        listeners: &mut Names<'d>,
        pools: &mut Names<'d>,
    ) -> Self {
        let incomplete = protocols.contains(&None);
        let redirecting = Redirecting::new();
        let mut routes = Self { read: Vec::new(), incomplete, protocols, redirecting };
        let mut seen = Seen::new();
        for section in sections {
            let (report, span) = (section.report(), section.span.clone());
            match route(section, listeners, &routes.protocols, pools) {
                Some(route) => {
                    let what = "route: the same listener, host and path";
                    let key = |below| (route.listener, route.host.clone(), below);
                    if route.alpn.is_empty() {
                        seen.note(report, key(route.path.clone()), span.clone(), what);
                    }
                    for name in &route.alpn {
                        let what = format!("route: the same listener, host and `alpn` {name}");
                        seen.note(report, key(format!("alpn={name}")), span.clone(), &what);
                    }
                    routes.read.push((route, span));
                }
                None => routes.incomplete = true,
            }
        }
        routes
    }

    /// Adds implied routes, and reports unreachable routes and pools. True if no route is missing
    /// or invalid.
    fn finished(
        mut self,
        report: &Report<'_>,
        listeners: &Names<'_>,
        pools: &mut Names<'_>,
    ) -> (Vec<Route>, bool) {
        self.check_overridden(report);
        self.check_fitting(report);
        if !self.incomplete && !pools.entries.is_empty() {
            self.route_bare_listeners(report, listeners, pools);
        }
        if !self.incomplete && !listeners.entries.is_empty() {
            check_reachable(report, pools);
        }
        (self.read.into_iter().map(|(route, _)| route).collect(), !self.incomplete)
    }

    /// A route for all listeners is of no use if each that it fits has one of its own for the same.
    fn check_overridden(&self, report: &Report<'_>) {
        let is_http = |protocol: &Option<Protocol>| protocol.is_some_and(Protocol::reads_requests);
        let http_count = self.taking_all().filter(|protocol| is_http(protocol)).count();
        // How many listeners have such a route, and how many of them are of HTTP.
        let mut own: HashMap<(&HostPattern, &str), (usize, usize)> = HashMap::new();
        for (route, _) in self.read.iter().filter(|(route, _)| route.alpn.is_empty()) {
            let Some(ListenerIndex(index)) = route.listener else { continue };
            if self.redirects(index) {
                continue;
            }
            let (all, http) = own.entry((&route.host, &route.path)).or_default();
            *all += 1;
            *http += usize::from(self.protocols.get(index).is_some_and(is_http));
        }
        for (route, span) in self.for_all() {
            let (all, http) = own.get(&(&route.host, &*route.path)).copied().unwrap_or_default();
            let is_overridden = match route.fits(Protocol::Tcp) {
                true => all > 0 && all >= self.taking_all().count(),
                false => http > 0 && http >= http_count,
            };
            if is_overridden {
                let message = "unreachable: every listener has a route of its own for this host \
                               and path";
                report.add_with_help(span.clone(), message, "remove this route");
            }
        }
    }

    /// A route for all listeners with a host or path is of no use if none is of HTTP.
    fn check_fitting(&self, report: &Report<'_>) {
        let fits = |route: &Route| {
            let mut protocols = self.taking_all().flatten();
            protocols.any(|protocol| route.fits(*protocol))
        };
        if self.protocols.is_empty() || self.incomplete {
            return;
        }
        for (_, span) in self.for_all().filter(|(route, _)| !fits(route)) {
            let message = "unreachable: a route for all listeners that has a host or path is for \
                           those of protocol `http` or `https`, and there is none that takes it";
            let help = "add `listener`; on one of `tls-passthrough`, `host` is the server name";
            report.add_with_help(span.clone(), message, help);
        }
    }

    /// True for a listener that only serves the routes made for it.
    fn redirects(&self, listener: usize) -> bool {
        self.redirecting.get(listener) == Some(&true)
    }

    /// The protocols of the listeners on which routes for all of them may count.
    fn taking_all(&self) -> impl Iterator<Item = &Option<Protocol>> {
        let listeners = self.protocols.iter().enumerate();
        listeners.filter(|(index, _)| !self.redirects(*index)).map(|(_, protocol)| protocol)
    }

    fn for_all(&self) -> impl Iterator<Item = &(Route, Range<usize>)> {
        self.read.iter().filter(|(route, _)| route.listener.is_none())
    }

    /// Sends everything on a listener without a route to the only pool.
    fn route_bare_listeners(
        &mut self,
        report: &Report<'_>,
        listeners: &Names<'_>,
        pools: &mut Names<'_>,
    ) {
        let written = self.read.len();
        let has_for_all = |protocol| self.for_all().any(|(route, _)| route.fits(protocol));
        let (http, others) = (has_for_all(Protocol::Http), has_for_all(Protocol::Tcp));
        let is_bare = |index: usize, name: &Name<'_>| {
            let is_http = self.protocols[index].is_some_and(Protocol::reads_requests);
            let is_routed = name.referred_to || others || (is_http && http);
            !is_routed && !self.redirects(index)
        };
        let bare = listeners.entries.iter().enumerate();
        let bare: Vec<_> = bare.filter(|(index, name)| is_bare(*index, name)).collect();
        for (index, listener) in bare {
            let name = listener.name;
            if let [pool] = &mut pools.entries[..] {
                pool.referred_to = true;
                let route = Route {
                    listener: Some(ListenerIndex(index)),
                    host: HostPattern::Any,
                    path: "/".to_owned(),
                    alpn: Vec::new(),
                    pool: PoolIndex(0),
                };
                self.read.push((route, listener.span.clone()));
            } else {
                let sample = [("listener", name), ("pool", "NAME")];
                let help = format!("add {}", report.table(&["route"], &sample));
                let message =
                    format!("listener `{name}` has no route, and there are several pools");
                report.add_with_help(listener.span.clone(), message, help);
                self.incomplete = true;
            }
        }
        if let Some((_, beyond)) = self.read.get(ROUTES_MAX).filter(|_| written <= ROUTES_MAX) {
            let message = format!(
                "too many routes: at most {ROUTES_MAX}, with one for each listener that has none"
            );
            report.add(beyond.clone(), message);
        }
    }
}

fn check_reachable(report: &Report<'_>, pools: &Names<'_>) {
    for Name { name, span, .. } in pools.entries.iter().filter(|pool| !pool.referred_to) {
        let message = format!("pool `{name}` is unreachable: no route leads to it");
        let route = report.table(&["route"], &[("pool", name)]);
        let help = format!("add {route}, or remove the pool");
        report.add_with_help(span.clone(), message, help);
    }
}
