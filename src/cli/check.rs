//! `ringway check`: is a file a configuration?

use super::Failed;
use super::load::{LoadError, read_config};
use ringway::config::{Config, Problem};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

/// Says on `out` that the file is right; fails with all that is wrong.
pub(super) fn check(file: &Path, as_json: bool, out: &mut dyn Write) -> Result<(), Failed> {
    let result = read_config(file).map(|(config, _)| config);
    if as_json {
        writeln!(out, "{:#}", report(file, &result))?;
        return result.map(drop).map_err(|_| Failed::Shown);
    }
    writeln!(out, "{}: ok, {}", file.display(), summary(&result?))?;
    Ok(())
}

/// "1 listener, 2 routes, 2 pools, 5 backends".
pub(super) fn summary(config: &Config) -> String {
    let counted = |(count, noun): (usize, &str)| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {noun}{plural}")
    };
    counts(config).map(counted).join(", ")
}

fn counts(config: &Config) -> [(usize, &'static str); 4] {
    [
        (config.listeners.len(), "listener"),
        (config.routes.len(), "route"),
        (config.pools.len(), "pool"),
        (config.backend_count(), "backend"),
    ]
}

fn report(file: &Path, result: &Result<Config, LoadError>) -> Value {
    let mut report = json!({ "file": file.display().to_string(), "ok": result.is_ok() });
    match result {
        Ok(config) => {
            for (count, noun) in counts(config) {
                report[format!("{noun}s")] = count.into();
            }
        }
        Err(LoadError::Invalid(diagnostics)) => {
            report["problems"] = diagnostics.problems.iter().map(problem).collect();
        }
        Err(other) => report["problems"] = json!([{ "message": other.to_string() }]),
    }
    report
}

fn problem(problem: &Problem) -> Value {
    let Problem { line, column, message, help, .. } = problem;
    json!({ "line": line, "column": column, "message": message, "help": help })
}
