//! Architecture and style as a test. Each failure says where, what, and what to do.

use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom: `crate::X` in a folder of `src/`. What is not listed is forbidden.
/// ARCHITECTURE.md explains the table.
const IMPORTS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("base", &["limits"]),
    ("engine", &["base", "limits"]),
    ("engine/uring", &["engine", "sys", "base", "limits"]),
    ("sys", &["engine", "base", "limits"]),
    ("balance", &["base", "limits"]),
    ("route", &["base", "limits"]),
    ("head", &["base", "limits"]),
    ("http1", &["head", "base", "limits"]),
    ("http2", &["head", "base", "limits"]),
    ("tls", &["base", "limits"]),
    ("stats", &["base", "limits"]),
    ("access_log", &["base", "limits"]),
    ("health", &["base", "limits"]),
    ("tls_hello", &["base", "limits"]),
    ("proxy_protocol", &["base", "limits"]),
    ("tls", &["base", "limits"]),
    ("table", &["engine"]),
    ("link", &["tls", "engine", "base", "limits"]),
    ("streams", &["link", "http1", "http2", "tls", "head", "engine", "limits"]),
    ("config", &["http2", "tls", "balance", "health", "head", "route", "base", "limits"]),
    (
        "snapshot",
        &["config", "http2", "tls", "balance", "head", "route", "engine", "base", "limits"],
    ),
    ("mailbox", &["snapshot", "stats", "tls", "engine", "base", "limits"]),
    ("message", &["snapshot", "access_log", "stats", "http1", "head", "base", "limits"]),
    (
        "local",
        &[
            "table",
            "link",
            "snapshot",
            "mailbox",
            "access_log",
            "stats",
            "http1",
            "http2",
            "engine",
            "base",
            "limits",
        ],
    ),
    ("pick", &["snapshot", "mailbox", "balance", "base"]),
    (
        "attempts",
        &["pick", "local", "snapshot", "mailbox", "stats", "tls", "engine", "base", "limits"],
    ),
    (
        "client",
        &[
            "local",
            "message",
            "tls",
            "tls_hello",
            "proxy_protocol",
            "table",
            "link",
            "snapshot",
            "mailbox",
            "access_log",
            "stats",
            "streams",
            "http1",
            "http2",
            "tls",
            "head",
            "engine",
            "base",
            "limits",
        ],
    ),
    (
        "backend",
        &[
            "local",
            "message",
            "streams",
            "proxy_protocol",
            "table",
            "link",
            "snapshot",
            "mailbox",
            "stats",
            "http1",
            "http2",
            "tls",
            "head",
            "engine",
            "base",
            "limits",
        ],
    ),
    (
        "exchange",
        &[
            "sides",
            "client",
            "backend",
            "attempts",
            "pick",
            "local",
            "message",
            "table",
            "link",
            "snapshot",
            "mailbox",
            "access_log",
            "stats",
            "http1",
            "http2",
            "head",
            "engine",
            "base",
            "limits",
        ],
    ),
    ("sides", &["client", "backend", "pick", "local"]),
    (
        "relay",
        &[
            "sides",
            "client",
            "backend",
            "attempts",
            "pick",
            "local",
            "table",
            "link",
            "snapshot",
            "mailbox",
            "access_log",
            "stats",
            "engine",
        ],
    ),
    (
        "flow",
        &[
            "attempts",
            "pick",
            "local",
            "proxy_protocol",
            "table",
            "snapshot",
            "mailbox",
            "access_log",
            "stats",
            "engine",
            "base",
            "limits",
        ],
    ),
    (
        "shard",
        &[
            "exchange",
            "relay",
            "flow",
            "sides",
            "client",
            "backend",
            "attempts",
            "pick",
            "local",
            "table",
            "link",
            "snapshot",
            "mailbox",
            "access_log",
            "stats",
            "http2",
            "tls",
            "engine",
            "base",
            "limits",
        ],
    ),
    (
        "coordinator",
        &[
            "snapshot",
            "mailbox",
            "config",
            "health",
            "stats",
            "tls",
            "sys",
            "engine",
            "http1",
            "head",
            "route",
            "proxy_protocol",
            "base",
            "limits",
        ],
    ),
];

