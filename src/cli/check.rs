//! `ringway check`

use super::arguments::Check;
use super::load::parse_file;
use ringway::config::{Config, Diagnostic, Diagnostics};
use std::io::Write;
use std::process::ExitCode;

/// Checks a file and says what is wrong with it, all at once.
pub(crate) fn check(arguments: &Check, out: &mut dyn Write) -> ExitCode {
    let file = arguments.file.display().to_string();
    let result = match std::fs::read_to_string(&arguments.file) {
        Ok(text) => parse_file(&arguments.file, &text),
        Err(error) => Err(unreadable(&file, &error)),
    };
    let written = match (&result, arguments.json) {
        (Ok(config), false) => writeln!(out, "{file}: ok, {}", summary(config)),
        (Err(diagnostics), false) => write!(out, "{diagnostics}"),
        (result, true) => writeln!(out, "{}", as_json(&file, result)),
    };
    match (result, written) {
        (Ok(_), Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn unreadable(file: &str, error: &std::io::Error) -> Diagnostics {
    let message = format!("cannot read the file: {error}");
    let diagnostic = Diagnostic { line: 0, column: 0, message, excerpt: String::new() };
    Diagnostics { file: file.to_owned(), list: vec![diagnostic] }
}

fn summary(config: &Config) -> String {
    let backends = config.pools.iter().map(|pool| pool.backends.len()).sum();
    let counts = [
        ("listener", config.listeners.len()),
        ("route", config.routes.len()),
        ("pool", config.pools.len()),
        ("backend", backends),
    ];
    let plural = |(name, n): (&str, usize)| format!("{n} {name}{}", if n == 1 { "" } else { "s" });
    counts.map(plural).join(", ")
}

fn as_json(file: &str, result: &Result<Config, Diagnostics>) -> serde_json::Value {
    let errors = result.as_ref().err().map(|diagnostics| diagnostics.list.as_slice());
    let error = |d: &Diagnostic| {
        serde_json::json!({ "line": d.line, "column": d.column, "message": d.message })
    };
    let errors: Vec<_> = errors.unwrap_or_default().iter().map(error).collect();
    serde_json::json!({ "file": file, "ok": result.is_ok(), "errors": errors })
}
