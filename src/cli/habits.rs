//! First words of other servers' command lines, with the corresponding command of Ringway.

use std::ffi::OsString;

/// The hint after the error for a first argument that is no command of Ringway's.
pub(super) fn hint(first: Option<&OsString>) -> Option<String> {
    let word = first?.to_str()?;
    let said = match word {
        "-t" | "-T" | "validate" | "test" | "configtest" => "to check a file: ringway check FILE",
        "-c" | "-f" | "start" | "serve" | "up" => "to run with a file: ringway run FILE",
        "-s" | "stop" | "quit" => "to end it gracefully: ringway drain; to reload: ringway reload",
        "-v" | "version" => "the version: ringway --version",
        "completions" | "completion" => "completions for shells are not there yet",
        "adapt" | "import" | "convert" => "files of other servers cannot be converted yet",
        "fmt" => "files cannot be formatted yet",
        file if file.ends_with(".toml") => {
            return Some(format!("\nhint: to run with this file: ringway run {file}\n"));
        }
        _ => return None,
    };
    Some(format!("\nhint: {said}\n"))
}
