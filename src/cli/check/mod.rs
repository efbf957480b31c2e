//! `ringway check`: would `ringway run` start with these files?

mod acme;
mod backend_tls;
mod certificates;
mod datagrams;
pub(super) mod findings;
mod host;
mod open_names;
mod protocols;

use super::Failed;
use super::environment;
use super::load::{self, DEFAULT_FILE, Effective, LoadError, is_stdin, read_config};
use findings::{Finding, Level};
use ringway::config::{Config, Listener};
use ringway::sys;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The form of the output.
pub(super) struct Telling {
    /// In JSON, or in text.
    pub(super) as_json: bool,
    /// Errors only, in text and in JSON.
    pub(super) is_quiet: bool,
}

/// Most lines of warnings in the log.
const LINES_MAX: usize = 20;

/// The result of checking a file.
struct Checked<'f> {
    file: &'f Path,
    /// With the environment applied, as by `ringway run FILE`.
    result: Result<Effective, LoadError>,
    findings: Vec<Finding>,
}

impl<'f> Checked<'f> {
    fn of(file: &'f Path) -> Self {
        let mut findings = Vec::new();
        let result = read_config(file, read);
        let mut result = result.map(|(config, written)| Effective::of(config, written));
        match environment::of_run(file) {
            Err(wrong) => findings.extend(wrong.into_iter().map(findings::of_refused)),
            Ok((source, matches)) => {
                if let Err(error) = load::chosen(&source, &matches) {
                    findings.push(findings::of_usage(&error));
                }
                if let Ok(effective) = &mut result {
                    load::lay_over(effective, source, &matches);
                }
            }
        }
        if let Ok(effective) = &result {
            findings.extend(findings::all(effective));
            findings.extend(findings::in_backends_files(&effective.config));
        }
        Self { file, result, findings }
    }

    fn is_right(&self) -> bool {
        self.result.is_ok() && self.findings.iter().all(|finding| finding.level == Level::Warning)
    }
}

/// Warnings about a configuration that begins to run, and about the environment: a line each.
/// Errors that keep it from running are reported where they occur.
pub(super) fn warnings_of_run(effective: &Effective) -> Vec<String> {
    let unread = environment::unread().into_iter().map(findings::of_unread);
    let found = findings::of_start(effective).into_iter();
    lines(unread.chain(found.filter(|finding| finding.level != Level::Fatal)))
}

/// Warnings about a configuration that a reload puts, or would put, in force where these listeners
/// are open: a line each.
pub(super) fn warnings_of_reload(effective: &Effective, open: &[Listener]) -> Vec<String> {
    lines(findings::of_reload(effective, open).into_iter())
}

fn lines(findings: impl Iterator<Item = Finding>) -> Vec<String> {
    let line = |finding: Finding| match finding.level {
        Level::Fatal => format!("{finding}; `ringway run` would not start"),
        Level::Warning => finding.to_string(),
    };
    let mut lines: Vec<String> = findings.map(line).collect();
    if let Some(more) = lines.len().checked_sub(LINES_MAX).filter(|more| *more > 0) {
        lines.truncate(LINES_MAX);
        lines.push(format!("… and {more} more: see `ringway check`"));
    }
    lines
}

/// Prints valid files on `out`, and errors and warnings on `err`; fails if one is invalid. Without
/// a file it checks the default one.
pub(super) fn check(
    mut files: Vec<PathBuf>,
    telling: &Telling,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), Failed> {
    if files.is_empty() {
        if !Path::new(DEFAULT_FILE).exists() {
            let message = format!("no file to check: give FILE; there is no {DEFAULT_FILE}");
            return Err(Failed::Usage(message));
        }
        files.push(DEFAULT_FILE.into());
    }
    let all: Vec<Checked<'_>> = files.iter().map(|file| Checked::of(file)).collect();
    let unread: Vec<Finding> = match telling.is_quiet {
        true => Vec::new(),
        false => environment::unread().into_iter().map(findings::of_unread).collect(),
    };
    if telling.as_json {
        let report = |checked| report(checked, &unread, telling.is_quiet);
        let reports: Vec<Value> = all.iter().map(report).collect();
        match &reports[..] {
            [one] => writeln!(out, "{one:#}")?,
            all => writeln!(out, "{:#}", json!(all))?,
        }
    } else {
        // They do not belong to a file: a line each, once for all files.
        unread.iter().try_for_each(|finding| writeln!(err, "warning: {finding}"))?;
        all.iter().try_for_each(|checked| show(checked, telling.is_quiet, out, err))?;
    }
    if all.iter().all(Checked::is_right) { Ok(()) } else { Err(Failed::Shown) }
}

fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    if is_stdin(path) { sys::file::read_stdin(most) } else { sys::file::read(path, most) }
}

fn show(
    checked: &Checked<'_>,
    is_quiet: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<()> {
    let Checked { file, result, findings } = checked;
    let file = file.display();
    for finding in findings {
        match finding.level {
            Level::Fatal => writeln!(err, "error: {file}: {finding}")?,
            Level::Warning if is_quiet => {}
            Level::Warning => writeln!(err, "warning: {file}: {finding}")?,
        }
    }
    match result {
        Err(error) => writeln!(err, "error: {}", error.to_string().trim_end()),
        Ok(effective) if checked.is_right() && !is_quiet => {
            writeln!(out, "{file}: ok, {}", summary(&effective.config))
        }
        Ok(_) => Ok(()),
    }
}

/// "1 listener, 2 routes, 2 pools, 5 backends"; and the sources of further backends.
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

/// Counts of the parts of a configuration; of backends only those with an address in the file.
fn counts(config: &Config) -> [(usize, &'static str); 4] {
    [
        (config.listeners.len(), "listener"),
        (config.routes.len(), "route"),
        (config.pools.len(), "pool"),
        (config.backend_count(), "backend"),
    ]
}

/// The sources of further backends while it runs.
fn found_later(config: &Config) -> [(usize, &'static str); 2] {
    let names = config.pools.iter().map(|pool| pool.names.len()).sum();
    let files = config.pools.iter().filter(|pool| pool.backends_file.is_some()).count();
    [(names, "DNS name"), (files, "watched file")]
}

/// The result as JSON; unread variables are among the warnings of each file.
fn report(checked: &Checked<'_>, unread: &[Finding], is_quiet: bool) -> Value {
    let Checked { file, result, findings } = checked;
    let mut report = json!({ "file": file.display().to_string(), "ok": checked.is_right() });
    let (warnings, errors): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| finding.level == Level::Warning);
    let warnings = unread.iter().chain(warnings).filter(|_| !is_quiet);
    report["warnings"] = json!(warnings.collect::<Vec<_>>());
    let mut problems: Vec<Value> = errors.iter().map(|finding| json!(finding)).collect();
    match result {
        Ok(Effective { config, .. }) => {
            for (count, noun) in counts(config) {
                report[format!("{noun}s")] = count.into();
            }
            let [(names, _), (files, _)] = found_later(config);
            (report["backend_names"], report["backends_files"]) = (names.into(), files.into());
        }
        Err(LoadError::Invalid(diagnostics)) => {
            problems.extend(diagnostics.problems.iter().map(|problem| json!(problem)));
            report["more_problems"] = diagnostics.more.into();
        }
        Err(other) => problems.push(json!({ "message": other.to_string() })),
    }
    if !checked.is_right() {
        report["problems"] = problems.into();
    }
    report
}
