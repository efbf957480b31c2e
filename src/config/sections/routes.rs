//! `[[route]]`, with listeners and pools: every listener has a route, and every pool is reachable.
//! Keys of a route that are left out match everything: they are read and printed by hand.

use super::listeners::listeners;
use super::names::{Name, Names, Seen};
use super::pools::{Places, pools};
use crate::config::diagnostics::Report;
use crate::config::keys::kinds::{shown, text};
use crate::config::loops::Loops;
use crate::config::model::{Config, ListenerIndex, PoolIndex};
use crate::config::printing::{PrintedKey, PrintedSection};
use crate::config::raw::Section;
use crate::limits::{LISTENERS_MAX, POOLS_MAX, ROUTES_MAX};
use crate::route::{HostPattern, check_path_prefix};
use std::collections::HashMap;
use std::ops::Range;

/// `[[route]]`: requests to this host and path go to this pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The only listener it counts on; none: all of them.
    pub listener: Option<ListenerIndex>,
    /// Hosts that match.
    pub host: HostPattern,
    /// The prefix of paths that match, on segment borders: `/`, or without a `/` at its end.
    pub path: String,
    /// The pool of the requests.
    pub pool: PoolIndex,
}

impl Route {
    pub(in crate::config) fn print(&self, config: &Config, index: usize) -> PrintedSection {
        let mut values = Vec::new();
        if let Some(listener) = self.listener {
            values.push(PrintedKey::new("listener", shown(&config.listeners[listener.0].name)));
        }
        if self.host != HostPattern::Any {
            values.push(PrintedKey::new("host", shown(&self.host)));
        }
        values.push(PrintedKey::new("path", shown(&self.path)));
        values.push(PrintedKey::new("pool", shown(&config.pool(self.pool).name)));
        PrintedSection::element("route", index, values)
    }
}

/// Reads all three kinds of sections.
pub(in crate::config) fn read_into<'d>(config: &mut Config, root: &mut Section<'d>) {
    let report = root.report();
    let mut listener_names = Names::new("listener");
    let mut pool_names = Names::new("pool");
    let listener_sections = root.sections("listener");
    check_count(&listener_sections, LISTENERS_MAX, "listeners");
    listener_names.is_partial =
        root.peek_length("listener").is_some_and(|length| length > listener_sections.len());
    config.listeners = listeners(listener_sections, &mut listener_names);
    let pool_section = root.section("pool");
    pool_names.is_partial = root.has("pool") && !pool_section.is_written();
    let (pools, places) = pools(pool_section, &mut pool_names);
    config.pools = pools;
    if let Some(beyond) = pool_names.entries.get(POOLS_MAX) {
        report.add(beyond.span.clone(), format!("too many pools: at most {POOLS_MAX}"));
    }
    let routes = root.sections("route");
    check_count(&routes, ROUTES_MAX, "routes");
    let routes = Routes::read(routes, &mut listener_names, &mut pool_names);
    // An invalid one was reported as such.
    let has_listener = root.peek_length("listener").is_some_and(|length| length > 0);
    check_presence(report, has_listener, &pool_names);
    config.routes = routes.finished(report, &listener_names, &mut pool_names);
    // A listener without a valid address has a name, and so an index in routes, but is not among
    // the listeners.
    if config.listeners.len() == listener_names.entries.len() {
        check_loops(report, config, &places);
    }
}

/// Reports backends from which requests would loop back.
fn check_loops(report: &Report<'_>, config: &Config, places: &Places) {
    let loops = Loops::new(&config.listeners, &config.routes);
    for ((index, pool), spans) in config.pools.iter().enumerate().zip(places) {
        for (backend, span) in pool.backends.iter().zip(spans) {
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
}

impl Routes {
    fn read<'d>(
        sections: Vec<Section<'d>>,
        listeners: &mut Names<'d>,
        pools: &mut Names<'d>,
    ) -> Self {
        let mut routes = Self { read: Vec::new(), incomplete: false };
        let mut seen = Seen::new();
        for section in sections {
            let (report, span) = (section.report(), section.span.clone());
            match route(section, listeners, pools) {
                Some(route) => {
                    let key = (route.listener, route.host.clone(), route.path.clone());
                    let what = "route: the same listener, host and path";
                    seen.note(report, key, span.clone(), what);
                    routes.read.push((route, span));
                }
                None => routes.incomplete = true,
            }
        }
        routes
    }

    /// Adds implied routes, and reports unreachable routes and pools.
    fn finished(
        mut self,
        report: &Report<'_>,
        listeners: &Names<'_>,
        pools: &mut Names<'_>,
    ) -> Vec<Route> {
        self.check_overridden(report, listeners.entries.len());
        let for_all = self.read.iter().any(|(route, _)| route.listener.is_none());
        if !for_all && !self.incomplete && !pools.entries.is_empty() {
            self.route_bare_listeners(report, listeners, pools);
        }
        if !self.incomplete && !listeners.entries.is_empty() {
            check_reachable(report, pools);
        }
        self.read.into_iter().map(|(route, _)| route).collect()
    }

    /// A route for all listeners is of no use if each has one of its own for the same.
    fn check_overridden(&self, report: &Report<'_>, listener_count: usize) {
        let mut own: HashMap<(&HostPattern, &str), usize> = HashMap::new();
        for (route, _) in self.read.iter().filter(|(route, _)| route.listener.is_some()) {
            *own.entry((&route.host, &route.path)).or_default() += 1;
        }
        for (route, span) in self.read.iter().filter(|(route, _)| route.listener.is_none()) {
            if own.get(&(&route.host, &*route.path)).is_some_and(|count| *count >= listener_count) {
                let message = "unreachable: every listener has a route of its own for this host \
                               and path";
                report.add_with_help(span.clone(), message, "remove this route");
            }
        }
    }

    /// Sends everything on a listener without a route to the only pool.
    fn route_bare_listeners(
        &mut self,
        report: &Report<'_>,
        listeners: &Names<'_>,
        pools: &mut Names<'_>,
    ) {
        let written = self.read.len();
        let bare = listeners.entries.iter().enumerate();
        for (index, listener) in bare.filter(|(_, listener)| !listener.referred_to) {
            let name = listener.name;
            if let [pool] = &mut pools.entries[..] {
                pool.referred_to = true;
                let route = Route {
                    listener: Some(ListenerIndex(index)),
                    host: HostPattern::Any,
                    path: "/".to_owned(),
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

fn route<'d>(
    mut section: Section<'d>,
    listeners: &mut Names<'d>,
    pools: &mut Names<'d>,
) -> Option<Route> {
    let report = section.report();
    let listener = match section.text("listener") {
        Some(name) => listeners.resolve(report, &name).map(|index| Some(ListenerIndex(index))),
        None => (!section.has("listener")).then_some(None),
    };
    let host = text(str::parse).read_or(&mut section, "host", HostPattern::Any);
    let path = text(parse_prefix).read_or(&mut section, "path", "/".to_owned());
    let pool = section.required_text("pool").and_then(|name| pools.resolve(report, &name));
    section.finish();
    Some(Route { listener: listener?, host: host?, path: path?, pool: PoolIndex(pool?) })
}

fn parse_prefix(text: &str) -> Result<String, String> {
    check_path_prefix(text).map(|()| text.to_owned())
}