/// The same within `src/coordinator/`: `crate::coordinator::X` in one of its parts. Each may import
/// only from those before it, so that the table cannot allow a circle.
const COORDINATOR_IMPORTS: &[(&str, &[&str])] = &[
    ("events", &[]),
    ("fleet", &["events"]),
    ("process", &["fleet", "events"]),
    ("discovery", &["process", "fleet", "events"]),
    ("probing/protocol", &[]),
    ("probing", &["process", "fleet", "events"]),
    ("control", &["process", "fleet", "events"]),
    ("tls_files", &["control", "process", "events"]),
    ("acme", &["control", "discovery", "process", "events"]),
    ("reload", &["control", "probing", "discovery", "process", "fleet", "events"]),
    ("admin", &["reload", "control", "process", "fleet", "events"]),
    (
        "running",
        &[
            "admin",
            "reload",
            "acme",
            "tls_files",
            "control",
            "probing",
            "discovery",
            "process",
            "fleet",
            "events",
        ],
    ),
];

/// Folders that know no clock, thread, file or descriptor.
const PURE: &[&str] = &[
    "base",
    "balance",
    "route",
    "head",
    "http1",
    "tls",
    "http2",
    "tls_hello",
    "proxy_protocol",
    "stats",
    "health",
    "config",
    "snapshot",
    "table",
    "message",
    "streams",
    "local",
    "pick",
    "attempts",
    "client",
    "backend",
    "sides",
    "exchange",
    "relay",
    "flow",
];
const IMPURE_WORDS: &[&str] =
    &["Instant::now", "SystemTime", "std::thread", "std::fs", "println!", "std::env"];
const BANNED_IN_NAMES: &[&str] =
    &["Manager", "Util", "Helper", "Context", "Handler", "Info", "Common"];
const LEFTOVERS: &[&str] = &["FIXME", "XXX", "dbg!(", "todo!(", "unimplemented!("];

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

struct Source {
    /// Relative to the repository.
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("readable").path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with(".git") {
            collect(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

fn sources(folders: &[&str], ending: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| collect(&root().join(folder), ending, &mut paths));
    paths.sort();
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).expect("text"),
        path: path.strip_prefix(root()).expect("below the root").display().to_string(),
    };
    paths.into_iter().map(read).collect()
}

