//! `ringway check`: is a file a configuration?

use super::Failed;
use super::load::{LoadError, read_config};
use ringway::config::Config;
use ringway::sys;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

/// Says on `out` that the file is right; fails with all that is wrong.
pub(super) fn check(file: &Path, as_json: bool, out: &mut dyn Write) -> Result<(), Failed> {
    let result = read_config(file, sys::file::read).map(|(config, _)| config);
    if as_json {
        writeln!(out, "{:#}", report(file, &result))?;
        return result.map(drop).map_err(|_| Failed::Shown);
    }
    writeln!(out, "{}: ok, {}", file.display(), summary(&result?))?;
    Ok(())
}

/// "1 listener, 2 routes, 2 pools, 5 backends"; and where more of them come from, if they do.
fn summary(config: &Config) -> String {
    let counted = |(count, noun): (usize, &str)| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {noun}{plural}")
    };
    let found_later = found_later(config).into_iter().filter(|(count, _)| *count > 0);
    let found_later: Vec<String> = found_later.map(counted).collect();
    let counts = counts(config).map(counted).join(", ");
    if found_later.is_empty() {
        return counts;
    }
    format!("{counts} with an address, and those of {}", found_later.join(" and "))
}

/// Of backends only those that the file has an address of.
fn counts(config: &Config) -> [(usize, &'static str); 4] {
    [
        (config.listeners.len(), "listener"),
        (config.routes.len(), "route"),
        (config.pools.len(), "pool"),
        (config.backend_count(), "backend"),
    ]
}

/// Where more backends come from while it runs.
fn found_later(config: &Config) -> [(usize, &'static str); 2] {
    let names = config.pools.iter().map(|pool| pool.names.len()).sum();
    let files = config.pools.iter().filter(|pool| pool.backends_file.is_some()).count();
    [(names, "DNS name"), (files, "watched file")]
}

fn report(file: &Path, result: &Result<Config, LoadError>) -> Value {
    let mut report = json!({ "file": file.display().to_string(), "ok": result.is_ok() });
    match result {
        Ok(config) => {
            for (count, noun) in counts(config) {
                report[format!("{noun}s")] = count.into();
            }
            let [(names, _), (files, _)] = found_later(config);
            (report["backend_names"], report["backends_files"]) = (names.into(), files.into());
        }
        Err(LoadError::Invalid(diagnostics)) => {
            report["problems"] = json!(diagnostics.problems);
            report["more_problems"] = diagnostics.more.into();
        }
        Err(other) => report["problems"] = json!([{ "message": other.to_string() }]),
    }
    report
}
