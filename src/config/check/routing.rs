//! `[[listener]]`, `[pool.NAME]` and `[[route]]`, and that each leads to the next.

use crate::balance::Algorithm;
use crate::config::diagnostics::Report;
use crate::config::model::{
    Backend, Choice, Config, IDLE_CONNECTIONS_DEFAULT, Listener, ListenerIndex, Pool, PoolIndex,
    Protocol, Route, Steering,
};
use crate::config::raw::{At, Section};
use crate::config::units::{closest, listed, unknown_word};
use crate::config::values::{check_name, parse_address, parse_listen_address};
use crate::limits::{BACKENDS_MAX, WEIGHT_MAX};
use crate::route::{HostPattern, check_path_prefix};
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

/// Most idle upstream connections to one backend.
const IDLE_CONNECTIONS_MAX: usize = 65_535;

/// Protocols of the design that this version does not speak.
const LATER_PROTOCOLS: [&str; 4] = ["https", "tcp", "tls-passthrough", "udp"];

/// Names that a problem lists.
const NAMES_SHOWN_MAX: usize = 8;

/// What was written once already, with the place where.
struct Seen<K>(HashMap<K, Range<usize>>);

impl<K: Hash + Eq> Seen<K> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    /// Notes `key`; reports it if it is there already.
    fn note(&mut self, report: &Report<'_>, key: K, span: Range<usize>, what: &str) {
        match self.0.get(&key) {
            Some(first) => {
                let line = report.line_of(first);
                report.add(span, format!("{what} is there already, on line {line}"));
            }
            None => drop(self.0.insert(key, span)),
        }
    }
}

/// The names of one kind, each at the index that it has in the configuration, and whether
/// something refers to it.
struct Names<'d> {
    kind: &'static str,
    entries: Vec<Name<'d>>,
    indexes: HashMap<&'d str, usize>,
}

struct Name<'d> {
    name: &'d str,
    span: Range<usize>,
    referred_to: bool,
}

impl<'d> Names<'d> {
    fn new(kind: &'static str) -> Self {
        Self { kind, entries: Vec::new(), indexes: HashMap::new() }
    }

    fn push(&mut self, name: &'d str, span: Range<usize>) {
        self.indexes.entry(name).or_insert(self.entries.len());
        self.entries.push(Name { name, span, referred_to: false });
    }

    fn resolve(&mut self, report: &Report<'_>, name: &At<&str>) -> Option<usize> {
        if let Some(&index) = self.indexes.get(name.value) {
            self.entries[index].referred_to = true;
            return Some(index);
        }
        let known: Vec<&str> = self.entries.iter().map(|entry| entry.name).collect();
        let help = match closest(name.value, known.iter().copied()) {
            Some(close) => format!("did you mean `{close}`?"),
            None if known.is_empty() => format!("there is no {} at all", self.kind),
            None => format!("it can be {}", listed(&known[..known.len().min(NAMES_SHOWN_MAX)])),
        };
        let message = format!("there is no {} `{}`", self.kind, name.value.escape_debug());
        report.add_with_help(name.span.clone(), message, help);
        None
    }
}

/// Reads all three kinds of sections.
pub(super) fn read_into<'d>(config: &mut Config, root: &mut Section<'d>) {
    let report = root.report();
    let mut listener_names = Names::new("listener");
    let mut pool_names = Names::new("pool");
    config.listeners = listeners(root.sections("listener"), &mut listener_names);
    config.pools = pools(root.section("pool"), &mut pool_names);
    let routes = root.sections("route");
    let routes = Routes::read(routes, &mut listener_names, &mut pool_names);
    check_presence(report, &listener_names, &pool_names);
    config.routes = routes.finished(report, &listener_names, &mut pool_names);
}

fn check_presence(report: &Report<'_>, listeners: &Names<'_>, pools: &Names<'_>) {
    if listeners.entries.is_empty() {
        let help = "add [[listener]] with name = \"web\" and address = \"0.0.0.0:8080\"";
        report.add_with_help(0..0, "there is no listener: nobody could connect", help);
    }
    if pools.entries.is_empty() {
        let help = "add [[pool.web.backend]] with address = \"10.0.0.11:8080\"";
        report.add_with_help(0..0, "there is no pool: nobody could answer", help);
    }
}

fn listeners<'d>(sections: Vec<Section<'d>>, names: &mut Names<'d>) -> Vec<Listener> {
    let (mut seen_names, mut seen_addresses) = (Seen::new(), Seen::new());
    let mut listeners = Vec::new();
    for mut section in sections {
        let report = section.report();
        let name = section.required_text("name");
        let address = section.required_text("address");
        let address = address.and_then(|text| {
            let parsed = parse_listen_address(text.value);
            let address = section.report_error(text.span.clone(), parsed)?;
            if address.port() != 0 {
                seen_addresses.note(report, address, text.span, &format!("the address {address}"));
            }
            Some(address)
        });
        let mut protocol = Protocol::default();
        section.parse_into("protocol", &mut protocol, parse_protocol);
        let mut steering = Steering::default();
        section.choice_into("steering", &mut steering);
        if let Some(At { value: name, span }) = name {
            section.report_error(span.clone(), check_name(name));
            seen_names.note(report, name, span, &format!("a listener `{name}`"));
            names.push(name, section.span.clone());
            let name = name.to_owned();
            listeners.extend(address.map(|address| Listener { name, address, protocol, steering }));
        }
        section.finish();
    }
    listeners
}