/// The text without its unit tests.
fn production(source: &Source) -> &str {
    let is_tests = source.path.ends_with("tests.rs") || source.path.contains("/tests/");
    let end = source.text.find("#[cfg(test)]\nmod tests {").unwrap_or(source.text.len());
    if is_tests { "" } else { &source.text[..end] }
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

fn fail_if_any(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// The folder of a file as the import table names it.
fn module(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("src/")?;
    let named = |(name, _): &&(&'static str, &[&str])| {
        path.starts_with(&format!("{name}/")) || path == format!("{name}.rs")
    };
    IMPORTS.iter().filter(named).map(|(name, _)| *name).max_by_key(|name| name.len())
}

#[test]
fn folders_import_only_what_the_table_allows() {
    let mut found = Vec::new();
    for source in sources(&["src"], ".rs") {
        let Some(module) = module(&source.path) else { continue };
        let allowed = IMPORTS.iter().find(|(name, _)| *name == module).expect("listed").1;
        for (number, line) in numbered(production(&source)) {
            for part in line.split("crate::").skip(1) {
                let name = part.split(|c: char| !c.is_alphanumeric() && c != '_').next();
                let name = name.unwrap_or_default();
                let is_own = name == module.split('/').next().unwrap_or_default();
                let is_engine_detail =
                    part.starts_with("engine::uring") && module != "engine/uring";
                let is_macro = line.contains("macro_rules");
                if (!is_own && !allowed.contains(&name) && !is_macro) || is_engine_detail {
                    found.push(format!(
                        "{}:{number}: `{module}` may not import `{name}`: see the table in {}",
                        source.path,
                        file!()
                    ));
                }
            }
        }
    }
    fail_if_any(&found);
}

/// The part of the coordinator that a file belongs to, and how many `super::` lead out of it.
fn part_of_the_coordinator(path: &str) -> Option<(&'static str, usize)> {
    let path = path.strip_prefix("src/coordinator/")?.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let named = |name: &&str| path == *name || path.starts_with(&format!("{name}/"));
    let name = COORDINATOR_IMPORTS
        .iter()
        .map(|(name, _)| *name)
        .filter(named)
        .max_by_key(|name| name.len())?;
    Some((name, path.split('/').count() - name.split('/').count() + 1))
}

#[test]
fn parts_of_the_coordinator_import_only_those_before_them() {
    let mut found = Vec::new();
    for (at, (name, allowed)) in COORDINATOR_IMPORTS.iter().enumerate() {
        let is_before =
            |other: &&str| COORDINATOR_IMPORTS[..at].iter().any(|(before, _)| before == other);
        for other in allowed.iter().filter(|other| !is_before(other)) {
            found.push(format!("{}: `{name}` imports `{other}`, which is not before it", file!()));
        }
    }
    for source in sources(&["src/coordinator"], ".rs") {
        let Some((own, way_out)) = part_of_the_coordinator(&source.path) else {
            if source.path != "src/coordinator/mod.rs" {
                found.push(format!("{}: it is in no part listed in {}", source.path, file!()));
            }
            continue;
        };
        let allowed = COORDINATOR_IMPORTS.iter().find(|(name, _)| *name == own).expect("listed").1;
        let own_path = own.replace('/', "::");
        for (number, line) in numbered(production(&source)) {
            let place = format!("{}:{number}", source.path);
            for path in line.split("crate::coordinator::").skip(1) {
                let ends_name = |c: char| !c.is_alphanumeric() && c != '_';
                let name = path.split(ends_name).next().unwrap_or_default();
                let rest = path.strip_prefix(&own_path);
                let is_own = rest.is_some_and(|rest| rest.starts_with(ends_name));
                if !is_own && !allowed.contains(&name) {
                    found.push(format!(
                        "{place}: `{own}` may not import `{name}`: see the table in {}",
                        file!()
                    ));
                }
            }
            if line.contains(&"super::".repeat(way_out)) {
                found.push(format!("{place}: write crate::coordinator:: to leave `{own}`"));
            }
        }
    }
    fail_if_any(&found);
}

#[test]
fn unsafe_stands_only_where_the_kernel_is_and_is_justified() {
    let mut found = Vec::new();
    for source in sources(&["src"], ".rs") {
        let may =
            source.path.starts_with("src/engine/uring/") || source.path.starts_with("src/sys/");
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if !["unsafe {", "unsafe impl", "unsafe fn"].iter().any(|word| code.contains(word)) {
                continue;
            }
            let above = lines[at.saturating_sub(8)..at].join("\n");
            if !may {
                found.push(format!(
                    "{}:{}: move this to sys/ or engine/uring/",
                    source.path,
                    at + 1
                ));
            } else if !above.contains("SAFETY:") {
                found.push(format!(
                    "{}:{}: say above why it is sound: // SAFETY: …",
                    source.path,
                    at + 1
                ));
            }
        }
    }
    fail_if_any(&found);
}

#[test]
fn files_and_functions_and_lines_are_short() {
    let mut found = Vec::new();
    for source in sources(&["src", "tests"], ".rs") {
        let lines = production(&source).lines().count();
        if lines > FILE_LINES_MAX {
            found.push(format!("{}: {lines} lines: split it by state or by step", source.path));
        }
        for (number, line) in numbered(&source.text) {
            if line.chars().count() > COLUMNS_MAX
                && !line.contains("http")
                && !is_table(&source.path)
            {
                found.push(format!("{}:{number}: more than {COLUMNS_MAX} columns", source.path));
            }
        }
        found.extend(long_functions(&source));
    }
    fail_if_any(&found);
}

/// Tables of cases are easier to read with long rows.
fn is_table(path: &str) -> bool {
    let files = ["loopback/backends.rs", "head/refusal.rs"];
    let folders = ["tests/suite/conformance/", "src/stats/"];
    files.iter().any(|file| path.ends_with(file))
        || folders.iter().any(|folder| path.starts_with(folder))
}

/// rustfmt puts the closing brace of a function under its first letter.
fn long_functions(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let words =
            ["fn ", "pub fn ", "pub(super) fn ", "pub(crate) fn ", "async fn ", "pub async fn "];
        if !words.iter().any(|word| code.starts_with(word)) || code.ends_with(';') {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let length = lines[at..].iter().position(|line| **line == close).unwrap_or(0) + 1;
        let is_excused = at > 0 && lines[at - 1].trim_start().starts_with("// Rule:");
        if length > FUNCTION_LINES_MAX && !is_excused && !is_table(&source.path) {
            let place = format!("{}:{}", source.path, at + 1);
            found.push(format!("{place}: {length} lines: name its steps and call them"));
        }
    }
    found
}

#[test]
fn pure_folders_stay_pure() {
    let mut found = Vec::new();
    for source in sources(&["src"], ".rs") {
        let Some(module) = module(&source.path).filter(|module| PURE.contains(module)) else {
            continue;
        };
        for (number, line) in numbered(production(&source)) {
            for word in IMPURE_WORDS.iter().filter(|word| line.contains(**word)) {
                found.push(format!(
                    "{}:{number}: `{word}` in `{module}`, which is pure: pass the value in",
                    source.path
                ));
            }
        }
    }
    fail_if_any(&found);
}

#[test]
fn names_and_headers_follow_the_style() {
    let mut found = Vec::new();
    for source in sources(&["src", "tests", "benches"], ".rs") {
        if !source.text.starts_with("//!") && !source.path.ends_with("tests.rs") {
            found.push(format!("{}: begin with //! what it does and does not", source.path));
        }
        for (number, line) in numbered(&source.text) {
            let code =
                line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(super) ");
            let is_type =
                ["struct ", "enum ", "trait ", "type "].iter().any(|w| code.starts_with(w));
            let name = code.split([' ', '<', '(', '{', ';']).nth(1).unwrap_or_default();
            if is_type && BANNED_IN_NAMES.iter().any(|word| name.contains(word)) {
                found.push(format!("{}:{number}: `{name}`: say what it is", source.path));
            }
            if code.starts_with("fn get_") {
                found.push(format!("{}:{number}: leave out `get_`", source.path));
            }
            let is_this = source.path == "tests/tidy.rs";
            for word in LEFTOVERS.iter().filter(|word| line.contains(**word) && !is_this) {
                found.push(format!("{}:{number}: `{word}` is left over", source.path));
            }
        }
    }
    fail_if_any(&found);
}

#[test]
fn every_counter_and_close_reason_is_used() {
    let all = sources(&["src"], ".rs");
    let mut found = Vec::new();
    for (file, name) in
        [("src/stats/counters.rs", "Counter"), ("src/stats/close_reason.rs", "CloseReason")]
    {
        let table = all.iter().find(|source| source.path == file).expect("it is there");
        // A row of the table: a variant and its name in quotes.
        let rows = table.text.lines().filter_map(|line| {
            let (variant, rest) = line.trim().split_once(' ')?;
            (rest.starts_with('"') && variant.chars().all(char::is_alphanumeric)).then_some(variant)
        });
        for variant in rows {
            let used = format!("{name}::{variant}");
            let is_used = |source: &Source| {
                !source.path.starts_with("src/stats/") && {
                    let rest = source.text.split(&used).nth(1);
                    rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
                }
            };
            if !all.iter().any(is_used) {
                found.push(format!("{file}: {used} is never used: use it or take it out"));
            }
        }
    }
    fail_if_any(&found);
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut found = Vec::new();
    for source in sources(&["."], ".md") {
        let path = root().join(&source.path);
        let folder = path.parent().expect("a folder");
        for link in source.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            let is_elsewhere = link.contains("://") || link.starts_with("mailto:");
            if !file.is_empty() && !is_elsewhere && !folder.join(file).exists() {
                found.push(format!("{}: the link to {link} leads nowhere", source.path));
            }
        }
    }
    fail_if_any(&found);
}
