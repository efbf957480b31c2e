//! The changes that a new configuration makes, the connections that each of them touches, and the
//! keys that need a restart. Pure.

use crate::config::{
    Backend, Certificate, Choice, Config, PrintedKey, PrintedSection, Protocol, Transport,
};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// A part of a configuration, under a name that does not depend on the order of parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A section of the whole process, as `timeouts`.
    Process(String),
    /// A listener. One on another address or by another transport is another one: it opens before
    /// the old one closes.
    Listener {
        /// Its name.
        name: String,
        /// Its transport.
        transport: Transport,
        /// Its configured address.
        address: String,
    },
    /// A certificate: its file, and its listener if it has one. Another file is another one.
    Certificate(String),
    /// A route.
    Route(String),
    /// A pool, or one of the tables below it.
    Pool {
        /// Its name.
        pool: String,
        /// `health`, `readiness` or `ejection`; none: the pool itself.
        table: Option<String>,
    },
    /// A backend of a pool, or a name that stands for some.
    Backend {
        /// The pool.
        pool: String,
        /// As it is written.
        backend: String,
    },
    /// The file that lists backends of a pool. One at another path is another one.
    BackendsFile {
        /// The pool.
        pool: String,
        /// Its path.
        file: String,
    },
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(section) => f.write_str(section),
            Self::Listener { name, transport, address } => {
                let suffix = if *transport == Transport::Udp { "/udp" } else { "" };
                write!(f, "listener {name} {address}{suffix}")
            }
            Self::Certificate(certificate) => write!(f, "certificate {certificate}"),
            Self::Route(route) => write!(f, "route {route}"),
            Self::Pool { pool, table: None } => write!(f, "pool {pool}"),
            Self::Pool { pool, table: Some(table) } => write!(f, "pool {pool}.{table}"),
            Self::Backend { pool, backend } => write!(f, "pool {pool}: backend {backend}"),
            Self::BackendsFile { pool, file } => write!(f, "pool {pool}: backends_file {file}"),
        }
    }
}

/// The use of a part at a moment; none where there is nothing of the kind, or it is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// Open connections of clients: of a listener, and of the process.
    pub client_connections: Option<u64>,
    /// Flows of a listener of UDP.
    pub flows: Option<u64>,
    /// Connections to backends, idle ones too: of a pool and of a backend.
    pub backend_connections: Option<u64>,
    /// Exchanges in flight: of a pool and of a backend. Those of a route are not counted.
    pub exchanges: Option<u64>,
}

impl Touched {
    /// The use of a listener.
    pub(super) fn of_listener(transport: Transport, open: u64) -> Self {
        match transport {
            Transport::Tcp => Self { client_connections: Some(open), ..Self::default() },
            Transport::Udp => Self { flows: Some(open), ..Self::default() },
        }
    }

    /// The use of a new part, which is zero.
    fn by_new(part: &Part) -> Self {
        let (none, zero) = (Self::default(), Some(0));
        match part {
            Part::Process(_) | Part::Certificate(_) => none,
            Part::Listener { transport, .. } => Self::of_listener(*transport, 0),
            Part::Route(_) => Self { exchanges: zero, ..none },
            Part::Pool { .. } | Part::Backend { .. } | Part::BackendsFile { .. } => {
                Self { backend_connections: zero, exchanges: zero, ..none }
            }
        }
    }
}

/// One difference between two configurations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which part, as `listener web 0.0.0.0:80`, `pool app: backend 10.0.0.1:80`, `timeouts`.
    pub what: String,
    /// The change: `added`, `removed`, or the keys with their old and new values.
    pub how: String,
    /// The touched connections and exchanges end by it, sooner or later. If not, they go on.
    pub ends: bool,
    /// The use of the part now.
    #[serde(flatten)]
    pub touched: Touched,
}

/// The differences between the running configuration and another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The changes of a reload.
    pub changes: Vec<Change>,
    /// Keys whose new value takes effect only after a restart.
    pub needs_restart: Vec<String>,
}

