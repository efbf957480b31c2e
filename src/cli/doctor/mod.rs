//! `ringway doctor`: checks whether Ringway can run on this machine. Reads, changes nothing.

mod facts;
mod findings;
#[cfg(test)]
mod tests;

use super::check::findings::log_error;
use super::{Failed, ProbeUring};
use facts::Facts;
use findings::{Finding, Level};
use ringway::config::Config;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;

/// Prints the findings, and fails if Ringway cannot run here with this configuration.
pub(super) fn doctor(
    config: &Config,
    as_json: bool,
    probe_uring: ProbeUring,
    out: &mut dyn Write,
) -> Result<(), Failed> {
    let log_error = log_error(config);
    let facts = Facts { log_error, ..Facts::gather(Path::new("/"), probe_uring(config)) };
    let findings = findings::all(&facts, config);
    let failed = findings.iter().any(|finding| finding.level == Level::Fail);
    if as_json {
        let findings: Vec<Value> = findings.iter().map(as_value).collect();
        writeln!(out, "{:#}", json!({ "ok": !failed, "findings": findings }))?;
    } else {
        show(&findings, out)?;
    }
    if failed { Err(Failed::Shown) } else { Ok(()) }
}

fn show(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for Finding { name, level, found, remedy } in findings {
        writeln!(out, "{:<4}  {name:<20}  {found}", level.word())?;
        if let Some(remedy) = remedy {
            writeln!(out, "{:<4}  {:<20}  -> {remedy}", "", "")?;
        }
    }
    Ok(())
}

fn as_value(finding: &Finding) -> Value {
    let Finding { name, level, found, remedy } = finding;
    json!({ "name": name, "level": level.word(), "found": found, "remedy": remedy })
}