fn parse_protocol(word: &str) -> Result<Protocol, String> {
    if LATER_PROTOCOLS.contains(&word) {
        return Err(format!("`{word}` is not in this version yet: it can be `http`"));
    }
    Protocol::of_word(word).ok_or_else(|| unknown_word::<Protocol>(word))
}

fn pools<'d>(mut section: Section<'d>, names: &mut Names<'d>) -> Vec<Pool> {
    let mut pools = Vec::new();
    let mut backends_left = BACKENDS_MAX;
    for (name, mut section) in section.named_sections() {
        section.report_error(name.span.clone(), check_name(name.value));
        names.push(name.value, name.span.clone());
        let mut algorithm = Algorithm::default();
        section.choice_into("algorithm", &mut algorithm);
        let mut idle_connections = IDLE_CONNECTIONS_DEFAULT;
        section.count_into("idle_connections", &mut idle_connections, 0..=IDLE_CONNECTIONS_MAX);
        let backends = backends(&mut section, &name, &mut backends_left);
        let pool = Pool::new(name.value, backends);
        pools.push(Pool { algorithm, idle_connections, ..pool });
        section.finish();
    }
    pools
}

fn backends(section: &mut Section<'_>, pool: &At<&str>, left: &mut usize) -> Vec<Backend> {
    let report = section.report();
    let (mut seen, mut backends, mut weight_sum) = (Seen::new(), Vec::new(), 0);
    let sections = section.sections("backend");
    if sections.is_empty() && !section.has("backend") {
        let name = pool.value;
        let help = format!("add [[pool.{name}.backend]] with address = \"10.0.0.11:8080\"");
        let message = format!("pool `{name}` has no backend");
        report.add_with_help(pool.span.clone(), message, help);
    }
    let count = sections.len();
    if count > *left {
        let message = format!("too many backends: at most {BACKENDS_MAX} over all pools");
        report.add(pool.span.clone(), message);
    }
    *left = left.saturating_sub(count);
    for mut section in sections {
        let mut weight = 1;
        section.count_into("weight", &mut weight, 0..=WEIGHT_MAX);
        weight_sum += weight;
        if let Some(text) = section.required_text("address")
            && let Some(address) =
                section.report_error(text.span.clone(), parse_address(text.value))
        {
            seen.note(report, address, text.span, &format!("backend {address} of this pool"));
            backends.push(Backend { address, weight });
        }
        section.finish();
    }
    if count > 0 && weight_sum == 0 {
        let message = format!("every backend of pool `{}` has weight 0", pool.value);
        report.add_with_help(pool.span.clone(), message, "give one a weight of 1 or more");
    }
    backends
}

/// The routes with their places. A route with a problem of its own is noted only as being there.
struct Routes {
    read: Vec<(Route, Range<usize>)>,
    /// A route is missing or was not understood: what no route leads to is not known.
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
                    let what = "a route for the same listener, host and path";
                    seen.note(report, key, span.clone(), what);
                    routes.read.push((route, span));
                }
                None => routes.incomplete = true,
            }
        }
        routes
    }

    /// Adds what follows from the rest, and reports what no request can reach.
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
        if !self.incomplete {
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
                report.add_with_help(span.clone(), message, "take this route out");
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
                let help = format!("add [[route]] with listener = \"{name}\" and a pool");
                let message =
                    format!("listener `{name}` has no route, and there are several pools");
                report.add_with_help(listener.span.clone(), message, help);
                self.incomplete = true;
            }
        }
    }
}

fn check_reachable(report: &Report<'_>, pools: &Names<'_>) {
    for Name { name, span, .. } in pools.entries.iter().filter(|pool| !pool.referred_to) {
        let message = format!("pool `{name}` is unreachable: no route leads to it");
        let help = format!("add [[route]] with pool = \"{name}\", or take the pool out");
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
    let mut host = Some(HostPattern::Any);
    if section.has("host") {
        host = None;
        section.parse_into("host", &mut host, |text| text.parse().map(Some));
    }
    let mut path = Some("/".to_owned());
    if section.has("path") {
        path = None;
        section.parse_into("path", &mut path, |text| {
            check_path_prefix(text).map(|()| Some(text.to_owned()))
        });
    }
    let pool = section.required_text("pool").and_then(|name| pools.resolve(report, &name));
    section.finish();
    Some(Route { listener: listener?, host: host?, path: path?, pool: PoolIndex(pool?) })
}