impl Plan {
    fn note(&mut self, name: &str, how: String, ends: bool, touched: Touched) {
        self.changes.push(Change { what: name.to_owned(), how, ends, touched });
    }
}

/// Compares two configurations. `touched` is the use of a part of the old one; `ending`, the part
/// of that use that ends if the part is removed, which is none where another part keeps all of it.
pub fn plan(
    old: &Config,
    new: &Config,
    touched: impl Fn(&Part) -> Touched,
    ending: impl Fn(&Part) -> Option<Touched>,
) -> Plan {
    let (old, new) = differing(old, new);
    let (old, new) = (sections(&old), sections(&new));
    let mut plan = Plan::default();
    for (name, (part, before)) in &old {
        match new.get(name) {
            None if is_fixed(before) => plan.needs_restart.push(name.clone()),
            None if is_below_another(part, &new) => {}
            None => {
                let ending = can_end(part).then(|| ending(part)).flatten();
                let touched = ending.unwrap_or_else(|| touched(part));
                plan.note(name, "removed".to_owned(), ending.is_some(), touched);
            }
            Some((_, after)) => {
                let how = compare(&mut plan, name, before, after);
                if !how.is_empty() {
                    plan.note(name, how, false, touched(part));
                }
            }
        }
    }
    for (name, (part, keys)) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        if is_fixed(keys) {
            plan.needs_restart.push(name.clone());
        } else if !is_below_another(part, &old) {
            // A section of the process touches all present connections, whether it is new or not.
            let of_process = matches!(part, Part::Process(_)).then(|| touched(part));
            let touched = of_process.unwrap_or_else(|| Touched::by_new(part));
            plan.note(name, "added".to_owned(), false, touched);
        }
    }
    plan
}

/// True if the use of a part ends when it is removed. A pool without a table that it had goes on
/// with the defaults.
fn can_end(part: &Part) -> bool {
    !matches!(
        part,
        Part::Process(_)
            | Part::Certificate(_)
            | Part::Route(_)
            | Part::Pool { table: Some(_), .. }
    )
}

/// True if a part is a table of a pool that comes or goes as a whole, `others` being without it.
fn is_below_another(part: &Part, others: &Sections) -> bool {
    let Part::Pool { pool, table: Some(_) } = part else { return false };
    !others.contains_key(&Part::Pool { pool: pool.clone(), table: None }.to_string())
}

/// The new configuration, with the present values of keys that need a restart.
pub fn without_restart(old: &Config, mut new: Config) -> Config {
    new.keep_fixed(old);
    new
}

type Keys = BTreeMap<&'static str, PrintedKey>;
type Sections = BTreeMap<String, (Part, Keys)>;

/// True if a section is read at the start only.
fn is_fixed(keys: &Keys) -> bool {
    !keys.is_empty() && keys.values().all(|key| key.needs_restart)
}

/// The keys that differ, with their old and new values; those that need a restart are only listed.
fn compare(plan: &mut Plan, name: &str, before: &Keys, after: &Keys) -> String {
    let mut changed = Vec::new();
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    for key in keys {
        let (was, is) = (before.get(key), after.get(key));
        if was == is {
            continue;
        }
        if was.or(is).is_some_and(|key| key.needs_restart) {
            plan.needs_restart.push(format!("{name}.{key}"));
            continue;
        }
        let shown = |key: Option<&PrintedKey>| {
            key.map_or_else(|| "default".to_owned(), |key| key.value.to_string())
        };
        changed.push(format!("{key} {} -> {}", shown(was), shown(is)));
    }
    changed.join(", ")
}

/// Both without the backends that are the same in both: there may be thousands, which would take
/// long to be written down and compared.
fn differing(old: &Config, new: &Config) -> (Config, Config) {
    let (mut old, mut new) = (old.clone(), new.clone());
    for before in &mut old.pools {
        let Some(after) = new.pools.iter_mut().find(|pool| pool.name == before.name) else {
            continue;
        };
        let known: HashSet<Backend> = before.backends.iter().copied().collect();
        let same: HashSet<Backend> =
            after.backends.iter().copied().filter(|backend| known.contains(backend)).collect();
        before.backends.retain(|backend| !same.contains(backend));
        after.backends.retain(|backend| !same.contains(backend));
    }
    (old, new)
}

