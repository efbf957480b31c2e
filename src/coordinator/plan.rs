//! What a new configuration would change, and what of it needs a restart. Pure.

use crate::config::{Config, PrintedSection};
use serde::Serialize;
use std::collections::BTreeMap;
use toml::Value;

/// One difference between two configurations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which part, as `listener web`, `pool app: backend 10.0.0.1:80`, `timeouts`.
    pub what: String,
    /// What becomes of it: `added`, `removed`, or the keys with their old and new values.
    pub how: String,
    /// Connections that end by it, sooner or later.
    pub connections: u64,
}

/// The differences between the running configuration and another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What a reload changes.
    pub changes: Vec<Change>,
    /// Keys whose new value only a restart brings into force.
    pub needs_restart: Vec<String>,
}

/// Sections that are read at the start only.
const FIXED: [&str; 3] = ["runtime", "admin", "access_log"];

/// Compares. `connections` says how many connections end if a part of this name is removed.
pub fn plan(old: &Config, new: &Config, connections: impl Fn(&str) -> u64) -> Plan {
    let (old, new) = (sections(old), sections(new));
    let mut plan = Plan::default();
    for (name, before) in &old {
        match new.get(name) {
            None if is_fixed(name) => plan.needs_restart.push(name.clone()),
            None => {
                let connections = connections(name);
                plan.changes.push(Change {
                    what: name.clone(),
                    how: "removed".into(),
                    connections,
                });
            }
            Some(after) => compare(&mut plan, name, before, after),
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        if is_fixed(name) {
            plan.needs_restart.push(name.clone());
        } else {
            let how = "added".to_owned();
            plan.changes.push(Change { what: name.clone(), how, connections: 0 });
        }
    }
    plan
}

/// The new configuration with what needs a restart as it is now.
pub fn without_restart(old: &Config, new: Config) -> Config {
    let mut effective = Config {
        runtime: old.runtime.clone(),
        admin: old.admin.clone(),
        access_log: old.access_log.clone(),
        ..new
    };
    for listener in &mut effective.listeners {
        let same = |known: &&crate::config::Listener| {
            known.name == listener.name && known.address == listener.address
        };
        if let Some(known) = old.listeners.iter().find(same) {
            listener.steering = known.steering;
        }
    }
    effective
}

type Keys = BTreeMap<&'static str, Value>;

fn is_fixed(name: &str) -> bool {
    FIXED.contains(&name)
}

/// Which of the keys of a part needs a restart.
fn needs_restart(name: &str, key: &str) -> bool {
    is_fixed(name) || (name.starts_with("listener ") && key == "steering")
}

fn compare(plan: &mut Plan, name: &str, before: &Keys, after: &Keys) {
    let mut changed = Vec::new();
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    for key in keys {
        let (was, is) = (before.get(key), after.get(key));
        if was == is {
            continue;
        }
        if needs_restart(name, key) {
            plan.needs_restart.push(format!("{name}.{key}"));
            continue;
        }
        let shown = |value: Option<&Value>| value.map_or("default".into(), Value::to_string);
        changed.push(format!("{key} {} -> {}", shown(was), shown(is)));
    }
    if !changed.is_empty() {
        let how = changed.join(", ");
        plan.changes.push(Change { what: name.to_owned(), how, connections: 0 });
    }
}

/// The parts of a configuration under names that do not depend on their order.
fn sections(config: &Config) -> BTreeMap<String, Keys> {
    config.to_sections().into_iter().map(|section| (name(&section), keys(&section))).collect()
}

fn keys(section: &PrintedSection) -> Keys {
    section.values.iter().cloned().collect()
}

fn name(section: &PrintedSection) -> String {
    let value = |key: &str| {
        let found = section.values.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let path = section.path.split('[').next().unwrap_or_default();
    let whole = |part: Option<String>| part.unwrap_or_default();
    match path {
        // One on another address is another listener: it opens before the old one closes.
        "listener" => format!("listener {} {}", whole(value("name")), whole(value("address"))),
        "route" => {
            let (listener, host) = (value("listener"), value("host"));
            let listener = listener.map(|name| format!(" on {name}")).unwrap_or_default();
            format!("route {}{}{listener}", host.unwrap_or("*".into()), whole(value("path")))
        }
        "error_answer" => format!("error_answer {}", whole(value("status"))),
        other => match other.strip_prefix("pool.") {
            None => other.to_owned(),
            Some(pool) => match pool.strip_suffix(".backend") {
                None => format!("pool {pool}"),
                Some(pool) => {
                    let backend = value("address").or_else(|| value("srv"));
                    format!("pool {pool}: backend {}", whole(backend))
                }
            },
        },
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

    fn planned(new: &str) -> Plan {
        plan(&config(OLD), &config(new), |name| if name.contains("10.0.0.2") { 7 } else { 0 })
    }

    #[test]
    fn the_same_in_another_order_is_no_change() {
        let reordered = "[[pool.app.backend]]\naddress = \"10.0.0.2:80\"\n\
            [[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n\
            [[listener]]\naddress = \"0.0.0.0:80\"\nname = \"web\"\n";
        assert_eq!(planned(reordered), Plan::default());
    }

    #[test]
    fn each_change_is_named_and_counted() {
        let new = OLD.replace("10.0.0.2", "10.0.0.3")
            + "weight = 5\n[timeouts]\nidle = \"5s\"\n[runtime]\nshards = 2\n";
        let plan = planned(&new);
        let shown: Vec<(&str, &str, u64)> =
            plan.changes.iter().map(|c| (&*c.what, &*c.how, c.connections)).collect();
        assert_eq!(
            shown,
            [
                ("pool app: backend 10.0.0.2:80", "removed", 7),
                ("timeouts", "idle \"1m\" -> \"5s\"", 0),
                ("pool app: backend 10.0.0.3:80", "added", 0),
            ]
        );
        assert_eq!(plan.needs_restart, ["runtime.shards"]);
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