/// The parts of a configuration by their names.
fn sections(config: &Config) -> Sections {
    let mut sections = Sections::new();
    let mut certificates = config.certificates.iter();
    for section in config.to_sections() {
        let part = part(&section);
        let mut keys: Keys = section.values.into_iter().map(|key| (key.name, key)).collect();
        if let (Part::Certificate(_), Some(certificate)) = (&part, certificates.next()) {
            keys.extend(fingerprint(certificate).map(|key| (FINGERPRINT, key)));
        }
        if let Part::Pool { pool, table: None } = &part {
            let file = keys.remove("backends_file");
            let file = file.and_then(|file| Some(file.value.as_str()?.to_owned()));
            if let Some(file) = file.filter(|file| !file.is_empty()) {
                let part = Part::BackendsFile { pool: pool.clone(), file };
                sections.insert(part.to_string(), (part, Keys::new()));
            }
        }
        sections.insert(part.to_string(), (part, keys));
    }
    sections
}

/// What tells two certificates of the same files apart, beside their keys.
const FINGERPRINT: &str = "fingerprint";

/// The first digits of a fingerprint. One by ACME is no part of the configuration: it changes at
/// any time.
fn fingerprint(certificate: &Certificate) -> Option<PrintedKey> {
    let loaded = certificate.loaded.as_ref().filter(|_| certificate.acme.is_none())?;
    let value = format!("{}…", &loaded.fingerprint_text()[..16]).into();
    Some(PrintedKey { name: FINGERPRINT, value, needs_restart: false })
}

fn part(section: &PrintedSection) -> Part {
    let value = |key: &str| {
        let found = section.values.iter().find(|printed| printed.name == key);
        found.map(|PrintedKey { value, .. }| {
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        })
    };
    let whole = |key: &str| value(key).unwrap_or_default();
    let path = section.path.split('[').next().unwrap_or_default();
    let steps: Vec<&str> = path.split('.').collect();
    match steps.as_slice() {
        ["listener"] => {
            let protocol = Protocol::of_word(&whole("protocol")).unwrap_or_default();
            let (name, address) = (whole("name"), whole("address"));
            Part::Listener { name, transport: protocol.transport(), address }
        }
        ["certificate"] => {
            let listener = value("listener").map(|name| format!(" on {name}")).unwrap_or_default();
            let acme = value("acme").map(|account| format!("of acme {account} {}", whole("names")));
            Part::Certificate(acme.unwrap_or_else(|| whole("chain")) + &listener)
        }
        ["route"] => {
            let listener = value("listener").map(|name| format!(" on {name}")).unwrap_or_default();
            let host = value("host").unwrap_or("*".into());
            let host = if host.is_empty() { "\"\"" } else { &*host };
            let alpn = value("alpn").map(|alpn| format!(" alpn {alpn}")).unwrap_or_default();
            Part::Route(format!("{host}{}{alpn}{listener}", whole("path")))
        }
        ["error_answer"] => Part::Process(format!("error_answer {}", whole("status"))),
        ["pool", pool, "backend"] => {
            let backend = value("address").or_else(|| value("srv")).unwrap_or_default();
            Part::Backend { pool: (*pool).to_owned(), backend }
        }
        ["pool", pool, below @ ..] => {
            let table = below.first().map(|table| (*table).to_owned());
            Part::Pool { pool: (*pool).to_owned(), table }
        }
        _ => Part::Process(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "[[listener]]\nname = \"web\"\naddress = \"0.0.0.0:80\"\n\
        [[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n\
        [[pool.app.backend]]\naddress = \"10.0.0.2:80\"\n";

    fn config(text: &str) -> Config {
        let load = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        Config::parse(text, "test.toml", &load).expect("it is well")
    }

    /// Nine clients are connected, and the second backend carries something.
    fn touched(part: &Part) -> Touched {
        let (none, client_connections) = (Touched::default(), Some(9));
        match part {
            Part::Process(_) => Touched { client_connections, ..none },
            Part::Backend { backend, .. } if backend.starts_with("10.0.0.2") => {
                Touched { backend_connections: Some(7), exchanges: Some(3), ..none }
            }
            _ => none,
        }
    }

    fn planned(new: &str) -> Plan {
        plan(&config(OLD), &config(new), touched, ending)
    }

    /// Nothing is kept by another part.
    fn ending(part: &Part) -> Option<Touched> {
        Some(touched(part))
    }

    #[test]
    fn the_same_in_another_order_is_no_change() {
        let reordered = "[[pool.app.backend]]\naddress = \"10.0.0.2:80\"\n\
            [[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n\
            [[listener]]\naddress = \"0.0.0.0:80\"\nname = \"web\"\n";
        assert_eq!(planned(reordered), Plan::default());
    }

    #[test]
    fn a_backend_that_moves_to_another_pool_or_changes_its_weight_is_named() {
        let weighed = format!("{OLD}weight = 5\n");
        let shown = |plan: Plan| -> Vec<(String, String)> {
            plan.changes.into_iter().map(|change| (change.what, change.how)).collect()
        };
        let changed = shown(planned(&weighed));
        let how = ("pool app: backend 10.0.0.2:80".to_owned(), "weight 1 -> 5".to_owned());
        assert_eq!(changed, [how]);
        let moved = OLD.replacen("app.backend", "other.backend", 1);
        let moved =
            moved + "[[route]]\npool = \"app\"\n[[route]]\npath = \"/o\"\npool = \"other\"\n";
        let changed = shown(planned(&moved));
        for (pool, how) in [("app", "removed"), ("other", "added")] {
            let what = (format!("pool {pool}: backend 10.0.0.1:80"), how.to_owned());
            assert!(changed.contains(&what), "{what:?} is not in {changed:?}");
        }
    }

    #[test]
    fn each_change_is_named_and_counted() {
        let new = OLD.replace("10.0.0.2", "10.0.0.3")
            + "weight = 5\n[timeouts]\nidle = \"5s\"\n[runtime]\nshards = 2\n";
        let plan = planned(&new);
        let shown: Vec<_> =
            plan.changes.iter().map(|c| (&*c.what, &*c.how, c.ends, counts(c))).collect();
        assert_eq!(
            shown,
            [
                ("pool app: backend 10.0.0.2:80", "removed", true, [None, Some(7), Some(3)]),
                ("timeouts", "idle \"1m\" -> \"5s\"", false, [Some(9), None, None]),
                ("pool app: backend 10.0.0.3:80", "added", false, [None, Some(0), Some(0)]),
            ]
        );
        assert_eq!(plan.needs_restart, ["runtime.shards"]);
    }

    fn counts(change: &Change) -> [Option<u64>; 3] {
        let Touched { client_connections, backend_connections, exchanges, .. } = change.touched;
        [client_connections, backend_connections, exchanges]
    }

    #[test]
    fn a_pool_comes_and_goes_as_a_whole_and_a_route_says_that_it_does_not_count() {
        let routed = OLD.to_owned() + "[[route]]\npool = \"app\"\n";
        let more = "[[route]]\npath = \"/b\"\npool = \"b\"\n[[pool.b.backend]]\n\
            address = \"10.0.1.1:80\"\n[pool.b.ejection]\nbase = \"1s\"\n";
        let (old, new) = (config(&routed), config(&(routed + more)));
        let what = ["pool b", "pool b: backend 10.0.1.1:80", "route */b"];
        let zero = Some(0);
        let came = plan(&old, &new, touched, ending).changes;
        assert_eq!(came.iter().map(|change| &*change.what).collect::<Vec<_>>(), what);
        assert_eq!(counts(&came[2]), [None, None, zero], "nothing goes by it yet");
        let went = plan(&new, &old, touched, ending).changes;
        assert_eq!(went.iter().map(|change| &*change.what).collect::<Vec<_>>(), what);
        assert_eq!(went.iter().map(|change| change.ends).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(counts(&went[2]), [None; 3], "not counted, which is not none");
    }

    #[test]
    fn without_a_table_a_pool_goes_on_and_without_a_file_its_backends_end() {
        let tables = "[pool.app]\nbackends_file = \"/a.json\"\n[pool.app.readiness]\n\
            protocol = \"tcp\"\n[pool.app.ejection]\nbase = \"1s\"\n";
        let old = config(&(OLD.to_owned() + tables));
        let shown = |plan: Plan| {
            let changes = plan.changes.into_iter();
            changes.map(|change| (change.what, change.how, change.ends)).collect::<Vec<_>>()
        };
        let change = |what: &str, how: &str, ends| (what.to_owned(), how.to_owned(), ends);
        let without = |part: &str| config(&(OLD.to_owned() + &tables.replace(part, "")));
        let no_readiness = without("[pool.app.readiness]\nprotocol = \"tcp\"\n");
        assert_eq!(
            shown(plan(&old, &no_readiness, touched, ending)),
            [change("pool app.readiness", "removed", false)]
        );
        let no_file = without("backends_file = \"/a.json\"\n");
        let removed = change("pool app: backends_file /a.json", "removed", true);
        assert_eq!(shown(plan(&old, &no_file, touched, ending)), std::slice::from_ref(&removed));
        let other = config(&(OLD.to_owned() + &tables.replace("/a.json", "/b.json")));
        let added = change("pool app: backends_file /b.json", "added", false);
        assert_eq!(shown(plan(&old, &other, touched, ending)), [removed, added]);
    }

    #[test]
    fn a_listener_of_another_transport_is_another_one_and_has_flows() {
        let new = OLD.replacen("\"web\"\n", "\"web\"\nprotocol = \"udp\"\n", 1);
        let of_listener = |part: &Part| match part {
            Part::Listener { transport, .. } => Touched::of_listener(*transport, 5),
            _ => Touched::default(),
        };
        let [connections, flows] = [Transport::Tcp, Transport::Udp];
        let (tcp, udp) = ("listener web 0.0.0.0:80", "listener web 0.0.0.0:80/udp");
        for (old, new, was, is, [before, after]) in [
            (OLD, &*new, tcp, udp, [connections, flows]),
            (&*new, OLD, udp, tcp, [flows, connections]),
        ] {
            let plan =
                plan(&config(old), &config(new), of_listener, |part| Some(of_listener(part)));
            let find = |what: &str| plan.changes.iter().find(|change| change.what == what);
            let removed = find(was).expect("removed");
            assert!(removed.how == "removed" && removed.ends, "{removed:?}");
            assert_eq!(removed.touched, Touched::of_listener(before, 5));
            assert_eq!(find(is).expect("added").touched, Touched::of_listener(after, 0));
        }
    }

    #[test]
    fn what_another_part_keeps_goes_on() {
        let new = OLD.replace("10.0.0.2", "10.0.0.3");
        let plan = plan(&config(OLD), &config(&new), touched, |_| None);
        let [removed, _] = &plan.changes[..] else { panic!("{plan:?}") };
        assert_eq!(
            (&*removed.how, removed.ends, counts(removed)),
            ("removed", false, [None, Some(7), Some(3)])
        );
    }

    #[test]
    fn what_needs_a_restart_stays_as_it_is() {
        let old = config(OLD);
        let new = config(&(OLD.to_owned() + "[runtime]\nbacklog = 7\n[timeouts]\nidle = \"5s\"\n"));
        let effective = without_restart(&old, new.clone());
        assert_eq!(effective.runtime, old.runtime);
        assert_eq!(effective.timeouts, new.timeouts);
    }
}
